//! Points in time in the files of tokens and clients, to the second, as TOML writes them: `2027-01-31T12:00:00Z`.

use std::fmt;

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use toml::value::Datetime;

/// The last year that TOML can write.
const YEAR_MAX: i32 = 9999;

/// A second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(DateTime<Utc>);

impl Moment {
    /// So many seconds after 1970 began. `None` for what TOML cannot write.
    #[must_use]
    pub fn at(seconds: i64) -> Option<Moment> {
        let time = DateTime::from_timestamp(seconds, 0)?;
        (0..=YEAR_MAX).contains(&time.year()).then_some(Moment(time))
    }

    /// The seconds since 1970 began.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.timestamp()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_string().parse::<Datetime>().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Datetime::deserialize(deserializer)?.to_string();
        // A day, or a time without its offset, is no point in time.
        let time = DateTime::parse_from_rfc3339(&written).map_err(|_| {
            de::Error::custom(format!("{written} is no point in time like 2027-01-31T12:00:00Z"))
        })?;
        Moment::at(time.timestamp()).ok_or_else(|| de::Error::custom(format!("{written} is too far away")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Row {
        at: Moment,
    }

    #[test]
    fn as_toml_writes_them() {
        let text = toml::to_string(&Row { at: Moment::at(1_700_000_000).unwrap() }).unwrap();
        assert_eq!(text, "at = 2023-11-14T22:13:20Z\n");
        let seconds = |text: &str| toml::from_str::<Row>(text).map(|row| row.at.seconds());
        assert_eq!(seconds(&text).unwrap(), 1_700_000_000);
        assert_eq!(seconds("at = 2023-11-14T23:13:20.9+01:00\n").unwrap(), 1_700_000_000);
        for wrong in ["2023-11-14", "2023-11-14T22:13:20", "'2023-11-14T22:13:20Z'", "1700000000"] {
            assert!(seconds(&format!("at = {wrong}\n")).is_err(), "{wrong}");
        }
        assert!(Moment::at(i64::MAX).is_none() && Moment::at(253_402_300_800).is_none());
    }
}
