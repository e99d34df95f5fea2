//! The files of tests below a directory. May not read them.

use std::fs;
use std::path::{Path, PathBuf};

/// What the name of such a file ends in.
pub(super) const ENDINGS: &[&str] = &[".test.yaml", ".test.yml", ".test.json"];
/// The most files of one run.
const FILES_MAX: usize = 10_000;
/// How deep directories are looked into.
const DEPTH_MAX_LEVELS: usize = 32;

/// All of them, sorted; a file that is named itself is one, whatever its name. Links to directories are not followed.
///
/// # Errors
/// A sentence: something cannot be read, there are none, or too many.
pub(super) fn files(start: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |path: &Path, error| format!("{}: cannot be read: {error}", path.display());
    let about = fs::metadata(start).map_err(|error| unreadable(start, error))?;
    if about.is_file() {
        return Ok(vec![start.to_owned()]);
    }
    let mut found = Vec::new();
    let mut open = vec![(start.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(|error| unreadable(&directory, error))? {
            let entry = entry.map_err(|error| unreadable(&directory, error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), error))?;
            let name = entry.file_name();
            let is_test = name.to_str().is_some_and(|name| ENDINGS.iter().any(|end| name.ends_with(end)));
            if kind.is_dir() && depth < DEPTH_MAX_LEVELS {
                open.push((entry.path(), depth + 1));
            } else if is_test && !kind.is_dir() {
                found.push(entry.path());
            }
            if found.len() > FILES_MAX {
                return Err(format!("{}: more than {FILES_MAX} files of tests", start.display()));
            }
        }
    }
    if found.is_empty() {
        return Err(format!("{}: no file in it ends in {}", start.display(), ENDINGS.join(", ")));
    }
    found.sort();
    Ok(found)
}
