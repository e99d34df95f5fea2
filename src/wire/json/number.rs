//! Numbers as text, both ways, without rounding in silence.

/// 10^18 and below matter for 64 bits; anything with more digits after removing zeros is out of range.
const INTEGER_MAX_DIGITS: usize = 20;
/// Every whole number up to this is a double.
const DOUBLE_EXACT_MAX: u64 = 1 << 53;

pub(super) fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - length..).unwrap_or_default());
}

pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Whole numbers are printed digit by digit below this, as JavaScript does, and exactly, as it does not: what
/// [`is_exact_double`] let in comes back as the same digits.
const PLAIN_MAX: f64 = 1.0e21;

/// The shortest text that reads back as the same double; whole numbers without `.0`; quoted names for what JSON has
/// no number for.
pub(super) fn write_f64(out: &mut Vec<u8>, value: f64) {
    if value.abs() < PLAIN_MAX && value.fract() == 0.0 && (value != 0.0 || value.is_sign_positive()) {
        return write_whole(out, value);
    }
    write_float(out, value, value.is_nan(), format_args!("{value:?}"));
}

fn write_whole(out: &mut Vec<u8>, value: f64) {
    const HALF: u128 = 10u128.pow(18);
    if value < 0.0 {
        out.push(b'-');
    }
    // Exact: whole, and far below 2^127.
    let whole = value.abs() as u128;
    if let Ok(small) = u64::try_from(whole) {
        return write_u64(out, small);
    }
    write_u64(out, (whole / HALF) as u64);
    // Ten to the 18 more gives the lower half its leading zeros, behind a one that is not printed.
    let mut lower = Vec::new();
    write_u64(&mut lower, (whole % HALF + HALF) as u64);
    out.extend_from_slice(lower.get(1..).unwrap_or_default());
}

pub(super) fn write_f32(out: &mut Vec<u8>, value: f32) {
    write_float(out, f64::from(value), value.is_nan(), format_args!("{value:?}"));
}

fn write_float(out: &mut Vec<u8>, value: f64, nan: bool, text: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    if nan {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        // Writing to a vector cannot fail. Debug is the shortest form, with an exponent where that is shorter.
        let _ = out.write_fmt(text);
        if out.ends_with(b".0") {
            out.truncate(out.len() - 2);
        }
    }
}

/// Why a number's text is not a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotWhole {
    Syntax,
    Fraction,
    Range,
}

/// The exact whole number that a decimal text means, exponents and fractions included: `1e3`, `1.50e1`.
pub(super) fn integer(text: &str) -> Result<i128, NotWhole> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at).unwrap_or_default(), unsigned.get(at + 1..)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return Err(NotWhole::Syntax);
    }
    let fraction = fraction.trim_end_matches('0');
    let exponent = match exponent {
        None => 0,
        Some(text) => parse_exponent(text)?,
    };
    // The value is `significant` times ten to the `scale`.
    let significant = || whole.bytes().chain(fraction.bytes()).skip_while(|&b| b == b'0');
    let count = significant().count();
    if count == 0 {
        return Ok(0);
    }
    let trailing_zeros =
        if fraction.is_empty() { whole.bytes().rev().take_while(|&b| b == b'0').count() } else { 0 };
    let scale = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
    let scale = scale.saturating_add(i64::try_from(trailing_zeros).unwrap_or(0));
    let kept = count - trailing_zeros.min(count);
    if scale < 0 {
        return Err(NotWhole::Fraction);
    }
    let scale = usize::try_from(scale).unwrap_or(usize::MAX);
    if kept.saturating_add(scale) > INTEGER_MAX_DIGITS {
        return Err(NotWhole::Range);
    }
    let mut value = 0i128;
    for digit in significant().take(kept) {
        value = value * 10 + i128::from(digit - b'0');
    }
    for _ in 0..scale {
        value *= 10;
    }
    Ok(if negative { -value } else { value })
}

fn parse_exponent(text: &str) -> Result<i64, NotWhole> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotWhole::Syntax);
    }
    let value = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Ok(if negative { -value } else { value })
}

/// Is this the grammar of a JSON number? Rust's own parser also takes `.5`, `1.`, `+1`, `inf`.
pub(super) fn is_json_number(text: &str) -> bool {
    length(text.as_bytes()) == Some(text.len())
}

/// How many bytes at the start of `bytes` are a JSON number.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some(at)
}

/// Would a double hold this JSON number's text as the same whole number? True for everything with a fraction or an
/// exponent: there the writer chose a floating form.
pub(super) fn is_exact_double(text: &str, value: f64) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return true;
    }
    match digits.parse::<u128>() {
        Ok(whole) if whole <= u128::from(DOUBLE_EXACT_MAX) => true,
        // A double over 2^53 is a whole number; the cast back is exact below 2^127.
        Ok(whole) => value.abs() < 1.0e38 && value.abs() as u128 == whole,
        Err(_) => false,
    }
}
