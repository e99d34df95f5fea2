//! Clients of the token endpoint: who they are, the public half of their key, and how a new one is made.
//!
//! The form of ids and secrets is ConductorOne's (section 4.1 of the reference on its API): its SDKs take them as they are
//! printed. A secret is a private Ed25519 key, and only its public half and a digest of the text are kept.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::entries::{Entry, parse};
use super::tokens::{NAME_MAX_BYTES, sane};
use super::{Digest, Moment, Role, Secret};

/// What every secret begins with.
const SECRET_PREFIX: &str = "secret-token:conductorone.com:v1:";
/// The last part of a client's id, which the SDKs expect: a personal client credential.
const USE: &str = "pcc";
/// Digits that keep two clients of one name apart.
const NUMBER_END: u32 = 100_000;
/// More clients than this are not one service's.
const CLIENTS_MAX: usize = 10_000;
/// Bytes of an Ed25519 key.
const KEY_BYTES: usize = 32;

/// One entry of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// `NAME-NUMBER@HOST/pcc`; the principal is `client:ID`.
    pub id: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The public Ed25519 key that its assertions are checked with: 32 bytes in base64url.
    pub public_key: String,
    /// Of the secret, for clients that send it as it is.
    pub secret_sha256: Digest,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Moment>,
    /// From when on it counts no more, and neither do tokens that it was given. `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

impl Entry for Client {
    const KEY: &'static str = "client";

    fn id(&self) -> &str {
        &self.id
    }

    fn roles(&self) -> &[Role] {
        &self.roles
    }

    fn created(&self) -> Option<Moment> {
        self.created
    }

    fn expires(&self) -> Option<Moment> {
        self.expires
    }

    fn check(text: &str) -> Result<(), String> {
        Clients::parse(text).map(drop)
    }
}

impl Client {
    /// How long it still counts at `now`, in seconds; `None` for one that has ended.
    pub(super) fn left(&self, now: i64) -> Option<i64> {
        let end = self.expires.map_or(i64::MAX, Moment::seconds);
        Some(end.saturating_sub(now)).filter(|left| *left > 0)
    }

    /// A new client of a name, for a service that is reached at `host` (with its port, if it is not 443), and its secret.
    /// Nobody can make the secret again.
    ///
    /// # Errors
    /// A name or host that cannot be in an id, or a system without random bytes.
    pub fn new(name: &str, host: &str, roles: Vec<Role>) -> Result<(Client, Secret), String> {
        let words = |text: &str, also: &[u8]| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
        };
        if !words(name, b"-_.") {
            return Err(format!("{name:?} is no name: letters, digits and -_."));
        }
        if !words(host, b"-.:") {
            return Err(format!("{host:?} is no host: a name or an address, and :PORT"));
        }
        let no_random = |_| "the system gives no random bytes".to_owned();
        let mut number = [0; 4];
        getrandom::fill(&mut number).map_err(no_random)?;
        let number = u32::from_ne_bytes(number) % NUMBER_END;
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(seed.as_mut()).map_err(no_random)?;
        let (public_key, secret) = secret(&seed)?;
        let id = format!("{name}-{number:05}@{host}/{USE}");
        if id.len() > NAME_MAX_BYTES {
            return Err(format!("the id {id} is longer than {NAME_MAX_BYTES} bytes"));
        }
        let secret_sha256 = Digest::of(secret.reveal());
        Ok((Client { id, roles, public_key, secret_sha256, created: None, expires: None }, secret))
    }
}

/// The public key and the text of the secret of a private key.
fn secret(seed: &[u8; KEY_BYTES]) -> Result<(String, Secret), String> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| "the key cannot be made".to_owned())?;
    let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let private = Zeroizing::new(URL_SAFE_NO_PAD.encode(seed));
    let mut jwk = Zeroizing::new(String::with_capacity(256));
    for part in [r#"{"kty":"OKP","crv":"Ed25519","x":""#, &public, r#"","d":""#, &private, r#""}"#] {
        jwk.push_str(part);
    }
    // One SDK refuses padding and another needs it: where the length is a multiple of three there is none.
    while !jwk.len().is_multiple_of(3) {
        jwk.push(' ');
    }
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(jwk.as_bytes()));
    Ok((public, Secret::new(format!("{SECRET_PREFIX}{}", encoded.as_str()))))
}

/// The clients of a file.
#[derive(Debug)]
pub struct Clients {
    entries: Vec<Client>,
}

impl Clients {
    /// Reads the text of a clients file.
    pub fn parse(text: &str) -> Result<Clients, String> {
        let mut entries: Vec<Client> = parse(text)?;
        if entries.len() > CLIENTS_MAX {
            return Err(format!("more than {CLIENTS_MAX} clients"));
        }
        entries.sort_by(|one, other| one.id.cmp(&other.id));
        for client in &entries {
            if !sane(&client.id) {
                return Err(format!("{:?} is no id of a client", client.id));
            }
            if URL_SAFE_NO_PAD.decode(&client.public_key).ok().is_none_or(|key| key.len() != KEY_BYTES) {
                return Err(format!("the public key of {} is not {KEY_BYTES} bytes in base64url", client.id));
            }
        }
        let twice = entries.iter().zip(entries.iter().skip(1)).find(|(one, other)| one.id == other.id);
        match twice {
            Some((client, _)) => Err(format!("{} is there twice", client.id)),
            None => Ok(Clients { entries }),
        }
    }

    /// The client of an id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Client> {
        let at = self.entries.binary_search_by(|client| client.id.as_str().cmp(id)).ok()?;
        self.entries.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE;

    #[test]
    fn a_secret_has_no_padding_and_is_a_private_key() {
        for _ in 0..20 {
            let (client, secret) = Client::new("ci", "127.0.0.1:8443", vec![Role::Editor]).unwrap();
            assert!(
                client.id.starts_with("ci-") && client.id.ends_with("@127.0.0.1:8443/pcc"),
                "{}",
                client.id
            );
            let encoded = secret.reveal().strip_prefix(SECRET_PREFIX).unwrap();
            let padded = URL_SAFE.decode(encoded).unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(encoded).unwrap(), padded);
            let jwk: serde_json::Value = serde_json::from_slice(&padded).unwrap();
            assert_eq!((&jwk["kty"], &jwk["crv"]), (&"OKP".into(), &"Ed25519".into()));
            assert_eq!(jwk["x"], client.public_key.as_str());
            let text = toml::to_string(&client).unwrap();
            let written = format!("[[client]]\n{text}");
            assert!(!text.contains(jwk["d"].as_str().unwrap()));
            assert!(Clients::parse(&written).unwrap().find(&client.id).is_some());
            assert!(Clients::parse(&format!("{written}{written}")).unwrap_err().contains("twice"));
        }
        assert!(Client::new("a b", "host", Vec::new()).is_err());
        assert!(Client::new("a", "http://host", Vec::new()).is_err());
    }
}
