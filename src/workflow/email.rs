//! What Guardian takes for an e-mail address.

use regex::Regex;
use std::sync::LazyLock;

#[allow(clippy::expect_used, reason = "the pattern is part of the program, and a test compiles it")]
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let beyond = r"\u{A0}-\u{D7FF}\u{F900}-\u{FDCF}\u{FDF0}-\u{FFEF}";
    let atom = format!(r"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{beyond}-]+");
    let quoted = format!(r#""(?:[ -!#-\[\]-~{beyond}\t]|\\[ -~{beyond}\t])*""#);
    let (letter, any) = (format!("[A-Za-z{beyond}]"), format!("[A-Za-z0-9{beyond}]"));
    let inner = format!("[A-Za-z0-9.~{beyond}-]*");
    let pattern = format!(
        r"^(?:{atom}(?:\.{atom})*|{quoted})@(?:{any}(?:{inner}{any})?\.)+{letter}(?:{inner}{letter})?\.?$"
    );
    Regex::new(&pattern).expect("the pattern of e-mail addresses compiles")
});

/// Whether Guardian takes a text for an e-mail address.
pub fn is_email(text: &str) -> bool {
    // Most texts that are none have no @ either, and this is the cheaper look.
    text.contains('@') && EMAIL.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn addresses_are_those_of_the_validator() {
        for good in [
            "a@b.co",
            "first.last+tag@sub.corp.example",
            "ünï@corp.example",
            "\"quoted local\"@corp.example",
            "a@b-c.example.",
            "a@1.example",
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "bob",
            "a@b",
            "@b.co",
            "a@.co",
            "a..b@c.co",
            "a@b.c0m1",
            "a@b.co ",
            "$appeal.account_id",
            "a@-b.co",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
