//! The command line that makes credentials, the files that are read again, the settings around them, and what never shows.

use std::sync::Arc;

use countersign::app::SystemClock;
use countersign::auth::Role;
use countersign::config::{self, Layer};

use super::{Connection, Files, OFTEN, access_token, bearer};
use crate::harness::{self, PATIENCE, Server, http, revisions};

pub fn countersign(args: &[&str]) -> (Option<i32>, String, String) {
    let output = harness::countersign().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_line_makes_lets_in() {
    let files = Files::new();
    let (tokens, clients) = (files.path("tokens"), files.path("clients"));
    let (tokens, clients) = (tokens.to_str().unwrap(), clients.to_str().unwrap());
    let (code, token, error) =
        countersign(&["token", "create", "--name", "ci", "--role", "editor", "--file", tokens]);
    assert_eq!(code, Some(0), "{error}");
    let host = ["--host", "127.0.0.1:8443"];
    let args = ["client", "create", "--name", "tf", "--role", "editor", "--file", clients, host[0], host[1]];
    let (code, printed, error) = countersign(&args);
    assert_eq!(code, Some(0), "{error}");
    let line = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (id, secret) = (line("CONDUCTORONE_CLIENT_ID="), line("CONDUCTORONE_CLIENT_SECRET="));
    assert!(id.ends_with("@127.0.0.1:8443/pcc"), "{id}");

    let kept =
        format!("{}{}", std::fs::read_to_string(tokens).unwrap(), std::fs::read_to_string(clients).unwrap());
    assert!(!kept.contains(token.trim()) && !kept.contains(&secret), "{kept}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(tokens).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let server = Server::with(&files.settings(""), Arc::new(SystemClock::default())).await;
    let connection = Connection::open(server.addr).await;
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let access = connection.token(&form).await.json()["access_token"].as_str().unwrap().to_owned();
    for token in [token.trim(), &access] {
        let listed = connection.send("GET", "/api/v1/policies", &[bearer(token)], b"").await;
        assert_eq!(listed.status, 200, "{listed:?}");
    }
    server.stop().await;

    let (code, _, error) =
        countersign(&["token", "create", "--name", "ci", "--role", "viewer", "--file", tokens]);
    assert!(code == Some(1) && error.contains("token:ci is there twice"), "{error}");
    let (code, _, error) =
        countersign(&["token", "create", "--name", "x", "--role", "owner", "--file", tokens]);
    assert!(code == Some(2) && error.contains("viewer, editor, admin or auditor"), "{error}");
}

/// Waits until a token is let in, or is not any more.
pub async fn until(connection: &Connection, token: &str, status: u16) {
    let wait = async {
        while connection.send("GET", "/api/v1/policies", &[bearer(token)], b"").await.status != status {}
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the file was not read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_again_and_a_broken_one_changes_nothing() {
    let files = Files::new();
    let first = files.token("first", &[Role::Viewer]);
    let (client, secret) = files.client("ci", &[Role::Viewer]);
    let server = Server::with(&files.settings(OFTEN), Arc::new(SystemClock::default())).await;
    let connection = Connection::open(server.addr).await;
    let access = access_token(&connection, &client, &secret).await;
    until(&connection, &first, 200).await;

    let second = files.token("second", &[Role::Viewer]);
    until(&connection, &second, 200).await;
    std::fs::write(files.path("tokens"), "[[token]]\nname =").unwrap();
    files.client("other", &[Role::Viewer]);
    std::fs::write(files.path("clients"), "# nobody\n").unwrap();
    // The clients file was read again, so the tokens file was looked at, too; the client's token is worth nothing now.
    until(&connection, &access, 401).await;
    until(&connection, &second, 200).await;
    std::fs::write(files.path("tokens"), "# nobody\n").unwrap();
    until(&connection, &second, 401).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_name_who_wrote_them() {
    let files = Files::new();
    let token = files.token("ci", &[Role::Editor]);
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sled:{}", directory.path().display());
    let settings = Layer { store: Some(store.parse().unwrap()), ..Layer::default() };
    files.settings("");
    let settings = config::resolve(settings, Some(files.path("config")), []).unwrap();
    let server = Server::with(&settings, Arc::new(SystemClock::default())).await;
    let headers = [("authorization".to_owned(), format!("Bearer {token}"))];
    let body = br#"{"displayName": "Named", "policyType": "POLICY_TYPE_REVOKE"}"#;
    let created = http(server.addr, "POST", "/api/v1/policies", &headers, body).await;
    assert_eq!(created.status, 200, "{created:?}");
    let id = created.json()["policy"]["id"].as_str().unwrap().to_owned();
    server.stop().await;
    let store = countersign::store::open(countersign::store::Options::new(settings.store.clone())).unwrap();
    let revisions = revisions(store.as_ref(), &id).await;
    assert_eq!(revisions.iter().map(|one| one.actor.as_str()).collect::<Vec<_>>(), ["token:ci"]);
    store.close().await;
}

#[test]
fn a_wide_address_needs_an_authenticator_or_a_word() {
    let files = Files::new();
    files.token("ci", &[Role::Viewer]);
    let tokens = files.path("tokens").display().to_string();
    let resolve = |pairs: &[(&str, &str)]| {
        let env = pairs.iter().map(|(key, value)| {
            (format!("COUNTERSIGN_{}", key.replace('-', "_").to_uppercase()).into(), (*value).into())
        });
        config::resolve(Layer::default(), None, env)
    };
    for narrow in ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(resolve(&[("listen", narrow)]).is_ok(), "{narrow}");
    }
    for wide in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
        for setting in ["listen", "raystack-grpc-listen"] {
            let error = resolve(&[(setting, wide)]).unwrap_err().to_string();
            for named in [
                "insecure-no-auth",
                "tokens-file",
                "clients-file",
                "tls-client-ca",
                "xfcc-peers",
                "auth.issuer",
            ] {
                assert!(error.contains(setting) && error.contains(named), "{named}: {error}");
            }
            assert!(resolve(&[(setting, wide), ("insecure-no-auth", "true")]).is_ok());
            assert!(resolve(&[(setting, wide), ("tokens-file", &tokens)]).is_ok());
            assert!(resolve(&[(setting, wide), ("clients-file", "x")]).is_ok());
            assert!(resolve(&[(setting, wide), ("xfcc-peers", "10.0.0.0/8")]).is_ok());
            let tls = [("tls-cert", "x"), ("tls-key", "x"), ("tls-client-ca", "x")];
            assert!(resolve(&[&[(setting, wide)], tls.as_slice()].concat()).is_ok());
        }
    }
    let issuer = "listen = '0.0.0.0:1'\n[[auth.issuer]]\nissuer = 'i'\naudiences = ['a']\njwks = 'file:x'\n";
    std::fs::write(files.path("issuer"), issuer).unwrap();
    assert!(config::resolve(Layer::default(), Some(files.path("issuer")), []).is_ok());
    let (code, _, error) = countersign(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(code == Some(2) && error.contains("insecure-no-auth"), "{error}");
    let (code, printed, error) =
        countersign(&["serve", "--listen", "0.0.0.0:0", "--insecure-no-auth", "--print-config"]);
    assert!(code == Some(0) && printed.contains("insecure-no-auth = true"), "{error}");
}

#[test]
fn the_section_auth_is_printed_as_it_can_be_read_and_has_no_unknown_keys() {
    let files = Files::new();
    let bindings = "[auth]\naudiences = ['a.example.org']\n[[auth.binding]]\nprincipal = 'token:*'\nroles = ['viewer', 'editor']\n";
    let settings = files.settings(bindings);
    let printed = settings.to_toml();
    std::fs::write(files.path("again"), &printed).unwrap();
    let again = config::resolve(Layer::default(), Some(files.path("again")), []).unwrap();
    assert_eq!(again.auth, settings.auth);
    assert_eq!(again.auth.binding.len(), 1);
    for (text, said) in [
        ("[auth]\nbindings = []\n", "bindings"),
        ("[[auth.binding]]\nprincipal = 'x'\nroles = ['owner']\n", "owner"),
        ("[[auth.binding]]\nprincipal = 'x'\nroles = []\n", "auth.binding[0]: roles is empty"),
    ] {
        std::fs::write(files.path("wrong"), text).unwrap();
        let error = config::resolve(Layer::default(), Some(files.path("wrong")), []).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}
