//! This node's client of one shard: one ordered stream of commands for all its connections.
//!
//! Commands that change what is replicated are numbered without holes and kept until they are
//! answered. When the leader changes, everything unanswered is sent again in order, and the shard
//! drops what it has seen; so a change of leader neither loses nor doubles a command. Consumers are
//! attached again. What concerned the old leader's memory only has ended with it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use paceline_core::{
    Destination, Message,
    dispatch::{MessageKey, VolatileId},
    operation::{Refusal, Settlement},
    shard::{Command, Outcome, SessionId},
};
use paceline_reached::{Point, reached};
use paceline_runtime::{
    cpu,
    time::{self, Duration, Instant},
};
use tokio::sync::mpsc::{self, error::TryRecvError};

use super::{
    connection::{Done, Sink},
    finder::{Connector, Finder},
};
use crate::{
    costs,
    shard::channel::{Channel, FromLeader, ToLeader},
};

/// The most commands that may be sent and unanswered at a time; the shard remembers more.
const WINDOW_COMMANDS: usize = 4_096;

/// The most bytes that may be sent and unanswered at a time.
const WINDOW_BYTES: usize = 16 << 20;

/// How long a node may take to say whether it leads the shard.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What is asked of a shard.
#[derive(Debug)]
pub(super) enum Request {
    /// To replicate a command. `holders` are the consumers that held what it settles.
    Command { command: Command, holders: Vec<u64>, done: Done },
    /// To hand on a message that is not stored.
    Publish { message: Arc<Message>, done: Done },
    /// To deliver to a consumer.
    Attach { consumer: u64, source: Destination, prefetch: u32, sink: Sink, done: Done },
    /// To stop.
    Detach { consumer: u64, failed: Option<MessageKey>, done: Done },
    /// To end deliveries of messages that are not stored.
    Settle { consumer: u64, messages: Vec<VolatileId>, how: Settlement, done: Done },
}

/// A command that is not answered yet.
#[derive(Debug)]
struct Unanswered {
    seq: u64,
    command: Command,
    holders: Vec<u64>,
    bytes: usize,
    done: Done,
}

#[derive(Debug)]
struct Attachment {
    source: Destination,
    prefetch: u32,
    sink: Sink,
    /// Who waits for the first time that it is attached.
    done: Option<Done>,
}

/// Something about the leader's memory that is on its way.
#[derive(Debug)]
enum Loose {
    /// To be told how it ended; if the leader is lost, that is how it ended too, and well.
    Ends(Done),
    /// An attachment.
    Attach(u64),
}

/// The client without its channel: what it has to say and what it waits for.
#[derive(Debug)]
struct Client {
    slot: u32,
    next_seq: u64,
    unanswered: VecDeque<Unanswered>,
    /// How many of them, from the front, are sent on the present channel, and their bytes.
    sent: usize,
    sent_bytes: usize,
    attachments: BTreeMap<u64, Attachment>,
    next_number: u64,
    loose: BTreeMap<u64, Loose>,
    /// Messages for the leader's memory that wait for a leader.
    volatile: VecDeque<(Arc<Message>, Done)>,
}

impl Client {
    fn new(slot: u32) -> Self {
        Self {
            slot,
            next_seq: 1,
            unanswered: VecDeque::new(),
            sent: 0,
            sent_bytes: 0,
            attachments: BTreeMap::new(),
            next_number: 1,
            loose: BTreeMap::new(),
            volatile: VecDeque::new(),
        }
    }

    /// Whether a leader is needed for anything.
    fn is_idle(&self) -> bool {
        self.unanswered.is_empty() && self.attachments.is_empty() && self.volatile.is_empty()
    }

    fn number(&mut self, loose: Loose) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.loose.insert(number, loose);
        number
    }

    fn handle_request(&mut self, request: Request, channel: Option<&Channel>) {
        match request {
            Request::Command { command, holders, done } => {
                let seq = self.next_seq;
                self.next_seq += 1;
                let bytes = command.footprint();
                self.unanswered.push_back(Unanswered { seq, command, holders, bytes, done });
            }
            Request::Publish { message, done } => self.volatile.push_back((message, done)),
            Request::Attach { consumer, source, prefetch, sink, done } => {
                let attachment = Attachment { source, prefetch, sink, done: Some(done) };
                self.attachments.insert(consumer, attachment);
                if let Some(channel) = channel {
                    self.attach(consumer, channel);
                }
            }
            Request::Detach { consumer, failed, done } => {
                let known = self.attachments.remove(&consumer).is_some();
                match channel {
                    Some(channel) if known => {
                        // Behind what this consumer has settled before, which may be unsent still.
                        self.send_commands(channel, usize::MAX);
                        let number = self.number(Loose::Ends(done));
                        channel.to.send(ToLeader::Detach { number, consumer, failed });
                    }
                    // No leader knows it.
                    _ => done.tell_result(Ok(())),
                }
            }
            Request::Settle { consumer, messages, how, done } => match channel {
                Some(channel) => {
                    let number = self.number(Loose::Ends(done));
                    channel.to.send(ToLeader::Settle { number, consumer, messages, how });
                }
                // They went with their leader.
                None => done.tell_result(Ok(())),
            },
        }
    }

    fn attach(&mut self, consumer: u64, channel: &Channel) {
        let Some(attachment) = self.attachments.get(&consumer) else { return };
        let (source, prefetch) = (attachment.source.clone(), attachment.prefetch);
        let number = self.number(Loose::Attach(consumer));
        channel.to.send(ToLeader::Attach { number, consumer, source, prefetch });
    }

    /// A leader takes what is said on the channel.
    fn begin(&mut self, channel: &Channel) {
        let consumers: Vec<u64> = self.attachments.keys().copied().collect();
        for consumer in consumers {
            self.attach(consumer, channel);
        }
    }

    /// Sends what may be sent.
    fn flush(&mut self, channel: &Channel) {
        self.send_commands(channel, WINDOW_COMMANDS);
        while let Some((message, done)) = self.volatile.pop_front() {
            let number = self.number(Loose::Ends(done));
            channel.to.send(ToLeader::Publish { number, message });
        }
    }

    fn send_commands(&mut self, channel: &Channel, window: usize) {
        while self.sent < window.min(self.unanswered.len())
            && (window == usize::MAX || self.sent_bytes < WINDOW_BYTES)
        {
            let next = &self.unanswered[self.sent];
            channel.to.send(ToLeader::Command {
                seq: next.seq,
                command: next.command.clone(),
                holders: next.holders.clone(),
            });
            self.sent += 1;
            self.sent_bytes += next.bytes;
        }
    }

    /// The channel is gone: everything unanswered will be sent on the next one.
    fn end(&mut self) {
        if self.sent > 0 {
            reached(Point::CommandsResent);
        }
        self.sent = 0;
        self.sent_bytes = 0;
        for attachment in self.attachments.values() {
            attachment.sink.leader_lost(self.slot);
        }
        for loose in std::mem::take(&mut self.loose).into_values() {
            match loose {
                // A message in a leader's memory may be lost with it: its sender agreed to that.
                // Sent again it might arrive twice, which nobody agreed to.
                Loose::Ends(done) => {
                    reached(Point::VolatileOperationLost);
                    done.tell_result(Ok(()));
                }
                // Attached again on the next channel.
                Loose::Attach(_) => {}
            }
        }
    }

    /// Takes in what the leader says; an error if it makes no sense, so that the channel has to be
    /// given up.
    fn handle_message(&mut self, message: FromLeader) -> Result<(), String> {
        match message {
            FromLeader::Serving { .. } | FromLeader::NotLeader { .. } => {
                return Err("a leader introduced itself twice".into());
            }
            FromLeader::Outcomes(outcomes) => {
                for (seq, outcome) in outcomes {
                    self.handle_outcome(seq, outcome)?;
                }
            }
            FromLeader::Answer { number, result } => match self.loose.remove(&number) {
                None => return Err(format!("an answer to {number}, which was not asked")),
                Some(Loose::Ends(done)) => done.tell_result(result.map_err(Refusal::Rejected)),
                Some(Loose::Attach(consumer)) => {
                    let refused = result.is_err();
                    if let Some(attachment) = self.attachments.get_mut(&consumer)
                        && let Some(done) = attachment.done.take()
                    {
                        done.tell_result(result.map_err(Refusal::Rejected));
                        if refused {
                            self.attachments.remove(&consumer);
                        }
                    }
                }
            },
            FromLeader::Deliver(delivered) => {
                if let Some(attachment) = self.attachments.get(&delivered.consumer) {
                    attachment.sink.deliver(self.slot, delivered);
                }
                // Else it has been detached, and the leader takes the message back when it hears.
            }
        }
        Ok(())
    }

    fn handle_outcome(&mut self, seq: u64, outcome: Outcome) -> Result<(), String> {
        let Some(front) = self.unanswered.front() else {
            return Err(format!("an outcome of command {seq}, and all are answered"));
        };
        if let Outcome::Gap { expected } = outcome {
            return Err(format!("the shard expects command {expected} and was sent {seq}"));
        }
        if seq != front.seq || self.sent == 0 {
            return Err(format!("an outcome of command {seq} before that of {}", front.seq));
        }
        let answered = self.unanswered.pop_front().expect("it has a front");
        self.sent -= 1;
        self.sent_bytes -= answered.bytes;
        answered.done.tell(outcome);
        Ok(())
    }
}

/// How far the client is with finding its leader.
#[derive(Debug)]
enum State {
    /// It needs none.
    Idle,
    /// Nobody led when it asked; it asks again then.
    Pausing(Instant),
    /// It has asked a node.
    Asking { channel: Channel, until: Instant },
    /// It has found it.
    Serving(Channel),
}

enum Event {
    Said(Option<FromLeader>),
    Again,
}

impl State {
    /// Cancel-safe.
    async fn next(&mut self) -> Event {
        match self {
            State::Idle => std::future::pending().await,
            State::Pausing(until) => {
                time::sleep_until(*until).await;
                Event::Again
            }
            State::Asking { channel, until } => {
                match time::timeout_at(*until, channel.from.recv()).await {
                    Ok(message) => Event::Said(message),
                    Err(_) => Event::Said(None),
                }
            }
            State::Serving(channel) => Event::Said(channel.from.recv().await),
        }
    }

    fn serving(&self) -> Option<&Channel> {
        match self {
            State::Serving(channel) => Some(channel),
            _ => None,
        }
    }
}

/// Takes in what a leader has said, and whatever else it has said by now.
fn serve(
    client: &mut Client,
    finder: &mut Finder,
    mut channel: Channel,
    mut said: Option<FromLeader>,
) -> State {
    loop {
        match said {
            None => break,
            Some(FromLeader::NotLeader { leader }) => {
                finder.hint(leader);
                break;
            }
            Some(message) => {
                if let Err(why) = client.handle_message(message) {
                    let slot = client.slot;
                    tracing::error!(slot, why, "a shard's leader is confused; asking anew");
                    break;
                }
            }
        }
        match channel.from.try_recv() {
            Ok(message) => said = Some(message),
            Err(TryRecvError::Disconnected) => said = None,
            Err(TryRecvError::Empty) => return State::Serving(channel),
        }
    }
    client.end();
    State::Pausing(finder.pause())
}

/// Runs the client of `slot` until nobody can ask it any more.
pub(super) async fn run(
    slot: u32,
    session: SessionId,
    connector: Connector,
    mut inbox: mpsc::UnboundedReceiver<Request>,
) {
    let mut client = Client::new(slot);
    let mut finder = Finder::new(slot);
    let mut state = State::Idle;
    let mut requests = Vec::new();
    loop {
        tokio::select! {
            biased;
            event = state.next() => {
                state = match (event, state) {
                    (Event::Said(said), State::Serving(channel)) => {
                        serve(&mut client, &mut finder, channel, said)
                    }
                    (Event::Said(Some(FromLeader::Serving { .. })), State::Asking { channel, .. }) => {
                        finder.found();
                        client.begin(&channel);
                        State::Serving(channel)
                    }
                    (Event::Said(said), _) => {
                        if let Some(FromLeader::NotLeader { leader }) = said {
                            finder.hint(leader);
                        }
                        State::Pausing(finder.pause())
                    }
                    (Event::Again, _) => State::Idle,
                };
            }
            count = inbox.recv_many(&mut requests, 256) => {
                if count == 0 {
                    return;
                }
                for request in requests.drain(..) {
                    client.handle_request(request, state.serving());
                }
                cpu::charge(costs::ROUTE * count as u32).await;
            }
        }
        if matches!(state, State::Idle) && !client.is_idle() {
            state = match connector.open(slot, session, finder.next(&connector)) {
                Some(channel) => State::Asking { channel, until: Instant::now() + ANSWER_WITHIN },
                None => State::Pausing(finder.pause()),
            };
        }
        if let Some(channel) = state.serving() {
            client.flush(channel);
        }
    }
}
