//! What the clients of a run do, and the record of what they did and were told. [`population`] says
//! who does what, [`operation`] says what each operation is about, and [`history`] keeps them in order.

pub mod history;
pub mod ids;
pub mod operation;
pub mod population;

pub use population::{Population, destinations};
