//! Who begins to listen to advisories when all has healed is told of exactly the consumers there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
};

use paceline_scenario::format::AckMode;

use super::{
    Shared,
    client::{BackOff, Connection},
    dialogue::{Arrival, Said, Source},
    keeping,
};
use crate::workload::population::Speaks;

/// What the names of the topics begin with, behind which a kind and a name stand.
const PREFIX: &str = "ActiveMQ.Advisory.Consumer.";

/// More consumers than this are not told of at a time.
const PREFETCH: u32 = 10_000;

/// How far a roll call has come, for who waits for it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    /// How what was told differs from what there is.
    pub fn in_words(&self) -> String {
        self.0.lock().expect("no holder panics").clone()
    }

    fn say(&self, words: String) {
        *self.0.lock().expect("no holder panics") = words;
    }
}

/// Listens until what it was told of is what there is.
pub async fn run(shared: Shared, progress: Progress) {
    let expected = expected(&shared);
    let mut back_off = BackOff::default();
    for attempt in 0.. {
        let node = {
            let nodes = shared.members.borrow();
            nodes[attempt % nodes.len()].clone()
        };
        match listen(&shared, &node, &expected, &progress).await {
            Ok(()) => return,
            Err(error) => {
                progress.say(format!("the connection to {node}: {error}"));
                back_off.wait().await;
            }
        }
    }
}

/// How many consumers there are of each destination, by the end of its topic's name.
fn expected(shared: &Shared) -> BTreeMap<String, usize> {
    let plans = shared.population.consumers.iter();
    let sources = plans.flat_map(|plan| keeping::sources(plan, &shared.population));
    let mut expected = BTreeMap::new();
    for (source, _) in sources {
        let kind = if source.topic { "Topic" } else { "Queue" };
        for name in [&source.name].into_iter().chain(&source.others) {
            // No topic tells of consumers of patterns.
            if !name.contains('>') {
                *expected.entry(format!("{kind}.{name}")).or_default() += 1;
            }
        }
    }
    expected
}

async fn listen(
    shared: &Shared,
    node: &str,
    expected: &BTreeMap<String, usize>,
    progress: &Progress,
) -> io::Result<()> {
    let address = shared.address(Speaks::Stomp, node);
    let mut connection =
        Connection::open(Speaks::Stomp, shared.next_connection(), &address).await?;
    let source = Source { name: format!("{PREFIX}>"), topic: true, ..Source::default() };
    connection.subscribe(0, &source, AckMode::Auto, PREFETCH);
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    loop {
        let found: BTreeMap<String, usize> =
            told.iter().map(|(name, ids)| (name.clone(), ids.len())).collect();
        if found == *expected {
            return connection.leave().await;
        }
        progress.say(format!("{found:?} were told of, and there are {expected:?}"));
        match connection.receive().await? {
            Said::Message(arrival) => take(&arrival, &mut told)?,
            Said::Answered(.., Some(error)) => return Err(error),
            Said::Answered(..) => {}
            other => return Err(io::Error::other(format!("a roll call hears {other:?}"))),
        }
    }
}

fn take(arrival: &Arrival, told: &mut BTreeMap<String, BTreeSet<String>>) -> io::Result<()> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("{arrival:?}"));
    let of = arrival.to.strip_prefix(PREFIX).ok_or_else(malformed)?;
    let text = std::str::from_utf8(&arrival.body).map_err(|_| malformed())?;
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    match (field("consumerId"), field("objectId")) {
        (Some(here), None) => _ = told.entry(of.to_owned()).or_default().insert(here),
        (None, Some(gone)) => {
            let ids = told.entry(of.to_owned()).or_default();
            ids.remove(&gone);
            if ids.is_empty() {
                told.remove(of);
            }
        }
        _ => return Err(malformed()),
    }
    Ok(())
}
