//! What the layers refuse themselves, where it has a form. A refusal that a limit made says which setting that is, and what it is
//! set to.

use std::fmt::Display;

use tonic::{Code, Status};

use crate::rpc::status;

/// A refusal by `setting`, which is set to `limit`.
pub(crate) fn over(code: Code, reason: &str, message: &str, setting: &str, limit: impl Display) -> Status {
    let limit = limit.to_string();
    let message = format!("{message}: {setting} = {limit}");
    status::with(code, &message, reason, &[("setting", setting), ("limit", &limit)])
}

/// A call of a method that there is not.
pub(crate) fn unknown_method() -> Status {
    status::with(Code::Unimplemented, "unknown service or method", "METHOD_UNKNOWN", &[])
}
