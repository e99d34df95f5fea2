//! Carries out the functions of ours that ask nobody: text, time, addresses, insights about an account. They are
//! registered with cel's environment under names that no expression can spell.

use std::sync::{Arc, LazyLock};

use cel::common::types::{CelInt, CelList, CelNull, CelString, CelTimestamp, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

use super::address::{Cidr, Ip};
use super::record::{self, Boxed, EnumValue, Key, OrderedMap, Pattern, Record, Source};
use super::schema::Enumeration;
use super::time::{self, Timestamp, Unit, Zone};

type Arguments<'a, 'b, 'v> = &'a [CowVal<'b, 'v>];
type Outcome = Result<Boxed, String>;

/// Name, number of arguments, and what it does. The macro makes a plain `fn` of each, which is what cel takes.
macro_rules! functions {
    ($($name:literal ($($count:literal),+) = $carry_out:path;)*) => {
        fn register(env: &mut Env) -> Result<(), cel::DeclarationError> {
            $({
                fn carry_out<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
                    let outcome: Outcome = $carry_out(&arguments);
                    outcome.map(CowVal::Owned).map_err(|message| ExecutionError::function_error($name, message))
                }
                $(env.add_overload($name, concat!($name, $count), dynamic($count), carry_out)?;)+
            })*
            Ok(())
        }
    };
}

functions! {
    "@has"(2) = has;
    "@map"(1) = map;
    "@matches"(2) = matches;
    "@if_empty"(2) = if_empty;
    "@contains"(2) = contains;
    "@within"(2) = within;
    "@ip"(1) = ip;
    "@cidr"(1) = cidr;
    "@time_parse"(2, 3) = time_parse;
    "@time_try_parse"(2, 3) = time_try_parse;
    "@time_format"(2, 3) = time_format;
    "@time_unix"(1) = time_unix;
    "@time_unix_ms"(1) = time_unix_ms;
    "@time_start_of"(2, 3) = time_start_of;
    "@time_end_of"(2, 3) = time_end_of;
    "@has_insight"(1) = has_insight;
    "@insights"(2) = insights;
    "@has_insight_with_severity"(3) = has_insight_with_severity;
    "@has_risk_score"(1) = has_risk_score;
    "@risk_score"(2) = risk_score;
}

fn dynamic(count: usize) -> Vec<cel::common::types::Type> {
    std::iter::repeat_with(|| DYN_TYPE).take(count).collect()
}

/// cel's environment: its library, its string functions, and ours. The macros are left out because `check` expands them
/// itself. Built once. Without it no expression compiles, so a failure, which only a change of the table can bring, makes
/// every compilation report it.
static ENVIRONMENT: LazyLock<Result<Arc<Env>, String>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    env.add_extension(cel::extensions::strings).map_err(|error| error.to_string())?;
    register(&mut env).map_err(|error| error.to_string())?;
    Ok(Arc::new(env))
});

pub(super) fn environment() -> Result<&'static Arc<Env>, &'static str> {
    ENVIRONMENT.as_ref().map_err(String::as_str)
}

fn argument<'a, 'b, 'v>(arguments: Arguments<'a, 'b, 'v>, index: usize) -> &'a (dyn Val + 'v) {
    static NULL: CelNull = CelNull;
    arguments.get(index).map_or(&NULL, |value| value.as_ref())
}

fn text<'a>(value: &'a (dyn Val + '_)) -> Result<&'a str, String> {
    value.downcast_ref::<CelString>().map(CelString::inner).ok_or_else(|| expected("a string", value))
}

fn expected(what: &str, found: &dyn Val) -> String {
    format!("expected {what}, found a value of type {}", found.get_type().name())
}

/// The string elements of a list.
pub(super) fn each<'a>(value: &'a (dyn Val + '_)) -> Result<&'a [Box<dyn Val + 'a>], String> {
    // The elements borrow for at least as long as the list itself.
    value.downcast_ref::<CelList>().map(CelList::inner).ok_or_else(|| expected("a list", value))
}

fn has(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let slot =
        argument(arguments, 1).downcast_ref::<CelInt>().and_then(|slot| usize::try_from(*slot.inner()).ok());
    let record = argument(arguments, 0).downcast_ref::<Record>();
    Ok(record::flag(matches!((record, slot), (Some(record), Some(slot)) if record.has(slot))))
}

/// A map literal, given as a list of keys and values by turns.
fn map(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let parts = each(argument(arguments, 0))?;
    let mut entries = Vec::with_capacity(parts.len() / 2);
    for pair in parts.chunks_exact(2) {
        let [key, value] = pair else { continue };
        let key = Key::of(key.as_ref()).ok_or_else(|| expected("a key", key.as_ref()))?;
        let value = record::detach(value.as_ref()).ok_or("a map cannot hold this value")?;
        entries.push((key, value));
    }
    let count = entries.len();
    let map = OrderedMap::from_iter(entries);
    if map.0.len() < count { Err("the same key is there twice".to_owned()) } else { Ok(Box::new(map)) }
}

fn matches(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let subject = text(argument(arguments, 0))?;
    let pattern = argument(arguments, 1).downcast_ref::<Pattern>().ok_or("the pattern is not compiled")?;
    Ok(record::flag(pattern.0.is_match(subject)))
}

fn if_empty(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let value = text(argument(arguments, 0))?;
    let fallback = text(argument(arguments, 1))?;
    Ok(record::text(if value.is_empty() { fallback } else { value }))
}

fn contains(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let (whole, part) = (argument(arguments, 0), argument(arguments, 1));
    if let Some(cidr) = whole.downcast_ref::<Cidr>() {
        let ip = part.downcast_ref::<Ip>().ok_or_else(|| expected("an IP", part))?;
        return Ok(record::flag(cidr.contains(*ip)));
    }
    Ok(record::flag(text(whole)?.contains(text(part)?)))
}

fn within(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let (ip, cidr) = (argument(arguments, 0), argument(arguments, 1));
    let address = ip.downcast_ref::<Ip>().ok_or_else(|| expected("an IP", ip))?;
    let network = cidr.downcast_ref::<Cidr>().ok_or_else(|| expected("a CIDR", cidr))?;
    Ok(record::flag(network.contains(*address)))
}

fn ip(arguments: Arguments<'_, '_, '_>) -> Outcome {
    Ok(Box::new(Ip::parse(text(argument(arguments, 0))?)?))
}

fn cidr(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let texts = each(argument(arguments, 0))?
        .iter()
        .map(|value| text(value.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(Cidr::parse(texts)?))
}

fn moment(value: &dyn Val) -> Result<Timestamp, String> {
    value
        .downcast_ref::<CelTimestamp>()
        .map(|time| *time.inner())
        .ok_or_else(|| expected("a timestamp", value))
}

fn boxed(time: Timestamp) -> Boxed {
    Box::new(CelTimestamp::from(time))
}

fn zone(arguments: Arguments<'_, '_, '_>) -> Result<Option<Zone>, String> {
    arguments.get(2).map(|zone| Zone::parse(text(zone.as_ref())?)).transpose()
}

/// The layout that the second argument names: a value of `TimeFormat`, or a text.
fn layout<'a>(arguments: Arguments<'a, '_, '_>) -> Result<&'a str, String> {
    let value = argument(arguments, 1);
    let name = match value.downcast_ref::<EnumValue>() {
        Some(format) => {
            Enumeration::TimeFormat.values().get(usize::from(format.number)).copied().unwrap_or("")
        }
        None => text(value)?,
    };
    time::layout(name)
}

fn time_parse(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let zone = zone(arguments)?.unwrap_or(Zone::UTC);
    time::parse(text(argument(arguments, 0))?, layout(arguments)?, zone).map(boxed)
}

/// Like `time_parse`, but a text that is not written like the layout gives null. A bad layout or zone is still an error.
fn time_try_parse(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let (zone, layout) = (zone(arguments)?.unwrap_or(Zone::UTC), layout(arguments)?);
    let parsed = time::parse(text(argument(arguments, 0))?, layout, zone);
    Ok(parsed.map_or_else(|_| record::null(), boxed))
}

fn time_format(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let written = time::format(moment(argument(arguments, 0))?, layout(arguments)?, zone(arguments)?);
    Ok(record::text(written))
}

fn integer(value: &dyn Val) -> Result<i64, String> {
    value.downcast_ref::<CelInt>().map(|int| *int.inner()).ok_or_else(|| expected("an int", value))
}

fn time_unix(arguments: Arguments<'_, '_, '_>) -> Outcome {
    time::unix(integer(argument(arguments, 0))?).map(boxed)
}

fn time_unix_ms(arguments: Arguments<'_, '_, '_>) -> Outcome {
    time::unix_ms(integer(argument(arguments, 0))?).map(boxed)
}

fn time_start_of(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let unit = Unit::parse(text(argument(arguments, 1))?)?;
    time::start_of(moment(argument(arguments, 0))?, unit, zone(arguments)?.unwrap_or(Zone::UTC)).map(boxed)
}

fn time_end_of(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let unit = Unit::parse(text(argument(arguments, 1))?)?;
    time::end_of(moment(argument(arguments, 0))?, unit, zone(arguments)?.unwrap_or(Zone::UTC)).map(boxed)
}

fn account<'a>(arguments: Arguments<'a, '_, '_>) -> Result<&'a super::facts::AppUser, String> {
    let value = argument(arguments, 0);
    match value.downcast_ref::<Record>().map(Record::source) {
        Some(Source::AppUser(account)) => Ok(account),
        _ => Err(expected("an AppUser", value)),
    }
}

fn has_insight(arguments: Arguments<'_, '_, '_>) -> Outcome {
    Ok(record::flag(!account(arguments)?.security_insights.is_empty()))
}

fn insights(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let source = text(argument(arguments, 1))?;
    let found = account(arguments)?.security_insights.iter().filter(|insight| insight.source == source);
    Ok(record::list(found.map(|insight| Record::boxed(Source::SecurityInsight(Arc::new(insight.clone()))))))
}

/// The severities there are.
pub(super) const SEVERITIES: &[&str] = &["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"];

fn has_insight_with_severity(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let (source, severity) = (text(argument(arguments, 1))?, text(argument(arguments, 2))?);
    let mut insights = account(arguments)?.security_insights.iter();
    Ok(record::flag(insights.any(|one| one.source == source && one.severity.eq_ignore_ascii_case(severity))))
}

fn has_risk_score(arguments: Arguments<'_, '_, '_>) -> Outcome {
    Ok(record::flag(!account(arguments)?.risk_scores.is_empty()))
}

fn risk_score(arguments: Arguments<'_, '_, '_>) -> Outcome {
    let source = text(argument(arguments, 1))?;
    let found = account(arguments)?.risk_scores.iter().find(|risk| risk.source == source);
    let found = found.ok_or_else(|| format!("the account has no risk score from \"{source}\""))?;
    Ok(Record::boxed(Source::RiskScore(Arc::new(found.clone()))))
}
