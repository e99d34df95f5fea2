//! The dialects that `check` knows: what each finds in one document. A new one is a variant of [`Name`] and an
//! implementation of [`Dialect`].

mod c1;

use super::finding::Finding;
use super::source::Source;
use super::tree::{NodeId, Tree};
use crate::workflow::Nobody;

/// A dialect, as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Name {
    /// Policies in the shape of ConductorOne's API.
    C1,
    /// Policies in the shape of Guardian's (not there yet).
    Guardian,
}

/// What is found in one document without asking a server.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// What only a server can know about.
    pub(super) references: Vec<Reference>,
}

/// A reference to a stored policy.
#[derive(Debug)]
pub(super) struct Reference {
    /// In the spelling of the file.
    pub(super) path: String,
    /// Where in the file the id stands.
    pub(super) offset: usize,
    /// The id of the other policy.
    pub(super) target: String,
    /// The number of the type that the other policy has to have.
    pub(super) policy_type: i32,
}

/// How documents of one dialect are checked.
pub(super) trait Dialect {
    /// Checks the document at `root`.
    fn check(&self, source: &Source, tree: &Tree, root: NodeId) -> Checked;
}

/// The dialect of that name.
///
/// # Errors
/// A sentence, for one that is known but not there yet.
pub(super) fn named(name: Name, nobody: Nobody) -> Result<Box<dyn Dialect>, &'static str> {
    match name {
        Name::C1 => Ok(Box::new(c1::C1::new(nobody)?)),
        Name::Guardian => Err("the guardian dialect cannot be checked yet; only c1 can"),
    }
}
