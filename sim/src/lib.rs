//! The testbed: it runs the broker's own code in a world it controls, hurts that world as a
//! scenario says, and checks what comes out.
//!
//! A run goes through the modules in this order: [`scenario`] reads and expands the file, `world`
//! starts the nodes, `workload` speaks to them, `check` watches every step, every reply and the
//! end, and `explore` does all of this for one seed or many.

pub mod scenario;
