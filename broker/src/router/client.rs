//! The task that drives this node's client of one shard: it carries requests to it, its messages to
//! the leader, and what has happened to whoever asked.

use std::{sync::Arc, time::Duration};

use paceline_core::{
    channel::FromLeader,
    ingress::{Event, ShardClient},
    shard::SessionId,
};
use paceline_runtime::{
    cpu,
    time::{self, Instant},
};
use tokio::sync::{mpsc, watch};

use super::{
    Request,
    connection::{Asker, Sink},
    connector::Connector,
    waiting::Waiting,
};
use crate::{
    costs,
    replication::{Leadership, channel::Channel},
};

/// Requests taken in at a time.
const REQUESTS_AT_ONCE: usize = 256;

/// Runs the client of `slot` until nobody can ask it any more.
pub(super) async fn run(
    slot: u32,
    session: SessionId,
    connector: Connector,
    (waiting, room_timeout): (Arc<Waiting>, Duration),
    mut inbox: mpsc::UnboundedReceiver<Request>,
) {
    let began = Instant::now();
    let mut client = ShardClient::new(room_timeout);
    let mut channel: Option<Channel> = None;
    let mut leadership = connector.leadership(slot);
    let mut counted = waiting.part();
    let mut requests = Vec::new();
    loop {
        let deadline = client.poll_timeout().map(|at| began + at);
        tokio::select! {
            biased;
            said = next(&mut channel) => {
                handle_said(slot, &mut client, &mut channel, said, began);
            }
            known = changed(&mut leadership) => {
                if let Some(leader) = known.leader {
                    client.handle_leader(began.elapsed(), leader, known.term);
                }
            }
            () = at(deadline) => client.handle_timeout(began.elapsed()),
            count = inbox.recv_many(&mut requests, REQUESTS_AT_ONCE) => {
                if count == 0 {
                    return;
                }
                for request in requests.drain(..) {
                    client.handle_request(began.elapsed(), request, waiting.budget());
                    counted.set(client.waiting_bytes());
                }
                cpu::charge(costs::ROUTE * count as u32).await;
            }
        }
        if !client.has_channel() {
            channel = None;
            let (row, known) = (connector.cluster.holders(slot), || connector.known_leader(slot));
            if let Some(node) = client.poll_open(began.elapsed(), &row, known) {
                channel = connector.open(slot, session, node);
                if channel.is_none() {
                    client.handle_unreachable(began.elapsed());
                }
            }
        }
        if let Some(channel) = &mut channel {
            while let Some(message) = client.poll_transmit() {
                channel.to.send(message);
            }
            channel.to.flush();
        }
        // Before anybody is told that something waits no longer.
        counted.set(client.waiting_bytes());
        while let Some(event) = client.poll_event() {
            tell(slot, event);
        }
    }
}

/// Takes in what the far end has said, and whatever else it has said by now.
fn handle_said(
    slot: u32,
    client: &mut ShardClient<Asker, Sink>,
    channel: &mut Option<Channel>,
    said: Option<FromLeader>,
    began: Instant,
) {
    let mut next = Some(said);
    while let Some(said) = next {
        if let Err(why) = client.handle_said(began.elapsed(), said) {
            tracing::error!(slot, %why, "a shard's leader is confused; asking anew");
        }
        next = match channel {
            Some(channel) if client.has_channel() => match channel.from.try_recv() {
                Ok(message) => Some(Some(message)),
                Err(mpsc::error::TryRecvError::Disconnected) => Some(None),
                Err(mpsc::error::TryRecvError::Empty) => None,
            },
            _ => None,
        };
    }
}

fn tell(slot: u32, event: Event<Asker, Sink>) {
    match event {
        Event::Answered(asker, outcome) => asker.answered(outcome),
        Event::Ended(asker, result) => asker.ended(result),
        Event::Delivered(Sink { connection, consumer }, channel, delivered) => {
            connection.work(|it| it.handle_delivered(consumer, slot, channel, delivered));
        }
        Event::BrowseEnd(Sink { connection, consumer }) => {
            connection.work(|it| it.handle_browse_end(consumer));
        }
        Event::Held(asker, is_held) => asker.held(is_held),
        Event::Detached(Sink { connection, consumer }, why) => {
            connection.work(|it| it.handle_detached(consumer, why));
        }
        Event::LeaderLost(Sink { connection, consumer }) => {
            connection.work(|it| it.handle_leader_lost(consumer, slot));
        }
    }
}

/// What the far end says next; `None` if the channel has ended. Cancel-safe.
async fn next(channel: &mut Option<Channel>) -> Option<FromLeader> {
    match channel {
        Some(channel) => channel.from.recv().await,
        None => std::future::pending().await,
    }
}

/// What this node's replica knows of who leads, once that has changed. Cancel-safe.
async fn changed(leadership: &mut Option<watch::Receiver<Leadership>>) -> Leadership {
    if let Some(leadership) = leadership
        && leadership.changed().await.is_ok()
    {
        return *leadership.borrow_and_update();
    }
    std::future::pending().await
}

/// Waits for an instant, or for ever.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
