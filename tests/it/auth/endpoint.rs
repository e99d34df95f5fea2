//! `POST /auth/v1/token`, as ConductorOne's SDKs use it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::auth::{Client, Role};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{Answer, Connection, Files, access_token, bearer};
use crate::harness::{ManualClock, Server, settings};

const NOW: i64 = 1_700_000_000;
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The private key in a client secret, for signing.
fn key(secret: &str) -> EncodingKey {
    let encoded = secret.rsplit(':').next().unwrap();
    let jwk: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
    let seed = URL_SAFE_NO_PAD.decode(jwk["d"].as_str().unwrap()).unwrap();
    // PKCS #8 of an Ed25519 key (RFC 8410, section 7): all but the seed is fixed.
    let mut der =
        vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend(seed);
    EncodingKey::from_ed_der(&der)
}

/// What Go's SDK puts into an assertion.
fn claims(client: &Client) -> Value {
    json!({
        "iss": client.id, "sub": client.id, "aud": ["127.0.0.1"],
        "exp": NOW + 120, "nbf": NOW - 120, "iat": NOW,
    })
}

fn sign(claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &key(secret)).unwrap()
}

async fn by_assertion(connection: &Connection, client: &Client, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client.id),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion),
    ];
    connection.token(&form).await
}

/// With some claims replaced or, by null, taken out.
fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            _ => claims[name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn an_assertion_buys_a_token_once() {
    let files = Files::new();
    let (client, secret) = files.client("ci", &[Role::Editor]);
    let server = Server::with(&files.settings(""), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;

    // The order of the members makes another assertion of it; each counts.
    for changes in [json!({}), json!({"aud": "127.0.0.1"}), json!({"nbf": null, "iat": null})] {
        let assertion = sign(&with(claims(&client), &changes), &secret);
        let answer = by_assertion(&connection, &client, &assertion).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let granted = answer.json();
        assert_eq!((&granted["token_type"], &granted["expires_in"]), (&json!("Bearer"), &json!(3600)));
        let token = granted["access_token"].as_str().unwrap();
        let listed = connection.send("GET", "/api/v1/policies", &[bearer(token)], b"").await;
        assert_eq!(listed.status, 200, "{listed:?}");

        let again = by_assertion(&connection, &client, &assertion).await;
        assert_eq!((again.status, &again.json()["error"]), (401, &json!("invalid_client")), "{again:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn assertions_that_do_not_count() {
    let files = Files::new();
    let (client, secret) = files.client("ci", &[Role::Editor]);
    let (other, other_secret) = files.client("other", &[Role::Editor]);
    let (unknown, unknown_secret) = Client::new("unknown", "127.0.0.1", vec![Role::Admin]).unwrap();
    let server = Server::with(&files.settings(""), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    let mut refused = std::collections::BTreeSet::new();
    let mut refuse = async |what: String, client: &Client, assertion: &str| {
        let answer = by_assertion(&connection, client, assertion).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        refused.insert(answer.body.clone());
    };
    for changes in [
        json!({"exp": NOW - 61}),
        json!({"exp": NOW + 3600}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"nbf": NOW + 120}),
        json!({"iat": NOW + 120}),
        json!({"aud": ["policies.example.org"]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"iss": other.id}),
        json!({"sub": other.id}),
        json!({"iss": null}),
    ] {
        let assertion = sign(&with(claims(&client), &changes), &secret);
        refuse(changes.to_string(), &client, &assertion).await;
    }
    refuse("another's key".into(), &client, &sign(&claims(&client), &other_secret)).await;
    refuse("another's assertion".into(), &client, &sign(&claims(&other), &other_secret)).await;
    refuse("an unknown client".into(), &unknown, &sign(&claims(&unknown), unknown_secret.reveal())).await;
    refuse("no JWT".into(), &client, "a.b.c").await;
    let good = sign(&claims(&client), &secret);
    refuse("a cut signature".into(), &client, &good[..good.len() - 2]).await;
    let public = URL_SAFE_NO_PAD.decode(&client.public_key).unwrap();
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims(&client),
        &EncodingKey::from_secret(&public),
    );
    refuse("the public key as a secret".into(), &client, &confused.unwrap()).await;
    let (_, rest) = good.split_once('.').unwrap();
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), rest.split_once('.').unwrap().0);
    refuse("no algorithm".into(), &client, &none).await;
    assert_eq!(refused.len(), 1, "every refusal reads the same: {refused:?}");
    assert_eq!(by_assertion(&connection, &client, &good).await.status, 200, "and the good one still counts");
    server.stop().await;
}

#[tokio::test]
async fn secrets_and_what_is_wrong_with_a_form() {
    let files = Files::new();
    let (client, secret) = files.client("ci", &[Role::Viewer]);
    let server = Server::with(&files.settings(""), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    assert!(access_token(&connection, &client, &secret).await.starts_with("csa_"));
    let credentials = ("grant_type", "client_credentials");
    let id = ("client_id", client.id.as_str());
    let wrong = secret.replace(':', ";");
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let cases: [Case<'_>; 9] = [
        (&[], 400, "invalid_request"),
        (&[id, ("client_secret", &secret)], 400, "invalid_request"),
        (&[("grant_type", "password"), id, ("client_secret", &secret)], 400, "unsupported_grant_type"),
        (&[credentials, ("client_secret", &secret)], 400, "invalid_request"),
        (&[credentials, id], 400, "invalid_request"),
        (&[credentials, id, ("client_secret", "")], 400, "invalid_request"),
        (&[credentials, id, ("client_secret", &wrong)], 401, "invalid_client"),
        (&[credentials, ("client_id", "x"), ("client_secret", &secret)], 401, "invalid_client"),
        (
            &[credentials, id, ("client_assertion_type", "x"), ("client_assertion", "x")],
            400,
            "invalid_request",
        ),
    ];
    for (form, status, error) in cases {
        let answer = connection.token(form).await;
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{form:?}");
    }
    let large = "x".repeat(64 * 1024);
    assert_eq!(connection.token(&[("grant_type", &large)]).await.status, 400);
    let answer = connection.send("GET", "/auth/v1/token", &[], b"").await;
    assert_eq!((answer.status, &answer.headers["allow"]), (405, &"POST".parse().unwrap()));
    server.stop().await;
}

/// The names that assertions are made out to can be fixed, for services behind a proxy that hides the host.
#[tokio::test]
async fn audiences_can_be_configured() {
    let files = Files::new();
    let (client, secret) = files.client("ci", &[Role::Viewer]);
    let settings = files.settings("[auth]\naudiences = ['policies.example.org']\n");
    let server = Server::with(&settings, ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    let called = by_assertion(&connection, &client, &sign(&claims(&client), &secret)).await;
    assert_eq!(called.status, 401, "{called:?}");
    let named = with(claims(&client), &json!({"aud": ["policies.example.org"]}));
    assert_eq!(by_assertion(&connection, &client, &sign(&named, &secret)).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn without_clients_there_is_no_endpoint() {
    let server = Server::with(&settings("memory:", &[]), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    assert_eq!(connection.token(&[("grant_type", "client_credentials")]).await.status, 404);
    // Nobody is asked who they are, so whatever they show is passed over.
    let listed = connection.send("GET", "/api/v1/policies", &[bearer("anything")], b"").await;
    assert_eq!(listed.status, 200);
    server.stop().await;
}
