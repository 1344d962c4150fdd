//! What a consumer may want beyond its destination, and groups.

use super::*;
use crate::{Value, operation::Subscription};

fn wanted(client: &mut Client, more: impl FnOnce(&mut ConsumerInfo)) -> Subscription {
    client.consumer(7, more);
    let Operation::Subscribe { subscription, .. } = client.operation() else {
        panic!("it subscribes first")
    };
    subscription
}

#[test]
fn a_consumer_says_how_it_stands_among_others() {
    let found = wanted(&mut Client::connected(), |info| {
        (info.exclusive, info.priority) = (true, -3);
    });
    assert_eq!((found.exclusive, found.priority, found.browses), (true, -3, false));
    let found = wanted(&mut Client::connected(), |info| {
        let text =
            "a?consumer.prefetchSize=2&consumer.selector=n+IN+('x','y')&consumer.exclusive=true";
        info.destination = Some(queue(text));
    });
    assert_eq!(
        (&*found.source.exact().unwrap().name, found.prefetch, found.exclusive),
        ("a", 2, true)
    );
    assert_eq!(found.selector.as_deref(), Some("n IN ('x','y')"));
    let mut client = Client::connected();
    client.consumer(1, |info| info.destination = Some(queue("a?consumer.what=1")));
    assert!(client.expect_exception().1.contains("consumer.what"));
}

#[test]
fn a_browser_is_told_the_end_by_a_dispatch_without_a_message() {
    let mut client = Client::connected();
    let found = wanted(&mut client, |info| (info.browser, info.prefetch_size) = (true, 0));
    assert_eq!((found.browses, found.prefetch), (true, 1), "it does not ask for messages");
    let consumer = ConsumerId(0);
    client.deliver(consumer, 1);
    client.session.handle_browse_end(consumer);
    let received = client.received();
    let [Command::MessageDispatch(message), Command::MessageDispatch(end)] = &received[..] else {
        panic!("{received:?}")
    };
    assert!(message.message.is_some() && end.message.is_none());
    assert_eq!(end.consumer_id, Some(consumer_id()));
    client.acknowledge(ack_type::STANDARD, (1, 1), None);
    assert_eq!(settled(&client.operation()), (vec![0], Settlement::Accept));

    for other in ["a.>", "b"] {
        let mut client = Client::connected();
        let kind = if other == "b" { DestinationKind::Topic } else { DestinationKind::Queue };
        client.consumer(1, |info| {
            info.browser = true;
            info.destination = Some(Wire { kind, name: other.into() });
        });
        let (class, why) = client.expect_exception();
        assert_eq!(class, "javax.jms.InvalidDestinationException");
        assert!(why.contains("cannot be browsed"), "{why}");
    }
}

#[test]
fn a_group_is_carried_as_properties_and_comes_as_it_was_sent() {
    let mut client = Client::connected();
    client.message(|message| {
        (message.group_id, message.group_sequence) = (Some("g".into()), -1);
    });
    let Operation::Publish { message, .. } = client.operation() else { panic!("it is one") };
    let expected =
        [("JMSXGroupID".into(), Value::Text("g".into())), ("JMSXGroupSeq".into(), Value::Int(-1))];
    assert_eq!(message.properties, expected);
    let consumer = client.consuming(5, 0);
    // As a STOMP client would have sent it.
    let mut message = (*message).clone();
    message.properties[1].1 = Value::Text("-1".into());
    let delivery = testing::delivery(consumer, 0);
    let delivery = Delivery { message: message.into(), first_of_group: true, ..delivery };
    client.session.handle_delivery(delivery);
    let received = client.received();
    let [Command::MessageDispatch(dispatch)] = &received[..] else { panic!("{received:?}") };
    let message = dispatch.message.as_ref().unwrap();
    assert_eq!(message.group_id.as_ref().map(Text::as_str), Some("g"));
    assert_eq!((message.group_sequence, message.jmsx_group_first_for_consumer), (-1, true));
    assert_eq!(message.marshalled_properties, None);
}

#[test]
fn a_consumer_of_several_destinations_is_one() {
    let mut client = Client::connected();
    let several = |info: &mut ConsumerInfo| {
        info.destination = Some(queue("a,topic://t.>,b"));
        info.no_local = true;
    };
    let found = wanted(&mut client, several);
    assert_eq!(found.source.to_string(), "/queue/a,/topic/t.>,/queue/b");
    client.consumer(1, |info| {
        info.consumer_id = Some(WireConsumer { value: 8, ..consumer_id() });
        info.destination = Some(queue("a,b"));
        info.browser = true;
    });
    let (class, why) = client.expect_exception();
    assert_eq!(class, "javax.jms.InvalidDestinationException");
    assert!(why.contains("`/queue/a,/queue/b` cannot be browsed"), "{why}");
}
