//! Names that want to be more than names.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FORMATS, drawn, sound};

/// What the three formats, and those who look at them, could stumble over.
fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\"];n0 --> n1".to_owned()),
        Just("</text><script>alert(1)</script>".to_owned()),
        Just("]]>&lt;&#0;&quot;<!--".to_owned()),
        Just("%%{init: {\"theme\": \"x\"}}%%\nend\nclick n0 \"javascript:0\"".to_owned()),
        Just("\\\"; label=\\N \\".to_owned()),
        Just("style n0 fill:#f00;`**a**`$$x$$".to_owned()),
        Just("\u{202e}desrever\u{2066}\u{200b}\u{feff}".to_owned()),
        Just("שלום عربى 漢字かな 🧑‍🤝‍🧑 ﷽".to_owned()),
        Just("\u{0}\u{1b}[2J\r\n\t\u{85}\u{2028}\u{fffe}\u{10ffff}".to_owned()),
        Just("W".repeat(400)),
        Just(" ".to_owned()),
        any::<String>(),
        "[a-z<>&\"'#;|{}\\[\\]()%`$\\\\]{0,40}",
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

fn text(name: &str) -> String {
    serde_json::to_string(name).unwrap()
}

fn of_c1(names: &[String]) -> Value {
    let [a, b, c, d] = names else { unreachable!() };
    // Keys have fewer bytes, and are never empty.
    let key: String = format!("k{a}").chars().take(60).collect();
    let short = |name: &String| format!("u{}", name.chars().take(100).collect::<String>());
    json!({
        "displayName": format!("p{}", b.chars().take(100).collect::<String>()),
        "policyType": "POLICY_TYPE_GRANT",
        "rules": [{"condition": format!("subject.department == {}", cel(c)), "stepKey": key}],
        "policySteps": {
            key.clone(): {"steps": [
                {"approval": {"users": {"userIds": [short(a), short(b)]}, "escalationEnabled": true,
                    "escalation": {"expiration": "60", "reassignToApprovers": {"approverIds": [short(d)]}}}},
                {"wait": {"duration": {"duration": "60s"}, "name": d}},
                {"reject": {"rejectMessage": c}},
            ]},
            "grant": {"steps": [{"accept": {"acceptMessage": d}}]},
        },
    })
}

/// A text of CEL.
fn cel(name: &str) -> String {
    let escaped: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            _ if c.is_control() => format!("\\U{:08x}", u32::from(c)),
            _ => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn of_guardian(names: &[String]) -> Value {
    let [a, b, c, d] = names else { unreachable!() };
    json!({
        "id": format!("p{}", a.chars().filter(|c| !c.is_control()).take(50).collect::<String>()),
        "steps": [
            {"name": b, "strategy": "auto", "approve_if": format!("$appeal.role == {}", text(c)), "allow_failed": true},
            {"name": d, "strategy": "manual", "when": format!("$appeal.role != {}", text(a)),
                "approvers": [format!("$appeal.resource.details[{}]", text(b)), "max@example.com"]},
        ],
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_stay_names(names in proptest::collection::vec(name(), 4)) {
        let folder = tempfile::tempdir().unwrap();
        let mut drawn_once = false;
        for (dialect, policy) in [("c1", of_c1(&names)), ("guardian", of_guardian(&names))] {
            let file = format!("{dialect}.json");
            std::fs::write(folder.path().join(&file), policy.to_string()).unwrap();
            let args = ["draw", &file, "--dialect", dialect, "--format"];
            // Some names no policy may have.
            if super::run(folder.path(), &[&args[..], &["svg"]].concat()).status.code() == Some(1) {
                continue;
            }
            drawn_once = true;
            let sizes: Vec<(usize, usize)> = FORMATS
                .iter()
                .map(|format| {
                    let drawing = drawn(folder.path(), &[&args[..], &[format]].concat());
                    sound(&format!("{dialect} {format} {names:?}"), format, &drawing)
                })
                .collect();
            prop_assert_eq!(sizes[0], sizes[1]);
        }
        // Of the two dialects at least one takes almost everything; a test that draws nothing would say nothing.
        prop_assume!(drawn_once);
    }
}
