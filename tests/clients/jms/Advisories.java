import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.advisory.AdvisorySupport;
import org.apache.activemq.advisory.ConsumerEvent;
import org.apache.activemq.advisory.ConsumerEventSource;
import org.apache.activemq.advisory.ProducerEvent;
import org.apache.activemq.advisory.ProducerEventSource;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ConnectionInfo;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.DataStructure;
import org.apache.activemq.command.DestinationInfo;
import org.apache.activemq.command.RemoveInfo;

/** What brokers of ActiveMQ tell of their clients, by that client's own classes. */
final class Advisories {
  private static final long SOON = 5_000;
  private static final long NEVER = 500;

  private final String url;

  Advisories(String url) {
    this.url = url;
  }

  private interface Part {
    void run(ActiveMQConnection connection, Session session) throws Exception;
  }

  private void connected(Part part) throws Exception {
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    try {
      connection.start();
      Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
      part.run((ActiveMQConnection) connection, session);
    } finally {
      connection.close();
    }
  }

  private static String fresh() {
    return "watched." + UUID.randomUUID();
  }

  private static ActiveMQMessage next(MessageConsumer consumer) throws JMSException {
    ActiveMQMessage message = (ActiveMQMessage) consumer.receive(SOON);
    check(message != null, "no advisory came");
    check("Advisory".equals(message.getJMSType()), "it is an advisory: " + message);
    check(message.getStringProperty("originBrokerName") != null, "it says who tells");
    check(message.getStringProperty("originBrokerId") != null, "it says who tells");
    check(message.getStringProperty("originBrokerURL").startsWith("tcp://"), "and where");
    return message;
  }

  /** Consumers of a queue: those that are there when one begins to listen, and those that come and go. */
  void tellOfConsumers() throws Exception {
    connected(
        (connection, session) -> {
          Queue queue = session.createQueue(fresh());
          MessageConsumer first = session.createConsumer(queue);
          Topic topic = AdvisorySupport.getConsumerAdvisoryTopic(queue);
          MessageConsumer listener = session.createConsumer(topic);
          ActiveMQMessage message = next(listener);
          ConsumerInfo info = (ConsumerInfo) message.getDataStructure();
          check(info.getDestination().equals(queue), "it is of the queue: " + info);
          check(message.getIntProperty("consumerCount") == 1, "there is one");
          connected(
              (other, theirs) -> {
                theirs.createConsumer(queue, "colour = 'blue'");
                ActiveMQMessage second = next(listener);
                ConsumerInfo another = (ConsumerInfo) second.getDataStructure();
                check("colour = 'blue'".equals(another.getSelector()), "its selector: " + another);
                check(second.getIntProperty("consumerCount") == 2, "there are two");
              });
          ActiveMQMessage gone = next(listener);
          check(gone.getDataStructure() instanceof RemoveInfo, "it has gone: " + gone);
          check(gone.getIntProperty("consumerCount") == 1, "there is one again");
          first.close();
          check(next(listener).getIntProperty("consumerCount") == 0, "there is none");
          check(listener.receive(NEVER) == null, "that is all");
        });
  }

  /** The sources of events that the client's library makes of advisories. */
  void areEventsOfTheLibrary() throws Exception {
    connected(
        (connection, session) -> {
          Queue queue = session.createQueue(fresh());
          BlockingQueue<ConsumerEvent> consumers = new LinkedBlockingQueue<>();
          BlockingQueue<ProducerEvent> producers = new LinkedBlockingQueue<>();
          ConsumerEventSource consumed = new ConsumerEventSource(connection, queue);
          consumed.setConsumerListener(consumers::add);
          consumed.start();
          ProducerEventSource produced = new ProducerEventSource(connection, queue);
          produced.setProducerListener(producers::add);
          produced.start();
          connected(
              (other, theirs) -> {
                MessageConsumer consumer = theirs.createConsumer(queue);
                ConsumerEvent come = consumers.poll(SOON, TimeUnit.MILLISECONDS);
                check(come != null && come.isStarted(), "it has come: " + come);
                check(come.getConsumerCount() == 1, "there is one: " + come.getConsumerCount());
                consumer.close();
                ConsumerEvent gone = consumers.poll(SOON, TimeUnit.MILLISECONDS);
                check(gone != null && !gone.isStarted(), "it has gone: " + gone);
                MessageProducer producer = theirs.createProducer(queue);
                ProducerEvent sends = producers.poll(SOON, TimeUnit.MILLISECONDS);
                check(sends != null && sends.isStarted(), "it may send: " + sends);
                check(sends.getProducerCount() == 1, "there is one: " + sends.getProducerCount());
                producer.close();
                ProducerEvent ended = producers.poll(SOON, TimeUnit.MILLISECONDS);
                check(ended != null && !ended.isStarted(), "it has ended: " + ended);
              });
          consumed.stop();
          produced.stop();
        });
  }

  /** Connections, and temporary queues of others. */
  void tellOfConnectionsAndTemporaryQueues() throws Exception {
    connected(
        (connection, session) -> {
          String id = "client-" + UUID.randomUUID();
          MessageConsumer connections = session.createConsumer(AdvisorySupport.getConnectionAdvisoryTopic());
          MessageConsumer temporaries = session.createConsumer(AdvisorySupport.TEMP_QUEUE_ADVISORY_TOPIC);
          Connection other = new ActiveMQConnectionFactory(url).createConnection("me", "secret");
          other.setClientID(id);
          other.start();
          ConnectionInfo info = null;
          while (info == null || !id.equals(info.getClientId())) {
            DataStructure about = next(connections).getDataStructure();
            info = about instanceof ConnectionInfo ? (ConnectionInfo) about : info;
          }
          check("me".equals(info.getUserName()), "it says who: " + info.getUserName());
          check(info.getPassword() == null || info.getPassword().isEmpty(), "and no password");
          Session theirs = other.createSession(false, Session.AUTO_ACKNOWLEDGE);
          TemporaryQueue made = theirs.createTemporaryQueue();
          DestinationInfo told = null;
          while (told == null || !told.getDestination().equals(made)) {
            told = (DestinationInfo) next(temporaries).getDataStructure();
          }
          check(told.isAddOperation(), "it was made");
          made.delete();
          told = (DestinationInfo) next(temporaries).getDataStructure();
          check(told.isRemoveOperation() && told.getDestination().equals(made), "it was deleted");
          other.close();
          boolean hasGone = false;
          while (!hasGone) {
            DataStructure about = next(connections).getDataStructure();
            hasGone = about instanceof RemoveInfo
                && ((RemoveInfo) about).getObjectId().equals(info.getConnectionId());
          }
        });
  }

  private static void check(boolean isSo, String otherwise) {
    if (!isSo) {
      throw new AssertionError(otherwise);
    }
  }
}
