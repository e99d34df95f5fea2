//! Paints what has been arranged.

use super::arrange::{ARROW_LABEL_PX, Area, Arranged, Run};
use super::measure::{LEADING_PX, PADDING_PX, Part, Sizes, Table, VALUE_PX, round, wide};
use super::paper::{Paint, Paper, escaped, px};
use crate::cli::draw::model::{Arrow, Kind, Mark, Model, Node, Style, Tone};
use crate::cli::draw::text::wrap;

/// Around the whole drawing.
const MARGIN_PX: f64 = 20.0;
/// Columns of the lines above it.
const CAPTION_COLUMNS: usize = 110;
const CAPTION_LINES_MAX: usize = 3;
/// The smallest drawing: its legend has to fit.
const WIDTH_MIN_PX: f64 = 560.0;
/// How far corners of arrows are rounded, and how large their heads are.
const CORNER_PX: f64 = 7.0;
const HEAD_PX: f64 = 8.0;

/// The ground of a frame, and columns of its title.
const GROUND: &str = "#f8fafc";
pub(super) const TITLE_COLUMNS: usize = 60;

const INK: &str = "#0f172a";
const GREY: &str = "#475569";
const FAINT: &str = "#94a3b8";
const BLUE: &str = "#1d4ed8";
const GREEN: &str = "#15803d";
const RED: &str = "#b91c1c";
const AMBER: &str = "#b45309";
const WHITE: &str = "#ffffff";

/// The whole document.
pub(super) fn paint(model: &Model, sizes: &Sizes, arranged: &Arranged) -> String {
    let captions: Vec<String> =
        model.captions.iter().flat_map(|text| wrap(text, CAPTION_COLUMNS, CAPTION_LINES_MAX)).collect();
    let title = wrap(&model.title, CAPTION_COLUMNS - 20, 1).concat();
    let lines = u32::try_from(captions.len() + 1).unwrap_or(1);
    let head = MARGIN_PX + f64::from(lines) * (LEADING_PX + 2.0) + 12.0;
    let text = captions.iter().map(|line| wide(Part::Line, line)).fold(wide(Part::Title, &title), f64::max);
    let width = arranged.width.max(text).max(WIDTH_MIN_PX) + 2.0 * MARGIN_PX;
    let legend = head + arranged.height + 26.0;
    let height = legend + MARGIN_PX;
    let mut paper = Paper::default();
    paper.put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\">",
        px(width.ceil()), px(height.ceil())
    ));
    paper.put(format_args!("<title>{}</title>", escaped(&model.title)));
    paper.put(format_args!("<desc>{}</desc>", escaped(&model.captions.join(" "))));
    let ground = Paint { fill: WHITE, stroke: "#cbd5e1", width: 1.0, dashed: false };
    paper.rect((0.5, 0.5, width.ceil() - 1.0, height.ceil() - 1.0), 8.0, ground);
    let mut y = MARGIN_PX + LEADING_PX - 4.0;
    paper.text((MARGIN_PX, y), Part::Title, INK, &title);
    for line in &captions {
        y += LEADING_PX + 2.0;
        paper.text((MARGIN_PX, y), Part::Line, GREY, line);
    }
    paper.put(format_args!("<g transform=\"translate({} {})\">", px(MARGIN_PX), px(head)));
    everything(&mut paper, model, sizes, arranged);
    paper.put("</g>");
    explain(&mut paper, model.traced, legend);
    paper.put("</svg>");
    paper.finish()
}

fn everything(paper: &mut Paper, model: &Model, sizes: &Sizes, arranged: &Arranged) {
    for area in arranged.frames.iter().flatten() {
        let frame = Paint { fill: GROUND, stroke: "#cbd5e1", width: 1.0, dashed: false };
        paper.rect((area.x, area.y, area.width, area.height), 10.0, frame);
    }
    // What is taken lies on top.
    for taken in [false, true] {
        for (arrow, run) in model.arrows.iter().zip(&arranged.runs).filter(|(arrow, _)| arrow.taken == taken)
        {
            run.iter().for_each(|run| line(paper, model, arrow, run));
        }
    }
    // An arrow may run along the top of a frame.
    for (group, area) in model.groups.iter().zip(&arranged.frames) {
        let Some(area) = area else { continue };
        let text = wrap(&group.title, TITLE_COLUMNS, 1).concat();
        let ground = Paint { fill: GROUND, stroke: "none", width: 0.0, dashed: false };
        paper.rect((area.x + 8.0, area.y + 5.0, wide(Part::Title, &text) + 8.0, 19.0), 3.0, ground);
        paper.text((area.x + 12.0, area.y + 19.0), Part::Title, GREY, &text);
    }
    for (node, (area, sized)) in model.nodes.iter().zip(arranged.boxes.iter().zip(&sizes.boxes)) {
        if let Some(area) = area {
            card(paper, model, node, *area, &sized.lines);
        }
    }
    for (table, area) in sizes.tables.iter().zip(&arranged.tables) {
        if let (Some(table), Some(area)) = (table, area) {
            rules(paper, model, sizes, table, *area);
        }
    }
    for (arrow, run) in model.arrows.iter().zip(&arranged.runs) {
        if let Some(at) = run.as_ref().and_then(|run| run.label) {
            let wide = wide(Part::Line, &arrow.label) * 0.88 + 8.0;
            let (x, y) = (at.0 - wide / 2.0, at.1 - ARROW_LABEL_PX / 2.0);
            let in_frame = arranged.frames.iter().flatten().any(|frame| frame.holds(at));
            let fill = if in_frame { GROUND } else { WHITE };
            let ground = Paint { fill, stroke: "none", width: 0.0, dashed: false };
            paper.rect((x, y, wide, ARROW_LABEL_PX), 3.0, ground);
            paper.label((at.0, y + 12.0), if arrow.taken { BLUE } else { GREY }, &arrow.label);
        }
    }
}

/// The fill, the stroke and the text of a box.
fn colours(node: &Node) -> (&'static str, &'static str, &'static str, f64) {
    match (node.mark, node.kind) {
        (Mark::Off, _) => (WHITE, FAINT, GREY, 1.0),
        (Mark::On, _) => ("#eff6ff", BLUE, INK, 2.0),
        (Mark::Good, _) => ("#dcfce7", GREEN, INK, 2.0),
        (Mark::Bad, _) => ("#fee2e2", RED, INK, 2.0),
        (Mark::Waits, _) => ("#fef3c7", AMBER, INK, 2.0),
        (Mark::Plain, Kind::Outcome(Tone::Good)) => ("#f0fdf4", GREEN, INK, 1.2),
        (Mark::Plain, Kind::Outcome(Tone::Bad)) => ("#fef2f2", RED, INK, 1.2),
        (Mark::Plain, _) => (WHITE, "#64748b", INK, 1.2),
    }
}

fn card(paper: &mut Paper, model: &Model, node: &Node, area: Area, lines: &[(Part, String)]) {
    let (fill, stroke, ink, width) = colours(node);
    let round = round(node.kind, area.height);
    let dashed = node.kind == Kind::StandIn;
    let paint = Paint { fill, stroke, width, dashed };
    if node.kind == Kind::Several {
        let below = Paint { width: 0.8, ..paint };
        paper.rect((area.x + 4.0, area.y + 4.0, area.width, area.height), round, below);
    }
    paper.rect((area.x, area.y, area.width, area.height), round, paint);
    let mut y = area.y + 0.7 * PADDING_PX + 12.0;
    for (part, text) in lines {
        let ink = match part {
            Part::Badge if model.traced => badge(node.mark),
            Part::Title => ink,
            _ => GREY,
        };
        let x = match node.kind {
            Kind::Start | Kind::Outcome(_) | Kind::Gate => area.x + 1.6 * PADDING_PX,
            _ => area.x + PADDING_PX,
        };
        paper.text((x, y), *part, ink, text);
        y += LEADING_PX;
    }
}

fn badge(mark: Mark) -> &'static str {
    match mark {
        Mark::On => BLUE,
        Mark::Good => GREEN,
        Mark::Bad => RED,
        Mark::Waits => AMBER,
        Mark::Off | Mark::Plain => GREY,
    }
}

/// Rules in their order, one below the other.
fn rules(paper: &mut Paper, model: &Model, sizes: &Sizes, table: &Table, area: Area) {
    let reached = model.nodes.iter().enumerate().any(|(n, node)| {
        table.rows.iter().any(|(rule, _, _)| *rule == n) && node.mark != Mark::Off && node.mark != Mark::Plain
    });
    let stroke = if reached {
        BLUE
    } else if model.traced {
        FAINT
    } else {
        "#64748b"
    };
    let frame = Paint { fill: WHITE, stroke, width: if reached { 2.0 } else { 1.2 }, dashed: false };
    paper.rect((area.x, area.y, area.width, area.height), 4.0, frame);
    for (n, (rule, top, height)) in table.rows.iter().enumerate() {
        let (Some(node), Some(sized)) = (model.nodes.get(*rule), sizes.boxes.get(*rule)) else { continue };
        let decides =
            model.arrows.iter().any(|one| one.from == *rule && one.taken && one.style != Style::Next);
        let y = area.y + top;
        if decides {
            let ground = Paint { fill: "#dbeafe", stroke: "none", width: 0.0, dashed: false };
            paper.rect((area.x + 1.0, y + 1.0, area.width - 2.0, height - 2.0), 3.0, ground);
        }
        if n > 0 {
            paper.line((area.x, y), (area.x + area.width, y), "#cbd5e1");
        }
        let ink = if decides || !model.traced { INK } else { GREY };
        let base = y + 0.7 * PADDING_PX + 12.0;
        if !node.code.is_empty() {
            paper.text((area.x + 8.0, base), Part::Badge, if decides { BLUE } else { GREY }, &node.title);
        }
        for (line, (part, text)) in (0_u32..).zip(&sized.lines) {
            let at = (area.x + table.text, base + f64::from(line) * LEADING_PX);
            paper.text(at, *part, ink, text);
        }
        let tone = if decides { BLUE } else { badge(node.mark) };
        let tone = if node.badge == "false" { GREY } else { tone };
        paper.text((area.x + area.width - VALUE_PX + 6.0, base), Part::Line, tone, &node.badge);
    }
}

/// An arrow with rounded corners and a head.
fn line(paper: &mut Paper, model: &Model, arrow: &Arrow, run: &Run) {
    let bad = model
        .nodes
        .get(arrow.to)
        .is_some_and(|node| node.mark == Mark::Bad && matches!(node.kind, Kind::Outcome(_)));
    let (stroke, width) = match (arrow.taken, model.traced) {
        (true, _) if bad => (RED, 2.6),
        (true, _) => (BLUE, 2.6),
        (false, true) => (FAINT, 1.2),
        (false, false) => ("#64748b", 1.3),
    };
    let dashes = match arrow.style {
        Style::Dashed => " stroke-dasharray=\"6 4\"",
        Style::Jump => " stroke-dasharray=\"2 3\"",
        Style::Flow | Style::Next => "",
    };
    let Some((tip, back)) = run.points.last().zip(run.points.iter().rev().nth(1)) else { return };
    let (dx, dy) = (tip.0 - back.0, tip.1 - back.1);
    let length = dx.hypot(dy).max(0.001);
    let (ux, uy) = (dx / length, dy / length);
    let neck = (tip.0 - ux * HEAD_PX, tip.1 - uy * HEAD_PX);
    let mut points = run.points.clone();
    if let Some(last) = points.last_mut() {
        *last = neck;
    }
    paper.put(format_args!(
        "<path d=\"{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\"{dashes}/>",
        rounded(&points)
    ));
    let half = HEAD_PX / 2.0;
    paper.put(format_args!(
        "<path d=\"M{} {}L{} {}L{} {}Z\" fill=\"{stroke}\"/>",
        px(tip.0),
        px(tip.1),
        px(neck.0 - uy * half),
        px(neck.1 + ux * half),
        px(neck.0 + uy * half),
        px(neck.1 - ux * half)
    ));
}

/// A path through points, with its corners rounded.
fn rounded(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let at = |point: (f64, f64)| format!("{} {}", px(point.0), px(point.1));
    for (n, here) in points.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|n| points.get(n));
        match (before, points.get(n + 1)) {
            (None, _) => path.push_str(&format!("M{}", at(*here))),
            (Some(_), None) => path.push_str(&format!("L{}", at(*here))),
            (Some(before), Some(after)) => {
                let (from, to) = (towards(*here, *before), towards(*here, *after));
                path.push_str(&format!("L{}Q{} {}", at(from), at(*here), at(to)));
            }
        }
    }
    path
}

/// The point near `here` on the way to `there`.
fn towards(here: (f64, f64), there: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (there.0 - here.0, there.1 - here.1);
    let length = dx.hypot(dy).max(0.001);
    let share = (CORNER_PX / length).min(0.5);
    (here.0 + dx * share, here.1 + dy * share)
}

/// What the lines mean.
fn explain(paper: &mut Paper, traced: bool, y: f64) {
    let mut x = MARGIN_PX;
    let mut one = |stroke: &str, width: f64, dashes: &str, text: &str| {
        paper.put(format_args!(
            "<path d=\"M{} {y}H{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\"{dashes}/>",
            px(x),
            px(x + 26.0),
            y = px(y)
        ));
        paper.text((x + 32.0, y + 4.0), Part::Line, GREY, text);
        x += 32.0 + wide(Part::Line, text) + 22.0;
    };
    if traced {
        one(BLUE, 2.6, "", "the way of this request");
        one(FAINT, 1.2, "", "not taken");
        one(FAINT, 1.2, " stroke-dasharray=\"6 4\"", "nobody found, or no answer");
    } else {
        one("#64748b", 1.3, "", "usual way");
        one("#64748b", 1.3, " stroke-dasharray=\"6 4\"", "nobody found, or no answer in time");
    }
}
