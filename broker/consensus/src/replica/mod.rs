//! One node's part in one group.

mod election;
mod following;
mod leading;
mod quiet;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
pub use quiet::Quiet;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    log::Log,
    message::{Message, Outgoing, Word},
    progress::Progress,
    ready::Ready,
    types::{Entry, EntryId, Index, Membership, NodeId, Payload, Term, Vote},
};

/// Settings of a replica. Times are lengths.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose replica this is.
    pub node: NodeId,
    /// How often a leader lets the others hear of it.
    pub heartbeat: Duration,
    /// One that hears nothing for a time drawn between these stands for election. For the shorter
    /// one after it has heard of its leader it votes for nobody else, nor for its promise.
    pub election: [Duration; 2],
    /// A leader that no majority has answered for so long leads no more, and votes for nobody before:
    /// about the longest election timeout of any member.
    pub patience: Duration,
    /// For so long after it has heard of its leader it votes for nobody else, whatever its election
    /// timeout: not longer than the shorter one. The others go by it.
    pub promise: Duration,
    /// A leader serves for so long from when it sent what a majority has answered; shorter than
    /// its own promise by more than clocks may drift in that time.
    pub lease: Duration,
    /// The most entries in one message.
    pub entries: u64,
    /// The most messages with entries under way to each of the others.
    pub window: usize,
    /// Election timeouts are drawn from it; another one for each replica and start.
    pub seed: u64,
}

/// What a replica finds on its disk.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// What it has promised.
    pub vote: Vote,
    /// Its log; all of it is on the disk.
    pub log: Log,
    /// How far it is known to be committed; at least its base.
    pub commit: Index,
    /// If it has lost records: the last term in which it may have promised something that it has
    /// forgotten. It takes entries of later leaders only, and neither votes nor stands for
    /// election, until [`Replica::end_repair`].
    pub floor: Option<Term>,
    /// It votes above its floor although it is not whole: so many others have lost theirs that the
    /// rest can elect nobody without it, and an operator has said that what it has is to do.
    pub votes_above_floor: bool,
    /// If it has left the group once and forgotten its log: the change by which it did. It votes as if
    /// its log ended there, and stands for election only when it is as late again: who has not heard of
    /// that change may count on what it has forgotten. Its vote is of that change's term at least.
    pub left: EntryId,
    /// For how long the promises of its earlier lives hold at the most.
    pub promised: Duration,
}

/// A part in a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes entries of a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

/// Why something cannot be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Another node leads, or nobody.
    Follows(Option<NodeId>),
    /// It is handing over.
    HandingOver,
    /// A change of the membership is under way.
    Changing,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
enum Part {
    Follower,
    PreCandidate(BTreeSet<NodeId>),
    Candidate(BTreeSet<NodeId>),
    Leader(Leader),
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Leader {
    /// Its first entry.
    first: Index,
    since: Duration,
    others: BTreeMap<NodeId, Progress>,
    /// To whom it hands over, and when that is given up.
    handing_over: Option<(NodeId, Duration)>,
    /// It has asked another to take over, and does not serve any more in this term.
    released: bool,
}

/// What was asked to be written with one [`Ready`].
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Writing {
    number: u64,
    last: EntryId,
    term: Term,
}

/// See the module.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Replica {
    config: Config,
    random: ChaCha8Rng,
    vote: Vote,
    log: Log,
    /// The log is on the disk up to here.
    stable: Index,
    /// The latest term that is on the disk.
    stable_term: Term,
    commit: Index,
    part: Part,
    leader: Option<NodeId>,
    /// When the leader of this term was last heard.
    heard: Option<Duration>,
    /// What was promised before the start is forgotten; until then it may hold.
    silent_until: Duration,
    floor: Option<Term>,
    votes_above_floor: bool,
    left: EntryId,
    deadline: Duration,
    ready: Ready,
    vote_changed: bool,
    /// The end of the log as handed out.
    handed_out: Index,
    numbers: u64,
    writing: VecDeque<Writing>,
}

impl Replica {
    /// Starts a replica at `now`. One that has promised anything in an earlier life says nothing
    /// for the length of the promise.
    pub fn new(config: Config, recovered: Recovered, now: Duration) -> Self {
        let Recovered { vote, log, commit, floor, votes_above_floor, left, promised } = recovered;
        let Membership { voters, outgoing, .. } = log.membership();
        let alone = outgoing.is_empty() && *voters == BTreeSet::from([config.node]);
        let silent_until = match vote.term > 0 && !alone {
            true => now + config.election[1].max(promised),
            false => Duration::ZERO,
        };
        let last = log.last().index;
        let random = ChaCha8Rng::seed_from_u64(config.seed);
        let mut replica = Self {
            config,
            random,
            vote,
            commit: commit.clamp(log.base().index, last),
            log,
            stable: last,
            stable_term: vote.term,
            part: Part::Follower,
            leader: None,
            heard: None,
            silent_until,
            floor,
            votes_above_floor,
            left,
            deadline: Duration::MAX,
            ready: Ready::default(),
            vote_changed: false,
            handed_out: last,
            numbers: 0,
            writing: VecDeque::new(),
        };
        replica.draw_deadline(now);
        if alone {
            replica.deadline = now;
        }
        replica
    }

    /// What part it has.
    pub fn role(&self) -> Role {
        match self.part {
            Part::Follower => Role::Follower,
            Part::PreCandidate(_) => Role::PreCandidate,
            Part::Candidate(_) => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }

    /// The latest term it has heard of.
    pub fn term(&self) -> Term {
        self.vote.term
    }

    /// Who leads in this term, as far as it knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// How far the log is committed. Followers may hear of it before their own copy is on the disk.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The shape of its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How far its log is on its disk.
    pub fn stable(&self) -> Index {
        self.stable
    }

    /// As a leader: the first entry of its term.
    pub fn first(&self) -> Option<Index> {
        match &self.part {
            Part::Leader(leader) => Some(leader.first),
            _ => None,
        }
    }

    /// As a leader: how far another has its log on its disk, and when the latest message was sent
    /// that it has answered.
    pub fn progress(&self, node: NodeId) -> Option<(Index, Option<Duration>)> {
        match &self.part {
            Part::Leader(leader) => leader.others.get(&node).map(|it| (it.stored, it.heard)),
            _ => None,
        }
    }

    /// Whether it is handing over, and takes nothing in.
    pub fn is_handing_over(&self) -> bool {
        matches!(&self.part, Part::Leader(Leader { handing_over: Some(_), .. }))
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// From now on election timeouts are drawn between these.
    pub fn set_election(&mut self, election: [Duration; 2]) {
        self.config.election = election;
    }

    /// As [`Recovered::floor`].
    pub fn floor(&self) -> Option<Term> {
        self.floor
    }

    /// When [`Replica::handle_timeout`] is to be called, and what is ready to be done.
    pub fn poll_timeout(&self) -> Duration {
        self.held_until().map_or(self.deadline, |held| held.min(self.deadline))
    }

    /// The time is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if now < self.deadline {
            return;
        }
        match self.part {
            Part::Leader(_) => self.beat(now),
            _ => self.election_timeout(now),
        }
    }

    /// A word came from another replica of the group.
    pub fn handle_message(&mut self, from: NodeId, message: Message, now: Duration) {
        let Message { term, word } = message;
        match word {
            Word::PreVote { last } => self.pre_vote(from, term, last, now),
            Word::PreVoteAnswer { granted } => self.pre_vote_answer(from, term, granted, now),
            Word::Vote { last, released } => self.vote(from, term, last, released, now),
            Word::VoteAnswer { granted } => self.vote_answer(from, term, granted, now),
            Word::Append { prev, entries, commit, stamp } => {
                if self.follow(from, term, stamp, now) {
                    self.append(from, prev, entries, commit, stamp);
                }
            }
            Word::Snapshot { last, membership, stamp } => {
                if self.follow(from, term, stamp, now) {
                    self.install(from, last, membership, stamp);
                }
            }
            Word::AppendAnswer { stamp, outcome, promise } => {
                if term > self.vote.term {
                    self.become_follower(term, None, now);
                } else if term == self.vote.term {
                    self.append_answer(from, (stamp, promise), outcome, now);
                }
            }
            Word::TakeOver => self.take_over(from, term, now),
        }
    }

    /// Everything up to the [`Ready`] of that number is on the disk.
    pub fn persisted(&mut self, number: u64, now: Duration) {
        let done = self.writing.partition_point(|it| it.number <= number);
        for written in self.writing.drain(..done) {
            self.stable_term = self.stable_term.max(written.term);
            // What was cut off again in the meantime does not count.
            if self.log.has(written.last) {
                self.stable = self.stable.max(written.last.index);
            }
        }
        match &self.part {
            Part::Candidate(_) if self.stable_term == self.vote.term => {
                self.granted(self.config.node, now);
            }
            Part::Leader(_) => self.advance_commit(now),
            _ => {}
        }
    }

    /// What is to be done now, if anything.
    pub fn ready(&mut self, now: Duration) -> Option<Ready> {
        self.send_entries(now);
        if std::mem::take(&mut self.vote_changed) {
            self.ready.vote = Some(self.vote);
        }
        if self.ready.is_empty() {
            return None;
        }
        self.numbers += 1;
        self.ready.number = self.numbers;
        if self.ready.writes() {
            self.handed_out = self.log.last().index;
            let (last, term) = (self.log.last(), self.vote.term);
            self.writing.push_back(Writing { number: self.numbers, last, term });
        }
        Some(std::mem::take(&mut self.ready))
    }

    /// A snapshot stands for the log up to `index` now.
    pub fn compact(&mut self, index: Index) {
        self.log.compact(index.min(self.commit));
    }

    /// The replica has applied an entry of a term above its floor, which is on the disk.
    pub fn end_repair(&mut self, now: Duration) {
        self.floor = None;
        self.draw_deadline(now);
    }

    /// Appends to the log what the state machine is to be given; only as a leader.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn propose(&mut self, data: Bytes) -> Result<EntryId, Busy> {
        self.leads()?;
        Ok(self.append_own(Payload::Data(data)))
    }

    fn leads(&self) -> Result<&Leader, Busy> {
        match &self.part {
            Part::Leader(Leader { handing_over: Some(_), .. }) => Err(Busy::HandingOver),
            Part::Leader(leader) => Ok(leader),
            _ => Err(Busy::Follows(self.leader)),
        }
    }

    fn append_own(&mut self, payload: Payload) -> EntryId {
        let id = EntryId::new(self.vote.term, self.log.last().index + 1);
        self.log_entry(Entry { id, payload });
        id
    }

    fn log_entry(&mut self, entry: Entry) {
        let membership = match &entry.payload {
            Payload::Membership(membership) => Some(membership),
            _ => None,
        };
        self.log.append(entry.id, membership);
        self.ready.entries.push(entry);
    }

    fn membership(&self) -> &Membership {
        self.log.membership()
    }

    fn others(&self) -> Vec<NodeId> {
        let mut members = self.membership().members();
        members.remove(&self.config.node);
        members.into_iter().collect()
    }

    fn message(&self, to: NodeId, word: Word) -> Outgoing {
        Outgoing::Message { to, message: Message { term: self.vote.term, word } }
    }

    fn draw_deadline(&mut self, now: Duration) {
        let [least, most] = self.config.election;
        let drawn = least + (most - least).mul_f64(self.random.random::<f64>());
        self.deadline = (now + drawn).max(self.silent_until);
    }

    /// Takes up a term, and the part of a follower in it.
    fn become_follower(&mut self, term: Term, leader: Option<NodeId>, now: Duration) {
        if term > self.vote.term {
            self.vote = Vote { term, candidate: None };
            self.vote_changed = true;
            self.heard = None;
        }
        self.part = Part::Follower;
        self.leader = leader;
        self.draw_deadline(now);
    }
}
