//! The one place that makes a gRPC status of an operation's error.
//!
//! Every status has an `ErrorInfo` with a stable reason in the domain `countersign` (AIP-193); violations also travel as
//! `BadRequest`, references that are in the way as `PreconditionFailure`, and waits as `RetryInfo`.
//!
//! A status travels as metadata, of which several gRPC implementations take no more than 8 KiB at their defaults, and what
//! is too long for a client looks to it like a broken connection. So everything here has a bound.

use crate::app::{Error, GuardianCode};
use crate::policy::Violations;
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The longest message. Metadata is percent-encoded, which can make three bytes of one.
pub const MESSAGE_MAX_BYTES: usize = 512;
/// How much room the violations of one status have, encoded. Those that do not fit are counted, not listed.
pub const VIOLATIONS_MAX_BYTES: usize = 4096;
/// The longest path, and the longest description, of one violation.
const FIELD_MAX_BYTES: usize = 1024;
/// The longest value in an `ErrorInfo`.
const VALUE_MAX_BYTES: usize = 256;

/// The domain of every reason.
const DOMAIN: &str = "countersign";

/// The status of an operation's error.
pub fn of(error: &Error) -> Status {
    let message = error.to_string();
    match error {
        Error::Invalid(violations) => invalid(Code::InvalidArgument, &message, violations),
        Error::Uncompiled { violations, .. } => invalid(Code::FailedPrecondition, &message, violations),
        Error::NotFound { id } => with(Code::NotFound, &message, "POLICY_NOT_FOUND", &[("id", id)]),
        Error::NoSuchVersion { id, version } => {
            let metadata = [("id", id.as_str()), ("version", &version.to_string())];
            with(Code::NotFound, &message, "POLICY_NOT_FOUND", &metadata)
        }
        Error::NoSuchRevision { id, number } => {
            let metadata = [("id", id.as_str()), ("revision", &number.to_string())];
            with(Code::NotFound, &message, "REVISION_NOT_FOUND", &metadata)
        }
        Error::AlreadyExists { id } => with(Code::AlreadyExists, &message, "POLICY_EXISTS", &[("id", id)]),
        Error::NoSecretsKey => with(Code::FailedPrecondition, &message, "SECRETS_KEY_NOT_SET", &[]),
        Error::SecretsKeyMissing { key } => {
            with(Code::FailedPrecondition, &message, "SECRETS_KEY_MISSING", &[("key", key)])
        }
        // Guardian's own clients know no details.
        Error::AsGuardian { code, .. } => Status::new(
            match code {
                GuardianCode::InvalidArgument => Code::InvalidArgument,
                GuardianCode::NotFound => Code::NotFound,
                GuardianCode::Internal => Code::Internal,
            },
            message,
        ),
        Error::KeyReused => with(Code::AlreadyExists, &message, "IDEMPOTENCY_KEY_REUSED", &[]),
        Error::InUse { id, referrers } => in_use(&message, id, referrers),
        Error::EtagMismatch { id, etag } => {
            with(Code::Aborted, &message, "ETAG_MISMATCH", &[("id", id), ("etag", etag)])
        }
        Error::Contended { attempts } => {
            with(Code::Aborted, &message, "WRITE_CONTENTION", &[("attempts", &attempts.to_string())])
        }
        Error::StoreFull => with(Code::ResourceExhausted, &message, "STORE_FULL", &[]),
        Error::Busy { retry_after } => {
            let mut details = info("STORE_BUSY", &[]);
            details.set_retry_info(Some(*retry_after));
            Status::with_error_details(Code::ResourceExhausted, message, details)
        }
        Error::NotReady => with(Code::Unavailable, &message, "STORE_NOT_READY", &[]),
        Error::Damaged => with(Code::DataLoss, &message, "RECORD_DAMAGED", &[]),
        Error::Internal(cause) => {
            tracing::error!(cause, "an operation failed");
            with(Code::Internal, &message, "INTERNAL", &[])
        }
    }
}

/// A metadata value, or a header, that cannot be used.
pub(super) fn invalid_metadata(key: &'static str, fault: &str) -> Status {
    with(Code::InvalidArgument, &format!("{key} {fault}"), "METADATA_INVALID", &[("key", key)])
}

/// A status with its `ErrorInfo`.
pub fn with(code: Code, message: &str, reason: &str, metadata: &[(&str, &str)]) -> Status {
    Status::with_error_details(code, cut(message, MESSAGE_MAX_BYTES), info(reason, metadata))
}

/// The text, or its beginning: what a caller sent is not given back at any length.
fn cut(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let boundaries = text.char_indices().map(|(at, _)| at);
    let end = boundaries.take_while(|at| at + 3 <= max_bytes).last().unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// An `ErrorInfo`, to which other details can be added.
pub fn info(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), cut(value, VALUE_MAX_BYTES))).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

/// The reason of the status is that of the first violation; each violation also has its own.
fn invalid(code: Code, message: &str, violations: &Violations) -> Status {
    let reason = violations.iter().next().map_or("INVALID", |first| first.code);
    let mut details = info(reason, &[]);
    let mut fields: Vec<FieldViolation> = Vec::new();
    let mut room = VIOLATIONS_MAX_BYTES;
    for (n, violation) in violations.iter().enumerate() {
        let field = field(&violation.path, violation.code, &violation.message);
        match room.checked_sub(encoded_bytes(&field)) {
            Some(left) => room = left,
            None => {
                let message =
                    format!("at least {} more violations are not listed", violations.iter().count() - n);
                fields.push(self::field("", "MORE_VIOLATIONS", &message));
                break;
            }
        }
        fields.push(field);
    }
    details.set_bad_request(fields);
    Status::with_error_details(code, cut(message, MESSAGE_MAX_BYTES), details)
}

fn field(path: &str, reason: &str, description: &str) -> FieldViolation {
    FieldViolation {
        field: cut(path, FIELD_MAX_BYTES),
        description: cut(description, FIELD_MAX_BYTES),
        reason: reason.to_owned(),
        localized_message: None,
    }
}

/// How much of a message a violation takes: its texts, and a tag and a length for each of them and for itself.
fn encoded_bytes(field: &FieldViolation) -> usize {
    const TAG_AND_LENGTH_BYTES: usize = 3;
    field.field.len() + field.description.len() + field.reason.len() + 4 * TAG_AND_LENGTH_BYTES
}

fn in_use(message: &str, id: &str, referrers: &[String]) -> Status {
    let mut details = info("POLICY_IN_USE", &[("id", id)]);
    for referrer in referrers {
        let description = format!("policy {referrer} refers to policy {id}; change or delete it first");
        details.add_precondition_failure_violation("REFERENCE", format!("policies/{referrer}"), description);
    }
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// An error, its code, its reason, and what else its `ErrorInfo` says.
    type Case = (Error, Code, &'static str, Vec<(&'static str, &'static str)>);

    /// What a client may act on, of errors that no test can bring about from outside.
    #[test]
    fn errors_have_the_code_that_says_what_to_do() {
        let id = || "p".to_owned();
        let key = || "0a1b2c3d".to_owned();
        let retry_after = Duration::from_millis(200);
        let etag = || "\"1-0\"".to_owned();
        let cases: Vec<Case> = vec![
            (Error::Contended { attempts: 16 }, Code::Aborted, "WRITE_CONTENTION", vec![("attempts", "16")]),
            (Error::Busy { retry_after }, Code::ResourceExhausted, "STORE_BUSY", vec![]),
            (Error::StoreFull, Code::ResourceExhausted, "STORE_FULL", vec![]),
            (Error::NotReady, Code::Unavailable, "STORE_NOT_READY", vec![]),
            (Error::Damaged, Code::DataLoss, "RECORD_DAMAGED", vec![]),
            (Error::Internal("driver".to_owned()), Code::Internal, "INTERNAL", vec![]),
            (Error::NoSecretsKey, Code::FailedPrecondition, "SECRETS_KEY_NOT_SET", vec![]),
            (
                Error::SecretsKeyMissing { key: key() },
                Code::FailedPrecondition,
                "SECRETS_KEY_MISSING",
                vec![("key", "0a1b2c3d")],
            ),
            (Error::KeyReused, Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", vec![]),
            (Error::AlreadyExists { id: id() }, Code::AlreadyExists, "POLICY_EXISTS", vec![("id", "p")]),
            (
                Error::EtagMismatch { id: id(), etag: etag() },
                Code::Aborted,
                "ETAG_MISMATCH",
                vec![("id", "p"), ("etag", "\"1-0\"")],
            ),
        ];
        for (error, code, reason, metadata) in cases {
            let status = of(&error);
            assert_eq!((status.code(), status.message()), (code, error.to_string().as_str()), "{reason}");
            assert!(!status.message().contains("driver"), "what a driver says stays inside");
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason));
            let metadata: HashMap<String, String> =
                metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(info.metadata, metadata, "{reason}");
            let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let wanted = matches!(error, Error::Busy { .. }).then_some(retry_after);
            assert_eq!(retry, wanted, "{reason}");
        }
    }

    /// Guardian's own clients know no details.
    #[test]
    fn what_guardian_says_has_no_details() {
        for (code, wanted) in [
            (GuardianCode::InvalidArgument, Code::InvalidArgument),
            (GuardianCode::NotFound, Code::NotFound),
            (GuardianCode::Internal, Code::Internal),
        ] {
            let status = of(&Error::AsGuardian { code, message: "said".to_owned() });
            assert_eq!((status.code(), status.message(), status.details()), (wanted, "said", &[][..]));
        }
    }
}
