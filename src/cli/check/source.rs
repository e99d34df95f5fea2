//! One file as it was read: its name, its text, and where its lines begin. May not know what the text means.

use std::fs::File;
use std::io::{self, Read};

use crate::expr::Position;

/// The largest file that is read. A policy has at most 128 KiB on the wire, so that is room for a list of many.
pub(super) const FILE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// A long line has a mark after so many characters at least, so that finding places in it takes no longer than elsewhere.
const MARK_EVERY_CHARS: u32 = 1024;
/// The file name that means standard input.
const STANDARD_INPUT: &str = "-";

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// As the person wrote it on the command line; `<stdin>` for standard input.
    pub(super) name: String,
    /// Without a byte order mark.
    pub(super) text: String,
    /// Places on the way: the start of each line, and some within long lines. In their order.
    marks: Vec<(usize, Position)>,
}

impl Source {
    /// A text that is in memory already.
    pub(super) fn new(name: String, text: String) -> Source {
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let mut at = Position { line: 1, column: 1 };
        let mut marks = vec![(0, at)];
        for (offset, character) in text.char_indices() {
            at = match character {
                '\n' => Position { line: at.line.saturating_add(1), column: 1 },
                _ => Position { column: at.column.saturating_add(1), ..at },
            };
            if at.column % MARK_EVERY_CHARS == 1 {
                marks.push((offset + character.len_utf8(), at));
            }
        }
        Source { name, text, marks }
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

    /// Whether it has to be JSON, by its name.
    pub(super) fn is_json(&self) -> bool {
        self.name.to_ascii_lowercase().ends_with(".json")
    }

    /// The line and the column (characters) of byte `offset`, both from 1.
    pub(super) fn position(&self, offset: usize) -> Position {
        let (start, mut at) = self.last_mark(|(start, _)| *start <= offset);
        let rest = self.text.get(start..).unwrap_or_default();
        let before = rest.char_indices().take_while(|(far, _)| start + far < offset).count();
        at.column = at.column.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
        at
    }

    /// The byte at `line` and `column`, both from 1; the nearest one before it if there is none.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let to_u32 = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let place = Position { line: to_u32(line), column: to_u32(column) };
        let (start, at) = self.last_mark(|(_, at)| *at <= place);
        let rest = self.text.get(start..).unwrap_or_default();
        let line_end = rest.find('\n').unwrap_or(rest.len());
        let far = if at.line == place.line { place.column - at.column } else { u32::MAX };
        let here = rest.get(..line_end).unwrap_or_default().char_indices();
        let step = here.map(|(far, _)| far).nth(usize::try_from(far).unwrap_or(usize::MAX));
        start + step.unwrap_or(line_end)
    }

    /// The last mark for which this holds; it holds for the first ones.
    fn last_mark(&self, holds: impl Fn(&(usize, Position)) -> bool) -> (usize, Position) {
        let index = self.marks.partition_point(holds).checked_sub(1);
        index.and_then(|index| self.marks.get(index)).copied().unwrap_or((0, Position { line: 1, column: 1 }))
    }
}

/// One byte more than is allowed, at most.
fn bounded(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_offsets_are_each_others_inverse() {
        let source = Source::new("x".into(), format!("\u{feff}ab\né😀c\r\n\n{}end", "ü".repeat(3000)));
        for (offset, _) in source.text.char_indices() {
            let at = source.position(offset);
            assert_eq!(source.offset(at.line as usize, at.column as usize), offset, "{at:?}");
        }
        assert_eq!(source.position(source.text.find('c').unwrap()), Position { line: 2, column: 3 });
        assert_eq!(source.position(99_999), Position { line: 4, column: 3004 });
        assert_eq!(source.offset(99, 1), source.text.len());
    }
}
