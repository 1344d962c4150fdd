//! Heart-beats both ways (STOMP 1.2 "Heart-beating").

use std::{num::IntErrorKind, time::Duration};

/// The agreed heart-beats of one session, and when each side was last heard.
#[derive(Debug, Default)]
pub(super) struct HeartBeat {
    /// The client wants to hear something at least this often.
    send_every: Option<Duration>,
    /// The client has promised to send something at least this often.
    expect_every: Option<Duration>,
    last_sent: Duration,
    last_received: Duration,
}

impl HeartBeat {
    /// Reads a client's `heart-beat` header: how often it can send, how often it wants to hear, in
    /// milliseconds, zero for never. An error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<(Duration, Duration), String> {
        let numbers = text.split_once(',').filter(|(_, wants)| !wants.contains(','));
        let (can, wants) = numbers.ok_or_else(|| {
            format!(
                "`heart-beat` is two numbers of milliseconds with a comma between, not `{text}`"
            )
        })?;
        Ok((millis(can)?, millis(wants)?))
    }

    /// What both sides can agree on: the larger of what one can and the other wants, nothing where
    /// either is zero.
    pub(super) fn agree(
        client_can: Duration,
        client_wants: Duration,
        server_can: Duration,
        server_wants: Duration,
        now: Duration,
    ) -> Self {
        let agree = |can: Duration, wants: Duration| {
            (!can.is_zero() && !wants.is_zero()).then(|| can.max(wants))
        };
        Self {
            send_every: agree(server_can, client_wants),
            expect_every: agree(client_can, server_wants),
            last_sent: now,
            last_received: now,
        }
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.last_sent = now;
    }

    pub(super) fn received(&mut self, now: Duration) {
        self.last_received = now;
    }

    /// When something must have been sent. Three quarters of the interval leave the rest for the
    /// way to the client.
    pub(super) fn send_at(&self) -> Option<Duration> {
        self.send_every.map(|every| self.last_sent + every * 3 / 4)
    }

    /// When the client counts as dead. The specification asks for an error margin; twice the
    /// interval is what other brokers give.
    pub(super) fn dead_at(&self) -> Option<Duration> {
        self.expect_every.map(|every| self.last_received + every * 2)
    }
}

/// One number of a `heart-beat` header.
fn millis(text: &str) -> Result<Duration, String> {
    // A `u32` of milliseconds is 49 days; more makes no heart-beat.
    const MAX: u32 = u32::MAX;
    let text = text.trim();
    text.parse::<u32>().map(|millis| Duration::from_millis(millis.into())).map_err(|error| {
        let is_negative = text
            .strip_prefix('-')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
        if is_negative || *error.kind() == IntErrorKind::PosOverflow {
            format!(
                "`heart-beat` holds 0 to {MAX} milliseconds, 0 for never; `{text}` is out of that \
                 range"
            )
        } else {
            format!("`heart-beat` is two whole numbers of milliseconds; `{text}` is none")
        }
    })
}
