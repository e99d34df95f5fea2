//! What the analysis says: a finding with a stable code, and what it rests on.

use super::Witness;
use std::fmt;

/// How much a finding should worry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; many good policies have it.
    Info,
    /// Something in the policy does nothing, or does something that its author may not want.
    Warning,
    /// The policy breaks a rule that its operator has stated.
    Error,
}

/// Which finding. A code keeps its meaning for ever; `docs/analyze.md` says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    RuleNeverMatches,
    RuleShadowed,
    RuleAfterAlwaysTrue,
    RulesOverlap,
    SequenceUnreached,
    BaselineNeverUsed,
    StepUnreached,
    StepNeverRuns,
    StageNeverBegun,
    AlwaysRejected,
    ApprovalCanBlock,
    WaitWithoutTimeout,
    WaitNeverEnds,
    EscalationToSamePeople,
    EscalationCycle,
    DecisionTime,
    DecisionUnbounded,
    GrantedAutomatically,
    SelfApproval,
    SingleApprover,
    InvariantProved,
    InvariantRefuted,
    CannotTell,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: &'static [Code] = &[
        Code::RuleNeverMatches,
        Code::RuleShadowed,
        Code::RuleAfterAlwaysTrue,
        Code::RulesOverlap,
        Code::SequenceUnreached,
        Code::BaselineNeverUsed,
        Code::StepUnreached,
        Code::StepNeverRuns,
        Code::StageNeverBegun,
        Code::AlwaysRejected,
        Code::ApprovalCanBlock,
        Code::WaitWithoutTimeout,
        Code::WaitNeverEnds,
        Code::EscalationToSamePeople,
        Code::EscalationCycle,
        Code::DecisionTime,
        Code::DecisionUnbounded,
        Code::GrantedAutomatically,
        Code::SelfApproval,
        Code::SingleApprover,
        Code::InvariantProved,
        Code::InvariantRefuted,
        Code::CannotTell,
    ];

    /// The stable text of the code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::RuleNeverMatches => "RULE_NEVER_MATCHES",
            Code::RuleShadowed => "RULE_SHADOWED",
            Code::RuleAfterAlwaysTrue => "RULE_AFTER_ALWAYS_TRUE",
            Code::RulesOverlap => "RULES_OVERLAP",
            Code::SequenceUnreached => "SEQUENCE_NEVER_REACHED",
            Code::BaselineNeverUsed => "BASELINE_NEVER_USED",
            Code::StepUnreached => "STEP_NEVER_REACHED",
            Code::StepNeverRuns => "STEP_NEVER_RUNS",
            Code::StageNeverBegun => "STAGE_NEVER_BEGUN",
            Code::AlwaysRejected => "ALWAYS_REJECTED",
            Code::ApprovalCanBlock => "APPROVAL_CAN_BLOCK",
            Code::WaitWithoutTimeout => "WAIT_WITHOUT_TIMEOUT",
            Code::WaitNeverEnds => "WAIT_NEVER_ENDS",
            Code::EscalationToSamePeople => "ESCALATION_TO_SAME_PEOPLE",
            Code::EscalationCycle => "ESCALATION_CYCLE",
            Code::DecisionTime => "DECISION_TIME",
            Code::DecisionUnbounded => "DECISION_UNBOUNDED",
            Code::GrantedAutomatically => "GRANTED_AUTOMATICALLY",
            Code::SelfApproval => "SELF_APPROVAL",
            Code::SingleApprover => "SINGLE_APPROVER",
            Code::InvariantProved => "INVARIANT_PROVED",
            Code::InvariantRefuted => "INVARIANT_REFUTED",
            Code::CannotTell => "CANNOT_TELL",
        }
    }

    /// How much it should worry.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Code::InvariantRefuted => Severity::Error,
            Code::RulesOverlap
            | Code::BaselineNeverUsed
            | Code::DecisionTime
            | Code::DecisionUnbounded
            | Code::GrantedAutomatically
            | Code::InvariantProved
            | Code::CannotTell => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    pub code: Code,
    /// Where in the document; empty for the document as a whole, or for an invariant of the operator.
    pub path: String,
    /// For people.
    pub message: String,
    /// Other places that it rests on: the rules that shadow a rule, the policies of a cycle. Of another policy, at a reference to
    /// it: that policy, the path in it, and places in it.
    pub related: Vec<String>,
    /// The name of the invariant that it is about; empty for other findings.
    pub invariant: String,
    /// For which request it happens. The policy has been run on it, and it does happen.
    pub witness: Option<Box<Witness>>,
}

impl Finding {
    pub(super) fn new(code: Code, path: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding {
            code,
            path: path.into(),
            message: message.into(),
            related: Vec::new(),
            invariant: String::new(),
            witness: None,
        }
    }

    pub(super) fn related(self, related: Vec<String>) -> Finding {
        Finding { related, ..self }
    }

    /// The same of another policy, which the first leads to at this field path.
    pub(super) fn at_reference(self, by: &str, policy: &str) -> Finding {
        let message = format!("in policy {policy}, at {}: {}", self.path, self.message);
        let mut related = vec![policy.to_owned(), self.path];
        related.extend(self.related);
        Finding { path: by.to_owned(), message, related, ..self }
    }

    pub(super) fn shown_by(self, witness: Witness) -> Finding {
        Finding { witness: Some(Box::new(witness)), ..self }
    }
}
