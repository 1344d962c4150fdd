//! Finding the messages that selectors select.

use std::sync::Arc;

use paceline_reached::{Point, reached};

use super::{
    Dispatcher, Standing,
    lane::LaneId,
    types::{ConsumerKey, MessageKey},
    view::{Body, Looking, Next, READ_AHEAD, View},
};
use crate::{
    Message, UnixMillis,
    selector::{Candidate, Selector},
    shard::{Content, MessageRef, ShardState},
};

/// Messages that are looked at, and passed over, before others have their turn.
pub(super) const LOOKED_AT_ONCE: usize = 256;

/// Contents that are being read for all views. Beyond, each has only the next one read.
const READ_AT_ONCE: usize = 256;

/// Who wants a content that is in the log only.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    /// The view that a selector has of a lane.
    View(LaneId, Arc<str>),
    /// A browser.
    Browser(ConsumerKey),
}

/// How a search ended.
pub(super) enum Found {
    /// With a message that is selected.
    Message(Standing, Content),
    /// All was seen, or a content is to be read first.
    Nothing,
    /// Others have their turn before it goes on.
    Unfinished,
}

impl Dispatcher {
    /// The next content of a stored message that is to be read, and where in the log it stands. What
    /// is read goes to [`handle_read`](Self::handle_read).
    pub fn poll_read(&mut self) -> Option<(MessageRef, MessageRef)> {
        self.to_read.pop_front()
    }

    /// A message was read, or could not be. Whether that was asked for by
    /// [`poll_read`](Self::poll_read).
    pub fn handle_read(
        &mut self,
        state: &ShardState,
        message: MessageRef,
        written: Option<&Arc<Message>>,
    ) -> bool {
        let Some(asked) = self.reading.remove(&message) else { return false };
        let body = written.and_then(|written| state.compose(message, written));
        for reader in asked {
            let (id, selector) = match reader {
                Reader::View(id, selector) => (id, selector),
                Reader::Browser(key) => {
                    self.browsers.handle_read(key, message, body.as_ref());
                    continue;
                }
            };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let Some((view, _)) = lane.view(&selector) else { continue };
            if let Some(awaited @ Body::Asked) = view.bodies.get_mut(&message) {
                *awaited = body.clone().map_or(Body::Lost, Body::Read);
                view.state = Looking::On;
                self.activate(id);
            }
        }
        true
    }

    /// Whether [`poll_delivery`](Self::poll_delivery) has stopped only to let others have their turn.
    pub fn is_unfinished(&self) -> bool {
        let waits = !(self.active.is_empty() && self.browsers.listed.is_empty());
        self.looked_at == LOOKED_AT_ONCE && waits
    }

    /// Finds the first message of a lane that a selector selects and that may be delivered. Where there
    /// is none for now, the view says so.
    pub(super) fn find(
        &mut self,
        state: &ShardState,
        now: UnixMillis,
        id: LaneId,
        key: ConsumerKey,
        selector: &Arc<Selector>,
    ) -> Found {
        while self.looked_at < LOOKED_AT_ONCE {
            self.looked_at += 1;
            let volatile = &self.volatile;
            let place = |number| volatile.get(&number).map(|entry| entry.position(number));
            let lane = self.lanes.get_mut(&id).expect("it is being served");
            let (view, ready) = lane.view(selector.text()).expect("it has a consumer");
            let next = view.next(ready, place);
            let at = next.as_ref().map(Next::place);
            if let Some((_, position)) = lane.pop_aside(key, at) {
                let standing = self.standing(state, position);
                match standing.filter(|standing| self.may_go(state, now, standing)) {
                    Some(standing) => {
                        let content = standing.content(state);
                        return Found::Message(standing, content);
                    }
                    None => continue,
                }
            }
            let Some(next) = next else {
                self.view_of(id, selector).state = Looking::AtTheEnd;
                return Found::Nothing;
            };
            let standing = self.standing(state, next.position);
            let Some(standing) = standing.filter(|standing| self.is_free(state, standing.key))
            else {
                self.view_of(id, selector).pass(&next);
                continue;
            };
            if standing.expires.is_some_and(|at| at <= now) {
                self.view_of(id, selector).pass(&next);
                self.expire(&standing, now);
                continue;
            }
            let content = match standing.content(state) {
                Content::Here(message) => message,
                Content::Evicted(_) => {
                    let MessageKey::Stored(message) = standing.key else {
                        unreachable!("volatile messages are in memory")
                    };
                    let view = self.view_of(id, selector);
                    match view.bodies.get(&message) {
                        Some(Body::Read(read)) => read.clone(),
                        Some(Body::Lost) => {
                            view.pass(&next);
                            continue;
                        }
                        asked => {
                            let is_asked = asked.is_some();
                            view.state = Looking::ForContent;
                            if !is_asked {
                                self.ask(state, id, selector, &next);
                            }
                            return Found::Nothing;
                        }
                    }
                }
            };
            let candidate = Candidate {
                message: &content,
                redelivered: standing.is_redelivered(),
                redelivery_count: standing.redeliveries,
            };
            let is_selected = selector.matches(&candidate);
            self.view_of(id, selector).pass(&next);
            if is_selected {
                reached(Point::Selected);
                let lane = self.lanes.get_mut(&id).expect("it is being served");
                lane.take(standing.priority, standing.position);
                if self.is_anothers(id, key, Some(selector), &standing) {
                    continue;
                }
                return Found::Message(standing, Content::Here(content));
            }
            reached(Point::NotSelected);
        }
        Found::Unfinished
    }

    fn view_of(&mut self, id: LaneId, selector: &Arc<Selector>) -> &mut View {
        let lane = self.lanes.get_mut(&id).expect("it is being served");
        lane.view(selector.text()).expect("it has a consumer").0
    }

    /// Has the content of what a view looks at next read, and of what comes behind.
    fn ask(&mut self, state: &ShardState, id: LaneId, selector: &Arc<Selector>, next: &Next) {
        reached(Point::ReadToSelect);
        let lane = self.lanes.get_mut(&id).expect("it is being served");
        let (view, ready) = lane.view(selector.text()).expect("it has a consumer");
        let room = READ_AT_ONCE.saturating_sub(self.reading.len()).clamp(1, READ_AHEAD);
        let evicted = view.ahead(next, ready);
        let evicted = evicted.into_iter().filter_map(|it| Some((it, state.evicted_at(it)?)));
        let evicted = evicted.take(room).filter(|(message, _)| !view.bodies.contains_key(message));
        let evicted: Vec<_> = evicted.collect();
        view.bodies.extend(evicted.iter().map(|(message, _)| (*message, Body::Asked)));
        for (message, at) in evicted {
            self.read_for(message, at, Reader::View(id, selector.text().clone()));
        }
    }

    /// Has a content read that stands at a place in the log.
    pub(super) fn read_for(&mut self, message: MessageRef, at: MessageRef, reader: Reader) {
        let asked = self.reading.entry(message).or_default();
        if asked.is_empty() {
            self.to_read.push_back((message, at));
        }
        asked.push(reader);
    }
}
