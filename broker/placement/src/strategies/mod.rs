//! One file per strategy.

mod modulo;
mod slots;

pub use modulo::Modulo;
pub use slots::Slots;
