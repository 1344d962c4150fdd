//! What a client calls its subscriptions, and which deliveries an acknowledgement is for.

use std::ops::RangeInclusive;

use paceline_wire::{stomp::Text, xstream::Notation};

use crate::{
    Destination,
    session::consumers::{Place, Settles},
};

/// How a subscription's deliveries are settled (STOMP 1.2 "SUBSCRIBE ack Header").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    /// As soon as they are sent.
    Auto,
    /// By the client; an ACK or NACK is for all up to and including its delivery.
    Cumulative,
    /// By the client, each on its own.
    Individual,
}

impl AckMode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(AckMode::Auto),
            "client" => Some(AckMode::Cumulative),
            "client-individual" => Some(AckMode::Individual),
            _ => None,
        }
    }

    pub(super) fn settles(self) -> Settles {
        match self {
            AckMode::Auto => Settles::WhenSent,
            AckMode::Cumulative | AckMode::Individual => Settles::ByClient,
        }
    }

    /// What an ACK or NACK of one delivery settles.
    pub(super) fn covered(self, place: Place) -> RangeInclusive<Place> {
        match self {
            AckMode::Cumulative => Place::FIRST..=place,
            AckMode::Auto | AckMode::Individual => place..=place,
        }
    }
}

/// An id or, from 1.0 clients, a destination; the two do not meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Id(Text),
    Destination(Text),
}

/// What a consumer is known by.
#[derive(Debug)]
pub(super) struct Subscription {
    pub key: Key,
    pub mode: AckMode,
    /// Whether it wants none of the messages of its own connection.
    pub no_local: bool,
    /// The queue that it only looks at, if it does.
    pub browses: Option<Destination>,
    /// How map messages are written for it.
    pub maps: Notation,
}

impl Subscription {
    /// The `subscription` header of its MESSAGE frames; a 1.0 client may have given none.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.key {
            Key::Id(id) => Some(id),
            Key::Destination(_) => None,
        }
    }
}
