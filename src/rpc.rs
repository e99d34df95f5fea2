//! The gRPC services: three lines a handler — take the caller from the metadata, call the operation, encode the answer.
//!
//! Nothing is decided here. [`status`] is the only place that makes a status of an operation's error.

mod analyzer;
mod audit;
mod call;
pub mod codec;
mod comparer;
mod guardian;
mod policies;
mod raystack;
mod revisions;
mod search;
mod simulator;
pub mod status;
mod subject;
mod validate;

pub use analyzer::AnalyzerService;
pub use audit::AuditService;
pub(crate) use call::ascii;
pub use comparer::ComparerService;
pub use guardian::GuardianService;
pub use policies::PolicyService;
pub use raystack::RaystackGuardianService;
pub use revisions::RevisionService;
pub use search::PolicySearchService;
pub use simulator::SimulatorService;
pub use validate::{AccountProvisionPolicyTestService, PolicyValidateService};
