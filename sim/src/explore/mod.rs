//! Runs: one seed or many, once or twice, printed and reported.

pub mod cli;
mod determinism;
mod exit;
mod identity;
mod order;
mod output;
mod run;
mod sweep;

pub use cli::main;
pub use exit::Exit;
pub use identity::Identity;
