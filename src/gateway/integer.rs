//! Whole numbers as Go's `strconv.ParseUint` reads them with base 0: `0x1f`, `0b1`, `0o17`, `017`, `1_000`. So does
//! grpc-gateway read path variables.

use prost_reflect::Kind;

/// The number in decimal, if the kind is one without a sign; every other text as it is.
///
/// # Errors
/// Go's sentence.
pub(crate) fn decimal(kind: &Kind, text: &str) -> Result<String, String> {
    let bits = match kind {
        Kind::Uint32 | Kind::Fixed32 => u32::BITS,
        Kind::Uint64 | Kind::Fixed64 => u64::BITS,
        _ => return Ok(text.to_owned()),
    };
    let fault = |what: &str| format!("strconv.ParseUint: parsing {text:?}: {what}");
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)),
        [b'0', b'b', ..] => (2, lower.get(2..)),
        [b'0', b'o', ..] => (8, lower.get(2..)),
        [b'0', _, ..] => (8, lower.get(1..)),
        _ => (10, Some(lower.as_str())),
    };
    let digits = digits.unwrap_or_default();
    let plain = digits.replace('_', "");
    if plain.is_empty() || !plain.chars().all(|c| c.is_digit(base)) || !underscores_separate(digits, base) {
        return Err(fault("invalid syntax"));
    }
    match u64::from_str_radix(&plain, base) {
        Ok(number) if bits == u64::BITS || number <= u64::from(u32::MAX) => Ok(number.to_string()),
        _ => Err(fault("value out of range")),
    }
}

/// An underscore stands between two digits, or between the prefix and a digit.
fn underscores_separate(digits: &str, base: u32) -> bool {
    let start = if base == 10 { digits.starts_with('_') } else { false };
    !start && !digits.ends_with('_') && !digits.contains("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        for (text, number) in [
            ("0", "0"),
            ("12", "12"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("0o17", "15"),
            ("017", "15"),
            ("1_000", "1000"),
            ("0x_1", "1"),
            ("4294967295", "4294967295"),
        ] {
            assert_eq!(decimal(&Kind::Uint32, text).unwrap(), number, "{text}");
        }
        for text in ["", "x", "-1", "+1", "1.0", "0x", "_1", "1_", "1__0", "08", " 1"] {
            let fault = decimal(&Kind::Uint32, text).unwrap_err();
            assert_eq!(fault, format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
        }
        let fault = decimal(&Kind::Uint32, "4294967296").unwrap_err();
        assert_eq!(fault, "strconv.ParseUint: parsing \"4294967296\": value out of range");
        assert_eq!(decimal(&Kind::String, "0x1").unwrap(), "0x1");
    }
}
