//! How settings are written: durations (`10s`), sizes (`4MiB`), addresses and files that may be missing, where keys are, and
//! origins. Parsing and printing only.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// Longer than this is a mistake, and clocks may overflow on it.
const SPAN_MAX_HOURS: u64 = 7 * 24;
/// Larger than this is a mistake: a message is held in memory.
const SIZE_MAX_BYTES: u32 = 1 << 30;

/// A length of time, written as `500ms`, `10s`, `1m 30s`; at most seven days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// The length as the standard library has it.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text)
            .map_err(|error| format!("{error} (a duration is written like 500ms, 10s or 1m 30s)"))?;
        if span > Duration::from_secs(SPAN_MAX_HOURS * 3600) {
            return Err(format!("longer than {SPAN_MAX_HOURS}h"));
        }
        Ok(Self(span))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A length of time, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalSpan(pub Option<Span>);

impl FromStr for OptionalSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let span: Span = text.parse().map_err(|error| format!("{error}, or off"))?;
        if span.0.is_zero() {
            return Err("must be more than 0s, or off".to_owned());
        }
        Ok(Self(Some(span)))
    }
}

impl fmt::Display for OptionalSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => span.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for OptionalSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A number of bytes, written as `65536`, `64KiB` or `4MiB`; at most 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u32);

/// Largest first, so that printing picks the largest that fits.
const UNITS: [(&str, u32); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Size {
    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(suffix, bytes)| text.strip_suffix(suffix).map(|digits| (digits.trim_end(), *bytes)))
            .unwrap_or((text, 1));
        let count: u32 =
            digits.parse().map_err(|_| "a size is written like 65536, 64KiB or 4MiB".to_owned())?;
        match count.checked_mul(unit) {
            Some(bytes) if bytes <= SIZE_MAX_BYTES => Ok(Self(bytes)),
            _ => Err("larger than 1GiB".to_owned()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes)) {
            Some((suffix, bytes)) => write!(f, "{}{suffix}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size: 65536, \"64KiB\" or \"4MiB\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => bytes.to_string().parse().map_err(de::Error::custom),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}
/// An address, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalAddress(pub Option<SocketAddr>);

impl FromStr for OptionalAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address =
            text.parse().map_err(|error| format!("{error} (an address like 127.0.0.1:8082, or off)"))?;
        Ok(Self(Some(address)))
    }
}

impl fmt::Display for OptionalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for OptionalAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A file, or `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionalPath(pub Option<PathBuf>);

impl FromStr for OptionalPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a file, or none"),
            "none" => Ok(Self(None)),
            path => Ok(Self(Some(path.into()))),
        }
    }
}

impl fmt::Display for OptionalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for OptionalPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Whether a caller must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Without one there is no connection.
    Require,
    /// One that is shown must be good; without one, other ways to authenticate decide.
    Optional,
}

impl FromStr for ClientAuth {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "require" => Ok(Self::Require),
            "optional" => Ok(Self::Optional),
            _ => Err("expected require or optional"),
        }
    }
}

impl fmt::Display for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Require => "require",
            Self::Optional => "optional",
        })
    }
}

/// Where keys are. The keys themselves are no setting, so that nothing that prints settings can show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// There are none.
    None,
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Variable(String),
}

impl FromStr for KeySource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() && !name.contains('=') => {
                Ok(Self::Variable(name.to_owned()))
            }
            // The text may be a key that was put in the wrong place.
            _ => Err("one of none, file:PATH, env:VARIABLE"),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Variable(name) => write!(f, "env:{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The origins whose scripts may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// None but the service's own.
    None,
    /// Every one.
    Any,
    /// These, as a browser sends them: scheme, host, and port unless it is the usual one.
    These(Vec<String>),
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => return Ok(Self::None),
            "*" => return Ok(Self::Any),
            _ => {}
        }
        let origins: Vec<String> = text.split(',').map(|origin| origin.trim().to_owned()).collect();
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(bad) => Err(format!("`{bad}` is not an origin like https://app.example.com:8443")),
            None => Ok(Self::These(origins)),
        }
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*,".contains(&byte))
    })
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Any => f.write_str("*"),
            Self::These(origins) => f.write_str(&origins.join(",")),
        }
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
