//! What a leadership says of its steps, for whoever watches: the checks of the simulator, a log, a test.

use crate::{
    Message,
    dispatch::{ConsumerKey, Delivery, MessageKey},
    operation::Settlement,
};

/// Hears of each step, in order. `()` hears nothing.
pub trait Told {
    /// The leadership of a term begins to serve.
    fn begun(&mut self, _term: u64) {}
    /// It has ended.
    fn ended(&mut self, _term: u64) {}
    /// A consumer was attached.
    fn attached(&mut self, _term: u64, _consumer: ConsumerKey) {}
    /// A consumer may hold another number of messages.
    fn prefetch_set(&mut self, _term: u64, _consumer: ConsumerKey, _prefetch: u32) {}
    /// A consumer is gone.
    fn detached(&mut self, _term: u64, _consumer: ConsumerKey) {}
    /// A message was handed to a consumer.
    fn dispatched(&mut self, _term: u64, _delivery: &Delivery) {}
    /// The body of a message that had been handed out without it was read from the log.
    fn read_back(&mut self, _term: u64, _key: MessageKey, _message: &Message) {}
    /// A delivery ended.
    fn settled(&mut self, _term: u64, _by: ConsumerKey, _key: MessageKey, _how: Settlement) {}
}

impl Told for () {}
