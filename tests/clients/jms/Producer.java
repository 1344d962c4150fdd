import javax.jms.Connection;
import javax.jms.MessageProducer;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Sends 100 texts, as the tutorials do. Usage: {@code java Producer [URL]}. */
public final class Producer {
  public static void main(String[] args) throws Exception {
    String url = args.length > 0 ? args[0] : "tcp://localhost:61616";
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    connection.start();
    Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = session.createProducer(session.createQueue("TEST.FOO"));
    for (int at = 0; at < 100; at++) {
      producer.send(session.createTextMessage("Hello world! " + at));
    }
    System.out.println("sent 100");
    connection.close();
  }
}
