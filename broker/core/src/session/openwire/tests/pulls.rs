//! Consumers without prefetch, which ask for each message.

use paceline_wire::openwire::MessagePull;

use super::*;

fn pull(client: &mut Client, timeout: i64) {
    client.send(MessagePull {
        consumer_id: Some(consumer_id()),
        timeout,
        ..MessagePull::default()
    });
}

fn window(client: &mut Client) -> u32 {
    match client.operation() {
        Operation::SetPrefetch { prefetch, .. } => prefetch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_message_at_a_time_is_asked_for_and_not_waited_for_in_vain() {
    let mut client = Client::connected();
    let consumer = client.consuming(0, 0);
    pull(&mut client, 500);
    assert_eq!(window(&mut client), 1);
    client.pass(499);
    assert_eq!(client.received(), []);
    client.pass(1);
    let received = client.received();
    let [Command::MessageDispatch(nothing)] = &received[..] else { panic!("{received:?}") };
    assert_eq!((&nothing.message, &nothing.consumer_id), (&None, &Some(consumer_id())));
    assert_eq!(window(&mut client), 0);

    pull(&mut client, 0);
    assert_eq!(window(&mut client), 1);
    client.pass(9_000);
    client.deliver(consumer, 1);
    let received = client.received();
    let dispatch = received.iter().find_map(|command| match command {
        Command::MessageDispatch(dispatch) => dispatch.message.as_ref(),
        _ => None,
    });
    assert!(dispatch.is_some(), "{received:?}");
    assert_eq!(window(&mut client), 0);
    pull(&mut client, -1);
    assert_eq!(window(&mut client), 2, "the one that it holds is beside");
}

/// A consumer that holds two deliveries and waits for the next.
fn waiting() -> Client {
    let mut client = Client::connected();
    let consumer = client.consuming(0, 0);
    for held in 0..2 {
        pull(&mut client, 0);
        assert_eq!(window(&mut client), held + 1);
        client.deliver(consumer, 1);
        client.received();
        assert_eq!(window(&mut client), 0);
    }
    pull(&mut client, 0);
    assert_eq!(window(&mut client), 3);
    client
}

/// Acknowledgements while a consumer waited made room for as many messages more, which came to one that
/// had asked for a single message.
#[test]
fn what_is_acknowledged_meanwhile_makes_no_room() {
    let mut client = waiting();
    client.acknowledge(ack_type::INDIVIDUAL, (1, 1), None);
    assert_eq!(window(&mut client), 2);
    assert_eq!(settled(&client.operation()).0, [0]);

    client.transaction(transaction_type::BEGIN);
    client.acknowledge(ack_type::INDIVIDUAL, (2, 2), Some(7));
    assert_eq!((window(&mut client), window(&mut client)), (1, 2), "what it pledges is beside");
    client.transaction(transaction_type::COMMIT_ONE_PHASE);
    assert!(matches!(client.operation(), Operation::Commit { .. }));
    assert_eq!(window(&mut client), 1);
}

/// A consumer that waited when its transaction was rolled back was not given the message that it
/// waited for: it held as many as it might.
#[test]
fn what_is_rolled_back_meanwhile_takes_no_room() {
    let mut client = waiting();
    client.transaction(transaction_type::BEGIN);
    client.acknowledge(ack_type::STANDARD, (1, 2), Some(7));
    let mut last = 0;
    client.transaction(transaction_type::ROLLBACK);
    while let Some(operation) = client.session.poll_operation() {
        let Operation::SetPrefetch { prefetch, .. } = operation else { panic!("{operation:?}") };
        last = prefetch;
    }
    assert_eq!(last, 3, "two that it holds, and one");
}

#[test]
fn an_acknowledgement_that_is_refused_changes_nothing() {
    let mut client = waiting();
    client.acknowledge(ack_type::STANDARD, (1, 2), Some(8));
    let mut last = 3;
    while let Some(Operation::SetPrefetch { prefetch, .. }) = client.session.poll_operation() {
        last = prefetch;
    }
    assert_eq!(last, 3);
}
