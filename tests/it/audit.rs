//! The audit trail from outside: the commands that read it, and stores that somebody tampered with. What the API answers is
//! in `data/policies/audit.txt`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, mpsc};

use countersign::app::{App, Attempt, SystemClock, verify_store};
use countersign::auth::Role;
use countersign::pb::countersign::v1::ListAuditRequest;
use countersign::store::{self, Location, Options};
use countersign::workflow::Nobody;

use crate::auth::Files;
use crate::harness::{PATIENCE, Server, countersign, http};
use crate::server::process::Process;

async fn run(args: &[&str], url: &str, code: i32) -> String {
    let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    if !url.is_empty() {
        args.extend(["--server".to_owned(), url.to_owned()]);
    }
    let mut command = countersign();
    command.args(&args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{text}\n{errors}");
    text + &errors
}

/// A policy with `writes` revisions; its id.
async fn policy(server: &Server, writes: usize) -> String {
    let answer = http(server.addr, "POST", "/api/v1/policies", &[], br#"{"displayName": "0"}"#).await;
    let id = answer.json()["policy"]["id"].as_str().unwrap().to_owned();
    for n in 1..writes {
        let body = format!(r#"{{"policy": {{"displayName": "{n}"}}, "updateMask": "displayName"}}"#);
        let answer = http(server.addr, "POST", &format!("/api/v1/policies/{id}"), &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_read_what_the_service_tells() {
    let server = Server::start().await;
    let url = format!("http://{}", server.addr);
    let id = policy(&server, 3).await;
    let listed = run(&["revisions", &id], &url, 0).await;
    let methods: Vec<&str> = listed.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    let update = "c1.api.policy.v1.Policies/Update";
    assert_eq!(methods, [update, update, "c1.api.policy.v1.Policies/Create"]);
    assert!(run(&["revisions", &id, "--show", "1"], &url, 0).await.contains(r#""displayName": "0""#));
    let tried = run(&["revisions", &id, "--rollback", "1", "--validate-only"], &url, 0).await;
    assert_eq!(tried, "revision 4 would be written, with the document of revision 1\n");
    let refused = run(&["revisions", &id, "--rollback", "1", "--if-match", "\"1-0\""], &url, 1).await;
    assert!(refused.contains("ABORTED"), "{refused}");
    let done = run(&["revisions", &id, "--rollback", "1"], &url, 0).await;
    assert_eq!(done, "revision 4 written, with the document of revision 1\n");
    run(&["revisions", "nobody"], &url, 1).await;

    let all = run(&["audit", "tail"], &url, 0).await;
    let codes: Vec<&str> = all.lines().map(|line| line.split(' ').nth(5).unwrap()).collect();
    assert_eq!(codes, ["OK", "OK", "OK", "ABORTED", "OK"]);
    let last = run(&["audit", "tail", "-n", "1", "--policy", &id], &url, 0).await;
    assert!(last.starts_with("5 ") && last.contains("revision 4"), "{last}");
    let whole = run(&["audit", "verify"], &url, 0).await;
    let head = whole.lines().last().unwrap().to_owned();
    assert!(whole.starts_with("5 entries; the trail is whole\n5:"), "{whole}");
    run(&["audit", "verify", "--expect", &head], &url, 0).await;
    let other = head.replace("5:", "4:");
    run(&["audit", "verify", "--expect", &other], &url, 1).await;
    let beyond = head.replace("5:", "6:");
    let cut = run(&["audit", "verify", "--expect", &beyond], &url, 1).await;
    assert!(cut.contains("the trail ends with entry 5 and had entry 6 once"), "{cut}");
    server.stop().await;
}

/// What is printed comes as it happens, each entry once, and only what was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_follows_the_trail() {
    let server = Server::start().await;
    let (before, other) = (policy(&server, 3).await, policy(&server, 1).await);
    let url = format!("http://{}", server.addr);
    let mut command = countersign();
    command.args(["audit", "tail", "--follow", "-n", "2", "--policy", &before, "--server", &url]);
    let mut tail = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (sender, printed) = mpsc::channel();
    let out = BufReader::new(tail.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        // Ends when the program does, or the test no longer listens.
        out.lines().map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).count()
    });
    let next = || printed.recv_timeout(PATIENCE).expect("nothing more is printed");
    for number in ["2 ", "3 "] {
        let line = next();
        assert!(line.starts_with(number) && line.contains(&before), "{line}");
    }
    // It prints what was there before it looks for more, so these are new to it.
    let update = async |id: &str, name: &str| {
        let body = format!(r#"{{"policy": {{"displayName": "{name}"}}, "updateMask": "displayName"}}"#);
        let answer = http(server.addr, "POST", &format!("/api/v1/policies/{id}"), &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200);
    };
    for (number, revision) in [("6 ", "revision 4"), ("8 ", "revision 5")] {
        update(&other, revision).await;
        update(&before, revision).await;
        let line = next();
        assert!(line.starts_with(number) && line.contains(&before) && line.contains(revision), "{line}");
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(reader.join().unwrap(), 4, "each once, and nothing else");
    server.stop().await;
}

/// Calls that failed are written a moment later; a service that is told to stop writes them first.
#[test]
fn an_orderly_end_loses_no_call_that_failed() {
    const FAILED: usize = 50;
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sled:{}", directory.path().display());
    let process = Process::serve_on(&store, &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let addr = process.addr;
    let calls = (0..FAILED).map(|n| {
        let target = format!("/api/v1/policies/nobody-{n}");
        let body = br#"{"policy": {"displayName": "x"}, "updateMask": "displayName"}"#;
        async move { http(addr, "POST", &target, &[], body).await.status }
    });
    let answers = runtime.block_on(futures_util::future::join_all(calls));
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(answers, [404; FAILED]);
    assert_eq!(process.exit_code().0, Some(0));
    let store = runtime.block_on(run(&["audit", "verify", "--store", &store], "", 0));
    assert!(store.starts_with(&format!("{FAILED} entries; the trail is whole\n")), "{store}");
}

/// The records of the journal in a data directory, changed by `change` behind the store's back: key and value, whose
/// checksum is made right again.
fn tamper(directory: &Path, change: impl FnOnce(&mut Vec<(Vec<u8>, Vec<u8>)>)) {
    const HEADER: usize = 13;
    let config = sled::Config::new().path(directory).segment_size(16 * 1024 * 1024).flush_every_ms(None);
    let database = config.open().unwrap();
    let mut records = Vec::new();
    for item in database.range([0xFF_u8]..) {
        let (key, raw) = item.unwrap();
        database.remove(&key).unwrap();
        records.push((key.to_vec(), raw.to_vec()));
    }
    change(&mut records);
    for (key, raw) in &mut records {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(key);
        hasher.update(&raw[1..9]);
        hasher.update(&raw[HEADER..]);
        raw[9..HEADER].copy_from_slice(&hasher.finalize().to_be_bytes());
        database.insert(key.clone(), raw.clone()).unwrap();
    }
    database.flush().unwrap();
}

/// Each write is answered before the next, so each has a record of its own.
async fn written(directory: &Path) {
    let server = Server::on(directory).await;
    policy(&server, 6).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_tampered_with_is_found_out() {
    let whole = tempfile::tempdir().unwrap();
    written(whole.path()).await;
    let store = format!("sled:{}", whole.path().display());
    let head = run(&["audit", "verify", "--store", &store], "", 0).await.lines().last().unwrap().to_owned();
    run(&["audit", "verify", "--store", &store, "--expect", &head], "", 0).await;

    type Change = fn(&mut Vec<(Vec<u8>, Vec<u8>)>);
    let changes: [(&str, Change, &str); 4] = [
        // The name of the method, in the middle of the entry.
        ("changed", |records| *records[2].1.iter_mut().rev().nth(20).unwrap() ^= 1, "entry 3"),
        ("removed", |records| drop(records.remove(2)), "entry 3 is missing"),
        ("put in", |records| records[2].1 = records[1].1.clone(), "entry 3 does not follow entry 2"),
        ("cut at its beginning", |records| drop(records.drain(..2)), "entries 1 to 2 are missing"),
    ];
    for (what, change, told) in changes {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path()).await;
        tamper(directory.path(), change);
        let store = format!("sled:{}", directory.path().display());
        let found = run(&["audit", "verify", "--store", &store], "", 1).await;
        assert!(found.contains(told) && found.contains("NOT whole"), "{what}: {found}");
    }

    // The newest end, cut off, shows only to who knows what was there.
    let directory = tempfile::tempdir().unwrap();
    written(directory.path()).await;
    let store = format!("sled:{}", directory.path().display());
    let head = run(&["audit", "verify", "--store", &store], "", 0).await.lines().last().unwrap().to_owned();
    tamper(directory.path(), |records| drop(records.pop()));
    run(&["audit", "verify", "--store", &store], "", 0).await;
    let found = run(&["audit", "verify", "--store", &store, "--expect", &head], "", 1).await;
    assert!(found.contains("the trail ends with entry 5 and had entry 6 once"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_denied_are_in_the_trail() {
    let files = Files::new();
    let viewer = files.token("watcher", &[Role::Viewer]);
    let auditor = files.token("checker", &[Role::Auditor]);
    let server = Server::with(&files.settings(""), Arc::new(SystemClock::default())).await;
    let bearer = |token: &str| [("authorization".to_owned(), format!("Bearer {token}"))];
    let body = br#"{"displayName": "x"}"#;
    let created = http(server.addr, "POST", "/api/v1/policies", &bearer(&viewer), body).await;
    assert_eq!(created.status, 403);
    assert_eq!(http(server.addr, "GET", "/api/v1/policies/secret", &[], b"").await.status, 401);
    assert_eq!(http(server.addr, "GET", "/v1/audit", &bearer(&viewer), b"").await.status, 403);
    let trail = http(server.addr, "GET", "/v1/audit?orderBy=number", &bearer(&auditor), b"").await;
    assert_eq!(trail.status, 200);
    let told: Vec<[String; 4]> = trail.json()["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            ["actor", "method", "code", "policyId"].map(|key| entry[key].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(
        told,
        [
            ["token:watcher", "c1.api.policy.v1.Policies/Create", "PERMISSION_DENIED", ""],
            ["", "c1.api.policy.v1.Policies/Get", "UNAUTHENTICATED", ""],
            ["token:watcher", "countersign.v1.Audit/List", "PERMISSION_DENIED", ""],
        ]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_failures_is_cut_and_counted() {
    let store = store::open(Options::new(Location::Memory)).unwrap();
    let app = App::open(Arc::clone(&store), crate::harness::ManualClock::at(1_700_000_000), Nobody::Block);
    let app = app.await.unwrap();
    for _ in 0..5000 {
        app.audit_failed(&Attempt { code: 16, ..Attempt::default() });
    }
    app.audit_settled().await;
    app.audit_failed(&Attempt { code: 7, ..Attempt::default() });
    app.audit_settled().await;
    let verified = verify_store(store.as_ref(), []).await.unwrap();
    assert_eq!((verified.entries, verified.faults), (1000, Vec::new()));
    let listed = app.audit_list(ListAuditRequest { page_size: 1, ..Default::default() }).await.unwrap();
    assert_eq!(listed.message.head_number, 1000);
}
