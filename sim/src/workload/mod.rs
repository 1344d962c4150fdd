//! What the clients of a run do, and the record of what they did and were told. [`population`] says
//! who does what, [`operation`] holds what each operation sends and how its reply is read, and
//! [`history`] keeps both in order.

pub mod history;
pub mod ids;
pub mod operation;
pub mod population;

pub use population::{Population, destinations};
