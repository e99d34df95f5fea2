//! Drawings of policies, with the way of a request marked if there is one: one model of boxes and arrows, and a writer for each
//! format. Reads no file and asks nobody.

mod appeal;
mod build;
mod dot;
mod label;
mod mark;
mod mermaid;
mod model;
mod plan;
mod stage;
mod svg;
mod text;
mod words;

use std::collections::{BTreeSet, VecDeque};

use crate::pb::countersign::v1::Trace;
use crate::workflow::Workflow;
use plan::{POLICIES_SHOWN_MAX, Visited};

/// A policy that can be drawn.
#[derive(Debug)]
pub(super) struct Subject {
    /// As traces and other policies call it.
    pub(super) id: String,
    /// As people call it.
    pub(super) title: String,
    /// Whether it is one of Guardian's, whose requests are appeals.
    pub(super) guardian: bool,
    pub(super) workflow: Workflow,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Mermaid's text, which many pages draw by themselves.
    Mermaid,
    /// Graphviz's text.
    Dot,
    /// A picture.
    Svg,
}

/// A drawing of the first of these policies, and of the others as far as it leads to them; what is left to say stands in
/// `captions`, above it.
///
/// # Errors
/// A sentence: it is too large for a picture.
pub(super) fn draw(
    subjects: &[Subject],
    trace: Option<&Trace>,
    captions: &[String],
    format: Format,
) -> Result<String, String> {
    let visited = trace.map(Visited::by).unwrap_or_default();
    let (mut model, places) = build::build(reached(subjects, &visited), &visited);
    if let Some(trace) = trace {
        mark::mark(&mut model, &places, trace);
    }
    let said = captions.iter().map(|one| text::clean(one)).filter(|one| !one.is_empty());
    model.captions.splice(0..0, said);
    match format {
        Format::Mermaid => Ok(mermaid::write(&model)),
        Format::Dot => Ok(dot::write(&model)),
        Format::Svg => svg::write(&model),
    }
}

/// The policies that are drawn: the first, those that the request went through, and the nearest that it could.
fn reached<'a>(subjects: &'a [Subject], visited: &Visited) -> Vec<&'a Subject> {
    let find = |id: &str| subjects.iter().find(|one| one.id == id);
    let mut found: Vec<&Subject> = subjects.first().into_iter().collect();
    let mut seen: BTreeSet<&str> = found.iter().map(|one| one.id.as_str()).collect();
    found.extend(visited.policies.iter().filter_map(|id| find(id)).filter(|one| seen.insert(&one.id)));
    let mut open: VecDeque<String> = found.iter().flat_map(|one| one.workflow.leads_to()).collect();
    while let Some(id) = open.pop_front() {
        if found.len() >= POLICIES_SHOWN_MAX {
            break;
        }
        if let Some(one) = find(&id)
            && seen.insert(&one.id)
        {
            open.extend(one.workflow.leads_to());
            found.push(one);
        }
    }
    found
}
