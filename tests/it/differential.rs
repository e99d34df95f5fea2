//! Policies, requests and happenings made by chance run through the machine and through the reference in `reference/`, which was
//! written from the reference pages. They have to agree, case by case.
//!
//! Case `n` is the same on every machine: it is made from the number `n` alone, which a failure names.
//! `COUNTERSIGN_TEST_DIFFERENTIAL_CASES` says how many there are of each dialect, `COUNTERSIGN_TEST_DIFFERENTIAL_FIRST` where they
//! begin.

mod c1;
mod dice;
pub mod guardian;

pub use c1::read;
pub use dice::Dice;
use std::ops::Range;

/// How many cases of each dialect the tests run when nobody says how many.
const CASES: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// The numbers of the cases to run. The first is a multiple of 8, as policies are made anew every 8 cases.
fn cases() -> Range<u64> {
    let first = number("COUNTERSIGN_TEST_DIFFERENTIAL_FIRST").unwrap_or(0) / 8 * 8;
    first..first + number("COUNTERSIGN_TEST_DIFFERENTIAL_CASES").unwrap_or(CASES)
}
