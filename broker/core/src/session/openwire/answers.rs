//! What a client is told: responses, exceptions and errors.

use std::time::Duration;

use bytes::BytesMut;
use paceline_reached::{Point, reached};
use paceline_wire::{
    openwire::{
        BrokerId, BrokerInfo, Command, ConnectionControl, ConnectionError, ExceptionResponse,
        KeepAliveInfo, MAX_VERSION, ProducerAck, Response, Throwable, WireFormatInfo,
    },
    text::Text,
};

use super::{Asked, OpenWireSession};
use crate::session::{Session, Violation};

/// The exceptions of JMS that say why something was refused. Clients make them by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    Jms,
    IllegalState,
    InvalidClientId,
    InvalidDestination,
    InvalidSelector,
    MessageFormat,
    ResourceAllocation,
    RolledBack,
    /// With a code at the end of what it says.
    Xa,
    Io,
}

impl Exception {
    fn class(self) -> &'static str {
        match self {
            Exception::Jms => "javax.jms.JMSException",
            Exception::IllegalState => "javax.jms.IllegalStateException",
            Exception::InvalidClientId => "javax.jms.InvalidClientIDException",
            Exception::InvalidDestination => "javax.jms.InvalidDestinationException",
            Exception::InvalidSelector => "javax.jms.InvalidSelectorException",
            Exception::MessageFormat => "javax.jms.MessageFormatException",
            Exception::ResourceAllocation => "javax.jms.ResourceAllocationException",
            Exception::RolledBack => "javax.jms.TransactionRolledBackException",
            Exception::Xa => "javax.transaction.xa.XAException",
            Exception::Io => "java.io.IOException",
        }
    }

    fn throwable(self, why: &str) -> Throwable {
        Throwable { class: Text::from_static(self.class()), message: Some(why.into()) }
    }
}

/// How far a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// It is done: a response may be sent.
    Done,
    /// An operation's outcome is to be its response.
    Later,
}

/// Why a command is not carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) exception: Exception,
    pub(super) why: String,
}

impl Refused {
    pub(super) fn new(exception: Exception, why: impl Into<String>) -> Self {
        Self { exception, why: why.into() }
    }

    /// What no release of this broker does yet.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new(Exception::Jms, format!("this broker does not support {what}"))
    }
}

impl From<Violation> for Refused {
    fn from(violation: Violation) -> Self {
        let (exception, why) = match violation {
            Violation::NotUnsettled => (
                Exception::Jms,
                "no such delivery is open: it was acknowledged before, or never made".into(),
            ),
            Violation::Consumers { max } => (
                Exception::ResourceAllocation,
                format!("the connection has {max} consumers, which is the most allowed"),
            ),
            Violation::Transactions { max } => (
                Exception::ResourceAllocation,
                format!("{max} transactions are open, which is the most allowed"),
            ),
            Violation::TransactionExists => {
                (Exception::IllegalState, "the transaction is open already".into())
            }
            Violation::NoTransaction => {
                (Exception::IllegalState, "the transaction is not open".into())
            }
            Violation::TransactionEntries { max } => (
                Exception::ResourceAllocation,
                format!(
                    "more than {max} entries in a transaction, or to several destinations at once"
                ),
            ),
            Violation::TransactionBytes { max } => (
                Exception::ResourceAllocation,
                format!(
                    "more than {max} bytes of messages in a transaction, or to several destinations at once"
                ),
            ),
        };
        Self { exception, why }
    }
}

impl OpenWireSession {
    /// The first frame.
    pub(super) fn introduce(&mut self) {
        let info = wire_format(self.config.frames.max_frame_bytes, self.config.max_inactivity);
        self.send(|_| info);
    }

    /// Who the broker is. Clients wait for it. They take what has one id for one resource manager, whose
    /// connections could take part in one branch together; here each connection has its own branches.
    pub(super) fn send_broker_info(&mut self) {
        let broker = Text::from(&*self.config.origin.broker);
        let id = Text::from(&*self.name);
        self.send(|command_id| {
            Command::BrokerInfo(Box::new(BrokerInfo {
                command_id,
                broker_id: Some(BrokerId { value: id }),
                broker_name: Some(broker),
                ..BrokerInfo::default()
            }))
        });
    }

    /// Which nodes there are, if the client follows that: one with a `failover:` URL tries these, too,
    /// when it has lost its node, and goes to another one when this one wants it to.
    pub(super) fn tell_brokers(&mut self) {
        let brokers = self.brokers.clone();
        if !self.is_manageable || brokers.addresses.is_empty() {
            return;
        }
        reached(Point::BrokersTold);
        if brokers.moves_on {
            reached(Point::ClientsMovedOn);
        }
        let urls: Vec<_> = brokers.addresses.iter().map(|it| format!("tcp://{it}")).collect();
        self.send(|command_id| {
            Command::ConnectionControl(Box::new(ConnectionControl {
                command_id,
                connected_brokers: Some(urls.join(",").as_str().into()),
                rebalance_connection: brokers.moves_on,
                ..ConnectionControl::default()
            }))
        });
    }

    pub(super) fn keep_alive(&mut self) {
        self.send(|command_id| {
            Command::KeepAliveInfo(KeepAliveInfo { command_id, response_required: false })
        });
    }

    /// A command was carried out.
    pub(super) fn respond(&mut self, correlation_id: i32) {
        self.send(|command_id| {
            Command::Response(Response { command_id, response_required: false, correlation_id })
        });
    }

    /// What was asked is done.
    pub(super) fn answer(&mut self, asked: &Asked) {
        match asked {
            Asked::Response(command)
            | Asked::Consumer(_, Some(command))
            | Asked::Connection(Some(command)) => self.respond(*command),
            Asked::Taken(producer, size) => {
                let (producer, size) = (producer.clone(), *size);
                self.send(|command_id| {
                    Command::ProducerAck(ProducerAck {
                        command_id,
                        response_required: false,
                        producer_id: Some(producer),
                        size,
                    })
                });
            }
            Asked::Failure(_) | Asked::Consumer(_, None) | Asked::Connection(None) => {}
            Asked::Prepared(_) | Asked::OnePhase(_) | Asked::Branch(_) | Asked::Recovered(_) => {
                self.answer_about_branch(asked);
            }
        }
    }

    /// What was asked was refused by the cluster.
    pub(super) fn refuse(&mut self, asked: &Asked, exception: Exception, why: &str) {
        match asked {
            Asked::Response(command)
            | Asked::Consumer(_, Some(command))
            | Asked::Connection(Some(command)) => self.except(*command, exception, why),
            Asked::Taken(..) => self.report(exception, &format!("a message was refused: {why}")),
            Asked::Failure(what) => self.report(exception, &format!("{what} failed: {why}")),
            Asked::Consumer(_, None) => {
                self.report(exception, &format!("subscribing failed: {why}"));
            }
            Asked::Connection(None) => self.report(exception, why),
            Asked::Prepared(_) | Asked::OnePhase(_) | Asked::Branch(_) | Asked::Recovered(_) => {
                unreachable!("what is about a branch is refused in words of its own")
            }
        }
    }

    /// A command is refused: by a response where it requires one.
    pub(super) fn refuse_command(&mut self, name: &str, response: Option<i32>, refused: &Refused) {
        let Refused { exception, why } = refused;
        match response {
            Some(command) => self.except(command, *exception, why),
            None => self.report(*exception, &format!("{name}: {why}")),
        }
    }

    pub(super) fn except(&mut self, correlation_id: i32, exception: Exception, why: &str) {
        reached(Point::ErrorSent);
        let exception = Some(exception.throwable(why));
        self.send(|command_id| {
            Command::ExceptionResponse(ExceptionResponse {
                command_id,
                response_required: false,
                correlation_id,
                exception,
            })
        });
    }

    /// Tells the application's exception listener. The connection stays.
    pub(super) fn report(&mut self, exception: Exception, why: &str) {
        reached(Point::ErrorSent);
        let error = connection_error(exception, why);
        self.send(|command_id| Command::ConnectionError(ConnectionError { command_id, ..error }));
    }

    /// Says what is wrong and closes. What was taken before is still carried out.
    pub(super) fn fail(&mut self, why: &str) {
        if !self.is_closed() {
            self.report(Exception::Io, why);
            self.close();
        }
    }
}

/// What a client is sent for which there is no session.
pub(super) fn turned_away(why: &str) -> BytesMut {
    let mut out = BytesMut::new();
    wire_format(0, Duration::ZERO).encode(MAX_VERSION, &mut out);
    let error = connection_error(Exception::ResourceAllocation, why);
    Command::ConnectionError(error).encode(MAX_VERSION, &mut out);
    out
}

fn connection_error(exception: Exception, why: &str) -> ConnectionError {
    ConnectionError { exception: Some(exception.throwable(why)), ..ConnectionError::default() }
}

fn wire_format(max_frame_bytes: usize, max_inactivity: Duration) -> Command {
    Command::WireFormatInfo(Box::new(WireFormatInfo {
        version: MAX_VERSION,
        tcp_no_delay: true,
        max_frame_size: (max_frame_bytes > 0).then_some(max_frame_bytes as i64),
        max_inactivity: Some(max_inactivity.as_millis() as i64),
        provider_name: Some(Text::from_static("Paceline")),
        provider_version: Some(Text::from_static(env!("CARGO_PKG_VERSION"))),
        ..WireFormatInfo::default()
    }))
}
