//! `countersign import` and `countersign export`, as they are run, against a real server.

use crate::check::{golden, told};
use crate::guardian::{folder, server};
use crate::harness::{Server, http};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/import")
}

/// Runs the program against the server, which the environment names.
async fn run(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).current_dir(data()).env_clear();
    command.env("COUNTERSIGN_SERVER", format!("http://{}", server.addr));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The standard output of a run that went well.
async fn done(server: &Server, args: &[&str]) -> String {
    let output = run(server, args).await;
    assert!(output.status.success(), "{args:?}: {}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

async fn get(server: &Server, target: &str) -> serde_json::Value {
    http(server.addr, "GET", target, &[], b"").await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_import_of_guardian_changes_nothing() {
    for compat in ["default", "strict"] {
        let server = server(&[("guardian-compat", compat)]).await;
        let would = done(&server, &["import", "guardian", "guardian.yaml", "--dry-run"]).await;
        assert_eq!(would, "would be created base (version 1)\nwould be created editors (version 1)\n");
        assert_eq!(get(&server, "/api/v1beta1/policies").await, serde_json::json!({}));
        let first = done(&server, &["import", "guardian", "guardian.yaml"]).await;
        assert_eq!(first, "created base (version 1)\ncreated editors (version 1)\n");
        for _ in 0..2 {
            let again = done(&server, &["import", "guardian", "guardian.yaml"]).await;
            assert_eq!(again, "unchanged base (version 1)\nunchanged editors (version 1)\n");
        }
        assert_eq!(get(&server, "/api/v1beta1/policies?field_masks=policies").await["total"], 2);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guardian_goes_round_and_keeps_its_secrets() {
    for compat in ["default", "strict"] {
        goes_round(compat).await;
    }
}

async fn goes_round(compat: &str) {
    let server = server(&[("guardian-compat", compat)]).await;
    done(&server, &["import", "guardian", "guardian.yaml"]).await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let output = run(&server, &["export", "guardian"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let yaml = stdout(&output);
    assert!(!yaml.contains("hush"), "{yaml}");
    for place in [
        "iam.config",
        "appeal.metadata_sources.hr.config",
        "appeal.metadata_sources.team.config",
        "post_hooks[0].config",
        "custom_steps.config",
    ] {
        assert!(stderr(&output).contains(place), "{}", stderr(&output));
    }
    golden(&data().join("guardian.exported.yaml"), &yaml);
    std::fs::write(at("all.yaml"), &yaml).unwrap();
    // Both layouts, both ways of asking, and the file that Guardian's own client would have made.
    std::fs::write(at("all.json"), done(&server, &["export", "guardian", "--format", "json"]).await).unwrap();
    let listed = done(&server, &["export", "guardian", "editors", "--directory", &at("each")]).await;
    assert_eq!(listed.trim(), at("each/editors.yaml"));
    for name in ["all.yaml", "all.json", "each/editors.yaml"] {
        let again = done(&server, &["import", "guardian", &at(name)]).await;
        assert!(again.lines().all(|line| line.starts_with("unchanged")), "{name}: {again}");
    }
    let again = done(&server, &["import", "guardian", "--dry-run", &at("all.yaml")]).await;
    assert_eq!(again, "unchanged base (version 1)\nunchanged editors (version 1)\n");
    // A change keeps what the file cannot have.
    std::fs::write(at("changed.yaml"), yaml.replace("Everything that a policy can say", "Less")).unwrap();
    let changed = done(&server, &["import", "guardian", &at("changed.yaml")]).await;
    assert_eq!(changed, "unchanged base (version 1)\nupdated editors (version 2)\n");
    let original = std::fs::read_to_string(data().join("guardian.yaml")).unwrap();
    let original = original.replace("Everything that a policy can say", "Less");
    std::fs::write(at("original.yaml"), &original).unwrap();
    let same = done(&server, &["import", "guardian", &at("original.yaml")]).await;
    assert_eq!(
        same, "unchanged base (version 1)\nunchanged editors (version 2)\n",
        "the secrets are still there"
    );
    // Another secret is another policy.
    std::fs::write(at("secret.yaml"), original.replace("hush-chat", "hush-other")).unwrap();
    let secret = done(&server, &["import", "guardian", &at("secret.yaml")]).await;
    assert_eq!(secret, "unchanged base (version 1)\nupdated editors (version 3)\n");
    server.stop().await;
}

/// An update that keeps what it does not name must not show it to whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_applies_a_policy_does_not_see_what_was_kept() {
    let server = server(&[]).await;
    done(&server, &["import", "guardian", "guardian.yaml"]).await;
    let masked = get(&server, "/api/v1beta1/policies/editors/versions/0").await["policy"].to_string();
    let apply = [("countersign-apply".to_owned(), "true".to_owned())];
    for (target, body) in [
        ("/api/v1beta1/policies/editors?dry_run=true", masked.clone()),
        ("/api/v1beta1/policies/editors", masked.clone()),
        ("/api/v1beta1/policies/editors", masked.replace("Everything", "Nothing")),
    ] {
        let answer = http(server.addr, "PUT", target, &apply, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("hush"), "{answer:?}");
    }
    let other = [("countersign-apply".to_owned(), "yes".to_owned())];
    let answer = http(server.addr, "PUT", "/api/v1beta1/policies/editors", &other, masked.as_bytes()).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_service_can_warn_of_is_told() {
    let server = server(&[]).await;
    let mut all = String::new();
    for args in [&["--dry-run"][..], &[], &[]] {
        let args = [&["import", "guardian", "warned.yaml"], args].concat();
        all += &format!("$ {}\n{}", args.join(" "), told(&run(&server, &args).await));
    }
    golden(&data().join("warned.expected"), &all);
    server.stop().await;
}

/// Guardian's lists have all versions of each policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_list_answer_the_latest_versions_are_taken() {
    let server = server(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let step = "steps: [{name: go, strategy: auto, approve_if: 'true'}]";
    for text in ["one", "two", "three"] {
        let policies = format!("id: many\ndescription: {text}\n{step}\n---\nid: single\n{step}\n");
        std::fs::write(at("file.yaml"), policies).unwrap();
        done(&server, &["import", "guardian", &at("file.yaml")]).await;
    }
    let list = get(&server, "/api/v1beta1/policies").await;
    assert_eq!(list["policies"].as_array().unwrap().len(), 4, "{list}");
    std::fs::write(at("list.json"), list.to_string()).unwrap();
    let again = run(&server, &["import", "guardian", &at("list.json")]).await;
    assert_eq!(
        stdout(&again),
        "unchanged single (version 1)\nunchanged many (version 3)\n",
        "{}",
        told(&again)
    );
    let said = "policy many: 2 earlier versions are left out";
    assert!(stderr(&again).contains(said), "{}", stderr(&again));
    // Of several files, nobody can say which one is meant.
    let twice = run(&server, &["import", "guardian", &at("list.json"), &at("file.yaml")]).await;
    assert_eq!(twice.status.code(), Some(2), "{}", told(&twice));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_round() {
    let server = server(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    for dialect in ["guardian", "c1"] {
        for format in ["json", "yaml"] {
            let file = directory.path().join(format!("nothing.{format}"));
            std::fs::write(&file, done(&server, &["export", dialect, "--format", format]).await).unwrap();
            let again = run(&server, &["import", dialect, file.to_str().unwrap()]).await;
            assert_eq!(again.status.code(), Some(0), "{}", told(&again));
            assert_eq!(stdout(&again), "");
        }
    }
    server.stop().await;
}

/// As it would be if Guardian's own client had sent the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scalars_of_yaml_are_stored_as_they_are_meant() {
    let server = server(&[]).await;
    done(&server, &["import", "guardian", "scalars.yaml"]).await;
    golden(&data().join("scalars.exported.yaml"), &done(&server, &["export", "guardian"]).await);
    server.stop().await;
}

/// JSON has characters that YAML has as escapes only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_character_keeps_a_policy_from_going_round() {
    let server = server(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let odd = "a\u{7f}\u{80}\u{85}\u{9f}\u{2028}\u{feff}\u{fffe}\u{ffff}b";
    let step = serde_json::json!({"name": "go", "strategy": "auto", "approve_if": "true"});
    let guardian =
        serde_json::json!({"id": "odd", "description": odd, "labels": {odd: odd}, "steps": [step]});
    let c1 = serde_json::json!({"displayName": odd, "policyType": "POLICY_TYPE_GRANT",
        "policySteps": {"grant": {"steps": [{"accept": {"acceptMessage": odd}}]}}});
    for (dialect, policy) in [("guardian", guardian), ("c1", c1)] {
        let at = |name: &str| directory.path().join(format!("{dialect}.{name}")).to_str().unwrap().to_owned();
        std::fs::write(at("json"), policy.to_string()).unwrap();
        assert!(done(&server, &["import", dialect, &at("json")]).await.starts_with("created"));
        for format in ["json", "yaml"] {
            let exported = done(&server, &["export", dialect, "--format", format]).await;
            std::fs::write(at(format), &exported).unwrap();
            let again = done(&server, &["import", dialect, &at(format)]).await;
            assert!(again.starts_with("unchanged") && again.lines().count() == 1, "{exported}: {again}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_guardian_go_round() {
    let server = server(&[]).await;
    let examples = folder().join("../../../../examples/guardian");
    let mut args = vec!["import".to_owned(), "guardian".to_owned()];
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        args.extend(
            path.extension().is_some_and(|is| is == "json").then(|| path.to_str().unwrap().to_owned()),
        );
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert!(done(&server, &args).await.lines().all(|line| line.starts_with("created")));
    assert!(done(&server, &args).await.lines().all(|line| line.starts_with("unchanged")));
    server.stop().await;
}

/// `countersign import ... | head -1` imports everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_nobody_listens_to_goes_on() {
    let server = server(&[]).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["import", "c1", "c1.json", "--server", &format!("http://{}", server.addr)]);
    command.current_dir(data()).env_clear().stdout(Stdio::piped()).stderr(Stdio::null());
    let status = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap()
    });
    assert!(status.await.unwrap().success());
    assert_eq!(get(&server, "/api/v1/policies").await["list"].as_array().unwrap().len(), 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conductorones_policies_go_round() {
    let server = Server::start().await;
    let would = done(&server, &["import", "c1", "c1.json", "--dry-run"]).await;
    assert_eq!(would.lines().filter(|line| line.starts_with("would be created")).count(), 4, "{would}");
    let first = done(&server, &["import", "c1", "c1.json"]).await;
    assert_eq!(first.lines().filter(|line| line.starts_with("created")).count(), 4, "{first}");
    let stored = get(&server, "/api/v1/policies").await;
    let id_of = |name: &str, step: &str| {
        let list = stored["list"].as_array().unwrap().iter();
        let found = list.filter(|one| one["displayName"] == name && one.to_string().contains(step));
        found.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("?")
    };
    let router = get(&server, &format!("/api/v1/policies/{}", id_of("Router", ""))).await;
    assert_eq!(router["policy"]["baselinePolicyId"], id_of("Twice", "accept"));
    assert_eq!(router["policy"]["rules"][0]["policyId"], id_of("Review", ""));
    // Their ids are the service's own now, so they are known by their names, and where those are not enough, by all of them.
    let again = done(&server, &["import", "c1", "c1.json"]).await;
    assert_eq!(again.lines().filter(|line| line.starts_with("unchanged")).count(), 4, "{again}");

    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let json = done(&server, &["export", "c1"]).await;
    std::fs::write(at("all.json"), &json).unwrap();
    std::fs::write(at("all.yaml"), done(&server, &["export", "c1", "--format", "yaml"]).await).unwrap();
    for name in ["all.json", "all.yaml"] {
        let again = done(&server, &["import", "c1", &at(name)]).await;
        assert_eq!(again.lines().filter(|line| line.starts_with("unchanged")).count(), 4, "{again}");
    }
    assert_eq!(done(&server, &["export", "c1"]).await, json);

    // A change, and an annotation less.
    let changed = json.replace("\"team\": \"it\"", "\"unit\": \"it\"");
    assert_ne!(changed, json);
    std::fs::write(at("changed.json"), &changed).unwrap();
    let updated = done(&server, &["import", "c1", &at("changed.json")]).await;
    assert_eq!(updated.lines().filter(|line| line.starts_with("updated")).count(), 1, "{updated}");
    assert_eq!(done(&server, &["export", "c1"]).await, changed);

    // To another service and back.
    let other = Server::start().await;
    done(&other, &["import", "c1", &at("changed.json")]).await;
    std::fs::write(at("other.json"), done(&other, &["export", "c1"]).await).unwrap();
    let back = done(&server, &["import", "c1", &at("other.json")]).await;
    assert_eq!(back.lines().filter(|line| line.starts_with("unchanged")).count(), 4, "{back}");
    other.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_imported_is_said_before_anything_is_written() {
    let server = server(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let step = "steps: [{name: go, strategy: auto, approve_if: 'true'}]";
    let good = file("good.yaml", &format!("id: good\n{step}\n"));
    let bad = file("bad.yaml", &format!("id: bad one\n{step}\n"));
    let bare = file("bare.yaml", &format!("id: bare\n{step}\niam: {{provider: http}}\n"));
    let named = |name: &str| {
        let steps = r#""policySteps": {"grant": {"steps": [{"accept": {}}]}}"#;
        format!(r#"{{"displayName": "{name}", "policyType": "POLICY_TYPE_GRANT", {steps}}}"#)
    };
    let unknown = file("unknown.json", &named("x").replace("{}", r#"{"sideways": 1}"#));
    let refers = named("y")
        .replace(r#""policySteps""#, r#""rules": [{"condition": "true", "policyId": "no"}], "policySteps""#);
    let refers = file("refers.json", &refers);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["import", "guardian", &good, &bad], 1, "bad.yaml:1:5: ID_INVALID"),
        (&["import", "guardian", &good, &good], 2, "two policies with the id good"),
        (&["import", "guardian", &bare], 1, "iam.config.url: "),
        (
            &["import", "guardian", &bare],
            1,
            "iam.config is not in the file, and the service has none to keep",
        ),
        (&["import", "c1", &unknown], 1, "FIELD_UNKNOWN"),
        (&["import", "c1", &refers], 1, "policy no"),
        (&["import", "c1", "not-there.json"], 2, "not-there.json: cannot be read"),
        (&["import", "guardian"], 2, "<FILE>"),
        (&["import", "latin", &good], 2, "latin"),
        (&["import", "c1", &unknown, "--server", "gopher://x"], 1, "FIELD_UNKNOWN"),
        (&["import", "guardian", &good, "--server", "gopher://x"], 2, "expected http://HOST:PORT"),
        (&["export", "guardian", "nobody"], 1, "there is no policy nobody"),
        (&["export", "c1", "nobody"], 1, "there is no policy nobody"),
        (&["export", "c1", "--format", "toml"], 2, "toml"),
    ];
    for (args, code, sentence) in cases {
        let output = run(&server, args).await;
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(sentence), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(get(&server, "/api/v1beta1/policies").await, serde_json::json!({}));
    server.stop().await;
}
