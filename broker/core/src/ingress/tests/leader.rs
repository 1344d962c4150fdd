//! A shard with its log and its leader, as a client of it sees them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    UnixMillis,
    channel::{FromLeader, ToLeader},
    dispatch::{ConsumerKey, Dispatcher, Limits, MessageKey},
    ingress::Doubts,
    serving::standing,
    shard::{self, Batch, Command, Content, Effect, MessageRef, Origin, SessionId, ShardState},
};

pub(super) const WALL: UnixMillis = UnixMillis(1_000);

/// A command on its way through the log.
struct Proposal {
    origin: Option<Origin>,
    command: Command,
    /// Node and channel that wait for the answer.
    answer_to: Option<(usize, u64)>,
    settles: Vec<MessageRef>,
}

/// A shard, its log and whoever leads it.
pub(super) struct Shard {
    pub(super) state: ShardState,
    /// Without a leader nobody can open a channel.
    pub(super) has_leader: bool,
    pub(super) term: u64,
    pub(super) dispatcher: Dispatcher,
    pub(super) doubts: Doubts,
    proposals: VecDeque<Proposal>,
    /// The names of messages, in the order in which they entered their queue.
    pub(super) entered: Vec<Arc<str>>,
    names: BTreeMap<MessageRef, Arc<str>>,
    /// Those that have left it.
    pub(super) left: Vec<Arc<str>>,
    /// What was said and need not hurry, until something did.
    pub(super) unhurried: Vec<u64>,
}

impl Shard {
    pub(super) fn new() -> Self {
        let state = ShardState::new();
        Self {
            dispatcher: Dispatcher::new(&state, 1, Limits::default()),
            state,
            has_leader: true,
            term: 1,
            doubts: Doubts::default(),
            proposals: VecDeque::new(),
            entered: Vec::new(),
            names: BTreeMap::new(),
            left: Vec::new(),
            unhurried: Vec::new(),
        }
    }

    /// The leader takes in what a client says, and what it answers at once.
    pub(super) fn handle(
        &mut self,
        session: SessionId,
        node: usize,
        channel: u64,
        message: ToLeader,
    ) -> Option<FromLeader> {
        let key = |number| ConsumerKey { node: session.node, number };
        let dispatcher = &mut self.dispatcher;
        let (number, result) = match message {
            ToLeader::Hurry => {
                self.unhurried.clear();
                return None;
            }
            ToLeader::Command { seq, mut command, holders, urgent } => {
                if !urgent {
                    self.unhurried.push(seq);
                }
                standing::guard(&mut command, dispatcher, &self.state);
                let settles = match &mut command {
                    Command::Settle { settles } => settles,
                    Command::Transact { work }
                    | Command::Prepare { work, .. }
                    | Command::PrepareBranch { work, .. } => &mut work.settles,
                    _ => &mut Vec::new(),
                };
                for ((message, how), holder) in settles.iter().zip(holders) {
                    let held = [(MessageKey::Stored(*message), *how)];
                    // Late acceptances count, whoever holds the message now.
                    let _ = dispatcher.settle_begin(key(holder), &held);
                }
                let settles = settles.iter().map(|(message, _)| *message).collect();
                let origin = Some(Origin { session, seq });
                let answer_to = Some((node, channel));
                self.proposals.push_back(Proposal { origin, command, answer_to, settles });
                return None;
            }
            ToLeader::AwaitRoom { .. } => panic!("no queue is bounded"),
            ToLeader::Publish { number, message } | ToLeader::PublishAgain { number, message }
                if standing::is_to_store(&message, &self.state) =>
            {
                return Some(FromLeader::Store { number });
            }
            ToLeader::PublishAgain { number, .. } => (number, Ok(())),
            ToLeader::Browse { .. } => panic!("nobody browses"),
            ToLeader::Announce { .. } | ToLeader::Withdraw { .. } => panic!("nobody says that"),
            ToLeader::Publish { number, message } => {
                standing::enter(dispatcher, &self.state, &message, WALL);
                let taken = dispatcher.handle_volatile(WALL, message);
                (number, taken.map(|_| ()).map_err(|why| why.to_string()))
            }
            ToLeader::Attach { number, consumer, subscription, is_new: _ } => {
                let resolved = standing::resolve(subscription, dispatcher, &self.state);
                let attached = resolved.and_then(|subscription| {
                    let attached = dispatcher.attach(key(consumer), subscription);
                    attached.map_err(|why| why.to_string())
                });
                (number, attached)
            }
            ToLeader::SetPrefetch { consumer, prefetch } => {
                assert!(dispatcher.set_prefetch(key(consumer), prefetch), "it is attached");
                return None;
            }
            ToLeader::Detach { number, consumer, parting } => {
                dispatcher.detach_as(&self.state, key(consumer), &parting);
                (number, Ok(()))
            }
            ToLeader::Settle { number, consumer, messages, how } => {
                let settles: Vec<_> =
                    messages.iter().map(|message| (MessageKey::Volatile(*message), how)).collect();
                let settled = dispatcher.settle_begin(key(consumer), &settles);
                (number, settled.map(|_| ()).map_err(|why| why.to_string()))
            }
        };
        Some(FromLeader::Answer { number, result })
    }

    /// Applies a command of nobody's.
    pub(super) fn make(&mut self, command: Command) {
        let (origin, answer_to, settles) = (None, None, Vec::new());
        self.proposals.push_front(Proposal { origin, command, answer_to, settles });
        self.commit_entry(1);
    }

    /// Applies so many proposals; the answers to their clients.
    pub(super) fn commit_entry(
        &mut self,
        count: usize,
    ) -> Vec<(usize, u64, (u64, shard::Outcome))> {
        while let Some(command) = self.dispatcher.poll_command() {
            let settles = Vec::new();
            self.proposals.push_back(Proposal { origin: None, command, answer_to: None, settles });
        }
        let count = count.min(self.proposals.len());
        if count == 0 {
            return Vec::new();
        }
        let entry: Vec<Proposal> = self.proposals.drain(..count).collect();
        let commands = entry.iter().map(|it| (it.origin, it.command.clone())).collect();
        let batch = Batch { now: WALL, commands };
        let applied = self.state.apply(self.state.applied() + 1, &batch);
        for effect in &applied.effects {
            match effect {
                Effect::Ready { message, .. } => {
                    // It may have left again in the same entry.
                    let id = match self.state.content(*message) {
                        Some(Content::Here(content)) => content.id.clone(),
                        _ => batch.message(message.offset).expect("it is here").id.clone(),
                    };
                    self.entered.push(id.clone());
                    self.names.insert(*message, id);
                }
                Effect::Gone { message, .. } => self.left.push(self.names[message].clone()),
                _ => {}
            }
        }
        self.dispatcher.handle_applied(&self.state, &applied);
        let mut answers = Vec::new();
        for (proposal, outcome) in entry.into_iter().zip(applied.outcomes) {
            if outcome != shard::Outcome::Done {
                self.dispatcher.settle_failed(&proposal.settles);
                if proposal.origin.is_none() {
                    self.dispatcher.command_failed(&proposal.command);
                }
            }
            if let (Some((node, channel)), Some(origin)) = (proposal.answer_to, proposal.origin) {
                answers.push((node, channel, (origin.seq, outcome)));
            }
        }
        answers
    }

    /// The leader is gone. The first `kept` of its proposals are committed all the same.
    pub(super) fn end_term(&mut self, kept: usize) {
        let kept = kept.min(self.proposals.len());
        self.proposals.truncate(kept);
        self.commit_entry(kept);
        self.proposals.clear();
        self.has_leader = false;
    }

    /// The next leader knows what is in the log.
    pub(super) fn begin_term(&mut self) {
        self.term += 1;
        self.dispatcher = Dispatcher::new(&self.state, self.term, Limits::default());
        self.doubts.clear();
    }
}
