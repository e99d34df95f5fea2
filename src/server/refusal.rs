//! What the layers refuse themselves. Every refusal has an `ErrorInfo` whose reason never changes (AIP-193); one that a limit
//! made says in it which setting that is, and what it is set to.

use std::fmt::Display;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every `ErrorInfo` of ours.
pub(crate) const DOMAIN: &str = "countersign";

/// A refusal that no limit made.
pub(crate) fn refuse(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, []))
}

/// A refusal by `setting`, which is set to `limit`.
pub(crate) fn over(code: Code, reason: &str, message: &str, setting: &str, limit: impl Display) -> Status {
    let metadata = [("setting", setting.to_owned()), ("limit", limit.to_string())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    let message = format!("{message}: {setting} = {limit}");
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, metadata))
}

/// A call of a method that there is not.
pub(crate) fn unknown_method() -> Status {
    refuse(Code::Unimplemented, "METHOD_UNKNOWN", "unknown service or method")
}
