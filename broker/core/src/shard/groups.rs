//! Message groups: which one a message is a member of, as its sender says.
//!
//! A group is known by a hash of its name, so that it takes the same memory whatever clients write,
//! and is at hand while the body is not. Two groups with one hash would be taken for one, which costs
//! nothing but balance.

use serde::{Deserialize, Serialize};

use crate::{Message, Value};

/// The property that names a message's group, as JMS has it.
pub const GROUP_ID: &str = "JMSXGroupID";

/// The property that counts a group's messages, as JMS has it. A negative one closes the group, as in
/// ActiveMQ: whoever gets what follows need not be the same.
pub const GROUP_SEQUENCE: &str = "JMSXGroupSeq";

/// A group of messages, of which one consumer of a queue at a time gets all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(u64);

/// That a message is a member of a group, and whether it closes it: the hash, and the latter in its
/// lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership(u64);

impl Membership {
    /// Of a message, if it is in a group.
    pub fn of(message: &Message) -> Option<Self> {
        let property = |wanted| {
            let found = message.properties.iter().find(|(name, _)| &**name == wanted);
            found.map(|(_, value)| value)
        };
        let name = property(GROUP_ID)?.to_text().filter(|name| !name.is_empty())?;
        let hash = blake3::hash(name.as_bytes());
        let hash = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        let closes = property(GROUP_SEQUENCE).and_then(sequence).is_some_and(|it| it < 0);
        Some(Self(u64::from_le_bytes(*hash) & !1 | u64::from(closes)))
    }

    /// The group.
    pub(crate) fn group(self) -> GroupId {
        GroupId(self.0 & !1)
    }

    /// Whether the message is the last of its group.
    pub(crate) fn closes(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The number that a property holds. Headers of STOMP are text.
pub(crate) fn sequence(value: &Value) -> Option<i32> {
    match value {
        Value::Byte(number) => Some((*number).into()),
        Value::Short(number) => Some((*number).into()),
        Value::Int(number) => Some(*number),
        Value::Long(number) => i32::try_from(*number).ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    fn member(group: &str, sequence: Option<Value>) -> Option<Membership> {
        let mut message = message("q", "m");
        message.properties.push((GROUP_ID.into(), Value::Text(group.into())));
        message.properties.extend(sequence.map(|value| (GROUP_SEQUENCE.into(), value)));
        Membership::of(&message)
    }

    #[test]
    fn a_group_is_its_name_and_a_negative_sequence_closes_it() {
        assert_eq!(Membership::of(&message("q", "m")), None);
        assert_eq!(member("", None), None);
        let first = member("a", Some(Value::Int(1))).unwrap();
        assert!(!first.closes());
        for last in [Value::Int(-1), Value::Text("-1".into()), Value::Long(-7)] {
            let last = member("a", Some(last)).unwrap();
            assert!(last.closes());
            assert_eq!(last.group(), first.group());
        }
        assert!(!member("a", Some(Value::Text("none".into()))).unwrap().closes());
        assert_ne!(member("b", None).unwrap().group(), first.group());
    }
}
