import javax.jms.Connection;
import javax.jms.MessageConsumer;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Receives 100 texts, as the tutorials do. Usage: {@code java Consumer [URL]}. */
public final class Consumer {
  public static void main(String[] args) throws Exception {
    String url = args.length > 0 ? args[0] : "tcp://localhost:61616";
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    connection.start();
    Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    MessageConsumer consumer = session.createConsumer(session.createQueue("TEST.FOO"));
    for (int at = 0; at < 100; at++) {
      TextMessage message = (TextMessage) consumer.receive(10_000);
      if (message == null || !message.getText().equals("Hello world! " + at)) {
        throw new IllegalStateException("message " + at + " is wanted, not " + message);
      }
      message.acknowledge();
    }
    if (consumer.receive(500) != null) {
      throw new IllegalStateException("there is one more");
    }
    System.out.println("received 100");
    connection.close();
  }
}
