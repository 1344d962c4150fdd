//! Smaller scenarios in place of a large one: what a failing run is reduced by.
//!
//! [`Scenario::smaller`] is a function from a scenario to those that are a step smaller, in passes: one
//! for each thing that makes a scenario large, and in each the largest cut first. Lists lose all, then
//! halves, quarters and single entries (delta debugging: Zeller and Hildebrandt, *Simplifying and
//! Isolating Failure-Inducing Input*, 2002); numbers go to the least, then half the way there. What is
//! offered is valid, and smaller by [`Size`] or by what the file has to say, so that no series of steps
//! goes on for ever. [`Search`] takes the steps, and is told by somebody else which of them the failure
//! survives: a sweep of processes, or a property test.

mod clients;
mod cuts;
mod knobs;
mod lists;
mod names;
mod search;
mod size;
mod time;

pub use self::{
    search::{Search, State, Trial},
    size::Size,
};
use crate::Scenario;

/// A step: something smaller in place of what there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut<T> {
    /// What it does, in a few words: `faults 3 to 6 left out`.
    pub what: String,
    /// What is left.
    pub left: T,
}

/// What can be reduced step by step.
pub trait Reduce: Clone {
    /// How many kinds of steps there are.
    const PASSES: usize;

    /// The steps of a kind, from 0, the largest first. Every series of steps of whatever kinds ends.
    fn smaller(&self, pass: usize) -> Vec<Cut<Self>>;

    /// Equal for what is equal.
    fn key(&self) -> String;
}

/// By what a step makes a scenario smaller.
enum By {
    /// By its [`Size`].
    Size,
    /// By what its file has to say, and not larger otherwise.
    Settings,
}

type Pass = fn(&Scenario) -> Vec<Cut<Scenario>>;

/// What can be done about a scenario, in the order in which it promises most: first what makes each
/// further run cheap.
const PASSES: [(By, Pass); 10] = [
    (By::Size, lists::workloads),
    (By::Size, lists::faults),
    (By::Size, lists::changes),
    (By::Size, names::nodes),
    (By::Size, time::shorter),
    (By::Size, clients::clients),
    (By::Settings, knobs::settings),
    (By::Size, names::slots),
    (By::Size, time::lengths),
    (By::Size, names::struck),
];

impl Reduce for Scenario {
    const PASSES: usize = PASSES.len();

    fn smaller(&self, pass: usize) -> Vec<Cut<Self>> {
        let (by, pass) = &PASSES[pass];
        let size = Size::of(self);
        let mut cuts = pass(self);
        cuts.retain(|cut| {
            let left = Size::of(&cut.left);
            let is_smaller = match by {
                By::Size => left.is_below(&size),
                // A line less, which only a step that is smaller by size could bring back.
                By::Settings => left.is_within(&size) && cut.left != *self,
            };
            is_smaller && cut.left.validate().is_ok()
        });
        cuts
    }

    fn key(&self) -> String {
        self.hash()
    }
}

#[cfg(test)]
mod tests;
