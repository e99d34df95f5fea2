//! Looks at the text of an expression before any parser sees it: cuts it into tokens, and refuses what could overflow
//! the stack of the parser, of the checker or of the evaluator, all of which recurse over the syntax tree.
//! It is not a parser: text that passes here may still be no CEL. Guardian's language cuts its tokens itself and has them
//! measured here.

use super::diagnostic::{Code, Diagnostic, Span};
use super::parts::{Class, Piece};

/// Longest text of one expression.
pub const EXPRESSION_MAX_BYTES: usize = 4096;
/// Deepest nesting of brackets, braces and parentheses.
pub const NESTING_MAX_LEVELS: usize = 32;
/// Longest way from the root of the syntax tree to a leaf, counted in operators and members, over all nesting levels.
/// A tree cannot be deeper than this plus the nesting.
pub const CHAIN_MAX_LINKS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Identifiers, literals and keywords.
    Operand,
    Open,
    Close,
    Comma,
    Dot,
    /// Operators, with `?`, `:` and `in`.
    Operator,
    /// Bytes that start no token. The parser will name them.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
    /// For an opening bracket: where the bracket that closes it ends.
    pub closed_at: Option<usize>,
}

/// The tokens of one expression that is within the limits.
#[derive(Debug, Default)]
pub(super) struct Tokens(Vec<Token>);

impl Tokens {
    /// The token that starts at byte `start`.
    pub fn at(&self, start: usize) -> Option<&Token> {
        let found = self.0.binary_search_by_key(&start, |token| token.span.start).ok()?;
        self.0.get(found)
    }

    /// The first token that starts after byte `offset`.
    pub fn after(&self, offset: usize) -> Option<&Token> {
        self.0.get(self.0.partition_point(|token| token.span.start <= offset))
    }

    /// The tokens as they are to the logical operators.
    pub fn pieces(&self, text: &str) -> Vec<Piece> {
        let piece = |token: &Token| {
            let class = match (token.kind, text.get(token.span.start..token.span.end).unwrap_or_default()) {
                (Kind::Open, _) => Class::Open,
                (Kind::Close, _) => Class::Close,
                (Kind::Operator, "&&") => Class::And,
                (Kind::Operator, "||") => Class::Or,
                (Kind::Operator, "!") => Class::Not,
                (Kind::Operator, "?") => Class::Question,
                (Kind::Operator, ":") => Class::Colon,
                _ => Class::Other,
            };
            Piece { class, start: token.span.start, end: token.span.end }
        };
        self.0.iter().map(piece).collect()
    }

    /// The last token that starts before byte `offset`.
    pub fn before(&self, offset: usize) -> Option<&Token> {
        self.0.get(self.0.partition_point(|token| token.span.start < offset).checked_sub(1)?)
    }
}

/// Levels of the tree that are evaluated on the stack of the caller even in an unoptimised build.
const DIRECT_LEVELS: usize = 12;
/// Stack for deeper trees in an unoptimised build.
const ROOM_BYTES: usize = 64 * 1024 * 1024;

/// Runs what recurses over a tree of `levels` levels. Within the limits above an optimised build needs less than 512 KiB of
/// stack for it. Without optimisation the frames of cel and of its parser take up to 100 KiB a level, so that a debug build
/// gives them a thread of their own. `None` if there can be no such thread.
pub(super) fn with_room<T: Send>(levels: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if !cfg!(debug_assertions) || levels <= DIRECT_LEVELS {
        return Some(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(ROOM_BYTES);
        match thread.spawn_scoped(scope, work).ok()?.join() {
            Ok(done) => Some(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Tokens of `text`, or each limit that it breaks, at the place where it first does.
pub(super) fn scan(text: &str) -> Result<Tokens, Vec<Diagnostic>> {
    length(text).map_err(|fault| vec![fault])?;
    let mut tokens = cut(text);
    let faults = measure(text, &mut tokens);
    if faults.is_empty() { Ok(Tokens(tokens)) } else { Err(faults) }
}

/// Refuses a text that is too long, at the place where it first is.
pub(super) fn length(text: &str) -> Result<(), Diagnostic> {
    if text.len() <= EXPRESSION_MAX_BYTES {
        return Ok(());
    }
    let end = (0..=EXPRESSION_MAX_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let message = format!(
        "the expression has {} bytes, more than the {EXPRESSION_MAX_BYTES} that are allowed",
        text.len()
    );
    Err(Diagnostic::new(text, Code::TooLong, Span { start: end, end: text.len() }, message))
}

/// What one open bracket (or the text as a whole) has seen since its last comma.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators: each can put one level between the root and the operands after it.
    operators: usize,
    /// Members, calls and indexes of the operand at hand, or the unary operators before it.
    links: usize,
    /// Index of the bracket that opened this level.
    opened_by: usize,
}

/// Each limit that these tokens break, at the place where they first do.
pub(super) fn measure(text: &str, tokens: &mut [Token]) -> Vec<Diagnostic> {
    let mut faults: Vec<Diagnostic> = Vec::new();
    let mut levels = vec![Level::default()];
    let mut path = 0; // links of all levels but the innermost
    let mut previous = Kind::Operator;
    for index in 0..tokens.len() {
        let Some(token) = tokens.get(index).copied() else { break };
        let Some(level) = levels.last_mut() else { break };
        match token.kind {
            Kind::Operator if matches!(previous, Kind::Operator | Kind::Open | Kind::Comma) => {
                level.links += 1
            }
            Kind::Operator => {
                level.operators += 1;
                level.links = 0;
            }
            Kind::Dot => level.links += 1,
            Kind::Comma => *level = Level { opened_by: level.opened_by, ..Level::default() },
            Kind::Open => {
                if matches!(previous, Kind::Operand | Kind::Close) {
                    level.links += 1;
                }
                path += level.operators + level.links;
                levels.push(Level { opened_by: index, ..Level::default() });
            }
            Kind::Close if levels.len() > 1 => {
                if let Some(closed) = levels.pop()
                    && let Some(open) = tokens.get_mut(closed.opened_by)
                {
                    open.closed_at = Some(token.span.end);
                }
                path -= levels.last().map_or(0, |level| level.operators + level.links);
            }
            Kind::Close | Kind::Operand | Kind::Unknown => {}
        }
        previous = token.kind;
        let inner = levels.last().map_or(0, |level| level.operators + level.links);
        let checks = [
            (Code::TooDeep, levels.len() - 1, NESTING_MAX_LEVELS, "brackets are nested"),
            (Code::ChainTooLong, path + inner, CHAIN_MAX_LINKS, "operators and members follow each other"),
        ];
        for (code, found, limit, what) in checks {
            if found > limit && !faults.iter().any(|fault| fault.code == code) {
                let message = format!("{what} more than {limit} deep");
                faults.push(Diagnostic::new(text, code, token.span, message));
            }
        }
    }
    faults
}

fn cut(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 3);
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = token(rest);
        if let Some(kind) = kind {
            tokens.push(Token { kind, span: Span { start: at, end: at + length }, closed_at: None });
        }
        at += length;
    }
    tokens
}

/// Kind and length in bytes of the token that `rest` starts with; no kind for blanks and comments.
fn token(rest: &str) -> (Option<Kind>, usize) {
    let Some(first) = rest.chars().next() else { return (None, 0) };
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if let Some(length) = string(rest) {
        return (Some(Kind::Operand), length);
    }
    if first.is_ascii_alphanumeric() || first == '_' {
        let length = word(rest);
        let kind = if rest.get(..length) == Some("in") { Kind::Operator } else { Kind::Operand };
        return (Some(kind), length);
    }
    let kind = match first {
        '(' | '[' | '{' => Kind::Open,
        ')' | ']' | '}' => Kind::Close,
        ',' => Kind::Comma,
        '.' => Kind::Dot,
        '=' | '!' | '<' | '>' | '&' | '|' | '+' | '-' | '*' | '/' | '%' | '?' | ':' => Kind::Operator,
        _ => Kind::Unknown,
    };
    let double = ["==", "!=", "<=", ">=", "&&", "||"].iter().any(|operator| rest.starts_with(operator));
    (Some(kind), if double { 2 } else { first.len_utf8() })
}

/// Length of the identifier or number at the start. `1.5` and `1e-3` are one word, `a.b` are three tokens.
fn word(rest: &str) -> usize {
    let number = rest.starts_with(|first: char| first.is_ascii_digit());
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next_is_digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let after_exponent =
            at > 0 && matches!(bytes.get(at - 1), Some(b'e' | b'E')) && !rest.starts_with("0x");
        let inside = byte.is_ascii_alphanumeric()
            || *byte == b'_'
            || (number && *byte == b'.' && next_is_digit)
            || (number && matches!(byte, b'+' | b'-') && after_exponent && next_is_digit);
        if !inside {
            break;
        }
        at += 1;
    }
    at
}

/// Length of the string or bytes literal at the start: prefixes `r` and `b`, single and triple quotes. A literal that
/// is not closed ends with its line.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.bytes().take(2).take_while(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B')).count();
    let raw = rest.get(..prefix)?.contains(['r', 'R']);
    let body = rest.get(prefix..)?;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote))?;
    let mut at = quote.len();
    loop {
        let tail = body.get(at..)?;
        let Some(next) = tail.chars().next() else { return Some(prefix + at) };
        if tail.starts_with(quote) {
            return Some(prefix + at + quote.len());
        }
        if next == '\n' && quote.len() == 1 {
            return Some(prefix + at);
        }
        at += next.len_utf8();
        if next == '\\' && !raw {
            at += body.get(at..)?.chars().next().map_or(0, char::len_utf8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        cut(text).iter().map(|token| &text[token.span.start..token.span.end]).collect()
    }

    #[test]
    fn tokens_are_cut_as_cel_cuts_them() {
        assert_eq!(texts("a.b == 'x\\'y' // no"), ["a", ".", "b", "==", "'x\\'y'"]);
        assert_eq!(texts("1.5e-3+x[0]"), ["1.5e-3", "+", "x", "[", "0", "]"]);
        assert_eq!(texts("r'\\' + b\"é\""), ["r'\\'", "+", "b\"é\""]);
        assert_eq!(texts("'''a'b'''in c"), ["'''a'b'''", "in", "c"]);
        assert_eq!(texts("'open\nb"), ["'open", "b"]);
        assert_eq!(texts("'\\"), ["'\\"]);
    }

    #[test]
    fn brackets_know_their_end() {
        let tokens = scan("f(a, [b], (c))").unwrap();
        assert_eq!(tokens.at(1).unwrap().closed_at, Some(14));
        assert_eq!(tokens.at(5).unwrap().closed_at, Some(8));
    }

    #[test]
    fn the_limits_are_exact() {
        let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
        assert!(scan(&nested(NESTING_MAX_LEVELS)).is_ok());
        assert_eq!(scan(&nested(NESTING_MAX_LEVELS + 1)).unwrap_err()[0].code, Code::TooDeep);
        let chain = |links: usize| format!("a{}", ".b".repeat(links));
        assert!(scan(&chain(CHAIN_MAX_LINKS)).is_ok());
        assert_eq!(scan(&chain(CHAIN_MAX_LINKS + 1)).unwrap_err()[0].code, Code::ChainTooLong);
        assert!(scan(&" ".repeat(EXPRESSION_MAX_BYTES)).is_ok());
        assert_eq!(scan(&"é".repeat(EXPRESSION_MAX_BYTES)).unwrap_err()[0].code, Code::TooLong);
    }
}
