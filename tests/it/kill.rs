//! The real binary, killed with SIGKILL while clients write to it, again and again on one directory: everything that it
//! acknowledged is there when it comes back, whole and with its indexes, and nothing is there that nobody asked for.
//!
//! Each client writes one after the other to policies of its own, so what must be there is known exactly, but for the one
//! write of each client that was under way: that one is there whole, or not at all. `COUNTERSIGN_TEST_KILLS` sets how
//! often (`just kill`), `COUNTERSIGN_TEST_SEED` repeats the choices of a run. When it is killed is counted in acknowledged
//! writes.

mod binary;
mod client;
mod model;
mod revisions;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::harness::Dice;
use binary::Binary;
use client::{Round, Writer};

const KILLS: usize = 20;
/// A new directory after so many kills, so that a long run does not spend its time on listing what it wrote before.
const KILLS_A_DIRECTORY: usize = 20;
const WRITERS: usize = 6;
/// The most writes that are acknowledged before a kill.
const WRITES_A_KILL: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_takes_nothing_back_that_was_acknowledged() {
    let kills = std::env::var("COUNTERSIGN_TEST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut dice = Dice::new("kill");
    let mut done = 0;
    let mut written = 0;
    while done < kills {
        let directory = tempfile::tempdir().unwrap();
        let mut writers: Vec<Writer> = (0..WRITERS).map(|n| Writer::new(n, dice.fork())).collect();
        let kills_here = KILLS_A_DIRECTORY.min(kills - done);
        for _ in 0..kills_here {
            let binary = Arc::new(Binary::start(directory.path()));
            let channel = binary.channel().await;
            model::check(&channel, &mut writers).await;
            let round =
                Arc::new(Round::new(Arc::clone(&binary), 1 + dice.below(WRITES_A_KILL), dice.below(300)));
            let mut tasks = JoinSet::new();
            for writer in writers {
                // Not all on one connection, not all on connections of their own.
                let channel = if dice.one_in(2) { channel.clone() } else { binary.channel().await };
                tasks.spawn(writer.write_until_killed(channel, Arc::clone(&round)));
            }
            writers = tasks.join_all().await;
            binary.wait();
            written += round.acknowledged();
            done += 1;
        }
        revisions::check(directory.path(), &mut writers).await;
        let binary = Binary::start(directory.path());
        model::check(&binary.channel().await, &mut writers).await;
    }
    println!("{done} kills, {written} acknowledged writes");
}
