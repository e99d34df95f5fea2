//! The id by which a caller and an operator speak of the same request.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Taken from the request where it is sane, made where it is not, and echoed in the answer.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Ids go into log lines: longer ones are replaced.
const REQUEST_ID_MAX_BYTES: usize = 128;
/// The random part of a UUIDv7.
const RANDOM_BYTES: usize = 10;
/// Random bytes are fetched for so many ids at one time: a system call for each request would show in the rate.
const IDS_PER_FETCH: usize = 64;

thread_local! {
    static RANDOM: RefCell<Vec<[u8; RANDOM_BYTES]>> = const { RefCell::new(Vec::new()) };
}

/// The caller's id, or a new UUIDv7. Visible ASCII only, because ids end up in logs and shells.
pub(crate) fn of(headers: &HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(id) if sane(id.as_bytes()) => id.clone(),
        _ => {
            let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
            let text = new().hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
        }
    }
}

/// A UUIDv7. Should the system have no random bytes to give, it is only the time: a request is not refused for that.
fn new() -> uuid::Uuid {
    let random = RANDOM.with_borrow_mut(|random| {
        if random.is_empty() {
            let mut fetched = [[0; RANDOM_BYTES]; IDS_PER_FETCH];
            let _ = getrandom::fill(fetched.as_flattened_mut());
            random.extend(fetched);
        }
        random.pop().unwrap_or_default()
    });
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn sane(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_MAX_BYTES && id.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_is_replaced() {
        let long = "x".repeat(REQUEST_ID_MAX_BYTES + 1);
        let fits = "x".repeat(REQUEST_ID_MAX_BYTES);
        for (id, kept) in
            [("abc-1", true), (fits.as_str(), true), (long.as_str(), false), ("a b", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(id).unwrap())]);
            assert_eq!(of(&headers) == id, kept, "{id:?}");
        }
        let made = of(&HeaderMap::new());
        let made = uuid::Uuid::parse_str(made.to_str().unwrap()).unwrap();
        assert_eq!(made.get_version_num(), 7);
        let many: std::collections::HashSet<_> = (0..3 * IDS_PER_FETCH).map(|_| new()).collect();
        assert_eq!(many.len(), 3 * IDS_PER_FETCH);
    }
}
