//! Field paths as a client writes them: `policySteps.grant.steps[2].approval.users.userIds`.
//!
//! A path grows on the stack while a check walks down a document, and becomes text only when there is something to
//! report. It does not know which fields exist.

use std::fmt;

/// Keys are shown up to here and then cut; every key that is allowed is shorter. A path can be reported a hundred times,
/// and the key in it may be as long as a whole message.
const KEY_SHOWN_MAX_BYTES: usize = 256;

/// One place in a document: a chain of parts, each borrowing the one above it.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    above: Option<&'a Path<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl Path<'static> {
    /// The document itself; as text, the empty string.
    pub const ROOT: Path<'static> = Path { above: None, part: Part::Root };
}

impl<'a> Path<'a> {
    /// The field `name` (lowerCamelCase, as in JSON) of the message at this path. A dotted name stands for several.
    pub fn field(&'a self, name: &'a str) -> Path<'a> {
        Path { above: Some(self), part: Part::Field(name) }
    }

    /// The entry `key` of the map at this path; a key that is not a plain word is put between back-ticks (AIP-161).
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { above: Some(self), part: Part::Key(key) }
    }

    /// The item at `index` (from 0) of the list at this path.
    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path { above: Some(self), part: Part::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        above.fmt(out)?;
        let dot = if matches!(above.part, Part::Root) { "" } else { "." };
        match self.part {
            Part::Root => Ok(()),
            Part::Field(name) => write!(out, "{dot}{name}"),
            Part::Key(key) if is_plain(key) && key.len() <= KEY_SHOWN_MAX_BYTES => write!(out, "{dot}{key}"),
            Part::Key(key) => write!(out, "{dot}`{}`", shown(key).replace('`', "``")),
            Part::Index(index) => write!(out, "[{index}]"),
        }
    }
}

/// Whether a map key can stand in a path without back-ticks.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn shown(key: &str) -> String {
    let boundaries = key.char_indices().map(|(at, _)| at);
    let end = boundaries.take_while(|at| *at <= KEY_SHOWN_MAX_BYTES).last().unwrap_or(0);
    match key.get(..end) {
        Some(start) if key.len() > KEY_SHOWN_MAX_BYTES => format!("{start}..."),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn long_keys_are_cut() {
        for letter in ["x", "ü", "\u{10ffff}"] {
            let path = Path::ROOT.field("policySteps").key(&letter.repeat(256 / letter.len())).to_string();
            assert!(!path.contains("..."), "{path}");
            let path = Path::ROOT.field("policySteps").key(&letter.repeat(257)).to_string();
            assert!(path.ends_with("...`") && path.len() < 280, "{path}");
        }
    }

    #[test]
    fn paths_read_as_a_client_writes_them() {
        let root = Path::ROOT;
        let steps = root.field("policySteps");
        let grant = steps.key("grant");
        let list = grant.field("steps");
        let second = list.index(2);
        let users = second.field("approval.users");
        assert_eq!(users.field("userIds").to_string(), "policySteps.grant.steps[2].approval.users.userIds");
        assert_eq!(steps.key("my key").to_string(), "policySteps.`my key`");
        assert_eq!(steps.key("a`b").to_string(), "policySteps.`a``b`");
        assert_eq!(steps.key("").to_string(), "policySteps.``");
        assert_eq!(root.to_string(), "");
    }
}
