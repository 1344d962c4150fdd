//! Who is in a cluster, which of them are to hold which slot, and what holds for which destinations.
//!
//! A [`View`] is a value that does not change; a cluster that changes goes from one to the next, whose
//! epoch is the next one. So a word that names its sender's epoch is understood by whoever has that
//! view, and told from one of another. A view knows how its rows are made: every node makes the same
//! next view from one and a change.
//!
//! And which of a node's lives is which: [`Lives`] tell a disk that has forgotten.

mod change;
mod id;
mod lives;
mod member;
mod policy;
mod progress;
mod rows;
mod view;

pub use change::{Change, ChangeError};
pub use id::{Epoch, NodeId};
pub use lives::{Life, LifeError, Lives, LivesError};
pub use member::{Founder, Layout, Member, MemberState};
pub use policy::{
    DEFAULT_MAX_REDELIVERIES, Durability, Expired, InvalidPolicy, MAX_PATTERN_BYTES, MAX_POLICIES,
    MOST_REDELIVERIES, Policies, Policy, PolicyError, WhenFull,
};
pub use progress::{Holding, Progress, moves};
pub use view::{Summary, View, ViewError};
