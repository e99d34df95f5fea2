//! What the service can do on this machine, each figure beside the floor that was measured in the same run.
//!
//! `cargo bench --bench load` starts the real server in a child process, on a fresh data directory, and drives it from
//! here; `-- --quick` is the short run that CI makes, which only shows that every call succeeds. Nothing here asserts a
//! time. What the rows mean, and a real run, are in `docs/benchmarks.md`.

mod children;
mod clients;
mod document;
mod durable;
mod echo;
mod interrupt;
mod plan;
mod round;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use plan::Effort;

/// The server's, so that the floors have what it has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever goes wrong ends the run, with a sentence.
pub type Fault = Box<dyn Error + Send + Sync>;

const USAGE: &str = "\
cargo bench --bench load [-- OPTIONS]
  --quick         a short run that only shows that everything works
  --dir DIR       where the data directories are made (default: inside the target directory)
  --server FILE   another build of the server
  --rounds N      rounds of each row (default 5)
  --seconds S     length of a round (default 1)
  --only TEXT     only rows whose name has this in it, and what they are compared with
  --clients N     only with so many clients";

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    pub effort: Effort,
    /// Where the data directories are made.
    pub dir: PathBuf,
    pub server: PathBuf,
    /// Part of a row's name.
    pub only: String,
    /// How many clients ask at one time, one table section each.
    pub clients: Vec<usize>,
}

fn main() -> Result<(), Fault> {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().is_some_and(|first| first == echo::ARGUMENT) {
        return echo::serve(args.nth(1).as_deref().unwrap_or_default());
    }
    let Some(options) = parse(args)? else {
        #[allow(clippy::print_stdout)]
        {
            println!("{USAGE}");
        }
        return Ok(());
    };
    interrupt::listen()?;
    let rows = plan::run(&options)?;
    table::print(&options.effort, &rows);
    Ok(())
}

/// `None` when help was asked for.
fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, Fault> {
    let mut options = Options {
        effort: Effort::FULL,
        dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        server: PathBuf::from(env!("CARGO_BIN_EXE_countersign")),
        only: String::new(),
        clients: vec![1, 64],
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            // cargo itself adds this.
            "--bench" => {}
            "--help" | "-h" => return Ok(None),
            "--quick" => options.effort = Effort::QUICK,
            "--dir" => options.dir = value()?.into(),
            "--server" => options.server = value()?.into(),
            "--only" => options.only = value()?,
            "--clients" => options.clients = vec![value()?.parse::<usize>()?.max(1)],
            "--rounds" => options.effort.rounds = value()?.parse::<usize>()?.max(1),
            "--seconds" => options.effort.round = Duration::try_from_secs_f64(value()?.parse()?)?,
            _ => return Err(format!("unknown option {arg}\n{USAGE}").into()),
        }
    }
    Ok(Some(options))
}
