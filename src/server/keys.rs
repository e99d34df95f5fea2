//! Reads the keys that secrets are encrypted with, from where the settings say they are.

use std::io;

use crate::app::{Keys, KeysError};
use crate::config::KeySource;

/// Why there are no keys. The text never shows one.
#[derive(Debug, thiserror::Error)]
pub enum KeysUnreadable {
    /// The file cannot be read.
    #[error("secrets-keys: cannot read {source_name}: {error}")]
    Read { source_name: String, error: io::Error },
    /// The variable is not set, or not text.
    #[error("secrets-keys: the environment variable {0} is not set")]
    Unset(String),
    /// What is there are no keys.
    #[error("secrets-keys: {source_name}: {error}")]
    Keys { source_name: String, error: KeysError },
}

/// The keys that a source holds; none for [`KeySource::None`].
pub fn keys(source: &KeySource) -> Result<Keys, KeysUnreadable> {
    let source_name = source.to_string();
    let text = match source {
        KeySource::None => return Ok(Keys::default()),
        KeySource::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return Err(KeysUnreadable::Read { source_name, error }),
        },
        KeySource::Variable(name) => std::env::var(name).map_err(|_| KeysUnreadable::Unset(name.clone()))?,
    };
    Keys::parse(&text).map_err(|error| KeysUnreadable::Keys { source_name, error })
}
