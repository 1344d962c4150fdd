//! Who is in a cluster, and which of them hold which slot.
//!
//! A [`View`] is a value that does not change; a cluster that changes goes from one to the next, whose
//! epoch is the next one. So a word that names its sender's epoch is understood by whoever has that
//! view, and told from one of another. Today every node makes the same view, of epoch 1, from its
//! configuration.
//!
//! And which of a node's lives is which: [`Lives`] tell a disk that has forgotten.

mod id;
mod lives;
mod view;

pub use id::{Epoch, NodeId};
pub use lives::{Life, LifeError, Lives, LivesError};
pub use view::{Member, Summary, View, ViewError};
