//! What each command of a client asks for.

use std::{sync::Arc, time::Duration};

use paceline_reached::{Point, reached};
use paceline_wire::openwire::{
    Command, ConnectionInfo, KeepAliveInfo, MIN_VERSION, Message, ObjectId, ProducerInfo,
    RemoveInfo, TransactionId, TransactionInfo, WireFormatInfo, transaction_type,
};

use super::{
    Asked, OpenWireSession, Phase,
    answers::{Exception, Handled, Refused},
    destinations::Composite,
    message,
};
use crate::session::{Now, sent_to};

impl OpenWireSession {
    pub(super) fn handle_command(&mut self, now: Now, command: Command) {
        let name = command.name();
        let response = command.command_id().filter(|_| command.response_required());
        let transaction = match &command {
            Command::Message(message) => message.transaction_id.clone(),
            Command::MessageAck(ack) => ack.transaction_id.clone(),
            _ => None,
        };
        let handled = match (&self.phase, command) {
            (Phase::Negotiating, Command::WireFormatInfo(info)) => {
                return self.negotiate(now, &info);
            }
            (Phase::Negotiating, _) | (_, Command::WireFormatInfo(_)) => {
                return self.fail(&format!("{name} at the wrong time"));
            }
            (_, Command::KeepAliveInfo(_)) => {
                if response.is_some() {
                    self.answer_keep_alive();
                }
                return;
            }
            (_, Command::ShutdownInfo(_)) => {
                reached(Point::Disconnected);
                return self.end();
            }
            (_, Command::BrokerInfo(_)) => {
                let why = "an ActiveMQ broker cannot connect to this one; clients can";
                return self.fail(why);
            }
            // What a client can do, and orders that clients do not give.
            (_, Command::ConnectionControl(_) | Command::ControlCommand(_)) => Ok(Handled::Done),
            (Phase::Connecting, Command::ConnectionInfo(info)) => {
                self.connect(now, &info, response)
            }
            (Phase::Connecting, _) => return self.fail(&format!("{name} before ConnectionInfo")),
            (Phase::Leaving { .. }, _) => Ok(Handled::Done),
            (_, Command::ConnectionInfo(_)) => {
                Err(Refused::new(Exception::IllegalState, "the connection is open already"))
            }
            (_, command) => self.handle_open(now, command, response),
        };
        match handled {
            Ok(Handled::Done) => {
                if let Some(response) = response {
                    self.respond(response);
                }
            }
            Ok(Handled::Later) => {}
            Err(refused) => {
                if let Some(transaction) = transaction {
                    self.doom(&transaction, &refused.why);
                }
                self.refuse_command(name, response, &refused);
            }
        }
    }

    fn handle_open(
        &mut self,
        now: Now,
        command: Command,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        match command {
            Command::Message(message) => self.send_message(now, &message, response),
            Command::MessageAck(ack) => self.acknowledge(now, &ack, response),
            Command::MessagePull(pull) => self.pull(now, &pull),
            Command::SessionInfo(_) | Command::FlushCommand(_) => Ok(Handled::Done),
            Command::ProducerInfo(info) => self.add_producer(now, &info),
            Command::ConsumerInfo(info) => self.add_consumer(now, &info, response),
            Command::ConsumerControl(control) => Ok(self.control_consumer(now, &control)),
            Command::RemoveInfo(info) => Ok(self.remove(now, &info, response)),
            Command::TransactionInfo(info) => self.handle_transaction(now, &info, response),
            Command::DestinationInfo(info) => self.change_destination(now, &info),
            Command::RemoveSubscriptionInfo(info) => self.forget(now, &info, response),
            _ => Err(Refused::new(Exception::IllegalState, "no client sends this command")),
        }
    }

    fn negotiate(&mut self, now: Now, info: &WireFormatInfo) {
        self.version = self.version.min(info.version);
        if self.version < MIN_VERSION {
            let version = self.version;
            self.version = MIN_VERSION;
            return self.fail(&format!(
                "OpenWire {version} is too old for this broker, which speaks {MIN_VERSION} and later"
            ));
        }
        self.decoder.set_version(self.version);
        let theirs = info.max_inactivity.unwrap_or(0).try_into().unwrap_or(0);
        self.inactivity.agree(self.config.max_inactivity, Duration::from_millis(theirs));
        self.inactivity.sent(now.elapsed);
        self.inactivity.received(now.elapsed);
        self.phase = Phase::Connecting;
        self.send_broker_info();
    }

    fn answer_keep_alive(&mut self) {
        self.send(|command_id| KeepAliveInfo { command_id, response_required: false }.into());
    }

    fn connect(
        &mut self,
        now: Now,
        info: &ConnectionInfo,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let Some(id) = &info.connection_id else {
            return Err(Refused::new(Exception::Jms, "the connection has no id"));
        };
        self.connection = Some(id.detached());
        self.is_manageable = info.manageable;
        self.phase = Phase::Open;
        self.tell_brokers();
        self.connecting(info);
        let handled = self.identify(now, &id.value, info.client_id.as_deref(), response);
        if handled == Handled::Done {
            self.announce(now, &Asked::Connection(response));
        }
        Ok(handled)
    }

    fn add_producer(&mut self, now: Now, info: &ProducerInfo) -> Result<Handled, Refused> {
        self.producer_here(now, info);
        let Some(id) = info.producer_id.as_ref().filter(|_| info.window_size > 0) else {
            return Ok(Handled::Done);
        };
        // As many as consumers.
        let max = self.config.operations.max_consumers;
        if self.windows.len() >= max && !self.windows.contains(id) {
            let why = format!("the connection has {max} producers, which is the most allowed");
            return Err(Refused::new(Exception::ResourceAllocation, why));
        }
        self.windows.insert(id.detached());
        Ok(Handled::Done)
    }

    fn send_message(
        &mut self,
        now: Now,
        sent: &Message,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let all = self.destinations_of(sent)?;
        let max_bytes = self.config.frames.max_frame_bytes;
        let read = message::read(sent, all[0].clone(), max_bytes, now.wall)?;
        let messages = sent_to(read, &all, now.wall)
            .map_err(|why| Refused::new(Exception::MessageFormat, why))?;
        if let Some(transaction) = &sent.transaction_id {
            self.operations.publish_in(transaction, messages)?;
            return Ok(Handled::Done);
        }
        let window = sent.producer_id.as_ref().filter(|id| self.windows.contains(id));
        let asked = match (response, window) {
            (Some(command), _) => Asked::Response(command),
            (None, Some(producer)) => Asked::Taken(producer.detached(), size(sent)),
            (None, None) => Asked::Failure("sending a message"),
        };
        self.operations.publish_all(now.elapsed, messages, asked)?;
        Ok(Handled::Later)
    }

    fn destinations_of(&mut self, sent: &Message) -> Result<Arc<[crate::Destination]>, Refused> {
        let Some(written) = &sent.destination else {
            return Err(Refused::new(Exception::InvalidDestination, "the message has none"));
        };
        if let Some(last) = self.last_destination.as_ref().filter(|last| last.is(written)) {
            return Ok(last.all.clone());
        }
        let composite = Composite::read(written)?;
        if let Some(pattern) = composite.all.iter().find(|to| to.is_pattern()) {
            let why = format!("`{pattern}` holds a wildcard; a message goes to one destination");
            return Err(Refused::new(Exception::InvalidDestination, why));
        }
        let all = composite.all.clone();
        self.last_destination = Some(composite);
        Ok(all)
    }

    fn remove(&mut self, now: Now, info: &RemoveInfo, response: Option<i32>) -> Handled {
        let last = info.last_delivered_sequence_id;
        match &info.object_id {
            Some(ObjectId::Consumer(id)) => self.remove_consumer(now, id, last, response),
            Some(ObjectId::Session(id)) => {
                self.remove_session(now, &id.connection, id.value, last);
                self.producers_gone(&id.connection, id.value);
                Handled::Done
            }
            Some(ObjectId::Producer(id)) => {
                self.windows.remove(id);
                self.producer_gone(id);
                Handled::Done
            }
            Some(ObjectId::Connection(_)) => {
                // A ShutdownInfo follows.
                for id in self.consumers.keys().cloned().collect::<Vec<_>>() {
                    self.remove_consumer(now, &id, last, None);
                }
                self.phase = Phase::Leaving { command: response };
                self.operations.handle_end();
                Handled::Later
            }
            None => Handled::Done,
        }
    }

    fn handle_transaction(
        &mut self,
        now: Now,
        info: &TransactionInfo,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let id = match &info.transaction_id {
            Some(id @ TransactionId::Local { .. }) => id,
            _ if info.transaction_type == transaction_type::RECOVER => {
                return Ok(self.recover(now, response));
            }
            Some(id @ TransactionId::Xa { .. }) => {
                return self.handle_branch(now, id, info, response);
            }
            None => return Err(Refused::new(Exception::Jms, "it names no transaction")),
        };
        match info.transaction_type {
            transaction_type::BEGIN => {
                self.operations.begin(id.detached())?;
                Ok(Handled::Done)
            }
            transaction_type::COMMIT_ONE_PHASE => {
                if let Some(why) = self.doomed.remove(id) {
                    self.operations.abort(now.elapsed, id)?;
                    let why = format!("a part of the transaction was refused: {why}");
                    return Err(Refused::new(Exception::RolledBack, why));
                }
                let asked = response.map_or(Asked::Failure("a commit"), Asked::Response);
                let done = self.operations.commit(now.elapsed, id, asked)?;
                Ok(if done.is_some() { Handled::Done } else { Handled::Later })
            }
            transaction_type::ROLLBACK => {
                self.doomed.remove(id);
                self.operations.abort(now.elapsed, id)?;
                self.rolled_back(now);
                Ok(Handled::Done)
            }
            transaction_type::END | transaction_type::FORGET => Ok(Handled::Done),
            other => {
                let why = format!("a local transaction knows no step {other}");
                Err(Refused::new(Exception::Jms, why))
            }
        }
    }

    /// A part of a transaction was refused, of which the application need not have heard: so all of it is.
    fn doom(&mut self, transaction: &TransactionId, why: &str) {
        if self.operations.is_open(transaction) {
            self.doomed.entry(transaction.detached()).or_insert_with(|| why.into());
        }
    }
}

/// What ActiveMQ's clients count a message as in a producer's window.
fn size(message: &Message) -> i32 {
    const LEAST: usize = 1024;
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let size = LEAST + length(&message.content) + length(&message.marshalled_properties);
    size.try_into().unwrap_or(i32::MAX)
}
