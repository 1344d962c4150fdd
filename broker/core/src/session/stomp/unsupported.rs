//! What clients of ActiveMQ may ask for and Paceline cannot do yet. It is refused by name: a header
//! that would change what a frame means is never ignored in silence.

use paceline_wire::stomp::{Command, Frame};

/// A header which asks, in some frames, for what is not there.
struct Unsupported {
    name: &'static str,
    commands: &'static [Command],
    /// The values that ask for nothing.
    off: Off,
    /// What it would ask for.
    what: &'static str,
}

/// Which values of a header leave a frame's meaning as it is.
enum Off {
    /// `false`, in any case as ActiveMQ reads it.
    False,
    /// The number 0.
    Zero,
    /// No text.
    Empty,
}

impl Off {
    fn covers(&self, value: &str) -> bool {
        let value = value.trim();
        match self {
            Off::False => value.eq_ignore_ascii_case("false"),
            Off::Zero => value.parse() == Ok(0_i64),
            Off::Empty => value.is_empty(),
        }
    }
}

const fn row(
    name: &'static str,
    commands: &'static [Command],
    off: Off,
    what: &'static str,
) -> Unsupported {
    Unsupported { name, commands, off, what }
}

const SEND: &[Command] = &[Command::Send];
const SUBSCRIBE: &[Command] = &[Command::Subscribe];

/// `docs/stomp.md` lists the same for users.
const UNSUPPORTED: &[Unsupported] = &[
    row("JMSXGroupID", SEND, Off::Empty, "message groups"),
    row("browser", SUBSCRIBE, Off::False, "queue browsers"),
    row("activemq.exclusive", SUBSCRIBE, Off::False, "exclusive consumers"),
    row("activemq.retroactive", SUBSCRIBE, Off::False, "retroactive consumers"),
    row("activemq.priority", SUBSCRIBE, Off::Zero, "priorities of consumers"),
];

/// Refuses a frame with a header that asks for what is not there; the error names it.
pub(super) fn refuse_headers(frame: &Frame) -> Result<(), String> {
    let asked = UNSUPPORTED.iter().find(|row| {
        row.commands.contains(&frame.command)
            && frame.header(row.name).is_some_and(|value| !row.off.covers(value))
    });
    match asked {
        None => Ok(()),
        Some(Unsupported { name, what, .. }) => {
            Err(format!("{what} are not supported; leave out the header `{name}`"))
        }
    }
}
