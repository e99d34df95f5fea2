//! Composite keys: tables inside one ordered space of keys, and parts inside a key, so that keys sort as
//! their parts do.
//!
//! A key is one byte that names the table, then its parts, each written so that comparing the bytes compares
//! the parts: a number is eight bytes, big end first; text or bytes end with `00 01`, and a `00` inside them
//! becomes `00 FF`. What the parts mean is the caller's business. A key built from fewer parts is a prefix of
//! those that go on with more, which is what [`Key::range`] is for.

use super::KeyRange;

const ESCAPE: u8 = 0x00;
/// After [`ESCAPE`]: the part ends here. Lower than [`ZERO`], so that a text sorts before those that it
/// begins.
const END: u8 = 0x01;
/// After [`ESCAPE`]: the byte 0.
const ZERO: u8 = 0xFF;

/// A key under construction.
///
/// ```
/// use countersign::store::table::{Key, Parts};
///
/// const BY_NAME: u8 = 3;
/// let key = Key::new(BY_NAME).text("grant").u64(7).into_bytes();
/// let mut parts = Parts::of(BY_NAME, &key)?;
/// assert_eq!((parts.text()?.as_str(), parts.u64()?), ("grant", 7));
/// parts.end()?;
/// assert!(Key::new(BY_NAME).text("grant").range().contains(&key));
/// # Ok::<(), countersign::store::table::Malformed>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    bytes: Vec<u8>,
}

impl Key {
    #[must_use]
    pub fn new(table: u8) -> Key {
        Key { bytes: vec![table] }
    }

    /// Appends a text. Sorts by its UTF-8 bytes, which is by code points.
    #[must_use]
    pub fn text(self, text: &str) -> Key {
        self.bytes(text.as_bytes())
    }

    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Key {
        self.escape(bytes);
        self.bytes.extend_from_slice(&[ESCAPE, END]);
        self
    }

    #[must_use]
    pub fn u64(mut self, number: u64) -> Key {
        self.bytes.extend_from_slice(&number.to_be_bytes());
        self
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The keys that begin with these parts: this one and all that go on with more parts.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::prefix(&self.bytes)
    }

    /// The keys that begin with these parts and go on with a text that begins with `start`.
    #[must_use]
    pub fn range_of_text(&self, start: &str) -> KeyRange {
        let mut open = self.clone();
        open.escape(start.as_bytes());
        open.range()
    }

    fn escape(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.bytes.push(byte);
            if byte == ESCAPE {
                self.bytes.push(ZERO);
            }
        }
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Vec<u8> {
        key.bytes
    }
}

/// The bytes are not a key of the table with the parts that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key of this table")]
pub struct Malformed;

/// Takes the parts of a key off its front, in the order in which they were put there.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// # Errors
    ///
    /// When `key` is not a key of `table`; and so for the parts, when they are not of the kind that was asked
    /// for.
    pub fn of(table: u8, key: &'a [u8]) -> Result<Parts<'a>, Malformed> {
        match key.split_first() {
            Some((&first, rest)) if first == table => Ok(Parts { rest }),
            _ => Err(Malformed),
        }
    }

    pub fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let mut bytes = Vec::new();
        loop {
            let at = self.rest.iter().position(|byte| *byte == ESCAPE).ok_or(Malformed)?;
            let (plain, escaped) = self.rest.split_at_checked(at).ok_or(Malformed)?;
            bytes.extend_from_slice(plain);
            match escaped {
                [ESCAPE, END, rest @ ..] => {
                    self.rest = rest;
                    return Ok(bytes);
                }
                [ESCAPE, ZERO, rest @ ..] => {
                    bytes.push(0);
                    self.rest = rest;
                }
                _ => return Err(Malformed),
            }
        }
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = self.rest.split_first_chunk::<8>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*number))
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: u8 = 7;

    fn key((name, number, raw): &(String, u64, Vec<u8>)) -> Vec<u8> {
        Key::new(TABLE).text(name).u64(*number).bytes(raw).into_bytes()
    }

    /// Few letters, with the bytes that the encoding treats specially among them, so that keys share
    /// beginnings.
    fn parts() -> impl Strategy<Value = (String, u64, Vec<u8>)> {
        let number = prop_oneof![0..3_u64, any::<u64>()];
        let raw = prop::collection::vec(prop_oneof![Just(0), Just(1), Just(2), Just(0xFE), Just(0xFF)], 0..4);
        ("[\0\u{1}ab\u{ff}\u{10ffff}]{0,4}", number, raw)
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_parts(left in parts(), right in parts()) {
            prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right));
        }

        #[test]
        fn parts_come_back(parts in parts()) {
            let key = key(&parts);
            let mut found = Parts::of(TABLE, &key).unwrap();
            prop_assert_eq!((found.text().unwrap(), found.u64().unwrap(), found.bytes().unwrap()), parts);
            found.end().unwrap();
        }

        #[test]
        fn a_range_has_what_begins_with_its_parts(left in parts(), right in parts()) {
            let key = key(&left);
            let range = Key::new(TABLE).text(&right.0).range();
            prop_assert_eq!(range.contains(&key), left.0 == right.0);
            let range = Key::new(TABLE).range_of_text(&right.0);
            prop_assert_eq!(range.contains(&key), left.0.starts_with(&right.0));
        }

        #[test]
        fn no_bytes_make_it_panic(key in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(mut parts) = Parts::of(TABLE, &key) {
                let _ = (parts.bytes(), parts.u64(), parts.text());
            }
        }
    }

    #[test]
    fn what_is_not_such_a_key_is_refused() {
        assert_eq!(Parts::of(TABLE, b"").unwrap_err(), Malformed);
        assert_eq!(Parts::of(TABLE, &Key::new(8).into_bytes()).unwrap_err(), Malformed);
        let key = Key::new(TABLE).bytes(b"\xFF").u64(1).into_bytes();
        assert_eq!(Parts::of(TABLE, &key).unwrap().text(), Err(Malformed));
        let mut parts = Parts::of(TABLE, &key).unwrap();
        parts.bytes().unwrap();
        assert_eq!(parts.clone().end(), Err(Malformed));
        assert_eq!(parts.bytes(), Err(Malformed));
    }
}
