//! The keys that secrets in documents are encrypted with, and the sealed texts that stand in their place.
//!
//! AES-256-GCM with a random nonce for each text. A sealed text is `cs1:KEY:BASE64`: the version of this format, the first
//! bytes of the key's digest, so that the right one of several keys is found, and nonce, ciphertext and tag. The place
//! that a text belongs to is authenticated with it: copied to another policy or another field, it does not open.

use super::{Clock, Error, NoEntropy};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt;

/// The version of the format of sealed texts.
const FORMAT: &str = "cs1";
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 12;
/// How many hex digits of a key's digest name it.
const NAME_CHARS: usize = 8;

/// Some keys: the first encrypts, all decrypt.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    name: String,
    cipher: Aes256Gcm,
}

/// Why a text is no list of keys. It does not say what the text is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// One of them is no key.
    #[error("key {number} is not 32 bytes in base64 (`openssl rand -base64 32` makes one)")]
    Key { number: usize },
    /// There is none.
    #[error("there is no key in it (`openssl rand -base64 32` makes one)")]
    Empty,
}

impl Keys {
    /// Reads keys: each 32 bytes in base64, separated by commas or on lines of their own; what stands behind `#` is a
    /// comment.
    ///
    /// # Errors
    /// A key that is none, or no key at all.
    pub fn parse(text: &str) -> Result<Keys, KeysError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty());
        let mut keys = Vec::new();
        for (n, word) in words.enumerate() {
            let wrong = KeysError::Key { number: n + 1 };
            let bytes = STANDARD.decode(word).map_err(|_| wrong.clone())?;
            let bytes = <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| wrong)?;
            let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let name = digest.chars().take(NAME_CHARS).collect();
            keys.push(Key { name, cipher: Aes256Gcm::new(&bytes.into()) });
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Keys(keys)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encrypts for a place.
    ///
    /// # Errors
    /// [`Error::NoSecretsKey`] without keys.
    pub(super) fn seal(&self, clock: &dyn Clock, place: &str, plain: &[u8]) -> Result<String, Error> {
        let key = self.0.first().ok_or(Error::NoSecretsKey)?;
        let random = clock.secret().map_err(|NoEntropy| Error::Internal(NoEntropy.to_string()))?;
        let nonce = random.first_chunk::<NONCE_BYTES>().copied().unwrap_or_default();
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed = key.cipher.encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| Error::Internal("a secret could not be encrypted".to_owned()))?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(format!("{FORMAT}:{}:{}", key.name, STANDARD.encode(bytes)))
    }

    /// Decrypts what was sealed for this place.
    ///
    /// # Errors
    /// [`Error::SecretsKeyMissing`] if it was sealed with a key that is not among these; [`Error::Damaged`].
    pub(super) fn open(&self, place: &str, sealed: &str) -> Result<Vec<u8>, Error> {
        let (name, text) = split(sealed)?;
        let key = self.0.iter().find(|key| key.name == name);
        let key = key.ok_or_else(|| Error::SecretsKeyMissing { key: name.to_owned() })?;
        let bytes = STANDARD.decode(text).map_err(|_| damaged())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        key.cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| damaged())
    }

    /// Whether this text was sealed with the first key.
    pub(super) fn is_fresh(&self, sealed: &str) -> Result<bool, Error> {
        let (name, _) = split(sealed)?;
        Ok(self.0.first().is_some_and(|key| key.name == name))
    }
}

/// The name of the key, and the rest.
fn split(sealed: &str) -> Result<(&str, &str), Error> {
    let (format, rest) = sealed.split_once(':').ok_or_else(damaged)?;
    if format == FORMAT { rest.split_once(':').ok_or_else(damaged) } else { Err(damaged()) }
}

fn damaged() -> Error {
    tracing::error!("a stored secret is not what was sealed there");
    Error::Damaged
}

impl fmt::Debug for Keys {
    /// Their names only.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::SystemClock;

    fn keys(bytes: &[u8]) -> Keys {
        let keys = bytes.iter().map(|byte| STANDARD.encode([*byte; KEY_BYTES]));
        Keys::parse(&keys.collect::<Vec<_>>().join(",")).unwrap()
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed_and_with_any_of_the_keys() {
        let clock = SystemClock::default();
        let old = keys(&[1]);
        let sealed = old.seal(&clock, "here", b"hush").unwrap();
        assert!(!sealed.contains("hush"));
        assert_ne!(sealed, old.seal(&clock, "here", b"hush").unwrap(), "a nonce is never used twice");
        let both = keys(&[2, 1]);
        assert_eq!(both.open("here", &sealed).unwrap(), b"hush");
        assert!(!both.is_fresh(&sealed).unwrap());
        assert!(old.is_fresh(&sealed).unwrap());
        assert!(matches!(both.open("there", &sealed), Err(Error::Damaged)));
        assert!(matches!(keys(&[2]).open("here", &sealed), Err(Error::SecretsKeyMissing { .. })));
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&SystemClock::default(), "here", b"hush").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(keys.open("here", &changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn keys_are_read_from_lines_and_lists() {
        let one = STANDARD.encode([7; KEY_BYTES]);
        let text = format!("# new first\n{one} # 2026\n\n{one},{one}\n");
        assert_eq!(Keys::parse(&text).unwrap().0.len(), 3);
        assert_eq!(Keys::parse("# none\n").unwrap_err(), KeysError::Empty);
        assert_eq!(Keys::parse(&format!("{one},hunter2")).unwrap_err(), KeysError::Key { number: 2 });
        assert!(!format!("{:?}", Keys::parse(&one).unwrap()).contains(&one));
    }
}
