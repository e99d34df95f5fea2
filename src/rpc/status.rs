//! The one place that makes a gRPC status of an operation's error.
//!
//! Every status has an `ErrorInfo` with a stable reason in the domain `countersign` (AIP-193); violations also travel as
//! `BadRequest`, references that are in the way as `PreconditionFailure`, and waits as `RetryInfo`.

use crate::app::{Error, GuardianCode};
use crate::policy::Violations;
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of every reason.
pub const DOMAIN: &str = "countersign";

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
fn with(code: Code, message: &str, reason: &str, metadata: &[(&str, &str)]) -> Status {
    Status::with_error_details(code, message, info(reason, metadata))
}

fn info(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

/// The reason of the status is that of the first violation; each violation also has its own.
fn invalid(code: Code, message: &str, violations: &Violations) -> Status {
    let reason = violations.iter().next().map_or("INVALID", |first| first.code);
    let mut details = info(reason, &[]);
    let fields = violations.iter().map(|violation| FieldViolation {
        field: violation.path.clone(),
        description: violation.message.clone(),
        reason: violation.code.to_owned(),
        localized_message: None,
    });
    details.set_bad_request(fields.collect::<Vec<_>>());
    Status::with_error_details(code, message, details)
}

fn in_use(message: &str, id: &str, referrers: &[String]) -> Status {
    let mut details = info("POLICY_IN_USE", &[("id", id)]);
    for referrer in referrers {
        let description = format!("policy {referrer} refers to policy {id}; change or delete it first");
        details.add_precondition_failure_violation("REFERENCE", format!("policies/{referrer}"), description);
    }
    Status::with_error_details(Code::FailedPrecondition, message, details)
}
