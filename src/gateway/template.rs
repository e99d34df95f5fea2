//! Path templates of `google.api.http` rules: their grammar, and undoing percent-escapes.
//!
//! ```text
//! Template  = "/" Segments [ ":" LITERAL ]
//! Segments  = Segment { "/" Segment }
//! Segment   = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}"
//! FieldPath = IDENT { "." IDENT }
//! ```
//!
//! The grammar and its meaning are those of the comment in `google/api/http.proto`. A template only comes from our own
//! protos, so a bad one stops the start; nothing here sees a template at run time.

use std::ops::Range;

/// One parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// As it was written.
    pub(crate) text: String,
    pub(crate) segments: Vec<Segment>,
    pub(crate) variables: Vec<Variable>,
    /// The custom verb after the last segment, without its colon.
    pub(crate) verb: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    /// `*`: exactly one segment, not empty.
    One,
    /// `**`: every segment that is left, also none. Only as the last segment.
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Dotted proto field path, relative to the request message.
    pub(crate) path: String,
    /// Which segments of the template it spans.
    pub(crate) segments: Range<usize>,
    /// Whether it can span more than one segment of a path, which decides how `%2F` is read.
    pub(crate) many: bool,
}

impl Template {
    /// Reads `text`; the error is a sentence that says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let mut rest =
            text.strip_prefix('/').ok_or_else(|| format!("the template `{text}` does not begin with `/`"))?;
        let mut template =
            Template { text: text.to_owned(), segments: Vec::new(), variables: Vec::new(), verb: None };
        loop {
            rest = match rest.strip_prefix('{') {
                Some(inner) => template.variable(inner, text)?,
                None => template.segment(rest, text)?,
            };
            match rest.chars().next() {
                None => break,
                Some('/') => rest = rest.get(1..).unwrap_or_default(),
                Some(':') => {
                    let verb = rest.get(1..).unwrap_or_default();
                    literal(verb, text)?;
                    template.verb = Some(verb.to_owned());
                    break;
                }
                Some(other) => return Err(format!("unexpected `{other}` in the template `{text}`")),
            }
        }
        let last = template.segments.len().saturating_sub(1);
        if template.segments.iter().take(last).any(|segment| *segment == Segment::Rest) {
            return Err(format!("`**` is not the last segment of the template `{text}`"));
        }
        Ok(template)
    }

    /// Takes one plain segment off the front of `rest` and gives back what follows it.
    fn segment<'a>(&mut self, rest: &'a str, text: &str) -> Result<&'a str, String> {
        let end = rest.find(['/', ':', '{', '}']).unwrap_or(rest.len());
        let (segment, after) = rest.split_at(end);
        self.segments.push(match segment {
            "*" => Segment::One,
            "**" => Segment::Rest,
            _ => Segment::Literal(literal(segment, text)?.to_owned()),
        });
        Ok(after)
    }

    /// Takes one variable, whose opening brace is already gone, off the front of `inner`.
    fn variable<'a>(&mut self, inner: &'a str, text: &str) -> Result<&'a str, String> {
        let (variable, after) =
            inner.split_once('}').ok_or_else(|| format!("a `{{` is not closed in the template `{text}`"))?;
        let (path, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        if !path.split('.').all(is_identifier) {
            return Err(format!("`{path}` in the template `{text}` is not a field path"));
        }
        if self.variables.iter().any(|other| other.path == path) {
            return Err(format!("`{path}` is bound twice in the template `{text}`"));
        }
        if pattern.contains('{') {
            return Err(format!("a variable is within another in the template `{text}`"));
        }
        let start = self.segments.len();
        for segment in pattern.split('/') {
            if !self.segment(segment, text)?.is_empty() {
                return Err(format!("`{pattern}` in the template `{text}` is not a list of segments"));
            }
        }
        let segments = start..self.segments.len();
        let many = segments.len() > 1 || self.segments.last() == Some(&Segment::Rest);
        self.variables.push(Variable { path: path.to_owned(), segments, many });
        Ok(after)
    }
}

fn literal<'a>(segment: &'a str, text: &str) -> Result<&'a str, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()+,;@".contains(&byte);
    if segment.is_empty() || !segment.bytes().all(plain) {
        return Err(format!("`{segment}` in the template `{text}` is not a literal segment"));
    }
    Ok(segment)
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Undoes percent-escapes. `None` for an escape that is cut short or not hexadecimal, and for text that is then not
/// UTF-8. With `keep_slash` an escaped slash stays as it was written, which is what `http.proto` asks of variables
/// that span several segments: there `%2F` is data and `/` is a separator.
pub(crate) fn unescape(text: &str, keep_slash: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (high, low) = (bytes.next()?, bytes.next()?);
        let value = hex(high)? << 4 | hex(low)?;
        match value {
            b'/' if keep_slash => out.extend([b'%', high, low]),
            _ => out.push(value),
        }
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_are_refused_say_why() {
        let cases = [
            ("", "does not begin with `/`"),
            ("v1/x", "does not begin with `/`"),
            ("/", "is not a literal segment"),
            ("/v1/", "is not a literal segment"),
            ("/v1//x", "is not a literal segment"),
            ("/v1/{id", "is not closed"),
            ("/v1/{id}x", "unexpected `x`"),
            ("/v1/x{id}", "unexpected `{`"),
            ("/v1/id}", "unexpected `}`"),
            ("/v1/{}", "is not a field path"),
            ("/v1/{a..b}", "is not a field path"),
            ("/v1/{1a}", "is not a field path"),
            ("/v1/{a={b}}", "is within another"),
            ("/v1/{a=b:c}", "is not a list of segments"),
            ("/v1/{a=}", "is not a literal segment"),
            ("/v1/{a}/{a}", "is bound twice"),
            ("/v1/**/x", "is not the last segment"),
            ("/v1/{a=**}/x", "is not the last segment"),
            ("/v1/x:", "is not a literal segment"),
            ("/v1/x:y/z", "is not a literal segment"),
            ("/v1/x:{id}", "is not a literal segment"),
            ("/v1/a%20b", "is not a literal segment"),
            ("/v1/***", "is not a literal segment"),
        ];
        for (template, why) in cases {
            let error = Template::parse(template).expect_err(template);
            assert!(error.contains(why), "{template}: {error}");
        }
    }

    #[test]
    fn a_template_keeps_its_segments_variables_and_verb() {
        let parsed = Template::parse("/v1/{a.b=shelves/*/**}:undelete").expect("a good template");
        let segments =
            [Segment::Literal("v1".into()), Segment::Literal("shelves".into()), Segment::One, Segment::Rest];
        assert_eq!(parsed.segments, segments);
        assert_eq!(parsed.variables, [Variable { path: "a.b".into(), segments: 1..4, many: true }]);
        assert_eq!(parsed.verb.as_deref(), Some("undelete"));
        assert_eq!(parsed.text, "/v1/{a.b=shelves/*/**}:undelete");
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("a%2fb%20%C3%A9", false).as_deref(), Some("a/b é"));
        assert_eq!(unescape("a%2fb%2F%25", true).as_deref(), Some("a%2fb%2F%"));
        for bad in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(unescape(bad, false), None, "{bad}");
        }
    }
}
