//! From the messages of `countersign.v1` to the world in which a workflow runs: checked, bounded, and indexed once for as many
//! requests as are tried on it.
//!
//! Every fault is reported at its field path. What is left out gets the usual value here (ENABLED, HUMAN, USER), so that
//! nothing below has to know.

mod json;
mod people;
mod request;

pub use json::{attributes, to_json, to_object};
pub use people::directory;
pub use request::request;

use crate::policy::{Path, Report};
use chrono::{DateTime, TimeDelta, Utc};

/// The most users of one directory; a directory is taken apart for each call.
pub const USERS_MAX: usize = 20_000;
/// The most apps, and of entitlements, of resources and of groups each.
pub const THINGS_MAX: usize = 20_000;
/// The most ids in all the lists of one directory: members, owners, managers, groups.
pub const LINKS_MAX: usize = 200_000;
/// The longest id, in bytes.
pub const ID_MAX_BYTES: usize = 512;

/// A point in time; refused if there is no such.
pub fn time(
    report: &mut Report,
    path: &Path<'_>,
    given: Option<&prost_types::Timestamp>,
) -> Option<DateTime<Utc>> {
    let given = given?;
    let nanos = u32::try_from(given.nanos).unwrap_or(u32::MAX);
    let range = -62_135_596_800..=253_402_300_799;
    let found = DateTime::from_timestamp(given.seconds, nanos).filter(|_| range.contains(&given.seconds));
    if found.is_none() {
        report.refuse(path, "TIME_OUT_OF_RANGE", "a point in time lies between the years 1 and 9999");
    }
    found
}

/// A span of time of 0 or more.
pub fn span(
    report: &mut Report,
    path: &Path<'_>,
    given: Option<&prost_types::Duration>,
) -> Option<TimeDelta> {
    let given = given?;
    let nanos = u32::try_from(given.nanos).ok();
    let fits = (0..=315_576_000_000).contains(&given.seconds);
    let found = nanos.filter(|_| fits).and_then(|nanos| TimeDelta::new(given.seconds, nanos));
    if found.is_none() {
        report.refuse(
            path,
            "DURATION_OUT_OF_RANGE",
            "a span of time is 0s or more, and at most 315576000000s",
        );
    }
    found
}

/// The value of an enum; a number that it does not have is refused and counts as its zero.
pub fn choice<E: TryFrom<i32> + Default>(report: &mut Report, path: &Path<'_>, number: i32) -> E {
    E::try_from(number).unwrap_or_else(|_| {
        report.refuse(path, "ENUM_VALUE_UNKNOWN", format!("{number} is not a value of this enum"));
        E::default()
    })
}

/// Refuses an id that is too long, or empty where one is needed.
fn check_id(report: &mut Report, path: &Path<'_>, id: &str, required: bool) {
    if id.is_empty() && required {
        report.refuse(path, "ID_EMPTY", "an id is needed");
    }
    if id.len() > ID_MAX_BYTES {
        report.refuse(path, "ID_TOO_LONG", format!("{} bytes; an id has at most {ID_MAX_BYTES}", id.len()));
    }
}
