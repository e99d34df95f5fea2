//! What is said of two workflows: changes, each with a stable code, a direction where there is one, and both places.

use crate::workflow::analyse::{Exists, Relation, Witness};
use std::fmt;

/// Which change. A code keeps its meaning for ever; `docs/compare.md` says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    RuleAdded,
    RuleRemoved,
    RuleMoved,
    RuleConditionWidened,
    RuleConditionNarrowed,
    RuleConditionChanged,
    RuleConditionRewritten,
    RuleConditionCannotTell,
    RuleTargetChanged,
    BaselineChanged,
    RoutingSame,
    RoutingChanged,
    RoutingCannotTell,
    SequenceAdded,
    SequenceRemoved,
    SequenceRenamed,
    StepAdded,
    StepRemoved,
    StepMoved,
    StepRenamed,
    StepKindChanged,
    ApproversChanged,
    FallbackChanged,
    NobodyChanged,
    SelfApprovalChanged,
    DistinctApproversChanged,
    ReassignmentChanged,
    DelegationChanged,
    ReasonChanged,
    StepUpChanged,
    EscalationAdded,
    EscalationRemoved,
    EscalationTimeChanged,
    EscalationTargetChanged,
    WaitChanged,
    WaitConditionChanged,
    TimeoutChanged,
    ProvisionChanged,
    ActionChanged,
    MessageChanged,
    WhenChanged,
    ApproveIfChanged,
    RejectionReasonChanged,
    AllowFailedChanged,
    StagesChanged,
    PostActionsChanged,
    DurationsChanged,
    PermanentAccessChanged,
    OnBehalfChanged,
    ExtensionChanged,
    QuestionsChanged,
    CreatorChanged,
    MetadataChanged,
    CustomStepsChanged,
    LabelsChanged,
    UserLabelsChanged,
    RequirementAdded,
    RequirementRemoved,
    RequirementChanged,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: &'static [Code] = &[
        Code::RuleAdded,
        Code::RuleRemoved,
        Code::RuleMoved,
        Code::RuleConditionWidened,
        Code::RuleConditionNarrowed,
        Code::RuleConditionChanged,
        Code::RuleConditionRewritten,
        Code::RuleConditionCannotTell,
        Code::RuleTargetChanged,
        Code::BaselineChanged,
        Code::RoutingSame,
        Code::RoutingChanged,
        Code::RoutingCannotTell,
        Code::SequenceAdded,
        Code::SequenceRemoved,
        Code::SequenceRenamed,
        Code::StepAdded,
        Code::StepRemoved,
        Code::StepMoved,
        Code::StepRenamed,
        Code::StepKindChanged,
        Code::ApproversChanged,
        Code::FallbackChanged,
        Code::NobodyChanged,
        Code::SelfApprovalChanged,
        Code::DistinctApproversChanged,
        Code::ReassignmentChanged,
        Code::DelegationChanged,
        Code::ReasonChanged,
        Code::StepUpChanged,
        Code::EscalationAdded,
        Code::EscalationRemoved,
        Code::EscalationTimeChanged,
        Code::EscalationTargetChanged,
        Code::WaitChanged,
        Code::WaitConditionChanged,
        Code::TimeoutChanged,
        Code::ProvisionChanged,
        Code::ActionChanged,
        Code::MessageChanged,
        Code::WhenChanged,
        Code::ApproveIfChanged,
        Code::RejectionReasonChanged,
        Code::AllowFailedChanged,
        Code::StagesChanged,
        Code::PostActionsChanged,
        Code::DurationsChanged,
        Code::PermanentAccessChanged,
        Code::OnBehalfChanged,
        Code::ExtensionChanged,
        Code::QuestionsChanged,
        Code::CreatorChanged,
        Code::MetadataChanged,
        Code::CustomStepsChanged,
        Code::LabelsChanged,
        Code::UserLabelsChanged,
        Code::RequirementAdded,
        Code::RequirementRemoved,
        Code::RequirementChanged,
    ];

    /// The stable text of the code: the name of the variant, in upper case with underscores.
    #[must_use]
    pub fn as_str(self) -> String {
        let mut text = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(c.to_ascii_uppercase());
        }
        text
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

/// Whether more is let through: a condition is met by more requests, more people may decide, less is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It makes no difference to any request.
    Same,
    /// More, and nothing less.
    Wider,
    /// Less, and nothing more.
    Narrower,
    /// More here, less there.
    Different,
    /// Nothing less; whether more could not be decided.
    WiderOrSame,
    /// Nothing more; whether less could not be decided.
    NarrowerOrSame,
    /// Could not be decided.
    Unknown,
}

impl Direction {
    /// Of something that is allowed or not.
    pub(super) fn of_flag(before: bool, after: bool) -> Direction {
        match (before, after) {
            (false, true) => Direction::Wider,
            (true, false) => Direction::Narrower,
            _ => Direction::Same,
        }
    }

    /// Of a list in which more is wider, whatever its order.
    pub(super) fn of_set<T: PartialEq>(before: &[T], after: &[T]) -> Direction {
        let kept = before.iter().all(|one| after.contains(one));
        let known = after.iter().all(|one| before.contains(one));
        match (kept, known) {
            (true, true) => Direction::Same,
            (true, false) => Direction::Wider,
            (false, true) => Direction::Narrower,
            (false, false) => Direction::Different,
        }
    }

    /// Of a condition.
    pub(super) fn of(relation: &Relation) -> Direction {
        match (&relation.gained, &relation.lost) {
            (Exists::Never, Exists::Never) => Direction::Same,
            (Exists::Seen(_), Exists::Never) => Direction::Wider,
            (Exists::Never, Exists::Seen(_)) => Direction::Narrower,
            (Exists::Seen(_), Exists::Seen(_)) => Direction::Different,
            (Exists::Unknown, Exists::Never) => Direction::WiderOrSame,
            (Exists::Never, Exists::Unknown) => Direction::NarrowerOrSame,
            (Exists::Unknown, _) | (_, Exists::Unknown) => Direction::Unknown,
        }
    }

    /// The other way round.
    #[must_use]
    pub fn reversed(self) -> Direction {
        match self {
            Direction::Wider => Direction::Narrower,
            Direction::Narrower => Direction::Wider,
            Direction::WiderOrSame => Direction::NarrowerOrSame,
            Direction::NarrowerOrSame => Direction::WiderOrSame,
            same => same,
        }
    }
}

/// One thing that is different.
#[derive(Clone, Debug)]
pub struct Change {
    pub code: Code,
    /// `None` if there is no direction in it.
    pub direction: Option<Direction>,
    /// Where in the document as it was; empty for what was not there.
    pub before_path: String,
    /// Where in the document as it is to be; empty for what is there no more.
    pub after_path: String,
    /// For people.
    pub message: String,
    /// What was there, in short; may be empty.
    pub before: String,
    /// What is there now.
    pub after: String,
    /// A request that does now what it did not do before.
    pub gained: Option<Box<Witness>>,
    /// A request that did before what it does not do now.
    pub lost: Option<Box<Witness>>,
}

impl Change {
    pub(super) fn new(code: Code, paths: (&str, &str), message: impl Into<String>) -> Change {
        Change {
            code,
            direction: None,
            before_path: paths.0.to_owned(),
            after_path: paths.1.to_owned(),
            message: message.into(),
            before: String::new(),
            after: String::new(),
            gained: None,
            lost: None,
        }
    }

    pub(super) fn towards(self, direction: Direction) -> Change {
        Change { direction: Some(direction), ..self }
    }

    /// With what was there and what is.
    pub(super) fn with_values(self, before: impl Into<String>, after: impl Into<String>) -> Change {
        Change { before: before.into(), after: after.into(), ..self }
    }

    /// With the requests that show it.
    pub(super) fn shown_by(self, relation: Relation) -> Change {
        let seen = |one| if let Exists::Seen(witness) = one { Some(witness) } else { None };
        Change { gained: seen(relation.gained), lost: seen(relation.lost), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_upper_case_and_each_has_its_own() {
        assert_eq!(Code::RuleConditionCannotTell.as_str(), "RULE_CONDITION_CANNOT_TELL");
        let all: std::collections::BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(all.len(), Code::ALL.len());
    }

    #[test]
    fn more_is_wider() {
        assert_eq!(Direction::of_set(&[1, 2], &[2, 1]), Direction::Same);
        assert_eq!(Direction::of_set(&[1], &[2, 1]), Direction::Wider);
        assert_eq!(Direction::of_set(&[1, 2], &[2]), Direction::Narrower);
        assert_eq!(Direction::of_set(&[1], &[2]), Direction::Different);
    }
}
