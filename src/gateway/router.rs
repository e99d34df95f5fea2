//! From a verb and a path to the rule that they select.
//!
//! The templates form one tree, an edge for each segment. A literal is tried before `*`, and `*` before `**`, whatever
//! the order of the protos; two rules of the same verb and shape are refused at the start, so there is never a tie.
//! A search visits every node at most once, because a node is reached by one way only: its cost is bounded by the
//! size of the tree and not by what a caller sends.

use http::Method;

use super::template::{Segment, Template};

/// What `Router::find` found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The index that the rule was added with.
    Rule(usize),
    /// The path is known, the verb is not.
    OtherVerb,
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Router {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by the literal.
    literals: Vec<(Box<str>, Node)>,
    one: Option<Box<Node>>,
    /// Rules whose template ends here.
    ends: Vec<End>,
    /// Rules whose template ends here with `**`.
    rests: Vec<End>,
}

#[derive(Debug)]
struct End {
    method: Method,
    verb: Option<Box<str>>,
    rule: usize,
}

impl Router {
    /// Adds a rule; the error is the index of the rule that already answers to the same verb and shape.
    pub(crate) fn add(&mut self, method: Method, template: &Template, rule: usize) -> Result<(), usize> {
        let mut node = &mut self.root;
        let mut rest = false;
        for segment in &template.segments {
            match segment {
                Segment::Literal(literal) => node = node.child(literal),
                Segment::One => node = node.one.get_or_insert_default(),
                Segment::Rest => rest = true,
            }
        }
        let ends = if rest { &mut node.rests } else { &mut node.ends };
        let verb = template.verb.as_deref().map(Box::from);
        match ends.iter().find(|end| end.method == method && end.verb == verb) {
            Some(other) => Err(other.rule),
            None => {
                ends.push(End { method, verb, rule });
                Ok(())
            }
        }
    }

    /// `segments` is the path after its first `/`, split at `/` and still escaped.
    pub(crate) fn find(&self, method: &Method, segments: &[&str]) -> Found {
        let mut known = false;
        if let Some((last, others)) = segments.split_last()
            && let Some((segment, verb)) = last.rsplit_once(':')
        {
            // A last segment that is nothing but a verb names nothing, also not a thing called `:verb`.
            if segment.is_empty() {
                return Found::Nothing;
            }
            let trimmed: Vec<&str> = others.iter().copied().chain([segment]).collect();
            if let Some(rule) = self.root.search(method, Some(verb), &trimmed, &mut known) {
                return Found::Rule(rule);
            }
        }
        match self.root.search(method, None, segments, &mut known) {
            Some(rule) => Found::Rule(rule),
            None if known => Found::OtherVerb,
            None => Found::Nothing,
        }
    }
}

impl Node {
    fn child(&mut self, literal: &str) -> &mut Node {
        let at = self.literals.partition_point(|(name, _)| name.as_ref() < literal);
        if self.literals.get(at).is_none_or(|(name, _)| name.as_ref() != literal) {
            self.literals.insert(at, (literal.into(), Node::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "inserted by the line above if it was not there")]
        &mut self.literals[at].1
    }

    fn search(
        &self,
        method: &Method,
        verb: Option<&str>,
        segments: &[&str],
        known: &mut bool,
    ) -> Option<usize> {
        if let Some((first, after)) = segments.split_first() {
            if let Some(node) = self.literal(first)
                && let Some(rule) = node.search(method, verb, after, known)
            {
                return Some(rule);
            }
            if !first.is_empty()
                && let Some(node) = &self.one
                && let Some(rule) = node.search(method, verb, after, known)
            {
                return Some(rule);
            }
        } else if let Some(rule) = choose(&self.ends, method, verb, known) {
            return Some(rule);
        }
        choose(&self.rests, method, verb, known)
    }

    fn literal(&self, segment: &str) -> Option<&Node> {
        // An escaped literal is the same path (RFC 3986, 6.2.2.2); what reads paths elsewhere must not differ.
        let unescaped;
        let segment = if segment.contains('%') {
            unescaped = super::template::unescape(segment, false)?;
            unescaped.as_str()
        } else {
            segment
        };
        let at = self.literals.binary_search_by(|(name, _)| name.as_ref().cmp(segment)).ok()?;
        self.literals.get(at).map(|(_, node)| node)
    }
}

fn choose(ends: &[End], method: &Method, verb: Option<&str>, known: &mut bool) -> Option<usize> {
    let mut same = ends.iter().filter(|end| end.verb.as_deref() == verb).peekable();
    *known |= same.peek().is_some();
    same.find(|end| end.method == method).map(|end| end.rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(templates: &[(&str, &str)]) -> Router {
        let mut router = Router::default();
        for (index, (method, template)) in templates.iter().enumerate() {
            let template = Template::parse(template).expect("a good template");
            router.add(method.parse().expect("a method"), &template, index).expect("no rule twice");
        }
        router
    }

    fn find(router: &Router, method: &str, path: &str) -> Found {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        router.find(&method.parse().expect("a method"), &segments)
    }

    #[test]
    fn the_more_literal_template_wins_and_a_dead_end_falls_back() {
        let router = router(&[
            ("GET", "/v1/{name=**}"),
            ("GET", "/v1/{id}"),
            ("GET", "/v1/literal"),
            ("GET", "/v1/{id}/x"),
            ("GET", "/v1/literal/y"),
            ("POST", "/v1/literal"),
            ("DELETE", "/v1/{id}"),
        ]);
        assert_eq!(find(&router, "GET", "/v1/literal"), Found::Rule(2));
        assert_eq!(find(&router, "GET", "/v1/lite%72al"), Found::Rule(2));
        assert_eq!(find(&router, "GET", "/v1/other"), Found::Rule(1));
        assert_eq!(find(&router, "GET", "/v1/literal/x"), Found::Rule(3));
        assert_eq!(find(&router, "GET", "/v1/literal/z"), Found::Rule(0));
        assert_eq!(find(&router, "GET", "/v1"), Found::Rule(0));
        assert_eq!(find(&router, "GET", "/v1/"), Found::Rule(0));
        assert_eq!(find(&router, "DELETE", "/v1/literal"), Found::Rule(6));
        assert_eq!(find(&router, "PATCH", "/v1/literal"), Found::OtherVerb);
        assert_eq!(find(&router, "GET", "/v2"), Found::Nothing);
    }

    #[test]
    fn a_verb_is_a_suffix_of_the_last_segment() {
        let router = router(&[
            ("GET", "/v1/things/{id}"),
            ("POST", "/v1/things/{id}:undelete"),
            ("POST", "/v1/things:batch"),
        ]);
        assert_eq!(find(&router, "POST", "/v1/things/a:undelete"), Found::Rule(1));
        assert_eq!(find(&router, "POST", "/v1/things/a:b:undelete"), Found::Rule(1));
        assert_eq!(find(&router, "POST", "/v1/things:batch"), Found::Rule(2));
        assert_eq!(find(&router, "GET", "/v1/things/a:undelete"), Found::Rule(0));
        assert_eq!(find(&router, "GET", "/v1/things/:undelete"), Found::Nothing);
        assert_eq!(find(&router, "POST", "/v1/things/a%3Aundelete"), Found::OtherVerb);
        assert_eq!(find(&router, "GET", "/v1/things/"), Found::Nothing);
        assert_eq!(find(&router, "GET", "/v1/things"), Found::Nothing);
    }

    #[test]
    fn the_same_shape_twice_is_refused() {
        let mut router = router(&[("GET", "/v1/{id}")]);
        let again = Template::parse("/v1/{other}").expect("a good template");
        assert_eq!(router.add(Method::GET, &again, 1), Err(0));
        assert_eq!(router.add(Method::PUT, &again, 1), Ok(()));
    }
}
