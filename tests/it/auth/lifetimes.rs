//! Credentials that end: by themselves, or because somebody revoked them. And the commands that say which there are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign::app::SystemClock;
use countersign::auth::Role;

use super::files::{countersign, until};
use super::{Connection, Files, OFTEN, bearer};
use crate::harness::{ManualClock, Server};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// What a command prints that goes well.
fn done(args: &[&str]) -> String {
    let (code, printed, error) = countersign(args);
    assert_eq!(code, Some(0), "{args:?}: {error}");
    printed
}

/// What a command says that ends with this code.
fn refused(args: &[&str], code: i32) -> String {
    let (ended, printed, error) = countersign(args);
    assert_eq!(ended, Some(code), "{args:?}: {printed}{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_counts_until_it_expires_and_its_holder_is_told() {
    let files = Files::new();
    let path = files.path("tokens").display().to_string();
    let create = |name: &str, more: &[&str]| {
        let args = [&["token", "create", "--name", name, "--role", "viewer", "--file", &path], more].concat();
        done(&args).trim().to_owned()
    };
    let (short, long) = (create("short", &["--expires-in", "1h"]), create("long", &[]));
    let clock = ManualClock::at(now());
    let server = Server::with(&files.settings(""), clock.clone()).await;
    let connection = Connection::open(server.addr).await;
    let list = async |token: &str| connection.send("GET", "/api/v1/policies", &[bearer(token)], b"").await;
    assert_eq!((list(&short).await.status, list(&long).await.status), (200, 200));
    clock.advance(3601);
    let expired = list(&short).await;
    assert_eq!((expired.status, list(&long).await.status), (401, 200));
    assert_eq!(expired.json()["message"], "the credential has expired");
    assert_eq!(expired.json()["details"][0]["reason"], "CREDENTIAL_EXPIRED");
    assert!(!String::from_utf8_lossy(&expired.body).contains("short"), "{expired:?}");
    let called = connection.grpc("/c1.api.policy.v1.Policies/List", &[bearer(&short)], b"").await;
    assert_eq!(called.code(), 16);
    // Whoever has only a part of it hears what everybody hears.
    assert_eq!(list(&short[..40]).await.json()["message"], "invalid authentication credentials");
    server.stop().await;
    for (length, said) in [("0s", "never count"), ("999999y", "too long"), ("soon", "soon")] {
        let args = ["token", "create", "--name", "x", "--role", "viewer", "--file", &path];
        let error = refused(&[args.as_slice(), &["--expires-in", length]].concat(), 2);
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_takes_its_tokens_with_it() {
    let files = Files::new();
    let path = files.path("clients").display().to_string();
    let args =
        ["client", "create", "--name", "tf", "--role", "viewer", "--host", "127.0.0.1", "--file", &path];
    let printed = done(&[args.as_slice(), &["--expires-in", "10m"]].concat());
    let line = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let (id, secret) = (line("CONDUCTORONE_CLIENT_ID="), line("CONDUCTORONE_CLIENT_SECRET="));
    let clock = ManualClock::at(now());
    let server = Server::with(&files.settings(""), clock.clone()).await;
    let connection = Connection::open(server.addr).await;
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let granted = connection.token(&form).await.json();
    let lasts = granted["expires_in"].as_i64().unwrap();
    assert!((1..=600).contains(&lasts), "no longer than the client: {lasts}");
    let access = granted["access_token"].as_str().unwrap();
    let list = async || connection.send("GET", "/api/v1/policies", &[bearer(access)], b"").await.status;
    assert_eq!(list().await, 200);
    clock.advance(601);
    assert_eq!(list().await, 401);
    let again = connection.token(&form).await;
    assert_eq!((again.status, again.json()["error"].as_str()), (401, Some("invalid_client")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_can_be_revoked_and_the_rest_stays() {
    let files = Files::new();
    let path = files.path("tokens").display().to_string();
    std::fs::write(&path, "# The tokens of the shop.\n\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let first = files.token("first", &[Role::Viewer, Role::Auditor]);
    let second = done(&[
        "token",
        "create",
        "--name",
        "second",
        "--role",
        "viewer",
        "--expires-in",
        "90d",
        "--file",
        &path,
    ]);
    let second = second.trim();

    let (above, below) = (std::fs::read_to_string(&path).unwrap(), "[[token]]\nname = \"second\"");
    std::fs::write(&path, above.replace(below, &format!("# for the deployments\n{below}"))).unwrap();
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(before.contains("deployments"));
    let listed = done(&["token", "list", "--file", &path]);
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines[0], ["first", "token:first", "viewer,auditor", "-", "never"]);
    assert_eq!(lines[1][..3], ["second", "token:second", "viewer"]);
    for time in &lines[1][3..] {
        humantime::parse_rfc3339(time).unwrap_or_else(|error| panic!("{time}: {error}"));
    }
    for digest in before.lines().filter_map(|line| line.strip_prefix("sha256 = ")) {
        assert!(!listed.contains(digest.trim_matches('"')), "{listed}");
    }

    let server = Server::with(&files.settings(OFTEN), Arc::new(SystemClock::default())).await;
    let connection = Connection::open(server.addr).await;
    until(&connection, second, 200).await;
    let link = files.path("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(done(&["token", "revoke", "second", "--file", link.to_str().unwrap()]), "revoked second\n");
    until(&connection, second, 401).await;
    until(&connection, &first, 200).await;
    server.stop().await;

    let after = std::fs::read_to_string(&path).unwrap();
    assert!(before.starts_with(&after) && after.contains("name = \"first\""), "{after}");
    assert!(after.starts_with("# The tokens of the shop.\n") && !after.contains("deployments"), "{after}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(link.is_symlink(), "the file behind the link is the one that changes");
    assert_eq!(refused(&["token", "revoke", "second", "--file", &path], 1).lines().count(), 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), after);

    std::fs::write(
        &path,
        "token = [{ name = 'a', roles = [], sha256 = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' }]",
    )
    .unwrap();
    assert!(refused(&["token", "revoke", "a", "--file", &path], 1).contains("by hand"));
    assert!(refused(&["token", "list", "--file", "/no/such/file"], 1).contains("/no/such/file"));
}

#[test]
fn clients_are_listed_and_revoked_likewise() {
    let files = Files::new();
    let path = files.path("clients").display().to_string();
    let (client, _) = files.client("one", &[Role::Editor]);
    let (other, _) = files.client("two", &[Role::Viewer]);
    let listed = done(&["client", "list", "--file", &path]);
    assert_eq!(
        listed,
        format!("{0} client:{0} editor - never\n{1} client:{1} viewer - never\n", client.id, other.id)
    );
    done(&["client", "revoke", &client.id, "--file", &path]);
    assert_eq!(done(&["client", "list", "--file", &path]).lines().count(), 1);
    assert!(refused(&["client", "revoke", "token:x", "--file", &path], 1).contains("there is no client"));
}

/// Nobody's entry is lost, however many are made at one time.
#[test]
fn those_who_write_at_one_time_take_turns() {
    let files = Files::new();
    let path = files.path("tokens").display().to_string();
    let create = |n: usize| {
        done(&["token", "create", "--name", &format!("t{n}"), "--role", "viewer", "--file", &path])
    };
    std::thread::scope(|scope| {
        for n in 0..8 {
            let create = &create;
            scope.spawn(move || create(n));
        }
    });
    assert_eq!(done(&["token", "list", "--file", &path]).lines().count(), 8);
    assert!(!Path::new(&format!("{path}.new")).exists());
}
