//! What one replicated write costs the protocol: 64 groups of three replicas, all in memory, each
//! write on its own, from the proposal until all three know that it is committed.

use std::{collections::VecDeque, hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use paceline_consensus::{
    Config, Entry, EntryId, Log, Membership, Message, NodeId, Outgoing, Recovered, Replica, Vote,
    Word,
};

const GROUPS: usize = 64;
const NODES: u64 = 3;

struct Group {
    replicas: Vec<Replica>,
    /// Each node's log, from index 1.
    logs: Vec<Vec<Entry>>,
    wire: VecDeque<(NodeId, NodeId, Message)>,
    now: Duration,
}

impl Group {
    fn new(seed: u64) -> Self {
        let membership = Membership::of((1..=NODES).map(NodeId));
        let replica = |node| {
            let config = Config {
                node: NodeId(node),
                heartbeat: Duration::from_millis(50),
                election: [Duration::from_millis(200), Duration::from_millis(400)],
                patience: Duration::from_millis(400),
                promise: Duration::from_millis(200),
                lease: Duration::from_millis(150),
                entries: 64,
                window: 16,
                seed: seed + node,
            };
            let log = Log::new(EntryId::ZERO, membership.clone());
            let vote = Vote::default();
            let recovered = Recovered {
                vote,
                log,
                commit: 0,
                floor: None,
                votes_above_floor: false,
                left: EntryId::ZERO,
                promised: Duration::ZERO,
            };
            Replica::new(config, recovered, Duration::ZERO)
        };
        let mut group = Self {
            replicas: (1..=NODES).map(replica).collect(),
            logs: vec![Vec::new(); NODES as usize],
            wire: VecDeque::new(),
            now: Duration::ZERO,
        };
        // Until somebody leads.
        while group.leader().is_none() {
            group.beat();
        }
        group
    }

    fn leader(&self) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.lease().is_some())
    }

    /// A tenth of a second passes.
    fn beat(&mut self) {
        self.now += Duration::from_millis(100);
        let now = self.now;
        self.replicas.iter_mut().for_each(|replica| replica.handle_timeout(now));
        self.settle();
    }

    /// Does all that is to be done; disks take no time.
    fn settle(&mut self) {
        loop {
            let mut idle = true;
            for at in 0..self.replicas.len() {
                while let Some(ready) = self.replicas[at].ready(self.now) {
                    idle = false;
                    let log = &mut self.logs[at];
                    if let Some(index) = ready.truncate {
                        log.truncate(index as usize - 1);
                    }
                    log.extend(ready.entries);
                    self.replicas[at].persisted(ready.number, self.now);
                    for outgoing in ready.now.into_iter().chain(ready.after) {
                        self.send(at, outgoing);
                    }
                }
            }
            while let Some((from, to, message)) = self.wire.pop_front() {
                idle = false;
                self.replicas[to.0 as usize - 1].handle_message(from, message, self.now);
            }
            if idle {
                return;
            }
        }
    }

    fn send(&mut self, from: usize, outgoing: Outgoing) {
        let (to, message) = match outgoing {
            Outgoing::Message { to, message } => (to, message),
            Outgoing::Entries { to, term, prev, upto, commit, stamp } => {
                let entries = self.logs[from][prev.index as usize..upto as usize].to_vec();
                (to, Message { term, word: Word::Append { prev, entries, commit, stamp } })
            }
            Outgoing::Snapshot { .. } => unreachable!("logs are whole"),
        };
        self.wire.push_back((NodeId(from as u64 + 1), to, message));
    }

    fn write(&mut self, data: &Bytes) {
        let leader = self.leader().expect("it goes on leading");
        self.now += Duration::from_micros(1);
        let id = self.replicas[leader].propose(data.clone()).expect("it leads");
        self.settle();
        assert!(self.replicas[leader].commit() >= id.index);
    }
}

fn replicate(criterion: &mut Criterion) {
    let data = Bytes::from(vec![7; 100]);
    let mut groups: Vec<Group> = (0..GROUPS as u64).map(|seed| Group::new(seed * 100)).collect();
    let mut turn = 0;
    criterion.bench_function("a write of 100 bytes to one of 64 groups of 3", |bench| {
        bench.iter(|| {
            turn += 1;
            groups[turn % GROUPS].write(black_box(&data));
        });
    });
}

criterion_group!(benches, replicate);
criterion_main!(benches);
