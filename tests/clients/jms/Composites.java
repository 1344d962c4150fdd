import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import javax.jms.Connection;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQSession;
import org.apache.activemq.command.ActiveMQQueue;

/** One consumer of several destinations. */
final class Composites {
  private static final long SOON = 5_000;
  private static final long NEVER = 300;

  private final String url;

  Composites(String url) {
    this.url = url;
  }

  private interface Part {
    void run(Connection connection) throws Exception;
  }

  private void connected(Part part) throws Exception {
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    try {
      connection.start();
      part.run(connection);
    } finally {
      connection.close();
    }
  }

  private static String[] fresh(int count) {
    String[] names = new String[count];
    for (int at = 0; at < count; at++) {
      names[at] = "several." + UUID.randomUUID();
    }
    return names;
  }

  private static void send(Session session, Destination to, String text, int number)
      throws JMSException {
    MessageProducer producer = session.createProducer(to);
    TextMessage message = session.createTextMessage(text);
    message.setIntProperty("number", number);
    producer.send(message);
    producer.close();
  }

  private static Set<String> received(MessageConsumer consumer, int count) throws JMSException {
    Set<String> texts = new TreeSet<>();
    for (int at = 0; at < count; at++) {
      Message message = consumer.receive(SOON);
      check(message != null, "only " + texts + " came");
      check(texts.add(((TextMessage) message).getText()), "twice: " + message);
    }
    check(consumer.receive(NEVER) == null, "more came");
    return texts;
  }

  /** Queues by name, by pattern, and a topic, of one consumer with a selector. */
  void takeFromAll() throws Exception {
    connected(
        connection -> {
          Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
          String[] names = fresh(4);
          String all = names[0] + "," + names[1] + ",queue://" + names[2] + ".*,topic://" + names[3];
          MessageConsumer consumer =
              session.createConsumer(session.createQueue(all), "number <> 7");
          send(session, session.createQueue(names[0]), "a", 1);
          send(session, session.createQueue(names[0]), "not", 7);
          send(session, session.createQueue(names[1]), "b", 2);
          send(session, session.createQueue(names[2] + ".x"), "c", 3);
          send(session, session.createTopic(names[3]), "d", 4);
          send(session, session.createTopic(names[3]), "not", 7);
          check(received(consumer, 4).equals(set("a", "b", "c", "d")), "all of them come");
          consumer.close();
          Destination rest = session.createQueue(names[0] + "," + names[1]);
          check(received(session.createConsumer(rest), 1).equals(set("not")), "the rest is there");
        });
  }

  /** The prefetch is that of the consumer, whatever it takes from. */
  void haveOnePrefetch() throws Exception {
    connected(
        connection -> {
          Session session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
          String[] names = fresh(3);
          Destination all = new ActiveMQQueue(String.join(",", names) + "?consumer.prefetchSize=2");
          MessageConsumer consumer = session.createConsumer(all);
          for (int at = 0; at < 6; at++) {
            send(session, session.createQueue(names[at % 3]), "m" + at, at);
          }
          List<Message> held = new ArrayList<>();
          for (int at = 0; at < 6; at++) {
            Message message = consumer.receive(SOON);
            check(message != null, "message " + at + " did not come");
            held.add(message);
            // With two in hand nothing more may come until one is acknowledged.
            if (held.size() == 2) {
              held.remove(0).acknowledge();
            }
          }
          held.get(0).acknowledge();
          check(consumer.receive(NEVER) == null, "more came");
        });
  }

  /** A rollback of what came from several queues brings all of it back, and a commit ends it. */
  void rollBackTogether() throws Exception {
    connected(
        connection -> {
          Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
          String[] names = fresh(3);
          for (String name : names) {
            send(session, session.createQueue(name), "to " + name, 0);
          }
          session.commit();
          Destination all = session.createQueue(String.join(",", names));
          MessageConsumer consumer = session.createConsumer(all);
          Set<String> first = received(consumer, 3);
          session.rollback();
          for (int at = 0; at < 3; at++) {
            Message again = consumer.receive(SOON);
            check(again != null && again.getJMSRedelivered(), "it is delivered again: " + again);
            check(first.contains(((TextMessage) again).getText()), "and nothing else");
          }
          session.commit();
          consumer.close();
          check(session.createConsumer(all).receive(NEVER) == null, "all is acknowledged");
          session.commit();
        });
  }

  /** What a consumer of several queues had not seen is another one's when it closes. */
  void giveBackWhenTheyClose() throws Exception {
    connected(
        connection -> {
          Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
          String[] names = fresh(2);
          Destination all = session.createQueue(String.join(",", names));
          MessageConsumer consumer = session.createConsumer(all);
          for (int at = 0; at < 6; at++) {
            send(session, session.createQueue(names[at % 2]), "m" + at, at);
          }
          check(consumer.receive(SOON) != null, "one is taken");
          consumer.close();
          MessageConsumer next = session.createConsumer(all);
          for (int at = 0; at < 5; at++) {
            Message message = next.receive(SOON);
            check(message != null && !message.getJMSRedelivered(), "unseen: " + message);
          }
          check(next.receive(NEVER) == null, "more came");
        });
  }

  private static Set<String> set(String... texts) {
    return new TreeSet<>(Arrays.asList(texts));
  }

  private static void check(boolean isSo, String otherwise) {
    if (!isSo) {
      throw new AssertionError(otherwise);
    }
  }
}
