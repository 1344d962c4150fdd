//! What selectors see of a message that may be delivered.

use std::sync::Arc;

use super::{
    Field, Fields,
    expression::{Header, Identifier},
};
use crate::{Message, Value};

/// Where STOMP's header for the JMS type is kept.
const STOMP_TYPE: &str = "type";

/// A message, and what its next delivery would say of those before.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// It.
    pub message: &'a Message,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many deliveries were rejected or released.
    pub redelivery_count: u32,
}

impl Candidate<'_> {
    fn property(&self, name: &str) -> Field<'_> {
        let found = self.message.properties.iter().find(|(known, _)| **known == *name);
        found.map_or(Field::Null, |(_, value)| value.into())
    }

    fn header(&self, header: Header) -> Field<'_> {
        let message = self.message;
        match header {
            Header::DeliveryMode => {
                Field::Text(if message.persistent { "PERSISTENT" } else { "NON_PERSISTENT" })
            }
            Header::Priority => Field::Int(message.priority.into()),
            Header::MessageId => Field::Text(&message.id),
            Header::Timestamp => Field::Int(message.timestamp.0 as i64),
            Header::CorrelationId => of_text(&message.correlation_id),
            Header::ReplyTo => of_text(&message.reply_to),
            Header::Expiration => Field::Int(message.expires.map_or(0, |at| at.0 as i64)),
            Header::Type => match self.property("JMSType") {
                Field::Null => self.property(STOMP_TYPE),
                named => named,
            },
            Header::Redelivered => Field::Bool(self.redelivered),
            Header::DeliveryCount => Field::Int(i64::from(self.redelivery_count) + 1),
        }
    }
}

fn of_text(text: &Option<Arc<str>>) -> Field<'_> {
    text.as_deref().map_or(Field::Null, Field::Text)
}

impl Fields for Candidate<'_> {
    fn field(&self, identifier: &Identifier) -> Field<'_> {
        match identifier {
            Identifier::Header(header) => self.header(*header),
            Identifier::Property(name) => self.property(name),
        }
    }
}

impl<'a> From<&'a Value> for Field<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Bool(is) => Field::Bool(*is),
            Value::Long(number) => Field::Int(*number),
            Value::Int(number) => Field::Int((*number).into()),
            Value::Short(number) => Field::Int((*number).into()),
            Value::Byte(number) => Field::Int((*number).into()),
            Value::Double(number) => Field::Double(*number),
            Value::Float(number) => Field::Double((*number).into()),
            Value::Text(text) => Field::Text(text),
            Value::Bytes(_) => Field::Null,
        }
    }
}
