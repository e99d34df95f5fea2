//! The commands that are clients of a service: over TLS, with a token or a certificate, and what they say when that is not
//! enough.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use countersign::app::SystemClock;
use countersign::auth::Role;

use crate::auth::Files;
use crate::harness::{Server, countersign};
use crate::server::tls::{Authority, Identity};

/// A policy that refers to another one, so that `check` has something to ask.
const POLICY: &str = r#"{"displayName": "asks", "policyType": "POLICY_TYPE_GRANT", "baselinePolicyId": "missing", "policySteps": {}}"#;

/// A running service that speaks TLS, and the files that belong to it.
struct World {
    server: Server,
    files: Files,
    url: String,
}

fn write(files: &Files, name: &str, identity: &Identity) {
    std::fs::write(files.path(&format!("{name}.pem")), &identity.cert).unwrap();
    std::fs::write(files.path(&format!("{name}.key")), &identity.key).unwrap();
}

impl World {
    async fn new(files: Files, extra: &str) -> World {
        let authority = Authority::new("authority");
        std::fs::write(files.path("ca.pem"), &authority.pem).unwrap();
        write(&files, "server", &authority.server());
        std::fs::write(files.path("policy.json"), POLICY).unwrap();
        let plain = r#"{"displayName": "plain", "policyType": "POLICY_TYPE_GRANT", "policySteps": {}}"#;
        std::fs::write(files.path("plain.json"), plain).unwrap();
        let tls =
            format!("tls-cert = {:?}\ntls-key = {:?}\n", files.path("server.pem"), files.path("server.key"));
        let server = Server::with(&files.settings(&(tls + extra)), Arc::new(SystemClock::default())).await;
        let url = format!("https://{}", server.addr);
        World { server, files, url }
    }

    /// Runs a command in the directory of the files.
    async fn run(&self, args: &[&str], more: &[&str], token: Option<&str>) -> (Option<i32>, String) {
        let mut command = countersign();
        command.args(args).args(["--server", &self.url]).args(more).current_dir(self.files.path(""));
        if let Some(token) = token {
            command.env("COUNTERSIGN_TOKEN", token);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        told(&output)
    }
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Each command that is a client, and how it ends when the service refuses it.
const COMMANDS: [(&[&str], i32); 5] = [
    (&["check", "policy.json"], 2),
    (&["import", "c1", "plain.json"], 1),
    (&["export", "c1"], 1),
    (&["audit", "tail"], 1),
    (&["revisions", "missing"], 1),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_trust_whom_they_are_told_to_and_show_their_token() {
    let files = Files::new();
    let token = files.token("ci", &[Role::Admin]);
    let world = World::new(files, "").await;
    let unknown = "--token or COUNTERSIGN_TOKEN says who you are";
    for (args, code) in COMMANDS {
        let (ended, text) = world.run(args, &[], Some(&token)).await;
        assert!(ended == Some(2) && text.contains("certificate"), "{args:?}: {ended:?} {text}");
        let ca = ["--ca", "ca.pem"];
        let (ended, text) = world.run(args, &ca, None).await;
        assert!(ended == Some(code) && text.contains(unknown), "{args:?}: {ended:?} {text}");
        let wrong = "cst_wrong-wrong-wrong";
        for (more, variable) in [(&["--token", wrong][..], None), (&[][..], Some(wrong))] {
            let (ended, text) = world.run(args, &[&ca, more].concat(), variable).await;
            assert!(ended == Some(code) && text.contains(unknown), "{args:?}: {ended:?} {text}");
            assert!(!text.contains("wrong-wrong"), "a token is not printed: {text}");
        }
    }
    // With the right one each of them is let in, and finds what it finds; the argument counts before the variable.
    let let_in: [(&[&str], i32, &str); 5] = [
        (&["check", "policy.json"], 1, "policy missing does not exist"),
        (&["import", "c1", "plain.json"], 0, "(plain"),
        (&["export", "c1"], 0, "\"plain\""),
        (&["audit", "tail"], 0, "token:ci c1.api.policy.v1.Policies/Create"),
        (&["revisions", "missing"], 1, "NOT_FOUND"),
    ];
    for (args, code, said) in let_in {
        let more = ["--ca", "ca.pem", "--token", &token];
        let (ended, text) = world.run(args, &more, Some("cst_wrong")).await;
        assert!(ended == Some(code) && text.contains(said), "{args:?}: {ended:?} {text}");
    }
    let (ended, text) = world.run(&["export", "c1"], &["--ca", "ca.pem"], Some(&token)).await;
    assert!(ended == Some(0) && text.contains("plain"), "{text}");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_their_certificate() {
    let clients = Authority::new("clients");
    let files = Files::new();
    std::fs::write(files.path("clients.pem"), &clients.pem).unwrap();
    write(&files, "ci", &clients.spiffe("spiffe://example.org/ci"));
    write(&files, "other", &clients.spiffe("spiffe://example.org/other"));
    write(&files, "stranger", &Authority::new("clients").spiffe("spiffe://example.org/ci"));
    let extra = format!(
        "tls-client-ca = {:?}\n[[auth.binding]]\nprincipal = 'cert:spiffe://example.org/ci'\nroles = ['admin']\n",
        files.path("clients.pem")
    );
    let world = World::new(files, &extra).await;
    let show = async |args: &[&str], cert: &str, key: &str| {
        world.run(args, &["--ca", "ca.pem", "--cert", cert, "--key", key], None).await
    };
    let (ended, text) = show(&["import", "c1", "plain.json"], "ci.pem", "ci.key").await;
    assert!(ended == Some(0) && text.contains("created ") && text.contains("(plain"), "{ended:?} {text}");
    let (ended, text) = show(&["audit", "tail"], "ci.pem", "ci.key").await;
    assert!(ended == Some(0) && text.contains("cert:spiffe://example.org/ci "), "{ended:?} {text}");
    let (ended, text) = show(&["check", "policy.json"], "ci.pem", "ci.key").await;
    assert!(ended == Some(1) && text.contains("policy missing does not exist"), "{ended:?} {text}");
    let (ended, text) = show(&["export", "c1"], "other.pem", "other.key").await;
    assert!(ended == Some(1) && text.contains("PERMISSION_DENIED"), "{ended:?} {text}");
    for (args, _) in COMMANDS {
        let (ended, text) = show(args, "stranger.pem", "stranger.key").await;
        assert!(matches!(ended, Some(1 | 2)) && !text.contains("(plain"), "{args:?}: {ended:?} {text}");
        let (ended, text) = world.run(args, &["--ca", "ca.pem"], None).await;
        assert!(matches!(ended, Some(1 | 2)) && !text.contains("(plain"), "{args:?}: {ended:?} {text}");
    }
    for (cert, key, said) in [
        ("ci.pem", "/no/such.key", "--key /no/such.key"),
        ("ci.key", "ci.key", "--cert ci.key: there is no certificate"),
        ("ci.pem", "ci.pem", "--key ci.pem: there is no private key"),
        ("ci.pem", "other.key", "TLS"),
    ] {
        let (ended, text) = show(&["export", "c1"], cert, key).await;
        assert!(ended == Some(2) && text.contains(said), "{cert} {key}: {ended:?} {text}");
        assert!(!text.contains("BEGIN"), "{text}");
    }
    let (ended, text) = world.run(&["export", "c1"], &["--cert", "ci.pem"], None).await;
    assert!(ended == Some(2) && text.contains("--key"), "{text}");
    world.server.stop().await;
}

#[test]
fn certificates_belong_to_https() {
    let authority = Authority::new("authority");
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let Identity { cert, key } = authority.spiffe("spiffe://example.org/ci");
    std::fs::write(Path::new(&path("cert")), cert).unwrap();
    std::fs::write(Path::new(&path("key")), key).unwrap();
    let mut command = countersign();
    command.args([
        "export",
        "c1",
        "--server",
        "http://127.0.0.1:1",
        "--cert",
        &path("cert"),
        "--key",
        &path("key"),
    ]);
    let (ended, text) = told(&command.output().unwrap());
    assert!(ended == Some(2) && text.contains("--cert is for a server at https://"), "{text}");
}
