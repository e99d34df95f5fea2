//! Which sequence, or which other policy, a request goes to, and which it could.

use super::{Condition, Destination, EscalationTarget, Source, Stage, Until, Wait, Work, Workflow};
use crate::expr::{EvalError, Evaluation};

/// What routing found.
#[derive(Debug)]
pub struct Routed<'w> {
    /// The index of the route that decided; `None` for the baseline.
    pub route: Option<usize>,
    /// Where the request goes.
    pub to: &'w Destination,
    /// The conditions that failed on the way. A failed condition does not match (reference: section 3.1).
    pub errors: Vec<RouteError>,
}

/// A condition that could not be decided.
#[derive(Debug)]
pub struct RouteError {
    /// The index of its route.
    pub route: usize,
    /// Why.
    pub error: EvalError,
}

impl Workflow {
    /// Tries the routes in order. Allocates only for errors: the facts are bound once, for all conditions.
    pub fn route(&self, evaluation: &Evaluation<'_>) -> Routed<'_> {
        let mut errors = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            // No dialect but that of CEL has routes.
            let Condition::Cel(program) = &route.condition else { continue };
            match program.is_met(evaluation) {
                Ok(true) => return Routed { route: Some(index), to: &route.to, errors },
                Ok(false) => {}
                Err(error) => errors.push(RouteError { route: index, error }),
            }
        }
        Routed { route: None, to: &self.baseline, errors }
    }

    /// The ids of the policies that a request may be led to from here; one may be there more than once.
    pub fn leads_to(&self) -> Vec<String> {
        let destinations = self.routes.iter().map(|route| &route.to).chain([&self.baseline]);
        let mut found: Vec<String> = destinations
            .filter_map(|to| if let Destination::Policy(id) = to { Some(id.clone()) } else { None })
            .collect();
        found.extend(self.sequences.values().flat_map(|sequence| &sequence.stages).flat_map(Stage::leads_to));
        found
    }
}

impl Stage {
    /// The ids of the policies that may take over from here: by escalation, or because an agent chooses them.
    pub fn leads_to(&self) -> Vec<String> {
        let Work::Approval(approval) = &self.work else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(EscalationTarget::ReplacePolicy(id)) = approval.escalation.as_ref().map(|one| &one.to) {
            found.push(id.clone());
        }
        for source in &approval.sources {
            if let Source::Agent(agent) = source {
                found.extend(agent.policies.iter().cloned());
            }
        }
        found
    }
}

impl Workflow {
    /// Every condition that running a task may try, each once: those of the rules, of waits, and of approvers by expression.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let stages = self.sequences.values().flat_map(|sequence| &sequence.stages);
        self.routes
            .iter()
            .map(|route| &route.condition)
            .chain(stages.flat_map(|stage| conditions_of(&stage.work)))
    }
}

fn conditions_of(work: &Work) -> Vec<&Condition> {
    match work {
        Work::Wait(Wait { until: Until::Condition { condition, .. }, .. }) => vec![condition],
        Work::Approval(approval) => {
            let sources = approval.sources.iter();
            sources
                .flat_map(|source| if let Source::Expressions(all) = source { all.as_slice() } else { &[] })
                .collect()
        }
        _ => Vec::new(),
    }
}
