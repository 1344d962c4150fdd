import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TextMessage;
import javax.jms.XAConnection;
import javax.jms.XASession;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQXAConnectionFactory;

/**
 * Distributed (XA) transactions, as a transaction manager drives them.
 *
 * <p>Usage: {@code java Distributed behaviours URL OTHER_URL QUEUE OTHER_QUEUE} tries what a transaction
 * manager relies on; {@code java Distributed prepare URL NAME} prepares a branch that receives a message
 * and sends one, says so, and dies; {@code java Distributed commit URL NAME} and {@code rollback} find that
 * branch, end it and look at what has become of its messages; {@code java Distributed heuristic URL NAME}
 * finds that an operator has rolled it back.
 */
public final class Distributed {
  private static final long SOON = 10_000;
  private static final long NEVER = 500;

  private final String url;
  private final String other;

  private Distributed(String url, String other) {
    this.url = url;
    this.other = other;
  }

  private interface Behaviour {
    void run() throws Exception;
  }

  private interface Step {
    void run() throws XAException;
  }

  public static void main(String[] args) throws Exception {
    Distributed all = new Distributed(args[1], args[args.length > 2 && args[2].contains("://") ? 2 : 1]);
    switch (args[0]) {
      case "behaviours" -> all.behaviours(args[3], args[4]);
      case "prepare" -> all.prepareAndDie(args[2]);
      case "commit" -> all.finish(args[2], true);
      case "rollback" -> all.finish(args[2], false);
      case "heuristic" -> all.heuristic(args[2]);
      default -> throw new IllegalArgumentException(args[0]);
    }
    System.exit(0);
  }

  private void behaviours(String one, String two) {
    Map<String, Behaviour> behaviours = new LinkedHashMap<>();
    behaviours.put("a_branch_is_seen_when_it_is_committed", this::committed);
    behaviours.put("a_branch_that_is_rolled_back_was_never_sent", this::rolledBack);
    behaviours.put("what_a_rolled_back_branch_received_comes_again", this::receivedAgain);
    behaviours.put("one_phase_does_for_a_single_branch", this::onePhase);
    behaviours.put("a_branch_that_did_nothing_is_read_only", this::readOnly);
    behaviours.put("a_branch_can_be_suspended_resumed_and_joined", this::suspended);
    behaviours.put("a_branch_that_is_not_there_is_named_so", this::unknown);
    behaviours.put("two_connections_are_two_resource_managers", this::notTheSame);
    behaviours.put("another_node_lists_and_ends_what_is_prepared", this::recovered);
    behaviours.put("two_resources_commit_together", () -> together(one, two));
    int failed = 0;
    for (Map.Entry<String, Behaviour> behaviour : behaviours.entrySet()) {
      try {
        behaviour.getValue().run();
        System.out.println("ok   " + behaviour.getKey());
      } catch (Throwable why) {
        failed++;
        System.out.println("FAIL " + behaviour.getKey() + ": " + why);
        why.printStackTrace(System.out);
      }
    }
    System.exit(failed == 0 ? 0 : 1);
  }

  // ---- behaviours ---------------------------------------------------------------------------------

  private void committed() throws Exception {
    String queue = fresh();
    try (Client client = new Client(url)) {
      Xid xid = client.begin("c");
      client.send(queue, "a", "b");
      client.resource.end(xid, XAResource.TMSUCCESS);
      same(XAResource.XA_OK, client.resource.prepare(xid));
      same(List.of(), all(other, queue, NEVER));
      client.resource.commit(xid, false);
    }
    same(List.of("a", "b"), all(other, queue, SOON));
  }

  private void rolledBack() throws Exception {
    String queue = fresh();
    try (Client client = new Client(url)) {
      for (boolean prepared : new boolean[] {false, true}) {
        Xid xid = client.begin("r");
        client.send(queue, "a");
        client.resource.end(xid, XAResource.TMSUCCESS);
        if (prepared) {
          client.resource.prepare(xid);
        }
        client.resource.rollback(xid);
      }
    }
    same(List.of(), all(other, queue, NEVER));
  }

  private void receivedAgain() throws Exception {
    String queue = fresh();
    send(other, queue, "a", "b");
    try (Client client = new Client(url)) {
      MessageConsumer consumer = client.consumer(queue);
      for (int count = 1; count <= 3; count++) {
        Xid xid = client.begin("a" + count);
        for (String text : new String[] {"a", "b"}) {
          TextMessage message = (TextMessage) consumer.receive(SOON);
          check(message != null, "no message came the " + count + ". time");
          same(text, message.getText());
          same(count > 1, message.getJMSRedelivered());
          same(count, message.getIntProperty("JMSXDeliveryCount"));
        }
        client.resource.end(xid, XAResource.TMSUCCESS);
        same(XAResource.XA_OK, client.resource.prepare(xid));
        same(List.of(), all(other, queue, NEVER));
        if (count < 3) {
          client.resource.rollback(xid);
        } else {
          client.resource.commit(xid, false);
        }
      }
      same(null, consumer.receive(NEVER));
    }
    same(List.of(), all(other, queue, NEVER));
  }

  private void onePhase() throws Exception {
    String queue = fresh();
    try (Client client = new Client(url)) {
      Xid xid = client.begin("o");
      client.send(queue, "a");
      client.resource.end(xid, XAResource.TMSUCCESS);
      client.resource.commit(xid, true);
      same(List.of("a"), all(other, queue, SOON));
      fails(XAException.XAER_NOTA, () -> client.resource.commit(xid, true));
    }
  }

  private void readOnly() throws Exception {
    try (Client client = new Client(url)) {
      Xid xid = client.begin("n");
      client.resource.end(xid, XAResource.TMSUCCESS);
      same(XAResource.XA_RDONLY, client.resource.prepare(xid));
      fails(XAException.XAER_NOTA, () -> client.resource.commit(xid, false));
    }
  }

  private void suspended() throws Exception {
    String queue = fresh();
    try (Client client = new Client(url)) {
      Xid xid = client.begin("s");
      client.send(queue, "a");
      client.resource.end(xid, XAResource.TMSUSPEND);
      Xid between = client.begin("t");
      client.send(queue, "x");
      client.resource.end(between, XAResource.TMFAIL);
      client.resource.rollback(between);
      client.resource.start(xid, XAResource.TMRESUME);
      client.send(queue, "b");
      client.resource.end(xid, XAResource.TMSUCCESS);
      XASession second = client.connection.createXASession();
      check(second.getXAResource().isSameRM(client.resource), "one connection, one resource manager");
      second.getXAResource().start(xid, XAResource.TMJOIN);
      MessageProducer producer = second.createProducer(second.createQueue(queue));
      producer.send(second.createTextMessage("c"));
      second.getXAResource().end(xid, XAResource.TMSUCCESS);
      same(XAResource.XA_OK, client.resource.prepare(xid));
      client.resource.commit(xid, false);
    }
    same(List.of("a", "b", "c"), all(other, queue, SOON));
  }

  private void unknown() throws Exception {
    try (Client client = new Client(url)) {
      Xid xid = new Name("u", 1);
      fails(XAException.XAER_NOTA, () -> client.resource.prepare(xid));
      fails(XAException.XAER_NOTA, () -> client.resource.commit(xid, false));
      fails(XAException.XAER_NOTA, () -> client.resource.rollback(xid));
      fails(XAException.XAER_NOTA, () -> client.resource.forget(xid));
      Xid again = client.begin("v");
      client.send(fresh(), "a");
      client.resource.end(again, XAResource.TMSUCCESS);
      fails(XAException.XAER_PROTO, () -> client.resource.commit(again, false));
      client.resource.prepare(again);
      client.resource.commit(again, false);
      fails(XAException.XAER_NOTA, () -> client.resource.commit(again, false));
    }
  }

  private void notTheSame() throws Exception {
    try (Client one = new Client(url);
        Client two = new Client(url)) {
      check(!one.resource.isSameRM(two.resource), "a branch is of one connection");
    }
  }

  private void recovered() throws Exception {
    String queue = fresh();
    send(url, queue + ".in", "a", "b");
    Xid[] xids = new Xid[2];
    try (Client client = new Client(url)) {
      MessageConsumer consumer = client.consumer(queue + ".in");
      for (int at = 0; at < 2; at++) {
        xids[at] = client.begin("w" + at);
        check(consumer.receive(SOON) != null, "no message came");
        client.send(queue, "from " + at);
        client.resource.end(xids[at], XAResource.TMSUCCESS);
        same(XAResource.XA_OK, client.resource.prepare(xids[at]));
      }
    }
    same(List.of(), all(other, queue + ".in", NEVER));
    try (Client manager = new Client(other)) {
      for (Xid xid : xids) {
        check(manager.lists(xid), "it is prepared and not listed");
      }
      manager.resource.commit(xids[0], false);
      manager.resource.rollback(xids[1]);
      for (Xid xid : xids) {
        check(!manager.lists(xid), "it has ended and is listed");
        fails(XAException.XAER_NOTA, () -> manager.resource.commit(xid, false));
      }
    }
    same(List.of("from 0"), all(url, queue, SOON));
    same(List.of("b"), all(url, queue + ".in", SOON));
  }

  private void together(String one, String two) throws Exception {
    send(url, one, "order");
    try (Client left = new Client(url);
        Client right = new Client(other)) {
      MessageConsumer consumer = left.consumer(one);
      for (boolean commit : new boolean[] {false, true}) {
        Xid first = left.begin("p", 1);
        Xid second = right.begin("p", 2, first);
        check(consumer.receive(SOON) != null, "no order came");
        right.send(two, "bill");
        left.resource.end(first, XAResource.TMSUCCESS);
        right.resource.end(second, XAResource.TMSUCCESS);
        same(XAResource.XA_OK, left.resource.prepare(first));
        same(XAResource.XA_OK, right.resource.prepare(second));
        for (Client client : List.of(left, right)) {
          Xid xid = client == left ? first : second;
          if (commit) {
            client.resource.commit(xid, false);
          } else {
            client.resource.rollback(xid);
          }
        }
      }
    }
    same(List.of(), all(other, one, NEVER));
    same(List.of("bill"), all(url, two, SOON));
  }

  // ---- deaths -------------------------------------------------------------------------------------

  private void prepareAndDie(String name) throws Exception {
    send(url, name + ".in", "order");
    Client client = new Client(url);
    MessageConsumer consumer = client.consumer(name + ".in");
    Xid xid = new Name(name, 1);
    client.resource.start(xid, XAResource.TMNOFLAGS);
    check(consumer.receive(SOON) != null, "no order came");
    client.send(name + ".out", "bill");
    client.resource.end(xid, XAResource.TMSUCCESS);
    same(XAResource.XA_OK, client.resource.prepare(xid));
    System.out.println("prepared");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private void finish(String name, boolean commit) throws Exception {
    Xid xid = new Name(name, 1);
    same(List.of(), all(url, name + ".in", NEVER));
    same(List.of(), all(url, name + ".out", NEVER));
    try (Client manager = new Client(url)) {
      check(manager.lists(xid), "it is prepared and not listed");
      if (commit) {
        manager.resource.commit(xid, false);
      } else {
        manager.resource.rollback(xid);
      }
      fails(XAException.XAER_NOTA, () -> manager.resource.commit(xid, false));
      check(!manager.lists(xid), "it has ended and is listed");
    }
    same(commit ? List.of() : List.of("order"), all(url, name + ".in", commit ? NEVER : SOON));
    same(commit ? List.of("bill") : List.of(), all(url, name + ".out", commit ? SOON : NEVER));
    System.out.println("done");
  }

  private void heuristic(String name) throws Exception {
    Xid xid = new Name(name, 1);
    try (Client manager = new Client(url)) {
      check(manager.lists(xid), "what an operator has ended is listed");
      fails(XAException.XA_HEURRB, () -> manager.resource.commit(xid, false));
      manager.resource.forget(xid);
      check(!manager.lists(xid), "it is forgotten and listed");
    }
    same(List.of("order"), all(url, name + ".in", SOON));
    System.out.println("done");
  }

  // ---- what all of them need ----------------------------------------------------------------------

  /** A branch of a transaction. */
  private record Name(String transaction, int number) implements Xid {
    @Override
    public int getFormatId() {
      return 4660;
    }

    @Override
    public byte[] getGlobalTransactionId() {
      return transaction.getBytes();
    }

    @Override
    public byte[] getBranchQualifier() {
      return new byte[] {(byte) number};
    }

    boolean is(Xid other) {
      return getFormatId() == other.getFormatId()
          && Arrays.equals(getGlobalTransactionId(), other.getGlobalTransactionId())
          && Arrays.equals(getBranchQualifier(), other.getBranchQualifier());
    }
  }

  /** A connection with one session, and its resource. */
  private static final class Client implements AutoCloseable {
    final XAConnection connection;
    final XASession session;
    final XAResource resource;

    Client(String url) throws JMSException {
      ActiveMQXAConnectionFactory factory = new ActiveMQXAConnectionFactory(url);
      factory.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
      factory.getRedeliveryPolicy().setRedeliveryDelay(0);
      connection = factory.createXAConnection();
      connection.start();
      session = connection.createXASession();
      resource = session.getXAResource();
    }

    Xid begin(String transaction) throws XAException {
      return begin(transaction, 1);
    }

    Xid begin(String transaction, int branch) throws XAException {
      return begin(transaction, branch, new Name(transaction + UUID.randomUUID(), branch));
    }

    /** Another branch of the same transaction. */
    Xid begin(String transaction, int branch, Xid of) throws XAException {
      Xid xid = new Name(new String(of.getGlobalTransactionId()), branch);
      resource.start(xid, XAResource.TMNOFLAGS);
      return xid;
    }

    MessageConsumer consumer(String queue) throws JMSException {
      return session.createConsumer(session.createQueue(queue));
    }

    void send(String queue, String... texts) throws JMSException {
      MessageProducer producer = session.createProducer(session.createQueue(queue));
      for (String text : texts) {
        producer.send(session.createTextMessage(text));
      }
      producer.close();
    }

    boolean lists(Xid xid) throws XAException {
      Xid[] found = resource.recover(XAResource.TMSTARTRSCAN | XAResource.TMENDRSCAN);
      return Arrays.stream(found).anyMatch(((Name) xid)::is);
    }

    @Override
    public void close() throws JMSException {
      connection.close();
    }
  }

  private static String fresh() {
    return "xa." + UUID.randomUUID();
  }

  private static void send(String url, String queue, String... texts) throws JMSException {
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = session.createProducer(session.createQueue(queue));
    for (String text : texts) {
      producer.send(session.createTextMessage(text));
    }
    connection.close();
  }

  /** What a queue holds for somebody who comes now. The first message may take so long. */
  private static List<String> all(String url, String queue, long first) throws JMSException {
    Connection connection = new ActiveMQConnectionFactory(url).createConnection();
    connection.start();
    Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
    List<String> texts = new ArrayList<>();
    Message message = consumer.receive(first);
    while (message != null) {
      texts.add(((TextMessage) message).getText());
      message = consumer.receive(NEVER);
    }
    connection.close();
    return texts;
  }

  private static void fails(int code, Step step) {
    try {
      step.run();
    } catch (XAException why) {
      check(why.errorCode == code, code + " is wanted, not " + why.errorCode + ": " + why);
      return;
    }
    check(false, "it went well, and " + code + " is wanted");
  }

  private static void check(boolean isSo, String otherwise) {
    if (!isSo) {
      throw new AssertionError(otherwise);
    }
  }

  private static void same(Object expected, Object found) {
    check(
        expected == null ? found == null : expected.equals(found),
        expected + " is wanted, not " + found);
  }
}
