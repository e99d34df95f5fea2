//! Where boxes stand and where arrows run: what the layout library is told, and what it says. The only module that names it.

use std::collections::BTreeMap;

use graphlay::{
    Direction, Edge, Graph, LayoutOptions, Limits, MergeEdges, Node, NodeId, Point, PortHint, Side, Size,
};

use super::measure::{Part, Sizes, round, wide};
use super::paint::TITLE_COLUMNS;
use crate::cli::draw::model::{Arrow, Model, Style};
use crate::cli::draw::text::wrap;

/// The most boxes and arrows; whoever makes the drawing folds large policies before.
const NODES_MAX: usize = 2000;
const EDGES_MAX: usize = 6000;
/// The most bends that long arrows may need.
const DUMMIES_MAX: usize = 60_000;
/// Above the boxes of a policy, for its title.
pub(super) const HEADER_PX: f64 = 26.0;
/// The height of the label of an arrow.
pub(super) const ARROW_LABEL_PX: f64 = 16.0;

/// How far from a table an arrow may turn that was moved to its row, and how much there is at least between two that turn at one
/// place.
const ROW_TURNS_PX: [f64; 6] = [8.0, 11.5, 15.0, 18.5, 22.0, 25.5];
const ROW_TURNS_APART_PX: f64 = 10.0;

/// A rectangle: left, top, width, height.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    /// Whether a point is in it.
    pub(super) fn holds(&self, (x, y): (f64, f64)) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }
}

/// Where an arrow runs.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) points: Vec<(f64, f64)>,
    /// The middle of its label.
    pub(super) label: Option<(f64, f64)>,
}

/// A drawing with its coordinates.
#[derive(Debug)]
pub(super) struct Arranged {
    /// By box; rules have none, because they stand in their table.
    pub(super) boxes: Vec<Option<Area>>,
    /// By group.
    pub(super) tables: Vec<Option<Area>>,
    /// The frames of policies, by group, if there are several.
    pub(super) frames: Vec<Option<Area>>,
    /// By arrow; those that the order of a table says have none.
    pub(super) runs: Vec<Option<Run>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What the library knows boxes and arrows as.
struct Ids {
    frames: Vec<Option<NodeId>>,
    tables: Vec<Option<NodeId>>,
    boxes: Vec<Option<NodeId>>,
}

/// Asks the library.
///
/// # Errors
/// A sentence: there is too much to draw.
pub(super) fn arrange(model: &Model, sizes: &Sizes) -> Result<Arranged, String> {
    let mut graph = Graph::new();
    let ids = nodes(model, sizes, &mut graph);
    let edges: Vec<Option<usize>> = model
        .arrows
        .iter()
        .map(|arrow| {
            let edge = edge(model, sizes, &ids, arrow)?;
            graph.edges.push(edge);
            Some(graph.edges.len() - 1)
        })
        .collect();
    let layout =
        graphlay::layout(&graph, &options()).map_err(|error| format!("it cannot be drawn: {error}"))?;
    let area = |id: &Option<NodeId>| {
        let placed = layout.nodes.get((*id)?.index())?;
        let (width, height) = (placed.size.width, placed.size.height);
        Some(Area { x: placed.center.x - width / 2.0, y: placed.center.y - height / 2.0, width, height })
    };
    let run = |edge: &Option<usize>| {
        let route = layout.edges.get((*edge)?)?;
        let pair = |point: &Point| (point.x, point.y);
        Some(Run {
            points: route.points.iter().map(pair).collect(),
            label: route.label_anchor.as_ref().map(pair),
        })
    };
    let mut arranged = Arranged {
        boxes: ids.boxes.iter().map(area).collect(),
        tables: ids.tables.iter().map(area).collect(),
        frames: ids.frames.iter().map(area).collect(),
        runs: edges.iter().map(run).collect(),
        width: layout.bounds.width(),
        height: layout.bounds.height(),
    };
    arranged.shift(-layout.bounds.min.x, -layout.bounds.min.y);
    arranged.leave_at_rows(model, sizes);
    arranged.meet_outlines(model);
    Ok(arranged)
}

fn options() -> LayoutOptions {
    let mut options = LayoutOptions::layered_default();
    options.direction = Direction::LeftRight;
    options.spacing.layer_gap = 44.0;
    options.spacing.node_gap = 18.0;
    options.spacing.compound_padding = 18.0;
    options.spacing.compound_header = HEADER_PX;
    options.routing.merge_edges = MergeEdges::None;
    options.limits =
        Limits { max_nodes: Some(NODES_MAX), max_edges: Some(EDGES_MAX), max_dummies: Some(DUMMIES_MAX) };
    options
}

fn nodes(model: &Model, sizes: &Sizes, graph: &mut Graph) -> Ids {
    let mut add = |width: f64, height: f64, parent: Option<NodeId>| {
        graph.nodes.push(Node { size: Size::new(width, height), parent, ..Node::default() });
        let id = u32::try_from(graph.nodes.len() - 1).unwrap_or(u32::MAX);
        NodeId(id)
    };
    let several = model.groups.len() > 1;
    let frames: Vec<Option<NodeId>> = model
        .groups
        .iter()
        .map(|group| {
            several.then(|| {
                let title = wrap(&group.title, TITLE_COLUMNS, 1).concat();
                add(wide(Part::Title, &title) + 24.0, 1.0, None)
            })
        })
        .collect();
    let parent = |group: usize| frames.get(group).copied().flatten();
    let tables = sizes.tables.iter().enumerate().map(|(group, table)| {
        let table = table.as_ref()?;
        Some(add(table.width, table.height, parent(group)))
    });
    let tables: Vec<Option<NodeId>> = tables.collect();
    let boxes = model.nodes.iter().zip(&sizes.boxes).enumerate().map(|(n, (node, sized))| {
        let in_table = node
            .group
            .and_then(|group| model.groups.get(group))
            .is_some_and(|group| group.rules.contains(&n));
        (!in_table).then(|| add(sized.width, sized.height, node.group.and_then(parent)))
    });
    let boxes = boxes.collect();
    Ids { frames, tables, boxes }
}

fn edge(model: &Model, sizes: &Sizes, ids: &Ids, arrow: &Arrow) -> Option<Edge> {
    if model.is_order(arrow) {
        return None;
    }
    let (source, source_port) = end(model, sizes, ids, arrow.from)?;
    let (target, _) = end(model, sizes, ids, arrow.to)?;
    let group = |n: usize| model.nodes.get(n).and_then(|node| node.group);
    let back = group(arrow.from) == group(arrow.to) && arrow.to < arrow.from;
    let label_size =
        (!arrow.label.is_empty()).then(|| Size::new(wide(Part::Line, &arrow.label) + 8.0, ARROW_LABEL_PX));
    let weight = if arrow.style == Style::Flow { 3.0 } else { 1.0 };
    Some(Edge { label_size, weight, source_port, reverse_for_ranking: back, ..Edge::new(source, target) })
}

/// The end of an arrow: a box, or a table and the row of it that an arrow leaves.
fn end(model: &Model, sizes: &Sizes, ids: &Ids, n: usize) -> Option<(NodeId, Option<PortHint>)> {
    if let Some(id) = ids.boxes.get(n).copied().flatten() {
        return Some((id, None));
    }
    let group = model.nodes.get(n)?.group?;
    let middle = row(sizes, group, n)?;
    let t = middle / sizes.tables.get(group)?.as_ref()?.height * 2.0 - 1.0;
    Some((ids.tables.get(group).copied().flatten()?, Some(PortHint::Offset { side: Side::Right, t })))
}

/// The middle of a row, below the top of its table.
fn row(sizes: &Sizes, group: usize, n: usize) -> Option<f64> {
    let rows = &sizes.tables.get(group)?.as_ref()?.rows;
    let (_, top, height) = rows.iter().find(|(rule, _, _)| *rule == n)?;
    Some(top + height / 2.0)
}

/// Where the arrows of one table turn: the number of the turn, and from which height to which.
#[derive(Default)]
struct Turns(Vec<(usize, f64, f64)>);

impl Turns {
    /// How far from the table an arrow turns between two heights. No two lie on each other as long as there is room: who follows
    /// one could not tell where it goes on.
    fn take(&mut self, from: f64, to: f64) -> f64 {
        let (top, bottom) = (from.min(to), from.max(to));
        let apart = |(_, above, below): &(usize, f64, f64)| {
            *below + ROW_TURNS_APART_PX < top || bottom + ROW_TURNS_APART_PX < *above
        };
        let is_free = |turn: &usize| self.0.iter().all(|one| one.0 != *turn || apart(one));
        let turn = (0..ROW_TURNS_PX.len()).find(is_free).unwrap_or(self.0.len() % ROW_TURNS_PX.len());
        self.0.push((turn, top, bottom));
        ROW_TURNS_PX.get(turn).copied().unwrap_or_default()
    }
}

impl Arranged {
    /// Lets arrows leave tables at their rows. The library knows the places, but inside a frame it may move them.
    fn leave_at_rows(&mut self, model: &Model, sizes: &Sizes) {
        let mut turns: BTreeMap<usize, Turns> = BTreeMap::new();
        for (arrow, run) in model.arrows.iter().zip(&mut self.runs) {
            let group = model.nodes.get(arrow.from).and_then(|node| node.group);
            let place = group.and_then(|group| {
                let middle = row(sizes, group, arrow.from)?;
                let table = (*self.tables.get(group)?)?;
                Some((group, table.y + middle, table.x + table.width))
            });
            let (Some((group, y, right)), Some(run)) = (place, run) else { continue };
            let Some((x, is)) = run.points.first().copied() else { continue };
            if (is - y).abs() < 0.5 || (x - right).abs() > 0.5 {
                continue;
            }
            let turn = x + turns.entry(group).or_default().take(y, is);
            drop(run.points.splice(0..1, [(x, y), (turn, y), (turn, is)]));
        }
    }

    /// Lets arrows begin and end at the outline of boxes whose corners are round.
    fn meet_outlines(&mut self, model: &Model) {
        for (arrow, run) in model.arrows.iter().zip(&mut self.runs) {
            let inset = |n: usize, y: f64| {
                let area = (*self.boxes.get(n)?)?;
                let round = round(model.nodes.get(n)?.kind, area.height);
                let into = (y - area.y - area.height / 2.0).abs() - (area.height / 2.0 - round);
                (into > 0.0 && into < round).then(|| round - (round * round - into * into).sqrt())
            };
            let Some(run) = run else { continue };
            if let [first, second, ..] = run.points.as_mut_slice() {
                let by =
                    inset(arrow.from, first.1).filter(|_| (first.1 - second.1).abs() < 0.1).unwrap_or(0.0);
                first.0 += by * (first.0 - second.0).signum();
            }
            if let [.., second, last] = run.points.as_mut_slice() {
                let by = inset(arrow.to, last.1).filter(|_| (last.1 - second.1).abs() < 0.1).unwrap_or(0.0);
                last.0 += by * (last.0 - second.0).signum();
            }
        }
    }

    fn shift(&mut self, x: f64, y: f64) {
        let areas = self.boxes.iter_mut().chain(&mut self.tables).chain(&mut self.frames);
        for area in areas.flatten() {
            area.x += x;
            area.y += y;
        }
        for run in self.runs.iter_mut().flatten() {
            for point in run.points.iter_mut().chain(&mut run.label) {
                *point = (point.0 + x, point.1 + y);
            }
        }
    }
}
