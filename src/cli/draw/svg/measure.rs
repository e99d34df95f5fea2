//! How large boxes are. What a reader's font is like is not known, so that widths are those of a wide one.

use crate::cli::draw::model::{Kind, Model, Node};
use crate::cli::draw::text::{columns, wrap};

/// Sizes of letters, in pixels.
pub(super) const TITLE_PX: f64 = 13.0;
pub(super) const LINE_PX: f64 = 12.0;
pub(super) const CODE_PX: f64 = 11.5;
/// From one line to the next.
pub(super) const LEADING_PX: f64 = 16.0;
/// Around the text of a box.
pub(super) const PADDING_PX: f64 = 10.0;
/// The column of a table with the numbers of rules, and the one with what they came to.
const NUMBER_PX: f64 = 32.0;
pub(super) const VALUE_PX: f64 = 46.0;
/// The smallest box.
const WIDTH_MIN_PX: f64 = 72.0;
/// Columns of the lines of a box, and of a condition.
const LINE_COLUMNS: usize = 34;
const CODE_COLUMNS: usize = 46;
/// The most lines of one part of a box.
const PART_LINES_MAX: usize = 4;
/// Tables with more rules than this have one line for each.
const RULES_LONG_MAX: usize = 40;

/// A part of the text of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Title,
    Line,
    Code,
    Badge,
}

/// A box with its text in lines.
#[derive(Debug)]
pub(super) struct Sized {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) lines: Vec<(Part, String)>,
}

/// A table of rules.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) width: f64,
    /// Where conditions begin: behind the column of numbers, if there is one.
    pub(super) text: f64,
    /// The box of each rule: its top, below the top of the table, and its height.
    pub(super) rows: Vec<(usize, f64, f64)>,
    pub(super) height: f64,
}

/// All boxes, and the tables by the index of their group.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) boxes: Vec<Sized>,
    pub(super) tables: Vec<Option<Table>>,
}

impl Sizes {
    pub(super) fn of(model: &Model) -> Sizes {
        let most = model.groups.iter().map(|group| group.rules.len()).max().unwrap_or(0);
        let code_lines = if most > RULES_LONG_MAX { 1 } else { PART_LINES_MAX };
        let boxes: Vec<Sized> = model.nodes.iter().map(|node| sized(node, code_lines)).collect();
        let tables = model.groups.iter().map(|group| table(&group.rules, &boxes, model.traced)).collect();
        Sizes { boxes, tables }
    }
}

fn sized(node: &Node, code_lines: usize) -> Sized {
    let mut lines: Vec<(Part, String)> = Vec::new();
    let mut add = |part: Part, text: &str, columns: usize, most: usize| {
        lines.extend(wrap(text, columns, most).into_iter().map(|line| (part, line)));
    };
    if node.kind == Kind::Rule {
        match node.code.is_empty() {
            true => add(Part::Line, &node.title, LINE_COLUMNS, 1),
            false => add(Part::Code, &node.code, CODE_COLUMNS, code_lines),
        }
    } else {
        add(Part::Title, &node.title, LINE_COLUMNS - 3, PART_LINES_MAX);
        node.lines.iter().for_each(|line| add(Part::Line, line, LINE_COLUMNS, PART_LINES_MAX));
        add(Part::Badge, &node.badge, LINE_COLUMNS - 2, PART_LINES_MAX);
    }
    let text = lines.iter().map(|(part, line)| wide(*part, line)).fold(0.0, f64::max);
    let count = lines.len().max(1);
    let round = matches!(node.kind, Kind::Start | Kind::Outcome(_) | Kind::Gate);
    let aside = if round { 1.6 * PADDING_PX } else { PADDING_PX };
    let width = (text + 2.0 * aside).max(WIDTH_MIN_PX).ceil();
    Sized { width, height: height(count), lines }
}

/// How round the corners of a box are.
pub(super) fn round(kind: Kind, height: f64) -> f64 {
    match kind {
        Kind::Start | Kind::Outcome(_) | Kind::Gate => (height / 2.0).min(20.0),
        Kind::Elsewhere => 0.0,
        _ => 7.0,
    }
}

fn height(lines: usize) -> f64 {
    // No box has more lines than a number can hold exactly.
    let lines = u32::try_from(lines).unwrap_or(u32::MAX);
    f64::from(lines) * LEADING_PX + 1.4 * PADDING_PX
}

fn table(rules: &[usize], boxes: &[Sized], traced: bool) -> Option<Table> {
    let first = boxes.get(*rules.first()?)?;
    let (mut rows, mut top, mut width) = (Vec::new(), 0.0, first.width);
    for rule in rules {
        let Some(one) = boxes.get(*rule) else { continue };
        rows.push((*rule, top, one.height));
        top += one.height;
        width = width.max(one.width);
    }
    // What holds for every request has no number and comes to nothing.
    let (number, value) = match (rules.len(), traced) {
        (1, _) => (0.0, 0.0),
        (_, false) => (NUMBER_PX, 0.0),
        (_, true) => (NUMBER_PX, VALUE_PX),
    };
    let text = if number > 0.0 { number + 4.0 } else { PADDING_PX };
    Some(Table { width: width + number + value, text, rows, height: top })
}

/// The width of a line of text, in pixels.
pub(super) fn wide(part: Part, text: &str) -> f64 {
    let em = |c: char| match (part, c) {
        _ if columns(c) == 2 => 1.2,
        (Part::Code, _) => 0.615,
        (
            _,
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'f' | 't' | 'r' | '(' | ')'
            | '[' | ']' | ' ',
        ) => 0.41,
        (_, 'm' | 'w' | 'M' | 'W' | '@' | '%') => 0.99,
        (_, 'A'..='Z') => 0.74,
        _ => 0.64,
    };
    let (size, bold) = match part {
        Part::Title => (TITLE_PX, 1.07),
        Part::Line => (LINE_PX, 1.0),
        Part::Badge => (LINE_PX, 1.07),
        Part::Code => (CODE_PX, 1.0),
    };
    text.chars().map(em).sum::<f64>() * size * bold
}
