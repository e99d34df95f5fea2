//! Facts with which an expression may come to yes, for whoever looks for an example. A guess from what the expression compares: it may
//! be wrong, and there may be none although there is such a fact. Evaluates nothing.

use serde_json::{Value as Json, json};

use super::tree::{Binary, Form, Node, Operator};
use super::{Key, Program, Value, limits};

/// The names that lead to a fact, the parameter first: `["$appeal", "role"]`.
pub type Path = Vec<String>;

impl Program {
    /// What to say of facts so that the expression may come to yes, the first of what it asks first.
    #[must_use]
    pub fn helpful(&self) -> Vec<(Path, Json)> {
        let inner = &*self.0;
        let mut found = Vec::new();
        // Without room there is nothing to guess.
        let _ = limits::with_room(inner.levels, || read(&inner.code, &mut found));
        found
    }
}

fn read(node: &Node, found: &mut Vec<(Path, Json)>) {
    match &node.form {
        Form::Chain(inner) => read(inner, found),
        Form::Member(_) => found.extend(path(node).map(|path| (path, json!(true)))),
        Form::Binary(binary) => match binary.operator {
            Operator::And => [&binary.left, &binary.right].into_iter().for_each(|side| read(side, found)),
            Operator::Or => read(&binary.left, found),
            _ => found.extend(compared(binary)),
        },
        _ => {}
    }
}

fn compared(Binary { operator, left, right, .. }: &Binary) -> Option<(Path, Json)> {
    let own = path(left);
    let turned = own.is_none();
    let (fact, other) = own.map_or_else(|| Some((path(right)?, left)), |path| Some((path, right)))?;
    let value = match (operator, turned) {
        (Operator::Equal, _) => literal(other),
        (Operator::In, false) => first(other),
        (Operator::In, true) => literal(other).map(|one| json!([one])),
        (Operator::Contains | Operator::StartsWith | Operator::EndsWith, false) => literal(other),
        (Operator::MoreOrEqual | Operator::LessOrEqual, _) => literal(other),
        (Operator::More, false) | (Operator::Less, true) => next_to(other, 1),
        (Operator::Less, false) | (Operator::More, true) => next_to(other, -1),
        _ => None,
    };
    value.map(|value| (fact, value))
}

/// The names that lead to a node from a parameter.
fn path(node: &Node) -> Option<Path> {
    match &node.form {
        Form::Name(name) if name.starts_with('$') => Some(vec![name.to_string()]),
        Form::Chain(inner) => path(inner),
        Form::Member(member) => {
            let Some(Key::Text(key)) = &member.key else { return None };
            let mut path = path(&member.base)?;
            path.push(key.to_string());
            Some(path)
        }
        _ => None,
    }
}

fn literal(node: &Node) -> Option<Json> {
    match &node.form {
        Form::Bool(truth) => Some(json!(truth)),
        Form::Int(number) => Some(json!(number)),
        Form::Float(number) => Some(json!(number)),
        Form::Text(text) => Some(json!(&**text)),
        _ => None,
    }
}

/// A number beside a literal one.
fn next_to(node: &Node, by: i64) -> Option<Json> {
    match &node.form {
        Form::Int(number) => number.checked_add(by).map(|number| json!(number)),
        Form::Float(number) => i32::try_from(by).ok().map(|by| json!(number + f64::from(by))),
        _ => None,
    }
}

/// The first of several literals.
fn first(node: &Node) -> Option<Json> {
    match &node.form {
        Form::TextSet(texts) => texts.first().map(|text| json!(&**text)),
        Form::IntSet(numbers) => numbers.first().map(|number| json!(number)),
        Form::Array(nodes) => nodes.first().and_then(literal),
        Form::Constant(Value::List(list)) => match list.get(0)? {
            Value::Bool(truth) => Some(json!(truth)),
            Value::Int(number) => Some(json!(number)),
            Value::Float(number) => Some(json!(number)),
            Value::Text(text) => Some(json!(&*text)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, compile};

    fn helpful(text: &str) -> String {
        let found = compile(Place::When, text).unwrap().helpful();
        let each = found.iter().map(|(path, value)| format!("{} = {value}", path.join(".")));
        each.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_an_expression_compares_says_what_would_help() {
        for (text, expected) in [
            ("$appeal.role == \"editor\"", "$appeal.role = \"editor\""),
            ("\"editor\" == $appeal.role", "$appeal.role = \"editor\""),
            ("$appeal.role in [\"b\", \"a\"]", "$appeal.role = \"a\""),
            ("$appeal.a.b in [3, 4] && $appeal.n > 4", "$appeal.a.b = 3, $appeal.n = 5"),
            ("2 > $appeal.n || $appeal.n > 9", "$appeal.n = 1"),
            ("\"x\" in $appeal.resource.details.tags", "$appeal.resource.details.tags = [\"x\"]"),
            ("$appeal.resource.urn startsWith \"bq:\"", "$appeal.resource.urn = \"bq:\""),
            ("$appeal.details?.emergency", "$appeal.details.emergency = true"),
            ("len($appeal.role) > 3", ""),
            ("!($appeal.role == \"x\")", ""),
        ] {
            assert_eq!(helpful(text), expected, "{text}");
        }
    }
}
