//! A node's client of one shard: one ordered stream of commands for all its connections.
//!
//! Commands that change what is replicated are numbered without holes and kept until they are
//! answered. When the leader changes, everything unanswered is sent again in order, and the shard
//! drops what it has seen; so a change of leader neither loses nor doubles a command. Consumers are
//! attached again. What concerned the old leader's memory only has ended with it, and well: what is
//! not stored may be lost with a leader, which its sender agreed to, and is delivered once at most,
//! so that whoever acknowledges it has had it.
//!
//! A message that was on its way when its channel ended may still arrive, seconds later: the network
//! keeps what it could not deliver, and the leader may not have noticed. Its sender is told that all is
//! well when it cannot arrive any more: when the same leader has taken this client's next channel, and
//! so left the one before, or another one leads. So it never stands behind what is sent after the
//! answer, through whichever node.
//!
//! A message whose queue is full and blocks is refused by its shard and kept here until there is
//! room. So nothing stands still in the stream, and what makes room goes on.

mod announcing;
mod attaching;
mod losing;
mod room;
mod topics;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use paceline_reached::{Point, reached};
use thiserror::Error;

use self::{announcing::Announced, topics::Line};
use super::{
    Budget, ChannelId, Full, Request,
    held::{Held, Kept},
    search::Search,
};

use crate::{
    channel::{Delivered, FromLeader, ToLeader},
    dispatch::Browsed,
    operation::{Outcome, Refusal, Subscription},
    shard::{self, Command, Refused},
};

/// The most commands that may be sent and unanswered at a time; the shard remembers more.
const WINDOW_COMMANDS: usize = 4_096;

/// The most bytes that may be sent and unanswered at a time.
const WINDOW_BYTES: usize = 16 << 20;

/// Something that has happened, for who asked or who consumes.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T, S> {
    /// The shard has answered a command.
    Answered(T, shard::Outcome),
    /// What concerns a leader's memory only has ended, or what was asked was refused at once.
    Ended(T, Outcome),
    /// A message for a consumer.
    Delivered(S, ChannelId, Delivered),
    /// The leader that delivered to a consumer is gone, and with it what was not handed on yet.
    LeaderLost(S),
    /// A browser has been given all that there is for it.
    BrowseEnd(S),
    /// A message that was asked to be sent waits until its queue has room, or does so no longer.
    Held(T, bool),
    /// A leader will not deliver to a consumer that the one before delivered to, and why.
    Detached(S, String),
}

/// A leader has said what makes no sense. Its channel was given up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Confused {
    /// A channel begins once.
    #[error("a leader introduced itself twice")]
    Twice,
    /// Before it has said that it leads.
    #[error("a node that was asked whether it leads said something else")]
    NotAsked,
    /// An answer to nothing.
    #[error("an answer to question {0}, which was not asked")]
    Question(u64),
    /// Commands are answered in their order, when they have been sent.
    #[error("an outcome of command {0}, which was not its turn")]
    Command(u64),
    /// The shard has lost count.
    #[error("the shard expects command {expected} and was sent {seq}")]
    Gap {
        /// The command sent.
        seq: u64,
        /// The next one of the session, as the shard has it.
        expected: u64,
    },
}

/// A command that is not answered yet.
#[derive(Debug)]
struct Unanswered<T> {
    seq: u64,
    command: Command,
    holders: Vec<u64>,
    urgent: bool,
    bytes: usize,
    asker: T,
}

#[derive(Debug)]
struct Consumer<T, S> {
    subscription: Subscription,
    sink: S,
    /// Who waits for the first time that it is attached.
    asker: Option<T>,
    /// The term of the leader that it was attached to last.
    attached_in: Option<u64>,
    /// How far it has come, if it browses.
    browsed: Option<Browsed>,
    /// Whether it browses and has come to the end.
    ended: bool,
}

/// Something about the leader's memory that is on its way.
#[derive(Debug)]
enum Question<T> {
    /// Whoever asked is told how it ended; if the leader is lost, that is how it ended too, and well.
    Ends { asker: T },
    /// A message, which may come back. If the leader is lost it ends well, but not at once, unless it is a
    /// topic's that may have to be stored.
    Publishes { kept: Kept<T>, again: bool },
    /// A settlement, which ends well whatever the leader says: the client has had the messages.
    Settles { asker: T },
    /// An attachment.
    Attaches { consumer: u64 },
}

/// See the module's head. Times count from any beginning.
#[derive(Debug)]
pub struct ShardClient<T, S> {
    search: Search,
    /// Who was asked last, and the term in which that node leads, once it has said so.
    asked: Option<u64>,
    term: u64,
    channel: ChannelId,
    next_seq: u64,
    unanswered: VecDeque<Unanswered<T>>,
    /// How many of them, from the front, are sent on the present channel, and their bytes.
    sent: usize,
    sent_bytes: usize,
    consumers: BTreeMap<u64, Consumer<T, S>>,
    /// What is there at this node's clients, and what of it is to be said to be gone.
    announced: BTreeMap<u64, Announced>,
    departed: BTreeSet<u64>,
    next_question: u64,
    questions: BTreeMap<u64, Question<T>>,
    /// Messages for the leader's memory that wait for a leader, and their bytes.
    volatile: VecDeque<Kept<T>>,
    /// Topics' messages that were lost with a leader, before those.
    again: VecDeque<Kept<T>>,
    /// Topics of which persistent messages are to be stored, as a leader has said.
    stored: BTreeMap<Arc<str>, Line<T>>,
    /// Who sent messages on channels that have ended, and the terms of these: they may still arrive.
    adrift: Vec<(u64, T)>,
    /// What waits for room in its queue.
    held: Held<T>,
    waiting_bytes: usize,
    /// To be sent before the rest.
    output: VecDeque<ToLeader>,
    events: VecDeque<Event<T, S>>,
}

impl<T: Clone, S: Clone> ShardClient<T, S> {
    /// A client that has never asked for anything. A message is refused when its queue had no room
    /// for `room_timeout`.
    pub fn new(room_timeout: Duration) -> Self {
        Self {
            search: Search::new(),
            asked: None,
            term: 0,
            channel: ChannelId(0),
            next_seq: 1,
            unanswered: VecDeque::new(),
            sent: 0,
            sent_bytes: 0,
            consumers: BTreeMap::new(),
            announced: BTreeMap::new(),
            departed: BTreeSet::new(),
            next_question: 1,
            questions: BTreeMap::new(),
            volatile: VecDeque::new(),
            again: VecDeque::new(),
            stored: BTreeMap::new(),
            adrift: Vec::new(),
            held: Held::new(room_timeout),
            waiting_bytes: 0,
            output: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    // ---- what happened --------------------------------------------------------------------------

    /// Something is asked of the shard. Commands that carry messages, and messages that are not
    /// stored, are refused where `budget`, which counts this client's bytes too, has no room.
    pub fn handle_request(&mut self, now: Duration, request: Request<T, S>, budget: Budget) {
        match request {
            Request::Command { command: Command::Publish { message }, asker, .. }
            | Request::Publish { message, asker }
                if self.waits_behind(&message) =>
            {
                self.wait_behind(now, message, asker, budget);
            }
            Request::Command { command, holders, urgent, asker } => {
                let bytes = command.footprint();
                // What ends something is not refused: it is bounded by what it ends.
                if !command.messages().is_empty()
                    && let Err(full) = self.admit(budget, bytes)
                {
                    return self.refuse(asker, &full);
                }
                self.waiting_bytes += bytes;
                self.number(command, holders, urgent, bytes, asker);
            }
            Request::Hurry => self.hurry(),
            Request::Publish { message, asker } => {
                let bytes = message.footprint();
                if let Err(full) = self.admit(budget, bytes) {
                    return self.refuse(asker, &full);
                }
                self.waiting_bytes += bytes;
                let kept = Kept { message, bytes, asker };
                match self.is_stored(&kept.message) {
                    true => self.store(kept, false),
                    false => self.volatile.push_back(kept),
                }
            }
            Request::Attach { consumer, subscription, sink, asker } => {
                let asker = Some(asker);
                let (browsed, ended) = (None, false);
                let attached_in = None;
                let known = Consumer { subscription, sink, asker, attached_in, browsed, ended };
                self.consumers.insert(consumer, known);
                if self.search.is_found() {
                    if self.consumers[&consumer].subscription.browses {
                        // What was sent before is to be seen.
                        self.send_commands(usize::MAX, usize::MAX);
                        self.send_all_volatile();
                    }
                    self.attach(consumer);
                }
            }
            Request::SetPrefetch { consumer, prefetch } => {
                let Some(known) = self.consumers.get_mut(&consumer) else { return };
                known.subscription.prefetch = prefetch;
                if self.search.is_found() {
                    self.output.push_back(ToLeader::SetPrefetch { consumer, prefetch });
                }
            }
            Request::Detach { consumer, parting, asker } => {
                let known = self.consumers.remove(&consumer).is_some();
                if known && self.search.is_found() {
                    // Behind what this consumer has settled before, which may be unsent still.
                    self.send_commands(usize::MAX, usize::MAX);
                    let number = self.ask(Question::Ends { asker });
                    self.output.push_back(ToLeader::Detach { number, consumer, parting });
                } else {
                    // No leader knows it.
                    self.events.push_back(Event::Ended(asker, Ok(())));
                }
            }
            Request::Announce { number, presence } => self.announce(number, presence),
            Request::Withdraw { number } => self.withdraw(number),
            Request::Settle { consumer, channel, messages, how, asker } => {
                if self.search.is_found() && channel == self.channel {
                    let number = self.ask(Question::Settles { asker });
                    self.output.push_back(ToLeader::Settle { number, consumer, messages, how });
                } else {
                    // They went with their leader.
                    reached(Point::VolatileSettledLate);
                    self.events.push_back(Event::Ended(asker, Ok(())));
                }
            }
        }
    }

    /// The node that [`Self::poll_open`] named cannot be asked.
    pub fn handle_unreachable(&mut self, now: Duration) {
        self.search.handle_lost(now);
    }

    /// The far end of the channel has spoken, or, with `None`, the channel has ended. Afterwards
    /// [`Self::has_channel`] says whether it is still in use.
    ///
    /// # Errors
    /// If it makes no sense. The channel is given up then, as if it had ended.
    pub fn handle_said(&mut self, now: Duration, said: Option<FromLeader>) -> Result<(), Confused> {
        let result = match said {
            None => {
                self.handle_lost(now);
                return Ok(());
            }
            Some(FromLeader::NotLeader { leader }) => {
                self.search.hint(leader);
                self.handle_lost(now);
                return Ok(());
            }
            Some(FromLeader::Serving { term }) if self.search.is_asking() => {
                self.begin(term);
                return Ok(());
            }
            Some(_) if self.search.is_asking() => Err(Confused::NotAsked),
            Some(message) => self.handle_message(now, message),
        };
        if result.is_err() {
            self.handle_lost(now);
        }
        result
    }

    /// This node has learned who leads, and in which term. A leader of an earlier one that says
    /// nothing, and perhaps cannot, is not waited for; afterwards [`Self::has_channel`] says whether
    /// the channel is still in use.
    pub fn handle_leader(&mut self, now: Duration, leader: u64, term: u64) {
        let is_news = match self.search.is_found() {
            true => term > self.term,
            false => !self.search.is_asking() || self.asked != Some(leader),
        };
        if is_news {
            if self.search.is_found() {
                reached(Point::LeaderOvertaken);
            }
            self.search.hint(Some(leader));
            self.handle_lost(now);
        }
    }

    /// The deadline that [`Self::poll_timeout`] gave may have passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.search.is_asking() && self.search.deadline().is_some_and(|at| at <= now) {
            self.handle_lost(now);
        }
        while let Some((Kept { bytes, asker, .. }, why)) = self.held.poll_overdue(now) {
            reached(Point::RoomMissed);
            self.waiting_bytes -= bytes;
            self.events.push_back(Event::Ended(asker, Err(Refusal::Rejected(why))));
        }
        // The leader kept room for what was first.
        if self.search.is_found() {
            self.send_held();
        }
    }

    // ---- what is to be done ---------------------------------------------------------------------

    /// The node to open a channel to now, if a leader is needed and is not known yet. It answers
    /// with its first word on the channel. `known` says who leads as far as this node knows.
    pub fn poll_open(
        &mut self,
        now: Duration,
        row: &[u64],
        known: impl FnOnce() -> Option<u64>,
    ) -> Option<u64> {
        if !self.needs_leader() {
            return None;
        }
        let node = self.search.poll_open(now, row, known)?;
        self.asked = Some(node);
        Some(node)
    }

    /// When [`Self::handle_timeout`] and [`Self::poll_open`] are to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let matters = self.needs_leader() || self.search.is_asking();
        let search = self.search.deadline().filter(|_| matters);
        search.into_iter().chain(self.held.deadline()).min()
    }

    /// Whether the channel that was opened last is in use.
    pub fn has_channel(&self) -> bool {
        self.search.is_found() || self.search.is_asking()
    }

    /// What to say next on the channel.
    pub fn poll_transmit(&mut self) -> Option<ToLeader> {
        if self.output.is_empty() && self.search.is_found() {
            self.send_commands(WINDOW_COMMANDS, WINDOW_BYTES);
            self.send_all_volatile();
            if !self.held.is_empty() {
                self.send_held();
            }
        }
        self.output.pop_front()
    }

    /// What has happened next.
    pub fn poll_event(&mut self) -> Option<Event<T, S>> {
        self.events.pop_front()
    }

    /// About how many bytes wait to be answered.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    // ---- the rest -------------------------------------------------------------------------------

    fn needs_leader(&self) -> bool {
        !(self.unanswered.is_empty()
            && self.consumers.is_empty()
            && self.announced.is_empty()
            && self.volatile.is_empty()
            && self.again.is_empty()
            && self.adrift.is_empty()
            && self.held.is_empty())
    }

    fn admit(&self, budget: Budget, bytes: usize) -> Result<(), Full> {
        budget.admit(self.waiting_bytes, bytes, self.search.is_found())
    }

    fn refuse(&mut self, asker: T, full: &impl ToString) {
        reached(Point::WaitingRefused);
        let why = Refusal::Rejected(full.to_string());
        self.events.push_back(Event::Ended(asker, Err(why)));
    }

    /// Gives a command its place in the stream.
    fn number(
        &mut self,
        command: Command,
        holders: Vec<u64>,
        urgent: bool,
        bytes: usize,
        asker: T,
    ) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let unanswered = Unanswered { seq, command, holders, urgent, bytes, asker };
        self.unanswered.push_back(unanswered);
    }

    fn send_all_volatile(&mut self) {
        while let Some(kept) = self.again.pop_front() {
            self.send_volatile(kept, true);
        }
        while let Some(kept) = self.volatile.pop_front() {
            self.send_volatile(kept, false);
        }
    }

    fn send_volatile(&mut self, kept: Kept<T>, again: bool) {
        let message = kept.message.clone();
        let number = self.ask(Question::Publishes { kept, again });
        self.output.push_back(match again {
            true => ToLeader::PublishAgain { number, message },
            false => ToLeader::Publish { number, message },
        });
    }

    fn ask(&mut self, question: Question<T>) -> u64 {
        let number = self.next_question;
        self.next_question += 1;
        self.questions.insert(number, question);
        number
    }

    /// A leader takes what is said on the channel.
    fn begin(&mut self, term: u64) {
        self.search.handle_found();
        self.term = term;
        self.channel.0 += 1;
        self.forget_stored();
        for (_, asker) in self.adrift.extract_if(.., |(sent_in, _)| *sent_in <= term) {
            self.events.push_back(Event::Ended(asker, Ok(())));
        }
        let consumers: Vec<u64> = self.consumers.keys().copied().collect();
        for consumer in consumers {
            self.attach(consumer);
        }
        self.say_all_present();
    }

    fn send_commands(&mut self, window: usize, window_bytes: usize) {
        while self.sent < window.min(self.unanswered.len()) && self.sent_bytes < window_bytes {
            let next = &self.unanswered[self.sent];
            self.output.push_back(ToLeader::Command {
                seq: next.seq,
                command: next.command.clone(),
                holders: next.holders.clone(),
                urgent: next.urgent,
            });
            self.sent += 1;
            self.sent_bytes += next.bytes;
        }
    }

    /// What was sent and need not hurry must; what is not sent yet never may wait.
    fn hurry(&mut self) {
        self.unanswered.iter_mut().for_each(|command| command.urgent = true);
        if self.sent > 0 {
            self.output.push_back(ToLeader::Hurry);
        }
    }

    fn handle_message(&mut self, now: Duration, message: FromLeader) -> Result<(), Confused> {
        match message {
            FromLeader::Serving { .. } | FromLeader::NotLeader { .. } => Err(Confused::Twice),
            FromLeader::Outcomes(outcomes) => outcomes
                .into_iter()
                .try_for_each(|(seq, outcome)| self.handle_outcome(now, seq, outcome)),
            FromLeader::Answer { number, result } => self.handle_answer(number, result),
            FromLeader::Deliver(delivered) => {
                if let Some(consumer) = self.consumers.get_mut(&delivered.consumer) {
                    consumer.browsed = delivered.browsed.or(consumer.browsed);
                    let sink = consumer.sink.clone();
                    self.events.push_back(Event::Delivered(sink, self.channel, delivered));
                }
                // Else it has been detached, and the leader takes the message back when it hears.
                Ok(())
            }
            FromLeader::NoRoom { number, why } => match self.questions.remove(&number) {
                Some(Question::Publishes { kept, .. }) => {
                    self.hold(now, kept, *why);
                    Ok(())
                }
                _ => Err(Confused::Question(number)),
            },
            FromLeader::BrowseEnd { consumer } => {
                if let Some(consumer) = self.consumers.get_mut(&consumer) {
                    consumer.ended = true;
                    self.events.push_back(Event::BrowseEnd(consumer.sink.clone()));
                }
                Ok(())
            }
            FromLeader::Room { queue, room } => {
                self.held.handle_room(now, &queue, room);
                Ok(())
            }
            FromLeader::Store { number } => match self.questions.remove(&number) {
                Some(Question::Publishes { kept, again }) => {
                    self.handle_store(kept, again);
                    Ok(())
                }
                _ => Err(Confused::Question(number)),
            },
        }
    }

    fn handle_answer(&mut self, number: u64, result: Result<(), String>) -> Result<(), Confused> {
        let question = self.questions.remove(&number).ok_or(Confused::Question(number))?;
        match question {
            Question::Publishes { kept: Kept { asker, bytes, message }, .. } => {
                self.waiting_bytes -= bytes;
                self.handle_not_stored(&message);
                let result = result.map_err(Refusal::Rejected);
                self.events.push_back(Event::Ended(asker, result));
            }
            Question::Ends { asker } => {
                let result = result.map_err(Refusal::Rejected);
                self.events.push_back(Event::Ended(asker, result));
            }
            Question::Settles { asker } => self.events.push_back(Event::Ended(asker, Ok(()))),
            Question::Attaches { consumer } => {
                self.handle_attached(consumer, result);
            }
        }
        Ok(())
    }

    fn handle_outcome(
        &mut self,
        now: Duration,
        seq: u64,
        outcome: shard::Outcome,
    ) -> Result<(), Confused> {
        if let shard::Outcome::Gap { expected } = outcome {
            return Err(Confused::Gap { seq, expected });
        }
        if self.sent == 0 || self.unanswered.front().is_none_or(|front| front.seq != seq) {
            return Err(Confused::Command(seq));
        }
        let answered = self.unanswered.pop_front().expect("it has a front");
        self.sent -= 1;
        self.sent_bytes -= answered.bytes;
        let Unanswered { command, bytes, asker, .. } = answered;
        let outcome = match (outcome, command) {
            (
                shard::Outcome::Refused(Refused::Full(why)),
                Command::Publish { message } | Command::PublishWithin { message, .. },
            ) if why.waits() => {
                self.hold(now, Kept { message, bytes, asker }, *why);
                return Ok(());
            }
            (outcome, _) => outcome,
        };
        self.waiting_bytes -= bytes;
        self.events.push_back(Event::Answered(asker, outcome));
        Ok(())
    }
}
