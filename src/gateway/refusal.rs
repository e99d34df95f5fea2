//! The errors that the gateway makes itself, before any operation has seen the request.
//!
//! All are the caller's fault and say so: `INVALID_ARGUMENT` unless the reason says otherwise, with an `ErrorInfo` whose
//! reason never changes (AIP-193). An unknown path and a known path with another verb have no details, because the
//! clients of the two APIs that we mirror know those bodies as they are.

use http::HeaderName;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of every `ErrorInfo` of ours.
const DOMAIN: &str = "countersign";

/// Why a request was refused. The text is part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    BodyTooLarge,
    BodyUnreadable,
    ContentEncodingUnsupported,
    MetadataInvalid,
    PathInvalid,
    PathBodyMismatch,
    QueryInvalid,
    TimeoutInvalid,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::BodyTooLarge => "BODY_TOO_LARGE",
            Reason::BodyUnreadable => "BODY_UNREADABLE",
            Reason::ContentEncodingUnsupported => "CONTENT_ENCODING_UNSUPPORTED",
            Reason::MetadataInvalid => "METADATA_INVALID",
            Reason::PathInvalid => "PATH_INVALID",
            Reason::PathBodyMismatch => "PATH_BODY_MISMATCH",
            Reason::QueryInvalid => "QUERY_INVALID",
            Reason::TimeoutInvalid => "TIMEOUT_INVALID",
        }
    }

    /// `OUT_OF_RANGE` for a body that is too large, because that is what the gRPC face answers to the same message;
    /// `RESOURCE_EXHAUSTED` would be HTTP 429, which clients take as "send it again".
    fn code(self) -> Code {
        match self {
            Reason::BodyTooLarge => Code::OutOfRange,
            _ => Code::InvalidArgument,
        }
    }
}

pub(crate) fn refuse(reason: Reason, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, []);
    Status::with_error_details(reason.code(), message, details)
}

/// A header that cannot become metadata; a program finds which in the details.
pub(crate) fn header(name: &HeaderName, message: String) -> Status {
    let key = [("key".to_owned(), name.to_string())];
    let details = ErrorDetails::with_error_info(Reason::MetadataInvalid.as_str(), DOMAIN, key);
    Status::with_error_details(Reason::MetadataInvalid.code(), message, details)
}

/// A body over the limit; a program finds the limit in the details.
pub(crate) fn too_large(limit_bytes: usize) -> Status {
    let limit = [("limitBytes".to_owned(), limit_bytes.to_string())];
    let details = ErrorDetails::with_error_info(Reason::BodyTooLarge.as_str(), DOMAIN, limit);
    let message = format!("the body is larger than the limit of {limit_bytes} bytes");
    Status::with_error_details(Reason::BodyTooLarge.code(), message, details)
}

/// A refusal that is about one field of the request. `reason` is a stable code of ours or of `wire`.
pub(crate) fn field(reason: &str, field: &str, description: &str, message: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    let mut violation = FieldViolation::new(field, description);
    violation.reason = reason.to_owned();
    details.set_bad_request([violation]);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// The body names another thing than the path.
pub(crate) fn mismatch(name: &str) -> Status {
    let description = "is not the one in the path";
    field(Reason::PathBodyMismatch.as_str(), name, description, &format!("{name} in the body {description}"))
}

/// A path variable with an escape that cannot be undone.
pub(crate) fn escape(name: &str, raw: &str) -> Status {
    let message = format!("type mismatch, parameter: {name}, error: invalid URL escape in {raw}");
    field(Reason::PathInvalid.as_str(), name, "has an invalid URL escape", &message)
}

pub(crate) fn not_found() -> Status {
    Status::not_found("Not Found")
}

pub(crate) fn other_verb() -> Status {
    Status::unimplemented("Method Not Allowed")
}
