//! Guardian's documents: everything that must hold before one is stored, and what it means.
//!
//! [`prepare`] brings a document into the shape in which it is kept. [`compile`] makes a [`Workflow`] of it, or reports
//! every fault at its field path; what Guardian itself accepts and finds out too late is a warning, or a violation where
//! [`Lint::Deny`] says so. Under [`Compat::Strict`] the same faults also come as the one text that Guardian would answer.
//! `secrets` knows which parts of a document are secret; how they are encrypted is for `app`.
//!
//! The rules are those of Guardian's policy service (its struct tags, then its own checks, in its order), because the
//! order decides which text a strict answer has.

mod approver;
mod compile;
mod config;
mod duration;
mod entry;
mod expression;
mod findings;
mod iam;
mod lint;
mod requirement;
mod rules;
pub mod secrets;
mod tags;

use super::{Violations, Warning};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::workflow::Workflow;
use chrono::{DateTime, Utc};
use findings::Findings;
use std::fmt;
use std::str::FromStr;

pub use lint::comes_back;
pub use rules::NUL;

/// The longest id, in bytes; it is part of keys of the store.
pub const ID_MAX_BYTES: usize = 512;
/// The most steps in one policy.
pub const STEPS_MAX: usize = 256;
/// The most requirements in one policy.
pub const REQUIREMENTS_MAX: usize = 128;

/// The most references to other policies in the requirements of one policy; each is followed when it is stored.
pub const REFERENCES_MAX: usize = 64;
/// The most that the expressions of one policy may cost that are evaluated when it is stored, in steps of an evaluation: that
/// of sixteen which use up their own budgets, or of very many ordinary ones.
pub const EARLY_STEPS_MAX: usize = 16 * crate::expr::guardian::STEPS_MAX;

/// What Go has as no time at all: the first instant of the year 1, in seconds since 1970.
const ZERO_SECONDS: i64 = -62_135_596_800;

/// Whether faults of Guardian's are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// Better where Guardian's behaviour is a fault.
    #[default]
    Default,
    /// As Guardian answers, faults included.
    Strict,
}

/// What becomes of what Guardian accepts and finds out too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lint {
    /// A warning that travels with the answer.
    #[default]
    Warn,
    /// A violation.
    Deny,
}

/// Which of the two families of messages a document came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// `gotocompany.guardian.v1beta1`.
    #[default]
    Goto,
    /// `raystack.guardian.v1beta1`, whose rules are narrower in two places.
    Raystack,
}

/// What checking must know that is not in the document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    pub compat: Compat,
    pub lint: Lint,
    pub family: Family,
    /// What time it is. `None` where that decides nothing: then no expression that asks for it is evaluated.
    pub now: Option<DateTime<Utc>>,
    /// Whether Guardian would leave its database alone, as in the dry run of a create: then that has nothing to say.
    pub without_database: bool,
}

/// A document that has no fault.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What it means.
    pub workflow: Workflow,
    /// What its author should know.
    pub warnings: Vec<Warning>,
}

/// Why a document is refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// All the violations.
    pub violations: Violations,
    /// What its author should know beside them.
    pub warnings: Vec<Warning>,
    /// What Guardian would say.
    pub said: Said,
}

impl Refused {
    /// For lints that are violations, which Guardian does not know: in the words that its own validation would have.
    #[must_use]
    pub fn by_lints(violations: Violations) -> Refused {
        let first = violations.iter().next().map(|one| format!("{}: {}", one.path, one.message));
        let said = Said::Text(format!("{}{}", findings::VALIDATION, first.unwrap_or_default()));
        Refused { violations, warnings: Vec::new(), said }
    }
}

/// How Guardian refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// With this text, behind what it was doing.
    Text(String),
    /// Not at all: its handler panics.
    Panic,
}

/// Brings a document into the shape in which it is kept: of the IAM configuration what Guardian keeps, and no time where it is what
/// Go has as none.
pub fn prepare(policy: &mut Policy, around: Surroundings) {
    iam::prepare(policy, around);
    for time in [&mut policy.created_at, &mut policy.updated_at] {
        *time = time.take().filter(|time| time.seconds != ZERO_SECONDS || time.nanos != 0);
    }
}

/// Compiles a prepared document.
///
/// # Errors
/// All violations together, each at its path; and what Guardian would say.
pub fn compile(policy: &Policy, around: Surroundings) -> Result<Compiled, Box<Refused>> {
    let mut findings = Findings::new(around);
    rules::check(&mut findings, policy);
    lint::check(&mut findings, policy);
    let workflow = compile::compile(&mut findings, policy);
    config::check(&mut findings, policy);
    Ok(Compiled { warnings: findings.finish()?, workflow })
}

impl FromStr for Compat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "default" => Ok(Compat::Default),
            "strict" => Ok(Compat::Strict),
            _ => Err("one of default, strict"),
        }
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Compat::Default => "default",
            Compat::Strict => "strict",
        })
    }
}

impl FromStr for Lint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "warn" => Ok(Lint::Warn),
            "deny" => Ok(Lint::Deny),
            _ => Err("one of warn, deny"),
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Lint::Warn => "warn",
            Lint::Deny => "deny",
        })
    }
}
