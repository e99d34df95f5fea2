//! Changing a file that others read and write: one at a time, in one step, and nothing of it but what is meant.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Only their owner may read such files, although nothing in them lets anybody in. One that is there keeps its mode.
const FILE_MODE: u32 = 0o600;

/// A file that nobody else of ours changes as long as this lasts.
#[derive(Debug)]
pub(super) struct Editing {
    path: PathBuf,
    /// Locked, since the file itself is going to be another one.
    directory: File,
    before: Option<Metadata>,
    text: String,
}

impl Editing {
    /// Waits until nobody else changes anything in the directory, and reads the file. One that is not there is empty.
    pub(super) fn begin(path: &Path) -> io::Result<Editing> {
        // Behind a link is the file that is meant.
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            resolved => resolved?,
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = File::open(parent.unwrap_or(Path::new(".")))?;
        // Where the file system has no locks, people have to take turns.
        let _ = rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive);
        let (text, before) = match fs::read_to_string(&path) {
            Ok(text) => (text, Some(fs::metadata(&path)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(error) => return Err(error),
        };
        Ok(Editing { path, directory, before, text })
    }

    /// What the file says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts a file of this text in its place, of the same owner and mode. Afterwards it is there for good.
    pub(super) fn replace(self, text: &str) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = self.path.with_file_name(name);
        let done = self.write(&new, text).and_then(|()| fs::rename(&new, &self.path));
        if done.is_err() {
            let _ = fs::remove_file(&new);
        }
        done.and_then(|()| self.directory.sync_all())
    }

    fn write(&self, new: &Path, text: &str) -> io::Result<()> {
        // What somebody left behind who was interrupted may have another mode.
        match fs::remove_file(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(new)?;
        if let Some(before) = &self.before {
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            file.set_permissions(before.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

/// The text without its `nth` table `[[key]]`, counted from 0. `None` if it has no such line.
///
/// A comment right above the table goes with it, unless the file begins with it; all others stay.
pub(super) fn without(text: &str, key: &str, nth: usize) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_comment = |line: &&str| line.trim_start().starts_with('#');
    let is_blank = |line: &&str| line.trim().is_empty();
    let is_header = |line: &str| {
        let rest = line.trim_start().strip_prefix("[[").and_then(|rest| rest.split_once("]]"));
        rest.is_some_and(|(name, _)| name.trim() == key)
    };
    let at = lines.iter().enumerate().filter(|(_, line)| is_header(line)).nth(nth)?.0;
    let (above, below) = lines.split_at_checked(at)?;
    let comment = above.iter().rev().take_while(|line| is_comment(line)).count();
    let above = match above.len().checked_sub(comment) {
        None | Some(0) => above,
        Some(rest) => above.get(..rest)?,
    };
    let own = 1 + below.iter().skip(1).take_while(|line| !line.trim_start().starts_with('[')).count();
    let (own, below) = below.split_at_checked(own)?;
    // Comments behind the last line of the table are about something else.
    let behind = own.iter().rev().take_while(|line| is_comment(line) || is_blank(line)).count();
    let kept = own.iter().skip(own.len() - behind).chain(below);
    let kept = kept.skip_while(|line| is_blank(line) && above.last().is_none_or(is_blank));
    Some(above.iter().chain(kept).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The tokens of the shop.\n\n# for CI\n[[token]]\nname = 'a'\n\n[[ token ]] # b\nname = 'b'\n\
                        roles = [\n  'viewer', # only\n]\n\n# for CD\n[[token]]\nname = 'c'\n# the end\n";

    #[test]
    fn a_table_goes_with_its_comment_and_nothing_else_does() {
        let (head, a, b) =
            ("# The tokens of the shop.\n\n", "# for CI\n[[token]]\nname = 'a'\n\n", "name = 'b'\n");
        let rest = TEXT.split_once("[[ token ]]").unwrap().1;
        assert_eq!(without(TEXT, "token", 0).unwrap(), format!("{head}[[ token ]]{rest}"));
        let c = "# for CD\n[[token]]\nname = 'c'\n# the end\n";
        assert_eq!(without(TEXT, "token", 1).unwrap(), format!("{head}{a}{c}"));
        let without_c = without(TEXT, "token", 2).unwrap();
        assert!(without_c.contains(b) && without_c.ends_with("]\n\n# the end\n"), "{without_c}");
        assert!(!without_c.contains("for CD"), "{without_c}");
        assert_eq!(without(TEXT, "token", 3), None);
        assert_eq!(without("token = [{ name = 'a' }]\n", "token", 0), None);
        let headed = "# the head\n[[token]]\nname = 'a'";
        assert_eq!(without(headed, "token", 0).unwrap(), "# the head\n");
    }
}
