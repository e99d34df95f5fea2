//! The rules of the tree that a compiler does not check: which module may import which, that every file says what it is
//! for, that modules have the names the design gives them, and that nothing speaks of the machine it was made on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir` with this extension.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The modules that each module may import, from the table in `ARCHITECTURE.md`.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("<!-- imports -->").nth(1).expect("ARCHITECTURE.md marks the table of imports");
    let mut allowed = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names =
            |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        for module in names(cells[1]) {
            allowed.insert(module, names(cells[2]));
        }
    }
    allowed
}

/// The module at the top of the tree that a source file belongs to.
fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(root().join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules of ours that a line of code names.
fn imports(line: &str) -> impl Iterator<Item = String> {
    let code = line.split("//").next().unwrap_or_default();
    let direct = code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    direct.filter(|name| !name.is_empty())
}

#[test]
fn imports_follow_the_table() {
    let allowed = allowed();
    assert!(allowed.len() > 5, "the table was not read");
    let mut faults = Vec::new();
    for file in files(&root().join("src"), "rs") {
        let module = module_of(&file);
        if module == "main" || module == "lib" {
            continue;
        }
        let Some(may) = allowed.get(&module) else {
            faults.push(format!("{module} is not in the table of ARCHITECTURE.md"));
            continue;
        };
        for (n, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            assert!(
                !line.contains("use crate::{"),
                "{}:{}: one module a line, so that this test can read it",
                file.display(),
                n + 1
            );
            for other in imports(line).filter(|other| *other != module && !may.contains(other)) {
                faults.push(format!("{}:{}: {module} may not import {other}", file.display(), n + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    let mut left = allowed();
    while !left.is_empty() {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, may)| may.iter().all(|other| !left.contains_key(other)))
            .map(|(m, _)| m.clone())
            .collect();
        assert!(!free.is_empty(), "a cycle among {:?}", left.keys());
        free.iter().for_each(|module| drop(left.remove(module)));
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for dir in ["src", "tests", "benches", "examples"] {
        for file in files(&root().join(dir), "rs") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//!"), "{} has no head", file.display());
        }
    }
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["utils", "util", "helpers", "helper", "common", "misc", "types", "manager", "mod"];
    for file in files(&root().join("src"), "rs") {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        assert!(!drawers.contains(&stem), "{}: say what is in it", file.display());
    }
}

#[test]
fn only_one_file_names_the_embedded_engine() {
    for file in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&file).unwrap();
        // Our own file has the crate's name: what it offers is `sled::Sled` and what it lends to its neighbours.
        let ours = |line: &str| line.replace("super::sled::", "").replace("sled::Sled::", "");
        let mut code = text.lines().map(|line| ours(line.split("//").next().unwrap_or_default()));
        let named = code.any(|line| line.contains("sled::"));
        let may = file.ends_with("store/sled.rs");
        assert!(!named || may, "{} names sled", file.display());
    }
}

#[test]
fn only_one_module_names_opentelemetry() {
    let root = root().join("src");
    let mut named = 0;
    for file in files(&root, "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let mut code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let names = code.any(|line| line.contains("opentelemetry"));
        let may = file.starts_with(root.join("telemetry/otlp")) || file.ends_with("telemetry/otlp.rs");
        assert!(!names || may, "{} names OpenTelemetry", file.display());
        named += usize::from(names);
    }
    assert!(named > 0, "nobody does");
}
