//! The trace that a caller works in: `traceparent` and `tracestate` by W3C's Trace Context, from the headers of either face.
//!
//! Stricter than the propagator of the SDK, which takes ids of any length and any number of headers: what is not a
//! `traceparent` letter for letter begins a new trace, and what is not a `tracestate` is as if it were not there.

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-`, the trace's 32 digits, `-`, the parent's 16, `-`, two of flags.
const TRACEPARENT_BYTES: usize = 55;
/// The list may have so many members; one with more is none.
const MEMBERS_MAX: usize = 32;
/// A longer list is shortened: first goes what is large, then what stands last.
const STATE_MAX_BYTES: usize = 512;
/// Members longer than this go first.
const MEMBER_LARGE_BYTES: usize = 128;
/// No value may be longer.
const VALUE_MAX_BYTES: usize = 256;

/// The span that the caller is in, if it says so.
pub(super) fn remote(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let (trace, span, flags) = parent(value.as_bytes().trim_ascii())?;
    Some(SpanContext::new(trace, span, flags, true, state(headers).unwrap_or_default()))
}

/// Trace, parent and whether it is sampled; other flags mean nothing to us.
fn parent(text: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, further) = text.split_at_checked(TRACEPARENT_BYTES)?;
    let mut fields = known.split(|byte| *byte == b'-');
    let version = hex(fields.next()?, 2)?;
    let trace = hex(fields.next()?, 32)?;
    let span = hex(fields.next()?, 16)?;
    let flags = hex(fields.next()?, 2)?;
    // Later versions may have more behind another dash; this one may not, and 255 is none.
    let whole = match version {
        0 => further.is_empty(),
        255 => false,
        _ => further.is_empty() || further.starts_with(b"-"),
    };
    if !whole || fields.next().is_some() || trace == 0 || span == 0 {
        return None;
    }
    let sampled = if flags & 1 == 1 { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    Some((TraceId::from(trace), SpanId::from(u64::try_from(span).ok()?), sampled))
}

/// So many lower-case digits and nothing else.
fn hex(text: &[u8], digits: usize) -> Option<u128> {
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.iter().all(lower) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// What the systems on the way have to say to each other. Several headers are one list.
fn state(headers: &HeaderMap) -> Option<TraceState> {
    let mut members = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        let listed = value.to_str().ok()?.split(',');
        members.extend(listed.map(|member| member.trim_matches([' ', '\t'])).filter(|one| !one.is_empty()));
    }
    if members.len() > MEMBERS_MAX {
        return None;
    }
    shorten(&mut members);
    let pairs: Option<Vec<_>> = members.into_iter().map(pair).collect();
    // It looks at the keys.
    TraceState::from_key_value(pairs?).ok()
}

fn shorten(members: &mut Vec<&str>) {
    let too_long =
        |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>() > STATE_MAX_BYTES + 1;
    while too_long(members) {
        match members.iter().rposition(|member| member.len() > MEMBER_LARGE_BYTES) {
            Some(large) => drop(members.remove(large)),
            None => drop(members.pop()),
        }
    }
}

fn pair(member: &str) -> Option<(&str, &str)> {
    let (key, value) = member.split_once('=')?;
    let visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    let fits = (1..=VALUE_MAX_BYTES).contains(&value.len());
    (!key.is_empty() && fits && visible).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let parents = parents.iter().map(|value| (TRACEPARENT, HeaderValue::from_str(value).unwrap()));
        let states = states.iter().map(|value| (TRACESTATE, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in parents.chain(states) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_traceparent_is_taken_letter_for_letter_or_not_at_all() {
        let cases = [
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!(" 00-{TRACE}-{SPAN}-00 "), Some(false)),
            (format!("00-{TRACE}-{SPAN}-fe"), Some(false)),
            (format!("00-{TRACE}-{SPAN}-03"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("00-{TRACE}-{SPAN}-01-x"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("0-{TRACE}-{SPAN}-01"), None),
            (format!("+0-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}-.1"), None),
            (format!("00-{}-0{SPAN}-01", &TRACE[1..]), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("00_{TRACE}_{SPAN}_01"), None),
            (String::new(), None),
        ];
        for (text, sampled) in cases {
            let context = remote(&headers(&[&text], &[]));
            assert_eq!(context.as_ref().map(SpanContext::is_sampled), sampled, "{text:?}");
            if let Some(context) = context {
                let ids = (context.trace_id().to_string(), context.span_id().to_string());
                assert_eq!(ids, (TRACE.to_owned(), SPAN.to_owned()), "{text:?}");
                assert!(context.is_remote());
            }
        }
        let twice = format!("00-{TRACE}-{SPAN}-01");
        assert!(remote(&headers(&[&twice, &twice], &[])).is_none());
        assert!(remote(&headers(&[], &["a=1"])).is_none());
    }

    #[test]
    fn a_tracestate_is_one_list_within_its_limits_or_none() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let read = |states: &[&str]| remote(&headers(&[&parent], states)).unwrap().trace_state().header();
        let list = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let cases: [(&[&str], &str); 11] = [
            (&["a=1"], "a=1"),
            (&["a=1,b=2", "c=3"], "a=1,b=2,c=3"),
            (&["a=1 \t, ,b=x y,"], "a=1,b=x y"),
            (&["tenant@vendor=1"], "tenant@vendor=1"),
            (&[""], ""),
            (&["a=1,b"], ""),
            (&["a=1,=2"], ""),
            (&["a=1,B=2"], ""),
            (&["a=1,b=2=3"], ""),
            (&["a=1,b="], ""),
            (&["a=1,a@b@c=2"], ""),
        ];
        for (states, expected) in cases {
            assert_eq!(read(states), expected, "{states:?}");
        }
        assert_eq!(read(&[&list(32)]), list(32));
        assert_eq!(read(&[&list(33)]), "");
        assert_eq!(read(&[&format!("a={}", "x".repeat(257)), "b=1"]), "");
        let large = format!("large={}", "x".repeat(200));
        let small = |n: usize| format!("s{n}={}", "y".repeat(97));
        // Four small ones leave no room for the large one.
        let states = [small(1), large.clone(), small(2), small(3), small(4)];
        let kept = [small(1), small(2), small(3), small(4)].join(",");
        assert_eq!(read(&[&states.join(",")]), kept);
        let many = (1..=6).map(small).collect::<Vec<_>>();
        assert_eq!(read(&[&many.join(",")]), many[..5].join(","), "what stands last goes");
        assert_eq!(read(&[&[large.clone(), small(1)].join(",")]), [large, small(1)].join(","));
    }
}
