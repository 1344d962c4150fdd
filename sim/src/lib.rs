//! The testbed: it runs the broker's own code in a world it controls, hurts that world as a
//! scenario says, and checks what comes out.
//!
//! A run goes through the modules in this order: [`scenario`] reads and expands the file, [`world`]
//! starts the nodes, [`workload`] speaks to them, [`recorder`] takes down what happens, [`check`]
//! watches every step, every reply and the end, and [`result`] makes a report's data of it.
//! [`explore`] does all of this for one seed or many.
//!
//! Beside that, [`compare`] sets placements against each other without any world.

// They panic where the reader has gone: `paceline_runtime::say!` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod check;
pub mod compare;
pub mod exits;
pub mod explore;
pub mod meter;
pub mod missed;
pub mod recorder;
pub mod result;
pub mod scenario;
pub mod waiting;
pub mod workload;
pub mod world;
pub mod wounds;
