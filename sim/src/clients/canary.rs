//! One message to each topic of a producer, when all has healed: whoever is subscribed must get it.

use std::{collections::BTreeSet, io};

use super::{
    Shared,
    client::{BackOff, Connection},
    dialogue::{Asked, Said, Sending},
};
use crate::workload::{
    ids::DestinationId,
    operation::{MessageId, Publish, Reply, body},
    population::ProducerPlan,
};

/// The size of a canary's body.
const BYTES: usize = 64;

/// Sends to each of the producer's topics until the broker has vouched for one message each.
pub async fn run(plan: ProducerPlan, shared: Shared) {
    let mut left: Vec<DestinationId> = plan.targets.all().collect();
    let mut back_off = BackOff::default();
    let mut attempt = 0;
    while !left.is_empty() {
        // The nodes in turn, whichever the scenario has clients go to: all must serve.
        let node = {
            let nodes = shared.members.borrow();
            nodes[(plan.client.0 as usize + attempt) % nodes.len()].clone()
        };
        attempt += 1;
        if send(&plan, &shared, &node, &mut left).await.is_err() {
            back_off.wait().await;
        }
    }
}

/// Takes out of `left` what is acknowledged.
async fn send(
    plan: &ProducerPlan,
    shared: &Shared,
    node: &str,
    left: &mut Vec<DestinationId>,
) -> io::Result<()> {
    let address = shared.address(plan.speaks, node);
    let mut connection = Connection::open(plan.speaks, shared.next_connection(), &address).await?;
    let destinations = left.iter();
    let mut waiting: BTreeSet<MessageId> = destinations
        .map(|destination| send_one(plan, shared, &mut connection, *destination))
        .collect();
    let ended = receive(&mut connection, shared, &mut waiting, left).await;
    for id in waiting {
        shared.recorder.replied(id, Reply::Unknown);
    }
    ended?;
    connection.leave().await
}

async fn receive(
    connection: &mut Connection,
    shared: &Shared,
    waiting: &mut BTreeSet<MessageId>,
    left: &mut Vec<DestinationId>,
) -> io::Result<()> {
    while !waiting.is_empty() {
        let id = match connection.receive().await? {
            Said::Answered(Asked::Publish(id), Reply::Ok, None) if waiting.remove(&id) => id,
            Said::Answered(.., Some(error)) => return Err(error),
            other => return Err(io::Error::other(format!("a canary hears {other:?}"))),
        };
        shared.recorder.replied(id, Reply::Ok);
        let sent_to = shared.recorder.lock().history.publish(id).map(|it| it.destination);
        left.retain(|destination| Some(*destination) != sent_to);
    }
    Ok(())
}

fn send_one(
    plan: &ProducerPlan,
    shared: &Shared,
    connection: &mut Connection,
    destination: DestinationId,
) -> MessageId {
    let publish = Publish {
        destination,
        persistent: true,
        connection: connection.id,
        sent: shared.recorder.now(),
        expires: None,
        delay: None,
        transaction: None,
        priority: None,
        bytes: BYTES as u32,
        reply: None,
    };
    let id = shared.recorder.sent(plan.number, publish.clone());
    connection.publish(&Sending {
        id,
        publish: &publish,
        destination: &shared.population.destinations[destination.0 as usize],
        expires: None,
        body: body(id, BYTES),
    });
    id
}
