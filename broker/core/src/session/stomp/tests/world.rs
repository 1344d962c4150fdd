//! Sessions, and a broker in memory that is just enough for them.

use super::*;
use crate::{
    Source,
    operation::{Kept, Parting, Subscription},
};

pub(super) fn config() -> StompConfig {
    StompConfig { server: "test".into(), ..StompConfig::default() }
}

/// The frame that a text stands for, as 1.2 has it.
pub(super) fn frame(text: &str) -> Frame {
    let mut decoder = Decoder::new(Default::default());
    decoder.set_version(Version::V1_2);
    decoder.decode(&mut BytesMut::from(text)).unwrap().unwrap()
}

struct Consumer {
    session: usize,
    id: ConsumerId,
    source: Source,
}

#[derive(Default)]
pub(super) struct World {
    pub now: Now,
    config: Arc<StompConfig>,
    sessions: Vec<StompSession>,
    consumers: Vec<Consumer>,
    /// By delivery id.
    deliveries: Vec<(Delivery, Option<Settlement>)>,
    pub published: Vec<Arc<Message>>,
    /// Delivery ids of each settle, in order; those of commits too.
    pub settled: Vec<(Vec<u64>, Settlement)>,
    /// Deliveries that consumers died of.
    pub failed: Vec<u64>,
    pub subscriptions: Vec<Subscription>,
    pub prefetches: Vec<u32>,
    pub selectors: Vec<Arc<str>>,
    pub durables: Vec<Kept>,
    /// Durable subscriptions that were deleted.
    pub forgotten: Vec<String>,
    /// What consumers may hold after a change of that.
    pub windows: Vec<u32>,
    pub commits: usize,
    /// How often what was asked before was to hurry.
    pub hurried: usize,
    /// Whether outcomes wait for [`World::answer`].
    pub hold_outcomes: bool,
    /// By session: operations without an outcome.
    pub held: Vec<Vec<Held>>,
}

/// The tag of an operation without an outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Held(pub u64);

impl World {
    pub(super) fn new() -> Self {
        Self::with_config(config())
    }

    pub(super) fn with_config(config: StompConfig) -> Self {
        Self { config: config.into(), ..Self::default() }
    }

    /// A session that has sent nothing yet.
    pub(super) fn open(&mut self) -> usize {
        let name = format!("session-{}", self.sessions.len()).into();
        self.sessions.push(StompSession::new(self.config.clone(), name));
        self.held.push(Vec::new());
        self.sessions.len() - 1
    }

    /// A session of a version, its CONNECTED frame read.
    pub(super) fn connect(&mut self, version: &str) -> usize {
        let session = self.open();
        self.send(session, &format!("CONNECT\naccept-version:{version}\nhost:h\n\n\0"));
        assert_eq!(self.frames(session)[0].command, Command::Connected);
        session
    }

    pub(super) fn session(&mut self, session: usize) -> &mut StompSession {
        &mut self.sessions[session]
    }

    pub(super) fn send(&mut self, session: usize, bytes: &str) {
        let target = &mut self.sessions[session];
        target.input().extend_from_slice(bytes.as_bytes());
        target.handle_input(self.now);
        self.settle_down(session);
    }

    /// All frames that the session has to send.
    pub(super) fn frames(&mut self, session: usize) -> Vec<Frame> {
        let mut out = BytesMut::new();
        while self.sessions[session].poll_transmit(self.now, &mut out) {}
        self.settle_down(session);
        let mut decoder = Decoder::new(Default::default());
        decoder.set_version(self.sessions[session].version);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.decode(&mut out).unwrap() {
            frames.push(frame);
        }
        frames
    }

    /// The message of the ERROR frame that is the session's last word.
    pub(super) fn error(&mut self, session: usize) -> String {
        let frames = self.frames(session);
        let error = frames.last().expect("an ERROR frame");
        assert_eq!(error.command, Command::Error);
        assert!(self.sessions[session].is_closed());
        error.header("message").unwrap().to_string()
    }

    pub(super) fn answer(&mut self, session: usize, tag: u64, outcome: Outcome) {
        self.held[session].retain(|held| held.0 != tag);
        self.sessions[session].handle_outcome(self.now, OpTag(tag), outcome);
        self.settle_down(session);
    }

    /// The client closes its side.
    pub(super) fn eof(&mut self, session: usize) {
        self.sessions[session].handle_eof(self.now);
        self.settle_down(session);
    }

    /// The connection breaks.
    pub(super) fn lost(&mut self, session: usize) {
        self.sessions[session].handle_lost(self.now);
        self.settle_down(session);
    }

    pub(super) fn settle_down(&mut self, session: usize) {
        while let Some(operation) = self.sessions[session].poll_operation() {
            let tag = operation.tag();
            self.carry_out(session, operation);
            if self.hold_outcomes {
                self.held[session].push(Held(tag.0));
            } else {
                self.sessions[session].handle_outcome(self.now, tag, Ok(()));
            }
        }
    }

    fn carry_out(&mut self, session: usize, operation: Operation) {
        match operation {
            Operation::Publish { message, .. } => self.publish(message),
            Operation::Subscribe { consumer, subscription, .. } => {
                self.subscriptions.push(subscription.clone());
                let Subscription { source, prefetch, selector, durable, .. } = subscription;
                self.durables.extend(durable);
                self.selectors.extend(selector);
                self.prefetches.push(prefetch);
                self.consumers.push(Consumer { session, id: consumer, source });
            }
            Operation::SetPrefetch { prefetch, .. } => self.windows.push(prefetch),
            Operation::Unsubscribe { consumer, parting, .. } => {
                if let Parting::Died(delivery) = parting {
                    self.failed.push(delivery.0);
                }
                self.consumers.retain(|have| have.session != session || have.id != consumer);
            }
            Operation::Settle { deliveries, how, .. } => {
                self.settled.push((deliveries.iter().map(|id| id.0).collect(), how));
                for id in deliveries {
                    self.settle(id, how);
                }
            }
            Operation::Hurry { .. } => self.hurried += 1,
            Operation::Identify { .. } => unreachable!("STOMP clients share client ids"),
            Operation::Forget { durable, .. } => self.forgotten.push(durable.to_string()),
            Operation::Prepare { .. }
            | Operation::Resolve { .. }
            | Operation::Recover { .. }
            | Operation::ForgetBranch { .. } => unreachable!("STOMP has no such transactions"),
            Operation::Commit { publishes, settles, .. } => {
                self.commits += 1;
                for message in publishes {
                    self.publish(message);
                }
                for (id, how) in settles {
                    self.settled.push((vec![id.0], how));
                    self.settle(id, how);
                }
            }
        }
    }

    pub fn announcements(&mut self, session: usize) -> Vec<crate::presence::Announcement> {
        let session = &mut self.sessions[session];
        std::iter::from_fn(|| session.poll_announcement()).collect()
    }

    pub fn publish(&mut self, message: Arc<Message>) {
        self.published.push(message.clone());
        self.deliver(message, 0);
    }

    fn deliver(&mut self, message: Arc<Message>, redelivery_count: u32) {
        let matching = self.consumers.iter().find(|c| c.source.matches(&message.destination));
        if let Some(consumer) = matching {
            let delivery = Delivery {
                id: DeliveryId(self.deliveries.len() as u64),
                consumer: consumer.id,
                message,
                redelivered: redelivery_count > 0,
                redelivery_count,
                first_of_group: false,
            };
            self.deliveries.push((delivery.clone(), None));
            self.sessions[consumer.session].handle_delivery(delivery);
        }
    }

    fn settle(&mut self, id: DeliveryId, how: Settlement) {
        let (delivery, settled) = &mut self.deliveries[id.0 as usize];
        assert_eq!(*settled, None, "settled twice");
        *settled = Some(how);
        let delivery = delivery.clone();
        if how == Settlement::Reject {
            self.deliver(delivery.message, delivery.redelivery_count + 1);
        }
    }
}
