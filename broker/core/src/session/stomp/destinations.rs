//! Destinations as STOMP clients write them, in ActiveMQ's ways.
//!
//! | written | here |
//! |---|---|
//! | `/queue/a.b`, `queue://a.b`, or `a.b` alone | the queue `a.b` |
//! | `/topic/a.b`, `topic://a.b` | the topic `a.b` |
//! | `/temp-queue/x`, `/temp-topic/x` | this session's own `ID:SESSION:x` |
//! | `/remote-temp-queue/ID:…` | another client's temporary queue, to reply to |
//! | several of them with commas between | each of them; a message goes to all of them or none, a subscription gets what is in any |

use std::sync::Arc;

use paceline_wire::stomp::header;

use crate::{
    Destination, DestinationKind, Source, destination::InvalidDestination, source::distinct,
};

const TEMPORARY: [(&str, DestinationKind); 2] =
    [("/temp-queue/", DestinationKind::Queue), ("/temp-topic/", DestinationKind::Topic)];

/// Where a message of session `session` goes.
pub(super) fn targets(text: &str, session: &str) -> Result<Arc<[Destination]>, String> {
    let target = |part: &str| {
        let target = one(part.trim(), session)?;
        match target.is_pattern() {
            true => Err(format!("`{text}` holds a wildcard; a message goes to one destination")),
            false => Ok(target),
        }
    };
    let all: Vec<_> = text.split(',').map(target).collect::<Result<_, String>>()?;
    distinct(all).map_err(|error| error.to_string())
}

/// What a subscription of session `session` is for.
pub(super) fn source(text: &str, session: &str) -> Result<Source, String> {
    let part = |part: &str| {
        let source = one(part.trim(), session)?;
        match source.is_temporary() && own(&source, session).is_none() {
            true => {
                Err(format!("`{part}` belongs to another client, which alone may subscribe to it"))
            }
            false => Ok(source),
        }
    };
    let all: Vec<_> = text.split(',').map(part).collect::<Result<_, String>>()?;
    Source::several(&all).map_err(|error| error.to_string())
}

fn one(text: &str, session: &str) -> Result<Destination, String> {
    let destination = parse(text, session).map_err(|error| error.to_string())?;
    match destination.name.split_once('?') {
        None => Ok(destination),
        Some((_, options)) => Err(format!(
            "options of a destination are for consumers; leave `?{options}` out of the header `{}`",
            header::DESTINATION
        )),
    }
}

fn parse(text: &str, session: &str) -> Result<Destination, InvalidDestination> {
    for (prefix, kind) in TEMPORARY {
        match text.strip_prefix(prefix) {
            Some("") => return Err(InvalidDestination::Empty),
            Some(name) => return Destination::new(kind, &format!("ID:{session}:{name}")),
            None => {}
        }
    }
    if text.starts_with('/') || text.contains("://") {
        return Destination::parse(text);
    }
    Destination::queue(text)
}

/// What the session calls a temporary destination of its own.
fn own<'a>(destination: &'a Destination, session: &str) -> Option<&'a str> {
    destination.name.strip_prefix("ID:")?.strip_prefix(session)?.strip_prefix(':')
}

/// How a destination is written to session `session`: a prefix and a name.
pub(super) fn write<'a>(destination: &'a Destination, session: &str) -> [&'a str; 2] {
    let (plain, temporary, remote) = match destination.kind {
        DestinationKind::Queue => ("/queue/", "/temp-queue/", "/remote-temp-queue/"),
        DestinationKind::Topic => ("/topic/", "/temp-topic/", "/remote-temp-topic/"),
    };
    if !destination.is_temporary() {
        return [plain, &destination.name];
    }
    match own(destination, session) {
        Some(name) => [temporary, name],
        None => [remote, &destination.name],
    }
}

/// A reply-to of session `session` as everybody else has to write it.
pub(super) fn reply_to(text: &str, session: &str) -> Arc<str> {
    let is_own = TEMPORARY.iter().any(|(prefix, _)| text.starts_with(prefix));
    match parse(text, session) {
        Ok(destination) if is_own => write(&destination, "").concat().into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let all = targets(text, "s-1").unwrap();
        all.iter().map(Destination::to_string).collect()
    }

    #[test]
    fn a_message_goes_where_activemq_would_take_it() {
        assert_eq!(names("/queue/a"), ["/queue/a"]);
        assert_eq!(names("a.b"), ["/queue/a.b"]);
        assert_eq!(names("/temp-topic/x"), ["/topic/ID:s-1:x"]);
        assert_eq!(names("/queue/a, topic://b,c"), ["/queue/a", "/topic/b", "/queue/c"]);
        for (text, why) in [
            ("/queues/a", "`/queues/a` is neither a queue nor a topic"),
            ("/temp-queue/", "the destination name is empty"),
            ("/queue/a,", "the destination name is empty"),
            ("/queue/a,b.>", "`/queue/a,b.>` holds a wildcard"),
            ("/queue/a?x=1", "options of a destination are for consumers; leave `?x=1` out"),
        ] {
            let error = targets(text, "s-1").unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_temporary_destination_has_a_name_of_its_own_for_everybody_else() {
        let here = source("/temp-queue/x", "s-1").unwrap();
        let here = here.exact().unwrap().clone();
        assert_eq!(write(&here, "s-1").concat(), "/temp-queue/x");
        assert_eq!(write(&here, "s-11").concat(), "/remote-temp-queue/ID:s-1:x");
        let there = reply_to("/temp-queue/x", "s-1");
        assert_eq!(&*targets(&there, "s-2").unwrap(), [here]);
        let foreign = source(&there, "s-2").unwrap_err();
        assert_eq!(source(&format!("a,{there}"), "s-2").unwrap_err(), foreign);
        assert!(foreign.ends_with("belongs to another client, which alone may subscribe to it"));
        assert_eq!(&*reply_to("/queue/a", "s-1"), "/queue/a");
        assert_eq!(&*reply_to("anything", "s-1"), "anything");
    }
}
