mod policies;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    Destination,
    bounds::Bounds,
    dispatch::VolatileId,
    operation::{Settlement, Subscription},
    shard::Refused,
    testing::message,
};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_millis(50);
pub(super) const NOW: UnixMillis = UnixMillis(1_000_000);

/// A leader alone: what it proposes is applied when [`World::apply`] says so.
pub(super) struct World {
    state: ShardState,
    serving: Serving<()>,
    now: Duration,
    wall: UnixMillis,
    next: u64,
    under_way: Option<Batch>,
    said: BTreeMap<u64, Vec<FromLeader>>,
    reads: Vec<(MessageRef, MessageRef)>,
    doubts: Vec<Inquiry>,
}

impl World {
    fn new() -> Self {
        Self::within(Bounds::default())
    }

    fn within(bounds: Bounds) -> Self {
        let settings = Settings {
            slot: 3,
            batch_commands: 8,
            batch_bytes: 1 << 20,
            patience: PATIENCE,
            in_doubt_after: 5 * SECOND,
            limits: Limits { bounds: Arc::new(bounds), ..Limits::default() },
        };
        Self {
            state: ShardState::new(),
            serving: Serving::new(settings, ()),
            now: Duration::ZERO,
            wall: NOW,
            next: 1,
            under_way: None,
            said: BTreeMap::new(),
            reads: Vec::new(),
            doubts: Vec::new(),
        }
    }

    pub(super) fn led() -> Self {
        Self::bounded(Bounds::default())
    }

    /// One that leads, of queues with bounds.
    pub(super) fn bounded(bounds: Bounds) -> Self {
        let mut world = Self::within(bounds);
        world.serving.begin(&world.state, 1, Duration::ZERO);
        world
    }

    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.serving.set_policies(&self.state, Arc::new(bounds), Arc::default());
        self.settle_outputs();
    }

    /// The session of a channel.
    pub(super) fn session(&self, channel: u64) -> SessionId {
        self.serving.clients[&channel].session
    }

    pub(super) fn open(&mut self, channel: u64) {
        self.serving.handle_opened(channel, SessionId { node: channel, incarnation: 1 });
        self.settle_outputs();
    }

    pub(super) fn close(&mut self, channel: u64) {
        self.serving.handle_closed(channel);
        self.settle_outputs();
    }

    pub(super) fn say(&mut self, channel: u64, message: ToLeader) {
        self.serving.handle_message(&self.state, channel, message, NOW);
        self.settle_outputs();
    }

    pub(super) fn command(&mut self, channel: u64, seq: u64, command: Command) {
        self.say(channel, ToLeader::Command { seq, command, holders: vec![1], urgent: true });
    }

    /// The consumer of a channel acknowledges, and does not wait for it.
    fn acknowledge(&mut self, channel: u64, seq: u64, message: MessageRef) {
        let command = Command::Settle { settles: vec![(message, Settlement::Accept)] };
        self.say(channel, ToLeader::Command { seq, command, holders: vec![1], urgent: false });
    }

    /// When the time is to be looked at.
    fn due(&self) -> Option<Duration> {
        self.serving.poll_timeout(&self.state, NOW, self.now)
    }

    fn attach(&mut self, channel: u64, prefetch: u32) {
        let source = Destination::queue("q").unwrap();
        let subscription = Subscription::new(source, prefetch);
        self.say(channel, ToLeader::Attach { number: 1, consumer: 1, subscription, is_new: true });
    }

    /// Stores so many messages whose bodies are on the disk alone.
    fn store_away(&mut self, count: u64) {
        for seq in 1..=count {
            self.command(1, seq, publish());
            self.carry_out();
        }
        self.state.evict_to(0);
    }

    /// Proposes what there is, unless something is under way.
    fn propose(&mut self) -> usize {
        let Some(batch) = self.serving.poll_batch(self.wall, self.now) else { return 0 };
        assert!(self.under_way.is_none(), "one batch at a time");
        self.serving.proposed(self.next);
        let commands = batch.commands.len();
        self.under_way = Some(batch);
        commands
    }

    fn apply(&mut self) {
        let batch = self.under_way.take().expect("something was proposed");
        let applied = self.state.apply(self.next, &batch);
        self.next += 1;
        self.serving.handle_applied(&self.state, applied);
        self.settle_outputs();
    }

    pub(super) fn carry_out(&mut self) {
        while self.propose() > 0 {
            self.apply();
        }
    }

    pub(super) fn is_consumed(&self, durable: &crate::durable::Durable) -> Option<bool> {
        self.serving.is_consumed(durable)
    }

    pub(super) fn dispatch(&mut self) -> usize {
        let dispatched = self.serving.dispatch(&self.state, 100, NOW);
        self.settle_outputs();
        dispatched.decided
    }

    fn settle_outputs(&mut self) {
        while let Some(output) = self.serving.poll_output() {
            match output {
                Output::Say { channel, message } => {
                    self.said.entry(channel).or_default().push(message);
                }
                Output::Read { message, at } => self.reads.push((message, at)),
                Output::Resolve(inquiry) => self.doubts.push(inquiry),
            }
        }
    }

    pub(super) fn take(&mut self, channel: u64) -> Vec<FromLeader> {
        self.said.remove(&channel).unwrap_or_default()
    }

    pub(super) fn outcomes(&mut self, channel: u64) -> Vec<(u64, Outcome)> {
        let said = self.take(channel).into_iter();
        let outcomes = said.filter_map(|said| match said {
            FromLeader::Outcomes(outcomes) => Some(outcomes),
            _ => None,
        });
        outcomes.flatten().collect()
    }

    /// In how many milliseconds of its wall clock the time is to be looked at.
    pub(super) fn due_in(&self, wall: UnixMillis) -> Option<u64> {
        let due = self.serving.poll_timeout(&self.state, wall, self.now)?;
        Some((due - self.now).as_millis() as u64)
    }

    /// Its wall clock shows that time. What is to be read.
    pub(super) fn pass(&mut self, wall: UnixMillis) -> Vec<MessageRef> {
        self.wall = wall;
        self.serving.handle_timeout(&self.state, wall, self.now);
        self.settle_outputs();
        self.reads.drain(..).map(|(message, _)| message).collect()
    }

    pub(super) fn pass_seconds(&mut self, seconds: u32) {
        self.now += seconds * SECOND;
    }

    pub(super) fn read(&mut self, message: MessageRef, written: Option<Message>) {
        self.serving.handle_read(&self.state, message, written.map(Arc::new));
        self.settle_outputs();
    }

    pub(super) fn depth(&self, queue: &str) -> u64 {
        self.state.depth(queue)
    }

    pub(super) fn waiting(&self) -> u64 {
        self.state.waiting_count()
    }

    fn delivered(&mut self, channel: u64) -> Vec<MessageKey> {
        let said = self.take(channel).into_iter();
        said.filter_map(|said| match said {
            FromLeader::Deliver(delivered) => Some(delivered.key),
            _ => None,
        })
        .collect()
    }
}

fn publish() -> Command {
    Command::Publish { message: Arc::new(message("q", "m")) }
}

#[test]
fn clients_wait_until_it_serves_and_are_sent_away_when_it_ends() {
    let mut world = World::new();
    world.open(1);
    world.command(1, 1, publish());
    assert_eq!(world.take(1), vec![], "it was not told that it is served");
    world.serving.begin(&world.state, 3, Duration::ZERO);
    world.settle_outputs();
    assert_eq!(world.take(1), vec![FromLeader::Serving { term: 3 }]);
    assert_eq!(world.propose(), 0, "what was said before is lost, and said again");
    world.serving.end(Some(9));
    world.settle_outputs();
    assert_eq!(world.take(1), vec![FromLeader::NotLeader { leader: Some(9) }]);
    world.command(1, 1, publish());
    assert_eq!(world.propose(), 0);
}

#[test]
fn commands_gather_while_a_batch_is_under_way() {
    let mut world = World::led();
    world.open(1);
    world.command(1, 1, publish());
    assert_eq!(world.propose(), 1);
    (2..=12).for_each(|seq| world.command(1, seq, publish()));
    assert_eq!(world.propose(), 0, "one batch at a time");
    assert_eq!(world.outcomes(1), vec![], "nobody hears of what is not applied");
    world.apply();
    assert_eq!(world.outcomes(1), vec![(1, Outcome::Done)]);
    assert_eq!(world.propose(), 8, "as many as fit");
    world.apply();
    assert_eq!(world.propose(), 3);
    world.apply();
    assert_eq!(world.outcomes(1).len(), 11);
}

#[test]
fn what_another_leader_proposed_is_nobodys_answer() {
    let mut world = World::led();
    world.open(1);
    world.command(1, 1, publish());
    assert_eq!(world.propose(), 1);
    world.serving.end(None);
    world.serving.begin(&world.state, 2, Duration::ZERO);
    world.open(1);
    world.apply();
    assert_eq!(world.outcomes(1), vec![]);
    world.command(1, 1, publish());
    world.carry_out();
    assert_eq!(world.outcomes(1), vec![(1, Outcome::Duplicate)], "it was carried out, once");
    assert_eq!(world.state.resident(), 1);
}

#[test]
fn a_nodes_next_life_ends_the_channels_of_the_last() {
    let mut world = World::led();
    world.open(1);
    world.attach(1, 10);
    world.command(1, 1, publish());
    world.carry_out();
    assert_eq!(world.dispatch(), 1);
    world.take(1);
    world.serving.handle_opened(2, SessionId { node: 1, incarnation: 2 });
    world.settle_outputs();
    let ended = FromLeader::NotLeader { leader: None };
    assert_eq!(world.take(1), vec![ended], "it may have a reader yet, who must not wait for ever");
    world.attach(2, 10);
    world.carry_out();
    assert_eq!(world.dispatch(), 1, "what it held is handed out again");
    assert_eq!(world.delivered(2).len(), 1);
}

#[test]
fn a_body_that_is_read_holds_back_what_comes_after_it() {
    let mut world = World::led();
    world.open(1);
    world.attach(1, 10);
    for seq in 1..=3 {
        world.command(1, seq, publish());
        world.carry_out();
    }
    let first = MessageRef::new(1, 0, 0);
    assert!(world.state.evict(first));
    world.take(1);
    assert_eq!(world.dispatch(), 3);
    assert_eq!(world.reads, vec![(first, first)]);
    assert_eq!(world.delivered(1), vec![]);
    world.serving.handle_read(&world.state, first, Some(Arc::new(message("q", "m"))));
    world.settle_outputs();
    let keys = (1..=3).map(|index| MessageKey::Stored(MessageRef::new(index, 0, 0)));
    assert_eq!(world.delivered(1), keys.collect::<Vec<_>>());
}

#[test]
fn a_settlement_that_the_log_refuses_leaves_the_message_with_its_consumer() {
    let mut world = World::led();
    world.open(1);
    world.attach(1, 1);
    world.command(1, 1, publish());
    world.command(1, 2, publish());
    world.carry_out();
    assert_eq!(world.dispatch(), 1);
    let held = MessageRef::new(1, 0, 0);
    let gone = MessageRef::new(1, 7, 0);
    let work = |message| crate::shard::Work {
        publishes: Vec::new(),
        settles: vec![(held, Settlement::Accept), (message, Settlement::Accept)],
    };
    world.command(1, 3, Command::Transact { work: work(gone) });
    world.carry_out();
    let refused = Outcome::Refused(Refused::MessageGone(gone));
    assert_eq!(world.outcomes(1).pop(), Some((3, refused)));
    assert_eq!(world.dispatch(), 0, "its consumer holds it still");
    world.command(1, 4, Command::Settle { settles: vec![(held, Settlement::Accept)] });
    world.carry_out();
    assert_eq!(world.outcomes(1).pop(), Some((4, Outcome::Done)));
    assert_eq!(world.dispatch(), 1, "the next one is free to go");
}

#[test]
fn refusing_late_is_left_out_and_accepting_late_counts() {
    let mut world = World::led();
    world.open(1);
    world.command(1, 1, publish());
    world.command(1, 2, publish());
    world.carry_out();
    let [first, second] = [0, 1].map(|command| MessageRef::new(1, command, 0));
    // Nobody holds them under this leader.
    world.command(1, 3, Command::Settle { settles: vec![(first, Settlement::Reject)] });
    world.command(1, 4, Command::Settle { settles: vec![(second, Settlement::Accept)] });
    world.carry_out();
    assert_eq!(world.state.redeliveries(first), Some(0));
    assert_eq!(world.state.redeliveries(second), None);
}

#[test]
fn a_transaction_in_doubt_is_asked_after_again_and_again() {
    let mut world = World::led();
    world.open(1);
    let transaction = TransactionId { session: SessionId { node: 1, incarnation: 1 }, number: 1 };
    let work = crate::shard::Work { publishes: vec![Arc::new(message("q", "m"))], settles: vec![] };
    world.command(1, 1, Command::Prepare { transaction, coordinator: 4, work });
    world.carry_out();
    let mut asked = Vec::new();
    for second in 0..=12 {
        let now = second * SECOND;
        let due = world.serving.poll_timeout(&world.state, NOW, now).expect("it looks after it");
        assert!(due <= now + SECOND);
        world.serving.handle_timeout(&world.state, NOW, now);
        world.settle_outputs();
        asked.extend(world.doubts.drain(..).map(|inquiry| (second, inquiry.command().0)));
    }
    assert_eq!(asked, vec![(5, 4), (10, 4)]);
    world.command(1, 2, Command::Finish { transaction, commit: true });
    world.carry_out();
    assert_eq!(world.serving.poll_timeout(&world.state, NOW, SECOND), None);
}

#[test]
fn what_only_the_leader_has_is_answered_at_once() {
    let mut world = World::led();
    world.open(1);
    world.take(1);
    let volatile = Arc::new(Message { persistent: false, ..message("q", "m") });
    world.say(1, ToLeader::Publish { number: 7, message: volatile });
    world.attach(1, 10);
    assert_eq!(world.dispatch(), 1);
    let key = VolatileId { term: 1, number: 1 };
    let settle = |number| ToLeader::Settle {
        number,
        consumer: 1,
        messages: vec![key],
        how: Settlement::Accept,
    };
    world.say(1, settle(8));
    world.say(1, settle(9));
    let answers: Vec<(u64, bool)> = world
        .take(1)
        .into_iter()
        .filter_map(|said| match said {
            FromLeader::Answer { number, result } => Some((number, result.is_ok())),
            _ => None,
        })
        .collect();
    assert_eq!(answers, vec![(7, true), (1, true), (8, true), (9, false)]);
    assert_eq!(world.propose(), 0, "nothing of it is in the log");
}

/// A consumer with a window of this size that holds so many messages.
fn consuming(prefetch: u32, messages: u64) -> World {
    let mut world = World::led();
    world.open(1);
    world.attach(1, prefetch);
    for seq in 1..=messages {
        world.command(1, seq, publish());
        world.carry_out();
    }
    assert_eq!(world.dispatch() as u64, messages);
    world.take(1);
    world
}

fn nth(index: u64) -> MessageRef {
    MessageRef::new(index, 0, 0)
}

#[test]
fn an_acknowledgement_that_nobody_waits_for_rides_with_the_next_command() {
    let mut world = consuming(100, 2);
    world.acknowledge(1, 3, nth(1));
    world.acknowledge(1, 4, nth(2));
    assert_eq!(world.propose(), 0);
    assert_eq!(world.due(), Some(PATIENCE));
    world.now = PATIENCE / 2;
    world.command(1, 5, publish());
    assert_eq!(world.propose(), 3, "all of it in one entry");
    world.apply();
    let seqs: Vec<u64> = world.outcomes(1).into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(seqs, vec![3, 4, 5], "in the order in which it was said");
    assert_eq!(world.due(), None);
    world.dispatch();
    world.acknowledge(1, 6, nth(3));
    assert_eq!(world.propose(), 0, "the next one waits again");
}

#[test]
fn an_acknowledgement_waits_no_longer_than_it_may() {
    let mut world = consuming(100, 1);
    world.now = SECOND;
    world.acknowledge(1, 2, nth(1));
    assert_eq!(world.propose(), 0);
    world.now += PATIENCE - Duration::from_millis(1);
    assert_eq!(world.propose(), 0);
    assert_eq!(world.due(), Some(SECOND + PATIENCE));
    assert!(!world.serving.has_waited(world.now));
    world.now = SECOND + PATIENCE;
    assert_eq!(world.due(), None, "whoever has not taken it by then need not be told again");
    assert!(world.serving.has_waited(world.now), "it is not taken for nothing");
    assert_eq!(world.propose(), 1);
}

#[test]
fn what_hurries_takes_what_was_said_before_with_it() {
    let mut world = consuming(100, 1);
    world.acknowledge(1, 2, nth(1));
    assert_eq!(world.propose(), 0);
    world.say(1, ToLeader::Hurry);
    assert_eq!(world.propose(), 1);
    world.apply();
    world.say(1, ToLeader::Hurry);
    world.acknowledge(1, 3, nth(1));
    assert_eq!(world.propose(), 0, "what is said later is not hurried by it");
}

#[test]
fn an_acknowledgement_that_makes_room_for_its_consumer_does_not_wait() {
    let mut world = consuming(4, 2);
    world.acknowledge(1, 3, nth(1));
    assert_eq!(world.propose(), 1);
    let mut world = consuming(4, 1);
    world.acknowledge(1, 2, nth(1));
    assert_eq!(world.propose(), 0, "most of its window is free");
}

#[test]
fn many_acknowledgements_wait_for_no_others() {
    let mut world = consuming(1000, 64);
    for seq in 65..128 {
        world.acknowledge(1, seq, nth(seq - 64));
    }
    assert_eq!(world.propose(), 0);
    world.acknowledge(1, 128, nth(64));
    assert_eq!(world.propose(), 8, "as many as fit");
    world.apply();
    assert_eq!(world.propose(), 8, "and those behind them follow");
}

/// What a selector looks at and what is delivered may be the same message: both are asked for.
#[test]
fn what_a_selector_looks_at_is_read_for_it_and_not_delivered_by_that() {
    let mut world = World::led();
    world.open(1);
    world.store_away(3);
    let mut subscription = Subscription::new(Destination::queue("q").unwrap(), 1);
    subscription.selector = Some("JMSMessageID = 'other'".into());
    world.say(1, ToLeader::Attach { number: 1, consumer: 2, subscription, is_new: true });
    assert_eq!(world.dispatch(), 0);
    let for_selector = std::mem::take(&mut world.reads);
    assert_eq!(for_selector, [1, 2, 3].map(|index| (nth(index), nth(index))));
    world.attach(1, 1);
    assert_eq!(world.dispatch(), 1);
    assert_eq!(world.reads, [(nth(1), nth(1))]);
    world.take(1);
    let written = |_| Some(Arc::new(message("q", "m")));
    for (index, delivered) in [(1, vec![]), (1, vec![MessageKey::Stored(nth(1))]), (2, vec![])] {
        world.serving.handle_read(&world.state, nth(index), written(index));
        world.settle_outputs();
        assert_eq!(world.delivered(1), delivered, "{index}");
        assert_eq!(world.dispatch(), 0);
    }
    assert!(world.serving.dispatch(&world.state, 100, NOW) == Dispatched::default());
    // One that another leadership has asked for.
    world.serving.handle_read(&world.state, nth(2), written(2));
    assert_eq!(world.delivered(1), []);
}

/// What came back from a consumer that has gone is read once more for the next one, and which read
/// ends first is not known.
#[test]
fn a_body_serves_all_that_wait_for_it() {
    let mut world = World::led();
    world.open(1);
    world.open(2);
    world.store_away(2);
    world.attach(1, 2);
    assert_eq!(world.dispatch(), 2);
    world.close(1);
    world.attach(2, 2);
    assert_eq!(world.dispatch(), 2);
    for index in [2, 2, 1, 1] {
        world.read(nth(index), Some(message("q", "m")));
    }
    assert_eq!(world.delivered(2), [1, 2].map(|index| MessageKey::Stored(nth(index))));
}

#[test]
fn what_was_read_for_a_consumer_that_has_gone_is_not_for_the_next_of_its_name() {
    let mut world = World::led();
    world.open(1);
    world.store_away(1);
    world.attach(1, 1);
    assert_eq!(world.dispatch(), 1);
    world.close(1);
    world.open(1);
    world.attach(1, 1);
    assert_eq!(world.dispatch(), 1);
    world.take(1);
    for _ in 0..2 {
        world.read(nth(1), Some(message("q", "m")));
    }
    assert_eq!(world.delivered(1), [MessageKey::Stored(nth(1))]);
}

/// Copies are not at hand sooner than what was handed out before, and the end comes behind them.
#[test]
fn a_browser_is_given_copies_and_then_the_end() {
    let mut world = World::led();
    world.open(1);
    world.store_away(2);
    world.attach(1, 1);
    assert_eq!(world.dispatch(), 1);
    let for_consumer = std::mem::take(&mut world.reads);
    let mut subscription = Subscription::new(Destination::queue("q").unwrap(), 9);
    subscription.browses = true;
    world.say(1, ToLeader::Browse { number: 2, consumer: 2, subscription, after: None });
    assert_eq!(world.dispatch(), 0);
    let for_browser = std::mem::take(&mut world.reads);
    assert_eq!((for_consumer.len(), for_browser.len()), (1, 2));
    world.take(1);
    let written = || Some(Arc::new(message("q", "m")));
    for (message, _) in for_browser {
        world.serving.handle_read(&world.state, message, written());
    }
    assert_eq!(world.dispatch(), 2);
    assert_eq!(world.take(1), [], "the consumer's comes first");
    world.serving.handle_read(&world.state, nth(1), written());
    world.settle_outputs();
    let said = world.take(1);
    let [first, copies @ .., FromLeader::BrowseEnd { consumer: 2 }] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(matches!(first, FromLeader::Deliver(it) if it.consumer == 1 && it.browsed.is_none()));
    let keys: Vec<_> = copies
        .iter()
        .filter_map(|said| match said {
            FromLeader::Deliver(it) if it.browsed.is_some() => Some(it.key),
            _ => None,
        })
        .collect();
    let [MessageKey::Volatile(copy), MessageKey::Volatile(_)] = keys[..] else {
        panic!("{said:?}")
    };
    let (messages, how) = (vec![copy], Settlement::Accept);
    world.say(1, ToLeader::Settle { number: 3, consumer: 2, messages, how });
    let parting = Default::default();
    world.say(1, ToLeader::Detach { number: 4, consumer: 2, parting });
    let said = world.take(1);
    let is_done = |said: &FromLeader| matches!(said, FromLeader::Answer { result: Ok(()), .. });
    assert!(said.len() == 2 && said.iter().all(is_done), "{said:?}");
    assert_eq!(world.state.depth("q"), 2);
}
