//! Text that wants to crash us, in Guardian's language: deep nesting and long chains of everything, balanced and not, and text
//! that is made up. All of it on a stack of 1 MiB, half of what a thread of the server has.

use countersign::expr::guardian::{Parameters, Place, compile};
use countersign::expr::{CHAIN_MAX_LINKS, EXPRESSION_MAX_BYTES, EvalCode, NESTING_MAX_LEVELS};
use proptest::prelude::*;

use super::parameter_sets;

const STACK_BYTES: usize = 1024 * 1024;

fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).unwrap().join().unwrap();
}

/// Compiles the text and, if it is good, evaluates it. Whether it is good does not matter.
fn try_out(text: &str, parameters: &Parameters) {
    for place in [Place::Unknown, Place::When, Place::PostHook] {
        match compile(place, text) {
            Ok(program) => {
                if let Err(error) = program.evaluate(parameters) {
                    assert_ne!(error.code, EvalCode::Internal, "{text}");
                    let span = error.span.unwrap_or_default();
                    assert!(span.start <= span.end && span.end <= text.len(), "{text}: {error}");
                    assert!(!error.as_guardian_says(text).is_empty());
                }
                for warning in program.warnings() {
                    assert!(text.get(warning.span.start..warning.span.end).is_some(), "{text}: {warning}");
                }
            }
            Err(faults) => {
                assert!(!faults.is_empty(), "{text}");
                for fault in faults {
                    assert!(text.get(fault.span.start..fault.span.end).is_some(), "{text}: {fault}");
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
    let opened = [
        "(",
        "[",
        "{",
        "{a:",
        "f(",
        "!",
        "-",
        "not ",
        "!(",
        "a?",
        "a?b:",
        ".",
        "@ ",
        "'",
        "map(x,",
        "a[",
        "a[:",
        "let x = ",
        "let x = 1; ",
        "#",
        "map([1],",
        "a?.",
        "2**",
        "a ?? ",
        "a | ",
        "/*",
        "reduce(a, ",
        "any(a, {",
    ];
    let mut texts: Vec<String> =
        opened.iter().flat_map(|open| [open.repeat(depth), format!("{}a", open.repeat(depth))]).collect();
    texts.extend([
        wrap("(", "true", ")"),
        wrap("[", "1", "]"),
        wrap("{a: ", "1", "}"),
        wrap("{(", "'a'", "): 1}"),
        wrap("len(", "[]", ")"),
        wrap("string(", "1", ")"),
        wrap("join(", "['a']", ")"),
        wrap("!(", "true", ")"),
        wrap("-(", "1", ")"),
        wrap("map([1], ", "#", ")"),
        wrap("filter(", "[1]", ", # > 0)"),
        wrap("map(filter(", "[1]", ", # > 0), #)"),
        wrap("reduce([1, 2], ", "#acc", ", 1)"),
        wrap("true ? (", "true", ") : false"),
        wrap("(", "true", " ?: false)"),
        wrap("(", "1", " in 1..2 ? 1 : 2)"),
        wrap("$m[", "'a'", "]"),
        wrap("f(", "1", ")"),
        format!("true{}", " ? true : false".repeat(depth)),
        format!("{}true{}", "true ? ".repeat(depth), " : false".repeat(depth)),
        format!("$m{}", ".a".repeat(depth)),
        format!("$m{}", "?.a".repeat(depth)),
        format!("$m{}", "['a']".repeat(depth)),
        format!("$l{}", "[0:]".repeat(depth)),
        format!("$s{}", ".f()".repeat(depth)),
        format!("'a'{}", " | upper()".repeat(depth)),
        format!("[1]{}", " | map(#)".repeat(depth)),
        format!("f{}", "()".repeat(depth)),
        format!("'a' matches '{}a{}'", "(".repeat(depth), ")".repeat(depth)),
        format!("'a' matches '{}'", "a{1000}".repeat(depth)),
        format!("'a' matches '{}'", "[".repeat(depth)),
        format!("fromJSON('{}')", "[".repeat(depth)),
        format!("fromJSON('{}{}')", "[".repeat(depth), "]".repeat(depth)),
        ")".repeat(depth),
        "]}".repeat(depth),
    ]);
    for sign in [
        "+", "-", "*", "/", "%", "**", "^", "&&", "||", "and", "or", "==", "<", "in", "not in", "..", "??",
        "|", "contains", "matches", "==!", "- -", ",", ";",
    ] {
        texts.push(format!("1{}", format!(" {sign} 1").repeat(depth)));
        texts.push(format!("'a'{}", format!(" {sign} 'a'").repeat(depth)));
        texts.push(format!("true{}", format!(" {sign} true").repeat(depth)));
    }
    texts
}

#[test]
fn deep_text_of_every_kind_is_survived() {
    on_small_stack(|| {
        let parameters = parameter_sets().remove("kinds").unwrap();
        let depths =
            [10, NESTING_MAX_LEVELS, NESTING_MAX_LEVELS + 1, 100, CHAIN_MAX_LINKS, 512, 1000, 10_000];
        for depth in depths {
            for text in deep(depth) {
                try_out(&text, &parameters);
            }
        }
    });
}

/// The deepest tree that the limits let through: chains inside of nesting, over and over.
#[test]
fn the_deepest_allowed_text_is_checked_and_evaluated() {
    on_small_stack(|| {
        let parameters = parameter_sets().remove("kinds").unwrap();
        let links = CHAIN_MAX_LINKS / NESTING_MAX_LEVELS - 1;
        for (open, close) in [("(", ")"), ("map([1], [#", "])[0]"), ("true ? (true", ") : false")] {
            let step = format!("{}{open}", "1 + ".repeat(links));
            for levels in [NESTING_MAX_LEVELS / 2, NESTING_MAX_LEVELS] {
                try_out(&format!("{}1{}", step.repeat(levels), close.repeat(levels)), &parameters);
            }
        }
        let text = format!("$n{} == 1", " + 1".repeat(CHAIN_MAX_LINKS - 1));
        assert!(compile(Place::Unknown, &text).unwrap().evaluate(&parameters).is_ok());
        let text = format!("{}$t", "!".repeat(CHAIN_MAX_LINKS));
        assert!(compile(Place::Unknown, &text).unwrap().evaluate(&parameters).is_ok());
        assert!(compile(Place::Unknown, &" ".repeat(EXPRESSION_MAX_BYTES + 1)).is_err());
    });
}

/// Pieces that policies are made of, put together at random: most are nearly good, which random bytes never are.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "$appeal",
        ".role",
        ".resource",
        "?.options",
        "$n",
        "$s",
        "$l",
        "$m",
        "$objects",
        "$z",
        ".",
        "?.",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "?",
        " ?? ",
        " and ",
        "||",
        "!",
        " not ",
        "-",
        "+",
        "*",
        "**",
        "/",
        "%",
        "==",
        "<",
        " in ",
        " not in ",
        " matches ",
        " contains ",
        "..",
        "1",
        "0",
        "9223372036854775807",
        "2.5",
        "'a'",
        "\"é\"",
        "true",
        "nil",
        "x",
        "#",
        "#acc",
        "#index",
        "[1, 2]",
        "[]",
        "map(",
        "filter(",
        "reduce(",
        "any(",
        "groupBy(",
        "len(",
        "string(",
        "int(",
        "split(",
        "join(",
        "sort(",
        "sortBy(",
        "get(",
        "toJSON(",
        "fromJSON(",
        "date(",
        "duration('1h')",
        "now()",
        "Split(",
        "let x = ",
        ";",
        " | ",
        "\n",
        " ",
        "//",
        "/*",
        "@",
        "'",
        "\\",
        ".Year()",
        "max(",
        "repeat(",
        "replace(",
        "trim(",
        "take(",
        "'(a'",
        "'[a-z]+'",
        "$env",
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
        "2.5",
        "'abc'",
        "''",
        "true",
        "false",
        "nil",
        "[]",
        "{}",
        "$n",
        "$s",
        "$l",
        "$m",
        "$m.ab.b",
        "$z",
        "$t",
        "$objects",
        "$empty",
        "#",
        "#index",
        "x",
        "now()",
        "duration('90m')",
        "date('2026-03-07')",
        "1..5",
        "'2006-01-02'",
        "Split",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let binary = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "**",
            "==",
            "!=",
            "<",
            ">=",
            "and",
            "or",
            "in",
            "not in",
            "matches",
            "contains",
            "startsWith",
            "endsWith",
            "..",
            "??",
        ]);
        let function = prop::sample::select(vec![
            "len",
            "type",
            "abs",
            "int",
            "float",
            "string",
            "trim",
            "trimPrefix",
            "upper",
            "lower",
            "split",
            "splitAfter",
            "replace",
            "repeat",
            "join",
            "indexOf",
            "lastIndexOf",
            "hasPrefix",
            "max",
            "min",
            "sum",
            "mean",
            "median",
            "toJSON",
            "fromJSON",
            "toBase64",
            "fromBase64",
            "duration",
            "date",
            "first",
            "last",
            "get",
            "take",
            "keys",
            "values",
            "toPairs",
            "fromPairs",
            "sort",
            "sortBy",
            "Split",
            "f",
        ]);
        let walk = prop::sample::select(vec![
            "all",
            "none",
            "any",
            "one",
            "filter",
            "map",
            "find",
            "findIndex",
            "findLast",
            "findLastIndex",
            "count",
            "groupBy",
            "reduce",
        ]);
        let method = prop::sample::select(vec!["Year", "Format", "Add", "Sub", "Hours", "String", "foo"]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (function, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, args)| format!("{name}({})", args.join(", "))),
            (walk, inner.clone(), inner.clone()).prop_map(|(name, a, b)| format!("{name}({a}, {b})")),
            (inner.clone(), method, prop::collection::vec(inner.clone(), 0..2))
                .prop_map(|(a, name, args)| format!("({a}).{name}({})", args.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a})[{b}:{c}]")),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{({a}): {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(let x = {a}; {b})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.prop_map(|a| format!("({a})?.a?.b")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_us_panic(text in any::<String>()) {
        try_out(&text, &parameter_sets()["kinds"]);
    }

    #[test]
    fn no_pieces_make_us_panic(text in pieces()) {
        try_out(&text, &parameter_sets()["kinds"]);
    }

    #[test]
    fn no_tree_makes_us_panic(text in trees()) {
        try_out(&text, &parameter_sets()["kinds"]);
    }

    #[test]
    fn no_pattern_makes_us_panic(pattern in r"[\[\](){}a-c*+?|\\dDwWsSbBpPLQEx0-9:^$.&~-]{0,24}") {
        let text = format!("'abc' matches {}", serde_json::to_string(&pattern).unwrap());
        try_out(&text, &parameter_sets()["kinds"]);
    }
}
