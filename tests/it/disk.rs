//! The whole service on a disk that fails or is full, and what the admin port says of the whole service.

use crate::harness::{Server, http};
use countersign::store::{Device, RESERVE_BYTES};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Every code, as go-grpc-middleware writes it.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

async fn create(server: &Server) -> (u16, String) {
    let answer = http(server.addr, "POST", "/api/v1/policies", &[], br#"{"displayName": "Disk"}"#).await;
    let json = answer.json();
    let reason = json["details"][0]["reason"].as_str().unwrap_or_default().to_owned();
    (answer.status, reason)
}

async fn listed(server: &Server) -> usize {
    let answer = http(server.addr, "GET", "/api/v1/policies", &[], b"").await;
    assert_eq!(answer.status, 200);
    answer.json()["list"].as_array().unwrap().len()
}

async fn admin(server: &Server, path: &str) -> (u16, String) {
    let answer = http(server.admin_addr, "GET", path, &[], b"").await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged_and_the_service_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&fails);
    let sync_data = Arc::new(move |file: &std::fs::File| {
        if asked.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { file.sync_data() }
    });
    let server = Server::on_device(directory.path(), Device { sync_data, ..Device::default() }).await;
    assert_eq!(create(&server).await, (200, String::new()));
    assert_eq!(admin(&server, "/readyz").await.0, 200);

    fails.store(true, Ordering::SeqCst);
    assert_eq!(create(&server).await, (503, "STORE_NOT_READY".to_owned()));
    fails.store(false, Ordering::SeqCst);
    assert_eq!(
        create(&server).await,
        (503, "STORE_NOT_READY".to_owned()),
        "a disk that failed once is not trusted again"
    );
    assert_eq!(listed(&server).await, 1, "reads go on, and show what was confirmed");
    let (status, why) = admin(&server, "/readyz").await;
    assert_eq!(status, 503);
    assert!(why.contains("the disk did not confirm a write"), "{why}");
    assert_eq!(admin(&server, "/livez").await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let asked = Arc::clone(&free);
    let free_bytes = Arc::new(move |_: &std::fs::File| Ok(asked.load(Ordering::SeqCst)));
    let server = Server::on_device(directory.path(), Device { free_bytes, ..Device::default() }).await;
    assert_eq!(create(&server).await, (200, String::new()));

    free.store(RESERVE_BYTES - 1, Ordering::SeqCst);
    assert_eq!(create(&server).await, (429, "STORE_FULL".to_owned()));
    assert_eq!(listed(&server).await, 1, "reads go on");
    assert_eq!(admin(&server, "/readyz").await.0, 200, "and so the service is ready");

    free.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(create(&server).await, (200, String::new()));
    assert_eq!(listed(&server).await, 2);
    server.stop().await;
}

#[tokio::test]
async fn metrics_have_every_method_from_the_start_and_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path()).await;
    let (_, before) = admin(&server, "/metrics").await;
    let lines: HashSet<&str> = before.lines().collect();
    let methods =
        countersign::pb::pool().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    for method in methods {
        let kind = match (method.is_client_streaming(), method.is_server_streaming()) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        };
        let labels = format!(
            "grpc_type=\"{kind}\",grpc_service=\"{}\",grpc_method=\"{}\"",
            method.parent_service().full_name(),
            method.name()
        );
        let mut wanted = vec![format!("grpc_server_started_total{{{labels}}} 0")];
        wanted.extend(
            CODES.map(|code| format!("grpc_server_handled_total{{{labels},grpc_code=\"{code}\"}} 0")),
        );
        for line in wanted {
            assert!(lines.contains(line.as_str()), "{line}\n{before}");
        }
    }
    create(&server).await;
    let (_, after) = admin(&server, "/metrics").await;
    let labels = "{grpc_type=\"unary\",grpc_service=\"c1.api.policy.v1.Policies\",grpc_method=\"Create\"";
    for line in [
        format!("grpc_server_started_total{labels}}} 1"),
        format!("grpc_server_handled_total{labels},grpc_code=\"OK\"}} 1"),
        format!("grpc_server_handling_seconds_count{labels}}} 1"),
    ] {
        assert!(after.contains(&line), "{line}\n{after}");
    }
    for name in ["countersign_store_commit_batch_size_count", "countersign_store_fsync_seconds_count"] {
        let count = after.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{name}\n{after}");
    }
    server.stop().await;
}
