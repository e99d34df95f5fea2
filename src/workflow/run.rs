//! Running a workflow: `step(state, event) -> (state, effects)`, for real tasks and for simulated ones alike.
//!
//! Deterministic and pure: time comes with the events, and whatever is to be done in the world (asking people, posting comments,
//! calling webhooks) leaves as an effect. The state is plain data that survives being written down at any point, and knows
//! everything that happened; what it was made from (policies, directory, request) is handed to each step again, as it was
//! when the task began.
//!
//! There are two machines, because there are two ways to run a policy. `machine` runs a task: routes choose one sequence, whose
//! stages follow one another. `appeal` runs Guardian's: all approvals are made at once, and an answer to one may move others.
//! `simulate` drives either with a list of events and then with nobody doing anything, and says how that ends.

mod appeal;
mod approvers;
mod decide;
mod event;
mod machine;
mod simulate;
mod stage;
mod state;
mod timers;

pub use appeal::{
    AppealState, AppealStatus, Approval, ApprovalStatus, Evaluated, Failure, FailureKind, FiredRequirement,
    GivenLabel, Machine as AppealMachine, PolicyName,
};
pub use event::{Answer, Decision, Effect, Event, Happening, Occurrence, Verdict};
pub use machine::{CHAIN_MAX, Machine, Policies, Policy, REPLACEMENTS_MAX, STAGES_ENTERED_MAX};
pub use simulate::{EVENTS_IDLE_MAX, Ending, Idle, Trace, simulate, simulate_appeal};
pub(in crate::workflow) use stage::kind;
pub use state::{
    Asked, Escalates, Excluded, Exclusion, Hop, Outcome, RuleTried, RuleValue, StageRecord, StageState,
    State, Tried,
};
