//! Everything that can become of a request in a sequence, and some of what cannot: never less. What administrators force is
//! left out.

use std::collections::BTreeSet;

use super::stages::{self, Longest};
use crate::expr::{Formula, Relation, Test, Value};
use crate::workflow::run::{CHAIN_MAX, Policies};
use crate::workflow::{Approval, Destination, EscalationTarget, Nobody, Sequence, Source, Until, Work};

/// The most approvals that are counted exactly; a longer sequence may have any number from here on.
const COUNTED_MAX: u32 = 12;

/// What can become of a request. Numbers are exact up to [`COUNTED_MAX`], which stands for any from there on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Possible {
    pub granted: bool,
    pub denied: bool,
    pub unbounded: bool,
    pub self_approved: bool,
    pub approvals: u32,
    pub distinct: u32,
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    approvals: u32,
    distinct: u32,
    self_approved: bool,
    /// Everybody who may have approved, if they are known: none twice among stages that share nobody.
    known: Option<BTreeSet<String>>,
}

/// What can become of a request that goes there.
pub(super) fn of(policies: &Policies, to: &Destination) -> Vec<Possible> {
    let mut found = BTreeSet::new();
    collect(policies, &policies.first, to, 0, &mut BTreeSet::new(), &mut found);
    found.into_iter().collect()
}

/// `chain` is how many references led here. What was collected from a policy so far on is not collected again.
fn collect(
    policies: &Policies,
    policy: &str,
    to: &Destination,
    chain: usize,
    known: &mut BTreeSet<(String, usize)>,
    found: &mut BTreeSet<Possible>,
) {
    let workflow = policies.by_id.get(policy).map(|policy| &policy.workflow);
    match to {
        Destination::Sequence(key) => match workflow.and_then(|workflow| workflow.sequences.get(key)) {
            Some(sequence) => of_sequence(policies, policy, sequence, found),
            None => waiting(&Way::start(), found),
        },
        Destination::Nowhere => waiting(&Way::start(), found),
        Destination::Policy(id) => match policies.by_id.get(id) {
            // The machine goes no further.
            _ if chain >= CHAIN_MAX => waiting(&Way::start(), found),
            Some(other) => {
                if known.insert((id.clone(), chain)) {
                    for to in stages::destinations(&other.workflow) {
                        collect(policies, id, to, chain + 1, known, found);
                    }
                }
            }
            None => anything(found),
        },
    }
}

impl Way {
    fn start() -> Way {
        Way { approvals: 0, distinct: 0, self_approved: false, known: Some(BTreeSet::new()) }
    }
}

fn of_sequence(policies: &Policies, policy: &str, sequence: &Sequence, found: &mut BTreeSet<Possible>) {
    // A request that can be stuck has no longest time, whatever its timers say.
    let stuck = sequence.stages.iter().any(|stage| match &stage.work {
        Work::Approval(approval) => approval.nobody == Nobody::Block && approval.escalation.is_none(),
        _ => false,
    });
    let endless = match stages::longest(policies, policy, sequence) {
        Longest::AtMost(_) if !stuck => vec![false],
        _ => vec![false, true],
    };
    let mut ends = BTreeSet::new();
    let mut ways: BTreeSet<Way> = [Way::start()].into();
    for stage in &sequence.stages {
        let mut next = BTreeSet::new();
        for way in &ways {
            // It may be where it is for now, or be taken back.
            ends.insert((way.clone(), false, false));
            match &stage.work {
                Work::Approval(approval) => {
                    if !of_approval(approval, way, &mut next, &mut ends) {
                        return anything(found);
                    }
                }
                Work::Wait(wait) => {
                    let never = matches!(&wait.until, Until::Condition { condition, .. } if stages::never_holds(condition));
                    if !never {
                        next.insert(way.clone());
                    }
                }
                Work::Accept { .. } => {
                    ends.insert((way.clone(), true, false));
                }
                Work::Reject { .. } => {
                    ends.insert((way.clone(), false, true));
                }
                Work::Form | Work::Provision(_) | Work::Action(_) => {
                    next.insert(way.clone());
                }
                Work::Automatic { .. } | Work::Parallel(_) => return anything(found),
            }
        }
        ways = next;
        if ways.len() > 512 {
            return anything(found);
        }
        if ways.is_empty() {
            break;
        }
    }
    ends.extend(ways.into_iter().map(|way| (way, true, false)));
    for (way, granted, denied) in ends {
        for unbounded in &endless {
            found.insert(Possible {
                granted,
                denied,
                unbounded: *unbounded,
                self_approved: way.self_approved,
                approvals: way.approvals,
                distinct: way.distinct,
            });
        }
    }
}

/// What an approval makes of a way; false if anything can come of it.
fn of_approval(
    approval: &Approval,
    way: &Way,
    next: &mut BTreeSet<Way>,
    ends: &mut BTreeSet<(Way, bool, bool)>,
) -> bool {
    ends.insert((way.clone(), false, true));
    let stand_in = matches!(approval.sources.first(), Some(Source::Webhook(_) | Source::Agent(_)));
    let escalation = approval.escalation.as_ref().map(|escalation| &escalation.to);
    if stand_in || matches!(escalation, Some(EscalationTarget::ReplacePolicy(_))) {
        return false;
    }
    if approval.nobody == Nobody::Skip || matches!(escalation, Some(EscalationTarget::SkipStage)) {
        next.insert(way.clone());
    }
    let asked = everybody(approval);
    let share_nobody = match (&asked, &way.known) {
        (Some(asked), Some(known)) => asked.is_disjoint(known),
        _ => false,
    };
    let known = match (&asked, &way.known) {
        (Some(asked), Some(known)) => Some(asked.union(known).cloned().collect()),
        _ => None,
    };
    let approvals = (way.approvals + 1).min(COUNTED_MAX);
    let fresh = (way.distinct + 1).min(COUNTED_MAX);
    let again =
        (!approval.require_distinct_approvers && !share_nobody && way.distinct > 0).then_some(way.distinct);
    for distinct in [Some(fresh), again].into_iter().flatten() {
        let possible = Way { approvals, distinct, self_approved: way.self_approved, known: known.clone() };
        if approval.allow_self_approval {
            next.insert(Way { self_approved: true, ..possible.clone() });
        }
        next.insert(possible);
    }
    true
}

/// Everybody who may approve, if they are named: `None` for somebody whom the directory gives.
fn everybody(approval: &Approval) -> Option<BTreeSet<String>> {
    let reassigned = approval.reassignment.allowed && approval.reassignment.to.is_empty();
    // Where the rule of distinct approvers leaves nobody, administrators decide.
    if reassigned || approval.allow_delegation || approval.require_distinct_approvers {
        return None;
    }
    let mut all = BTreeSet::new();
    for source in &approval.sources {
        let Source::Users(users) = source else { return None };
        all.extend(users.iter().cloned());
    }
    if approval.reassignment.allowed {
        all.extend(approval.reassignment.to.iter().cloned());
    }
    if let Some(EscalationTarget::Reassign(users)) = approval.escalation.as_ref().map(|one| &one.to) {
        all.extend(users.iter().cloned());
    }
    Some(all)
}

fn waiting(way: &Way, found: &mut BTreeSet<Possible>) {
    found.insert(Possible {
        granted: false,
        denied: false,
        unbounded: true,
        self_approved: way.self_approved,
        approvals: way.approvals,
        distinct: way.distinct,
    });
}

/// Nothing is known.
fn anything(found: &mut BTreeSet<Possible>) {
    let flags = [false, true];
    for (granted, denied) in [(false, false), (true, false), (false, true)] {
        for (unbounded, self_approved) in flags.iter().flat_map(|a| flags.map(|b| (*a, b))) {
            for approvals in 0..=COUNTED_MAX {
                for distinct in 0..=approvals {
                    found.insert(Possible { granted, denied, unbounded, self_approved, approvals, distinct });
                }
            }
        }
    }
}

/// What the tests of the outcome in a formula come to, in their order. Outcomes that are alike here are so in the formula.
pub(super) fn seen(formula: &Formula, outcome: &Possible, seen: &mut Vec<Option<bool>>) {
    match formula {
        Formula::Known(_) | Formula::Fails => {}
        Formula::Not(inner) => self::seen(inner, outcome, seen),
        Formula::All(parts) | Formula::Any(parts) => {
            parts.iter().for_each(|part| self::seen(part, outcome, seen));
        }
        Formula::If(parts) => parts.iter().for_each(|part| self::seen(part, outcome, seen)),
        Formula::Test(test) => {
            if is_about_outcome(test) {
                seen.push(known(test, outcome));
            }
        }
    }
}

/// The formula with what became of the request put in, and without what that decides.
pub(super) fn substitute(formula: &Formula, outcome: &Possible) -> Formula {
    match formula {
        Formula::Known(known) => Formula::Known(*known),
        Formula::Fails => Formula::Fails,
        Formula::Not(inner) => match substitute(inner, outcome) {
            Formula::Known(known) => Formula::Known(!known),
            other => Formula::Not(Box::new(other)),
        },
        Formula::All(parts) => joined(parts, outcome, true),
        Formula::Any(parts) => joined(parts, outcome, false),
        Formula::If(parts) => {
            let [condition, then, other] = &**parts;
            match substitute(condition, outcome) {
                Formula::Known(true) => substitute(then, outcome),
                Formula::Known(false) => substitute(other, outcome),
                condition => {
                    Formula::If(Box::new([condition, substitute(then, outcome), substitute(other, outcome)]))
                }
            }
        }
        Formula::Test(test) => {
            known(test, outcome).map_or_else(|| Formula::Test(test.clone()), Formula::Known)
        }
    }
}

/// A conjunction, or a disjunction. What adds nothing is left out; a part that decides does so whatever fails beside it.
fn joined(parts: &[Formula], outcome: &Possible, all: bool) -> Formula {
    let mut left = Vec::new();
    for part in parts {
        match substitute(part, outcome) {
            Formula::Known(known) if known == all => {}
            Formula::Known(known) => return Formula::Known(known),
            other => left.push(other),
        }
    }
    match (left.is_empty(), all) {
        (true, known) => Formula::Known(known),
        (false, true) => Formula::All(left),
        (false, false) => Formula::Any(left),
    }
}

fn is_about_outcome(test: &Test) -> bool {
    test.term.path.as_ref().and_then(|path| path.first()).is_some_and(|root| root == "outcome")
}

/// What a test of the outcome comes to; `None` for other tests, and where the number is not known exactly.
fn known(test: &Test, outcome: &Possible) -> Option<bool> {
    let path: Vec<&str> = test.term.path.as_ref()?.iter().map(String::as_str).collect();
    let ["outcome", field] = path.as_slice() else { return None };
    let flag = match *field {
        "granted" => Some(outcome.granted),
        "denied" => Some(outcome.denied),
        "automatic" => Some(outcome.granted && outcome.approvals == 0),
        "unbounded" => Some(outcome.unbounded),
        "selfApproved" => Some(outcome.self_approved),
        _ => None,
    };
    if let Some(flag) = flag {
        return match &test.relation {
            Relation::Holds => Some(flag),
            Relation::Is(Value::Bool(wanted)) => Some(*wanted == flag),
            _ => None,
        };
    }
    let number = match *field {
        "approvals" => outcome.approvals,
        "distinctApprovers" => outcome.distinct,
        _ => return None,
    };
    let number_is = f64::from(number);
    let (wanted, ordering): (f64, fn(f64, f64) -> bool) = match &test.relation {
        Relation::Is(value) => (as_number(value)?, |a, b| (a - b).abs() < f64::EPSILON),
        Relation::Below(value) => (as_number(value)?, |a, b| a < b),
        Relation::AtMost(value) => (as_number(value)?, |a, b| a <= b),
        _ => return None,
    };
    // From here on the number stands for every larger one, too.
    if number >= COUNTED_MAX && wanted >= number_is {
        return None;
    }
    Some(ordering(number_is, wanted))
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => i32::try_from(*number).ok().map(f64::from),
        Value::Uint(number) => u32::try_from(*number).ok().map(f64::from),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}
