//! The event log of a run, kept as a hash: the fingerprint.
//!
//! What nodes emit, every chunk that the network delivers, every write and sync of a disk and
//! every fault enters it with its virtual time and node. Two runs with the same fingerprint did
//! the same things at the same times.

use super::context;
use super::timers::{self, Nanos};
use crate::events::{Event, Value};
use std::fmt;
use std::time::Duration;

type Listener = Box<dyn FnMut(&Event<'_>) + Send>;

/// The hash of everything that has happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(crate) struct Recorder {
    hasher: blake3::Hasher,
    /// Records not hashed yet: hashing much at once is several times cheaper.
    pending: Vec<u8>,
    pub(crate) events: u64,
    listeners: Vec<Listener>,
}

const PENDING_MAX: usize = 16 * 1024;

impl Recorder {
    pub(crate) fn new(seed: u64) -> Recorder {
        let mut pending = Vec::with_capacity(PENDING_MAX + 1024);
        pending.extend_from_slice(&seed.to_le_bytes());
        Recorder { hasher: blake3::Hasher::new(), pending, events: 0, listeners: Vec::new() }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.pending);
        Fingerprint(*hasher.finalize().as_bytes())
    }

    /// Records something of the world's own making: `what` tells the kinds apart.
    pub(crate) fn record(&mut self, at: Nanos, what: u8, numbers: &[u64]) {
        self.begin(at, what);
        for number in numbers {
            self.pending.extend_from_slice(&number.to_le_bytes());
        }
        self.end();
    }

    fn record_event(&mut self, at: Nanos, node: usize, kind: &str, fields: &[(&str, Value<'_>)]) {
        self.begin(at, 0);
        self.pending.extend_from_slice(&(node as u32).to_le_bytes());
        self.text(kind);
        // A kind's fields are the same wherever it is emitted; their names say nothing new.
        for (_, value) in fields {
            match value {
                Value::U64(number) => self.number(1, *number),
                Value::I64(number) => self.number(2, *number as u64),
                Value::Bool(truth) => self.number(3, u64::from(*truth)),
                Value::Str(text) => {
                    self.pending.push(4);
                    self.text(text);
                }
            }
        }
        self.end();
    }

    fn begin(&mut self, at: Nanos, what: u8) {
        self.events += 1;
        self.pending.extend_from_slice(&at.to_le_bytes());
        self.pending.push(what);
    }

    fn number(&mut self, kind: u8, number: u64) {
        self.pending.push(kind);
        self.pending.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.pending.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.pending.extend_from_slice(text.as_bytes());
    }

    fn end(&mut self) {
        if self.pending.len() >= PENDING_MAX {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }
}

/// A cheap hash of bytes, for records of what was sent and written. Not for adversaries.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let mut hash = K ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        hash = fold(hash ^ word, K);
    }
    let mut rest = [0; 8];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    fold(hash ^ u64::from_le_bytes(rest), K ^ 0x1234_5678)
}

pub(crate) fn enabled() -> bool {
    true
}

pub(crate) fn emit(kind: &str, fields: &[(&str, Value<'_>)]) {
    // A destructor may run while the world ends, or for a process that has been killed: what
    // either says was never said.
    let node = context::try_with(|sim| {
        let index = sim.nodes.current_index();
        sim.nodes.all[index].is_up().then_some(index)
    });
    if let Some(Some(node)) = node {
        emit_for(node, kind, fields);
    }
}

/// Logs an event of `node` and tells the listeners. The world must not be borrowed.
pub(crate) fn emit_for(node: usize, kind: &str, fields: &[(&str, Value<'_>)]) {
    let (now, incarnation, heard) = context::with(|sim| {
        let now = timers::now();
        sim.recorder.record_event(now, node, kind, fields);
        let heard = (!sim.recorder.listeners.is_empty()).then(|| {
            let name = sim.nodes.all[node].name.clone();
            (name, std::mem::take(&mut sim.recorder.listeners))
        });
        (now, sim.nodes.all[node].incarnation, heard)
    });
    let Some((name, mut listeners)) = heard else { return };
    let at = Duration::from_nanos(now);
    let event = Event { at, node: &name, incarnation, kind, fields };
    for listener in &mut listeners {
        listener(&event);
    }
    context::with(|sim| {
        // Those that were added meanwhile come last.
        listeners.append(&mut sim.recorder.listeners);
        sim.recorder.listeners = listeners;
    });
}

pub(crate) fn listen(listener: Listener) {
    context::with(|sim| sim.recorder.listeners.push(listener));
}
