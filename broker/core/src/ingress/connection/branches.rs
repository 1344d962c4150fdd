//! Branches of distributed transactions: a connection prepares them, ends them, whoever prepared them,
//! and lists what is prepared in the cluster.

use std::{collections::BTreeMap, sync::Arc};

use paceline_reached::{Point, reached};

use super::{
    super::{
        branch::Resolution,
        commit::{Commit, Send},
        result_of,
    },
    Committing, Connection, ConnectionEvent, Directory, Held, OPERATION_BYTES, Part, Request,
    VolatileSettles,
    committing::Shared,
};
use crate::{
    Destination, DestinationKind, Message,
    operation::{DeliveryId, OpTag, Outcome, Refusal, Settlement},
    shard::{self, Command},
    xa::{BranchInfo, Resolver, Xid},
};

/// What a connection has to do with branches.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// Those that it has prepared and not ended itself.
    prepared: BTreeMap<Xid, Prepared>,
    ending: BTreeMap<OpTag, Resolution>,
    listing: BTreeMap<OpTag, Listing>,
}

/// A branch that is prepared.
#[derive(Debug)]
struct Prepared {
    /// The client holds these again if the connection rolls it back.
    taken: Vec<(DeliveryId, Held, Settlement)>,
    /// These follow if the connection commits it.
    volatile: VolatileSettles,
}

/// What is known of the branches that are prepared.
#[derive(Debug, Default)]
struct Listing {
    /// How many shards have not answered.
    missing: u32,
    found: Vec<BranchInfo>,
    failed: Option<Refusal>,
}

impl Branches {
    /// What was settled in branches that are prepared.
    pub(super) fn taken(&self) -> impl Iterator<Item = Held> {
        self.prepared.values().flat_map(|it| &it.taken).map(|(_, held, _)| *held)
    }

    /// The client is gone.
    pub(super) fn clear(&mut self) {
        self.prepared.clear();
    }
}

impl Connection {
    pub(super) fn prepare(
        &mut self,
        tag: OpTag,
        xid: Xid,
        publishes: Vec<Arc<Message>>,
        settles: &[(DeliveryId, Settlement)],
        directory: &impl Directory,
    ) {
        let Some(Shared { shares, taken, volatile, .. }) =
            self.share(tag, publishes, settles, directory)
        else {
            return;
        };
        let mut sends = Vec::new();
        let home = home(&xid, directory);
        let commit = Commit::prepare(directory.next_transaction(), (xid, home), shares, &mut sends);
        self.commits.insert(tag, Committing { commit, taken, volatile });
        self.send(tag, sends);
    }

    /// A branch is prepared.
    pub(super) fn handle_prepared(
        &mut self,
        xid: Xid,
        taken: Vec<(DeliveryId, Held, Settlement)>,
        volatile: VolatileSettles,
    ) {
        self.branches.prepared.insert(xid, Prepared { taken, volatile });
    }

    pub(super) fn resolve(
        &mut self,
        tag: OpTag,
        xid: Xid,
        commit: bool,
        by: Resolver,
        directory: &impl Directory,
    ) {
        self.operations.begin(tag, OPERATION_BYTES);
        let holder_knows = self.branches.prepared.contains_key(&xid);
        let home = home(&xid, directory);
        let (resolution, send) = Resolution::begin((xid, home), commit, by, holder_knows);
        self.branches.ending.insert(tag, resolution);
        self.send_of_branch(tag, vec![send]);
    }

    pub(super) fn recover(&mut self, tag: OpTag, directory: &impl Directory) {
        self.operations.begin(tag, OPERATION_BYTES);
        let missing = directory.slots();
        self.branches.listing.insert(tag, Listing { missing, ..Listing::default() });
        let lists = (0..missing).map(|slot| Send::awaited(slot, Command::ListBranches));
        self.send_of_branch(tag, lists.collect());
    }

    pub(super) fn forget_branch(&mut self, tag: OpTag, xid: Xid, directory: &impl Directory) {
        self.operations.begin(tag, OPERATION_BYTES);
        let home = home(&xid, directory);
        let (command, holders, asker) =
            (Command::ForgetBranch { xid }, Vec::new(), Part::Operation(tag));
        self.request(home, Request::Command { command, holders, urgent: true, asker });
    }

    pub(super) fn continue_branch(&mut self, tag: OpTag, slot: u32, outcome: shard::Outcome) {
        let mut sends = Vec::new();
        if self.branches.listing.contains_key(&tag) {
            self.continue_listing(tag, slot, outcome);
        } else if let Some(resolution) = self.branches.ending.get_mut(&tag) {
            let progress = resolution.handle_outcome(slot, outcome, &mut sends);
            self.send_of_branch(tag, sends);
            let Some(answer) = progress.answer else { return };
            let resolution = self.branches.ending.remove(&tag).expect("looked up above");
            self.end_branch(&resolution, &answer);
            self.end_part(tag, answer);
        }
    }

    /// A branch has ended, or nobody knows.
    fn end_branch(&mut self, Resolution { xid, commit, .. }: &Resolution, answer: &Outcome) {
        if matches!(answer, Err(Refusal::Unknown(_))) {
            return;
        }
        let Some(Prepared { taken, volatile }) = self.branches.prepared.remove(xid) else { return };
        match (answer, commit) {
            (Ok(()), true) => self.settle_volatile(volatile),
            (Ok(()), false) => {
                taken.into_iter().for_each(|(id, held, _)| self.deliveries.unsettle(id, held));
            }
            // Somebody else has ended it, and what it was to settle is nothing of this connection's.
            (Err(_), _) => {}
        }
    }

    fn continue_listing(&mut self, tag: OpTag, slot: u32, outcome: shard::Outcome) {
        let listing = self.branches.listing.get_mut(&tag).expect("the caller has looked");
        match outcome {
            shard::Outcome::Branches(found) => listing.found.extend(found),
            // The answer was lost with a leader, and it is too old to be given again.
            shard::Outcome::Duplicate => {
                let again = Send::awaited(slot, Command::ListBranches);
                return self.send_of_branch(tag, vec![again]);
            }
            other => {
                let unknown = || Refusal::Unknown("a shard did not list its branches".into());
                listing.failed = Some(result_of(other).err().unwrap_or_else(unknown));
            }
        }
        listing.missing -= 1;
        if listing.missing > 0 {
            return;
        }
        let Listing { mut found, failed, .. } =
            self.branches.listing.remove(&tag).expect("looked up above");
        if let Some(why) = failed {
            return self.end_part(tag, Err(why));
        }
        if !found.is_empty() {
            reached(Point::BranchesListed);
        }
        found.sort_by(|one, other| one.xid.cmp(&other.xid));
        self.events.push_back(ConnectionEvent::Branches(tag, found));
        self.end_part(tag, Ok(()));
    }

    fn send_of_branch(&mut self, tag: OpTag, sends: Vec<Send>) {
        for Send { slot, command, holders, awaited } in sends {
            let asker = if awaited { Part::Branch(tag, slot) } else { Part::Unawaited };
            self.request(slot, Request::Command { command, holders, urgent: true, asker });
        }
    }
}

/// The slot of a branch's home shard.
fn home(xid: &Xid, directory: &impl Directory) -> u32 {
    let name = xid.to_string().into();
    directory.slot_of(&Destination { kind: DestinationKind::Queue, name })
}
