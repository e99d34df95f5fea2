//! A file that holds one message of our own API, or a list of them: read as policies are, with every fault at its place.
//! May not know what the messages mean.

use std::io::{self, Write as _};

use prost::{Message, Name};

use super::decode::{Decoder, locate};
use super::finding::{Finding, Reported, Severity};
use super::source::Source;
use super::tree::{NodeId, Tree, Value};
use super::{parse, place, print};
use crate::cli::terminal::printable;
use crate::cli::{FAILED, Failure};
use crate::gateway::Style;
use crate::policy::Violation;

/// A file that was read, to find in it what is said about it later.
#[derive(Debug)]
pub(in crate::cli) struct Origin {
    source: Source,
    tree: Tree,
    /// The message, or the list of messages.
    root: NodeId,
}

/// Reads the one message of a file.
///
/// # Errors
/// Wrong usage if it cannot be read. Every fault of what it says is printed to standard error.
pub(in crate::cli) fn message<M: Message + Name + Default>(file: &str) -> Result<(Origin, M), Failure> {
    let origin = Origin::read(file)?;
    let mut findings = Vec::new();
    let message = origin.decode(&decoder::<M>()?, origin.root, &mut findings);
    Ok((origin.sound(findings)?, message))
}

/// Reads a list of messages; it may be the only field, called `field`, of an object.
///
/// # Errors
/// As [`message`].
pub(in crate::cli) fn messages<M: Message + Name + Default>(
    file: &str,
    field: &str,
) -> Result<(Origin, Vec<M>), Failure> {
    let mut origin = Origin::read(file)?;
    if let [(key, value)] = origin.tree.entries(origin.root)
        && origin.tree.text(*key) == field
    {
        origin.root = *value;
    }
    let mut findings = Vec::new();
    if !matches!(origin.tree.node(origin.root).map(|node| &node.value), Some(Value::List(_))) {
        let at = place::start_of(&origin.tree, origin.root);
        let sentence = format!("expected a list, or an object with nothing but `{field}`, which is one");
        findings.push(Finding::violation(at, "TYPE_MISMATCH", sentence));
    }
    let decoder = decoder::<M>()?;
    let items = origin.tree.items(origin.root).to_vec();
    let messages = items.into_iter().map(|item| origin.decode(&decoder, item, &mut findings)).collect();
    Ok((origin.sound(findings)?, messages))
}

fn decoder<M: Name>() -> Result<Decoder, Failure> {
    let reading = Style::CONDUCTORONE.read;
    Decoder::new(&M::full_name(), reading, Severity::Violation).map_err(Failure::failed)
}

impl Origin {
    /// Reads a file that has one document.
    fn read(file: &str) -> Result<Origin, Failure> {
        let source = Source::read(file).map_err(|sentence| Failure::usage(printable(&sentence)))?;
        let (tree, mut findings) = parse(&source);
        let root = match tree.documents.as_slice() {
            [root] => *root,
            [] => {
                if findings.is_empty() {
                    findings.push(Finding::violation(0, "DOCUMENT_MISSING", "there is nothing in this file"));
                }
                0
            }
            [_, second, ..] => {
                let at = place::start_of(&tree, *second);
                let sentence = "there is more than one document in this file";
                findings.push(Finding::violation(at, "DOCUMENTS_TOO_MANY", sentence));
                0
            }
        };
        Origin { source, tree, root }.sound(findings)
    }

    /// The message at `root`; an empty one with faults.
    fn decode<M: Message + Default>(
        &self,
        decoder: &Decoder,
        root: NodeId,
        findings: &mut Vec<Finding>,
    ) -> M {
        let decoded = decoder.decode(&self.tree, root, false);
        findings.extend(decoded.findings);
        let message = M::decode(decoded.bytes.unwrap_or_default().as_slice());
        message.unwrap_or_else(|error| {
            let at = place::start_of(&self.tree, root);
            findings.push(Finding::violation(at, "DOCUMENT_MALFORMED", error.to_string()));
            M::default()
        })
    }

    /// The same, if nothing was found.
    fn sound(self, findings: Vec<Finding>) -> Result<Origin, Failure> {
        if findings.is_empty() {
            return Ok(self);
        }
        self.print(findings)?;
        Err(Failure::said(FAILED))
    }

    fn print(&self, mut findings: Vec<Finding>) -> Result<(), Failure> {
        findings.sort_by_key(|finding| finding.offset);
        let mut out = io::BufWriter::new(io::stderr().lock());
        for finding in &findings {
            print::finding(&mut out, print::Format::Text, &self.source, finding).map_err(Failure::failed)?;
        }
        out.flush().map_err(Failure::failed)
    }

    /// Prints what the service says about the message, at its places in the file. The paths are those below the message.
    ///
    /// # Errors
    /// If nothing can be printed.
    pub(in crate::cli) fn tell(&self, violations: Vec<Violation>) -> Result<(), Failure> {
        let reported = violations.into_iter().map(Reported::from);
        self.print(reported.map(|one| locate(&self.source, &self.tree, self.root, one)).collect())
    }
}
