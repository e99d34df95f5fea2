//! Writes that meet: what each of two would be allowed alone must not come about together, and nothing gets lost.
//!
//! [`staged`] makes two writes meet at the worst moment, every time: the second happens between what the first has read and
//! its commit. [`crowds`] lets many clients loose on a real server, for the meetings that nobody thought of.

mod crowds;
mod guardian;
mod staged;
