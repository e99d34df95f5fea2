//! What one principal may ask, how often a peer may be wrong, whose word about certificates counts, and what the log shows.

use std::sync::Arc;

use countersign::app::SystemClock;
use countersign::auth::Role;
use futures_util::future::join_all;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use super::{Connection, Files, access_token, bearer};
use crate::harness::{PATIENCE, Server};
use crate::server::process::Process;

async fn start(files: &Files, extra: &str) -> (Server, Connection) {
    let server = Server::with(&files.settings(extra), Arc::new(SystemClock::default())).await;
    let connection = Connection::open(server.addr).await;
    (server, connection)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principal_may_ask_so_often() {
    let files = Files::new();
    let (busy, other) = (files.token("busy", &[Role::Viewer]), files.token("other", &[Role::Viewer]));
    let (server, connection) = start(&files, "max-principal-requests-per-second = 1\n").await;
    let headers = [bearer(&busy)];
    let answers = join_all((0..30).map(|_| connection.send("GET", "/api/v1/policies", &headers, b""))).await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    let refused = answers.iter().find(|answer| answer.status == 429).expect("thirty within a second");
    assert_eq!(refused.headers["retry-after"], "1");
    let said = refused.json();
    assert_eq!(said["code"], 8);
    let details = said["details"].as_array().unwrap();
    assert!(details.iter().any(|detail| detail["reason"] == "TOO_MANY_CALLS"), "{said}");
    assert!(details.iter().any(|detail| detail["retryDelay"].is_string()), "{said}");
    assert!(said["message"].as_str().unwrap().contains("max-principal-requests-per-second = 1"));
    let answers =
        join_all((0..30).map(|_| connection.grpc("/c1.api.policy.v1.Policies/List", &headers, b""))).await;
    assert!(answers.iter().any(|answer| answer.code() == 8));
    assert_eq!(connection.send("GET", "/api/v1/policies", &[bearer(&other)], b"").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principal_may_have_so_many_calls_in_flight() {
    let files = Files::new();
    let token = files.token("ci", &[Role::Viewer]);
    let (server, connection) = start(&files, "max-principal-requests-in-flight = 1\n").await;
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    let refused = health.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(refused.message().contains("max-principal-requests-in-flight = 1"), "{refused}");
    assert!(refused.get_details_retry_info().is_some());
    // Who shows who it is has places of its own.
    assert_eq!(connection.send("GET", "/api/v1/policies", &[bearer(&token)], b"").await.status, 200);
    drop(watch);
    let freed = async { while health.check(HealthCheckRequest::default()).await.is_err() {} };
    tokio::time::timeout(PATIENCE, freed).await.expect("the place was not given back");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_may_be_wrong_so_often_and_right_as_often_as_it_likes() {
    let files = Files::new();
    let token = files.token("ci", &[Role::Viewer]);
    let (client, secret) = files.client("ci", &[Role::Viewer]);
    let (server, connection) = start(&files, "max-failed-authentications-per-minute = 3\n").await;
    let wrong = [bearer("cst_wrong")];
    let answers = join_all((0..30).map(|_| connection.send("GET", "/api/v1/policies", &wrong, b""))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.iter().any(|answer| answer.status == 401));
    assert!(!refused.is_empty() && refused.iter().all(|answer| answer.headers.contains_key("retry-after")));
    let form = [("grant_type", "client_credentials"), ("client_id", &client.id), ("client_secret", "wrong")];
    let answers = join_all((0..30).map(|_| connection.token(&form))).await;
    let refused = answers.iter().find(|answer| answer.status == 429).expect("thirty within a minute");
    assert_eq!(refused.json()["error"], "temporarily_unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(connection.send("GET", "/api/v1/policies", &[bearer(&token)], b"").await.status, 200);
    let access = access_token(&connection, &client, &secret).await;
    assert_eq!(connection.send("GET", "/api/v1/policies", &[bearer(&access)], b"").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_listed_peer_may_say_whose_certificate_it_saw() {
    let files = Files::new();
    let binding = "[[auth.binding]]\nprincipal = 'cert:spiffe://example.org/*'\nroles = ['viewer']\n";
    let said = |text: &str| vec![("x-forwarded-client-cert", text.as_bytes().to_vec())];
    let ci = said("By=spiffe://example.org/gate;Hash=00;URI=spiffe://example.org/ci");
    let (server, connection) =
        start(&files, &format!("xfcc-peers = '10.0.0.0/8,127.0.0.1'\n{binding}")).await;
    let list = async |headers: &[(&str, Vec<u8>)]| {
        connection.send("GET", "/api/v1/policies", headers, b"").await.status
    };
    assert_eq!(list(&ci).await, 200);
    assert_eq!(list(&said("URI=spiffe://example.com/ci")).await, 403);
    assert_eq!(list(&said("Hash=00")).await, 401);
    assert_eq!(list(&[]).await, 401);
    assert_eq!(list(&[ci.clone(), ci.clone()].concat()).await, 401, "twice");
    let deleted = connection.send("DELETE", "/api/v1/policies/x", &ci, b"").await;
    assert_eq!(deleted.status, 403);
    server.stop().await;
    let (server, connection) = start(&files, &format!("xfcc-peers = '10.0.0.0/8'\n{binding}")).await;
    assert_eq!(connection.send("GET", "/api/v1/policies", &ci, b"").await.status, 401);
    server.stop().await;
}

/// Whatever is shown, the log has who it was, and never what was shown.
#[test]
fn no_credential_is_in_the_log() {
    let files = Files::new();
    let token = files.token("ci", &[Role::Editor]);
    let (client, secret) = files.client("tf", &[Role::Viewer]);
    files.settings("");
    let (tokens, clients) = (files.path("tokens"), files.path("clients"));
    let flags = [
        "--tokens-file",
        tokens.to_str().unwrap(),
        "--clients-file",
        clients.to_str().unwrap(),
        "--log-level",
        "debug",
    ];
    let process = Process::serve(&flags);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let access = runtime.block_on(async {
        let connection = Connection::open(process.addr).await;
        let access = access_token(&connection, &client, &secret).await;
        for shown in [&token, &access, &secret, &format!("{token}x"), &format!("{access}x")] {
            connection.send("GET", "/api/v1/policies", &[bearer(shown)], b"").await;
            connection.grpc("/c1.api.policy.v1.Policies/List", &[bearer(shown)], b"").await;
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", client.id.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", shown.as_str()),
            ];
            connection.token(&form).await;
        }
        access
    });
    process.signal(rustix::process::Signal::TERM);
    let (code, log) = process.exit_code();
    assert_eq!(code, Some(0), "{log}");
    for named in ["\"principal\":\"token:ci\"", &format!("\"principal\":\"client:{}\"", client.id)] {
        assert!(log.contains(named), "{named}: {log}");
    }
    assert!(log.contains("the token is not known"), "why a credential does not count: {log}");
    for shown in [&token, &access, &secret] {
        // A part of a secret is a secret.
        let part = &shown[shown.len() - 20..shown.len() - 1];
        assert!(!log.contains(part), "{part} is in the log: {log}");
    }
}
