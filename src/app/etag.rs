//! Etags: which state of a policy a client has seen (AIP-154, RFC 9110 section 13).

use super::Error;

/// The etag of a revision, quotes included: its number, and a checksum of its document, so that a store that was put
/// back from a backup and written to again does not give an old etag to other words.
pub fn etag(number: u64, document: &[u8]) -> String {
    format!("\"{number}-{:08x}\"", crc32fast::hash(document))
}

/// Refuses a write whose `If-Match` names neither `*` nor this etag. Weak etags never match (RFC 9110, 13.1.1).
pub(super) fn require(if_match: Option<&str>, id: &str, etag: &str) -> Result<(), Error> {
    let Some(wanted) = if_match else { return Ok(()) };
    if wanted.split(',').map(str::trim).any(|one| one == "*" || one == etag) {
        return Ok(());
    }
    Err(Error::EtagMismatch { id: id.to_owned(), etag: etag.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{etag, require};

    #[test]
    fn if_match_takes_a_star_a_list_and_nothing_weak() {
        let now = etag(3, b"document");
        for good in [None, Some("*"), Some(now.as_str()), Some(format!("\"1-0\", {now}").as_str())] {
            assert!(require(good, "id", &now).is_ok(), "{good:?}");
        }
        for bad in ["", "\"1-0\"", format!("W/{now}").as_str(), now.trim_matches('"')] {
            assert!(require(Some(bad), "id", &now).is_err(), "{bad:?}");
        }
    }
}
