//! One message to each topic of a producer, when all has healed: whoever is subscribed must get it.

use std::{collections::BTreeMap, io};

use paceline_wire::stomp::{Command, header};

use super::{
    Shared,
    client::{BackOff, Connection, unexpected},
};
use crate::workload::{
    ids::{ConnectionId, DestinationId},
    operation::{MessageId, Publish, Reply, body, publish},
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
    let mut connection = Connection::open(shared.next_connection(), node).await?;
    let mut waiting: BTreeMap<String, MessageId> = BTreeMap::new();
    for &destination in left.iter() {
        let (id, frame) = message(plan, shared, connection.id, destination);
        let receipt = id.to_string();
        connection.send(&frame.with(header::RECEIPT, receipt.as_str()));
        waiting.insert(receipt, id);
    }
    let ended = receive(&mut connection, shared, &mut waiting, left).await;
    for id in waiting.into_values() {
        shared.recorder.replied(id, Reply::Unknown);
    }
    ended?;
    connection.leave().await
}

async fn receive(
    connection: &mut Connection,
    shared: &Shared,
    waiting: &mut BTreeMap<String, MessageId>,
    left: &mut Vec<DestinationId>,
) -> io::Result<()> {
    while !waiting.is_empty() {
        let frame = connection.receive().await?;
        let receipt = frame.header(header::RECEIPT_ID).map_or("", |id| id.as_str());
        let Some(id) = waiting.remove(receipt).filter(|_| frame.command == Command::Receipt) else {
            return Err(unexpected(&frame));
        };
        shared.recorder.replied(id, Reply::Ok);
        let sent_to = shared.recorder.lock().history.publish(id).map(|it| it.destination);
        left.retain(|destination| Some(*destination) != sent_to);
    }
    Ok(())
}

fn message(
    plan: &ProducerPlan,
    shared: &Shared,
    connection: ConnectionId,
    destination: DestinationId,
) -> (MessageId, paceline_wire::stomp::Frame) {
    let publish = Publish {
        destination,
        persistent: true,
        connection,
        sent: shared.recorder.now(),
        expires: None,
        transaction: None,
        priority: None,
        bytes: BYTES as u32,
        reply: None,
    };
    let id = shared.recorder.sent(plan.number, publish.clone());
    let info = &shared.population.destinations[destination.0 as usize];
    (id, publish::frame(id, info, &publish, None, body(id, BYTES)))
}
