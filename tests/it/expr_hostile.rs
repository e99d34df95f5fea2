//! Text that wants to crash us: deep nesting and long chains of everything, balanced and not, and text that is made up.
//! All of it on a stack of 1 MiB, half of what a thread of the server has.

use countersign::expr::{
    CHAIN_MAX_LINKS, Environment, EvalCode, Evaluation, Facts, NESTING_MAX_LEVELS, compile,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

const STACK_BYTES: usize = 1024 * 1024;

fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).unwrap().join().unwrap();
}

/// Checks the text and, if it is good, evaluates it. Whether it is good does not matter.
fn try_out(text: &str) {
    try_out_in(Environment::ALL, text);
}

fn try_out_in(environments: &[Environment], text: &str) {
    for environment in environments {
        match compile(*environment, text) {
            Ok(program) => {
                let company = super::Company::new();
                let facts = super::facts(&company);
                let evaluation = Evaluation::new(&facts, &company, super::now()).unwrap();
                if let Err(error) = program.evaluate(&evaluation) {
                    assert_ne!(error.code, EvalCode::Internal, "{text}");
                }
            }
            Err(faults) => {
                assert!(!faults.is_empty(), "{text}");
                for fault in faults {
                    assert!(
                        fault.span.start <= fault.span.end && fault.span.end <= text.len(),
                        "{text}: {fault}"
                    );
                    assert!(fault.start <= fault.end, "{text}: {fault}");
                }
            }
        }
    }
}

/// Texts that go `depth` deep in one way each.
fn deep(depth: usize) -> Vec<String> {
    let wrap = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let mut texts: Vec<String> =
        ["(", "[", "{", "{1:", "f(", "!", "-", "!(", "a?", "a?b:", ".", "@ ", "'", "a.map(x,", "a["]
            .iter()
            .flat_map(|open| [open.repeat(depth), format!("{}a", open.repeat(depth))])
            .collect();
    texts.extend([
        wrap("(", "true", ")"),
        wrap("[", "1", "]"),
        wrap("{1:", "1", "}"),
        wrap("size(", "[]", ")"),
        wrap("dyn(", "1", ")"),
        wrap("!(", "true", ")"),
        wrap("-(", "1", ")"),
        wrap("[1].map(x, ", "1", ")"),
        wrap("[1].exists(x, ", "true", ")"),
        wrap("true ? (", "true", ") : false"),
        wrap("subject.profile[", "'a'", "]"),
        format!("true{}", " ? true : false".repeat(depth)),
        format!("{}true{}", "true ? ".repeat(depth), " : false".repeat(depth)),
        format!("subject{}", ".profile".repeat(depth)),
        format!("subject.profile{}", ".a".repeat(depth)),
        format!("subject.profile{}", "['a']".repeat(depth)),
        format!("subject.email{}", ".trim()".repeat(depth)),
        format!("[1]{}", ".map(x, x)".repeat(depth)),
        format!("f{}", "()".repeat(depth)),
        ")".repeat(depth),
        "]}".repeat(depth),
    ]);
    for sign in ["+", "-", "*", "/", "%", "&&", "||", "==", "<", "in", "==!", "- -"] {
        texts.push(format!("1{}", format!(" {sign} 1").repeat(depth)));
        texts.push(format!("true{}", format!(" {sign} true").repeat(depth)));
    }
    texts
}

#[test]
fn deep_text_of_every_kind_is_survived() {
    on_small_stack(|| {
        let depths = [
            10,
            NESTING_MAX_LEVELS,
            NESTING_MAX_LEVELS + 1,
            100,
            CHAIN_MAX_LINKS,
            512,
            1000,
            10_000,
            1_000_000,
        ];
        for depth in depths {
            for text in deep(depth) {
                try_out_in(&[Environment::AccountTest], &text);
            }
        }
    });
}

/// The deepest tree that the limits let through: chains inside of nesting, over and over.
#[test]
fn the_deepest_allowed_text_is_checked_and_evaluated() {
    on_small_stack(|| {
        let links = CHAIN_MAX_LINKS / NESTING_MAX_LEVELS - 1;
        for (open, close) in [("(", ")"), ("[1].map(x, [x", "])[0]"), ("true ? (true", ") : false")] {
            let step = format!("{}{open}", "1 + ".repeat(links));
            for levels in [NESTING_MAX_LEVELS / 2, NESTING_MAX_LEVELS] {
                try_out(&format!("{}1{}", step.repeat(levels), close.repeat(levels)));
            }
        }
        let text =
            format!("{}true{}", "(true && ".repeat(NESTING_MAX_LEVELS), ")".repeat(NESTING_MAX_LEVELS));
        assert!(compile(Environment::Condition, &text).unwrap().is_always_true());
        let text = format!("1{} == 1", " + 1".repeat(CHAIN_MAX_LINKS - 1));
        assert!(compile(Environment::Condition, &text).is_ok());
    });
}

/// Pieces that policies are made of, put together at random: most are nearly good, which random bytes never are.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "subject",
        ".email",
        ".profile",
        ".emails",
        "account",
        "task",
        ".createdAt",
        ".grantDuration",
        "entitlement",
        "ip",
        "appOwners",
        ".",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "?",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "<",
        " in ",
        "1",
        "0",
        "9223372036854775807",
        "1u",
        "2.5",
        "'a'",
        "\"é\"",
        "b'x'",
        "true",
        "null",
        "x",
        "[1, 2]",
        "[]",
        ".exists(x, ",
        ".map(x, ",
        ".filter(x, ",
        ".all(x, ",
        "has(",
        "size(",
        "now()",
        "duration('1h')",
        "int(",
        "string(",
        "timestamp('2026-01-01T00:00:00Z')",
        ".matches('a+')",
        ".contains(",
        ".substring(",
        ".split(",
        ".join(",
        "dyn(",
        ".getHours('Europe/Berlin')",
        "c1.directory.users.v1.GetManagers(",
        "c1.user.v1.HasApp(",
        "time.format(",
        "time.parse(",
        "time.start_of(",
        "UserStatus.ENABLED",
        "TimeFormat.DATE",
        "ip('10.0.0.1')",
        "cidr('10.0.0.0/8')",
        ".replace(",
        "type(",
        "\n",
        " ",
        "//",
        "@",
        "'",
        "\\",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Well-formed expressions with every kind of operator and function, types right or wrong.
fn trees() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-7",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "3u",
        "2.5",
        "'abc'",
        "''",
        "b'xy'",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "subject",
        "subject.email",
        "subject.emails",
        "subject.profile",
        "subject.profile.level",
        "subject.profile.teams",
        "subject.profile.missing",
        "subject.status",
        "task.createdAt",
        "task.grantDuration",
        "entitlement.id",
        "now()",
        "duration('90m')",
        "duration('2540400h')",
        "timestamp('9999-12-31T23:59:59Z')",
        "timestamp('0001-01-01T00:00:00Z')",
        "UserStatus.ENABLED",
        "x",
        "'Europe/Berlin'",
        "'week'",
        "'2006-01-02'",
        "c1.directory.users.v1.GetManagers(subject)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let binary =
            prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"]);
        let member = prop::sample::select(vec![
            "size",
            "contains",
            "startsWith",
            "matches",
            "split",
            "join",
            "replace",
            "substring",
            "charAt",
            "indexOf",
            "lowerAscii",
            "ifEmpty",
            "getHours",
            "getDayOfYear",
            "getFullYear",
            "getMilliseconds",
            "trim",
            "reverse",
        ]);
        let global = prop::sample::select(vec![
            "size",
            "int",
            "uint",
            "double",
            "string",
            "bytes",
            "bool",
            "dyn",
            "type",
            "timestamp",
            "duration",
            "time.unix",
            "time.unix_ms",
            "time.start_of",
            "time.end_of",
            "time.format",
            "time.parse",
            "time.try_parse",
            "ip",
            "cidr",
            "c1.directory.users.v1.DirectReports",
        ]);
        let walk = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), member, prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(a, name, args)| format!("{a}.{name}({})", args.join(", "))),
            (global, prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(name, args)| format!("{name}({})", args.join(", "))),
            (inner.clone(), walk, inner.clone()).prop_map(|(a, name, b)| format!("{a}.{name}(x, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.prop_map(|a| format!("has({a}.level)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_us_panic(text in any::<String>()) {
        try_out(&text);
    }

    #[test]
    fn no_pieces_make_us_panic(text in pieces()) {
        try_out(&text);
    }

    #[test]
    fn no_tree_makes_us_panic(text in trees()) {
        try_out(&text);
    }
}

/// What the checker lets through has the type that it said, whatever the facts are.
#[test]
fn a_checked_condition_gives_a_bool_or_an_error() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let facts = Facts::default();
    let evaluation = Evaluation::new(&facts, &countersign::expr::EmptyDirectory, super::now()).unwrap();
    for _ in 0..2000 {
        let text = trees().new_tree(&mut runner).unwrap().current();
        if let Ok(program) = compile(Environment::Condition, &text)
            && let Err(error) = program.is_met(&evaluation)
        {
            let dynamic = text.contains("dyn") || text.contains("profile") || text.contains("x");
            assert!(dynamic || error.code != EvalCode::WrongType, "{text}: {error}");
        }
    }
}
