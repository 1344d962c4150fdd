//! Durable subscriptions in STOMP's headers, as clients of ActiveMQ and RabbitMQ write them, and
//! subscriptions without the connection's own messages.

use paceline_wire::stomp::{Command, Frame, Text, header};

use super::{Asked, StompSession};
use crate::{
    durable::Durable,
    operation::{ConsumerId, Settlement},
    session::{Now, consumers::Place},
};

/// The header of CONNECT that says whose durable subscriptions are meant.
pub(super) const CLIENT_ID: &str = "client-id";

/// Headers of SUBSCRIBE and UNSUBSCRIBE that name a durable subscription.
const NAMES: [&str; 3] =
    ["activemq.subscriptionName", "durable-subscription-name", "durable-subscriber-name"];
/// With `true` the `id` names it.
const DURABLE: &str = "durable";

/// Headers of SUBSCRIBE that ask for no messages of the same connection.
const NO_LOCAL: [&str; 2] = ["activemq.noLocal", "no-local"];

/// The name of the durable subscription that a SUBSCRIBE or UNSUBSCRIBE is about, if it is about one.
pub(super) fn name_of(frame: &Frame) -> Result<Option<&str>, String> {
    let named = NAMES.iter().filter_map(|name| frame.header(name));
    let mut named = named.map(|text| text.as_str()).filter(|text| !text.trim().is_empty());
    let name = named.next();
    if named.any(|other| Some(other) != name) {
        return Err(format!("the headers `{}` name different subscriptions", NAMES.join("`, `")));
    }
    if name.is_some() || !is_true(frame, DURABLE)? {
        return Ok(name);
    }
    let id = frame.header(header::ID).map(Text::as_str);
    id.map(Some).ok_or_else(|| {
        format!("`{DURABLE}:true` needs an `{}`, which names the subscription", header::ID)
    })
}

/// Whether a SUBSCRIBE is for no messages of the same connection.
pub(super) fn is_no_local(frame: &Frame) -> Result<bool, String> {
    NO_LOCAL.iter().try_fold(false, |any, name| Ok(any | is_true(frame, name)?))
}

fn is_true(frame: &Frame, name: &str) -> Result<bool, String> {
    match frame.header(name).map(|text| text.trim()) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) => Err(format!("`{name}` is true or false, not `{text}`")),
    }
}

impl StompSession {
    /// The client's subscription of that name.
    pub(super) fn durable(&self, name: &str) -> Result<Durable, String> {
        let client = self.client.as_ref().map_or("", |client| client.trim());
        if client.is_empty() {
            return Err(format!(
                "a durable subscription needs a client id: the header `{CLIENT_ID}` of CONNECT"
            ));
        }
        Durable::new(client, name).map_err(|why| why.to_string())
    }

    /// A delivery of one of the connection's own messages is not for the client.
    pub(super) fn leave_out(&mut self, now: Now, consumer: ConsumerId, place: Place) {
        let asked = Asked::by(Command::Ack, None);
        let places = place..=place;
        let settled =
            self.operations.settle(now.elapsed, consumer, &places, Settlement::Accept, asked);
        settled.expect("it was handed out just now");
    }
}
