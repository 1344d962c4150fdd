//! What arrives was sent, to where it arrived, and not refused or aborted.

use super::ReplyCheck;
use crate::workload::{
    history::{History, Observation},
    operation::Reply,
};

/// See the module.
#[derive(Debug, Default)]
pub struct Invented;

impl ReplyCheck for Invented {
    fn name(&self) -> &'static str {
        "invented"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let Observation::Delivered(delivery) = seen else { return Ok(()) };
        let id = delivery.id;
        let Some(publish) = history.publish(id) else {
            return Err(format!("{id} was delivered, but never sent"));
        };
        if let Some(destination) = delivery.destination
            && destination != publish.destination
        {
            return Err(format!(
                "{id} was sent to {}, but delivered from {}",
                history.destination(publish.destination).name,
                history.destination(destination).name
            ));
        }
        if publish.fate() == Some(Reply::Failed) {
            return Err(format!("{id} was delivered, but its producer was told that it failed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::operation::MessageId;

    #[test]
    fn the_sent_is_right_whether_acknowledged_or_not() {
        let mut told = Told::new();
        for reply in [Reply::Ok, Reply::Unknown] {
            let id = told.send(QUEUE);
            told.reply(id, reply);
            let delivery = told.deliver(id, false);
            told.show(&mut Invented, &delivery).unwrap();
        }
    }

    #[test]
    fn the_never_sent_the_misdirected_and_the_refused_are_found() {
        let mut told = Told::new();
        let never = told.deliver(MessageId { producer: 1, sequence: 5 }, false);
        assert!(told.show(&mut Invented, &never).unwrap_err().contains("never sent"));

        let id = told.publish(QUEUE);
        let mut misdirected = told.deliver(id, false);
        misdirected.destination = Some(TOPIC);
        assert!(told.show(&mut Invented, &misdirected).unwrap_err().contains("sent to q"));

        let id = told.send(QUEUE);
        told.reply(id, Reply::Failed);
        let refused = told.deliver(id, false);
        assert!(told.show(&mut Invented, &refused).unwrap_err().contains("failed"));
    }
}
