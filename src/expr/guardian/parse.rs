//! From tokens to a syntax tree: the Pratt parser of antonmedv/expr v1.15.3, quirks and messages included. It stops at the
//! first fault, as that does. Its depth is bounded by what `lex` lets through.

use std::borrow::Cow;
use std::sync::Arc;

use super::builtins::Builtin;
use super::lex::{self, Kind, Token};
use super::tree::{Binary, BuiltinCall, Call, Form, Member, Node, Operator, Pointer, Sign};
use super::value::Key;
use crate::expr::diagnostic::{Code, Diagnostic, Span};

const UNARY: &[(&str, Sign, u32)] =
    &[("not", Sign::Not, 50), ("!", Sign::Not, 50), ("-", Sign::Minus, 90), ("+", Sign::Plus, 90)];

const PIPE: (&str, u32) = ("|", 0);

/// Binary operators with their precedence. All are left-associative but for the powers.
const BINARY: &[(&str, Operator, u32)] = &[
    ("or", Operator::Or, 10),
    ("||", Operator::Or, 10),
    ("and", Operator::And, 15),
    ("&&", Operator::And, 15),
    ("==", Operator::Equal, 20),
    ("!=", Operator::Unequal, 20),
    ("<", Operator::Less, 20),
    (">", Operator::More, 20),
    (">=", Operator::MoreOrEqual, 20),
    ("<=", Operator::LessOrEqual, 20),
    ("in", Operator::In, 20),
    ("matches", Operator::Matches, 20),
    ("contains", Operator::Contains, 20),
    ("startsWith", Operator::StartsWith, 20),
    ("endsWith", Operator::EndsWith, 20),
    ("..", Operator::Range, 25),
    ("+", Operator::Add, 30),
    ("-", Operator::Subtract, 30),
    ("*", Operator::Multiply, 60),
    ("/", Operator::Divide, 60),
    ("%", Operator::Modulo, 60),
    ("**", Operator::Power, 100),
    ("^", Operator::Power, 100),
    ("??", Operator::Coalesce, 500),
];

/// The tree, or the first fault.
pub(super) fn parse(text: &str, tokens: &[Token<'_>]) -> Result<Node, Diagnostic> {
    let mut parser = Parser { text, tokens, at: 0, closures: 0 };
    let node = parser.expression(0)?;
    if parser.current().kind == Kind::End { Ok(node) } else { Err(parser.unexpected()) }
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Token<'t>],
    at: usize,
    /// How many closures we are in.
    closures: usize,
}

type Parsed<T = Node> = Result<T, Diagnostic>;

const END: &Token<'_> =
    &Token { kind: Kind::End, text: Cow::Borrowed(""), span: Span { start: usize::MAX, end: usize::MAX } };

impl<'t> Parser<'t> {
    fn current(&self) -> &'t Token<'t> {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(END)
    }

    fn is(&self, kind: Kind, text: &str) -> bool {
        self.current().is(kind, text)
    }

    fn fault_at(&self, token: &Token<'_>, message: String) -> Diagnostic {
        Diagnostic::new(self.text, Code::Syntax, token.span, message)
    }

    fn fault(&self, message: String) -> Diagnostic {
        self.fault_at(self.current(), message)
    }

    fn unexpected(&self) -> Diagnostic {
        self.fault(format!("unexpected token {}", self.current().described()))
    }

    fn next(&mut self) -> Parsed<()> {
        if self.at + 1 >= self.tokens.len() {
            return Err(self.fault("unexpected end of expression".to_owned()));
        }
        self.at += 1;
        Ok(())
    }

    fn expect(&mut self, kind: Kind, text: &str) -> Parsed<()> {
        if self.is(kind, text) { self.next() } else { Err(self.unexpected()) }
    }

    fn expect_name(&mut self) -> Parsed<&'t Token<'t>> {
        let token = self.current();
        if token.kind == Kind::Identifier { self.next().map(|()| token) } else { Err(self.unexpected()) }
    }

    fn expression(&mut self, precedence: u32) -> Parsed {
        if precedence == 0 && self.is(Kind::Operator, "let") {
            return self.declaration();
        }
        let mut left = self.primary()?;
        let mut before = "";
        while self.current().kind == Kind::Operator {
            let mut token = self.current();
            let negated = token.text == "not";
            if negated {
                self.next()?;
                token = self.current();
            }
            if token.is(Kind::Operator, PIPE.0) && PIPE.1 >= precedence {
                self.next()?;
                left = self.pipe(left)?;
                before = PIPE.0;
                continue;
            }
            let found = BINARY.iter().find(|(text, _, _)| *text == token.text);
            let Some((spelling, operator, binds)) = found.filter(|(_, _, binds)| *binds >= precedence) else {
                break;
            };
            self.next()?;
            if before == "??" && *operator != Operator::Coalesce {
                let message = format!(
                    "Operator ({spelling}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                );
                return Err(self.fault_at(token, message));
            }
            let tighter = if *operator == Operator::Power { *binds } else { binds + 1 };
            let right = self.expression(tighter)?;
            let (left_side, right) = (Box::new(left), Box::new(right));
            let binary = Binary { operator: *operator, spelling, left: left_side, right, pattern: None };
            left = Node::new(Form::Binary(binary), token.span);
            if negated {
                left = Node::new(Form::Unary(Sign::Not, Box::new(left)), token.span);
            }
            before = spelling;
        }
        if precedence == 0 { self.conditional(left) } else { Ok(left) }
    }

    fn declaration(&mut self) -> Parsed {
        self.expect(Kind::Operator, "let")?;
        let name = self.expect_name()?;
        self.expect(Kind::Operator, "=")?;
        let value = Box::new(self.expression(0)?);
        self.expect(Kind::Operator, ";")?;
        let body = Box::new(self.expression(0)?);
        Ok(Node::new(Form::Let { name: name.text.as_ref().into(), value, body }, name.span))
    }

    fn conditional(&mut self, mut node: Node) -> Parsed {
        while self.is(Kind::Operator, "?") {
            self.next()?;
            let elvis = self.is(Kind::Operator, ":");
            let then = if elvis { None } else { Some(Box::new(self.expression(0)?)) };
            self.expect(Kind::Operator, ":")?;
            let otherwise = Box::new(self.expression(0)?);
            // A conditional has no place of its own.
            let form = Form::Conditional { condition: Box::new(node), then, otherwise };
            node = Node { form, span: None, ty: None };
        }
        Ok(node)
    }

    fn primary(&mut self) -> Parsed {
        let token = self.current();
        if token.kind == Kind::Operator
            && let Some((_, sign, binds)) = UNARY.iter().find(|(text, _, _)| *text == token.text)
        {
            self.next()?;
            let inner = Box::new(self.expression(*binds)?);
            return self.postfix(Node::new(Form::Unary(*sign, inner), token.span));
        }
        if token.is(Kind::Bracket, "(") {
            self.next()?;
            let inner = self.expression(0)?;
            self.expect(Kind::Bracket, ")")?;
            return self.postfix(inner);
        }
        if token.is(Kind::Operator, "#") || token.is(Kind::Operator, ".") {
            if self.closures == 0 {
                return Err(self.fault("cannot use pointer accessor outside closure".to_owned()));
            }
            let pointer = self.pointer(token)?;
            return self.postfix(Node::new(Form::Pointer(pointer), token.span));
        }
        self.secondary()
    }

    fn pointer(&mut self, token: &Token<'_>) -> Parsed<Pointer> {
        if token.text == "." {
            return Ok(Pointer::Element);
        }
        self.next()?;
        let name = self.current();
        if name.kind != Kind::Identifier {
            return Ok(Pointer::Element);
        }
        self.next()?;
        Ok(match name.text.as_ref() {
            "index" => Pointer::Index,
            "acc" => Pointer::Accumulator,
            _ => Pointer::Unknown,
        })
    }

    fn secondary(&mut self) -> Parsed {
        let token = self.current();
        let node = match token.kind {
            Kind::Identifier => {
                self.next()?;
                let literal = match token.text.as_ref() {
                    "true" => Some(Form::Bool(true)),
                    "false" => Some(Form::Bool(false)),
                    "nil" => Some(Form::Nil),
                    _ => None,
                };
                if let Some(form) = literal {
                    return Ok(Node::new(form, token.span));
                }
                self.call(token)?
            }
            Kind::Number => {
                self.next()?;
                return Ok(Node::new(self.number(token)?, token.span));
            }
            Kind::String => {
                self.next()?;
                // Nothing can follow a literal: `"a".b` is a fault.
                return Ok(Node::new(Form::Text(token.text.as_ref().into()), token.span));
            }
            _ if token.is(Kind::Bracket, "[") => self.array(token)?,
            _ if token.is(Kind::Bracket, "{") => self.map(token)?,
            _ => return Err(self.unexpected()),
        };
        self.postfix(node)
    }

    fn number(&self, token: &Token<'_>) -> Parsed<Form> {
        let text = token.text.replace('_', "");
        let out_of_range = |kind: &str, call: &str| {
            self.fault(format!(
                "invalid {kind} literal: strconv.{call}: parsing {text:?}: value out of range"
            ))
        };
        let no_number = |kind: &str, call: &str| {
            self.fault(format!("invalid {kind} literal: strconv.{call}: parsing {text:?}: invalid syntax"))
        };
        if let Some((_, digits)) = text.split_once('x') {
            if !text.starts_with("0x")
                || digits.is_empty()
                || !digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            {
                return Err(no_number("hex", "ParseInt"));
            }
            return i64::from_str_radix(digits, 16)
                .map(Form::Int)
                .map_err(|_| out_of_range("hex", "ParseInt"));
        }
        if text.contains(['.', 'e', 'E']) {
            let number: f64 = text.parse().map_err(|_| no_number("float", "ParseFloat"))?;
            return if number.is_finite() {
                Ok(Form::Float(number))
            } else {
                Err(out_of_range("float", "ParseFloat"))
            };
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(no_number("integer", "ParseInt"));
        }
        text.parse().map(Form::Int).map_err(|_| out_of_range("integer", "ParseInt"))
    }

    /// What stands after a name: the arguments of a call, or nothing.
    fn call(&mut self, token: &Token<'_>) -> Parsed {
        if !self.is(Kind::Bracket, "(") {
            return Ok(Node::new(Form::Name(token.text.as_ref().into()), token.span));
        }
        self.called(token, Vec::new())
    }

    /// A call of a name, some of whose arguments are there already.
    fn called(&mut self, token: &Token<'_>, mut arguments: Vec<Node>) -> Parsed {
        let Some(builtin) = Builtin::find(&token.text) else {
            let callee = Box::new(Node::new(Form::Name(token.text.as_ref().into()), token.span));
            arguments.extend(self.arguments()?);
            return Ok(Node::new(Form::Call(Call { callee, arguments, builtin: None }), token.span));
        };
        if builtin.is_predicate() {
            self.expect(Kind::Bracket, "(")?;
            if arguments.is_empty() {
                arguments.push(self.expression(0)?);
                self.expect(Kind::Operator, ",")?;
            }
            arguments.push(self.closure()?);
            if builtin == Builtin::Reduce && self.is(Kind::Operator, ",") {
                self.next()?;
                arguments.push(self.expression(0)?);
            }
            self.expect(Kind::Bracket, ")")?;
        } else {
            arguments.extend(self.arguments()?);
        }
        let call = BuiltinCall { builtin, arguments, map: None, throws: false };
        Ok(Node::new(Form::Builtin(call), token.span))
    }

    fn closure(&mut self) -> Parsed {
        let start = self.current();
        let braced = start.is(Kind::Bracket, "{");
        if braced {
            self.next()?;
        }
        self.closures += 1;
        let inner = Box::new(self.expression(0)?);
        self.closures -= 1;
        if braced {
            self.expect(Kind::Bracket, "}")?;
        }
        Ok(Node::new(Form::Closure(inner), start.span))
    }

    fn array(&mut self, token: &Token<'_>) -> Parsed {
        let mut nodes = Vec::new();
        self.expect(Kind::Bracket, "[")?;
        while !self.is(Kind::Bracket, "]") {
            if !nodes.is_empty() {
                self.expect(Kind::Operator, ",")?;
                if self.is(Kind::Bracket, "]") {
                    break;
                }
            }
            nodes.push(self.expression(0)?);
        }
        self.expect(Kind::Bracket, "]")?;
        Ok(Node::new(Form::Array(nodes), token.span))
    }

    fn map(&mut self, token: &Token<'_>) -> Parsed {
        let mut pairs = Vec::new();
        self.expect(Kind::Bracket, "{")?;
        while !self.is(Kind::Bracket, "}") {
            if !pairs.is_empty() {
                self.expect(Kind::Operator, ",")?;
                if self.is(Kind::Bracket, "}") {
                    break;
                }
                if self.is(Kind::Operator, ",") {
                    return Err(self.unexpected());
                }
            }
            let key = self.map_key(token)?;
            self.expect(Kind::Operator, ":")?;
            pairs.push((key, self.expression(0)?));
        }
        self.expect(Kind::Bracket, "}")?;
        Ok(Node::new(Form::Map(pairs), token.span))
    }

    fn map_key(&mut self, brace: &Token<'_>) -> Parsed {
        let token = self.current();
        if matches!(token.kind, Kind::Number | Kind::String | Kind::Identifier) {
            self.next()?;
            return Ok(Node::new(Form::Text(token.text.as_ref().into()), brace.span));
        }
        if token.is(Kind::Bracket, "(") {
            return self.expression(0);
        }
        Err(self.fault(format!(
            "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses \
             (unexpected token {})",
            token.described()
        )))
    }

    fn postfix(&mut self, mut node: Node) -> Parsed {
        loop {
            let token = self.current();
            if !matches!(token.kind, Kind::Operator | Kind::Bracket) {
                return Ok(node);
            }
            node = match token.text.as_ref() {
                "." | "?." => self.member(node, token)?,
                "[" => self.index(node, token)?,
                _ => return Ok(node),
            };
        }
    }

    fn member(&mut self, node: Node, dot: &Token<'_>) -> Parsed {
        self.next()?;
        let name = self.current();
        self.next()?;
        // Operators such as `not` and `matches` are good names.
        if name.kind != Kind::Identifier && (name.kind != Kind::Operator || !lex::is_word(&name.text)) {
            return Err(self.fault("expected name".to_owned()));
        }
        let optional = dot.text == "?.";
        let (is_chain, base) = match node {
            Node { form: Form::Chain(inner), .. } => (true, inner),
            other => (false, Box::new(other)),
        };
        let text: Arc<str> = name.text.as_ref().into();
        let key = Some(Key::Text(Arc::clone(&text)));
        let property = Box::new(Node::new(Form::Text(text), name.span));
        let mut node = Node::new(Form::Member(Member { base, property, key, optional }), name.span);
        if self.is(Kind::Bracket, "(") {
            let call = Call { callee: Box::new(node), arguments: self.arguments()?, builtin: None };
            node = Node::new(Form::Call(call), name.span);
        }
        if is_chain || optional {
            node = Node { form: Form::Chain(Box::new(node)), span: None, ty: None };
        }
        Ok(node)
    }

    fn index(&mut self, node: Node, bracket: &Token<'_>) -> Parsed {
        self.next()?;
        let base = Box::new(node);
        let mut from = None;
        if !self.is(Kind::Operator, ":") {
            let first = self.expression(0)?;
            if !self.is(Kind::Operator, ":") {
                self.expect(Kind::Bracket, "]")?;
                let key = first.text().map(|text| Key::Text(Arc::clone(text)));
                let member = Member { base, property: Box::new(first), key, optional: false };
                return Ok(Node::new(Form::Member(member), bracket.span));
            }
            from = Some(Box::new(first));
        }
        self.next()?;
        let to = if self.is(Kind::Bracket, "]") { None } else { Some(Box::new(self.expression(0)?)) };
        self.expect(Kind::Bracket, "]")?;
        Ok(Node::new(Form::Slice { base, from, to }, bracket.span))
    }

    fn pipe(&mut self, node: Node) -> Parsed {
        let name = self.expect_name()?;
        self.called(name, vec![node])
    }

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        self.expect(Kind::Bracket, "(")?;
        let mut nodes = Vec::new();
        while !self.is(Kind::Bracket, ")") {
            if !nodes.is_empty() {
                self.expect(Kind::Operator, ",")?;
            }
            nodes.push(self.expression(0)?);
        }
        self.expect(Kind::Bracket, ")")?;
        Ok(nodes)
    }
}
