//! What `countersign token` and `countersign client` have in common: what every new credential has, and listing and revoking
//! those in a file. Nothing here makes or shows a secret.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Failure;
use super::terminal::printable;
use crate::app::{Clock as _, SystemClock};
use crate::auth::{Entry, Moment, Role, append, entries, remove};

/// What every new credential has.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct New {
    /// What it is called, which logs and revisions show.
    #[arg(long)]
    pub(super) name: String,
    /// What its holder may do: viewer, editor, admin or auditor. May be given more than once.
    #[arg(long = "role", required = true, value_name = "ROLE")]
    pub(super) roles: Vec<Role>,
    /// How long it counts, as in 90d or 12h; for ever without it.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires_in: Option<std::time::Duration>,
}

impl New {
    /// When it is made, which is now, and when it ends.
    ///
    /// # Errors
    /// A life without a length, or of more years than can be written.
    pub(super) fn life(&self) -> Result<(Option<Moment>, Option<Moment>), Failure> {
        let now = now();
        let end = match self.expires_in {
            None => None,
            Some(length) if length.as_secs() == 0 => {
                return Err(Failure::usage("--expires-in: it would never count"));
            }
            Some(length) => {
                let end = i64::try_from(length.as_secs()).ok().and_then(|length| now.checked_add(length));
                let end = end.and_then(Moment::at);
                Some(end.ok_or_else(|| Failure::usage("--expires-in: too long; leave it out for ever"))?)
            }
        };
        Ok((Moment::at(now), end))
    }
}

/// Adds to the file.
pub(super) fn add<E: Entry>(file: &Path, entry: &E) -> Result<(), Failure> {
    append(file, entry).map_err(Failure::failed)
}

/// What to do with those that there are.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Existing {
    /// Print those in the file, one on a line: id, principal, roles, when it was made, when it expires. No secret.
    List,
    /// Take one out of the file, and so make it worth nothing.
    Revoke {
        /// Which, as list prints it.
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl Existing {
    pub(super) fn run<E: Entry>(self, file: PathBuf) -> Result<(), Failure> {
        match self {
            Existing::List => list::<E>(&file),
            Existing::Revoke { id } => {
                let removed: E = remove(&file, &id).map_err(Failure::failed)?;
                println!("revoked {}", printable(removed.id()));
                Ok(())
            }
        }
    }
}

fn list<E: Entry>(file: &Path) -> Result<(), Failure> {
    let found: Vec<E> = entries(file).map_err(Failure::failed)?;
    let now = now();
    let mut out = std::io::stdout().lock();
    for entry in &found {
        writeln!(out, "{}", line(entry, now)).map_err(Failure::output)?;
    }
    out.flush().map_err(Failure::output)
}

/// The columns; roles that are only bound elsewhere are not known here.
fn line<E: Entry>(entry: &E, now: i64) -> String {
    let id = printable(entry.id());
    let roles: Vec<&str> = entry.roles().iter().map(|role| role.name()).collect();
    let roles = if roles.is_empty() { "-".to_owned() } else { roles.join(",") };
    let created = entry.created().map_or("-".to_owned(), |at| at.to_string());
    let expires = match entry.expires() {
        None => "never".to_owned(),
        Some(at) if at.seconds() <= now => format!("{at} expired"),
        Some(at) => at.to_string(),
    };
    format!("{id} {}:{id} {roles} {created} {expires}", E::KEY)
}

fn now() -> i64 {
    SystemClock::default().now().seconds
}
