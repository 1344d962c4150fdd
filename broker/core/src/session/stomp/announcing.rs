//! What others are told of a client: that it is there, and its subscriptions.

use paceline_wire::openwire::{
    ConnectionId, ConnectionInfo, ConsumerId as WireConsumer, ConsumerInfo,
};

use super::StompSession;
use crate::{
    operation::{self, ConsumerId},
    session::Now,
};

impl StompSession {
    pub(super) fn announce_connection(&mut self, now: Now, user: Option<&str>) {
        let info = ConnectionInfo {
            connection_id: Some(ConnectionId { value: self.id().as_str().into() }),
            client_id: self.client.as_deref().map(Into::into),
            user_name: user.map(Into::into),
            ..ConnectionInfo::default()
        };
        self.advisories.connection(now.wall, info);
    }

    pub(super) fn announce_consumer(
        &mut self,
        now: Now,
        consumer: ConsumerId,
        wanted: &operation::Subscription,
        no_local: bool,
    ) {
        let value = consumer.0 as i64 + 1;
        let durable = wanted.durable.as_ref().map(|kept| kept.durable.name());
        let info = ConsumerInfo {
            consumer_id: Some(WireConsumer {
                connection: self.id().as_str().into(),
                session: -1,
                value,
            }),
            client_id: self.client.as_deref().map(Into::into),
            prefetch_size: wanted.prefetch.try_into().unwrap_or(i32::MAX),
            selector: wanted.selector.as_deref().map(Into::into),
            subscription_name: durable.map(|name| (&**name).into()),
            browser: wanted.browses,
            exclusive: wanted.exclusive,
            priority: wanted.priority,
            no_local,
            ..ConsumerInfo::default()
        };
        let told = self.advisories.consumer(now.wall, &info, &wanted.source);
        self.told.insert(consumer, told);
    }

    pub(super) fn withdraw_consumer(&mut self, consumer: ConsumerId) {
        for told in self.told.remove(&consumer).into_iter().flatten() {
            self.advisories.withdraw(told);
        }
    }

    fn id(&self) -> String {
        format!("ID:{}", self.name)
    }
}
