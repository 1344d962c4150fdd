//! Branches of distributed transactions, as a transaction manager drives them.

use paceline_wire::openwire::AnyStructure;

use super::*;
use crate::xa::{BranchRefused, Resolver, Xid};

/// The branch of that number of one transaction.
pub(super) fn branch(number: u8) -> TransactionId {
    let bytes = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
    TransactionId::Xa { format: 4660, global: bytes(b"order"), branch: bytes(&[number]) }
}

fn xid(number: u8) -> Xid {
    Xid::new(4660, b"order", &[number]).unwrap()
}

/// It, as it is listed.
pub(super) fn listed(number: u8) -> BranchInfo {
    BranchInfo { xid: xid(number), since: UnixMillis(1), participants: vec![3], ended: None }
}

impl Client {
    fn branch(&mut self, id: &TransactionId, transaction_type: i8) -> i32 {
        let transaction_id = Some(id.clone());
        self.ask(|command_id| TransactionInfo {
            command_id,
            response_required: true,
            transaction_id,
            transaction_type,
            ..TransactionInfo::default()
        })
    }

    fn acknowledge_in(&mut self, id: &TransactionId, place: i64) {
        self.send(MessageAck {
            consumer_id: Some(consumer_id()),
            ack_type: ack_type::INDIVIDUAL,
            last_message_id: Some(MessageId { broker_sequence: place, ..MessageId::default() }),
            message_count: 1,
            transaction_id: Some(id.clone()),
            ..MessageAck::default()
        });
    }

    /// A branch that acknowledges the delivery at a place and sends a message.
    fn working(&mut self, id: &TransactionId, place: i64) {
        self.branch(id, transaction_type::BEGIN);
        self.acknowledge_in(id, place);
        self.message(|message| message.transaction_id = Some(id.clone()));
        // As a client says that joins or resumes it.
        self.branch(id, transaction_type::END);
        self.branch(id, transaction_type::BEGIN);
        self.branch(id, transaction_type::END);
        assert!(!self.received().iter().any(|it| matches!(it, Command::ExceptionResponse(_))));
    }

    fn expect_vote(&mut self, to: i32, vote: i32) {
        match &self.received()[..] {
            [Command::IntegerResponse(it)] => {
                assert_eq!((it.correlation_id, it.result), (to, vote));
            }
            other => panic!("a vote is wanted: {other:?}"),
        }
    }

    /// The code at the end of an exception of a resource manager, as ActiveMQ's client reads it.
    fn expect_code(&mut self) -> i32 {
        let (class, why) = self.expect_exception();
        assert_eq!(class, "javax.transaction.xa.XAException", "{why}");
        let code = why.rsplit_once("xaErrorCode:").expect("it has a code").1;
        code.parse().expect("nothing follows the code")
    }

    fn refuse(&mut self, operation: &Operation, why: Refusal) {
        self.session.handle_outcome(self.now, operation.tag(), Err(why));
    }
}

#[test]
fn a_branch_is_prepared_and_then_committed() {
    let mut client = Client::connected();
    client.consuming(100, 1);
    let id = branch(1);
    client.working(&id, 1);
    assert!(client.session.poll_operation().is_none(), "nothing leaves the session yet");
    let prepare = client.branch(&id, transaction_type::PREPARE);
    let operation = client.operation();
    let Operation::Prepare { xid: name, publishes, settles, .. } = &operation else { panic!() };
    assert_eq!((name, publishes.len(), settles.len()), (&xid(1), 1, 1));
    assert!(client.received().is_empty());
    client.done(&operation);
    client.expect_vote(prepare, 0);
    let commit = client.branch(&id, transaction_type::COMMIT_TWO_PHASE);
    let operation = client.operation();
    let by = Resolver::Manager;
    assert!(matches!(&operation, Operation::Resolve { xid: name, commit: true, by: it, .. }
            if *name == xid(1) && *it == by));
    client.done(&operation);
    client.expect_response(commit);
    // What it acknowledged is gone.
    client.acknowledge(ack_type::STANDARD, (1, 1), None);
    assert!(client.expect_exception().1.contains("no such delivery"));
}

#[test]
fn what_a_branch_acknowledged_can_be_acknowledged_again_once_it_is_rolled_back() {
    for prepared in [false, true] {
        let mut client = Client::connected();
        client.consuming(100, 2);
        let id = branch(1);
        client.working(&id, 2);
        if prepared {
            client.branch(&id, transaction_type::PREPARE);
            let operation = client.operation();
            client.done(&operation);
            client.received();
            client.acknowledge(ack_type::INDIVIDUAL, (2, 2), None);
            assert!(client.expect_exception().1.contains("no such delivery"));
        }
        let rollback = client.branch(&id, transaction_type::ROLLBACK);
        if prepared {
            let operation = client.operation();
            assert!(matches!(operation, Operation::Resolve { commit: false, .. }));
            client.done(&operation);
        }
        client.expect_response(rollback);
        client.acknowledge(ack_type::INDIVIDUAL, (2, 2), None);
        assert_eq!(settled(&client.operation()).0, [1]);
    }
}

#[test]
fn a_branch_that_does_nothing_is_over_when_it_is_prepared() {
    let mut client = Client::connected();
    let id = branch(1);
    client.branch(&id, transaction_type::BEGIN);
    client.branch(&id, transaction_type::END);
    client.received();
    let prepare = client.branch(&id, transaction_type::PREPARE);
    client.expect_vote(prepare, 3);
    assert!(client.session.poll_operation().is_none());
    client.branch(&id, transaction_type::PREPARE);
    assert_eq!(client.expect_code(), -4, "it is not open any more");
}

#[test]
fn one_phase_does_for_a_single_branch() {
    let mut client = Client::connected();
    client.consuming(100, 1);
    let id = branch(1);
    client.working(&id, 1);
    let commit = client.branch(&id, transaction_type::COMMIT_ONE_PHASE);
    let operation = client.operation();
    assert!(matches!(operation, Operation::Commit { .. }));
    client.done(&operation);
    client.expect_response(commit);

    client.branch(&id, transaction_type::BEGIN);
    client.message(|message| message.transaction_id = Some(branch(1)));
    client.received();
    client.branch(&id, transaction_type::COMMIT_ONE_PHASE);
    let operation = client.operation();
    client.refuse(&operation, Refusal::Rejected("the queue is full".into()));
    assert_eq!(client.expect_code(), 100);
    client.branch(&id, transaction_type::COMMIT_ONE_PHASE);
    assert_eq!(client.expect_code(), -4);
}

#[test]
fn what_is_refused_has_the_code_that_a_transaction_manager_expects() {
    let (manager, operator) = (Resolver::Manager, Resolver::Operator);
    let ended = |commit, by| Refusal::Branch(BranchRefused::Ended { commit, by });
    for (why, code) in [
        (Refusal::Branch(BranchRefused::Unknown), -4),
        (ended(true, manager), -6),
        (ended(true, operator), 7),
        (ended(false, operator), 6),
    ] {
        let mut client = Client::connected();
        client.branch(&branch(1), transaction_type::COMMIT_TWO_PHASE);
        let operation = client.operation();
        client.refuse(&operation, why);
        assert_eq!(client.expect_code(), code);
    }
    for (why, code) in [
        (Refusal::Rejected("message 1.0.0 is no longer there".into()), 100),
        (Refusal::Branch(BranchRefused::GivenUp), 100),
        (Refusal::Branch(BranchRefused::TooMany(9)), 100),
        (Refusal::Branch(BranchRefused::Exists), -8),
    ] {
        let mut client = Client::connected();
        client.consuming(100, 1);
        client.working(&branch(1), 1);
        client.branch(&branch(1), transaction_type::PREPARE);
        let operation = client.operation();
        client.refuse(&operation, why);
        assert_eq!(client.expect_code(), code);
        client.acknowledge(ack_type::INDIVIDUAL, (1, 1), None);
        assert_eq!(settled(&client.operation()).0, [0], "it can be acknowledged again");
    }
}

#[test]
fn a_branch_of_which_a_part_was_refused_is_rolled_back() {
    for step in [transaction_type::PREPARE, transaction_type::COMMIT_ONE_PHASE] {
        let mut client = Client::connected();
        client.branch(&branch(1), transaction_type::BEGIN);
        client.received();
        client.message(|message| {
            message.transaction_id = Some(branch(1));
            message.response_required = false;
            message.destination = Some(queue("a.*"));
        });
        client.received();
        client.branch(&branch(1), step);
        assert_eq!(client.expect_code(), 100);
        assert!(client.session.poll_operation().is_none());
    }
}

#[test]
fn steps_at_the_wrong_time_are_refused() {
    let mut client = Client::connected();
    let id = branch(1);
    for step in [transaction_type::PREPARE, transaction_type::COMMIT_ONE_PHASE] {
        client.branch(&id, step);
        assert_eq!(client.expect_code(), -4);
    }
    client.branch(&id, transaction_type::BEGIN);
    client.received();
    client.branch(&id, transaction_type::COMMIT_TWO_PHASE);
    assert_eq!(client.expect_code(), -6, "it is not prepared");
    let long = TransactionId::Xa { format: 1, global: vec![0; 65].into(), branch: "".into() };
    client.branch(&long, transaction_type::BEGIN);
    assert_eq!(client.expect_code(), -5);
}

#[test]
fn a_transaction_manager_is_told_of_all_that_is_prepared_and_has_it_forgotten() {
    let mut client = Client::connected();
    let recover = client.ask(|command_id| TransactionInfo {
        command_id,
        response_required: true,
        transaction_type: transaction_type::RECOVER,
        ..TransactionInfo::default()
    });
    let operation = client.operation();
    assert!(matches!(operation, Operation::Recover { .. }));
    client.session.handle_branches(vec![listed(1), listed(2)]);
    client.done(&operation);
    match &client.received()[..] {
        [Command::DataArrayResponse(it)] => {
            assert_eq!(it.correlation_id, recover);
            let wanted = [1, 2].map(|number| AnyStructure::TransactionId(branch(number)));
            assert_eq!(it.data, wanted);
        }
        other => panic!("a list is wanted: {other:?}"),
    }
    let forget = client.branch(&branch(1), transaction_type::FORGET);
    let operation = client.operation();
    assert!(matches!(&operation, Operation::ForgetBranch { xid: it, .. } if *it == xid(1)));
    client.done(&operation);
    client.expect_response(forget);
}

#[test]
fn a_branch_that_may_be_prepared_closes_the_connection() {
    let mut client = Client::connected();
    client.branch(&branch(1), transaction_type::BEGIN);
    client.message(|message| message.transaction_id = Some(branch(1)));
    client.received();
    client.branch(&branch(1), transaction_type::PREPARE);
    let operation = client.operation();
    client.refuse(&operation, Refusal::Unknown("who knows".into()));
    assert!(client.session.is_closed());
}
