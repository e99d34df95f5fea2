//! The boxes of one step: itself, who stands in, and where else it can lead.

use super::build::{Builder, Spot};
use super::model::{Kind, Style, Tone};
use super::text::clean;
use super::words;
use crate::workflow::{Approval, EscalationTarget, Nobody, Source, Stage, Until, Work};

/// An arrow whose end is not drawn yet.
#[derive(Clone, Debug)]
pub(super) struct Exit {
    pub(super) from: usize,
    pub(super) style: Style,
    pub(super) label: String,
}

impl Exit {
    pub(super) fn flow(from: usize) -> Exit {
        Exit { from, style: Style::Flow, label: String::new() }
    }

    fn dashed(from: usize, label: String) -> Exit {
        Exit { from, style: Style::Dashed, label }
    }
}

impl Builder<'_> {
    /// Draws a step after these, and gives the ways out of it.
    pub(super) fn stage(&mut self, n: usize, stage: &Stage, exits: Vec<Exit>) -> Vec<Exit> {
        let kind = match &stage.work {
            Work::Accept { .. } => Kind::Outcome(Tone::Good),
            Work::Reject { .. } => Kind::Outcome(Tone::Bad),
            Work::Parallel(_) => Kind::Gate,
            _ => Kind::Stage,
        };
        let title = match &stage.work {
            Work::Accept { .. } => "Granted".to_owned(),
            Work::Reject { .. } => "Denied".to_owned(),
            Work::Parallel(_) if !stage.name.is_empty() => format!("Stage {}", clean(&stage.name)),
            _ => clean(&words::title(stage)),
        };
        let node = self.model.node(kind, Some(n), title);
        if let Some(node) = self.model.nodes.get_mut(node) {
            node.lines = words::lines(stage).iter().map(|line| clean(line)).collect();
        }
        self.attach(exits, node);
        let spot = Spot { node, fallback: None, handed: None, may_fail: stage.may_fail };
        self.places.spots.insert((n, stage.place.clone()), spot);
        match &stage.work {
            Work::Accept { .. } | Work::Reject { .. } => Vec::new(),
            Work::Parallel(all) => {
                all.iter().flat_map(|one| self.stage(n, one, vec![Exit::flow(node)])).collect()
            }
            Work::Approval(approval) => self.approval(n, node, stage, approval),
            Work::Automatic { .. } if !stage.may_fail => {
                self.outcome(n, node, Tone::Bad, "Denied", Style::Flow, "else");
                vec![Exit::flow(node)]
            }
            Work::Wait(wait) => {
                if let Until::Condition { timeout: Some(time), .. } = &wait.until {
                    let after = format!("after {}", words::duration(*time));
                    self.outcome(n, node, Tone::Bad, "Timed out", Style::Dashed, &after);
                }
                vec![Exit::flow(node)]
            }
            _ => vec![Exit::flow(node)],
        }
    }

    fn approval(&mut self, n: usize, node: usize, stage: &Stage, approval: &Approval) -> Vec<Exit> {
        let mut exits = vec![Exit::flow(node)];
        let fallback = self.fallback(n, node, approval);
        exits.extend(fallback.map(Exit::flow));
        let last = fallback.unwrap_or(node);
        if !approval.always_finds_somebody() {
            match approval.nobody {
                Nobody::Skip => exits.push(Exit::dashed(last, "nobody found: passed over".to_owned())),
                Nobody::Deny => self.outcome(n, last, Tone::Bad, "Denied", Style::Dashed, "nobody found"),
                Nobody::Block => self.note(last, "nobody found: stands still"),
                Nobody::Fail => self.note(last, "nobody found: no appeal"),
            }
        }
        let handed = self.escalation(n, node, approval, &mut exits);
        if let Some(Source::Agent(agent)) = approval.sources.first() {
            for id in &agent.policies {
                let to = self.entry(id);
                self.model.arrow(node, to, Style::Dashed, "if chosen");
            }
        }
        let spot = Spot { node, fallback, handed, may_fail: stage.may_fail };
        self.places.spots.insert((n, stage.place.clone()), spot);
        exits
    }

    /// Who is asked when the first source gives nobody.
    fn fallback(&mut self, n: usize, node: usize, approval: &Approval) -> Option<usize> {
        let rest = approval.sources.get(1..).filter(|rest| !rest.is_empty())?;
        let fallback = self.model.node(Kind::StandIn, Some(n), "Fallback".to_owned());
        if let Some(node) = self.model.nodes.get_mut(fallback) {
            node.lines = rest.iter().map(|one| clean(&words::source(one))).collect();
        }
        self.model.arrow(node, fallback, Style::Dashed, "nobody found");
        Some(fallback)
    }

    /// What happens when nobody answers; the box of those who are asked then, if some are.
    fn escalation(
        &mut self,
        n: usize,
        node: usize,
        approval: &Approval,
        exits: &mut Vec<Exit>,
    ) -> Option<usize> {
        let escalation = approval.escalation.as_ref()?;
        let after = format!("after {}", words::duration(escalation.after));
        match &escalation.to {
            EscalationTarget::ReplacePolicy(id) => {
                let to = self.entry(id);
                self.model.arrow(node, to, Style::Dashed, &after);
                None
            }
            EscalationTarget::CancelTask => {
                self.outcome(n, node, Tone::Neither, "Cancelled", Style::Dashed, &after);
                None
            }
            EscalationTarget::SkipStage => {
                exits.push(Exit::dashed(node, format!("{after}: passed over")));
                None
            }
            EscalationTarget::Reassign(users) => {
                let handed = self.model.node(Kind::StandIn, Some(n), "Escalation".to_owned());
                if let Some(node) = self.model.nodes.get_mut(handed) {
                    node.lines = vec![clean(&format!("asks {}", words::names(users)))];
                }
                self.model.arrow(node, handed, Style::Dashed, &after);
                exits.push(Exit::flow(handed));
                Some(handed)
            }
        }
    }

    fn outcome(&mut self, n: usize, from: usize, tone: Tone, title: &str, style: Style, label: &str) {
        let end = self.model.node(Kind::Outcome(tone), Some(n), title.to_owned());
        self.model.arrow(from, end, style, label);
    }

    fn note(&mut self, node: usize, line: &str) {
        if let Some(node) = self.model.nodes.get_mut(node) {
            node.lines.push(line.to_owned());
        }
    }
}
