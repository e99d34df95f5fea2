//! The sequences of other policies that the rules of one lead to, and a request for each that comes there.

use super::candidate::Candidate;
use super::relation::formula;
use super::rules::Rules;
use super::solver::{Answer, Lit};
use super::theory::Pair;
use crate::expr::{Evaluation, Formula};
use crate::workflow::run::{CHAIN_MAX, Policies};
use crate::workflow::{Destination, Workflow};

/// The most policies whose rules are followed.
const FOLLOWED_MAX: usize = 64;
/// The most ways through policies that are looked at, and the most sequences that are found.
const WAYS_MAX: usize = 1024;
const FOUND_MAX: usize = 128;

/// A policy that is led to.
struct Link<'w> {
    id: &'w str,
    workflow: &'w Workflow,
    /// Of the conditions of its rules.
    pairs: Vec<Pair>,
}

/// The policies that a policy leads to by its rules, without anybody doing anything.
pub(super) struct Chains<'w> {
    policies: &'w Policies,
    links: Vec<Link<'w>>,
}

/// A sequence of another policy.
pub(super) struct Led<'w> {
    /// The field path by which the first policy leads there: of a rule, or the baseline.
    pub by: String,
    pub policy: &'w str,
    pub workflow: &'w Workflow,
    pub key: &'w str,
    /// A request that comes there; `None` if none was found, though there may be one.
    pub candidate: Option<Candidate>,
}

impl<'w> Chains<'w> {
    /// Every policy at hand that is led to.
    pub fn of(policies: &'w Policies) -> Chains<'w> {
        let mut links: Vec<Link<'w>> = Vec::new();
        let first = policies.by_id.get(&policies.first);
        let mut open: Vec<&'w Workflow> = first.iter().map(|policy| &*policy.workflow).collect();
        while let Some(workflow) = open.pop() {
            for to in super::stages::destinations(workflow) {
                let Destination::Policy(to) = to else { continue };
                let Some((id, policy)) = policies.by_id.get_key_value(to) else { continue };
                if links.len() < FOLLOWED_MAX && links.iter().all(|link| link.id != id) {
                    links.push(Link { id, workflow: &policy.workflow, pairs: Vec::new() });
                    open.push(&policy.workflow);
                }
            }
        }
        Chains { policies, links }
    }

    /// The conditions of their rules.
    pub fn formulas(&self) -> impl Iterator<Item = Formula> {
        self.links.iter().flat_map(|link| &link.workflow.routes).map(|route| formula(&route.condition))
    }

    /// The pairs of the formulas, in their order; without them, nothing is followed.
    pub fn set_pairs(&mut self, pairs: Vec<Pair>) {
        let mut pairs = pairs.into_iter();
        for link in &mut self.links {
            link.pairs = pairs.by_ref().take(link.workflow.routes.len()).collect();
        }
        self.links.retain(|link| link.pairs.len() == link.workflow.routes.len());
    }

    /// The sequences that a request can get to, each once, by the first reference that leads there.
    pub fn led(&self, first: &'w Workflow, rules: &mut Rules<'_>) -> Vec<Led<'w>> {
        let mut search = Search { chains: self, found: Vec::new(), left: WAYS_MAX };
        let routes = first.routes.iter().enumerate().map(|(n, route)| (Some(n), &route.to, &route.place));
        let baseline = String::new();
        for (route, to, place) in routes.chain([(None, &first.baseline, &baseline)]) {
            let Destination::Policy(id) = to else { continue };
            if !rules.may_decide(route) {
                continue;
            }
            let by = route.map_or_else(|| "baselinePolicyId".to_owned(), |_| format!("{place}.policyId"));
            let decides = rules.deciding(route);
            search.follow(rules, &by, id, &decides, &mut Vec::new());
        }
        search.found
    }
}

struct Search<'c, 'w> {
    chains: &'c Chains<'w>,
    found: Vec<Led<'w>>,
    left: usize,
}

impl<'w> Search<'_, 'w> {
    /// Goes through the rules of a policy for requests for which all of these hold.
    fn follow(&mut self, rules: &mut Rules<'_>, by: &str, id: &str, all: &[Lit], passed: &mut Vec<&'w str>) {
        let chains = self.chains;
        let Some(link) = chains.links.iter().find(|link| link.id == id) else { return };
        if passed.len() >= CHAIN_MAX || passed.contains(&link.id) {
            return;
        }
        passed.push(link.id);
        let mut none = all.to_vec();
        let workflow = link.workflow;
        let routes = workflow.routes.iter().zip(&link.pairs).map(|(route, pair)| (&route.to, Some(pair.yes)));
        for (to, yes) in routes.chain([(&workflow.baseline, None)]) {
            let mut these = none.clone();
            these.extend(yes);
            none.extend(yes.map(|yes| !yes));
            if self.left == 0 || self.found.len() >= FOUND_MAX {
                break;
            }
            self.left -= 1;
            match to {
                Destination::Policy(next) if rules.theory.ask(&these) != Answer::Never => {
                    self.follow(rules, by, next, &these, passed);
                }
                Destination::Sequence(key) => self.sequence(rules, by, link, key, &these),
                Destination::Policy(_) | Destination::Nowhere => {}
            }
        }
        passed.pop();
    }

    fn sequence(&mut self, rules: &mut Rules<'_>, by: &str, link: &Link<'w>, key: &'w str, all: &[Lit]) {
        let known = self.found.iter().position(|led| led.policy == link.id && led.key == key);
        let has_one =
            known.and_then(|known| self.found.get(known)).is_some_and(|led| led.candidate.is_some());
        if has_one || rules.theory.ask(all) == Answer::Never {
            return;
        }
        let there = (link.id, key);
        let policies = self.chains.policies;
        let candidate = rules.candidate(all, |_, candidate| ends_at(policies, candidate) == Some(there));
        match known.and_then(|known| self.found.get_mut(known)) {
            Some(led) if candidate.is_some() => {
                by.clone_into(&mut led.by);
                led.candidate = candidate;
            }
            Some(_) => {}
            None => {
                let (policy, workflow) = (link.id, link.workflow);
                self.found.push(Led { by: by.to_owned(), policy, workflow, key, candidate });
            }
        }
    }
}

/// The policy and the sequence that the candidate's request comes to.
fn ends_at<'p>(policies: &'p Policies, candidate: &Candidate) -> Option<(&'p str, &'p str)> {
    let directory = candidate.directory();
    let facts = candidate.request.facts(&directory, candidate.at);
    let evaluation = Evaluation::new(&facts, &directory, candidate.at).ok()?;
    let mut id = policies.first.as_str();
    for _ in 0..=CHAIN_MAX {
        match policies.by_id.get(id)?.workflow.route(&evaluation).to {
            Destination::Sequence(key) => return Some((id, key)),
            Destination::Policy(next) => id = next,
            Destination::Nowhere => return None,
        }
    }
    None
}
