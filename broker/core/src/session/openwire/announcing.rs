//! What others are told of a client: its connection, consumers, producers and temporary destinations.

use std::{collections::BTreeMap, sync::Arc};

use paceline_wire::openwire::{
    ConnectionInfo, ConsumerId as WireConsumer, ConsumerInfo, DestinationInfo, DestinationKind,
    ProducerId, ProducerInfo,
};

use super::{
    Asked, OpenWireSession,
    answers::{Handled, Refused},
    destinations::{self, Composite},
};
use crate::{
    presence::PresenceId,
    session::{
        Now,
        advisory::{Advisories, Origin},
    },
};

/// Values of [`DestinationInfo::operation_type`].
const REMOVE: i8 = 1;

/// What there is of a client, and what others are told of it.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) advisories: Advisories,
    /// To be told of when its client id is its own.
    connection: Option<Box<ConnectionInfo>>,
    /// To be told of when they are there.
    awaited: BTreeMap<WireConsumer, ConsumerInfo>,
    consumers: BTreeMap<WireConsumer, Vec<PresenceId>>,
    producers: BTreeMap<ProducerId, Vec<PresenceId>>,
    temporaries: BTreeMap<Arc<str>, PresenceId>,
}

impl Announced {
    pub(super) fn new(origin: Origin, name: Arc<str>) -> Self {
        Self {
            advisories: Advisories::new(origin, name),
            connection: None,
            awaited: BTreeMap::new(),
            consumers: BTreeMap::new(),
            producers: BTreeMap::new(),
            temporaries: BTreeMap::new(),
        }
    }
}

impl OpenWireSession {
    /// The client connects. Others are told when that has succeeded.
    pub(super) fn connecting(&mut self, info: &ConnectionInfo) {
        self.announced.connection = Some(Box::new(info.clone()));
    }

    /// It asks for a consumer.
    pub(super) fn subscribing(&mut self, id: &WireConsumer, info: &ConsumerInfo) {
        let mut info = info.clone();
        info.client_id = info.client_id.or_else(|| self.client.as_deref().map(Into::into));
        self.announced.awaited.insert(id.detached(), info);
    }

    /// What was asked is done.
    pub(super) fn announce(&mut self, now: Now, asked: &Asked) {
        let announced = &mut self.announced;
        match asked {
            Asked::Connection(_) => {
                if let Some(info) = announced.connection.take() {
                    announced.advisories.connection(now.wall, *info);
                }
            }
            Asked::Consumer(id, _) => {
                let Some(info) = announced.awaited.remove(id) else { return };
                let source = info.destination.as_ref().and_then(|to| destinations::source(to).ok());
                let Some(source) = source else { return };
                let told = announced.advisories.consumer(now.wall, &info, &source);
                announced.consumers.insert(id.clone(), told);
            }
            Asked::Response(_)
            | Asked::Taken(..)
            | Asked::Failure(_)
            | Asked::Prepared(_)
            | Asked::OnePhase(_)
            | Asked::Branch(_)
            | Asked::Recovered(_) => {}
        }
    }

    /// A consumer has ended.
    pub(super) fn consumer_gone(&mut self, id: &WireConsumer) {
        self.announced.awaited.remove(id);
        for told in self.announced.consumers.remove(id).into_iter().flatten() {
            self.announced.advisories.withdraw(told);
        }
    }

    /// The client has a producer. What sends to nowhere in particular is not told of.
    pub(super) fn producer_here(&mut self, now: Now, info: &ProducerInfo) {
        let announced = &mut self.announced;
        let Some(id) = info.producer_id.as_ref().filter(|id| !announced.producers.contains_key(id))
        else {
            return;
        };
        let all = info.destination.as_ref().and_then(|to| Composite::read(to).ok());
        let Some(Composite { all, .. }) = all else { return };
        let told = announced.advisories.producer(now.wall, info, &all);
        if !told.is_empty() {
            announced.producers.insert(id.detached(), told);
        }
    }

    /// It has ended.
    pub(super) fn producer_gone(&mut self, id: &ProducerId) {
        for told in self.announced.producers.remove(id).into_iter().flatten() {
            self.announced.advisories.withdraw(told);
        }
    }

    /// A session has ended, and with it its producers.
    pub(super) fn producers_gone(&mut self, connection: &str, session: i64) {
        let of = |id: &&ProducerId| &*id.connection == connection && id.session == session;
        let ids: Vec<_> = self.announced.producers.keys().filter(of).cloned().collect();
        ids.iter().for_each(|id| self.producer_gone(id));
    }

    /// Destinations come into being when they are used, and temporary ones end with their connection.
    pub(super) fn change_destination(
        &mut self,
        now: Now,
        info: &DestinationInfo,
    ) -> Result<Handled, Refused> {
        let Some(destination) = &info.destination else { return Ok(Handled::Done) };
        let is_removal = info.operation_type == REMOVE;
        let is_topic = match destination.kind {
            DestinationKind::Queue | DestinationKind::Topic if is_removal => {
                return Err(Refused::unsupported("removing destinations"));
            }
            DestinationKind::Queue | DestinationKind::Topic => return Ok(Handled::Done),
            DestinationKind::TempQueue => false,
            DestinationKind::TempTopic => true,
        };
        let announced = &mut self.announced;
        let name: Arc<str> = destination.name.as_str().into();
        if is_removal {
            if let Some(told) = announced.temporaries.remove(&name) {
                announced.advisories.withdraw(told);
            }
        } else if !announced.temporaries.contains_key(&name)
            && let Some(told) = announced.advisories.temporary(now.wall, info, is_topic)
        {
            announced.temporaries.insert(name, told);
        }
        Ok(Handled::Done)
    }
}
