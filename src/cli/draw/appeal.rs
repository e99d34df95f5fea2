//! Marks the way of an appeal, whose approvals are all there from the beginning.

use std::collections::BTreeMap;

use super::mark::{Walk, standing};
use super::model::{Kind, Mark, Tone};
use crate::pb::countersign::v1::{AppealTrace, Outcome};

/// Which boxes an appeal came to, and which it has left.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    here: bool,
    done: bool,
}

pub(super) fn mark(walk: &mut Walk<'_>) {
    let appeal = walk.trace.appeal.clone().unwrap_or_default();
    if !appeal.failure.is_empty() {
        let why =
            Outcome { why: format!("{}: {}", appeal.failure_code, appeal.failure), ..Outcome::default() };
        return walk.finish(Tone::Bad, "Refused", &why);
    }
    let mut reached = BTreeMap::new();
    reached.insert(walk.at, Reached { here: true, done: true });
    let mut rejected = None;
    for stage in &walk.trace.stages {
        let Some(spot) = walk.spot(stage) else { continue };
        let (text, mark) = standing(stage);
        let here = stage.state != "blocked";
        let skipped = stage.state == "skipped";
        let done = match stage.state.as_str() {
            "approved" | "skipped" => true,
            "rejected" => spot.may_fail && stage.kind == "automatic",
            _ => false,
        };
        if stage.state == "rejected" && !done {
            rejected = Some((spot.node, stage.clone()));
        }
        let text = if here { text } else { "not reached".to_owned() };
        let mark = if here && !skipped { mark } else { Mark::Off };
        walk.badge(spot.node, text);
        walk.arrive(spot.node, mark);
        reached.insert(spot.node, Reached { here, done });
    }
    requirements(walk, &appeal, &mut reached);
    gates(walk, &mut reached);
    let is = |n: usize, of: fn(&Reached) -> bool| reached.get(&n).is_some_and(of);
    for arrow in &mut walk.model.arrows {
        arrow.taken = is(arrow.from, |one| one.done) && is(arrow.to, |one| one.here);
    }
    match (appeal.status.as_str(), rejected) {
        ("approved", _) => granted(walk, &reached),
        (_, Some((node, stage))) => {
            walk.at = node;
            let outcome = Outcome { by: stage.decided_by, why: stage.reason, ..Outcome::default() };
            walk.finish(Tone::Bad, "Denied", &outcome);
        }
        ("canceled", None) => walk.finish(Tone::Neither, "Cancelled", &Outcome::default()),
        _ => {}
    }
}

fn requirements(walk: &mut Walk<'_>, appeal: &AppealTrace, reached: &mut BTreeMap<usize, Reached>) {
    for one in &appeal.requirements {
        let Some(node) = walk.places.requirements.get(&one.path).copied() else { continue };
        let text = if one.fires { "fires".to_owned() } else { format!("does not fire: {}", one.because) };
        walk.badge(node, text);
        walk.arrive(node, if one.fires { Mark::On } else { Mark::Off });
        reached.insert(node, Reached { here: true, done: true });
    }
}

/// The beginning of steps side by side is reached when one of them is.
fn gates(walk: &mut Walk<'_>, reached: &mut BTreeMap<usize, Reached>) {
    let gates: Vec<usize> = (0..walk.model.nodes.len()).filter(|n| is_kind(walk, *n, Kind::Gate)).collect();
    for gate in gates {
        let mut after = walk.model.arrows.iter().filter(|arrow| arrow.from == gate);
        if after.any(|arrow| reached.get(&arrow.to).is_some_and(|one| one.here)) {
            reached.insert(gate, Reached { here: true, done: true });
            walk.arrive(gate, Mark::On);
        }
    }
}

fn granted(walk: &mut Walk<'_>, reached: &BTreeMap<usize, Reached>) {
    let Some(end) = (0..walk.model.nodes.len()).find(|n| is_kind(walk, *n, Kind::Outcome(Tone::Good))) else {
        return;
    };
    walk.arrive(end, Mark::Good);
    for arrow in walk.model.arrows.iter_mut().filter(|arrow| arrow.to == end) {
        arrow.taken = reached.get(&arrow.from).is_some_and(|one| one.done);
    }
}

fn is_kind(walk: &Walk<'_>, n: usize, kind: Kind) -> bool {
    walk.model.nodes.get(n).is_some_and(|node| node.kind == kind)
}
