//! Which rules decide for no request, which overlap, and what nothing leads to.

use std::collections::BTreeSet;

use super::candidate::Candidate;
use super::finding::{Code, Finding};
use super::relation::formula;
use super::solver::{Answer, Lit, Stop};
use super::theory::{Pair, Theory};
use super::{TRIES_MAX, Witness};
use crate::expr::{Evaluation, Formula};
use crate::workflow::{Condition, Destination, Route, Workflow};

/// The most earlier rules that a finding names.
const NAMED_MAX: usize = 8;
/// The most rules whose part in a finding is tried one by one.
const TRIED_MAX: usize = 32;

/// The conditions of a workflow's rules, ready to be asked about.
pub(super) struct Rules<'w> {
    workflow: &'w Workflow,
    pub theory: Theory,
    pub pairs: Vec<Pair>,
    /// For each rule: whether there is a request that it decides, as far as can be told.
    pub alive: Vec<bool>,
    /// Whether a request can fall through all of them.
    pub falls_through: bool,
}

/// The formulas of the rules, in their order.
pub(super) fn formulas(workflow: &Workflow) -> Vec<Formula> {
    workflow.routes.iter().map(|route| formula(&route.condition)).collect()
}

impl<'w> Rules<'w> {
    /// Asks about each rule, and notes what decides nothing.
    pub fn analyse(
        workflow: &'w Workflow,
        theory: Theory,
        pairs: Vec<Pair>,
        findings: &mut Vec<Finding>,
    ) -> Rules<'w> {
        let mut rules = Rules { workflow, theory, pairs, alive: Vec::new(), falls_through: true };
        for index in 0..workflow.routes.len() {
            let alive = rules.rule(index, findings);
            rules.alive.push(alive);
        }
        rules.baseline(findings);
        rules.sequences(findings);
        rules
    }

    fn yes(&self, index: usize) -> Lit {
        self.pairs.get(index).map_or_else(|| self.theory.solver.yes(), |pair| pair.yes)
    }

    /// That none of the rules before this one decides. Rules that decide nothing add nothing.
    pub fn none_before(&self, index: usize) -> Vec<Lit> {
        let earlier = self.alive.iter().take(index).enumerate().filter(|(_, alive)| **alive);
        earlier.map(|(earlier, _)| !self.yes(earlier)).collect()
    }

    /// That this rule decides.
    pub fn decides(&self, index: usize) -> Vec<Lit> {
        let mut all = self.none_before(index);
        all.push(self.yes(index));
        all
    }

    /// Whether there may be a request that this rule decides.
    fn rule(&mut self, index: usize, findings: &mut Vec<Finding>) -> bool {
        let Some(route) = self.workflow.routes.get(index) else { return false };
        let own = self.yes(index);
        if self.theory.ask(&[own]) == Answer::Never {
            let message = "no request meets this condition, so the rule never decides";
            findings.push(Finding::new(Code::RuleNeverMatches, condition_path(route), message));
            return false;
        }
        let mut all = self.decides(index);
        if self.theory.ask(&all) != Answer::Never {
            return true;
        }
        all.retain(|literal| *literal != own);
        let everything = self.theory.ask(&all) == Answer::Never;
        let also = if everything { Vec::new() } else { vec![own] };
        let needed = self.needed(index, &also);
        let names: Vec<String> = needed.iter().filter_map(|n| self.place(*n)).collect();
        let (code, message) = match (everything, names.as_slice()) {
            (true, [one]) => (
                Code::RuleAfterAlwaysTrue,
                format!("{one} matches every request, so this rule never decides"),
            ),
            (true, _) => {
                let all = listed(&names);
                (
                    Code::RuleAfterAlwaysTrue,
                    format!("{all} together match every request, so this rule never decides"),
                )
            }
            (false, [one]) => (
                Code::RuleShadowed,
                format!("every request that meets this condition is decided by {one} before"),
            ),
            (false, _) => (
                Code::RuleShadowed,
                format!(
                    "every request that meets this condition is decided by one of {} before",
                    listed(&names)
                ),
            ),
        };
        findings.push(Finding::new(code, route.place.clone(), message).related(names));
        false
    }

    /// The earlier rules without which it would not be so; as few as can be found quickly.
    fn needed(&mut self, index: usize, also: &[Lit]) -> Vec<usize> {
        let alive = self.alive.iter().take(index).enumerate().filter(|(_, alive)| **alive);
        let mut candidates: Vec<usize> = alive.map(|(earlier, _)| earlier).collect();
        let assume = |rules: &Rules<'_>, of: &[usize]| {
            of.iter().map(|earlier| !rules.yes(*earlier)).chain(also.iter().copied()).collect::<Vec<_>>()
        };
        let all = assume(self, &candidates);
        if self.theory.ask(&all) == Answer::Never {
            candidates.retain(|earlier| self.theory.solver.was_needed(!self.yes(*earlier)));
        }
        if candidates.len() <= TRIED_MAX {
            for one in candidates.clone() {
                let rest: Vec<usize> = candidates.iter().copied().filter(|other| *other != one).collect();
                let without = assume(self, &rest);
                if self.theory.ask(&without) == Answer::Never {
                    candidates = rest;
                }
            }
        }
        candidates
    }

    fn place(&self, index: usize) -> Option<String> {
        self.workflow.routes.get(index).map(|route| route.place.clone())
    }

    fn baseline(&mut self, findings: &mut Vec<Finding>) {
        let all = self.none_before(self.workflow.routes.len());
        if all.is_empty() || self.theory.ask(&all) != Answer::Never {
            return;
        }
        self.falls_through = false;
        if self.workflow.baseline == Destination::Nowhere {
            return;
        }
        let needed = self.needed(self.workflow.routes.len(), &[]);
        let names: Vec<String> = needed.iter().filter_map(|n| self.place(*n)).collect();
        let (path, what) = match &self.workflow.baseline {
            Destination::Policy(_) => ("baselinePolicyId".to_owned(), "the baseline policy"),
            Destination::Sequence(key) => (super::sequence_path(self.workflow, key), "the baseline"),
            Destination::Nowhere => return,
        };
        let message = format!("every request is decided by {}, so {what} is never used", listed(&names));
        findings.push(Finding::new(Code::BaselineNeverUsed, path, message).related(names));
    }

    /// The sequences that a request can get to.
    pub fn reached(&self) -> BTreeSet<&'w str> {
        let mut reached = BTreeSet::new();
        let alive = self.workflow.routes.iter().zip(&self.alive).filter(|(_, alive)| **alive);
        let baseline = self.falls_through.then_some(&self.workflow.baseline);
        for to in alive.map(|(route, _)| &route.to).chain(baseline) {
            if let Destination::Sequence(key) = to {
                reached.insert(key.as_str());
            }
        }
        reached
    }

    fn sequences(&self, findings: &mut Vec<Finding>) {
        let reached = self.reached();
        let baseline = match &self.workflow.baseline {
            Destination::Sequence(key) => key.as_str(),
            Destination::Policy(_) | Destination::Nowhere => "",
        };
        for key in self.workflow.sequences.keys().filter(|key| !reached.contains(key.as_str())) {
            let leading: Vec<String> = self
                .workflow
                .routes
                .iter()
                .filter(|route| route.to == Destination::Sequence(key.clone()))
                .map(|route| route.place.clone())
                .collect();
            // A baseline that is never used has a finding of its own.
            if leading.is_empty() && key == baseline {
                continue;
            }
            let message = if leading.is_empty() {
                "no rule leads to this sequence, so it never runs".to_owned()
            } else {
                format!(
                    "only {} would lead to this sequence, and never decide, so it never runs",
                    listed(&leading)
                )
            };
            let path = super::sequence_path(self.workflow, key);
            findings.push(Finding::new(Code::SequenceUnreached, path, message).related(leading));
        }
    }

    /// For each rule an earlier one with another outcome that decides some request that both match. A rule that matches
    /// everything is meant to be behind others, and is left out.
    pub fn overlaps(&mut self, findings: &mut Vec<Finding>) {
        let workflow = self.workflow;
        let mut decides: Vec<(Lit, &Destination)> = Vec::new();
        let mut none = self.theory.solver.yes();
        for (later, route) in workflow.routes.iter().enumerate() {
            if self.alive.get(later) != Some(&true) {
                continue;
            }
            let own = self.yes(later);
            let others: Vec<Lit> =
                decides.iter().filter(|(_, to)| **to != route.to).map(|(literal, _)| *literal).collect();
            if !others.is_empty() && !route.condition.is_always_true() {
                let another = self.theory.solver.any(&others);
                findings.extend(self.overlap(later, route, &[own, another]));
            }
            decides.push((self.theory.solver.all(&[none, own]), &route.to));
            none = self.theory.solver.all(&[none, !own]);
        }
    }

    /// A request for which all of these hold: the rule matches, and another that leads elsewhere decides.
    fn overlap(&mut self, later: usize, route: &Route, all: &[Lit]) -> Option<Finding> {
        let candidate = self.candidate(all, |rules, candidate| {
            let first = rules.decided_by(candidate, later).and_then(|n| rules.workflow.routes.get(n));
            first.is_some_and(|first| first.to != route.to)
        })?;
        let first = self.place(self.decided_by(&candidate, later)?)?;
        let message = format!(
            "this rule and {first} both match some requests and lead elsewhere; {first} decides, because it comes first"
        );
        let finding = Finding::new(Code::RulesOverlap, route.place.clone(), message);
        Some(finding.related(vec![first]).shown_by(Witness::of(&candidate)))
    }

    /// The rule before `later` that decides the candidate's request, if `later` matches it, too.
    fn decided_by(&self, candidate: &Candidate, later: usize) -> Option<usize> {
        let directory = candidate.directory();
        let facts = candidate.request.facts(&directory, candidate.at);
        let evaluation = Evaluation::new(&facts, &directory, candidate.at).ok()?;
        let Condition::Cel(program) = &self.workflow.routes.get(later)?.condition else { return None };
        let matches = program.is_met(&evaluation) == Ok(true);
        self.workflow.route(&evaluation).route.filter(|first| matches && *first < later)
    }

    /// The first candidate that `confirm` takes. What was assumed of terms that are no facts is assumed otherwise in the
    /// next try.
    pub fn candidate(
        &mut self,
        all: &[Lit],
        confirm: impl Fn(&Rules<'w>, &Candidate) -> bool,
    ) -> Option<Candidate> {
        let mut all = all.to_vec();
        for _ in 0..TRIES_MAX {
            if self.theory.ask(&all) != Answer::Can {
                return None;
            }
            let candidate = Candidate::from_model(&self.theory);
            let guesses = self.theory.guesses();
            if confirm(self, &candidate) {
                return Some(candidate);
            }
            // Whether somebody asks for themselves is not a test of one field, and so a guess, too.
            if let Some(other) = candidate.asked_by_another()
                && confirm(self, &other)
            {
                return Some(other);
            }
            all.push(self.theory.otherwise(&guesses)?);
        }
        None
    }

    /// Whether there may be a request that this rule decides; `None` for the baseline.
    pub fn may_decide(&self, route: Option<usize>) -> bool {
        route.map_or(self.falls_through, |index| self.alive.get(index) == Some(&true))
    }

    /// That this rule decides; `None` for the baseline.
    pub fn deciding(&self, route: Option<usize>) -> Vec<Lit> {
        match route {
            Some(index) => self.decides(index),
            None => self.none_before(self.workflow.routes.len()),
        }
    }

    /// The same rules, to be asked about together with a condition beside them; and that it is not met. `None` if they are too long.
    pub fn unmet(&self, condition: &Condition, stop: &Stop) -> Option<(Rules<'w>, Lit)> {
        let mut formulas = formulas(self.workflow);
        formulas.push(formula(condition));
        let (theory, mut pairs) = Theory::of(&formulas, stop)?;
        let unmet = !pairs.pop()?.yes;
        let (workflow, alive) = (self.workflow, self.alive.clone());
        Some((Rules { workflow, theory, pairs, alive, falls_through: self.falls_through }, unmet))
    }

    /// A request that this rule decides, `None` as index for the baseline, and for which these hold, too.
    pub fn leading_to(&mut self, route: Option<usize>, also: &[Lit]) -> Option<Candidate> {
        let mut all = self.deciding(route);
        all.extend(also);
        self.candidate(&all, |rules, candidate| {
            let directory = candidate.directory();
            let facts = candidate.request.facts(&directory, candidate.at);
            let evaluation = Evaluation::new(&facts, &directory, candidate.at);
            evaluation.is_ok_and(|evaluation| rules.workflow.route(&evaluation).route == route)
        })
    }
}

fn condition_path(route: &Route) -> String {
    format!("{}.condition", route.place)
}

fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    match (shown.split_last(), more) {
        (None, _) => "nothing".to_owned(),
        (Some((last, [])), 0) => (*last).to_owned(),
        (Some((last, before)), 0) => format!("{} and {last}", before.join(", ")),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
