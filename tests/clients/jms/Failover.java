import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * Producers and consumers that outlive the nodes they are connected to.
 *
 * <p>Usage: {@code java Failover URL MESSAGES PAUSE_MILLIS}, with a {@code failover:} URL. Each of four
 * producers sends a quarter of the messages to a queue of its own, of which each has two consumers, one
 * of them transacted. What was sent for sure, what has come, and what a commit left in doubt, is printed as
 * JSON.
 */
public final class Failover {
  private static final int QUEUES = 4;
  private static final Set<String> acknowledged = ConcurrentHashMap.newKeySet();
  private static final Map<String, AtomicInteger> received = new ConcurrentHashMap<>();
  private static final Set<String> inDoubt = ConcurrentHashMap.newKeySet();
  private static final AtomicInteger failures = new AtomicInteger();
  private static volatile boolean isSending = true;
  private static volatile long lastReceived = System.nanoTime();

  public static void main(String[] args) throws Exception {
    String url = args[0];
    int each = Integer.parseInt(args[1]) / QUEUES;
    long pause = Long.parseLong(args[2]);
    Thread[] producers = new Thread[QUEUES];
    Thread[] consumers = new Thread[2 * QUEUES];
    for (int at = 0; at < QUEUES; at++) {
      String queue = "failover." + at;
      producers[at] = new Thread(() -> produce(url, queue, each, pause));
      consumers[2 * at] = new Thread(() -> consume(url, queue, false));
      consumers[2 * at + 1] = new Thread(() -> consume(url, queue, true));
    }
    for (Thread consumer : consumers) {
      consumer.start();
    }
    for (Thread producer : producers) {
      producer.start();
    }
    for (Thread producer : producers) {
      producer.join();
    }
    lastReceived = System.nanoTime();
    isSending = false;
    for (Thread consumer : consumers) {
      consumer.join();
    }
    long lost =
        acknowledged.stream()
            .filter(text -> !received.containsKey(text) && !inDoubt.contains(text))
            .count();
    long twice = received.values().stream().filter(count -> count.get() > 1).count();
    System.out.printf(
        "{\"acknowledged\": %d, \"received\": %d, \"lost_count\": %d, \"twice\": %d, "
            + "\"in_doubt\": %d, \"failures\": %d}%n",
        acknowledged.size(), received.size(), lost, twice, inDoubt.size(), failures.get());
    System.exit(0);
  }

  private static void produce(String url, String queue, int count, long pause) {
    try {
      Connection connection = new ActiveMQConnectionFactory(url).createConnection();
      connection.start();
      Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
      MessageProducer producer = session.createProducer(session.createQueue(queue));
      for (int at = 0; at < count; at++) {
        String text = queue + "-" + at;
        try {
          producer.send(session.createTextMessage(text));
          acknowledged.add(text);
        } catch (JMSException why) {
          failures.incrementAndGet();
          System.err.println("send: " + why);
        }
        Thread.sleep(pause);
      }
      connection.close();
    } catch (Exception why) {
      failures.incrementAndGet();
      System.err.println("producer: " + why);
    }
  }

  /** Until nothing has come for 10 s after the last was sent. */
  private static void consume(String url, String queue, boolean isTransacted) {
    try {
      Connection connection = new ActiveMQConnectionFactory(url).createConnection();
      connection.start();
      int mode = isTransacted ? Session.SESSION_TRANSACTED : Session.AUTO_ACKNOWLEDGE;
      Session session = connection.createSession(isTransacted, mode);
      Queue from = session.createQueue(queue + "?consumer.prefetchSize=20");
      MessageConsumer consumer = session.createConsumer(from);
      while (isSending || System.nanoTime() - lastReceived < 10_000_000_000L) {
        Message message = consumer.receive(500);
        if (message == null) {
          continue;
        }
        lastReceived = System.nanoTime();
        String text = ((TextMessage) message).getText();
        try {
          if (isTransacted) {
            session.commit();
          }
        } catch (JMSException why) {
          // The node died on the commit: it was carried out, or the message comes again.
          inDoubt.add(text);
          continue;
        }
        received.computeIfAbsent(text, any -> new AtomicInteger()).incrementAndGet();
      }
      connection.close();
    } catch (Exception why) {
      failures.incrementAndGet();
      System.err.println("consumer: " + why);
    }
  }
}
