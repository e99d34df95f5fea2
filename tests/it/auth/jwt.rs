//! JWTs of an issuer: keys that change, keys behind a URL, and what buys a token at `/auth/v1/token`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use countersign::auth::Role;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Connection, Files, OFTEN, bearer};
use crate::harness::{ManualClock, Server};

pub const ISSUER: &str = "https://id.example.org";
const NOW: i64 = 1_700_000_000;
/// Bytes before the PKCS #1 key in the PKCS #8 of an RSA key of 2048 bits.
const PKCS8_HEAD_BYTES: usize = 26;

/// A key of an issuer.
pub struct Key {
    pub id: &'static str,
    pub algorithm: Algorithm,
    pub encoding: EncodingKey,
}

impl Key {
    pub fn new(id: &'static str, algorithm: Algorithm) -> Key {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let encoding = match algorithm {
            Algorithm::EdDSA => {
                EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref())
            }
            Algorithm::ES256 => {
                let rules = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EncodingKey::from_ec_der(EcdsaKeyPair::generate_pkcs8(rules, &random).unwrap().as_ref())
            }
            _ => {
                let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                EncodingKey::from_rsa_der(&der.as_ref()[PKCS8_HEAD_BYTES..])
            }
        };
        Key { id, algorithm, encoding }
    }

    pub fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(claims, Some(self.id))
    }

    pub fn sign_as(&self, claims: &Value, id: Option<&str>) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}

pub fn set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Claims that count at `now`.
pub fn claims(now: i64, groups: &[&str]) -> Value {
    json!({
        "iss": ISSUER, "aud": ["other", "countersign"], "sub": "alice@example.org",
        "exp": now + 300, "nbf": now - 10, "iat": now, "groups": groups,
    })
}

/// The configuration of the issuer, with its keys at `jwks`; the group of each role has its name.
pub fn configuration(jwks: &str) -> String {
    let mut text = format!(
        "[[auth.issuer]]\nissuer = '{ISSUER}'\naudiences = ['countersign']\njwks = '{jwks}'\n\
         algorithms = ['RS256', 'ES256', 'EdDSA']\n"
    );
    for role in Role::ALL {
        text.push_str(&format!("[[auth.binding]]\nclaim = 'groups'\nvalue = '{role}'\nroles = ['{role}']\n"));
    }
    text
}

async fn listed(connection: &Connection, token: &str) -> u16 {
    connection.send("GET", "/api/v1/policies", &[bearer(token)], b"").await.status
}

#[tokio::test]
async fn every_kind_of_key_counts() {
    let files = Files::new();
    let keys =
        [Key::new("r", Algorithm::RS256), Key::new("e", Algorithm::ES256), Key::new("d", Algorithm::EdDSA)];
    std::fs::write(files.path("keys"), set(&keys.iter().collect::<Vec<_>>())).unwrap();
    let settings = files.settings(&configuration(&format!("file:{}", files.path("keys").display())));
    let server = Server::with(&settings, ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    for key in &keys {
        assert_eq!(listed(&connection, &key.sign(&claims(NOW, &["viewer"]))).await, 200, "{}", key.id);
        let unnamed = key.sign_as(&claims(NOW, &["viewer"]), None);
        assert_eq!(listed(&connection, &unnamed).await, 200, "{} without its id", key.id);
        let text = json!({"aud": "countersign"});
        let mut one = claims(NOW, &["viewer"]);
        one["aud"] = text["aud"].clone();
        assert_eq!(listed(&connection, &key.sign(&one)).await, 200);
    }
    // The clocks may be off by a minute.
    let mut late = claims(NOW, &["viewer"]);
    late["exp"] = (NOW - 59).into();
    assert_eq!(listed(&connection, &keys[0].sign(&late)).await, 200);
    late["exp"] = (NOW - 60).into();
    assert_eq!(listed(&connection, &keys[0].sign(&late)).await, 401);
    server.stop().await;
}

/// A key that the issuer has counts for nothing where its algorithm is not listed; which claim names the principal, and how far the
/// clocks may be off, are settings.
#[tokio::test]
async fn an_issuer_is_believed_as_far_as_its_settings_go() {
    let files = Files::new();
    let (listed_key, other) = (Key::new("e", Algorithm::ES256), Key::new("d", Algorithm::EdDSA));
    std::fs::write(files.path("keys"), set(&[&listed_key, &other])).unwrap();
    let text = configuration(&format!("file:{}", files.path("keys").display()));
    let strict = text.replace(
        "algorithms = ['RS256', 'ES256', 'EdDSA']",
        "algorithms = ['ES256']\nprincipal-claim = 'email'\nclock-skew-seconds = 5",
    );
    assert_ne!(text, strict);
    let server = Server::with(&files.settings(&strict), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    let mut said = claims(NOW, &["editor"]);
    assert_eq!(listed(&connection, &listed_key.sign(&said)).await, 401, "nobody is named");
    said["email"] = "alice@corp.example".into();
    let token = listed_key.sign(&said);
    assert_eq!(listed(&connection, &token).await, 200);
    assert_eq!(listed(&connection, &other.sign(&said)).await, 401);
    assert_eq!(listed(&connection, &other.sign_as(&said, None)).await, 401);
    for (end, wanted) in [(NOW - 4, 200), (NOW - 5, 401)] {
        said["exp"] = end.into();
        assert_eq!(listed(&connection, &listed_key.sign(&said)).await, wanted);
    }
    let body = br#"{"displayName": "Named", "policyType": "POLICY_TYPE_REVOKE"}"#;
    let made = connection.send("POST", "/api/v1/policies", &[bearer(&token)], body).await.json();
    let target = format!("/v1/policies/{}/revisions", made["policy"]["id"].as_str().unwrap());
    let written = connection.send("GET", &target, &[bearer(&token)], b"").await.json();
    assert_eq!(written["revisions"][0]["actor"], format!("jwt:{ISSUER}#alice@corp.example"));
    server.stop().await;
}

/// An issuer on this machine, which counts how often it was asked.
struct Endpoint {
    url: String,
    body: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start(body: String) -> Endpoint {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", socket.local_addr().unwrap());
        let (body, asked) = (Arc::new(Mutex::new(body)), Arc::new(AtomicUsize::new(0)));
        let (served, counted) = (Arc::clone(&body), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = socket.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let body = served.lock().unwrap().clone();
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Endpoint { url, body, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_behind_a_url_are_fetched_once_however_many_ids_are_made_up() {
    let files = Files::new();
    let (key, other) = (Key::new("a", Algorithm::ES256), Key::new("b", Algorithm::ES256));
    let endpoint = Endpoint::start(set(&[&key])).await;
    let server = Server::with(&files.settings(&configuration(&endpoint.url)), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    assert_eq!(endpoint.asked(), 0, "nobody has shown a token yet");
    let good = key.sign(&claims(NOW, &["viewer"]));
    assert_eq!(listed(&connection, &good).await, 200);
    *endpoint.body.lock().unwrap() = set(&[&key, &other]);
    let made_up: Vec<String> =
        (0..50).map(|n| key.sign_as(&claims(NOW, &["viewer"]), Some(&format!("made-up-{n}")))).collect();
    let answers = made_up.iter().map(|token| listed(&connection, token));
    assert!(futures_util::future::join_all(answers).await.iter().all(|status| *status == 401));
    assert_eq!(listed(&connection, &good).await, 200);
    assert_eq!(endpoint.asked(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_does_not_answer_is_no_reason_to_refuse_for_good() {
    let files = Files::new();
    let key = Key::new("a", Algorithm::ES256);
    for body in ["no JSON".to_owned(), json!({"keys": []}).to_string(), "x".repeat(300 * 1024)] {
        let endpoint = Endpoint::start(body).await;
        let server = Server::with(&files.settings(&configuration(&endpoint.url)), ManualClock::at(NOW)).await;
        let connection = Connection::open(server.addr).await;
        assert_eq!(listed(&connection, &key.sign(&claims(NOW, &["viewer"]))).await, 503);
        server.stop().await;
    }
}

/// A key in a file that is replaced counts at once; the one before it, no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_a_file_can_be_changed() {
    let files = Files::new();
    let (old, new) = (Key::new("a", Algorithm::ES256), Key::new("b", Algorithm::EdDSA));
    std::fs::write(files.path("keys"), set(&[&old])).unwrap();
    let keys = configuration(&format!("file:{}", files.path("keys").display()));
    let settings = files.settings(&format!("{OFTEN}{keys}"));
    let server = Server::with(&settings, ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    let (old_token, new_token) = (old.sign(&claims(NOW, &["viewer"])), new.sign(&claims(NOW, &["viewer"])));
    assert_eq!(listed(&connection, &old_token).await, 200);
    assert_eq!(listed(&connection, &new_token).await, 401);
    std::fs::write(files.path("keys"), set(&[&new])).unwrap();
    let changed = async { while listed(&connection, &new_token).await != 200 {} };
    tokio::time::timeout(crate::harness::PATIENCE, changed).await.expect("the file was not read again");
    assert_eq!(listed(&connection, &old_token).await, 401);
    server.stop().await;
}

/// RFC 8693, as ConductorOne's SDKs use it: a token of the issuer for one of ours.
#[tokio::test]
async fn a_jwt_buys_an_access_token_that_lasts_no_longer() {
    let files = Files::new();
    let key = Key::new("a", Algorithm::ES256);
    std::fs::write(files.path("keys"), set(&[&key])).unwrap();
    let settings = files.settings(&configuration(&format!("file:{}", files.path("keys").display())));
    let clock = ManualClock::at(NOW);
    let server = Server::with(&settings, clock.clone()).await;
    let connection = Connection::open(server.addr).await;
    let exchange = async |subject: &str, kind: &str| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", kind),
            ("client_id", "ci@127.0.0.1/wfe"),
        ];
        connection.token(&form).await
    };
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let answer = exchange(&key.sign(&claims(NOW, &["viewer"])), jwt).await;
    assert_eq!((answer.status, &answer.json()["expires_in"]), (200, &json!(300)), "{answer:?}");
    assert_eq!(answer.json()["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(listed(&connection, &token).await, 200);
    let deleted = connection.send("DELETE", "/api/v1/policies/x", &[bearer(&token)], b"").await;
    assert_eq!(deleted.status, 403, "the roles are those of the JWT");
    clock.advance(300);
    assert_eq!(listed(&connection, &token).await, 401);

    let mut expired = claims(NOW, &["viewer"]);
    expired["exp"] = (NOW - 3600).into();
    for (subject, kind) in [
        (key.sign(&expired), jwt),
        (key.sign(&claims(NOW, &["viewer"])), "urn:ietf:params:oauth:token-type:saml2"),
        (token, jwt),
        ("x".to_owned(), jwt),
        (String::new(), jwt),
    ] {
        let answer = exchange(&subject, kind).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{answer:?}");
    }
    server.stop().await;
}
