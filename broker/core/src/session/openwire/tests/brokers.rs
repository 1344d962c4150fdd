//! What clients are told of the nodes there are.

use super::*;

fn brokers(addresses: &[&str], moves_on: bool) -> Arc<Brokers> {
    let addresses = addresses.iter().copied().map(Into::into).collect();
    Arc::new(Brokers { addresses, moves_on })
}

/// One that opens its connection when its node has heard of others.
fn connected(manageable: bool) -> Client {
    let mut client = Client::negotiated();
    client.session.handle_brokers(&brokers(&["a:1", "b:2"], false));
    assert!(client.received().is_empty(), "nobody is told before the connection is open");
    let connection_id = Some(ConnectionId { value: CONNECTION.into() });
    client.ask(|command_id| ConnectionInfo {
        command_id,
        response_required: true,
        connection_id,
        manageable,
        ..ConnectionInfo::default()
    });
    client
}

/// The nodes that the client is told of, and whether it is to go to one of them.
fn told(client: &mut Client) -> Vec<(String, bool)> {
    let control = |command| match command {
        Command::ConnectionControl(it) => {
            Some((it.connected_brokers.unwrap().as_str().into(), it.rebalance_connection))
        }
        _ => None,
    };
    client.received().into_iter().filter_map(control).collect()
}

#[test]
fn a_client_is_told_when_it_opens_its_connection_and_at_each_change() {
    let mut client = connected(true);
    assert_eq!(told(&mut client), [("tcp://a:1,tcp://b:2".into(), false)]);
    client.session.handle_brokers(&brokers(&["a:1"], true));
    assert_eq!(told(&mut client), [("tcp://a:1".into(), true)]);
}

#[test]
fn a_client_that_does_not_follow_it_is_not_told() {
    let mut client = connected(false);
    client.session.handle_brokers(&brokers(&["a:1"], true));
    assert_eq!(told(&mut client), []);
}

#[test]
fn of_no_other_node_nobody_is_told() {
    let mut client = connected(true);
    told(&mut client);
    client.session.handle_brokers(&brokers(&[], false));
    assert_eq!(told(&mut client), []);
}
