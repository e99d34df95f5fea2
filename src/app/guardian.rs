//! The operations of Guardian's service over policies, one file each.
//!
//! Versions of a policy are never changed; an update adds the next one, under the condition that nobody added it in
//! between. Secrets are sealed on the way into the store and opened on the way to whoever wrote them; everybody else gets
//! them masked. Both families of messages come here: the older one is turned into the newer on the way in and back on the
//! way out (`raystack`).

mod apply;
mod create;
mod get;
mod list;
mod raystack;
mod references;
mod revisions;
mod rotate;
mod update;
mod write;

pub use rotate::Rotated;

use super::{Error, GuardianCode, Keys};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::{Compat, Family, Lint, NUL, Refused, Said, Surroundings};
use chrono::DateTime;
use prost_types::Timestamp;

/// What Guardian answers when its handler panics.
const PANICKED: &str = "Internal error, please check log";

/// The settings for Guardian's policies.
#[derive(Clone, Debug, Default)]
pub struct Guardian {
    /// Whether faults of Guardian's are copied.
    pub compat: Compat,
    /// What becomes of what Guardian finds out too late.
    pub lint: Lint,
    /// What secrets are encrypted with.
    pub keys: Keys,
}

/// One version of a policy, with what only the older family says about it.
#[derive(Clone, Debug, Default)]
struct Document {
    policy: Policy,
    title: String,
    created_by: String,
    /// The version whose document is written again.
    restores: Option<u64>,
    /// Of a version that is stored.
    etag: Option<String>,
}

/// What an operation was doing when it failed, as Guardian says it.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Get,
    List,
    Create,
    Update,
}

impl Doing {
    fn prefix(self) -> &'static str {
        match self {
            Doing::Get => "failed to retrieve policy: ",
            Doing::List => "failed to get policy list: ",
            Doing::Create => "failed to create policy: ",
            Doing::Update => "failed to update policy: ",
        }
    }
}

impl Guardian {
    fn surroundings(&self, family: Family, now: Timestamp) -> Surroundings {
        let now = DateTime::from_timestamp(now.seconds, u32::try_from(now.nanos).unwrap_or(0));
        Surroundings { compat: self.compat, lint: self.lint, family, now, without_database: false }
    }

    fn is_strict(&self) -> bool {
        self.compat == Compat::Strict
    }

    /// The refusal of a document.
    fn refusal(&self, doing: Doing, refused: Refused) -> Error {
        if !self.is_strict() {
            return Error::Invalid(refused.violations);
        }
        let message = match refused.said {
            Said::Panic => PANICKED.to_owned(),
            Said::Text(text) => format!("{}{text}", doing.prefix()),
        };
        Error::AsGuardian { code: GuardianCode::Internal, message }
    }

    /// An error as this service, or Guardian, words it.
    fn worded(&self, doing: Doing, error: Error) -> Error {
        if !self.is_strict() {
            return error;
        }
        match error {
            Error::AsGuardian { .. } => error,
            Error::NoSuchVersion { ref id, .. } if id.contains('\0') => internal(doing, NUL),
            Error::NoSuchVersion { .. } => {
                Error::AsGuardian { code: GuardianCode::NotFound, message: error.to_string() }
            }
            // Only who sends `If-Match` gets this, and Guardian's own clients do not.
            Error::EtagMismatch { .. } => error,
            // Guardian does not try again: of writes that meet, all but one have a number that is taken.
            Error::AlreadyExists { .. } | Error::Contended { .. } => {
                let duplicate = "ERROR: duplicate key value violates unique constraint \"policies_pkey\" (SQLSTATE 23505)";
                internal(doing, duplicate)
            }
            Error::Internal(cause) => {
                tracing::error!(cause, "an operation failed");
                internal(doing, "internal error")
            }
            error => internal(doing, &error.to_string()),
        }
    }
}

fn internal(doing: Doing, text: &str) -> Error {
    Error::AsGuardian { code: GuardianCode::Internal, message: format!("{}{text}", doing.prefix()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_answers_have_guardians_words() {
        let id = || "p".to_owned();
        let duplicate =
            "ERROR: duplicate key value violates unique constraint \"policies_pkey\" (SQLSTATE 23505)";
        let errors = || {
            [
                (Error::AlreadyExists { id: id() }, GuardianCode::Internal, Some(duplicate)),
                (Error::Contended { attempts: 3 }, GuardianCode::Internal, Some(duplicate)),
                (Error::Internal("cause".to_owned()), GuardianCode::Internal, Some("internal error")),
                (Error::StoreFull, GuardianCode::Internal, None),
                (Error::NotReady, GuardianCode::Internal, None),
                (Error::Damaged, GuardianCode::Internal, None),
                (Error::NoSecretsKey, GuardianCode::Internal, None),
            ]
        };
        let strict = Guardian { compat: Compat::Strict, ..Guardian::default() };
        for (doing, prefix) in [
            (Doing::Get, "failed to retrieve policy: "),
            (Doing::List, "failed to get policy list: "),
            (Doing::Create, "failed to create policy: "),
            (Doing::Update, "failed to update policy: "),
        ] {
            for (error, wanted, text) in errors() {
                let own = error.to_string();
                let Error::AsGuardian { code, message } = strict.worded(doing, error) else {
                    panic!("{own}")
                };
                assert_eq!((code, message), (wanted, format!("{prefix}{}", text.unwrap_or(&own))));
            }
            let missing = strict.worded(doing, Error::NoSuchVersion { id: id(), version: 2 });
            let Error::AsGuardian { code, message } = missing else { panic!("{missing:?}") };
            assert_eq!((code, message.as_str()), (GuardianCode::NotFound, "policy not found"));
            let mismatch = Error::EtagMismatch { id: id(), etag: "\"1-0\"".to_owned() };
            assert!(matches!(strict.worded(doing, mismatch), Error::EtagMismatch { .. }));
            for (error, ..) in errors() {
                let own = error.to_string();
                assert_eq!(Guardian::default().worded(doing, error).to_string(), own);
            }
        }
    }
}
