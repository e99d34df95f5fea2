//! What is under `packaging/`, as far as it can be checked without a container engine: that it names what is there, sets
//! settings that exist, and runs commands that the program has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign::config::{self, Layer, TABLE};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("packaging").join(name)).unwrap()
}

/// `NAME=value` must be a variable of ours, with a value that it takes.
fn check_variable(assignment: &str) {
    let (name, value) = assignment.split_once('=').unwrap();
    assert!(TABLE.iter().any(|setting| setting.variable() == name), "{name} is no setting");
    // An address that others can reach needs more than itself to be right.
    let env = [(name, value), ("COUNTERSIGN_INSECURE_NO_AUTH", "true")];
    let env = env.map(|(name, value)| (name.into(), value.into()));
    config::resolve(Layer::default(), None, env).unwrap();
}

fn check_command(name: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let status = command.args([name, "--help"]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "there is no command {name}");
}

/// Instructions with their arguments, stage by stage.
fn stages(text: &str) -> Vec<Vec<(String, String)>> {
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, rest) = line.split_once(' ').unwrap();
        if name == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().expect("FROM comes first").push((name.to_owned(), rest.trim().to_owned()));
    }
    stages
}

#[test]
fn the_image_has_no_root_keeps_its_data_in_a_volume_and_looks_after_itself() {
    let stages = stages(&read("Dockerfile"));
    let (build, image) = (&stages[0], stages.last().unwrap());
    assert_eq!(stages.len(), 2);
    for (name, rest) in build.iter().filter(|(name, _)| name == "COPY") {
        let words: Vec<_> = rest.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(root().join(source).exists(), "{name} {source}");
        }
    }
    let one = |name: &str| {
        let mut found = image.iter().filter(|(of, _)| of == name).map(|(_, rest)| rest.as_str());
        let first = found.next().unwrap_or_else(|| panic!("the image has no {name}"));
        assert!(found.next().is_none(), "{name} twice");
        first
    };
    assert_eq!(one("FROM"), "scratch");
    let ids: Vec<u32> =
        one("USER").split(':').map(|id| id.parse().expect("an image without names")).collect();
    assert!(ids.len() == 2 && !ids.contains(&0), "{ids:?}");
    for (_, assignment) in image.iter().filter(|(name, _)| name == "ENV") {
        check_variable(assignment);
    }
    let store = format!("ENV COUNTERSIGN_STORE=sled:{}/", one("VOLUME"));
    assert!(image.iter().any(|(name, rest)| format!("{name} {rest}").starts_with(&store)), "{store}");
    let words = |json: &str| serde_json::from_str::<Vec<String>>(json).expect("no shell is there");
    let binary = words(one("ENTRYPOINT")).remove(0);
    let copied = |(name, rest): &(String, String)| name == "COPY" && rest.ends_with(&format!(" {binary}"));
    assert!(image.iter().any(copied), "{binary}");
    let check = words(one("HEALTHCHECK").split_once("CMD ").unwrap().1);
    assert_eq!(check[0], binary);
    check_command(&check[1]);
    check_command(&words(one("CMD"))[0]);
}

#[test]
fn the_unit_sets_what_exists_and_waits_for_the_orderly_end() {
    let text = read("countersign.service");
    let mut section = "";
    let mut keys: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no line of a unit: {line}"));
        keys.entry((section, key)).or_default().push(value);
    }
    let one = |key: &str| keys[&("Service", key)][0];
    for assignment in &keys[&("Service", "Environment")] {
        check_variable(assignment);
    }
    let (_, command) = one("ExecStart").split_once(' ').unwrap();
    check_command(command);
    let state = format!("COUNTERSIGN_STORE=sled:/var/lib/{}/", one("StateDirectory"));
    assert!(keys[&("Service", "Environment")].iter().any(|value| value.starts_with(&state)), "{state}");
    let settings = config::resolve(Layer::default(), None, []).unwrap();
    let end = settings.shutdown_delay.duration() + settings.shutdown_grace.duration();
    assert!(humantime::parse_duration(one("TimeoutStopSec")).unwrap() > end);
    for hardening in
        ["NoNewPrivileges", "DynamicUser", "PrivateDevices", "ProtectHome", "MemoryDenyWriteExecute"]
    {
        assert_eq!(one(hardening), "yes", "{hardening}");
    }
    assert_eq!(one("ProtectSystem"), "strict");
    assert_eq!(one("CapabilityBoundingSet"), "", "no capability is needed");
}
