//! One file as it was read: its name, its text, and where its lines begin. May not know what the text means.

use std::fs::File;
use std::io::{self, Read};

use crate::expr::Position;

/// The largest file that is read. A policy has at most 128 KiB on the wire, so that is room for a list of many.
pub(super) const FILE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The file name that means standard input.
const STANDARD_INPUT: &str = "-";

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// As the person wrote it on the command line; `<stdin>` for standard input.
    pub(super) name: String,
    /// Without a byte order mark.
    pub(super) text: String,
    /// The offset of the first byte of each line.
    lines: Vec<usize>,
}

impl Source {
    /// A text that is in memory already.
    pub(super) fn new(name: String, text: String) -> Source {
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { name, text, lines }
    }

    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// A sentence: it cannot be read, is larger than [`FILE_MAX_BYTES`], or is not UTF-8.
    pub(super) fn read(name: &str) -> Result<Source, String> {
        let (name, bytes) = if name == STANDARD_INPUT {
            ("<stdin>", bounded(io::stdin().lock()))
        } else {
            (name, File::open(name).and_then(bounded))
        };
        let bytes = bytes.map_err(|error| format!("{name}: cannot be read: {error}"))?;
        if bytes.len() > FILE_MAX_BYTES {
            return Err(format!("{name}: larger than {} MiB", FILE_MAX_BYTES / (1024 * 1024)));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            format!("{name}: not UTF-8 text, from byte {}", error.utf8_error().valid_up_to() + 1)
        })?;
        Ok(Source::new(name.to_owned(), text))
    }

    /// The line and the column (characters) of byte `offset`, both from 1.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or(0);
        let rest = self.text.get(start..).unwrap_or_default();
        let before = rest.char_indices().take_while(|(at, _)| start + at < offset).count();
        Position { line: to_u32(line), column: to_u32(before + 1) }
    }

    /// The byte at `line` and `column`, both from 1; the nearest one before it if there is none.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let Some(start) = line.checked_sub(1).and_then(|index| self.lines.get(index)).copied() else {
            return self.text.len();
        };
        let rest = self.text.get(start..).unwrap_or_default();
        let far = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        start + far
    }
}

/// One byte more than is allowed, at most.
fn bounded(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_offsets_are_each_others_inverse() {
        let source = Source::new("x".into(), "\u{feff}ab\né😀c\r\n\nend".into());
        for (offset, _) in source.text.char_indices() {
            let at = source.position(offset);
            assert_eq!(source.offset(at.line as usize, at.column as usize), offset, "{at:?}");
        }
        assert_eq!(source.position(source.text.find('c').unwrap()), Position { line: 2, column: 3 });
        assert_eq!(source.position(9_999), Position { line: 4, column: 4 });
        assert_eq!(source.offset(99, 1), source.text.len());
    }
}
