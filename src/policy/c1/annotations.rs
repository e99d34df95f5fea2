//! Annotations: small labels that tools keep on a policy. Limits from section 2.1 of the public reference.

use super::super::{Path, Report};
use std::collections::BTreeMap;

/// The most annotations on one policy.
pub const ANNOTATIONS_MAX: usize = 16;
/// The most characters in a key: one letter and up to 127 more.
pub const KEY_MAX_CHARS: usize = 128;
/// The most characters in a value.
pub const VALUE_MAX_CHARS: usize = 256;
/// The most bytes of all keys and values together.
pub const ANNOTATIONS_MAX_BYTES: usize = 4096;
/// Keys that begin so belong to the service.
const RESERVED_PREFIX: &str = "c1/";

/// Refuses keys and values outside the limits.
pub(super) fn check(report: &mut Report, path: &Path<'_>, annotations: &BTreeMap<String, String>) {
    if annotations.len() > ANNOTATIONS_MAX {
        let message = format!("{} annotations; the limit is {ANNOTATIONS_MAX}", annotations.len());
        report.refuse(path, "ANNOTATIONS_TOO_MANY", message);
    }
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ANNOTATIONS_MAX_BYTES {
        let message = format!("{bytes} bytes of keys and values; the limit is {ANNOTATIONS_MAX_BYTES} bytes");
        report.refuse(path, "ANNOTATIONS_TOO_LARGE", message);
    }
    for (key, value) in annotations {
        let at = path.key(key);
        if key.starts_with(RESERVED_PREFIX) {
            report.refuse(&at, "ANNOTATION_KEY_RESERVED", "keys under `c1/` are kept for the service");
        } else if !is_key(key) {
            let message = "a key is a letter and then up to 127 letters, digits or any of . _ / -";
            report.refuse(&at, "ANNOTATION_KEY_INVALID", message);
        }
        if !is_value(value) {
            let message = "a value is at most 256 characters, each one that a URL can hold unescaped";
            report.refuse(&at, "ANNOTATION_VALUE_INVALID", message);
        }
    }
}

/// Lays what was sent over what is kept: keys not sent stay, an empty value removes its key.
pub fn merge(kept: &BTreeMap<String, String>, sent: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut merged = kept.clone();
    for (key, value) in sent {
        if value.is_empty() {
            merged.remove(key);
        } else {
            merged.insert(key.clone(), value.clone());
        }
    }
    merged
}

fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= KEY_MAX_CHARS
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
}

/// URL-safe: the unreserved and reserved characters of RFC 3986, and the percent sign.
fn is_value(value: &str) -> bool {
    value.len() <= VALUE_MAX_CHARS
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b))
}
