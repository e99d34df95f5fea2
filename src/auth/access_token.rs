//! The short-lived tokens that the token endpoint gives: claims and a seal, `csa_CLAIMS.SEAL`.
//!
//! They are made and read here and nowhere else, so they are no JWTs: there is no algorithm to choose and none to confuse.
//! The seal is HMAC-SHA-256 under a key that every process on one store shares.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

use super::{Role, Secret};

/// Every token starts with this.
const PREFIX: &str = "csa_";
/// What the key seals here, so that it seals nothing else by accident.
const PURPOSE: &[u8] = b"countersign access token 1\0";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The principal.
    pub(super) sub: String,
    /// When it ends, in seconds since 1970.
    pub(super) exp: i64,
    /// What the principal may do, when no file says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<Role>,
}

/// Makes tokens and reads them.
pub struct AccessTokens {
    key: Zeroizing<[u8; 32]>,
}

impl AccessTokens {
    /// Under a key that nobody else knows.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; 32]>) -> AccessTokens {
        AccessTokens { key }
    }

    /// Whether a credential wants to be one of these.
    pub(super) fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Seals claims. `None` is a fault of ours: every claim can be written.
    pub(super) fn seal(&self, claims: &Claims) -> Option<Secret> {
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).ok()?);
        let seal = URL_SAFE_NO_PAD.encode(self.mac(&claims)?.finalize().into_bytes());
        Some(Secret::new(format!("{PREFIX}{claims}.{seal}")))
    }

    /// The claims of a token that this key has sealed and that has not ended at `now`.
    pub(super) fn open(&self, token: &str, now: i64) -> Result<Claims, &'static str> {
        const BROKEN: &str = "the access token is malformed";
        let (claims, seal) =
            token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')).ok_or(BROKEN)?;
        let seal = URL_SAFE_NO_PAD.decode(seal).map_err(|_| BROKEN)?;
        let mac = self.mac(claims).ok_or(BROKEN)?;
        // In constant time.
        mac.verify_slice(&seal).map_err(|_| "the access token was not sealed here")?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| BROKEN)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| BROKEN)?;
        if claims.exp <= now {
            return Err("the access token has expired");
        }
        Ok(claims)
    }

    fn mac(&self, claims: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()).ok()?;
        mac.update(PURPOSE);
        mac.update(claims.as_bytes());
        Some(mac)
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_until_it_ends_and_not_when_it_is_changed() {
        let tokens = AccessTokens::new(Zeroizing::new([7; 32]));
        let claims = Claims { sub: "client:a".to_owned(), exp: 100, roles: vec![Role::Viewer] };
        let token = tokens.seal(&claims).unwrap();
        assert_eq!(tokens.open(token.reveal(), 99), Ok(claims));
        assert!(tokens.open(token.reveal(), 100).is_err());
        assert!(AccessTokens::new(Zeroizing::new([8; 32])).open(token.reveal(), 99).is_err());
        for at in 0..token.reveal().len() {
            let mut changed = token.reveal().as_bytes().to_vec();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(tokens.open(&changed, 99).is_err(), "{changed}");
            assert!(tokens.open(&token.reveal()[..at], 99).is_err());
        }
    }
}
