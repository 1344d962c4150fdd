//! Refills a replica whose records were damaged or forgotten from the other nodes of its row.
//!
//! What was lost may have held promises: votes, and acknowledged entries. Why the steps below keep
//! them is in `docs/decisions/0014-a-damaged-replica-is-refilled-under-a-new-leader.md`; in short:
//!
//! 1. Every other node of the row says which term it knows. The highest of them is the *floor*: no
//!    promise that counts was made in a later term.
//! 2. The group is reset; the floor is written with the same record. From here on the replica takes
//!    entries, but only of leaders with a term above the floor, who have never counted what it had
//!    before. It does not vote or stand for election.
//! 3. When it has applied an entry of such a leader it is whole, and takes part again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use paceline_consensus::EntryId;
use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::time::{self, Duration};
use paceline_store::{Group, JournalError};
use serde::{Deserialize, Serialize};

use super::context::{Context, Loss};
use crate::replication::{Input, Voters, protocol::Request, storage};

/// How often the other nodes are asked, and how long they have to answer.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What a node of the row says to one that has lost its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Whether its own part is there and not being repaired.
    pub whole: bool,
    /// The term of its vote; none if it has never heard of the group. Read from its journal, which
    /// knows of a vote before any other node does.
    pub term: Option<u64>,
    /// Who decides in the group, by the log of its replica; nobody if that does not run.
    pub voters: Voters,
}

impl Witness {
    /// What this node says of its part, of which the replica says who its voters are, if it runs.
    pub(super) fn new(group: &Group, voters: Option<Voters>) -> Self {
        let runs = voters.is_some();
        let whole = runs && group.damage().is_none() && storage::repair_floor(group).is_none();
        let voters = voters.unwrap_or_default();
        // One that does not know who its members are has heard nothing of what they promised since.
        let term = storage::vote_term(group).filter(|_| !runs || !voters.voters.is_empty());
        Self { whole, term, voters }
    }
}

/// What can be done for a damaged replica.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It can be repaired.
    Floor(u64),
    /// These nodes have to be heard first.
    Wait(BTreeSet<u64>),
    /// With this node, too many have lost their part.
    Lost(BTreeSet<u64>),
    /// Too many have, and what one is left with is to do: above this term, if there is one.
    Forced(Option<u64>),
}

/// Terms that only those may know of that have lost them.
const LOST_TERMS: u64 = 1 << 20;

/// `answers` are those of the other nodes in a row of `row` nodes; none is no answer.
fn judge(row: usize, answers: &BTreeMap<u64, Option<Witness>>, accept_loss: bool) -> Verdict {
    let broken = answers.iter().filter(|(_, it)| it.as_ref().is_some_and(|it| !it.whole));
    let broken: BTreeSet<u64> = broken.map(|(node, _)| *node).collect();
    let whole = row - 1 - broken.len();
    let can_elect = whole > row / 2;
    // Of two nodes the other one has everything that was ever acknowledged, and gets this one's vote.
    let is_other_of_two = row == 2 && whole == 1;
    let term =
        |answer: &Option<Witness>| answer.as_ref().filter(|it| it.whole).and_then(|it| it.term);
    if !can_elect && !is_other_of_two {
        // Of two that are whole, one may lack what the other has seen committed.
        let is_heard = answers.values().all(Option::is_some);
        if accept_loss && is_heard && whole <= 1 {
            let highest = answers.values().filter_map(term).max().unwrap_or(0);
            return Verdict::Forced((whole == 1).then_some(highest + LOST_TERMS));
        }
        return Verdict::Lost(broken);
    }
    let missing = answers.iter().filter(|(node, it)| !broken.contains(node) && term(it).is_none());
    let missing: BTreeSet<u64> = missing.map(|(node, _)| *node).collect();
    if !missing.is_empty() {
        return Verdict::Wait(missing);
    }
    Verdict::Floor(answers.values().filter_map(term).max().unwrap_or(0))
}

/// What the other nodes say of a group.
struct Heard {
    /// Who decides in it, as far as anybody knows, this node perhaps included.
    voters: BTreeSet<u64>,
    /// What each of the others has answered.
    answers: BTreeMap<u64, Option<Witness>>,
    /// The leader knows for certain that this node does not decide, by this change.
    is_out: Option<EntryId>,
}

/// Who decides in a group, by the latest log that was heard of.
struct Deciders {
    since: EntryId,
    voters: BTreeSet<u64>,
}

impl Deciders {
    /// Nothing was heard but who is to hold the group.
    fn of(row: Vec<u64>) -> Self {
        Self { since: EntryId::ZERO, voters: row.into_iter().collect() }
    }

    fn hear(&mut self, known: &Voters) {
        if known.since > self.since {
            (self.since, self.voters) = (known.since, known.voters.clone());
        }
    }
}

/// Asks the other nodes that decide in the group: those of its row, and if one of them knows who it
/// really is, these.
async fn ask(context: &Context, slot: u32) -> Heard {
    let mut decide = Deciders::of(context.cluster.row(slot));
    let mut is_out = None;
    let mut answers: BTreeMap<u64, Option<Witness>> = BTreeMap::new();
    loop {
        let mut others = decide.voters.iter().copied().filter(|node| *node != context.node);
        let Some(node) = others.find(|node| !answers.contains_key(node)) else { break };
        let answer = ask_one(context, slot, node).await;
        if let Some(witness) = answer.as_ref().filter(|witness| witness.whole) {
            is_out = is_out.or(witness.voters.without_asker);
            decide.hear(&witness.voters);
        }
        answers.insert(node, answer);
    }
    let voters = decide.voters;
    answers.retain(|node, _| voters.contains(node));
    Heard { voters, answers, is_out }
}

async fn ask_one(context: &Context, slot: u32, node: u64) -> Option<Witness> {
    let connection = context.peers.connection(node)?;
    let request = Request::Witness { group: slot };
    let answer = time::timeout(ASK_EVERY, connection.request(&request)).await.ok()?.ok()?;
    postcard::from_bytes(&answer).ok()
}

/// Repairs one replica from its loss on. Ends when it is driven again, to be filled by its peers;
/// never, if it cannot be repaired.
pub(super) async fn run(context: Arc<Context>, slot: u32, loss: Loss) {
    if let Err(error) = begin(&context, slot, &loss).await {
        tracing::error!(slot, %error, "this node's replica cannot be reset");
    }
}

/// Waits until the replica can be repaired, resets it and starts it.
async fn begin(context: &Context, slot: u32, loss: &Loss) -> Result<(), String> {
    let group = context.part(slot);
    let mut said = None;
    let (floor, votes, voters) = loop {
        let Heard { voters, answers, is_out } = ask(context, slot).await;
        if let Some(at) = is_out {
            return begin_anew(context, slot, loss, at).await;
        }
        let count = voters.len().max(answers.len() + 1);
        let verdict = judge(count, &answers, context.config.accept_loss);
        match verdict {
            Verdict::Floor(floor) => break (Some(floor), false, voters),
            Verdict::Forced(floor) => break (floor, true, voters),
            Verdict::Wait(_) | Verdict::Lost(_) => {}
        }
        if said.as_ref() != Some(&verdict) {
            complain(context, slot, loss, &verdict);
            said = Some(verdict);
            reached(Point::RepairWaited);
        }
        time::sleep(ASK_EVERY).await;
    };
    // What is left of this node's own memory can only add to it.
    let own = storage::vote_term(&group).max(storage::repair_floor(&group));
    let floor = floor.map(|floor| floor.max(own.unwrap_or(0)));
    match votes {
        false => tracing::warn!(
            slot, floor, %loss,
            "repairing this node's replica from its peers: what is left of it here is dropped, and \
             it does not vote before it is whole"
        ),
        true => tracing::error!(
            slot, floor, %loss,
            "most copies of this shard are lost, and it goes on with what is left, as was accepted \
             at this start: messages that were acknowledged may be gone"
        ),
    }
    let reset = |error: JournalError| error.to_string();
    reached(Point::ReplicaReset);
    let mark = storage::repair_mark(floor, votes, voters);
    group.reset(mark).map_err(reset)?.await.map_err(reset)?;
    start(context, slot).await
}

/// Of a replica that has lost its part and does not decide in its group, by a change that is committed:
/// whatever it promised was before. It is as if it had left the group by that change.
async fn begin_anew(context: &Context, slot: u32, loss: &Loss, at: EntryId) -> Result<(), String> {
    tracing::warn!(
        slot, %loss,
        "what this node has of the shard is dropped: it does not decide in it, and is filled by its \
         leader if it is to"
    );
    storage::leave(&context.part(slot), at).await.map_err(|error| error.to_string())?;
    // Nothing that it had counts any more, so nothing of it is amiss.
    emit!(RepairEnd { shard: slot.into() });
    start(context, slot).await
}

async fn start(context: &Context, slot: u32) -> Result<(), String> {
    context.identity_file.was_reset(slot).await.map_err(|error| error.to_string())?;
    let shard = context.open_shard(slot).await.map_err(|error| error.to_string())?;
    context.shards.tell(Input::Start(Box::new(shard)));
    Ok(())
}

fn complain(context: &Context, slot: u32, loss: &Loss, verdict: &Verdict) {
    let names = |nodes: &BTreeSet<u64>| {
        let name = |node: &u64| context.cluster.name_of(*node).unwrap_or_else(|| "?".into());
        nodes.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    match verdict {
        Verdict::Lost(broken) => tracing::error!(
            slot, %loss, also_damaged = names(broken),
            "this node's replica has lost records and there are not enough whole replicas to \
             repair it from: messages of this shard that were acknowledged may be lost. It stays \
             stopped and nothing of it is deleted. Put back the journal directory of this node or \
             of the others as it was before the damage, from the disk it was on or a copy of it \
             that is not older, and restart the node. If there is none, start the nodes that have \
             lost theirs with --accept-loss: then what is left on one of the others is taken for all \
             there was"
        ),
        Verdict::Wait(missing) => tracing::warn!(
            slot, %loss, waiting_for = names(missing),
            "this node's replica neither votes nor serves; its repair begins when all other nodes \
             of its row are there"
        ),
        Verdict::Floor(_) | Verdict::Forced(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(whole: bool, term: u64) -> Option<Witness> {
        Some(Witness { whole, term: Some(term), voters: Default::default() })
    }

    fn verdict(answers: &[Option<Witness>]) -> Verdict {
        judge(answers.len() + 1, &(2..).zip(answers.iter().cloned()).collect(), false)
    }

    fn forced(answers: &[Option<Witness>]) -> Verdict {
        judge(answers.len() + 1, &(2..).zip(answers.iter().cloned()).collect(), true)
    }

    #[test]
    fn what_is_left_does_only_when_all_are_heard_and_one_at_most_is_whole() {
        let above = |term| Verdict::Forced(Some(term + LOST_TERMS));
        assert_eq!(forced(&[]), Verdict::Forced(None), "nobody else ever had it");
        assert_eq!(forced(&[witness(false, 3), witness(false, 4)]), Verdict::Forced(None));
        assert_eq!(forced(&[witness(false, 9), witness(true, 3)]), above(3));
        let unheard = Some(Witness { whole: true, term: None, voters: Default::default() });
        let begun_anew = [witness(false, 9), unheard];
        assert_eq!(forced(&begun_anew), above(0));
        assert_eq!(forced(&[witness(false, 3), None]), Verdict::Lost([2].into()));
        let two_whole = [witness(false, 3), witness(false, 3), witness(true, 3), witness(true, 4)];
        assert_eq!(forced(&two_whole), Verdict::Lost([2, 3].into()));
        assert_eq!(forced(&[witness(true, 3), witness(true, 5)]), Verdict::Floor(5), "as ever");
    }

    #[test]
    fn a_leader_that_was_cut_off_does_not_name_the_voters() {
        let known = |term, index, voters: &[u64]| {
            let since = EntryId::new(term, index);
            Voters { since, voters: voters.iter().copied().collect(), without_asker: None }
        };
        let stale = known(3, 120, &[1, 2, 9]);
        let latest = known(4, 110, &[1, 2, 3]);
        for order in [[&stale, &latest], [&latest, &stale]] {
            let mut decide = Deciders::of(vec![1, 2]);
            order.into_iter().for_each(|known| decide.hear(known));
            assert_eq!(decide.voters, latest.voters);
        }
    }

    #[test]
    fn the_floor_is_the_highest_term_of_all_others() {
        assert_eq!(verdict(&[witness(true, 3), witness(true, 5)]), Verdict::Floor(5));
        assert_eq!(verdict(&[witness(true, 3)]), Verdict::Floor(3));
        let four = [witness(true, 3), witness(true, 2), witness(true, 4), witness(false, 9)];
        assert_eq!(verdict(&four), Verdict::Floor(4), "the damaged one's word counts for nothing");
    }

    #[test]
    fn everybody_must_be_heard() {
        assert_eq!(verdict(&[witness(true, 3), None]), Verdict::Wait([3].into()));
        let unheard = Some(Witness { whole: true, term: None, voters: Default::default() });
        assert_eq!(verdict(&[unheard, witness(true, 3)]), Verdict::Wait([2].into()));
    }

    #[test]
    fn without_enough_whole_replicas_nothing_is_touched() {
        assert_eq!(verdict(&[]), Verdict::Lost([].into()), "nobody else has it");
        assert_eq!(verdict(&[witness(false, 3)]), Verdict::Lost([2].into()));
        assert_eq!(verdict(&[witness(false, 3), witness(true, 3)]), Verdict::Lost([2].into()));
        assert_eq!(verdict(&[witness(false, 3), None]), Verdict::Lost([2].into()));
        let four = [witness(true, 3), witness(false, 3), witness(true, 3)];
        assert_eq!(verdict(&four), Verdict::Lost([3].into()), "two of four cannot elect");
    }
}
