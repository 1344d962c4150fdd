//! Client ids, and the durable subscriptions that go by them.

use std::sync::Arc;

use paceline_wire::openwire::RemoveSubscriptionInfo;

use super::{
    Asked, OpenWireSession, Phase,
    answers::{Exception, Handled, Refused},
};
use crate::{durable::Durable, session::Now};

impl OpenWireSession {
    /// The connection of that name says whose it is.
    pub(super) fn identify(
        &mut self,
        now: Now,
        connection: &str,
        client: Option<&str>,
        response: Option<i32>,
    ) -> Handled {
        let Some(client) = client.filter(|client| !client.is_empty()) else { return Handled::Done };
        let client: Arc<str> = client.into();
        self.client = Some(client.clone());
        let asked = Asked::Connection(response);
        self.operations.identify(now.elapsed, client, connection.into(), asked);
        Handled::Later
    }

    /// A client's subscription of that name: this one's, unless another is said.
    pub(super) fn durable(&self, client: Option<&str>, name: &str) -> Result<Durable, Refused> {
        let client = client.or(self.client.as_deref()).unwrap_or_default();
        let refused = |why: crate::durable::InvalidDurable| {
            Refused::new(Exception::IllegalState, why.to_string())
        };
        Durable::new(client, name).map_err(refused)
    }

    pub(super) fn forget(
        &mut self,
        now: Now,
        info: &RemoveSubscriptionInfo,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let name = info.subscription_name.as_deref().unwrap_or_default();
        let durable = self.durable(info.client_id.as_deref(), name)?;
        let asked = Asked::Failure("deleting a durable subscription");
        let asked = response.map_or(asked, Asked::Response);
        self.operations.forget(now.elapsed, durable, asked);
        Ok(Handled::Later)
    }

    /// The cluster has refused what was asked.
    pub(super) fn handle_refused(
        &mut self,
        now: Now,
        asked: &Asked,
        exception: Exception,
        why: &str,
    ) {
        match asked {
            Asked::Connection(_) => {
                self.refuse(asked, Exception::InvalidClientId, why);
                // Another client id may be tried.
                if self.is_open() {
                    self.end_consumers();
                    (self.connection, self.client) = (None, None);
                    self.phase = Phase::Connecting;
                }
            }
            Asked::Consumer(id, _) => {
                self.refuse(asked, exception, why);
                self.remove_consumer(now, id, -1, None);
            }
            _ => self.refuse(asked, exception, why),
        }
    }
}
