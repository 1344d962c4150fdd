import java.io.InputStream;
import java.io.Serializable;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import javax.jms.BytesMessage;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.Destination;
import javax.jms.InvalidDestinationException;
import javax.jms.InvalidSelectorException;
import javax.jms.JMSException;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageFormatException;
import javax.jms.MessageProducer;
import javax.jms.ObjectMessage;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import javax.jms.StreamMessage;
import javax.jms.TextMessage;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQSession;
import org.apache.activemq.ScheduledMessage;
import org.apache.activemq.command.ActiveMQQueue;

/**
 * What users of ActiveMQ's Java client rely on, tried with that client, unchanged.
 *
 * <p>Usage: {@code java Behaviours OPENWIRE_URL STOMP_ADDRESS}. Prints a line for each behaviour and
 * exits with 1 if one is not as it should be.
 */
public final class Behaviours {
  private static final long SOON = 5_000;
  private static final long NEVER = 300;

  private final String url;
  private final String stomp;
  private Connection connection;

  private Behaviours(String url, String stomp) {
    this.url = url;
    this.stomp = stomp;
  }

  private interface Behaviour {
    void run() throws Exception;
  }

  public static void main(String[] args) throws Exception {
    Behaviours all = new Behaviours(args[0], args[1]);
    Map<String, Behaviour> behaviours = new LinkedHashMap<>();
    behaviours.put("texts_come_in_order_and_once", all::textsComeInOrderAndOnce);
    behaviours.put("every_kind_of_message_comes_as_it_was_sent", all::everyKindOfMessage);
    behaviours.put("headers_and_properties_keep_their_types", all::headersAndProperties);
    behaviours.put("a_commit_sends_and_a_rollback_does_not", all::commitAndRollbackOfSends);
    behaviours.put("a_rollback_delivers_again_with_a_count", all::rollbackOfReceives);
    behaviours.put("what_fails_too_often_is_a_dead_letter", all::deadLetters);
    behaviours.put("client_acknowledgement_covers_what_was_received", all::clientAcknowledgement);
    behaviours.put("individual_acknowledgement_covers_one", all::individualAcknowledgement);
    behaviours.put("what_a_closed_consumer_has_not_seen_is_no_redelivery", all::unseen);
    behaviours.put("without_prefetch_each_message_is_asked_for", all::withoutPrefetch);
    behaviours.put("more_than_the_prefetch_in_one_transaction", all::largeTransaction);
    behaviours.put("every_subscriber_of_a_topic_gets_every_message", all::topics);
    behaviours.put("a_subscriber_need_not_hear_itself", all::noLocal);
    behaviours.put("a_request_is_replied_to_on_a_temporary_queue", all::requestAndReply);
    behaviours.put("a_composite_destination_is_all_of_its_parts", all::compositeDestinations);
    behaviours.put("wildcards_consume_from_many_queues", all::wildcards);
    behaviours.put("a_selector_takes_what_it_selects_and_leaves_the_rest", all::selectors);
    behaviours.put("a_browser_sees_what_is_there_and_leaves_it", all::browser);
    behaviours.put("a_browser_of_more_than_its_prefetch_comes_to_the_end", all::longBrowser);
    behaviours.put("an_exclusive_consumer_has_a_queue_for_itself", all::exclusive);
    behaviours.put("the_consumer_of_the_highest_priority_comes_first", all::consumerPriority);
    behaviours.put("a_group_stays_with_one_consumer_until_it_goes", all::groups);
    behaviours.put("a_closed_group_is_open_to_others", all::closedGroup);
    behaviours.put("higher_priorities_come_first", all::priorities);
    behaviours.put("what_has_expired_does_not_come", all::expiry);
    behaviours.put("a_delayed_message_comes_when_it_is_due", all::delayed);
    behaviours.put("a_delay_in_a_transaction_counts_from_its_commit", all::delayedInTransaction);
    behaviours.put("a_repeated_message_comes_as_often_as_it_says", all::repeated);
    behaviours.put("a_compressed_message_comes_whole", all::compression);
    behaviours.put("asynchronous_sends_stay_within_their_window", all::producerWindow);
    behaviours.put("stomp_and_jms_read_each_other", all::stompAndJms);
    behaviours.put("stomp_reads_and_writes_maps_as_text", all::mapsAsText);
    behaviours.put("what_cannot_be_done_is_a_jms_exception", all::exceptions);
    behaviours.put("a_large_message_comes_whole", all::largeMessage);
    Subscriptions lasting = new Subscriptions(all.url);
    behaviours.put("a_durable_subscription_keeps_what_is_sent", lasting::waitForTheirSubscriber);
    behaviours.put("a_durable_subscription_has_one_consumer", lasting::haveOneConsumer);
    behaviours.put("a_virtual_topic_fills_a_queue_for_each_group", lasting::shareVirtualTopics);
    Composites composites = new Composites(all.url);
    behaviours.put("a_consumer_of_several_destinations_takes_from_all", composites::takeFromAll);
    behaviours.put("a_consumer_of_several_has_one_prefetch", composites::haveOnePrefetch);
    behaviours.put("a_rollback_of_several_queues_is_one", composites::rollBackTogether);
    behaviours.put("a_consumer_of_several_gives_back_all", composites::giveBackWhenTheyClose);
    Advisories advisories = new Advisories(all.url);
    behaviours.put("advisories_tell_of_consumers", advisories::tellOfConsumers);
    behaviours.put("advisories_are_events_of_the_library", advisories::areEventsOfTheLibrary);
    behaviours.put("advisories_tell_of_connections", advisories::tellOfConnectionsAndTemporaryQueues);
    int failed = 0;
    for (Map.Entry<String, Behaviour> behaviour : behaviours.entrySet()) {
      if (args.length > 2 && !behaviour.getKey().contains(args[2])) {
        continue;
      }
      try {
        all.connection = all.connect(all.url);
        behaviour.getValue().run();
        all.connection.close();
        System.out.println("ok   " + behaviour.getKey());
      } catch (Throwable why) {
        failed++;
        System.out.println("FAIL " + behaviour.getKey() + ": " + why);
        why.printStackTrace(System.out);
        try {
          all.connection.close();
        } catch (Exception | Error ignored) {
          // It is the first failure that counts.
        }
      }
    }
    System.exit(failed == 0 ? 0 : 1);
  }

  // ---- what all of them need --------------------------------------------------------------------

  private Connection connect(String to) throws JMSException {
    ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(to);
    factory.setTrustAllPackages(true);
    Connection made = factory.createConnection();
    made.start();
    return made;
  }

  private String with(String option) {
    return url + (url.contains("?") ? "&" : "?") + option;
  }

  private Session session() throws JMSException {
    return connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
  }

  private static String fresh() {
    return "jms." + UUID.randomUUID();
  }

  private static void send(Session session, Destination to, String... texts) throws JMSException {
    MessageProducer producer = session.createProducer(to);
    for (String text : texts) {
      producer.send(session.createTextMessage(text));
    }
    producer.close();
  }

  private static Message next(MessageConsumer consumer) throws JMSException {
    Message message = consumer.receive(SOON);
    check(message != null, "no message came");
    return message;
  }

  private static String text(MessageConsumer consumer) throws JMSException {
    return ((TextMessage) next(consumer)).getText();
  }

  private static void nothing(MessageConsumer consumer) throws JMSException {
    Message message = consumer.receive(NEVER);
    check(message == null, "there is one more message: " + message);
  }

  private static void check(boolean isSo, String otherwise) {
    if (!isSo) {
      throw new AssertionError(otherwise);
    }
  }

  private static void same(Object expected, Object found) {
    check(expected == null ? found == null : expected.equals(found), expected + " is wanted, not " + found);
  }

  // ---- the behaviours ---------------------------------------------------------------------------

  private void textsComeInOrderAndOnce() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageProducer producer = session.createProducer(queue);
    MessageConsumer consumer = session.createConsumer(queue);
    List<String> ids = new ArrayList<>();
    for (int at = 0; at < 100; at++) {
      TextMessage message = session.createTextMessage("Grüße, 世界 🚲 \0 " + at);
      producer.send(message);
      ids.add(message.getJMSMessageID());
    }
    for (int at = 0; at < 100; at++) {
      TextMessage message = (TextMessage) next(consumer);
      same("Grüße, 世界 🚲 \0 " + at, message.getText());
      same(ids.get(at), message.getJMSMessageID());
      same(queue, message.getJMSDestination());
      check(!message.getJMSRedelivered(), "it is delivered for the first time");
      same(1, message.getIntProperty("JMSXDeliveryCount"));
    }
    nothing(consumer);
  }

  private static final class Order implements Serializable {
    private static final long serialVersionUID = 1;
    final int number;

    Order(int number) {
      this.number = number;
    }
  }

  private void everyKindOfMessage() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageProducer producer = session.createProducer(queue);
    MessageConsumer consumer = session.createConsumer(queue);

    producer.send(session.createTextMessage(""));
    same("", text(consumer));

    BytesMessage bytes = session.createBytesMessage();
    bytes.writeInt(-7);
    bytes.writeUTF("ü");
    bytes.writeBytes(new byte[] {0, 1, (byte) 255});
    producer.send(bytes);
    BytesMessage gotBytes = (BytesMessage) next(consumer);
    same(-7, gotBytes.readInt());
    same("ü", gotBytes.readUTF());
    same(3L, gotBytes.getBodyLength() - 4 - 4);
    producer.send(session.createBytesMessage());
    same(0L, ((BytesMessage) next(consumer)).getBodyLength());

    MapMessage map = session.createMapMessage();
    map.setString("name", "Ada");
    map.setInt("age", 36);
    map.setBoolean("known", true);
    map.setChar("initial", 'A');
    map.setDouble("e", Math.E);
    map.setBytes("raw", new byte[] {1, 2});
    producer.send(map);
    MapMessage gotMap = (MapMessage) next(consumer);
    same("Ada", gotMap.getString("name"));
    same(36, gotMap.getInt("age"));
    same(true, gotMap.getBoolean("known"));
    same('A', gotMap.getChar("initial"));
    same(Math.E, gotMap.getDouble("e"));
    same(2, gotMap.getBytes("raw").length);
    producer.send(session.createMapMessage());
    check(!((MapMessage) next(consumer)).getMapNames().hasMoreElements(), "the map is empty");

    StreamMessage stream = session.createStreamMessage();
    stream.writeLong(5_000_000_000L);
    stream.writeString("then");
    stream.writeFloat(1.5f);
    producer.send(stream);
    StreamMessage gotStream = (StreamMessage) next(consumer);
    same(5_000_000_000L, gotStream.readLong());
    same("then", gotStream.readString());
    same(1.5f, gotStream.readFloat());

    producer.send(session.createObjectMessage(new Order(12)));
    same(12, ((Order) ((ObjectMessage) next(consumer)).getObject()).number);

    Message plain = session.createMessage();
    plain.setStringProperty("only", "this");
    producer.send(plain);
    Message gotPlain = next(consumer);
    check(!(gotPlain instanceof TextMessage), "it has no body");
    same("this", gotPlain.getStringProperty("only"));
  }

  private void headersAndProperties() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    Topic replies = session.createTopic("replies.here");
    MessageProducer producer = session.createProducer(queue);
    Message sent = session.createTextMessage("x");
    sent.setJMSCorrelationID("correlated");
    sent.setJMSType("kind");
    sent.setJMSReplyTo(replies);
    sent.setBooleanProperty("bool", true);
    sent.setByteProperty("byte", (byte) -8);
    sent.setShortProperty("short", (short) 300);
    sent.setIntProperty("int", 70_000);
    sent.setLongProperty("long", 5_000_000_000L);
    sent.setFloatProperty("float", 0.1f);
    sent.setDoubleProperty("double", 0.1);
    // Beyond the basic plane the client does not read what it has written itself.
    sent.setStringProperty("string", "ß 世界");
    producer.send(sent, DeliveryMode.NON_PERSISTENT, 7, 60_000);

    Message got = next(session.createConsumer(queue));
    same("correlated", got.getJMSCorrelationID());
    same("kind", got.getJMSType());
    same(replies, got.getJMSReplyTo());
    same(true, got.getObjectProperty("bool"));
    same((byte) -8, got.getObjectProperty("byte"));
    same((short) 300, got.getObjectProperty("short"));
    same(70_000, got.getObjectProperty("int"));
    same(5_000_000_000L, got.getObjectProperty("long"));
    same(0.1f, got.getObjectProperty("float"));
    same(0.1, got.getObjectProperty("double"));
    same("ß 世界", got.getObjectProperty("string"));
    same(DeliveryMode.NON_PERSISTENT, got.getJMSDeliveryMode());
    same(7, got.getJMSPriority());
    same(sent.getJMSTimestamp(), got.getJMSTimestamp());
    same(sent.getJMSExpiration(), got.getJMSExpiration());
    int names = 0;
    for (Enumeration<?> all = got.getPropertyNames(); all.hasMoreElements(); all.nextElement()) {
      names++;
    }
    check(names >= 8, "eight properties were set, and " + names + " came");
  }

  private void commitAndRollbackOfSends() throws Exception {
    Session transacted = connection.createSession(true, Session.SESSION_TRANSACTED);
    Session session = session();
    Queue one = session.createQueue(fresh());
    Queue other = session.createQueue(fresh());
    MessageConsumer fromOne = session.createConsumer(one);
    MessageConsumer fromOther = session.createConsumer(other);
    send(transacted, one, "never");
    transacted.rollback();
    send(transacted, one, "a");
    send(transacted, other, "b");
    nothing(fromOne);
    transacted.commit();
    same("a", text(fromOne));
    same("b", text(fromOther));
    nothing(fromOne);
  }

  private void rollbackOfReceives() throws Exception {
    Session transacted = connection.createSession(true, Session.SESSION_TRANSACTED);
    Queue queue = transacted.createQueue(fresh());
    send(session(), queue, "a", "b");
    MessageConsumer consumer = transacted.createConsumer(queue);
    same("a", text(consumer));
    same("b", text(consumer));
    transacted.rollback();
    Message again = next(consumer);
    same("a", ((TextMessage) again).getText());
    check(again.getJMSRedelivered(), "it was delivered before");
    same(2, again.getIntProperty("JMSXDeliveryCount"));
    same("b", text(consumer));
    transacted.commit();
    consumer.close();
    nothing(session().createConsumer(queue));
  }

  private void deadLetters() throws Exception {
    Connection impatient =
        connect(with("jms.redeliveryPolicy.maximumRedeliveries=2&jms.redeliveryPolicy.initialRedeliveryDelay=10"));
    try {
      Session transacted = impatient.createSession(true, Session.SESSION_TRANSACTED);
      Queue queue = transacted.createQueue(fresh());
      send(session(), queue, "poison", "good");
      MessageConsumer consumer = transacted.createConsumer(queue);
      for (int at = 0; at < 3; at++) {
        same("poison", text(consumer));
        transacted.rollback();
      }
      same("good", text(consumer));
      transacted.commit();
      Session session = session();
      MessageConsumer dead = session.createConsumer(session.createQueue("DLQ." + queue.getQueueName()));
      same("poison", text(dead));
      nothing(dead);
    } finally {
      impatient.close();
    }
  }

  private void clientAcknowledgement() throws Exception {
    Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    Queue queue = session.createQueue(fresh());
    send(session, queue, "a", "b", "c");
    MessageConsumer consumer = session.createConsumer(queue);
    same("a", text(consumer));
    next(consumer).acknowledge();
    same("c", text(consumer));
    session.recover();
    Message again = next(consumer);
    same("c", ((TextMessage) again).getText());
    check(again.getJMSRedelivered(), "it was delivered before");
    session.close();
    MessageConsumer other = session().createConsumer(queue);
    Message left = next(other);
    same("c", ((TextMessage) left).getText());
    check(left.getJMSRedelivered(), "it was delivered before");
    nothing(other);
  }

  private void individualAcknowledgement() throws Exception {
    Session session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
    Queue queue = session.createQueue(fresh());
    send(session, queue, "a", "b", "c");
    MessageConsumer consumer = session.createConsumer(queue);
    same("a", text(consumer));
    next(consumer).acknowledge();
    same("c", text(consumer));
    session.close();
    MessageConsumer other = session().createConsumer(queue);
    same("a", text(other));
    same("c", text(other));
    nothing(other);
  }

  private void unseen() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    send(session, queue, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
    for (String wanted : "abcdefghij".split("")) {
      MessageConsumer consumer = session.createConsumer(queue);
      Message message = next(consumer);
      same(wanted, ((TextMessage) message).getText());
      check(!message.getJMSRedelivered(), wanted + " was prefetched by others, who never saw it");
      consumer.close();
    }
  }

  private void withoutPrefetch() throws Exception {
    Session session = session();
    String name = fresh();
    Queue queue = session.createQueue(name);
    MessageConsumer one = session.createConsumer(session.createQueue(name + "?consumer.prefetchSize=0"));
    MessageConsumer other = session.createConsumer(session.createQueue(name + "?consumer.prefetchSize=0"));
    same(null, one.receive(NEVER));
    same(null, one.receiveNoWait());
    send(session, queue, "a", "b", "c");
    same("a", text(one));
    same("b", text(other));
    Message third = one.receiveNoWait();
    for (int at = 0; at < 20 && third == null; at++) {
      // It need not be there at once, on a busy machine.
      third = one.receiveNoWait();
    }
    same("c", ((TextMessage) third).getText());
    same(null, other.receiveNoWait());
    Thread sender = new Thread(() -> {
      try {
        Thread.sleep(300);
        send(session(), queue, "late");
      } catch (Exception ignored) {
        // Then nothing comes, which is seen.
      }
    });
    sender.start();
    same("late", text(one));
    sender.join();
  }

  private void largeTransaction() throws Exception {
    Connection narrow = connect(with("jms.prefetchPolicy.queuePrefetch=5"));
    try {
      Session transacted = narrow.createSession(true, Session.SESSION_TRANSACTED);
      Queue queue = transacted.createQueue(fresh());
      Session session = session();
      MessageProducer producer = session.createProducer(queue);
      for (int at = 0; at < 60; at++) {
        producer.send(session.createTextMessage("" + at));
      }
      MessageConsumer consumer = transacted.createConsumer(queue);
      for (int at = 0; at < 60; at++) {
        same("" + at, text(consumer));
      }
      transacted.commit();
      nothing(consumer);
      Session slow = narrow.createSession(false, Session.CLIENT_ACKNOWLEDGE);
      for (int at = 0; at < 60; at++) {
        producer.send(session.createTextMessage("" + at));
      }
      consumer.close();
      MessageConsumer late = slow.createConsumer(queue);
      Message last = null;
      for (int at = 0; at < 60; at++) {
        last = next(late);
      }
      last.acknowledge();
      nothing(late);
    } finally {
      narrow.close();
    }
  }

  private void topics() throws Exception {
    Session session = session();
    Topic topic = session.createTopic(fresh());
    MessageConsumer one = session.createConsumer(topic);
    MessageConsumer other = session().createConsumer(topic);
    MessageConsumer pattern = session.createConsumer(session.createTopic("jms.>"));
    for (int at = 0; at < 50; at++) {
      send(session, topic, "" + at);
    }
    for (MessageConsumer consumer : new MessageConsumer[] {one, other, pattern}) {
      for (int at = 0; at < 50; at++) {
        same("" + at, text(consumer));
      }
      nothing(consumer);
    }
  }

  private void noLocal() throws Exception {
    Session session = session();
    Topic topic = session.createTopic(fresh());
    MessageConsumer deaf = session.createConsumer(topic, null, true);
    Connection elsewhere = connect(url);
    try {
      send(session, topic, "own");
      Session there = elsewhere.createSession(false, Session.AUTO_ACKNOWLEDGE);
      send(there, topic, "other");
      same("other", text(deaf));
      nothing(deaf);
    } finally {
      elsewhere.close();
    }
  }

  private void requestAndReply() throws Exception {
    Connection serverConnection = connect(url);
    try {
      Session server = serverConnection.createSession(false, Session.AUTO_ACKNOWLEDGE);
      Session client = session();
      Queue service = client.createQueue(fresh());
      MessageConsumer requests = server.createConsumer(service);
      requests.setMessageListener(request -> {
        try {
          TextMessage reply = server.createTextMessage("re: " + ((TextMessage) request).getText());
          reply.setJMSCorrelationID(request.getJMSMessageID());
          server.createProducer(null).send(request.getJMSReplyTo(), reply);
        } catch (JMSException why) {
          why.printStackTrace(System.out);
        }
      });
      Destination replies = client.createTemporaryQueue();
      MessageConsumer consumer = client.createConsumer(replies);
      for (int at = 0; at < 10; at++) {
        Message request = client.createTextMessage("" + at);
        request.setJMSReplyTo(replies);
        client.createProducer(service).send(request);
        TextMessage reply = (TextMessage) next(consumer);
        same("re: " + at, reply.getText());
        same(request.getJMSMessageID(), reply.getJMSCorrelationID());
      }
    } finally {
      serverConnection.close();
    }
  }

  private void compositeDestinations() throws Exception {
    Session session = session();
    String one = fresh();
    String other = fresh();
    MessageConsumer topic = session.createConsumer(session.createTopic(other));
    send(session, new ActiveMQQueue(one + ",topic://" + other), "both");
    same("both", text(session.createConsumer(session.createQueue(one))));
    same("both", text(topic));
  }

  private void wildcards() throws Exception {
    Session session = session();
    String family = fresh();
    send(session, session.createQueue(family + ".a"), "a");
    send(session, session.createQueue(family + ".b.c"), "c");
    MessageConsumer one = session.createConsumer(session.createQueue(family + ".*"));
    same("a", text(one));
    nothing(one);
    one.close();
    same("c", text(session.createConsumer(session.createQueue(family + ".>"))));
    try {
      send(session, session.createQueue(family + ".*"), "nowhere");
      check(false, "a message goes to one destination");
    } catch (InvalidDestinationException expected) {
      check(expected.getMessage().contains("wildcard"), expected.getMessage());
    }
  }

  private void selectors() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageConsumer red =
        session.createConsumer(queue, "color = 'red' AND n BETWEEN 2 AND 7 AND JMSType LIKE 'o%r'");
    MessageProducer producer = session.createProducer(queue);
    for (int at = 0; at < 10; at++) {
      TextMessage message = session.createTextMessage("" + at);
      message.setStringProperty("color", at % 2 == 0 ? "red" : "blue");
      message.setIntProperty("n", at);
      message.setJMSType("order");
      producer.send(message);
    }
    for (String wanted : new String[] {"2", "4", "6"}) {
      same(wanted, text(red));
    }
    nothing(red);
    MessageConsumer rest = session.createConsumer(queue);
    for (String wanted : new String[] {"0", "1", "3", "5", "7", "8", "9"}) {
      same(wanted, text(rest));
    }
    try {
      session.createConsumer(queue, "color = ");
      check(false, "it is no selector");
    } catch (InvalidSelectorException expected) {
      // The client looks at it first.
    }
    Topic topic = session.createTopic(fresh());
    MessageConsumer some = session.createConsumer(topic, "n > 1");
    for (int at = 0; at < 3; at++) {
      TextMessage message = session.createTextMessage("" + at);
      message.setIntProperty("n", at);
      session.createProducer(topic).send(message);
    }
    same("2", text(some));
    nothing(some);
  }

  private void priorities() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageProducer producer = session.createProducer(queue);
    for (int priority : new int[] {1, 9, 4, 9, 0}) {
      producer.send(session.createTextMessage("" + priority), DeliveryMode.PERSISTENT, priority, 0);
    }
    MessageConsumer consumer = session.createConsumer(queue);
    for (String wanted : new String[] {"9", "9", "4", "1", "0"}) {
      same(wanted, text(consumer));
    }
  }

  private void expiry() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageProducer producer = session.createProducer(queue);
    producer.send(session.createTextMessage("short"), DeliveryMode.PERSISTENT, 4, 50);
    producer.send(session.createTextMessage("long"), DeliveryMode.PERSISTENT, 4, 60_000);
    Thread.sleep(150);
    MessageConsumer consumer = session.createConsumer(queue);
    same("long", text(consumer));
    nothing(consumer);
  }

  private void compression() throws Exception {
    Connection compressing = connect(with("jms.useCompression=true"));
    try {
      Session session = compressing.createSession(false, Session.AUTO_ACKNOWLEDGE);
      Queue queue = session.createQueue(fresh());
      String long_ = "na ".repeat(10_000);
      send(session, queue, long_);
      BytesMessage bytes = session.createBytesMessage();
      bytes.writeUTF("some");
      session.createProducer(queue).send(bytes);
      MapMessage map = session.createMapMessage();
      map.setString("key", long_);
      session.createProducer(queue).send(map);
      MessageConsumer consumer = session().createConsumer(queue);
      same(long_, text(consumer));
      same("some", ((BytesMessage) next(consumer)).readUTF());
      same(long_, ((MapMessage) next(consumer)).getString("key"));
    } finally {
      compressing.close();
    }
  }

  private void producerWindow() throws Exception {
    Connection windowed = connect(with("jms.useAsyncSend=true&jms.producerWindowSize=20000"));
    try {
      Session session = windowed.createSession(false, Session.AUTO_ACKNOWLEDGE);
      Queue queue = session.createQueue(fresh());
      MessageProducer producer = session.createProducer(queue);
      for (int at = 0; at < 500; at++) {
        producer.send(session.createTextMessage("x".repeat(1000) + at));
      }
      MessageConsumer consumer = session.createConsumer(queue);
      for (int at = 0; at < 500; at++) {
        check(text(consumer).endsWith("x" + at), "they come in order");
      }
    } finally {
      windowed.close();
    }
  }

  private static List<String> browsed(Session session, Queue queue, String selector)
      throws JMSException {
    List<String> texts = new ArrayList<>();
    QueueBrowser browser = session.createBrowser(queue, selector);
    Enumeration<?> messages = browser.getEnumeration();
    while (messages.hasMoreElements()) {
      texts.add(((TextMessage) messages.nextElement()).getText());
    }
    browser.close();
    return texts;
  }

  private void browser() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    same(List.of(), browsed(session, queue, null));
    MessageProducer producer = session.createProducer(queue);
    for (int at = 0; at < 6; at++) {
      TextMessage message = session.createTextMessage("m" + at);
      message.setIntProperty("n", at % 2);
      producer.setDeliveryMode(at < 3 ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT);
      producer.send(message);
    }
    List<String> all = List.of("m0", "m1", "m2", "m3", "m4", "m5");
    same(all, browsed(session, queue, null));
    same(List.of("m1", "m3", "m5"), browsed(session, queue, "n = 1"));
    Session transacted = connection.createSession(true, Session.SESSION_TRANSACTED);
    same(all, browsed(transacted, queue, null));
    Session client = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    same(all, browsed(client, queue, null));
    MessageConsumer consumer = session.createConsumer(queue);
    for (String text : all) {
      Message message = next(consumer);
      same(text, ((TextMessage) message).getText());
      check(!message.getJMSRedelivered(), "looking at it is no delivery");
    }
    same(List.of(), browsed(session, queue, null));
  }

  private void longBrowser() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageProducer producer = session.createProducer(queue);
    producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
    for (int at = 0; at < 700; at++) {
      producer.send(session.createTextMessage("m" + at));
    }
    same(700, browsed(session, queue, null).size());
    Connection few = connect(with("jms.prefetchPolicy.queueBrowserPrefetch=0"));
    try {
      Session one = few.createSession(false, Session.AUTO_ACKNOWLEDGE);
      same(700, browsed(one, queue, null).size());
    } finally {
      few.close();
    }
  }

  private void exclusive() throws Exception {
    Session session = session();
    String name = fresh();
    Queue queue = session.createQueue(name);
    Queue wanted = session.createQueue(name + "?consumer.exclusive=true");
    MessageConsumer plain = session.createConsumer(queue);
    MessageConsumer first = session.createConsumer(wanted);
    MessageConsumer second = session.createConsumer(wanted);
    send(session, queue, "m0", "m1", "m2");
    for (int at = 0; at < 3; at++) {
      same("m" + at, text(first));
    }
    nothing(plain);
    nothing(second);
    first.close();
    send(session, queue, "m3");
    same("m3", text(second));
    second.close();
    send(session, queue, "m4");
    same("m4", text(plain));
  }

  private void consumerPriority() throws Exception {
    Session session = session();
    String name = fresh();
    Queue queue = session.createQueue(name);
    MessageConsumer low = session.createConsumer(queue);
    Queue wanted = session.createQueue(name + "?consumer.priority=5&consumer.prefetchSize=2");
    Session other = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    MessageConsumer high = other.createConsumer(wanted);
    send(session, queue, "m0", "m1", "m2");
    same("m0", text(high));
    same("m1", text(high));
    same("m2", text(low));
  }

  private void groups() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer other = session.createConsumer(queue);
    sendGrouped(session, queue, "a", 0, "a0", "a1", "a2");
    sendGrouped(session, queue, "b", 0, "b0", "b1");
    Message first = next(one);
    same("a", first.getStringProperty("JMSXGroupID"));
    check(first.getBooleanProperty("JMSXGroupFirstForConsumer"), "it is the first");
    same("a1", text(one));
    same("a2", text(one));
    nothing(one);
    same("b0", text(other));
    Message second = next(other);
    check(!second.getBooleanProperty("JMSXGroupFirstForConsumer"), "it is not the first");
    one.close();
    sendGrouped(session, queue, "a", 0, "a3");
    same("a3", text(other));
  }

  private void closedGroup() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageConsumer one = session.createConsumer(queue);
    sendGrouped(session, queue, "a", 1, "a0");
    sendGrouped(session, queue, "a", -1, "a1");
    same("a0", text(one));
    Message last = next(one);
    same(-1, last.getIntProperty("JMSXGroupSeq"));
    MessageConsumer other = session.createConsumer(queue);
    sendGrouped(session, queue, "b", 0, "b0");
    sendGrouped(session, queue, "a", 0, "a2");
    // Each has one of the two, whosever turn it was.
    check(next(one) != null && next(other) != null, "the groups are spread");
  }

  private static void sendGrouped(
      Session session, Queue queue, String group, int sequence, String... texts)
      throws JMSException {
    MessageProducer producer = session.createProducer(queue);
    for (String text : texts) {
      TextMessage message = session.createTextMessage(text);
      message.setStringProperty("JMSXGroupID", group);
      if (sequence != 0) {
        message.setIntProperty("JMSXGroupSeq", sequence);
      }
      producer.send(message);
    }
    producer.close();
  }

  private void exceptions() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    try {
      session.createBrowser(session.createQueue("all.>")).getEnumeration().hasMoreElements();
      check(false, "many queues cannot be browsed");
    } catch (InvalidDestinationException expected) {
      check(expected.getMessage().contains("cannot be browsed"), expected.getMessage());
    }
    Message scheduled = session.createTextMessage("later");
    scheduled.setStringProperty(ScheduledMessage.AMQ_SCHEDULED_CRON, "* * 30 2 *");
    try {
      session.createProducer(queue).send(scheduled);
      check(false, "there is no 30th of February");
    } catch (MessageFormatException expected) {
      check(expected.getMessage().contains("never comes"), expected.getMessage());
    }
    // The connection goes on.
    send(session, queue, "still");
    same("still", text(session.createConsumer(queue)));
  }

  private void delayed() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    MessageConsumer consumer = session.createConsumer(queue);
    TextMessage later = session.createTextMessage("later");
    later.setLongProperty(ScheduledMessage.AMQ_SCHEDULED_DELAY, 700);
    later.setIntProperty("number", 7);
    MessageProducer producer = session.createProducer(queue);
    long sent = System.currentTimeMillis();
    producer.send(later);
    send(session, queue, "at once");
    same("at once", text(consumer));
    TextMessage got = (TextMessage) next(consumer);
    long after = System.currentTimeMillis() - sent;
    same("later", got.getText());
    check(after >= 690, "it came after " + after + " ms");
    same(7, got.getIntProperty("number"));
    check(got.getStringProperty("scheduledJobId") != null, "it names its job");
    check(!got.propertyExists(ScheduledMessage.AMQ_SCHEDULED_DELAY), "it is not put off again");
    same(later.getJMSMessageID(), got.getJMSMessageID());
  }

  private void delayedInTransaction() throws Exception {
    Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
    Queue queue = session.createQueue(fresh());
    MessageProducer producer = session.createProducer(queue);
    producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
    Message later = session.createTextMessage("later");
    later.setStringProperty(ScheduledMessage.AMQ_SCHEDULED_DELAY, "600");
    producer.send(later);
    session.rollback();
    producer.send(later);
    Thread.sleep(400);
    long committed = System.currentTimeMillis();
    session.commit();
    MessageConsumer consumer = session.createConsumer(queue);
    same("later", text(consumer));
    long after = System.currentTimeMillis() - committed;
    check(after >= 590, "it came " + after + " ms after the commit");
    session.commit();
    check(consumer.receive(NEVER) == null, "what was rolled back does not come");
  }

  private void repeated() throws Exception {
    Session session = session();
    for (Destination to : List.of(session.createQueue(fresh()), session.createTopic(fresh()))) {
      MessageConsumer consumer = session.createConsumer(to);
      TextMessage often = session.createTextMessage("often");
      often.setLongProperty(ScheduledMessage.AMQ_SCHEDULED_DELAY, 100);
      often.setLongProperty(ScheduledMessage.AMQ_SCHEDULED_PERIOD, 150);
      often.setIntProperty(ScheduledMessage.AMQ_SCHEDULED_REPEAT, 3);
      long sent = System.currentTimeMillis();
      session.createProducer(to).send(often);
      java.util.Set<String> ids = new java.util.HashSet<>();
      for (int at = 0; at < 4; at++) {
        TextMessage got = (TextMessage) next(consumer);
        same("often", got.getText());
        ids.add(got.getJMSMessageID());
      }
      long after = System.currentTimeMillis() - sent;
      check(after >= 540, "all came within " + after + " ms");
      same(4, ids.size());
      check(consumer.receive(NEVER) == null, "it comes four times");
      consumer.close();
    }
  }

  private void largeMessage() throws Exception {
    Session session = session();
    Queue queue = session.createQueue(fresh());
    byte[] body = new byte[8 << 20];
    for (int at = 0; at < body.length; at++) {
      body[at] = (byte) (at * 31);
    }
    BytesMessage message = session.createBytesMessage();
    message.writeBytes(body);
    session.createProducer(queue).send(message);
    BytesMessage got = (BytesMessage) next(session.createConsumer(queue));
    byte[] back = new byte[body.length];
    got.readBytes(back);
    check(java.util.Arrays.equals(body, back), "the body is another one");
  }

  // ---- beside STOMP -----------------------------------------------------------------------------

  private void stompAndJms() throws Exception {
    Session session = session();
    String name = fresh();
    Queue queue = session.createQueue(name);
    try (Stomp client = new Stomp(stomp)) {
      TextMessage text = session.createTextMessage("von JMS 🚲");
      text.setIntProperty("number", 7);
      text.setBooleanProperty("flag", true);
      text.setJMSType("kind");
      text.setJMSCorrelationID("c1");
      text.setJMSReplyTo(session.createQueue("replies"));
      session.createProducer(queue).send(text);
      client.send("SUBSCRIBE\nid:1\ndestination:/queue/" + name + "\n\n\0");
      String frame = client.read();
      for (String wanted : new String[] {
          "MESSAGE\n", "\nnumber:7\n", "\nflag:true\n", "\ncorrelation-id:c1\n", "\nreply-to:/queue/replies\n",
          "\nmessage-id:" + text.getJMSMessageID().replace(":", "\\c") + "\n", "\n\nvon JMS 🚲"}) {
        check(frame.contains(wanted), "no `" + wanted + "` in `" + frame + "`");
      }
      check(!frame.contains("content-length"), "it is text");
      client.send("UNSUBSCRIBE\nid:1\n\n\0");
      client.send("SEND\ndestination:/queue/" + name + "\ntype:other\nreply-to:/topic/there\n"
          + "persistent:true\nown:value\n\nvon STOMP ü\0");
      client.send("SEND\ndestination:/queue/" + name + "\npersistent:true\n"
          + "content-length:3\n\na\0b\0");
      MessageConsumer consumer = session.createConsumer(queue);
      TextMessage got = (TextMessage) next(consumer);
      same("von STOMP ü", got.getText());
      same("other", got.getJMSType());
      same("value", got.getStringProperty("own"));
      same(session.createTopic("there"), got.getJMSReplyTo());
      same(DeliveryMode.PERSISTENT, got.getJMSDeliveryMode());
      BytesMessage bytes = (BytesMessage) next(consumer);
      same(3L, bytes.getBodyLength());

      // A service that speaks STOMP replies to a request by JMS.
      Destination replies = session.createTemporaryQueue();
      MessageConsumer fromService = session.createConsumer(replies);
      TextMessage request = session.createTextMessage("request");
      request.setJMSReplyTo(replies);
      String service = fresh();
      session.createProducer(session.createQueue(service)).send(request);
      client.send("SUBSCRIBE\nid:2\ndestination:/queue/" + service + "\n\n\0");
      String asked = client.read();
      String replyTo = asked.split("reply-to:")[1].split("\n")[0];
      client.send("SEND\ndestination:" + replyTo + "\n\nreply\0");
      same("reply", text(fromService));
    }
  }

  private void mapsAsText() throws Exception {
    Session session = session();
    String name = fresh();
    Queue queue = session.createQueue(name);
    String xml = "<map>\n  <entry>\n    <string>city</string>\n    <string>Nový &amp; Starý</string>\n"
        + "  </entry>\n</map>";
    String json = "{\"map\":{\"entry\":{\"string\":[\"city\",\"Nový & Starý\"]}}}";
    try (Stomp client = new Stomp(stomp)) {
      String[][] wanted = {{"jms-map-xml", xml}, {"jms-map-json", json}};
      for (String[] how : wanted) {
        MapMessage map = session.createMapMessage();
        map.setString("city", "Nový & Starý");
        session.createProducer(queue).send(map);
        client.send("SUBSCRIBE\nid:1\ndestination:/queue/" + name + "\ntransformation:" + how[0] + "\n\n\0");
        String frame = client.read();
        check(frame.contains("\ntransformation:" + how[0] + "\n"), frame);
        check(frame.endsWith("\n\n" + how[1]), frame);
        client.send("UNSUBSCRIBE\nid:1\nreceipt:gone\n\n\0");
        check(client.read().startsWith("RECEIPT"), "it is answered");
      }
      session.createProducer(queue).send(session.createMapMessage());
      client.send("SUBSCRIBE\nid:1\ndestination:/queue/" + name + "\n\n\0");
      check(client.read().endsWith("\n\n{\"map\":\"\"}"), "it holds nothing");
      client.send("UNSUBSCRIBE\nid:1\nreceipt:gone\n\n\0");
      check(client.read().startsWith("RECEIPT"), "it is answered");
      client.send("SEND\ndestination:/queue/" + name + "\ntransformation:jms-map-json\n\n"
          + "{\"map\":{\"entry\":[{\"string\":\"n\",\"long\":7},{\"string\":\"b\",\"boolean\":true},"
          + "{\"string\":[\"s\",\"ü\"]},{\"string\":\"d\",\"double\":2.5}]}}\0");
      client.send("SEND\ndestination:/queue/" + name + "\ntransformation:jms-map-xml\n\nno map\0");
      MessageConsumer consumer = session.createConsumer(queue);
      MapMessage got = (MapMessage) next(consumer);
      same(7L, got.getLong("n"));
      same(true, got.getBoolean("b"));
      same("ü", got.getString("s"));
      same(2.5, got.getDouble("d"));
      TextMessage text = (TextMessage) next(consumer);
      same("no map", text.getText());
      check(text.getStringProperty("transformation-error") != null, "it says why");
    }
  }

  /** As much of STOMP as it takes. */
  private static final class Stomp implements AutoCloseable {
    private final Socket socket;
    private final InputStream input;

    Stomp(String address) throws Exception {
      URI at = new URI("stomp://" + address);
      socket = new Socket(at.getHost(), at.getPort());
      socket.setSoTimeout((int) SOON);
      input = socket.getInputStream();
      send("CONNECT\naccept-version:1.2\nhost:any\n\n\0");
      check(read().startsWith("CONNECTED"), "STOMP is refused");
    }

    void send(String frame) throws Exception {
      socket.getOutputStream().write(frame.getBytes(StandardCharsets.UTF_8));
    }

    String read() throws Exception {
      java.io.ByteArrayOutputStream frame = new java.io.ByteArrayOutputStream();
      for (int next = input.read(); next > 0 || frame.size() == 0; next = input.read()) {
        if (next > 0 && (next != '\n' || frame.size() > 0)) {
          frame.write(next);
        }
        check(next >= 0, "the connection has ended");
      }
      return frame.toString("UTF-8");
    }

    @Override
    public void close() throws Exception {
      socket.close();
    }
  }
}
