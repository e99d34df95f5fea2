//! The proto3 JSON mapping, straight between wire bytes and JSON text, guided by the compiled descriptors.
//!
//! Out: [`encode`] prints in the order of declaration, with the defaults that grpc-gateway prints when asked to.
//! In: [`decode`] is strict where silence would lose something that the client wrote: unknown fields, fields given
//! twice, two members of a oneof, numbers that would be rounded. Every refusal has a path in the client's own
//! spelling, a line, a column and a stable code. [`Parameters`] reads query and path parameters.
//!
//! The JSON reader is our own ([`text`]), because the text of numbers and the place of every token are needed, which
//! serde_json's visitor does not hand out; the tests hold it against serde_json.

mod decode;
mod encode;
mod number;
mod parameter;
mod scalar;
mod text;
mod time;

use std::fmt;

pub use decode::{Decoded, Key};
pub use parameter::Parameters;
pub(super) use time::{is_duration, is_timestamp, read as read_time};

use super::read::Malformed;
use super::schema::Type;

/// Bytes of a path or of a quoted piece of input in an error; the rest becomes `...`.
const QUOTE_MAX_BYTES: usize = 256;

/// Which spelling of field names is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// `displayName`.
    #[default]
    Json,
    /// `display_name`.
    Proto,
}

/// How JSON is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Which spelling of field names.
    pub names: Names,
    /// Print fields that are not set: `false`, `""`, `"0"`, `[]`, `{}`, the enum's zero, `null` for messages. Members
    /// of oneofs and `optional` fields are printed only when set, as grpc-gateway's `EmitUnpopulated` does; and so are
    /// fields of type `google.protobuf.Value`, for which `null` would be a value.
    pub defaults: bool,
}

/// What happens to a field that the message does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// An error, at any depth.
    #[default]
    Refuse,
    /// Skipped; its JSON must still be well formed.
    Ignore,
}

/// How JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Fields that the message does not have.
    pub unknown_fields: Unknown,
    /// Levels of `{` and `[`, the outermost counting as one. Apart from this, a message nests at most
    /// [`super::MESSAGE_DEPTH_MAX_LEVELS`] messages.
    pub max_depth: usize,
    /// Messages that the one that is read will be inside of; they count as levels, too.
    pub messages_around: usize,
    /// Take `""` as unset where the field cannot hold a text: enums, numbers, booleans, timestamps, durations.
    /// ConductorOne's clients send such echoes of empty state.
    pub blank_is_unset: bool,
}

/// Levels of JSON that are read unless [`Reading::max_depth`] says otherwise.
pub const JSON_DEPTH_MAX_LEVELS: usize = 64;

impl Default for Reading {
    fn default() -> Self {
        Self {
            unknown_fields: Unknown::Refuse,
            max_depth: JSON_DEPTH_MAX_LEVELS,
            messages_around: 0,
            blank_is_unset: false,
        }
    }
}

/// Why JSON text or a parameter was refused. The code of each is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Not JSON, or it ends too early.
    Syntax,
    /// Something follows the JSON value.
    TrailingText,
    /// Not UTF-8, or half a surrogate pair in an escape.
    NotUtf8,
    /// Nested too deeply.
    TooDeep,
    /// The message has no such field.
    UnknownField,
    /// A field or key is given twice, perhaps under both of its spellings.
    DuplicateField,
    /// Two members of one oneof.
    OneofConflict,
    /// A JSON type that the field does not take, or `null` in a list or map.
    WrongType,
    /// A number that the field's type cannot hold, a time out of range.
    OutOfRange,
    /// A whole number in free-form JSON that would be changed by rounding it to a double.
    Inexact,
    /// The enum has no value of that name.
    UnknownEnumValue,
    /// Not a timestamp, duration, base64, number or boolean.
    BadFormat,
    /// A field mask that is not a string of paths.
    BadMask,
    /// An `Any` without a known `@type`.
    UnknownType,
    /// A parameter given more often than its field takes values.
    TooManyValues,
    /// A parameter path that goes through a list, a map or a scalar.
    BadPath,
    /// A parameter for a message that has no text form.
    UnsupportedType,
}

impl Reason {
    /// The stable code, upper snake case.
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "JSON_SYNTAX",
            Self::TrailingText => "JSON_TRAILING_TEXT",
            Self::NotUtf8 => "JSON_NOT_UTF8",
            Self::TooDeep => "JSON_TOO_DEEP",
            Self::UnknownField => "FIELD_UNKNOWN",
            Self::DuplicateField => "FIELD_DUPLICATE",
            Self::OneofConflict => "ONEOF_CONFLICT",
            Self::WrongType => "TYPE_MISMATCH",
            Self::OutOfRange => "VALUE_OUT_OF_RANGE",
            Self::Inexact => "NUMBER_INEXACT",
            Self::UnknownEnumValue => "ENUM_VALUE_UNKNOWN",
            Self::BadFormat => "VALUE_FORMAT",
            Self::BadMask => "MASK_FORMAT",
            Self::UnknownType => "ANY_TYPE_UNKNOWN",
            Self::TooManyValues => "TOO_MANY_VALUES",
            Self::BadPath => "PARAMETER_PATH",
            Self::UnsupportedType => "PARAMETER_TYPE_UNSUPPORTED",
        }
    }
}

/// Why JSON text or a parameter was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The field, in the client's own spelling: `policy.policySteps.grant.steps[2].approval.users`. Map keys that are
    /// not plain words are in back-ticks. Empty for the whole text.
    pub path: String,
    /// From 1; 0 for a parameter.
    pub line: usize,
    /// In characters, from 1; 0 for a parameter.
    pub column: usize,
    /// The kind of error.
    pub reason: Reason,
    /// One sentence without the path and without a full stop, for a person.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if self.line > 0 {
            write!(f, " (line {}, column {})", self.line, self.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Appends the JSON of the message `bytes` to `out`. On an error `out` is as it was.
///
/// Repeated occurrences on the wire follow the rules of decoding: the last scalar wins, messages merge, the last
/// member of a oneof wins, the last entry of a map key wins. Unknown fields are left out; unknown enum numbers are
/// printed as numbers. An `Any` of a type that the schema does not have is printed as `@type` and base64 `value`.
pub fn encode(ty: &Type, bytes: &[u8], style: &Style, out: &mut Vec<u8>) -> Result<(), Malformed> {
    encode::encode(ty, bytes, style, out)
}

/// Reads one JSON text as a message of type `ty` and appends its wire bytes to `out`. An empty text is the empty
/// message. On an error `out` is as it was.
pub fn decode(ty: &Type, json: &[u8], how: &Reading, out: &mut Vec<u8>) -> Result<Decoded, Error> {
    decode::decode(ty, json, how, out)
}

/// `text`, cut to what an error may quote.
fn quote(text: &str) -> String {
    if text.len() <= QUOTE_MAX_BYTES {
        return text.to_owned();
    }
    let mut end = QUOTE_MAX_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", text.get(..end).unwrap_or_default())
}
