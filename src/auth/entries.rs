//! Files of entries in TOML, to which the command line adds and from which it takes: the tokens file and the clients file.
//!
//! People write into them, too. So what is not the entry in question stays as it was, letter for letter.

mod edit;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Moment, Role};
use edit::{Editing, without};

/// What such a file is made of.
pub trait Entry: Serialize + DeserializeOwned {
    /// The name of its tables, `[[KEY]]`. The principal of an entry is `KEY:ID`.
    const KEY: &'static str;

    /// What no two entries of a file share.
    fn id(&self) -> &str;

    /// What its holder may do.
    fn roles(&self) -> &[Role];

    /// When it was made, if the file says so.
    fn created(&self) -> Option<Moment>;

    /// From when on it counts no more, if there is such a time.
    fn expires(&self) -> Option<Moment>;

    /// Whether the text of a file makes sense as the service reads it.
    ///
    /// # Errors
    /// A sentence.
    fn check(text: &str) -> Result<(), String>;
}

/// Why a file of entries was not read, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// What is in the file makes no sense, or would not; nothing was changed.
    #[error("{path}: {problem}")]
    Parse { path: PathBuf, problem: String },
    /// The entry cannot be written down.
    #[error("the entry cannot be written as TOML: {0}")]
    Write(#[from] toml::ser::Error),
    /// There is no such entry.
    #[error("{path}: there is no {key} {id:?}")]
    Missing { path: PathBuf, key: &'static str, id: String },
    /// The file is written in a way that cannot be changed without changing more than was asked for.
    #[error("{path}: the {key} {id:?} is not written as a [[{key}]] table of its own; take it out by hand")]
    ByHand { path: PathBuf, key: &'static str, id: String },
}

/// The entries of a text, in its order.
///
/// # Errors
/// A sentence, which quotes nothing of the text.
pub(super) fn parse<E: Entry>(text: &str) -> Result<Vec<E>, String> {
    let tables: Result<BTreeMap<String, Vec<E>>, _> = toml::from_str(text);
    let mut tables = tables.map_err(|error| error.message().to_owned())?;
    let entries = tables.remove(E::KEY).unwrap_or_default();
    match tables.keys().next() {
        None => Ok(entries),
        Some(other) => Err(format!("unknown key {other:?}, expected {:?}", E::KEY)),
    }
}

/// The entries of a file, in its order.
///
/// # Errors
/// If it cannot be read or makes no sense.
pub fn entries<E: Entry>(path: &Path) -> Result<Vec<E>, EntriesError> {
    let text = std::fs::read_to_string(path).map_err(|source| EntriesError::Io { path: path.into(), source });
    understood(path, &text?)
}

fn understood<E: Entry>(path: &Path, text: &str) -> Result<Vec<E>, EntriesError> {
    let entries = E::check(text).and_then(|()| parse(text));
    entries.map_err(|problem| EntriesError::Parse { path: path.to_owned(), problem })
}

/// Adds an entry to the end of a file, which is made if it is not there. The file is replaced in one step, so that whoever
/// reads it sees the old or the new one.
///
/// # Errors
/// If the file cannot be read or written, or would make no sense with this entry.
pub fn append<E: Entry>(path: &Path, entry: &E) -> Result<(), EntriesError> {
    let failed = |source| EntriesError::Io { path: path.to_owned(), source };
    let file = Editing::begin(path).map_err(failed)?;
    let mut text = file.text().to_owned();
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(&format!("[[{}]]\n{}", E::KEY, toml::to_string(entry)?));
    understood::<E>(path, &text)?;
    file.replace(&text).map_err(failed)
}

/// Takes an entry out of a file, with the comment that stands right above it, and gives it back. The file is replaced in one
/// step; everything else in it stays as it is.
///
/// # Errors
/// If the file cannot be read or written, makes no sense, has no such entry, or has it in another form than a table.
pub fn remove<E: Entry>(path: &Path, id: &str) -> Result<E, EntriesError> {
    let failed = |source| EntriesError::Io { path: path.to_owned(), source };
    let file = Editing::begin(path).map_err(failed)?;
    let mut before: Vec<E> = understood(path, file.text())?;
    let (id, key) = (id.to_owned(), E::KEY);
    let Some(at) = before.iter().position(|entry| entry.id() == id) else {
        return Err(EntriesError::Missing { path: path.to_owned(), key, id });
    };
    let removed = before.remove(at);
    let text = without(file.text(), key, at);
    // What was cut out of a text has to be looked at again.
    let after = text.as_deref().and_then(|text| parse::<E>(text).ok()).unwrap_or_default();
    match text {
        Some(text) if before.iter().map(E::id).eq(after.iter().map(E::id)) => {
            file.replace(&text).map_err(failed)?;
            Ok(removed)
        }
        _ => Err(EntriesError::ByHand { path: path.to_owned(), key, id }),
    }
}
