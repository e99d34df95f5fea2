//! Waits, and the spans of time in documents (reference: sections 2.3 and 3.8).

use super::super::{Path, Report};
use super::expression;
use crate::expr::Environment;
use crate::pb::c1::api::policy::v1::{self as pb, WaitUntilTime, wait::Until as Given};
use crate::workflow::{Until, Wait};
use std::time::Duration;

/// The shortest wait that the original's interface offers.
const USUAL_MIN: Duration = Duration::from_secs(60 * 60);
/// The longest wait that the original's interface offers.
const USUAL_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// The longest span that the protobuf type can say, in seconds.
const DURATION_MAX_SECONDS: i64 = 315_576_000_000;

pub(super) fn compile(report: &mut Report, at: &Path<'_>, wait: &pb::Wait) -> Option<Wait> {
    let timeout = wait.timeout_duration.as_ref();
    let timeout = timeout.and_then(|timeout| compile_duration(report, &at.field("timeoutDuration"), timeout));
    let until = match &wait.until {
        None => {
            let message = "a wait says until when: one of condition, duration, untilTime";
            report.refuse(at, "WAIT_UNTIL_MISSING", message);
            return None;
        }
        Some(Given::Condition(until)) => {
            let path = at.field("condition.condition");
            let condition = expression::compile(report, &path, Environment::Condition, &until.condition);
            if timeout.is_none_or(|timeout| timeout.is_zero()) {
                let message = "the wait has no timeout, so it lasts for ever if the condition never holds";
                report.warn(&at.field("timeoutDuration"), "WAIT_UNBOUNDED", message);
            }
            Until::Condition { condition: condition?, timeout: timeout.filter(|timeout| !timeout.is_zero()) }
        }
        Some(Given::Duration(until)) => {
            Until::Duration(compile_lasting(report, &at.field("duration.duration"), until.duration.as_ref())?)
        }
        Some(Given::UntilTime(until)) => compile_time_of_day(report, &at.field("untilTime"), until)?,
    };
    Some(Wait {
        until,
        name: wait.name.clone(),
        comment_on_first_wait: wait.comment_on_first_wait.clone(),
        comment_on_timeout: wait.comment_on_timeout.clone(),
    })
}

/// A wait that lasts: longer than nothing, and with a warning outside what the original's interface offers.
fn compile_lasting(
    report: &mut Report,
    path: &Path<'_>,
    duration: Option<&prost_types::Duration>,
) -> Option<Duration> {
    let lasting = match duration {
        Some(duration) if duration.seconds != 0 || duration.nanos != 0 => {
            compile_duration(report, path, duration)?
        }
        _ => {
            report.refuse(path, "WAIT_DURATION_REQUIRED", "a wait lasts longer than 0s");
            return None;
        }
    };
    if !(USUAL_MIN..=USUAL_MAX).contains(&lasting) {
        let message = "waits are usually between 1 hour and 31 days long";
        report.warn(path, "WAIT_DURATION_UNUSUAL", message);
    }
    Some(lasting)
}

fn compile_time_of_day(report: &mut Report, at: &Path<'_>, time: &WaitUntilTime) -> Option<Until> {
    let (hours, minutes) = (time.hours <= 23, time.minutes <= 59);
    if !hours {
        report.refuse(&at.field("hours"), "TIME_OF_DAY_INVALID", "hours are 0 to 23");
    }
    if !minutes {
        report.refuse(&at.field("minutes"), "TIME_OF_DAY_INVALID", "minutes are 0 to 59");
    }
    let zone = match time.timezone.as_str() {
        "" => Some(chrono_tz::UTC),
        name => name.parse().ok(),
    };
    if zone.is_none() {
        let message = "this is not a time zone of the IANA database, such as Europe/Berlin; none means UTC";
        report.refuse(&at.field("timezone"), "TIME_ZONE_UNKNOWN", message);
    }
    let known = Until::TimeOfDay { hour: time.hours, minute: time.minutes, zone: zone? };
    (hours && minutes).then_some(known)
}

/// A span of time; refused if it is negative or outside what the protobuf type allows.
pub(super) fn compile_duration(
    report: &mut Report,
    path: &Path<'_>,
    duration: &prost_types::Duration,
) -> Option<Duration> {
    if duration.seconds < 0 || duration.nanos < 0 {
        report.refuse(path, "DURATION_NEGATIVE", "a duration is 0s or more");
        return None;
    }
    if duration.seconds > DURATION_MAX_SECONDS || duration.nanos > 999_999_999 {
        report.refuse(
            path,
            "DURATION_OUT_OF_RANGE",
            format!("a duration is at most {DURATION_MAX_SECONDS}s"),
        );
        return None;
    }
    Some(Duration::new(duration.seconds.unsigned_abs(), duration.nanos.unsigned_abs()))
}
