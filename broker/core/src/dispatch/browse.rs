//! Browsers: consumers that look at what is in a queue, and leave it there.
//!
//! A browser is given the messages that were in its queue when it began and still are when it comes by,
//! in flight or not but not accepted, by priority and then in order of arrival, and is told when that was all. It holds
//! nothing: what it is given are copies, which it settles in whichever way to be given more.
//!
//! It remembers how far it has come and nothing else, so that it costs the same memory whatever the
//! backlog. It goes once through the messages of its shard for each priority that its queue has, and
//! once to find the highest, [`LOOKED_AT_ONCE`] messages at a time. Contents that are in the log only
//! are read for it, a few ahead.
//!
//! A new leader goes on where the one before has come to ([`Browsed`]).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    ops::Bound,
    sync::Arc,
};

use super::{
    Delivery, Dispatcher, Standing,
    ready::{Item, Position},
    select::{LOOKED_AT_ONCE, Reader},
    types::{AttachRefused, Browsed, ConsumerKey, MessageKey},
    view::{Body, READ_AHEAD},
};
use crate::{
    DestinationKind, Message, UnixMillis,
    message::MAX_PRIORITY,
    operation::Subscription,
    selector::{Candidate, Selector},
    shard::{Content, MessageRef, ShardState},
};

#[derive(Debug)]
pub(super) struct Browser {
    queue: Arc<str>,
    pub(super) prefetch: u32,
    selector: Option<Arc<Selector>>,
    /// Copies that it was given and has not settled, by their numbers.
    held: BTreeSet<u64>,
    /// The last log entry and the first volatile message that it does not look at.
    until: (u64, u64),
    /// The priority of the messages that it looks at, and behind which of those it goes on.
    priority: u8,
    after: Position,
    /// The last volatile message that it has met on its way there.
    last_volatile: u64,
    /// The highest lower priority that it has met.
    lower: Option<u8>,
    bodies: BTreeMap<MessageRef, Body>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has no credit, or waits for a content.
    Resting,
    /// It is on the list of those to be served.
    Listed,
    /// It has seen all.
    Done,
}

/// Where a round begins.
const START: Position = Position::START;

/// The browsers of a shard.
#[derive(Debug, Default)]
pub(super) struct Browsers {
    pub(super) known: BTreeMap<ConsumerKey, Browser>,
    /// Those that may be given something, in the order in which they are served.
    pub(super) listed: VecDeque<ConsumerKey>,
    /// Those that have come to the end since that was asked.
    ended: VecDeque<ConsumerKey>,
    /// Whether they are served before the consumers next time.
    pub(super) are_next: bool,
}

impl Browsers {
    fn list(&mut self, key: ConsumerKey) {
        let Some(browser) = self.known.get_mut(&key) else { return };
        let has_credit = (browser.held.len() as u32) < browser.prefetch;
        if browser.state == State::Resting && has_credit {
            browser.state = State::Listed;
            self.listed.push_back(key);
        }
    }

    /// A browser may hold another number of copies. Whether there is such a browser.
    pub(super) fn set_prefetch(&mut self, key: ConsumerKey, prefetch: u32) -> bool {
        let Some(browser) = self.known.get_mut(&key) else { return false };
        browser.prefetch = prefetch;
        self.list(key);
        true
    }

    /// A browser has done with copies. Whether there is such a browser.
    pub(super) fn settle(
        &mut self,
        key: ConsumerKey,
        copies: impl Iterator<Item = MessageKey>,
    ) -> bool {
        let Some(browser) = self.known.get_mut(&key) else { return false };
        for copy in copies {
            if let MessageKey::Volatile(id) = copy {
                browser.held.remove(&id.number);
            }
        }
        self.list(key);
        true
    }

    /// A content was read for a browser, or could not be.
    pub(super) fn handle_read(
        &mut self,
        key: ConsumerKey,
        message: MessageRef,
        content: Option<&Arc<Message>>,
    ) {
        let Some(browser) = self.known.get_mut(&key) else { return };
        if let Some(awaited @ Body::Asked) = browser.bodies.get_mut(&message) {
            *awaited = content.cloned().map_or(Body::Lost, Body::Read);
        }
        self.list(key);
    }
}

impl Dispatcher {
    /// Begins to show a queue to a browser. `after` is where it had come to under another leader.
    ///
    /// # Errors
    /// If the key is in use, the selector is none, or the source is not one queue.
    pub fn browse(
        &mut self,
        state: &ShardState,
        key: ConsumerKey,
        subscription: &Subscription,
        after: Option<Browsed>,
    ) -> Result<(), AttachRefused> {
        if self.consumers.contains_key(&key) || self.browsers.known.contains_key(&key) {
            return Err(AttachRefused::Attached(key));
        }
        let Subscription { source, prefetch, selector, .. } = subscription;
        let queue = source.exact().filter(|one| one.kind == DestinationKind::Queue);
        let Some(queue) = queue else {
            return Err(AttachRefused::NotOneQueue(source.clone()));
        };
        let selector = selector.as_deref().map(|text| Selector::parse(text).map(Arc::new));
        let (priority, after, lower) = match after {
            None => (MAX_PRIORITY, START, None),
            // Which lower ones there are it has to find out again.
            Some(Browsed { priority, at }) => {
                (priority, Position::stored(at), priority.checked_sub(1))
            }
        };
        let browser = Browser {
            queue: queue.name.clone(),
            prefetch: *prefetch,
            selector: selector.transpose()?,
            held: BTreeSet::new(),
            until: (state.applied(), self.next_volatile),
            priority,
            after,
            last_volatile: 0,
            lower,
            bodies: BTreeMap::new(),
            state: State::Resting,
        };
        self.browsers.known.insert(key, browser);
        self.browsers.list(key);
        Ok(())
    }

    /// Whether a consumer only looks at what is in a queue.
    pub fn is_browser(&self, key: ConsumerKey) -> bool {
        self.browsers.known.contains_key(&key)
    }

    /// A browser that has been given all that there is for it.
    pub fn poll_browsed(&mut self) -> Option<ConsumerKey> {
        self.browsers.ended.pop_front()
    }

    /// The next message for a browser.
    pub(super) fn show(&mut self, state: &ShardState, now: UnixMillis) -> Option<Delivery> {
        while self.looked_at < LOOKED_AT_ONCE
            && let Some(key) = self.browsers.listed.pop_front()
        {
            // It may have gone, and another have come under the same key.
            let browser = self.browsers.known.remove(&key);
            let Some(mut browser) = browser.filter(|it| it.state == State::Listed) else {
                continue;
            };
            let shown = self.show_to(state, now, key, &mut browser);
            browser.state = match &shown {
                Shown::End => State::Done,
                _ => State::Resting,
            };
            let waits = matches!(shown, Shown::Awaited);
            if browser.held.len() as u32 >= browser.prefetch {
                // What was read ahead is read again when it has credit.
                browser.bodies.retain(|_, body| matches!(body, Body::Asked));
            }
            self.browsers.known.insert(key, browser);
            if !waits {
                self.browsers.list(key);
            }
            match shown {
                Shown::Message(delivery) => return Some(*delivery),
                Shown::End => self.browsers.ended.push_back(key),
                Shown::Awaited | Shown::Unfinished => {}
            }
        }
        None
    }

    fn show_to(
        &mut self,
        state: &ShardState,
        now: UnixMillis,
        key: ConsumerKey,
        browser: &mut Browser,
    ) -> Shown {
        loop {
            let position = match self.next_for(state, browser) {
                Some(Next::At(position)) => position,
                Some(Next::Later) => return Shown::Unfinished,
                None => {
                    let Some(lower) = browser.lower.take() else { return Shown::End };
                    (browser.priority, browser.after, browser.last_volatile) = (lower, START, 0);
                    continue;
                }
            };
            self.looked_at += 1;
            let standing = self.standing(state, position).expect("it is there");
            let is_accepted = self.flights.get(&standing.key).is_some_and(|it| it.accepted);
            if is_accepted || standing.expires.is_some_and(|at| at <= now) {
                browser.pass(standing.position);
                continue;
            }
            let content = match (standing.content(state), standing.key) {
                (Content::Here(content), _) => content,
                (Content::Evicted(_), MessageKey::Volatile(_)) => {
                    unreachable!("volatile messages are in memory")
                }
                (Content::Evicted(_), MessageKey::Stored(message)) => {
                    match browser.bodies.get(&message) {
                        Some(Body::Read(content)) => content.clone(),
                        Some(Body::Lost) => {
                            browser.pass(standing.position);
                            continue;
                        }
                        asked => {
                            if asked.is_none() {
                                self.ask_for(state, key, browser, message);
                            }
                            return Shown::Awaited;
                        }
                    }
                }
            };
            browser.pass(standing.position);
            let candidate = Candidate {
                message: &content,
                redelivered: standing.is_redelivered(),
                redelivery_count: standing.redeliveries,
            };
            if browser.selector.as_ref().is_none_or(|selector| selector.matches(&candidate)) {
                let delivery = self.copy_for(key, browser, &standing, content);
                return Shown::Message(delivery.into());
            }
        }
    }

    /// Goes on to the next message of the queue that has the priority at which a browser looks. None if
    /// there is no more; otherwise where it stands, unless others have their turn first.
    fn next_for(&mut self, state: &ShardState, browser: &mut Browser) -> Option<Next> {
        let queue = state.queue_id(&browser.queue);
        let lane = self.names.get(&browser.queue).copied();
        let ((last, end), after) = (browser.until, browser.after);
        let stored = state.residents_from(after.log()).map(|resident| {
            let is_here = Some(resident.queue) == queue;
            (Position::stored(resident.message), resident.priority, is_here)
        });
        let stored = stored.skip_while(|(position, ..)| *position <= after);
        let mut stored =
            stored.take_while(|(position, ..)| position.log().index <= last).peekable();
        let behind = Bound::Excluded(browser.last_volatile);
        let volatile = self.volatile.range((behind, Bound::Excluded(end.max(1))));
        let mut volatile = volatile
            .map(|(number, entry)| {
                let is_here = Some(entry.lane) == lane;
                (entry.position(*number), entry.priority(), is_here)
            })
            .peekable();
        while self.looked_at < LOOKED_AT_ONCE {
            let is_volatile = match (stored.peek(), volatile.peek()) {
                (Some((stored, ..)), Some((volatile, ..))) => volatile < stored,
                (stored, volatile) => stored.is_none() && volatile.is_some(),
            };
            let next = if is_volatile { volatile.next() } else { stored.next() };
            let (position, priority, is_here) = next?;
            if is_here && priority == browser.priority {
                return Some(Next::At(position));
            }
            self.looked_at += 1;
            browser.pass(position);
            if is_here && priority < browser.priority {
                browser.lower = browser.lower.max(Some(priority));
            }
        }
        Some(Next::Later)
    }

    /// Has the content of a message read, and of those that a browser meets next.
    fn ask_for(
        &mut self,
        state: &ShardState,
        key: ConsumerKey,
        browser: &mut Browser,
        message: MessageRef,
    ) {
        let queue = state.queue_id(&browser.queue);
        let next = state.residents_from(message).take(LOOKED_AT_ONCE).filter(|resident| {
            Some(resident.queue) == queue && resident.priority == browser.priority
        });
        for resident in next.take(READ_AHEAD) {
            let message = resident.message;
            let Some(at) = state.evicted_at(message) else { continue };
            if let Entry::Vacant(unknown) = browser.bodies.entry(message) {
                unknown.insert(Body::Asked);
                self.read_for(message, at, Reader::Browser(key));
            }
        }
    }

    fn copy_for(
        &mut self,
        key: ConsumerKey,
        browser: &mut Browser,
        standing: &Standing,
        content: Arc<Message>,
    ) -> Delivery {
        let number = self.next_volatile;
        self.next_volatile += 1;
        browser.held.insert(number);
        let in_flight = browser.held.len() as u32;
        let at = standing.position.log();
        Delivery {
            consumer: key,
            key: self.volatile_key(number),
            content: Content::Here(content),
            redelivered: standing.is_redelivered(),
            redelivery_count: standing.redeliveries,
            in_flight,
            credit: browser.prefetch - in_flight,
            first_of_group: false,
            browsed: Some(Browsed { priority: standing.priority, at }),
        }
    }
}

impl Browser {
    /// It has seen the message that stands there.
    fn pass(&mut self, position: Position) {
        self.after = position;
        match position.item() {
            Item::Stored { index, offset } => {
                self.bodies.remove(&MessageRef { index, offset });
            }
            Item::Volatile { number } => self.last_volatile = number,
        }
    }
}

/// Where a browser goes on.
enum Next {
    /// Here.
    At(Position),
    /// When others had their turn.
    Later,
}

/// What a browser has come to.
enum Shown {
    Message(Box<Delivery>),
    /// A content that is to be read.
    Awaited,
    /// All has been seen.
    End,
    /// Others have their turn before it goes on.
    Unfinished,
}
