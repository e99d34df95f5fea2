//! The stage that lets time pass.

use super::Condition;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// The task waits.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    /// Until when.
    pub until: Until,
    /// For people.
    pub name: String,
    /// Posted once, when the condition is first found not to hold; may be empty.
    pub comment_on_first_wait: String,
    /// Posted when the time is up; may be empty.
    pub comment_on_timeout: String,
}

/// Until when a task waits.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until the condition holds, or the time is up, which ends the task.
    Condition {
        /// Checked again and again.
        condition: Condition,
        /// `None` means that it waits for ever.
        timeout: Option<Duration>,
    },
    /// For so long.
    Duration(Duration),
    /// Until the clock next shows this time.
    TimeOfDay {
        /// 0 to 23.
        hour: u32,
        /// 0 to 59.
        minute: u32,
        /// Whose clock.
        #[serde(serialize_with = "zone_name")]
        zone: chrono_tz::Tz,
    },
}

fn zone_name<S: Serializer>(zone: &chrono_tz::Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}
