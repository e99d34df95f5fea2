//! The id by which a caller and an operator speak of the same request.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Taken from the request where it is sane, made where it is not, and echoed in the answer.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Ids go into log lines: longer ones are replaced.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// The caller's id, or a new UUIDv7. Visible ASCII only, because ids end up in logs and shells.
pub(crate) fn of(headers: &HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(id) if sane(id.as_bytes()) => id.clone(),
        _ => {
            let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
            let text = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
        }
    }
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
    }
}
