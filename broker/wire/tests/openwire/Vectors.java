import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.jms.JMSException;
import org.apache.activemq.command.*;
import org.apache.activemq.openwire.OpenWireFormat;
import org.apache.activemq.util.ByteSequence;
import org.apache.activemq.util.MarshallingSupport;

/**
 * Prints what ActiveMQ's client makes of every command, in the loose encoding without cache and
 * stack traces: `NAME FIRST-VERSION LAST-VERSION HEX`. `vectors.txt` holds what it printed with
 * Debian's libactivemq-java 5.17.2 (Apache License 2.0). To regenerate, in this directory:
 *
 *   CP=$(echo /usr/share/java/{activemq-client,geronimo-jms_1.1_spec,slf4j-api,slf4j-nop,hawtbuf,geronimo-j2ee-management-1.1-spec}.jar | tr ' ' :)
 *   java -cp $CP Vectors.java > vectors.txt
 */
public class Vectors {
    static final int FIRST = 9, LAST = 12;

    static String hex(byte[] data, int offset, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = offset; i < offset + length; i++) {
            text.append(String.format("%02x", data[i]));
        }
        return text.toString();
    }

    static String marshalled(int version, DataStructure command) throws Exception {
        OpenWireFormat format = new OpenWireFormat(version);
        format.setCacheEnabled(false);
        format.setTightEncodingEnabled(false);
        format.setStackTraceEnabled(false);
        format.setSizePrefixDisabled(false);
        ByteSequence bytes = format.marshal(command);
        return hex(bytes.getData(), bytes.getOffset(), bytes.getLength());
    }

    /** Versions that give the same bytes share a line. */
    static void print(String name, int first, DataStructure command) throws Exception {
        String last = null;
        int since = first;
        for (int version = first; version <= LAST; version++) {
            String now = marshalled(version, command);
            if (last != null && !last.equals(now)) {
                System.out.println(name + " " + since + " " + (version - 1) + " " + last);
                since = version;
            }
            last = now;
        }
        System.out.println(name + " " + since + " " + LAST + " " + last);
    }

    static int commandId = 0x01020300;

    static void print(String name, BaseCommand command) throws Exception {
        command.setCommandId(commandId++);
        command.setResponseRequired(commandId % 2 == 0);
        print(name, command instanceof BrokerSubscriptionInfo ? 12 : FIRST, (DataStructure) command);
    }

    interface Writer {
        void write(DataOutputStream out) throws Exception;
    }

    static void content(String name, Writer writer) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        writer.write(new DataOutputStream(bytes));
        System.out.println(name + " 0 0 " + hex(bytes.toByteArray(), 0, bytes.size()));
    }

    static void content(String name, ByteSequence bytes) {
        System.out.println(name + " 0 0 " + hex(bytes.getData(), bytes.getOffset(), bytes.getLength()));
    }

    // A character of each length, NUL, and one beyond the basic plane.
    static final String TEXT = "a\0\u00e9\u20ac\ud83d\udeb4";

    static final ConnectionId CONNECTION = new ConnectionId("ID:host-1-2-3:1");
    static final SessionId SESSION = new SessionId(CONNECTION, 4);
    static final ConsumerId CONSUMER = new ConsumerId(SESSION, 5);
    static final ProducerId PRODUCER = new ProducerId(SESSION, 6);
    static final BrokerId BROKER = new BrokerId("ID:broker");
    static final ActiveMQDestination QUEUE = new ActiveMQQueue("q." + TEXT);
    static final ActiveMQDestination TOPIC = new ActiveMQTopic("t");
    static final ActiveMQDestination TEMP_QUEUE = new ActiveMQTempQueue("ID:tq");
    static final ActiveMQDestination TEMP_TOPIC = new ActiveMQTempTopic("ID:tt");
    static final LocalTransactionId LOCAL = new LocalTransactionId(CONNECTION, 7);

    static XATransactionId xa() {
        XATransactionId xa = new XATransactionId();
        xa.setFormatId(8);
        xa.setGlobalTransactionId(new byte[] {1, 2, 3});
        xa.setBranchQualifier(new byte[] {4});
        return xa;
    }

    static MessageId messageId(long sequence) {
        MessageId id = new MessageId(PRODUCER, sequence);
        id.setBrokerSequenceId(sequence + 100);
        return id;
    }

    static MessageId textId() {
        MessageId id = new MessageId();
        id.setTextView("foreign:" + TEXT);
        return id;
    }

    static BrokerInfo brokerInfo() {
        BrokerInfo info = new BrokerInfo();
        info.setBrokerId(BROKER);
        info.setBrokerURL("tcp://a:61616");
        info.setBrokerName("a");
        info.setSlaveBroker(true);
        info.setFaultTolerantConfiguration(true);
        info.setNetworkConnection(true);
        info.setConnectionId(9);
        info.setBrokerUploadUrl("http://a");
        info.setNetworkProperties("x=y");
        return info;
    }

    static ConsumerInfo consumerInfo() {
        ConsumerInfo info = new ConsumerInfo(CONSUMER);
        info.setBrowser(true);
        info.setDestination(TOPIC);
        info.setPrefetchSize(1000);
        info.setMaximumPendingMessageLimit(11);
        info.setDispatchAsync(true);
        info.setSelector("a > 1");
        info.setClientId("client");
        info.setSubscriptionName("subscription");
        info.setNoLocal(true);
        info.setExclusive(false);
        info.setRetroactive(true);
        info.setPriority((byte) -3);
        info.setBrokerPath(new BrokerId[] {BROKER});
        NetworkBridgeFilter filter = new NetworkBridgeFilter();
        filter.setNetworkBrokerId(BROKER);
        filter.setMessageTTL(12);
        filter.setConsumerTTL(13);
        info.setAdditionalPredicate(filter);
        info.setNetworkSubscription(true);
        info.setOptimizedAcknowledge(false);
        info.setNoRangeAcks(true);
        info.setNetworkConsumerPath(new ConsumerId[] {CONSUMER});
        return info;
    }

    static <M extends ActiveMQMessage> M fill(M message) throws Exception {
        message.setCommandId(0x0a0b0c0d);
        message.setResponseRequired(true);
        message.setProducerId(PRODUCER);
        message.setDestination(QUEUE);
        message.setTransactionId(LOCAL);
        message.setOriginalDestination(TEMP_TOPIC);
        message.setMessageId(messageId(14));
        message.setOriginalTransactionId(xa());
        message.setGroupID("group");
        message.setGroupSequence(15);
        message.setCorrelationId("correlation");
        message.setPersistent(true);
        message.setExpiration(0x0102030405060708L);
        message.setPriority((byte) 9);
        message.setReplyTo(TEMP_QUEUE);
        message.setTimestamp(16);
        message.setType("type");
        message.setContent(new ByteSequence(new byte[] {0, 0, 0, 1, 'x'}));
        message.setMarshalledProperties(new ByteSequence(new byte[] {0, 0, 0, 0}));
        message.setDataStructure(consumerInfo());
        message.setTargetConsumerId(CONSUMER);
        message.setCompressed(true);
        message.setRedeliveryCounter(17);
        message.setBrokerPath(new BrokerId[] {BROKER, BROKER});
        message.setArrival(18);
        message.setUserID("user");
        message.setRecievedByDFBridge(true);
        message.setDroppable(false);
        message.setCluster(new BrokerId[] {BROKER});
        message.setBrokerInTime(19);
        message.setBrokerOutTime(20);
        message.setJMSXGroupFirstForConsumer(true);
        return message;
    }

    static ActiveMQTextMessage textMessage() throws Exception {
        ActiveMQTextMessage text = new ActiveMQTextMessage();
        text.setMessageId(messageId(21));
        text.setText(TEXT);
        text.setStringProperty("name", TEXT);
        text.setIntProperty("JMSXGroupSeq", 22);
        text.onSend();
        return text;
    }

    public static void main(String[] args) throws Exception {
        print("BrokerInfo", new BrokerInfo());
        BrokerInfo broker = brokerInfo();
        broker.setPeerBrokerInfos(new BrokerInfo[] {brokerInfo(), new BrokerInfo()});
        print("BrokerInfo.full", broker);

        print("ConnectionInfo", new ConnectionInfo());
        ConnectionInfo connection = new ConnectionInfo(CONNECTION);
        connection.setClientId("client");
        connection.setPassword("secret");
        connection.setUserName("user");
        connection.setBrokerPath(new BrokerId[] {BROKER});
        connection.setManageable(true);
        connection.setClientMaster(false);
        connection.setFaultTolerant(true);
        connection.setFailoverReconnect(true);
        connection.setClientIp("127.0.0.1");
        print("ConnectionInfo.full", connection);

        print("SessionInfo", new SessionInfo(SESSION));
        print("ConsumerInfo", new ConsumerInfo());
        print("ConsumerInfo.full", consumerInfo());

        ProducerInfo producer = new ProducerInfo(PRODUCER);
        producer.setDestination(QUEUE);
        producer.setBrokerPath(new BrokerId[] {BROKER});
        producer.setDispatchAsync(true);
        producer.setWindowSize(23);
        print("ProducerInfo", producer);

        print("TransactionInfo.local",
            new TransactionInfo(CONNECTION, LOCAL, TransactionInfo.COMMIT_ONE_PHASE));
        print("TransactionInfo.xa", new TransactionInfo(CONNECTION, xa(), TransactionInfo.END));

        DestinationInfo destination = new DestinationInfo(CONNECTION, (byte) 1, TEMP_QUEUE);
        destination.setTimeout(24);
        print("DestinationInfo", destination);

        RemoveSubscriptionInfo remove = new RemoveSubscriptionInfo();
        remove.setConnectionId(CONNECTION);
        remove.setSubscriptionName("subscription");
        remove.setClientId("client");
        print("RemoveSubscriptionInfo", remove);

        print("KeepAliveInfo", new KeepAliveInfo());
        print("ShutdownInfo", new ShutdownInfo());

        DataStructure[] objects = {CONNECTION, SESSION, CONSUMER, PRODUCER};
        for (DataStructure object : objects) {
            RemoveInfo info = new RemoveInfo(object);
            info.setLastDeliveredSequenceId(-2);
            print("RemoveInfo." + object.getDataStructureType(), info);
        }

        ControlCommand control = new ControlCommand();
        control.setCommand("shutdown");
        print("ControlCommand", control);
        print("FlushCommand", new FlushCommand());

        ConnectionError error = new ConnectionError();
        error.setException(new JMSException(TEXT));
        error.setConnectionId(CONNECTION);
        print("ConnectionError", error);

        ConsumerControl consumerControl = new ConsumerControl();
        consumerControl.setDestination(QUEUE);
        consumerControl.setClose(true);
        consumerControl.setConsumerId(CONSUMER);
        consumerControl.setPrefetch(25);
        consumerControl.setStart(true);
        print("ConsumerControl", consumerControl);

        ConnectionControl connectionControl = new ConnectionControl();
        connectionControl.setExit(true);
        connectionControl.setResume(true);
        connectionControl.setConnectedBrokers("tcp://a,tcp://b");
        connectionControl.setReconnectTo("tcp://c");
        connectionControl.setRebalanceConnection(true);
        connectionControl.setToken(new byte[] {26});
        print("ConnectionControl", connectionControl);

        ProducerAck producerAck = new ProducerAck(PRODUCER, 27);
        print("ProducerAck", producerAck);

        MessagePull pull = new MessagePull();
        pull.setConsumerId(CONSUMER);
        pull.setDestination(QUEUE);
        pull.setTimeout(-1);
        pull.setCorrelationId("correlation");
        pull.setMessageId(textId());
        print("MessagePull", pull);

        MessageDispatch nothing = new MessageDispatch();
        nothing.setConsumerId(CONSUMER);
        nothing.setDestination(QUEUE);
        print("MessageDispatch.nothing", nothing);
        MessageDispatch dispatch = new MessageDispatch();
        dispatch.setConsumerId(CONSUMER);
        dispatch.setDestination(QUEUE);
        dispatch.setMessage(textMessage());
        dispatch.setRedeliveryCounter(28);
        print("MessageDispatch", dispatch);

        print("MessageAck", new MessageAck());
        MessageAck ack = new MessageAck();
        ack.setDestination(QUEUE);
        ack.setTransactionId(LOCAL);
        ack.setConsumerId(CONSUMER);
        ack.setAckType(MessageAck.POISON_ACK_TYPE);
        ack.setFirstMessageId(messageId(29));
        ack.setLastMessageId(textId());
        ack.setMessageCount(30);
        ack.setPoisonCause(new IllegalStateException("poison"));
        print("MessageAck.full", ack);

        print("Message", new ActiveMQMessage());
        print("Message.full.23", FIRST, fill(new ActiveMQMessage()));
        print("Message.full.24", FIRST, fill(new ActiveMQBytesMessage()));
        print("Message.full.25", FIRST, fill(new ActiveMQMapMessage()));
        print("Message.full.26", FIRST, fill(new ActiveMQObjectMessage()));
        print("Message.full.27", FIRST, fill(new ActiveMQStreamMessage()));
        print("Message.full.28", FIRST, fill(new ActiveMQTextMessage()));
        ActiveMQBlobMessage blob = fill(new ActiveMQBlobMessage());
        blob.setRemoteBlobUrl("http://blob");
        blob.setMimeType("text/plain");
        blob.setDeletedByBroker(true);
        print("Message.full.29", FIRST, blob);

        Response response = new Response();
        response.setCorrelationId(31);
        print("Response", response);
        ExceptionResponse exception = new ExceptionResponse(new SecurityException("no"));
        exception.setCorrelationId(32);
        print("ExceptionResponse", exception);
        DataResponse data = new DataResponse();
        data.setCorrelationId(33);
        SubscriptionInfo subscription = new SubscriptionInfo("client", "subscription");
        subscription.setDestination(TOPIC);
        subscription.setSelector("a = 1");
        subscription.setSubscribedDestination(QUEUE);
        subscription.setNoLocal(true);
        data.setData(subscription);
        print("DataResponse", data);
        DataArrayResponse none = new DataArrayResponse();
        none.setCorrelationId(34);
        none.setData(new DataStructure[0]);
        print("DataArrayResponse.none", none);
        DataArrayResponse array = new DataArrayResponse();
        array.setCorrelationId(35);
        array.setData(new DataStructure[] {
            xa(), LOCAL, CONNECTION, SESSION, CONSUMER, PRODUCER, BROKER, messageId(36),
            QUEUE, TOPIC, TEMP_QUEUE, TEMP_TOPIC, new KeepAliveInfo(),
        });
        print("DataArrayResponse", array);
        IntegerResponse integer = new IntegerResponse(3);
        integer.setCorrelationId(37);
        print("IntegerResponse", integer);

        MessageDispatchNotification notification = new MessageDispatchNotification();
        notification.setConsumerId(CONSUMER);
        notification.setDestination(QUEUE);
        notification.setDeliverySequenceId(38);
        notification.setMessageId(messageId(39));
        print("MessageDispatchNotification", notification);

        BrokerSubscriptionInfo subscriptions = new BrokerSubscriptionInfo("a");
        subscriptions.setBrokerId(BROKER);
        subscriptions.setSubscriptionInfos(new ConsumerInfo[] {consumerInfo()});
        print("BrokerSubscriptionInfo", subscriptions);

        WireFormatInfo info = new WireFormatInfo();
        info.setVersion(12);
        info.setTightEncodingEnabled(true);
        info.setCacheEnabled(true);
        info.setStackTraceEnabled(true);
        info.setSizePrefixDisabled(false);
        info.setTcpNoDelayEnabled(true);
        info.setMaxFrameSizeEnabled(true);
        info.setMaxFrameSize(104857600);
        info.setCacheSize(1024);
        info.setMaxInactivityDuration(30000);
        info.setMaxInactivityDurationInitalDelay(10000);
        info.setHost("localhost");
        info.setProviderName("ActiveMQ");
        info.setProviderVersion("5.17.2");
        info.setPlatformDetails("Java");
        print("WireFormatInfo", FIRST, info);
        print("WireFormatInfo.bare", FIRST, new WireFormatInfo());

        Map<String, Object> map = new LinkedHashMap<>();
        Map<String, Object> inner = new LinkedHashMap<>();
        inner.put("shortest long string", "x".repeat(8191));
        List<Object> list = new ArrayList<>(List.of(1, "two"));
        list.add(null);
        map.put("null", null);
        map.put("bool", true);
        map.put("byte", (byte) -1);
        map.put("char", '\u20ac');
        map.put("short", (short) -2);
        map.put("int", -3);
        map.put("long", -4L);
        map.put("double", 0.5);
        map.put("float", -0.25f);
        map.put(TEXT, TEXT);
        map.put("longest short string", "\u20ac".repeat(8190));
        map.put("bytes", new byte[] {1, 2});
        map.put("map", inner);
        map.put("list", list);
        content("map", out -> MarshallingSupport.marshalPrimitiveMap(map, out));

        ActiveMQStreamMessage stream = new ActiveMQStreamMessage();
        stream.writeBoolean(true);
        stream.writeByte((byte) -1);
        stream.writeChar('\u20ac');
        stream.writeShort((short) -2);
        stream.writeInt(-3);
        stream.writeLong(-4);
        stream.writeDouble(0.5);
        stream.writeFloat(-0.25f);
        stream.writeString(TEXT);
        stream.writeString(null);
        stream.writeBytes(new byte[] {1, 2});
        stream.storeContent();
        content("stream", stream.getContent());

        content("text", out -> MarshallingSupport.writeUTF8(out, TEXT));
        content("text.null", out -> MarshallingSupport.writeUTF8(out, null));

        ActiveMQTextMessage text = new ActiveMQTextMessage();
        text.setText(TEXT.repeat(100));
        text.compress();
        content("deflated.28", text.getContent());
        ActiveMQBytesMessage bytes = new ActiveMQBytesMessage();
        bytes.writeBytes(new byte[1000]);
        bytes.compress();
        content("deflated.24", bytes.getContent());
    }
}
