//! The form of a record on disk: which format, which commit wrote it, and a checksum over all of it.
//!
//! `format u8 | revision u64 big-endian | crc32 u32 big-endian over key, revision and value | value`
//!
//! The key is under the checksum, so that a record that turns up under another key is damage too. Nothing
//! here touches a disk, and nothing else knows this layout.

use bytes::Bytes;

use super::{Error, Revision, Stored};

/// The format that this build writes. A record of another format is refused, never guessed at.
const RECORD_FORMAT: u8 = 1;
/// Format, revision and checksum.
const HEADER_BYTES: usize = 1 + 8 + 4;

/// The bytes to store for `value` under `key`.
pub(super) fn encode(key: &[u8], revision: Revision, value: &[u8]) -> Vec<u8> {
    let revision = revision.to_be_bytes();
    let mut out = Vec::with_capacity(HEADER_BYTES + value.len());
    out.push(RECORD_FORMAT);
    out.extend_from_slice(&revision);
    out.extend_from_slice(&checksum(key, &revision, value).to_be_bytes());
    out.extend_from_slice(value);
    out
}

/// What `raw`, found under `key`, says, once it is known to be what was written.
pub(super) fn decode(key: &[u8], raw: &Bytes) -> Result<Stored, Error> {
    let (header, value) = split(key, raw)?;
    if header.checksum != checksum(key, &header.revision, value) {
        return Err(corrupt(key, "its checksum does not match"));
    }
    Ok(Stored { revision: u64::from_be_bytes(header.revision), value: raw.slice(HEADER_BYTES..) })
}

struct Header {
    revision: [u8; 8],
    checksum: u32,
}

fn split<'a>(key: &[u8], raw: &'a [u8]) -> Result<(Header, &'a [u8]), Error> {
    let short = || corrupt(key, "it is shorter than its header");
    let (&format, rest) = raw.split_first().ok_or_else(short)?;
    if format != RECORD_FORMAT {
        return Err(corrupt(key, "its format is not known to this build"));
    }
    let (&revision, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (&checksum, value) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    Ok((Header { revision, checksum: u32::from_be_bytes(checksum) }, value))
}

fn checksum(key: &[u8], revision: &[u8; 8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(revision);
    hasher.update(value);
    hasher.finalize()
}

fn corrupt(key: &[u8], why: &str) -> Error {
    Error::Corrupt { key: key.to_vec(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went_in() {
        let raw = Bytes::from(encode(b"key", 7, b"value"));
        assert_eq!(decode(b"key", &raw), Ok(Stored { revision: 7, value: Bytes::from_static(b"value") }));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let raw = encode(b"key", 7, b"value");
        for byte in 0..raw.len() {
            for bit in 0..8 {
                let mut damaged = raw.clone();
                damaged[byte] ^= 1 << bit;
                assert!(decode(b"key", &Bytes::from(damaged)).is_err(), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn a_record_under_another_key_or_cut_short_is_damage() {
        let raw = encode(b"key", 7, b"value");
        assert!(decode(b"kez", &Bytes::from(raw.clone())).is_err());
        for length in 0..raw.len() {
            assert!(decode(b"key", &Bytes::from(raw[..length].to_vec())).is_err(), "{length} bytes");
        }
    }
}
