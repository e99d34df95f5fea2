//! The keys of an issuer: from a file, or fetched from a URL and kept.
//!
//! A key that is not known makes us look again, because issuers change keys; but seldom, because anybody can make up a key
//! id. Who has a key that is known never waits for that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::Denied;
use super::fetch::Fetch;
use super::reload::Reloading;

/// An issuer has a handful.
const KEYS_MAX: usize = 100;
/// Between two fetches.
const FETCH_PAUSE_SECONDS: u64 = 30;
/// Calls that wait for a fetch at one time; the next one goes on with the keys that there are.
const WAITING_MAX: usize = 64;
/// Keys older than this are fetched again, so that one that the issuer took back is forgotten.
const KEPT_SECONDS: u64 = 60 * 60;
/// Keys older than this count no more, should the issuer not answer any longer.
const KEPT_MAX_SECONDS: u64 = 24 * 60 * 60;

/// One public key.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Option<KeyAlgorithm>,
    pub(super) decoding: DecodingKey,
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Key> {
        // A shared secret among public keys is a mistake, and taking it would be another.
        if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
            return None;
        }
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let algorithm = jwk.common.key_algorithm;
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        Some(Key { id: jwk.common.key_id.clone(), algorithm, decoding })
    }

    fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        (id.is_none() || self.id.as_deref() == id)
            && self.algorithm.is_none_or(|own| own == algorithm.into())
            && self.decoding.family() == algorithm.family()
    }
}

/// The keys of a JWK set that can be used; the others are passed over, as RFC 7517 (section 5) says.
pub(super) fn parse(text: &str) -> Result<Vec<Arc<Key>>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_str(text).map_err(|error| format!("no JWK set: {error}"))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("more than {KEYS_MAX} keys"));
    }
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: Vec<Arc<Key>> = jwks.filter_map(|jwk| Key::of(&jwk)).map(Arc::new).collect();
    if keys.is_empty() { Err("no key in it can be used".to_owned()) } else { Ok(keys) }
}

/// Where the keys of an issuer come from.
pub(super) enum Keys {
    File(Reloading<Vec<Arc<Key>>>),
    Remote(Remote),
}

/// Keys behind a URL.
pub(super) struct Remote {
    fetch: Fetch,
    known: RwLock<Option<Known>>,
    /// When it was last tried. Held while it is tried, so that there is one attempt at a time.
    tried: tokio::sync::Mutex<Option<Instant>>,
    waiting: Semaphore,
}

#[derive(Clone)]
struct Known {
    keys: Arc<Vec<Arc<Key>>>,
    at: Instant,
}

impl Keys {
    /// `file:PATH`, or a URL. `ca` is a file with the authorities (PEM) that the URL's server is checked against.
    pub(super) fn open(source: &str, ca: Option<&Path>) -> Result<Keys, String> {
        match source.strip_prefix("file:") {
            Some(path) => Ok(Keys::File(Reloading::open(&PathBuf::from(path), parse)?)),
            None => Ok(Keys::Remote(Remote {
                fetch: Fetch::new(source, ca)?,
                known: RwLock::default(),
                tried: tokio::sync::Mutex::default(),
                waiting: Semaphore::new(WAITING_MAX),
            })),
        }
    }

    /// The keys that may have signed a token with this key id, by this algorithm.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, Denied> {
        match self {
            Keys::File(file) => Ok(fitting(&file.current(), id, algorithm)),
            Keys::Remote(remote) => remote.find(id, algorithm).await,
        }
    }
}

fn fitting(keys: &[Arc<Key>], id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<Key>> {
    keys.iter().filter(|key| key.fits(id, algorithm)).map(Arc::clone).collect()
}

impl Remote {
    async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<Key>>, Denied> {
        if let Some(known) = self.known()
            && known.at.elapsed() < Duration::from_secs(KEPT_SECONDS)
        {
            let found = fitting(&known.keys, id, algorithm);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        self.refresh().await;
        match self.known() {
            Some(known) if known.at.elapsed() < Duration::from_secs(KEPT_MAX_SECONDS) => {
                Ok(fitting(&known.keys, id, algorithm))
            }
            _ => Err(Denied::Unavailable("the keys of the issuer cannot be fetched")),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches, unless somebody just did.
    async fn refresh(&self) {
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let mut tried = self.tried.lock().await;
        if tried.is_some_and(|at| at.elapsed() < Duration::from_secs(FETCH_PAUSE_SECONDS)) {
            return;
        }
        *tried = Some(Instant::now());
        match self.fetch.get().await.and_then(|text| parse(&text)) {
            Ok(keys) => {
                let known = Known { keys: Arc::new(keys), at: Instant::now() };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
            }
            Err(error) => tracing::error!(error, url = self.fetch.url(), "the keys of an issuer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    /// A set of keys of these ids, which are all the same.
    fn set(ids: &[&str]) -> String {
        let keys: Vec<_> = ids
            .iter()
            .map(|id| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": KEY, "kid": id}))
            .collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// Says the text, and counts how often it was asked.
    async fn issuer(says: Arc<Mutex<String>>, asked: Arc<AtomicUsize>) -> Remote {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", socket.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = socket.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 1024]).await;
                let body = says.lock().unwrap().clone();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        match Keys::open(&url, None).unwrap() {
            Keys::Remote(remote) => remote,
            Keys::File(_) => panic!("a URL is no file"),
        }
    }

    #[tokio::test]
    async fn an_unknown_key_is_looked_for_again_but_not_at_once() {
        let (says, asked) = (Arc::new(Mutex::new(set(&["a"]))), Arc::new(AtomicUsize::new(0)));
        let remote = issuer(Arc::clone(&says), Arc::clone(&asked)).await;
        let found = async |id: &str| {
            let found = remote.find(Some(id), Algorithm::EdDSA).await.map(|keys| keys.len());
            (found, asked.load(Ordering::SeqCst))
        };
        // As if the last attempt had been so long ago.
        let later = async |seconds: u64| {
            let ago = Instant::now().checked_sub(Duration::from_secs(seconds));
            *remote.tried.lock().await = Some(ago.unwrap());
        };
        assert_eq!(found("a").await, (Ok(1), 1));
        *says.lock().unwrap() = set(&["b"]);
        assert_eq!(found("b").await, (Ok(0), 1), "it was only just looked for");
        later(FETCH_PAUSE_SECONDS - 5).await;
        assert_eq!(found("b").await, (Ok(0), 1));
        later(FETCH_PAUSE_SECONDS).await;
        assert_eq!(found("b").await, (Ok(1), 2));
        assert_eq!(found("a").await, (Ok(0), 2), "the issuer took it back");
        // What cannot be read changes nothing.
        *says.lock().unwrap() = "nothing".to_owned();
        later(FETCH_PAUSE_SECONDS).await;
        assert_eq!(found("c").await, (Ok(0), 3));
        assert_eq!(found("b").await, (Ok(1), 3));
    }
}
