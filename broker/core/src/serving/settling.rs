//! What commands are about to settle.

use paceline_reached::{Point, reached};

use super::gathered::Settles;
use crate::{
    dispatch::{ConsumerKey, Dispatcher, MessageKey},
    operation::Settlement,
    shard::Command,
};

/// Tells the dispatcher what a command is about to settle. Returns what that is and for whom.
///
/// A settlement may be late: the leader before handed the message out, or its consumer has been
/// detached. Then accepting still holds, since the client is told that it does, whoever has the
/// message now; refusing and giving back have happened already and are left out.
pub(super) fn begin_settling(
    dispatcher: &mut Dispatcher,
    node: u64,
    command: &mut Command,
    holders: &[u64],
) -> Settles {
    let (settles, may_leave_out) = match command {
        Command::Settle { settles } => (settles, true),
        Command::Transact { work }
        | Command::Prepare { work, .. }
        | Command::PrepareBranch { work, .. } => (&mut work.settles, false),
        _ => return Vec::new(),
    };
    let mut begun = Vec::with_capacity(settles.len());
    let mut holders = holders.iter().copied().chain(std::iter::repeat(0));
    settles.retain(|(message, how)| {
        let holder = ConsumerKey { node, number: holders.next().expect("it does not end") };
        let held = [(MessageKey::Stored(*message), *how)];
        let is_held = dispatcher.settle_begin(holder, &held).is_ok();
        let stays = is_held || *how == Settlement::Accept || !may_leave_out;
        match how {
            _ if is_held => {}
            Settlement::Accept => reached(Point::AcceptedLate),
            _ => reached(Point::RejectedLate),
        }
        if stays {
            begun.push((*message, *how, holder));
        }
        stays
    });
    begun
}

/// What a transaction was to settle that has come to nothing, where its holders do not know.
pub(super) fn given_back(prepared: Option<Settles>) -> Settles {
    let settles = prepared.into_iter().flatten();
    settles.map(|(message, _, holder)| (message, Settlement::Release, holder)).collect()
}
