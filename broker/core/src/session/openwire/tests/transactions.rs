//! Transactions of which a part is refused.

use super::*;

#[test]
fn a_transaction_is_all_or_nothing_though_nobody_waits_for_its_parts() {
    let mut client = Client::connected();
    client.consuming(100, 1);
    client.transaction(transaction_type::BEGIN);
    client.received();
    let in_it = |message: &mut paceline_wire::openwire::Message| {
        message.transaction_id = Some(local(7));
        message.response_required = false;
    };
    client.message(in_it);
    client.acknowledge(ack_type::STANDARD, (1, 1), Some(7));
    client.message(|message| {
        in_it(message);
        message.destination = Some(queue("a.*"));
    });
    assert!(client.expect_exception().1.contains("wildcard"));
    client.transaction(transaction_type::COMMIT_ONE_PHASE);
    let (class, why) = client.expect_exception();
    assert_eq!(class, "javax.jms.TransactionRolledBackException");
    assert!(why.contains("wildcard"), "{why}");
    assert!(client.session.poll_operation().is_none(), "nothing of it is carried out");
    // What it acknowledged can be acknowledged again.
    client.acknowledge(ack_type::STANDARD, (1, 1), None);
    assert_eq!(settled(&client.operation()).0, [0]);

    // The next one has nothing to do with it.
    client.transaction(transaction_type::BEGIN);
    client.message(|message| {
        in_it(message);
        message.destination = None;
    });
    client.transaction(transaction_type::ROLLBACK);
    client.received();
    client.transaction(transaction_type::BEGIN);
    client.message(in_it);
    client.transaction(transaction_type::COMMIT_ONE_PHASE);
    assert!(matches!(client.operation(), Operation::Commit { .. }));
}

#[test]
fn what_a_refused_commit_acknowledged_can_be_acknowledged_again() {
    let mut client = Client::connected();
    client.consuming(100, 2);
    client.transaction(transaction_type::BEGIN);
    client.acknowledge(ack_type::STANDARD, (1, 2), Some(7));
    client.transaction(transaction_type::COMMIT_ONE_PHASE);
    client.received();
    let tag = client.operation().tag();
    let refusal = Refusal::Rejected("the queue is full".into());
    client.session.handle_outcome(client.now, tag, Err(refusal));
    assert!(client.expect_exception().1.contains("the queue is full"));
    client.acknowledge(ack_type::STANDARD, (1, 2), None);
    assert_eq!(settled(&client.operation()).0, [0, 1]);
}
