//! How policies run, written a second time: slowly, plainly, and from the reference pages instead of from the machines of
//! `src/workflow/run`. What runs here imports nothing of the crate, so that it can share no mistake with it.

pub mod c1;
pub mod guardian;
