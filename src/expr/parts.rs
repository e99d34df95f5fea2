//! Which parts of a condition decided it: the text is taken apart at its logical operators, and each operand is a program of
//! its own. Only what stands outside of brackets is taken apart, so that every part is a whole expression with the same
//! variables. Works on tokens, for both languages; evaluates nothing itself.

use std::ops::Range;

/// What a token is to the logical operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Open,
    Close,
    And,
    Or,
    Not,
    Question,
    Colon,
    /// Something that binds looser than they do: the text is one part.
    Loose,
    Other,
}

/// A token, by its place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub class: Class,
    pub start: usize,
    pub end: usize,
}

/// A condition taken apart. A leaf is what cannot be taken apart any further.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part<L> {
    All(Vec<Part<L>>),
    Any(Vec<Part<L>>),
    Not(Box<Part<L>>),
    /// Condition, then, else.
    Choice(Box<[Part<L>; 3]>),
    Leaf(L),
}

/// A part that decided, with what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// As it is written in the condition.
    pub text: String,
    /// What it gave, or why it gave nothing.
    pub value: Result<bool, String>,
}

/// Takes a text apart; the leaves are ranges of it.
pub(super) fn split(pieces: &[Piece]) -> Option<Part<Range<usize>>> {
    if pieces.iter().any(|piece| piece.class == Class::Loose) {
        return whole(pieces);
    }
    if let Some((question, colon)) = ternary(pieces) {
        let parts = [pieces.get(..question)?, pieces.get(question + 1..colon)?, pieces.get(colon + 1..)?];
        let [condition, then, otherwise] = parts.map(split);
        return Some(Part::Choice(Box::new([condition?, then?, otherwise?])));
    }
    for (class, join) in [(Class::Or, Part::Any as fn(_) -> _), (Class::And, Part::All)] {
        let places = outside(pieces, class);
        if places.is_empty() {
            continue;
        }
        let starts = std::iter::once(0).chain(places.iter().map(|at| at + 1));
        let ends = places.iter().copied().chain([pieces.len()]);
        let parts = starts.zip(ends).map(|(start, end)| split(pieces.get(start..end)?));
        return parts.collect::<Option<Vec<_>>>().map(join);
    }
    let inner = |from: usize| enclosed(pieces.get(from..)?);
    match pieces.first()?.class {
        Class::Not if inner(1).is_some() => Some(Part::Not(Box::new(split(inner(1)?)?))),
        Class::Open if inner(0).is_some() => split(inner(0)?),
        _ => whole(pieces),
    }
}

fn whole(pieces: &[Piece]) -> Option<Part<Range<usize>>> {
    Some(Part::Leaf(pieces.first()?.start..pieces.last()?.end))
}

/// What a pair of brackets that goes around all of it has inside.
fn enclosed(pieces: &[Piece]) -> Option<&[Piece]> {
    let mut depth = 0_usize;
    for (n, piece) in pieces.iter().enumerate() {
        match piece.class {
            Class::Open => depth += 1,
            Class::Close => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            let last = n > 0 && n + 1 == pieces.len();
            return if last { pieces.get(1..n).filter(|inner| !inner.is_empty()) } else { None };
        }
    }
    None
}

/// The places of a class outside of all brackets.
fn outside(pieces: &[Piece], class: Class) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        match piece.class {
            Class::Open => depth += 1,
            Class::Close => depth = depth.saturating_sub(1),
            is if is == class && depth == 0 => found.push(n),
            _ => {}
        }
    }
    found
}

/// The places of the first `?` outside of brackets and of its `:`.
fn ternary(pieces: &[Piece]) -> Option<(usize, usize)> {
    let question = *outside(pieces, Class::Question).first()?;
    let colons = outside(pieces, Class::Colon);
    let questions = outside(pieces, Class::Question);
    // The colon that closes it has as many questions as colons between them.
    let closes = |colon: &usize| {
        let opened = questions.iter().filter(|at| **at > question && **at < *colon).count();
        let closed = colons.iter().filter(|at| **at > question && **at < *colon).count();
        opened == closed
    };
    colons
        .iter()
        .copied()
        .filter(|colon| *colon > question)
        .find(|colon| closes(colon))
        .map(|colon| (question, colon))
}

impl<L> Part<L> {
    /// The same with other leaves; `None` as soon as one cannot be made.
    pub fn try_map<M>(self, make: &mut impl FnMut(L) -> Option<M>) -> Option<Part<M>> {
        Some(match self {
            Part::All(parts) => {
                Part::All(parts.into_iter().map(|part| part.try_map(make)).collect::<Option<_>>()?)
            }
            Part::Any(parts) => {
                Part::Any(parts.into_iter().map(|part| part.try_map(make)).collect::<Option<_>>()?)
            }
            Part::Not(part) => Part::Not(Box::new(part.try_map(make)?)),
            Part::Choice(parts) => {
                let [condition, then, otherwise] = *parts;
                let parts = [condition.try_map(make)?, then.try_map(make)?, otherwise.try_map(make)?];
                Part::Choice(Box::new(parts))
            }
            Part::Leaf(leaf) => Part::Leaf(make(leaf)?),
        })
    }

    /// What it comes to, and the leaves that decided: the first operand of `&&` that is false, or all of them; and so on.
    pub fn decide(&self, ask: &mut impl FnMut(&L) -> Reason) -> (Option<bool>, Vec<Reason>) {
        match self {
            Part::Leaf(leaf) => {
                let reason = ask(leaf);
                (reason.value.as_ref().ok().copied(), vec![reason])
            }
            Part::Not(part) => {
                let (value, reasons) = part.decide(ask);
                (value.map(|value| !value), reasons)
            }
            Part::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                let (value, mut reasons) = condition.decide(ask);
                let Some(value) = value else { return (None, reasons) };
                let (value, more) = if value { then } else { otherwise }.decide(ask);
                reasons.extend(more);
                (value, reasons)
            }
            Part::All(parts) => decide_joined(parts, false, ask),
            Part::Any(parts) => decide_joined(parts, true, ask),
        }
    }
}

/// `stops` is what one operand decides all with.
fn decide_joined<L>(
    parts: &[Part<L>],
    stops: bool,
    ask: &mut impl FnMut(&L) -> Reason,
) -> (Option<bool>, Vec<Reason>) {
    let (mut undecided, mut decided) = (Vec::new(), Vec::new());
    for part in parts {
        match part.decide(ask) {
            (Some(value), reasons) if value == stops => return (Some(stops), reasons),
            (Some(_), reasons) => decided.extend(reasons),
            (None, reasons) => undecided.extend(reasons),
        }
    }
    if undecided.is_empty() { (Some(!stops), decided) } else { (None, undecided) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a text whose tokens are single letters.
    fn shown(text: &str) -> String {
        let pieces: Vec<Piece> = text
            .char_indices()
            .filter(|(_, c)| *c != ' ')
            .map(|(start, c)| {
                let class = match c {
                    '(' => Class::Open,
                    ')' => Class::Close,
                    '&' => Class::And,
                    '|' => Class::Or,
                    '!' => Class::Not,
                    '?' => Class::Question,
                    ':' => Class::Colon,
                    _ => Class::Other,
                };
                Piece { class, start, end: start + 1 }
            })
            .collect();
        fn show(text: &str, part: &Part<Range<usize>>) -> String {
            let all = |parts: &[Part<Range<usize>>]| {
                parts.iter().map(|part| show(text, part)).collect::<Vec<_>>().join(" ")
            };
            match part {
                Part::All(parts) => format!("all({})", all(parts)),
                Part::Any(parts) => format!("any({})", all(parts)),
                Part::Not(part) => format!("not({})", show(text, part)),
                Part::Choice(parts) => format!("choice({})", all(parts.as_slice())),
                Part::Leaf(at) => text[at.clone()].to_owned(),
            }
        }
        show(text, &split(&pieces).unwrap())
    }

    #[test]
    fn texts_come_apart_at_their_operators() {
        for (text, wanted) in [
            ("a", "a"),
            ("a&b|c", "any(all(a b) c)"),
            ("a&(b|c)", "all(a any(b c))"),
            ("!(a&b)", "not(all(a b))"),
            ("!a", "!a"),
            ("!(a)b", "!(a)b"),
            ("(a)(b)", "(a)(b)"),
            ("f(a&b)", "f(a&b)"),
            ("a?b:c", "choice(a b c)"),
            ("a?b?c:d:e", "choice(a choice(b c d) e)"),
            ("a?b:c?d:e", "choice(a b choice(c d e))"),
            ("(a?b:c)&d", "all(choice(a b c) d)"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn one_operand_can_decide_and_failures_are_told() {
        let leaf = |value: Result<bool, &str>| Part::Leaf(value.map_err(str::to_owned));
        let mut ask = |leaf: &Result<bool, String>| Reason { text: format!("{leaf:?}"), value: leaf.clone() };
        let count = |part: &Part<Result<bool, String>>,
                     ask: &mut dyn FnMut(&Result<bool, String>) -> Reason| {
            let (value, reasons) = part.decide(&mut |leaf| ask(leaf));
            (value, reasons.len())
        };
        let all = Part::All(vec![leaf(Ok(true)), leaf(Err("x")), leaf(Ok(false))]);
        assert_eq!(count(&all, &mut ask), (Some(false), 1));
        let all = Part::All(vec![leaf(Ok(true)), leaf(Ok(true))]);
        assert_eq!(count(&all, &mut ask), (Some(true), 2));
        let any = Part::Any(vec![leaf(Ok(false)), leaf(Err("x"))]);
        assert_eq!(count(&any, &mut ask), (None, 1));
        let choice = Part::Choice(Box::new([leaf(Ok(false)), leaf(Err("x")), leaf(Ok(true))]));
        assert_eq!(count(&choice, &mut ask), (Some(true), 2));
    }
}
