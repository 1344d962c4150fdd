import java.util.UUID;
import javax.jms.Connection;
import javax.jms.InvalidClientIDException;
import javax.jms.InvalidDestinationException;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TextMessage;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnectionFactory;

/** What stays subscribed to topics: durable subscriptions and queues of virtual topics. */
final class Subscriptions {
  private static final long SOON = 5_000;
  private static final long NEVER = 300;

  private final String url;

  Subscriptions(String url) {
    this.url = url;
  }

  private interface Part {
    void run(Session session) throws Exception;
  }

  /** Does something as a client of this id, with a connection of its own. */
  private void as(String client, Part part) throws Exception {
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    try {
      connection.setClientID(client);
      connection.start();
      part.run(connection.createSession(false, Session.AUTO_ACKNOWLEDGE));
    } finally {
      connection.close();
    }
  }

  private static String fresh(String kind) {
    return kind + "." + UUID.randomUUID();
  }

  private static void send(Session session, String topic, String... texts) throws JMSException {
    MessageProducer producer = session.createProducer(session.createTopic(topic));
    for (String text : texts) {
      Message message = session.createTextMessage(text);
      message.setStringProperty("colour", text);
      producer.send(message);
    }
    producer.close();
  }

  private static void gets(MessageConsumer consumer, String... texts) throws JMSException {
    for (String text : texts) {
      Message message = consumer.receive(SOON);
      check(message != null, "`" + text + "` did not come");
      String found = ((TextMessage) message).getText();
      check(text.equals(found), "`" + text + "` is wanted, not `" + found + "`");
    }
    check(consumer.receive(NEVER) == null, "more came than was sent");
  }

  private static void check(boolean isSo, String otherwise) {
    if (!isSo) {
      throw new AssertionError(otherwise);
    }
  }

  void waitForTheirSubscriber() throws Exception {
    String client = fresh("client");
    String topic = fresh("topic");
    as(client, session -> {
      MessageConsumer consumer = session.createDurableSubscriber(session.createTopic(topic), "s");
      send(session, topic, "here");
      gets(consumer, "here");
    });
    as(fresh("client"), session -> send(session, topic, "away", "still away"));
    as(client, session -> {
      Topic there = session.createTopic(topic);
      MessageConsumer consumer = session.createDurableSubscriber(there, "s");
      gets(consumer, "away", "still away");
      // Another selector begins anew.
      consumer.close();
      send(session, topic, "lost");
      consumer = session.createDurableSubscriber(there, "s", "colour = 'red'", false);
      send(session, topic, "blue", "red");
      gets(consumer, "red");
      try {
        session.unsubscribe("s");
        check(false, "it has a consumer");
      } catch (JMSException expected) {
        check(expected.getMessage().contains("in use"), expected.getMessage());
      }
      consumer.close();
      session.unsubscribe("s");
      try {
        session.unsubscribe("s");
        check(false, "it is gone");
      } catch (InvalidDestinationException expected) {
        check(expected.getMessage().contains("no durable subscription"), expected.getMessage());
      }
    });
  }

  void haveOneConsumer() throws Exception {
    String client = fresh("client");
    String topic = fresh("topic");
    as(client, session -> {
      Topic there = session.createTopic(topic);
      MessageConsumer first = session.createDurableSubscriber(there, "s");
      try {
        session.createDurableSubscriber(there, "s");
        check(false, "there is one already");
      } catch (JMSException expected) {
        check(expected.getMessage().contains("in use"), expected.getMessage());
      }
      try {
        as(client, session2 -> check(false, "another connection has the client id"));
      } catch (InvalidClientIDException expected) {
        check(expected.getMessage().contains(client), expected.getMessage());
      }
      send(session, topic, "one");
      gets(first, "one");
    });
    // The client id is free again.
    as(client, session -> session.unsubscribe("s"));
  }

  void shareVirtualTopics() throws Exception {
    String topic = fresh("VirtualTopic");
    as(fresh("client"), session -> {
      for (String group : new String[] {"a", "b"}) {
        session.createConsumer(session.createQueue("Consumer." + group + "." + topic)).close();
      }
      send(session, topic, "1", "2");
      for (String group : new String[] {"a", "b"}) {
        gets(session.createConsumer(session.createQueue("Consumer." + group + "." + topic)), "1", "2");
      }
    });
  }
}
