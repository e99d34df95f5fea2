//! Pages: sizes and tokens (AIP-158).
//!
//! A token is opaque, url-safe, and sealed: it carries where the next page starts and a digest of the call that it
//! belongs to, under a key of this store. It is never authority; it only says where to go on.

use super::error::violation;
use crate::policy::Violation;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use prost::Message;
use sha2::{Digest, Sha256};

/// The size of a page when none is asked for.
pub const PAGE_DEFAULT: usize = 25;
/// The largest page; more is cut to this.
pub const PAGE_MAX: usize = 100;
/// How many bytes of documents a page of policies holds; its last document may go over. With it, a page is still below the
/// 4 MiB beyond which gRPC clients refuse an answer unless they are told otherwise.
pub const PAGE_MAX_BYTES: usize = 3 * 1024 * 1024;
/// The longest token that is looked at, in bytes of its text.
pub const TOKEN_MAX_BYTES: usize = 2048;

const SEAL_BYTES: usize = 16;

/// How many items a page may have, from the `page_size` of a request.
///
/// # Errors
/// A negative size is a violation.
pub(super) fn size(asked: i32) -> Result<usize, Violation> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_) => Err(violation("pageSize", "PAGE_SIZE_NEGATIVE", "a page size is 0 or more; 0 means 25")),
    }
}

/// Seals and opens the tokens of one store.
#[derive(Clone)]
pub(super) struct Tokens {
    key: [u8; 32],
}

#[derive(Clone, PartialEq, Message)]
struct Sealed {
    /// Where the next page starts; what it holds is the caller's business.
    #[prost(bytes = "vec", tag = "1")]
    cursor: Vec<u8>,
    /// Digest of the call's method and arguments, without page size and token.
    #[prost(bytes = "vec", tag = "2")]
    call: Vec<u8>,
}

impl Tokens {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Tokens { key }
    }

    /// The token that leads from `call` to the page that starts at `cursor`.
    pub(super) fn seal(&self, call: &Call, cursor: Vec<u8>) -> String {
        let body = Sealed { cursor, call: call.0.to_vec() }.encode_to_vec();
        let mut token = self.mac(&body);
        token.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Where the page of `token` starts; `None` for the first page.
    ///
    /// # Errors
    /// A token that was not made here, was changed, or belongs to a call with other arguments is a violation.
    pub(super) fn open(&self, call: &Call, token: &str) -> Result<Option<Vec<u8>>, Violation> {
        if token.is_empty() {
            return Ok(None);
        }
        let refuse = |message| violation("pageToken", "PAGE_TOKEN_INVALID", message);
        let unknown = || refuse("this token was not given by this service, or was changed");
        if token.len() > TOKEN_MAX_BYTES {
            return Err(unknown());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| unknown())?;
        let (seal, body) = bytes.split_at_checked(SEAL_BYTES).ok_or_else(unknown)?;
        let mut mac = self.keyed();
        mac.update(body);
        mac.verify_truncated_left(seal).map_err(|_| unknown())?;
        let sealed = Sealed::decode(body).map_err(|_| unknown())?;
        if sealed.call != call.0 {
            return Err(refuse("this token belongs to a call with other arguments; start again without it"));
        }
        Ok(Some(sealed.cursor))
    }

    #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
    fn keyed(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.key).expect("HMAC takes keys of every length")
    }

    fn mac(&self, body: &[u8]) -> Vec<u8> {
        let mut mac = self.keyed();
        mac.update(body);
        let mut seal = mac.finalize().into_bytes().to_vec();
        seal.truncate(SEAL_BYTES);
        seal
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tokens")
    }
}

/// Which call a token belongs to: its method and its arguments but for size and token.
pub(super) struct Call([u8; 16]);

impl Call {
    /// `arguments` is the request with page size and page token cleared.
    pub(super) fn new(method: &str, arguments: &impl Message) -> Self {
        let digest =
            Sha256::new().chain_update(method).chain_update([0]).chain_update(arguments.encode_to_vec());
        let mut call = [0; 16];
        call.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Call(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_for_its_own_call_and_unchanged() {
        let tokens = Tokens::new([7; 32]);
        let call = Call::new("List", &String::from("a"));
        let token = tokens.seal(&call, b"here".to_vec());
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(tokens.open(&call, &token).unwrap().unwrap(), b"here");
        assert_eq!(tokens.open(&call, "").unwrap(), None);
        assert!(tokens.open(&Call::new("List", &String::from("b")), &token).is_err());
        assert!(tokens.open(&Call::new("Search", &String::from("a")), &token).is_err());
        assert!(Tokens::new([8; 32]).open(&call, &token).is_err());
        for n in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[n] = if changed[n] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if URL_SAFE_NO_PAD.decode(&changed).is_ok() {
                assert!(tokens.open(&call, &changed).is_err(), "byte {n}");
            }
            assert!(tokens.open(&call, &token[..n]).is_err() || n == 0);
        }
    }

    #[test]
    fn sizes_have_a_default_and_a_limit() {
        assert_eq!(size(0).unwrap(), 25);
        assert_eq!(size(1).unwrap(), 1);
        assert_eq!(size(100).unwrap(), 100);
        assert_eq!(size(i32::MAX).unwrap(), 100);
        assert!(size(-1).is_err());
    }
}
