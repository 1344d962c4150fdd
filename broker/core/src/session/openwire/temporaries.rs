//! Temporary destinations of others that a client is told of.
//!
//! ActiveMQ's Java client refuses to send to a temporary destination of which no advisory has told it.
//! A broker of ActiveMQ tells every connection of all temporary destinations there are. Here each is
//! told of one when it first gets a message that wants its reply there: that is how they are learnt of.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::BytesMut;
use paceline_wire::openwire::{
    AnyStructure, Command, ConsumerId as WireConsumer, Destination as Wire, DestinationInfo,
    DestinationKind, Message, MessageDispatch, MessageId,
};

use super::destinations;

/// So many temporary destinations a client is told of before it is to forget the first again.
const REMEMBERED: usize = 10_000;

/// Values of [`DestinationInfo::operation_type`].
const ADD: i8 = 0;
const REMOVE: i8 = 1;

/// What a client has been told.
#[derive(Debug, Default)]
pub(super) struct Temporaries {
    /// The consumer that listens.
    pub(super) listener: Option<WireConsumer>,
    told: BTreeSet<Arc<str>>,
    in_order: VecDeque<Arc<str>>,
}

impl Temporaries {
    /// The client is about to get a message with this reply-to. Appends what it is to know before, if
    /// its connection, `own`, does not.
    pub(super) fn tell(
        &mut self,
        reply_to: &Arc<str>,
        own: Option<&str>,
        version: i32,
        out: &mut BytesMut,
    ) {
        let Some(listener) = &self.listener else { return };
        let parts = destinations::parse_reply_to(reply_to);
        let is_temporary =
            matches!(parts.kind, DestinationKind::TempQueue | DestinationKind::TempTopic);
        let is_own = own.is_some_and(|own| parts.name.starts_with(own));
        if !is_temporary || is_own || self.told.contains(reply_to) {
            return;
        }
        advisory(listener, ADD, reply_to).encode(version, out);
        self.told.insert(reply_to.clone());
        self.in_order.push_back(reply_to.clone());
        if self.in_order.len() > REMEMBERED
            && let Some(first) = self.in_order.pop_front()
        {
            self.told.remove(&first);
            advisory(listener, REMOVE, &first).encode(version, out);
        }
    }
}

fn advisory(listener: &WireConsumer, operation_type: i8, reply_to: &str) -> Command {
    let parts = destinations::parse_reply_to(reply_to);
    let about = Wire { kind: parts.kind, name: parts.name.into() };
    let name = match parts.kind {
        DestinationKind::TempTopic => "ActiveMQ.Advisory.TempTopic",
        _ => "ActiveMQ.Advisory.TempQueue",
    };
    let topic = Wire { kind: DestinationKind::Topic, name: name.into() };
    let info =
        DestinationInfo { destination: Some(about), operation_type, ..DestinationInfo::default() };
    let message = Message {
        destination: Some(topic.clone()),
        message_id: Some(MessageId::default()),
        data_structure: Some(AnyStructure::Command(Box::new(info.into()))),
        ..Message::default()
    };
    let dispatch = MessageDispatch {
        consumer_id: Some(listener.clone()),
        destination: Some(topic),
        message: Some(Box::new(message)),
        ..MessageDispatch::default()
    };
    dispatch.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(temporaries: &mut Temporaries, reply_to: &str) -> bool {
        let mut out = BytesMut::new();
        temporaries.tell(&reply_to.into(), Some("ID:own:1:"), 12, &mut out);
        !out.is_empty()
    }

    #[test]
    fn a_client_that_listens_is_told_once_of_each_of_others_temporary_destinations() {
        let mut temporaries = Temporaries::default();
        assert!(!told(&mut temporaries, "/remote-temp-queue/ID:other:1:1"), "nobody listens");
        temporaries.listener =
            Some(WireConsumer { connection: "ID:own:1".into(), session: -1, value: 1 });
        assert!(told(&mut temporaries, "/remote-temp-queue/ID:other:1:1"));
        assert!(!told(&mut temporaries, "/remote-temp-queue/ID:other:1:1"));
        assert!(told(&mut temporaries, "/remote-temp-topic/ID:other:1:2"));
        assert!(!told(&mut temporaries, "/remote-temp-queue/ID:own:1:1"));
        assert!(!told(&mut temporaries, "/queue/replies"));
        for at in 0..REMEMBERED {
            assert!(told(&mut temporaries, &format!("/remote-temp-queue/ID:many:{at}")));
        }
        assert!(told(&mut temporaries, "/remote-temp-queue/ID:other:1:1"), "it was forgotten");
    }
}
