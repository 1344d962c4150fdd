//! The testbed: it runs the broker's own code in a world it controls, hurts that world as a
//! scenario says, and checks what comes out.
//!
//! A run goes through the modules in this order: [`paceline_scenario`] reads and expands the file,
//! [`world`] starts the nodes, [`clients`] carry out the [`workload`], [`observe`] takes down what
//! happens, [`check`] watches every step, every reply and the end, and [`result`] makes a report's
//! data of it, or [`diagram`] a picture of what happened. [`explore`] does all of this for one seed or many.

// They panic where the reader has gone: `paceline_runtime::say!` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod check;
pub mod clients;
pub mod diagram;
pub mod explore;
pub mod identity;
pub mod observe;
pub mod result;
pub mod workload;
pub mod world;
