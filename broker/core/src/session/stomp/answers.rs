//! What a client is told: RECEIPT and ERROR frames.

use paceline_reached::{Point, reached};
use paceline_wire::stomp::{Command, Frame, FrameWriter, Text, header};

use super::{Phase, StompSession};
use crate::{operation::Refusal, session::Session};

impl StompSession {
    /// Tells the client that nobody knows what became of its oldest operation.
    pub(super) fn fail_unanswered(&mut self) {
        reached(Point::UnansweredInTime);
        let within = self.config.operations.answer_timeout;
        let why = Refusal::Unknown(format!("the cluster has not answered within {within:?}"));
        let (asked_by, receipt) = match self.operations.oldest() {
            Some(asked) => (asked.command.as_str(), asked.receipt.clone()),
            None => ("an acknowledgement", None),
        };
        self.fail(&format!("{asked_by}: {why}"), receipt.as_ref(), None);
    }

    pub(super) fn answer_receipt(&mut self, receipt: Option<&Text>) {
        // After an ERROR nothing may follow.
        if let Some(receipt) = receipt
            && !self.is_closed()
        {
            let mut frame = FrameWriter::begin(&mut self.answers, self.version, Command::Receipt);
            frame.header(header::RECEIPT_ID, receipt);
            frame.finish(b"");
        }
    }

    /// Says what is wrong and closes (STOMP 1.2 "ERROR"). What was taken before is still carried
    /// out; deliveries not yet sent go back.
    pub(super) fn fail(&mut self, what: &str, receipt: Option<&Text>, offender: Option<&Frame>) {
        if self.is_closed() {
            return;
        }
        reached(Point::ErrorSent);
        let mut error = FrameWriter::begin(&mut self.answers, self.version, Command::Error);
        error.header(header::MESSAGE, what);
        if let Some(receipt) = receipt {
            error.header(header::RECEIPT_ID, receipt);
        }
        if matches!(self.phase, Phase::Connecting) {
            // STOMP 1.2 "Protocol Negotiation".
            error.header(header::VERSION, "1.0,1.1,1.2");
        }
        error.header(header::CONTENT_TYPE, "text/plain");
        error.finish(describe(what, offender).as_bytes());
        self.close();
    }
}

/// The body of an ERROR frame: what is wrong, and the head of the frame that was.
fn describe(what: &str, offender: Option<&Frame>) -> String {
    const MAX_BYTES: usize = 2048;
    let mut text = format!("{what}\n");
    if let Some(frame) = offender {
        text.push_str("\nThe frame was:\n-----\n");
        text.push_str(frame.command.as_str());
        for (name, value) in &frame.headers {
            let value = if *name == header::PASSCODE { "***" } else { value };
            if text.len() + name.len() + value.len() > MAX_BYTES {
                text.push_str("\n…");
                break;
            }
            text.push_str(&format!("\n{name}:{value}"));
        }
        text.push_str("\n-----\n");
    }
    text
}
