//! What is drawn: boxes, arrows between them, and how far a request came. Knows no policy and no format.
//!
//! Every text in it is on one line and harmless to look at: see [`super::text::clean`]. What a format would take for its own
//! is for its writer to escape.

/// A drawing.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What is drawn.
    pub(super) title: String,
    /// What a reader should know before they look: the request, its outcome, what was left out.
    pub(super) captions: Vec<String>,
    pub(super) groups: Vec<Group>,
    pub(super) nodes: Vec<Node>,
    pub(super) arrows: Vec<Arrow>,
    /// Whether the way of a request is marked.
    pub(super) traced: bool,
}

/// One policy.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: String,
    /// The boxes of its rules, in the order in which they are tried.
    pub(super) rules: Vec<usize>,
}

/// One box.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The index of the policy that it is part of; `None` = of none.
    pub(super) group: Option<usize>,
    pub(super) title: String,
    /// Of a rule: its condition.
    pub(super) code: String,
    pub(super) lines: Vec<String>,
    /// What the request made of it; may be empty.
    pub(super) badge: String,
    pub(super) mark: Mark,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Where a request begins.
    Start,
    /// A rule, or what happens when none matches.
    Rule,
    /// One step.
    Stage,
    /// Who is asked when nobody was found, or nobody answered.
    StandIn,
    /// A policy that is not drawn.
    Elsewhere,
    /// The beginning of steps side by side.
    Gate,
    /// Several steps, drawn as one.
    Several,
    /// An end.
    Outcome(Tone),
}

/// How good an end is for who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Neither,
}

/// What the request made of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing is known of a request.
    #[default]
    Plain,
    /// The request did not come here.
    Off,
    /// It came here and went on.
    On,
    /// It ended here, well.
    Good,
    /// It ended or stands here, badly.
    Bad,
    /// It waits here.
    Waits,
}

/// An arrow.
#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) style: Style,
    /// May be empty.
    pub(super) label: String,
    pub(super) taken: bool,
}

/// Why a request would go along an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// The usual way.
    Flow,
    /// From a rule to the next, because it does not match.
    Next,
    /// What stands in for the usual: nobody was found, or nobody answered.
    Dashed,
    /// No part of the policy: somebody did it.
    Jump,
}

impl Model {
    /// Adds a box, and gives its index.
    pub(super) fn node(&mut self, kind: Kind, group: Option<usize>, title: String) -> usize {
        let (code, lines, badge, mark) = (String::new(), Vec::new(), String::new(), Mark::Plain);
        self.nodes.push(Node { kind, group, title, code, lines, badge, mark });
        self.nodes.len() - 1
    }

    /// Adds an arrow, unless there is the same already.
    pub(super) fn arrow(&mut self, from: usize, to: usize, style: Style, label: &str) {
        let same = |one: &Arrow| {
            one.from == from && one.to == to && one.style == style && one.label.as_str() == label
        };
        if !self.arrows.iter().any(same) {
            self.arrows.push(Arrow { from, to, style, label: label.to_owned(), taken: false });
        }
    }

    /// Whether both ends of an arrow are rules that stand one below the other, so that it says what their order says.
    pub(super) fn is_order(&self, arrow: &Arrow) -> bool {
        arrow.style == Style::Next
    }
}
