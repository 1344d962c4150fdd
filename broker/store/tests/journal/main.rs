//! The journal from outside. All of it goes through the seam, so the same tests run on a real disk
//! and, built for the simulator, on a simulated one.

mod basics;
mod crash;
mod disk;
mod model;
mod space;
