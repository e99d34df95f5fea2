//! Files of entries in TOML, to which the command line adds: the tokens file and the clients file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Only their owner may read such files, although nothing in them lets anybody in.
const FILE_MODE: u32 = 0o600;

/// Why an entry was not added.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// What is in the file makes no sense, so nothing is added to it.
    #[error("{path}: {problem}")]
    Parse { path: PathBuf, problem: String },
    /// The entry cannot be written down.
    #[error("the entry cannot be written as TOML: {0}")]
    Write(#[from] toml::ser::Error),
}

/// Adds an entry to the end of a file, which is made if it is not there. `check` is given the whole of it as it will be,
/// and may refuse. The file is replaced in one step, so that whoever reads it sees the old or the new one.
///
/// # Errors
/// If the file cannot be read or written, or `check` refuses.
pub fn append<T>(
    path: &Path,
    key: &'static str,
    entry: &impl Serialize,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<(), EntriesError> {
    let failed = |source| EntriesError::Io { path: path.to_owned(), source };
    let mut text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(&format!("[[{key}]]\n{}", toml::to_string(entry)?));
    check(&text).map_err(|problem| EntriesError::Parse { path: path.to_owned(), problem })?;

    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let write = || {
        let mut file: File =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(failed)
}
