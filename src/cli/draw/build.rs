//! From workflows to boxes and arrows, and where each part of them is drawn. Knows nothing of a request but what of the policies
//! it came to.

use std::collections::BTreeMap;

use super::Subject;
use super::model::{Kind, Model, Style, Tone};
use super::plan::{Part, Plan, Visited};
use super::stage::Exit;
use super::text::clean;
use super::words;
use crate::workflow::{Destination, Stage};

/// Where the parts of policies are drawn.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The indices of policies that are drawn, by their ids.
    pub(super) policies: BTreeMap<String, usize>,
    /// Policies that are not.
    pub(super) elsewhere: BTreeMap<String, usize>,
    /// By policy and index of the rule; after the last, what happens when none matches.
    pub(super) rules: BTreeMap<(usize, usize), usize>,
    /// By policy and path of the step.
    pub(super) spots: BTreeMap<(usize, String), Spot>,
    /// By path.
    pub(super) requirements: BTreeMap<String, usize>,
    pub(super) start: usize,
}

/// Where a step is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) node: usize,
    /// Who is asked when nobody was found.
    pub(super) fallback: Option<usize>,
    /// Who is asked when nobody answered.
    pub(super) handed: Option<usize>,
    /// Whether the sequence goes on if it fails.
    pub(super) may_fail: bool,
}

/// A drawing in the making.
pub(super) struct Builder<'a> {
    pub(super) model: Model,
    pub(super) places: Places,
    subjects: Vec<&'a Subject>,
    plan: Plan,
    /// The first boxes of sequences, by policy and key.
    sequences: BTreeMap<(usize, String), usize>,
    /// How much is drawn as one box.
    folded: usize,
}

/// Draws these policies, the first of which is where requests begin.
pub(super) fn build(subjects: Vec<&Subject>, visited: &Visited) -> (Model, Places) {
    let plan = Plan::of(&subjects, visited);
    let mut builder = Builder {
        model: Model::default(),
        places: Places::default(),
        subjects,
        plan,
        sequences: BTreeMap::new(),
        folded: 0,
    };
    builder.all();
    (builder.model, builder.places)
}

impl<'a> Builder<'a> {
    fn all(&mut self) {
        let guardian = self.subjects.first().is_some_and(|one| one.guardian);
        let name = if guardian { "Appeal" } else { "Request" };
        self.places.start = self.model.node(Kind::Start, None, name.to_owned());
        self.model.title = self.subjects.first().map(|one| clean(&one.title)).unwrap_or_default();
        for n in 0..self.subjects.len() {
            self.rules(n);
        }
        for n in 0..self.subjects.len() {
            self.destinations(n);
        }
        if self.folded > 0 {
            let parts = if self.folded == 1 { "part is" } else { "parts are" };
            self.model.captions.push(format!("Large: {} {parts} drawn as one box each.", self.folded));
        }
    }

    /// The boxes of the rules of a policy, so that others can lead to it.
    fn rules(&mut self, n: usize) {
        let Some(subject) = self.subjects.get(n).copied() else { return };
        let group = self.model.groups.len();
        self.places.policies.insert(subject.id.clone(), n);
        let title = clean(&subject.title);
        let mut rules = Vec::new();
        if !subject.guardian {
            for (i, route) in subject.workflow.routes.iter().enumerate() {
                let node = self.model.node(Kind::Rule, Some(group), format!("{}", i + 1));
                if let Some(node) = self.model.nodes.get_mut(node) {
                    node.code = clean(route.condition.text());
                }
                rules.push(node);
            }
            let word = if rules.is_empty() { "every request" } else { "otherwise" };
            rules.push(self.model.node(Kind::Rule, Some(group), word.to_owned()));
        }
        for (i, (rule, next)) in rules.iter().zip(rules.iter().skip(1)).enumerate() {
            self.places.rules.insert((n, i), *rule);
            self.model.arrow(*rule, *next, Style::Next, "no");
        }
        if let Some(last) = rules.last() {
            self.places.rules.insert((n, rules.len() - 1), *last);
        }
        if n == 0
            && let Some(first) = rules.first()
        {
            self.model.arrow(self.places.start, *first, Style::Flow, "");
        }
        self.model.groups.push(super::model::Group { title, rules });
    }

    /// What the rules of a policy lead to, and what none leads to.
    fn destinations(&mut self, n: usize) {
        let Some(subject) = self.subjects.get(n).copied() else { return };
        let all = subject.workflow.routes.iter().map(|route| &route.to).chain([&subject.workflow.baseline]);
        for (i, to) in all.enumerate() {
            let from = self.places.rules.get(&(n, i)).copied().unwrap_or(self.places.start);
            self.leads(n, from, to);
        }
        for key in subject.workflow.sequences.keys() {
            if !self.sequences.contains_key(&(n, key.clone()))
                && let Some(first) = self.sequence(n, key)
                && let Some(node) = self.model.nodes.get_mut(first)
            {
                node.lines.push("no rule leads here".to_owned());
            }
        }
    }

    fn leads(&mut self, n: usize, from: usize, to: &Destination) {
        let node = match to {
            Destination::Sequence(key) => self.sequence(n, key),
            Destination::Policy(id) => Some(self.entry(id)),
            Destination::Nowhere => {
                let nothing = Kind::Outcome(Tone::Neither);
                Some(self.model.node(nothing, Some(n), "Nothing runs".to_owned()))
            }
        };
        if let Some(node) = node {
            self.model.arrow(from, node, Style::Flow, "");
        }
    }

    /// Where a request comes to that is led to another policy.
    pub(super) fn entry(&mut self, id: &str) -> usize {
        let drawn = self.places.policies.get(id).and_then(|n| self.places.rules.get(&(*n, 0)));
        if let Some(node) = drawn {
            return *node;
        }
        if let Some(node) = self.places.elsewhere.get(id) {
            return *node;
        }
        let node = self.model.node(Kind::Elsewhere, None, format!("Policy {}", clean(id)));
        self.places.elsewhere.insert(id.to_owned(), node);
        node
    }

    /// The first box of a sequence, which is drawn if it was not yet; `None` if it has no steps.
    fn sequence(&mut self, n: usize, key: &str) -> Option<usize> {
        if let Some(first) = self.sequences.get(&(n, key.to_owned())) {
            return Some(*first);
        }
        let subject = *self.subjects.get(n)?;
        let sequence = subject.workflow.sequences.get(key)?;
        let parts = self.plan.parts(n, key).map(<[Part]>::to_vec);
        let whole = || vec![Part::Several(0..sequence.stages.len())];
        let before = self.model.nodes.len();
        let mut exits: Vec<Exit> = Vec::new();
        for part in parts.unwrap_or_else(whole) {
            exits = match part {
                Part::One(i) => match sequence.stages.get(i) {
                    Some(stage) => self.stage(n, stage, exits),
                    None => exits,
                },
                Part::Several(range) => {
                    self.several(n, sequence.stages.get(range).unwrap_or_default(), exits)
                }
            };
        }
        // Steps make boxes in the order in which they stand.
        let first = (self.model.nodes.len() > before).then_some(before);
        if let Some(node) = first.and_then(|first| self.model.nodes.get_mut(first))
            && !subject.guardian
        {
            node.lines.insert(0, format!("steps {}", clean(key)));
        }
        self.end(n, subject, exits);
        self.sequences.insert((n, key.to_owned()), first?);
        first
    }

    /// Steps that are drawn as one.
    fn several(&mut self, n: usize, stages: &[Stage], exits: Vec<Exit>) -> Vec<Exit> {
        let node = self.model.node(Kind::Several, Some(n), format!("{} steps", stages.len()));
        self.folded += 1;
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for stage in stages {
            let kind = words::title(stage);
            let kind = kind.split(':').next().unwrap_or_default().to_owned();
            *kinds.entry(kind).or_default() += 1;
            let spot = Spot { node, fallback: None, handed: None, may_fail: stage.may_fail };
            self.places.spots.insert((n, stage.place.clone()), spot);
        }
        if let Some(node) = self.model.nodes.get_mut(node) {
            node.lines = kinds.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        }
        self.attach(exits, node);
        vec![Exit::flow(node)]
    }

    /// Draws what comes after the last step.
    fn end(&mut self, n: usize, subject: &Subject, mut exits: Vec<Exit>) {
        for (i, one) in subject.workflow.requirements.iter().enumerate() {
            let node = self.model.node(Kind::Stage, Some(n), format!("Requirement {}", i + 1));
            if let Some(node) = self.model.nodes.get_mut(node) {
                node.lines = words::requirement(one).iter().map(|line| clean(line)).collect();
            }
            self.places.requirements.insert(one.place.clone(), node);
            self.attach(exits, node);
            exits = vec![Exit::flow(node)];
        }
        if exits.is_empty() {
            return;
        }
        let granted = self.model.node(Kind::Outcome(Tone::Good), Some(n), "Granted".to_owned());
        if let Some(node) = self.model.nodes.get_mut(granted) {
            node.lines =
                subject.workflow.afterwards.iter().map(|one| words::afterwards(one).to_owned()).collect();
        }
        self.attach(exits, granted);
    }

    pub(super) fn attach(&mut self, exits: Vec<Exit>, to: usize) {
        for exit in exits {
            self.model.arrow(exit.from, to, exit.style, &exit.label);
        }
    }
}
