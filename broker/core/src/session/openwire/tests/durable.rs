//! Client ids and durable subscriptions.

use paceline_wire::openwire::RemoveSubscriptionInfo;

use super::*;

/// A connection with the client id `c`, the operation that takes it, and the command that asked.
fn opened() -> (Client, Operation, i32) {
    let mut client = Client::negotiated();
    let connection_id = Some(ConnectionId { value: CONNECTION.into() });
    let command = client.ask(|command_id| ConnectionInfo {
        command_id,
        response_required: true,
        connection_id,
        client_id: Some("c".into()),
        ..ConnectionInfo::default()
    });
    let operation = client.operation();
    (client, operation, command)
}

fn identified() -> Client {
    let (mut client, operation, command) = opened();
    client.done(&operation);
    client.expect_response(command);
    client
}

fn durable(info: &mut ConsumerInfo) {
    info.subscription_name = Some("s".into());
    info.destination = Some(Wire { kind: DestinationKind::Topic, name: "t".into() });
}

fn refuse(client: &mut Client, operation: &Operation, why: Refusal) {
    client.session.handle_outcome(client.now, operation.tag(), Err(why));
}

#[test]
fn a_connection_is_open_when_its_client_id_is_its_own() {
    let (mut client, operation, command) = opened();
    let Operation::Identify { client: id, connection, .. } = &operation else { panic!() };
    assert_eq!((&**id, &**connection), ("c", CONNECTION));
    assert_eq!(client.received(), []);
    client.done(&operation);
    client.expect_response(command);
}

#[test]
fn a_client_id_that_another_connection_has_is_refused_by_the_exception_of_jms() {
    let (mut client, operation, _) = opened();
    refuse(&mut client, &operation, Refusal::Rejected("taken".into()));
    assert_eq!(
        client.expect_exception(),
        ("javax.jms.InvalidClientIDException".into(), "taken".into())
    );
    client.consumer(1, |_| {});
    assert!(client.expect_exception().1.contains("before ConnectionInfo"));
}

#[test]
fn a_durable_subscription_goes_by_the_clients_id_and_its_name() {
    let mut client = identified();
    client.consumer(1, |info| {
        durable(info);
        info.no_local = true;
    });
    let Operation::Subscribe { subscription, .. } = client.operation() else { panic!() };
    let kept = subscription.durable.unwrap();
    assert_eq!((kept.durable.to_string().as_str(), kept.no_local), ("`s` of client `c`", true));
    let mut nobody = Client::connected();
    nobody.consumer(1, durable);
    assert_eq!(nobody.expect_exception().0, "javax.jms.IllegalStateException");
}

#[test]
fn a_consumer_that_was_refused_is_gone() {
    let mut client = identified();
    let command = client.consumer(1, durable);
    let operation = client.operation();
    refuse(&mut client, &operation, Refusal::Rejected("in use".into()));
    assert_eq!(client.expect_exception(), ("javax.jms.JMSException".into(), "in use".into()));
    assert!(matches!(client.operation(), Operation::Unsubscribe { .. }));
    // Its id may be used again.
    let again = client.consumer(1, durable);
    assert_ne!(command, again);
    assert!(matches!(client.operation(), Operation::Subscribe { .. }));
}

#[test]
fn a_subscription_is_deleted_by_name() {
    let mut client = identified();
    let mut remove = || {
        let command = client.ask(|command_id| RemoveSubscriptionInfo {
            command_id,
            response_required: true,
            subscription_name: Some("s".into()),
            ..RemoveSubscriptionInfo::default()
        });
        let operation = client.operation();
        let Operation::Forget { durable, .. } = &operation else { panic!() };
        assert_eq!(durable.to_string(), "`s` of client `c`");
        (command, operation)
    };
    let (command, done) = remove();
    let (_, missing) = remove();
    client.done(&done);
    client.expect_response(command);
    refuse(&mut client, &missing, Refusal::Missing("not there".into()));
    assert_eq!(client.expect_exception().0, "javax.jms.InvalidDestinationException");
}

#[test]
fn a_consumer_whose_subscription_is_anothers_ends_its_connection() {
    let mut client = identified();
    client.consumer(1, durable);
    let Operation::Subscribe { consumer, .. } = client.operation() else { panic!() };
    client.session.handle_detached(client.now, ConsumerId(consumer.0 + 1), "nobody's");
    assert!(!client.session.is_closed());
    client.session.handle_detached(client.now, consumer, "in use");
    assert_eq!(client.expect_exception().1, "in use");
    assert!(client.session.is_closed());
}
