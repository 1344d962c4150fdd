//! A shard while its replica leads: who is served, what is proposed, what is answered.
//!
//! [`Serving`] is a value that lives as long as the replica. Between
//! [`begin`](Serving::begin) and [`end`](Serving::end) it serves: clients' messages come in, with
//! what was applied and what was read; [`poll_batch`](Serving::poll_batch) gives what is to be
//! replicated next, one batch at a time, so that commands gather while one is on its way and batches
//! grow with the load by themselves; [`poll_output`](Serving::poll_output) gives what is to be said
//! and read. A client hears of its command when that is applied. When the leadership ends everybody
//! is sent elsewhere, and what only the leader knew is dropped.
//!
//! Whoever drives it owns the [`ShardState`] and passes it in; it sees to it that
//! [`dispatch`](Serving::dispatch) is called only while nobody else can lead.

mod bodies;
mod channels;
mod due;
mod gathered;
mod policies;
mod present;
mod room;
mod settling;
mod slow;
pub(crate) mod standing;
mod told;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use paceline_reached::{Point, reached};

pub use self::told::Told;
use self::{
    bodies::Bodies,
    due::DueMessages,
    gathered::{Gathered, Settles, Target},
    present::Present,
    room::RoomAwaited,
    settling::{begin_settling, given_back},
};
use crate::{
    Message, UnixMillis,
    channel::{FromLeader, ToLeader},
    dispatch::{ConsumerKey, Dispatcher, Limits, MessageKey},
    ingress::{Doubts, Inquiry},
    operation::Settlement,
    rules::Rules,
    shard::{
        Applied, Batch, Command, Effect, MessageRef, Origin, Outcome, SessionId, ShardState,
        TransactionId,
    },
};

/// Deliveries that may wait for bodies before no further ones are decided.
const DELIVERIES_WAITING: usize = 256;

/// How often transactions in doubt are looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a shard's leader works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shard's.
    pub slot: u32,
    /// Commands of one entry at most.
    pub batch_commands: usize,
    /// Bytes of one entry, about.
    pub batch_bytes: usize,
    /// How long a command that nobody waits for may wait for others to share an entry with.
    pub patience: Duration,
    /// A part of a transaction that was prepared so long ago is asked after.
    pub in_doubt_after: Duration,
    /// Bounds of a leader's memory.
    pub limits: Limits,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Say this to a client; a [`FromLeader::NotLeader`] ends its channel.
    Say {
        /// The client's.
        channel: u64,
        /// What.
        message: FromLeader,
    },
    /// Read a body, and hand it to [`Serving::handle_read`].
    Read {
        /// Of which message.
        message: MessageRef,
        /// Where in the log it stands.
        at: MessageRef,
    },
    /// Find out how this transaction ended, and end it: its ingress node may have died.
    Resolve(Inquiry),
}

/// What came of handing messages out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dispatched {
    /// How many messages were handed out.
    pub decided: usize,
    /// Whether there may be more to hand out at once.
    pub more: bool,
}

/// A client's channel.
#[derive(Debug)]
struct Client {
    session: SessionId,
    /// Whether it was told that it is served.
    served: bool,
    outcomes: Vec<(u64, Outcome)>,
}

/// What lives as long as one leadership.
#[derive(Debug)]
struct Term {
    number: u64,
    dispatcher: Dispatcher,
    gathered: Gathered,
    /// The batch that was proposed and is not applied: in which entry, and who is told.
    proposed: Option<(u64, Vec<Target>)>,
    /// The channel of each consumer.
    consumers: BTreeMap<ConsumerKey, u64>,
    present: Present,
    bodies: Bodies,
    /// What transactions settle that are prepared and not ended.
    prepared: BTreeMap<TransactionId, Settles>,
    doubts: Doubts,
    next_look: Duration,
    due: DueMessages,
    room_awaited: RoomAwaited,
    /// Those of the state, once what is under way is applied.
    rules: Arc<Rules>,
}

/// See the module.
#[derive(Debug)]
pub struct Serving<T> {
    settings: Settings,
    told: T,
    clients: BTreeMap<u64, Client>,
    /// Clients for whom something was applied.
    to_answer: Vec<u64>,
    term: Option<Term>,
    output: VecDeque<Output>,
}

impl<T: Told> Serving<T> {
    /// Of a replica that does not lead yet.
    pub fn new(settings: Settings, told: T) -> Self {
        let (clients, output) = (BTreeMap::new(), VecDeque::new());
        Self { settings, told, clients, to_answer: Vec::new(), term: None, output }
    }

    /// The term that is being served.
    pub fn term(&self) -> Option<u64> {
        self.term.as_ref().map(|term| term.number)
    }

    /// What is to be done next, until there is nothing more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// About how many bytes messages take that only this leader has.
    pub fn volatile_bytes(&self) -> usize {
        self.term.as_ref().map_or(0, |term| term.dispatcher.volatile_bytes())
    }

    /// From now on they may take so many.
    pub fn limit_volatile(&mut self, bytes: usize) {
        self.settings.limits.volatile_bytes = bytes;
        if let Some(term) = &mut self.term {
            term.dispatcher.limit_volatile(bytes);
        }
    }

    // Leadership.

    /// Begins to serve in a term, of which the first entry and everything before it is applied.
    pub fn begin(&mut self, state: &ShardState, term: u64, now: Duration) {
        reached(Point::TermBegun);
        self.told.begun(term);
        self.term = Some(Term {
            number: term,
            dispatcher: Dispatcher::new(state, term, self.settings.limits.clone()),
            gathered: Gathered::default(),
            proposed: None,
            consumers: BTreeMap::new(),
            present: Present::default(),
            bodies: Bodies::default(),
            prepared: BTreeMap::new(),
            doubts: Doubts::default(),
            next_look: now,
            due: DueMessages::default(),
            room_awaited: RoomAwaited::default(),
            rules: Arc::new(state.rules().clone()),
        });
        if let Some(term) = &mut self.term {
            term.have_rules(self.settings.limits.rules.clone());
        }
        for (channel, client) in &mut self.clients {
            serve(&mut self.output, *channel, client, term);
        }
    }

    /// Stops serving, if it does. What was proposed and not applied may still be applied by the next
    /// leader; its clients ask there.
    pub fn end(&mut self, leader: Option<u64>) {
        if let Some(term) = self.term.take() {
            self.told.ended(term.number);
        }
        self.turn_away(leader);
    }

    /// Sends all clients to the leader, or to look for one.
    pub fn turn_away(&mut self, leader: Option<u64>) {
        for channel in std::mem::take(&mut self.clients).into_keys() {
            let message = FromLeader::NotLeader { leader };
            self.output.push_back(Output::Say { channel, message });
        }
    }

    // What clients say.

    /// A client has said something.
    pub fn handle_message(
        &mut self,
        state: &ShardState,
        channel: u64,
        message: ToLeader,
        wall: UnixMillis,
    ) {
        let Some(client) = self.clients.get(&channel).filter(|client| client.served) else {
            return;
        };
        let Some(term) = &mut self.term else { return };
        let node = client.session.node;
        let key = |number| ConsumerKey { node, number };
        let (number, result) = match message {
            ToLeader::Command { seq, mut command, holders, urgent } => {
                room::bind(&mut command, &self.settings.limits.bounds, state, &term.dispatcher);
                standing::guard(&mut command, &term.dispatcher, state);
                let origin = Origin { session: client.session, seq };
                return term.gather(channel, origin, command, &holders, urgent);
            }
            ToLeader::Hurry => return term.gathered.hurry(),
            ToLeader::AwaitRoom { queue, size } => {
                term.room_awaited.push(channel, queue, size);
                return self.find_room(state);
            }
            ToLeader::Publish { number, message } | ToLeader::PublishAgain { number, message }
                if standing::is_to_store(&message, state) =>
            {
                reached(Point::TopicToStore);
                let message = FromLeader::Store { number };
                return self.output.push_back(Output::Say { channel, message });
            }
            ToLeader::PublishAgain { number, .. } => (number, Ok(())),
            ToLeader::Publish { number, message } => {
                let (bounds, here) = (&self.settings.limits.bounds, (state, &term.dispatcher));
                let full = term.room_awaited.refuse(channel, &message, bounds, here);
                if let Some(full) = full {
                    let message = match full.waits() {
                        true => FromLeader::NoRoom { number, why: Box::new(full) },
                        false => FromLeader::Answer { number, result: Err(full.to_string()) },
                    };
                    return self.output.push_back(Output::Say { channel, message });
                }
                standing::enter(&mut term.dispatcher, state, &message, wall);
                let taken = term.dispatcher.handle_volatile(wall, message);
                (number, taken.map(drop).map_err(|why| why.to_string()))
            }
            ToLeader::Announce { number, presence, is_news } => {
                let dispatcher = &mut term.dispatcher;
                return term.present.announce(key(number), channel, presence, is_news, dispatcher);
            }
            ToLeader::Withdraw { number } => {
                return term.present.withdraw(key(number), &mut term.dispatcher);
            }
            ToLeader::Attach { number, consumer, subscription, is_new } => {
                let consumer = key(consumer);
                let source = subscription.source.clone();
                let resolved = standing::resolve(subscription, &term.dispatcher, state);
                let attached = resolved.and_then(|subscription| {
                    let attached = term.dispatcher.attach(consumer, subscription);
                    attached.map_err(|why| why.to_string())
                });
                if attached.is_ok() {
                    term.consumers.insert(consumer, channel);
                    self.told.attached(term.number, consumer);
                    if is_new {
                        term.present.listen(consumer, &source, &mut term.dispatcher);
                    }
                }
                (number, attached)
            }
            ToLeader::Browse { number, consumer, subscription, after } => {
                let consumer = key(consumer);
                let begun = term.dispatcher.browse(state, consumer, &subscription, after);
                if begun.is_ok() {
                    term.consumers.insert(consumer, channel);
                }
                (number, begun.map_err(|why| why.to_string()))
            }
            ToLeader::SetPrefetch { consumer, prefetch } => {
                let consumer = key(consumer);
                let is_told = !term.dispatcher.is_browser(consumer);
                if term.dispatcher.set_prefetch(consumer, prefetch) && is_told {
                    self.told.prefetch_set(term.number, consumer, prefetch);
                }
                return;
            }
            ToLeader::Detach { number, consumer, parting } => {
                let consumer = key(consumer);
                if term.consumers.remove(&consumer).is_some() {
                    term.bodies.forget(consumer);
                    term.present.forget_listener(consumer);
                    send_ready(term, &self.clients, &mut self.output);
                    let is_told = !term.dispatcher.is_browser(consumer);
                    term.dispatcher.detach_as(state, consumer, &parting);
                    if is_told {
                        self.told.detached(term.number, consumer);
                    }
                }
                (number, Ok(()))
            }
            ToLeader::Settle { number, consumer, messages, how } => {
                let consumer = key(consumer);
                let messages = messages.into_iter().map(MessageKey::Volatile);
                let settles: Vec<_> = messages.map(|message| (message, how)).collect();
                let begun = term.dispatcher.settle_begin(consumer, &settles);
                if begun.is_ok() && !term.dispatcher.is_browser(consumer) {
                    for (message, how) in settles {
                        self.told.settled(term.number, consumer, message, how);
                    }
                }
                (number, begun.map(drop).map_err(|why| why.to_string()))
            }
        };
        let message = FromLeader::Answer { number, result };
        self.output.push_back(Output::Say { channel, message });
        self.find_room(state);
    }

    // What is replicated.

    /// What is to be proposed next. [`Serving::proposed`] is to follow.
    pub fn poll_batch(&mut self, wall: UnixMillis, now: Duration) -> Option<Batch> {
        let term = self.term.as_mut().filter(|term| term.proposed.is_none())?;
        while let Some(command) = term.dispatcher.poll_command() {
            term.gathered.push(None, command.clone(), Target::Dispatcher(command), true);
        }
        let Settings { batch_commands, batch_bytes, patience, .. } = self.settings;
        if !term.gathered.is_due(now, patience) {
            return None;
        }
        let (batch, targets) = term.gathered.take(batch_commands, batch_bytes, wall);
        term.proposed = Some((0, targets));
        Some(batch)
    }

    /// The batch polled last is the log's entry at `index`, of the term that is being served.
    pub fn proposed(&mut self, index: u64) {
        let proposed = self.term.as_mut().and_then(|term| term.proposed.as_mut());
        proposed.expect("a batch was polled").0 = index;
    }

    /// Whether nothing is on its way through the log.
    pub fn is_at_rest(&self) -> bool {
        self.term.as_ref().is_none_or(|term| term.proposed.is_none())
    }

    /// An entry of the log was applied to `state`; to be called for each that holds a batch, while
    /// a term is being served.
    pub fn handle_applied(&mut self, state: &ShardState, applied: Applied) {
        let Some(term) = &mut self.term else { return };
        term.dispatcher.handle_applied(state, &applied);
        // Others were proposed before this term was served.
        let Some((_, targets)) = term.proposed.take_if(|(index, _)| *index == applied.index) else {
            return;
        };
        assert_eq!(targets.len(), applied.outcomes.len(), "another batch was applied");
        let as_dead: BTreeMap<MessageRef, MessageRef> =
            applied.effects.iter().filter_map(Effect::accepted_dead).collect();
        for (target, outcome) in targets.into_iter().zip(applied.outcomes) {
            let done = outcome == Outcome::Done;
            match target {
                Target::Client { channel, seq, settles, prepares } => {
                    if let Some(transaction) = prepares.filter(|_| done) {
                        term.prepared.insert(transaction, settles);
                    } else if done {
                        for (message, how, holder) in settles {
                            // Who had it twice may have refused it before.
                            let dead = as_dead.get(&message);
                            let dead = dead.filter(|_| how == Settlement::Accept);
                            let now = MessageKey::Stored(dead.copied().unwrap_or(message));
                            self.told.settled(term.number, holder, now, how);
                        }
                    } else if !settles.is_empty() {
                        let messages: Vec<MessageRef> =
                            settles.iter().map(|(message, ..)| *message).collect();
                        term.dispatcher.settle_failed(&messages);
                    }
                    if let Some(client) = self.clients.get_mut(&channel) {
                        if client.outcomes.is_empty() {
                            self.to_answer.push(channel);
                        }
                        client.outcomes.push((seq, outcome));
                    }
                }
                Target::Dispatcher(command) => {
                    if !done {
                        term.dispatcher.command_failed(&command);
                    }
                }
                Target::Leader => {}
                Target::Due(at) => term.due.handle_applied(at),
            }
        }
        for channel in self.to_answer.drain(..) {
            let Some(client) = self.clients.get_mut(&channel) else { continue };
            let message = FromLeader::Outcomes(std::mem::take(&mut client.outcomes));
            self.output.push_back(Output::Say { channel, message });
        }
        self.find_room(state);
    }

    // What goes out.

    /// Hands up to `at_most` messages to consumers with credit.
    pub fn dispatch(&mut self, state: &ShardState, at_most: usize, wall: UnixMillis) -> Dispatched {
        let Some(term) = &mut self.term else { return Dispatched::default() };
        let mut decided = 0;
        while decided < at_most
            && term.bodies.waiting() < DELIVERIES_WAITING
            && let Some(delivery) = term.dispatcher.poll_delivery(state, wall)
        {
            decided += 1;
            if delivery.browsed.is_none() {
                self.told.dispatched(term.number, &delivery);
            }
            if let Some((message, at)) = term.bodies.push(delivery) {
                self.output.push_back(Output::Read { message, at });
            } else {
                send_ready(term, &self.clients, &mut self.output);
            }
        }
        while let Some(browser) = term.dispatcher.poll_browsed() {
            term.bodies.push_end(browser);
            send_ready(term, &self.clients, &mut self.output);
        }
        while let Some((message, at)) = term.dispatcher.poll_read() {
            self.output.push_back(Output::Read { message, at });
        }
        let more = decided == at_most || term.dispatcher.is_unfinished();
        // What had expired is dropped when its turn comes.
        self.find_room(state);
        Dispatched { decided, more }
    }

    /// A body that was asked for was read, or could not be: then the message stays with its
    /// consumer, who never sees it, until it goes away.
    pub fn handle_read(
        &mut self,
        state: &ShardState,
        message: MessageRef,
        written: Option<Arc<Message>>,
    ) {
        let Some(term) = &mut self.term else { return };
        if term.due.has_asked_for(message) {
            if let Some(command) = term.due.handle_read(message, written.as_deref()) {
                term.gathered.push(None, command, Target::Due(message), true);
            }
            return;
        }
        if term.dispatcher.handle_read(state, message, written.as_ref()) {
            return;
        }
        let body = written.and_then(|written| state.compose(message, &written));
        if let Some(body) = &body {
            self.told.read_back(term.number, MessageKey::Stored(message), body);
        }
        term.bodies.loaded(message, body);
        send_ready(term, &self.clients, &mut self.output);
    }

    // What has no event of its own.

    /// When [`Serving::handle_timeout`] is to be called: how long from `wall` and `now` on.
    pub fn poll_timeout(
        &self,
        state: &ShardState,
        wall: UnixMillis,
        now: Duration,
    ) -> Option<Duration> {
        let term = self.term.as_ref()?;
        let in_time = |at: UnixMillis| {
            let left = Duration::from_millis(at.0.saturating_sub(wall.0));
            now + left.max(Duration::from_millis(1))
        };
        let expiry = term.dispatcher.poll_timeout().map(in_time);
        let delivery = term.due.poll_timeout(state).map(in_time);
        let ends = state.prepared().next().is_some() || state.decided().next().is_some();
        let ends = ends || term.due.has_failed();
        let look = ends.then_some(term.next_look);
        let at_rest = term.proposed.is_none();
        let due = at_rest.then(|| term.gathered.due_at(now, self.settings.patience)).flatten();
        expiry.into_iter().chain(delivery).chain(look).chain(due).min()
    }

    /// Whether something that was gathered has waited long enough by `now`. Of that
    /// [`Serving::poll_timeout`] speaks as long as it is to come: once it is there, it is to be proposed at
    /// the next opportunity.
    pub fn has_waited(&self, now: Duration) -> bool {
        let term = self.term.as_ref();
        term.is_some_and(|term| term.gathered.has_waited(now, self.settings.patience))
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, state: &ShardState, wall: UnixMillis, now: Duration) {
        let Some(term) = &mut self.term else { return };
        term.dispatcher.handle_timeout(state, wall);
        self.find_room(state);
        let Some(term) = &mut self.term else { return };
        let reads = term.due.handle_timeout(state, wall);
        self.output.extend(reads.into_iter().map(|at| Output::Read { message: at, at }));
        if now < term.next_look {
            return;
        }
        term.next_look = now + LOOK_EVERY;
        term.due.try_again();
        let Settings { slot, in_doubt_after, .. } = self.settings;
        let due = term.doubts.look(now, in_doubt_after, slot, state);
        self.output.extend(due.into_iter().map(Output::Resolve));
    }
}

impl Term {
    fn gather(
        &mut self,
        channel: u64,
        origin: Origin,
        mut command: Command,
        holders: &[u64],
        urgent: bool,
    ) {
        let node = origin.session.node;
        let mut settles = begin_settling(&mut self.dispatcher, node, &mut command, holders);
        match &command {
            Command::Finish { transaction, commit } => {
                let prepared = self.prepared.remove(transaction);
                settles = prepared.filter(|_| *commit).unwrap_or_default();
            }
            Command::GiveBack { transaction } => {
                settles = given_back(self.prepared.remove(transaction));
            }
            _ => {}
        }
        let prepares = command.prepares();
        let target = Target::Client { channel, seq: origin.seq, settles, prepares };
        // Its own next deliveries may wait for what a consumer ends.
        let key = |number: &u64| ConsumerKey { node, number: *number };
        let urgent = urgent || holders.iter().any(|holder| self.dispatcher.is_short(key(holder)));
        self.gathered.push(Some(origin), command, target, urgent);
    }
}

fn serve(output: &mut VecDeque<Output>, channel: u64, client: &mut Client, term: u64) {
    if !client.served {
        client.served = true;
        output.push_back(Output::Say { channel, message: FromLeader::Serving { term } });
    }
}

/// Sends the deliveries whose bodies are there.
fn send_ready(term: &mut Term, clients: &BTreeMap<u64, Client>, output: &mut VecDeque<Output>) {
    while let Some((consumer, message)) = term.bodies.pop() {
        // A consumer that has gone in the meantime has given everything back.
        let channel = term.consumers.get(&consumer).filter(|channel| clients.contains_key(channel));
        if let Some(channel) = channel {
            output.push_back(Output::Say { channel: *channel, message });
        }
    }
}
