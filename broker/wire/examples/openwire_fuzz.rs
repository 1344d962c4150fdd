//! Gives the OpenWire codec damaged frames for as long as it is told to, one hour otherwise. A
//! finding ends with the number of its case, from which it runs again.
//!
//! ```text
//! cargo run --release -p paceline-wire --example openwire_fuzz -- 60 [FIRST-CASE]
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the fuzzer is told how long to run, and looks at the clock"
)]

#[path = "../tests/openwire/fuzz.rs"]
mod fuzz;

use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let minutes = arguments.next().map_or(60, |minutes| minutes.expect("a number of minutes"));
    let first = arguments.next().map_or(0, |case| case.expect("the number of a case"));
    let fuzzer = fuzz::Fuzzer::new();
    let (began, duration) = (Instant::now(), Duration::from_secs(minutes * 60));
    let (mut case, mut read) = (first, 0_u64);
    while case == first || began.elapsed() < duration {
        for _ in 0..10_000 {
            read += u64::from(fuzzer.run(case));
            case += 1;
        }
    }
    let cases = case - first;
    println!("{cases} cases from {first} on, of which {read} held something to read");
}
