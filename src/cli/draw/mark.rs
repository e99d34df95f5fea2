//! Marks the way of a request on a drawing, from its trace alone.

use std::collections::BTreeSet;

use super::build::{Places, Spot};
use super::model::{Kind, Mark, Model, Style, Tone};
use super::text::clean;
use crate::pb::countersign::v1::{Hop, Outcome, OutcomeKind, RuleValue, Stage, Trace};

/// Marks everything.
pub(super) fn mark(model: &mut Model, places: &Places, trace: &Trace) {
    model.traced = true;
    for node in &mut model.nodes {
        node.mark = Mark::Off;
    }
    let at = places.start;
    let mut walk = Walk { model, places, trace, at, hops: 0, from_escalation: false };
    walk.arrive(places.start, Mark::On);
    match &trace.appeal {
        Some(_) => super::appeal::mark(&mut walk),
        None => walk.task(),
    }
}

/// A request on its way.
pub(super) struct Walk<'a> {
    pub(super) model: &'a mut Model,
    pub(super) places: &'a Places,
    pub(super) trace: &'a Trace,
    /// The box where it is.
    pub(super) at: usize,
    /// How many policies it has gone through.
    hops: usize,
    /// Whether it is about to leave a step because nobody answered.
    from_escalation: bool,
}

impl Walk<'_> {
    fn task(&mut self) {
        let trace = self.trace;
        for one in &trace.timeline {
            let stage = one.stage.and_then(|n| trace.stages.get(usize::try_from(n).ok()?));
            match (one.kind.as_str(), stage) {
                ("routed", _) => self.route(),
                ("entered", Some(stage)) => self.enter(stage),
                ("escalated", Some(stage)) => self.escalate(stage),
                ("ended", _) => self.end(),
                _ => {}
            }
        }
        // What a chain of policies came to that led nowhere is in no entry of the time line.
        while self.hops < trace.route.len() {
            self.route();
        }
        self.badges();
    }

    /// Goes through policies, up to the one whose steps run.
    fn route(&mut self) {
        let trace = self.trace;
        while let Some(hop) = trace.route.get(self.hops) {
            self.hops += 1;
            self.hop(hop);
            if !hop.step_key.is_empty() {
                break;
            }
        }
    }

    fn hop(&mut self, hop: &Hop) {
        let Some(policy) = self.places.policies.get(&hop.policy_id).copied() else {
            if let Some(node) = self.places.elsewhere.get(&hop.policy_id) {
                self.go(*node, Style::Jump);
            }
            return;
        };
        let count = hop.rules.len();
        let decided = if hop.by_rule { usize::try_from(hop.rule_index).unwrap_or(usize::MAX) } else { count };
        for n in 0..=decided.min(count) {
            if let Some(node) = self.places.rules.get(&(policy, n)).copied() {
                self.go(node, Style::Jump);
            }
        }
        for (n, rule) in hop.rules.iter().enumerate() {
            let (word, mark) = match rule.value() {
                RuleValue::True => ("true", Mark::On),
                RuleValue::False => ("false", Mark::On),
                RuleValue::Error => ("error", Mark::Bad),
                RuleValue::NotReached | RuleValue::Unspecified => continue,
            };
            if let Some(node) = self.places.rules.get(&(policy, n)).copied() {
                self.badge(node, word.to_owned());
                self.arrive(node, mark);
            }
        }
    }

    fn enter(&mut self, stage: &Stage) {
        let Some(spot) = self.spot(stage) else { return };
        self.go(spot.node, Style::Jump);
        if let Some(fallback) = spot.fallback
            && stage.approvers.iter().any(|one| one.source.starts_with("fallback"))
        {
            self.go(fallback, Style::Jump);
        }
        // Passed over because nobody was found: if the policy says so, there is a dashed arrow.
        self.from_escalation = stage.state == "skipped";
    }

    fn escalate(&mut self, stage: &Stage) {
        let Some(spot) = self.spot(stage) else { return };
        // Whoever stood in has not answered either: the policy says this of the step.
        self.at = spot.node;
        self.from_escalation = true;
        if let Some(handed) = spot.handed {
            self.go(handed, Style::Jump);
        }
    }

    /// Where a step is drawn.
    pub(super) fn spot(&self, stage: &Stage) -> Option<Spot> {
        let policy = match self.trace.appeal {
            Some(_) => 0,
            None => *self.places.policies.get(&stage.policy_id)?,
        };
        self.places.spots.get(&(policy, stage.path.clone())).copied()
    }

    /// Goes to a box, along the arrow that there is, else along one of its own, which looks like this.
    pub(super) fn go(&mut self, to: usize, otherwise: Style) {
        let (from, escalated) = (self.at, std::mem::take(&mut self.from_escalation));
        self.at = to;
        self.arrive(to, Mark::On);
        if from == to {
            return;
        }
        let fits = |style: Style| match (escalated, style) {
            (true, Style::Dashed) | (false, Style::Flow | Style::Next) => 0,
            (true, Style::Flow | Style::Next) | (false, Style::Dashed) => 1,
            (_, Style::Jump) => 2,
        };
        let there = self.model.arrows.iter_mut().filter(|one| one.from == from && one.to == to);
        match there.min_by_key(|one| fits(one.style)) {
            Some(arrow) => arrow.taken = true,
            None => {
                self.model.arrow(from, to, otherwise, "");
                if let Some(arrow) = self.model.arrows.last_mut() {
                    arrow.taken = true;
                }
            }
        }
    }

    pub(super) fn arrive(&mut self, node: usize, mark: Mark) {
        if let Some(node) = self.model.nodes.get_mut(node) {
            node.mark = mark;
        }
    }

    pub(super) fn badge(&mut self, node: usize, text: String) {
        if let Some(node) = self.model.nodes.get_mut(node) {
            node.badge = clean(&text);
        }
    }

    fn end(&mut self) {
        let outcome = self.trace.outcome.clone().unwrap_or_default();
        let (tone, word) = match outcome.kind() {
            OutcomeKind::Granted => (Tone::Good, "Granted"),
            OutcomeKind::Denied => (Tone::Bad, "Denied"),
            OutcomeKind::Cancelled => (Tone::Neither, "Cancelled"),
            OutcomeKind::WaitTimedOut => (Tone::Bad, "Timed out"),
            OutcomeKind::Failed => (Tone::Bad, "Failed"),
            OutcomeKind::Waiting | OutcomeKind::Blocked | OutcomeKind::Unspecified => return,
        };
        self.finish(tone, word, &outcome);
    }

    /// Comes to an end: the one that is drawn after the box where the request is, else to one of its own.
    pub(super) fn finish(&mut self, tone: Tone, word: &str, outcome: &Outcome) {
        let mark = match tone {
            Tone::Good => Mark::Good,
            Tone::Bad => Mark::Bad,
            Tone::Neither => Mark::On,
        };
        let is_it = |model: &Model, n: usize| {
            model.nodes.get(n).is_some_and(|node| node.kind == Kind::Outcome(tone) && node.title == word)
        };
        // What somebody did is not what the policy does by itself.
        let by_itself = outcome.by.is_empty() && (tone == Tone::Bad || self.from_escalation);
        let leads = |style: Style| style == Style::Flow && outcome.by.is_empty() || by_itself;
        let next = self.model.arrows.iter().filter(|one| one.from == self.at && leads(one.style));
        let next = next.map(|one| one.to).find(|to| is_it(self.model, *to));
        let end = match next {
            _ if is_it(self.model, self.at) => self.at,
            Some(node) => node,
            None => {
                let group = self.model.nodes.get(self.at).and_then(|node| node.group);
                self.model.node(Kind::Outcome(tone), group, word.to_owned())
            }
        };
        self.go(end, Style::Flow);
        self.arrive(end, mark);
        let by = if outcome.by.is_empty() { String::new() } else { format!("by {}", outcome.by) };
        if let Some(node) = self.model.nodes.get_mut(end) {
            let lines = [by, outcome.why.clone()].into_iter().map(|line| clean(&line));
            let lines: Vec<String> =
                lines.filter(|line| !line.is_empty() && !node.lines.contains(line)).collect();
            node.lines.extend(lines);
        }
    }

    /// Says of every step how it stands.
    fn badges(&mut self) {
        let trace = self.trace;
        let mut seen = BTreeSet::new();
        // The last time counts.
        for stage in trace.stages.iter().rev() {
            let Some(spot) = self.spot(stage) else { continue };
            if !seen.insert(spot.node) {
                continue;
            }
            let (text, mark) = standing(stage);
            let several = self.model.nodes.get(spot.node).is_some_and(|one| one.kind == Kind::Several);
            let here = |one: &&Stage| one.path == stage.path && one.policy_id == stage.policy_id;
            let at = trace.stages.iter().filter(here).count();
            let outcome =
                self.model.nodes.get(spot.node).is_some_and(|one| matches!(one.kind, Kind::Outcome(_)));
            if outcome {
                continue;
            }
            let again = if at > 1 && !several { format!(" ({at} times here)") } else { String::new() };
            self.badge(spot.node, format!("{text}{again}"));
            self.arrive(spot.node, mark);
        }
    }
}

/// How a step stands, in a few words.
pub(super) fn standing(stage: &Stage) -> (String, Mark) {
    let by = |word: &str| match stage.decided_by.is_empty() {
        true => word.to_owned(),
        false => format!("{word} by {}", stage.decided_by),
    };
    let asked: Vec<String> = stage.approvers.iter().map(|one| one.user_id.clone()).collect();
    let waits = match asked.is_empty() {
        true => "waits".to_owned(),
        false => format!("waits for {}", super::words::names(&asked)),
    };
    let escalated = stage.escalation.as_ref().is_some_and(|one| one.done);
    match stage.state.as_str() {
        "waiting" | "pending" => (waits, Mark::Waits),
        "blocked" => ("stands still".to_owned(), Mark::Bad),
        "passed" | "approved" if stage.kind == "approval" => (by("approved"), Mark::On),
        "passed" | "approved" => (by("passed"), Mark::On),
        "skipped" => (by("passed over"), Mark::On),
        "denied" | "rejected" => (by("denied"), Mark::Bad),
        "timed_out" => ("timed out".to_owned(), Mark::Bad),
        "abandoned" if escalated => ("nobody answered".to_owned(), Mark::On),
        "abandoned" => ("left".to_owned(), Mark::On),
        "failed" => ("failed".to_owned(), Mark::Bad),
        other => (other.replace('_', " "), Mark::On),
    }
}
