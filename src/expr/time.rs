//! The `time.*` functions: parsing and writing timestamps with Go's layouts, and the first and last moment of a unit of
//! the calendar. No clock: the time that `now()` gives is handed in with the evaluation.

use chrono::{
    DateTime, Datelike, Days, FixedOffset, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime,
};
use chrono::{Offset, SubsecRound, TimeDelta, TimeZone, Timelike, Utc};

pub(super) type Timestamp = DateTime<FixedOffset>;

/// Years that a timestamp can have, as protobuf limits them.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// Longest layout, in bytes.
const LAYOUT_MAX_BYTES: usize = 256;

/// A zone of the IANA database, or an offset such as `+02:00`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    Named(chrono_tz::Tz),
    Offset(FixedOffset),
}

impl Zone {
    pub const UTC: Self = Self::Named(chrono_tz::UTC);

    pub fn parse(name: &str) -> Result<Self, String> {
        if name.is_empty() {
            return Ok(Self::UTC);
        }
        // CEL takes an offset without a sign for one east of Greenwich.
        let signed = if name.starts_with(['+', '-']) { name.to_owned() } else { format!("+{name}") };
        let offset = signed.parse::<FixedOffset>().ok().filter(|_| name.contains(':'));
        if let Some(offset) = offset {
            return Ok(Self::Offset(offset));
        }
        name.parse().map(Self::Named).map_err(|_| format!("\"{name}\" is no time zone"))
    }

    /// The same moment as the clocks of the zone show it.
    pub fn at(self, time: Timestamp) -> Timestamp {
        match self {
            Self::Named(zone) => time.with_timezone(&zone).fixed_offset(),
            Self::Offset(offset) => time.with_timezone(&offset),
        }
    }

    /// The moment that clocks of the zone show `local`. Of two such moments the first; where clocks skip it, the moment
    /// that they would have shown without the skip.
    fn moment_of(self, local: NaiveDateTime) -> Option<Timestamp> {
        match self {
            Self::Offset(offset) => offset.from_local_datetime(&local).single(),
            Self::Named(zone) => match zone.from_local_datetime(&local) {
                MappedLocalTime::Single(time) | MappedLocalTime::Ambiguous(time, _) => {
                    Some(time.fixed_offset())
                }
                MappedLocalTime::None => {
                    let before = local.checked_sub_signed(TimeDelta::hours(3))?;
                    let offset = zone.offset_from_local_datetime(&before).earliest()?.fix();
                    let moment = offset.from_local_datetime(&local).single()?;
                    Some(moment.with_timezone(&zone).fixed_offset())
                }
            },
        }
    }
}

fn in_range(time: Timestamp) -> Result<Timestamp, String> {
    let utc = time.with_timezone(&Utc);
    if YEARS.contains(&utc.year()) {
        Ok(time)
    } else {
        Err("the timestamp is outside the years 1 to 9999".to_owned())
    }
}

pub(super) fn unix(seconds: i64) -> Result<Timestamp, String> {
    let time = DateTime::from_timestamp(seconds, 0).ok_or("the timestamp is outside the years 1 to 9999")?;
    in_range(time.fixed_offset())
}

pub(super) fn unix_ms(milliseconds: i64) -> Result<Timestamp, String> {
    let time = DateTime::from_timestamp_millis(milliseconds)
        .ok_or("the timestamp is outside the years 1 to 9999")?;
    in_range(time.fixed_offset())
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Minute,
    Hour,
    Day,
    /// Starts on Monday.
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    pub fn parse(name: &str) -> Result<Self, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            _ => return Err(format!("\"{name}\" is none of minute, hour, day, week, month, quarter, year")),
        })
    }
}

/// The first moment of the unit that `time` is in, by the clocks of the zone.
pub(super) fn start_of(time: Timestamp, unit: Unit, zone: Zone) -> Result<Timestamp, String> {
    let local = zone.at(time);
    if let Unit::Minute | Unit::Hour = unit {
        // By elapsed time, so that the hour that clocks show twice is two hours.
        let into =
            i64::from(local.second()) + if unit == Unit::Hour { i64::from(local.minute()) * 60 } else { 0 };
        let start = local.trunc_subsecs(0).checked_sub_signed(TimeDelta::seconds(into));
        return in_range(start.ok_or("the timestamp is outside the years 1 to 9999")?);
    }
    let day = local.date_naive();
    let first = match unit {
        Unit::Week => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))),
        Unit::Month => day.with_day(1),
        Unit::Quarter => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
        Unit::Year => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        _ => Some(day),
    };
    let start = first.and_then(|first| zone.moment_of(first.and_time(NaiveTime::MIN)));
    in_range(start.ok_or("the timestamp is outside the years 1 to 9999")?)
}

/// The last nanosecond of the unit that `time` is in.
pub(super) fn end_of(time: Timestamp, unit: Unit, zone: Zone) -> Result<Timestamp, String> {
    let start = start_of(time, unit, zone)?;
    let day = zone.at(start).date_naive();
    let after = |day: Option<NaiveDate>| day.and_then(|day| zone.moment_of(day.and_time(NaiveTime::MIN)));
    let next = match unit {
        Unit::Minute => start.checked_add_signed(TimeDelta::minutes(1)),
        Unit::Hour => start.checked_add_signed(TimeDelta::hours(1)),
        Unit::Day => after(day.checked_add_days(Days::new(1))),
        Unit::Week => after(day.checked_add_days(Days::new(7))),
        Unit::Month => after(day.checked_add_months(Months::new(1))),
        Unit::Quarter => after(day.checked_add_months(Months::new(3))),
        Unit::Year => after(day.checked_add_months(Months::new(12))),
    };
    let end = next.and_then(|next| next.checked_sub_signed(TimeDelta::nanoseconds(1)));
    in_range(end.ok_or("the timestamp is outside the years 1 to 9999")?)
}

/// The layout that one of the four names stands for, or the text itself.
pub(super) fn layout(name: &str) -> Result<&str, String> {
    let layout = match name {
        "rfc3339" | "RFC3339" | "TIME_FORMAT_RFC3339" => "2006-01-02T15:04:05.999999999Z07:00",
        "date" | "DATE" | "TIME_FORMAT_DATE" => "2006-01-02",
        "datetime" | "DATETIME" | "TIME_FORMAT_DATETIME" => "2006-01-02 15:04:05",
        "time" | "TIME" | "TIME_FORMAT_TIME" => "15:04:05",
        other => other,
    };
    if layout.len() > LAYOUT_MAX_BYTES {
        return Err(format!("a layout has at most {LAYOUT_MAX_BYTES} bytes"));
    }
    if !parts(layout).iter().any(|part| !matches!(part, Part::Text(_))) {
        return Err(format!(
            "\"{name}\" is no layout: write the moment 2006-01-02T15:04:05Z as you want times to look"
        ));
    }
    Ok(layout)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Year,
    YearOfCentury,
    Month {
        padded: bool,
    },
    MonthName {
        long: bool,
    },
    WeekdayName {
        long: bool,
    },
    Day {
        padding: Option<char>,
    },
    DayOfYear,
    Hour24,
    Hour12 {
        padded: bool,
    },
    Minute {
        padded: bool,
    },
    Second {
        padded: bool,
    },
    /// Digits after a dot or a comma, which is part of it; trailing zeros are dropped unless `fixed`.
    Fraction {
        digits: usize,
        fixed: bool,
    },
    HalfDay {
        upper: bool,
    },
    ZoneName,
    Offset {
        colon: bool,
        minutes: bool,
        zulu: bool,
    },
}

/// Pieces of a Go layout, longest first where one starts like another.
const PARTS: &[(&str, Part<'static>)] = &[
    ("January", Part::MonthName { long: true }),
    ("Jan", Part::MonthName { long: false }),
    ("Monday", Part::WeekdayName { long: true }),
    ("Mon", Part::WeekdayName { long: false }),
    ("MST", Part::ZoneName),
    ("2006", Part::Year),
    ("Z07:00", Part::Offset { colon: true, minutes: true, zulu: true }),
    ("Z0700", Part::Offset { colon: false, minutes: true, zulu: true }),
    ("Z07", Part::Offset { colon: false, minutes: false, zulu: true }),
    ("-07:00", Part::Offset { colon: true, minutes: true, zulu: false }),
    ("-0700", Part::Offset { colon: false, minutes: true, zulu: false }),
    ("-07", Part::Offset { colon: false, minutes: false, zulu: false }),
    ("002", Part::DayOfYear),
    ("01", Part::Month { padded: true }),
    ("02", Part::Day { padding: Some('0') }),
    ("03", Part::Hour12 { padded: true }),
    ("04", Part::Minute { padded: true }),
    ("05", Part::Second { padded: true }),
    ("06", Part::YearOfCentury),
    ("15", Part::Hour24),
    ("_2", Part::Day { padding: Some(' ') }),
    ("PM", Part::HalfDay { upper: true }),
    ("pm", Part::HalfDay { upper: false }),
    ("1", Part::Month { padded: false }),
    ("2", Part::Day { padding: None }),
    ("3", Part::Hour12 { padded: false }),
    ("4", Part::Minute { padded: false }),
    ("5", Part::Second { padded: false }),
];

fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = layout;
    let mut plain = 0; // bytes at the start of `rest` that stand for themselves
    while let Some(tail) = rest.get(plain..).filter(|tail| !tail.is_empty()) {
        let found =
            PARTS.iter().find(|(text, _)| tail.starts_with(text)).map(|(text, part)| (text.len(), *part));
        let Some((length, part)) = found.or_else(|| fraction(tail)) else {
            plain += tail.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if let Some(text) = rest.get(..plain).filter(|text| !text.is_empty()) {
            parts.push(Part::Text(text));
        }
        parts.push(part);
        rest = tail.get(length..).unwrap_or("");
        plain = 0;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// `.000` or `,999` when no other digit follows.
fn fraction(tail: &str) -> Option<(usize, Part<'static>)> {
    let digits = tail.strip_prefix(['.', ','])?;
    let kind = digits.chars().next().filter(|first| matches!(first, '0' | '9'))?;
    let count = digits.chars().take_while(|digit| *digit == kind).count();
    let ends = !digits.get(count..).is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
    (ends && count <= 9).then_some((count + 1, Part::Fraction { digits: count, fixed: kind == '0' }))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// The time as the layout has it, by the clocks of the zone. Without a zone: as the timestamp itself has them.
pub(super) fn format(time: Timestamp, layout: &str, zone: Option<Zone>) -> String {
    let name = match zone {
        Some(Zone::Named(zone)) => Some(time.with_timezone(&zone).format("%Z").to_string()),
        _ => None,
    };
    let time = zone.map_or(time, |zone| zone.at(time));
    parts(layout).iter().map(|part| written(*part, time, name.as_deref())).collect()
}

fn number(value: u32, padded: bool) -> String {
    if padded { format!("{value:02}") } else { value.to_string() }
}

fn written(part: Part<'_>, time: Timestamp, zone_name: Option<&str>) -> String {
    match part {
        Part::Text(text) => text.to_owned(),
        Part::Year => format!("{:04}", time.year()),
        Part::YearOfCentury => format!("{:02}", time.year().rem_euclid(100)),
        Part::Month { padded } => number(time.month(), padded),
        Part::MonthName { long } => {
            let name = MONTHS.get(time.month0() as usize).copied().unwrap_or("");
            (if long { name } else { short(name) }).to_owned()
        }
        Part::WeekdayName { long } => {
            let name = WEEKDAYS.get(time.weekday().num_days_from_monday() as usize).copied().unwrap_or("");
            (if long { name } else { short(name) }).to_owned()
        }
        Part::Day { padding: Some(' ') } => format!("{:>2}", time.day()),
        Part::Day { padding } => number(time.day(), padding.is_some()),
        Part::DayOfYear => format!("{:03}", time.ordinal()),
        Part::Hour24 => number(time.hour(), true),
        Part::Hour12 { padded } => number(time.hour12().1, padded),
        Part::Minute { padded } => number(time.minute(), padded),
        Part::Second { padded } => number(time.second(), padded),
        Part::Fraction { digits, fixed } => {
            written_fraction(time.nanosecond() % 1_000_000_000, digits, fixed)
        }
        Part::HalfDay { upper } => {
            let name = if time.hour12().0 { "PM" } else { "AM" };
            if upper { name.to_owned() } else { name.to_ascii_lowercase() }
        }
        Part::ZoneName => match zone_name {
            Some(name) => name.to_owned(),
            None if time.offset().local_minus_utc() == 0 => "UTC".to_owned(),
            None => written_offset(time, false, true, false),
        },
        Part::Offset { colon, minutes, zulu } => written_offset(time, colon, minutes, zulu),
    }
}

fn written_fraction(nanos: u32, digits: usize, fixed: bool) -> String {
    let all = format!("{nanos:09}");
    let cut = all.get(..digits).unwrap_or(&all);
    let kept = if fixed { cut } else { cut.trim_end_matches('0') };
    if kept.is_empty() { String::new() } else { format!(".{kept}") }
}

fn written_offset(time: Timestamp, colon: bool, minutes: bool, zulu: bool) -> String {
    let seconds = time.offset().local_minus_utc();
    if zulu && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hour, minute) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    match (minutes, colon) {
        (true, true) => format!("{sign}{hour:02}:{minute:02}"),
        (true, false) => format!("{sign}{hour:02}{minute:02}"),
        (false, _) => format!("{sign}{hour:02}"),
    }
}

/// What has been read of a text so far.
#[derive(Default)]
struct Fields {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    hour: u32,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    nanos: u32,
    offset_seconds: Option<i32>,
}

/// Reads a time that is written as the layout has it. What the layout leaves out is that of 0000-01-01T00:00:00 as in Go,
/// but with the year 1; the zone counts where the text names none.
pub(super) fn parse(text: &str, layout: &str, zone: Zone) -> Result<Timestamp, String> {
    let wrong = || format!("\"{text}\" is not a time written like {layout}");
    let mut fields = Fields::default();
    let mut rest = text;
    for part in parts(layout) {
        rest = read(part, rest, &mut fields).ok_or_else(wrong)?;
        // As in Go, a fraction may follow the seconds even where the layout has none.
        if matches!(part, Part::Second { .. }) && !layout.contains(['.', ',']) {
            rest = read_fraction(rest, None, &mut fields).unwrap_or(rest);
        }
    }
    if !rest.is_empty() {
        return Err(wrong());
    }
    let time = assembled(&fields, zone).ok_or_else(wrong)?;
    in_range(time)
}

fn assembled(fields: &Fields, zone: Zone) -> Option<Timestamp> {
    let year = fields.year.unwrap_or(1);
    let date = match fields.ordinal {
        Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal)?,
        None => NaiveDate::from_ymd_opt(year, fields.month.unwrap_or(1), fields.day.unwrap_or(1))?,
    };
    let hour = match fields.afternoon {
        None => fields.hour,
        Some(_) if fields.hour > 12 => return None,
        Some(afternoon) => fields.hour % 12 + if afternoon { 12 } else { 0 },
    };
    let time = NaiveTime::from_hms_nano_opt(hour, fields.minute, fields.second, fields.nanos)?;
    let local = date.and_time(time);
    match fields.offset_seconds {
        Some(seconds) => FixedOffset::east_opt(seconds)?.from_local_datetime(&local).single(),
        None => zone.moment_of(local),
    }
}

fn read<'t>(part: Part<'_>, text: &'t str, fields: &mut Fields) -> Option<&'t str> {
    let mut take = |at_least: usize, at_most: usize, into: &mut dyn FnMut(u32, &mut Fields)| {
        let (value, rest) = digits(text, at_least, at_most)?;
        into(value, fields);
        Some(rest)
    };
    match part {
        Part::Text(expected) => text.strip_prefix(expected),
        Part::Year => take(4, 4, &mut |value, f| f.year = i32::try_from(value).ok()),
        Part::YearOfCentury => take(2, 2, &mut |value, f| {
            let century = if value >= 69 { 1900 } else { 2000 };
            f.year = i32::try_from(century + value).ok();
        }),
        Part::Month { padded } => take(if padded { 2 } else { 1 }, 2, &mut |value, f| f.month = Some(value)),
        Part::MonthName { long } => {
            let (index, rest) = named(text, &MONTHS, long)?;
            fields.month = Some(index + 1);
            Some(rest)
        }
        Part::WeekdayName { long } => named(text, &WEEKDAYS, long).map(|(_, rest)| rest),
        Part::Day { padding } => {
            let text = if padding == Some(' ') { text.trim_start_matches(' ') } else { text };
            let (value, rest) = digits(text, if padding == Some('0') { 2 } else { 1 }, 2)?;
            fields.day = Some(value);
            Some(rest)
        }
        Part::DayOfYear => take(3, 3, &mut |value, f| f.ordinal = Some(value)),
        Part::Hour24 => take(2, 2, &mut |value, f| f.hour = value),
        Part::Hour12 { padded } => take(if padded { 2 } else { 1 }, 2, &mut |value, f| f.hour = value),
        Part::Minute { padded } => take(if padded { 2 } else { 1 }, 2, &mut |value, f| f.minute = value),
        Part::Second { padded } => take(if padded { 2 } else { 1 }, 2, &mut |value, f| f.second = value),
        Part::Fraction { digits, fixed } => {
            let read = read_fraction(text, fixed.then_some(digits), fields);
            if fixed { read } else { Some(read.unwrap_or(text)) }
        }
        Part::HalfDay { .. } => {
            let head = text.get(..2)?;
            fields.afternoon = Some(head.eq_ignore_ascii_case("pm"));
            (head.eq_ignore_ascii_case("am") || head.eq_ignore_ascii_case("pm")).then_some(text.get(2..)?)
        }
        Part::ZoneName => {
            fields.offset_seconds = Some(0);
            text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT"))
        }
        Part::Offset { colon, minutes, zulu } => read_offset(text, colon, minutes, zulu, fields),
    }
}

fn read_offset<'t>(
    text: &'t str,
    colon: bool,
    minutes: bool,
    zulu: bool,
    fields: &mut Fields,
) -> Option<&'t str> {
    if zulu && let Some(rest) = text.strip_prefix('Z') {
        fields.offset_seconds = Some(0);
        return Some(rest);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let rest = text.strip_prefix(['+', '-'])?;
    let (hour, mut rest) = digits(rest, 2, 2)?;
    let mut minute = 0;
    if minutes {
        rest = if colon { rest.strip_prefix(':')? } else { rest };
        (minute, rest) = digits(rest, 2, 2)?;
    }
    if hour > 23 || minute > 59 {
        return None;
    }
    fields.offset_seconds = Some(sign * i32::try_from(hour * 3600 + minute * 60).ok()?);
    Some(rest)
}

fn read_fraction<'t>(text: &'t str, exactly: Option<usize>, fields: &mut Fields) -> Option<&'t str> {
    let rest = text.strip_prefix(['.', ','])?;
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 || count > 9 || exactly.is_some_and(|exactly| exactly != count) {
        return None;
    }
    let (value, rest) = digits(rest, count, count)?;
    fields.nanos = value * 10_u32.pow(u32::try_from(9 - count).ok()?);
    Some(rest)
}

/// The number that the next digits make, no more than nine of them.
fn digits(text: &str, at_least: usize, at_most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(at_most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(count).filter(|_| count >= at_least)?;
    Some((digits.parse().ok()?, rest))
}

fn named<'t>(text: &'t str, names: &[&str], long: bool) -> Option<(u32, &'t str)> {
    names.iter().zip(0..).find_map(|(name, index)| {
        let name = if long { name } else { short(name) };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then_some((index, text.get(name.len()..)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).unwrap()
    }

    #[test]
    fn go_layouts_write_and_read() {
        let time = at("2026-03-07T09:05:04.050+02:00");
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2026-03-07T09:05:04+02:00"),
            ("2006-01-02T15:04:05.999Z07:00", "2026-03-07T09:05:04.05+02:00"),
            ("Mon, 02 Jan 2006 15:04:05 -0700", "Sat, 07 Mar 2026 09:05:04 +0200"),
            ("Monday January _2 3:04PM 06", "Saturday March  7 9:05AM 26"),
            ("1/2/06 15h", "3/7/26 09h"),
            ("002 .000", "066 .050"),
        ] {
            assert_eq!(format(time, layout, None), expected, "{layout}");
        }
        assert_eq!(format(time, "15:04 MST", Zone::parse("Europe/Berlin").ok()), "08:05 CET");
        for (text, layout, expected) in [
            ("2026-03-07T09:05:04+02:00", "2006-01-02T15:04:05Z07:00", "2026-03-07T09:05:04+02:00"),
            ("2026-03-07T09:05:04.5Z", "2006-01-02T15:04:05Z07:00", "2026-03-07T09:05:04.5Z"),
            (
                "Sat, 07 Mar 2026 09:05:04 +0200",
                "Mon, 02 Jan 2006 15:04:05 -0700",
                "2026-03-07T09:05:04+02:00",
            ),
            ("12:05AM 3/7/26", "3:04PM 1/2/06", "2026-03-07T00:05:00Z"),
            ("066 2026", "002 2006", "2026-03-07T00:00:00Z"),
        ] {
            assert_eq!(parse(text, layout, Zone::UTC).unwrap(), at(expected), "{text}");
        }
        for (text, layout) in
            [("2026-02-30", "2006-01-02"), ("2026-3-07", "2006-01-02"), ("x", "2006"), ("", "15")]
        {
            assert!(parse(text, layout, Zone::UTC).is_err(), "{text}");
        }
    }

    #[test]
    fn units_start_and_end_by_the_clocks_of_the_zone() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let spring = at("2026-03-29T12:00:00Z"); // clocks jumped from 02:00 to 03:00 that night
        assert_eq!(start_of(spring, Unit::Day, berlin).unwrap(), at("2026-03-28T23:00:00Z"));
        assert_eq!(end_of(spring, Unit::Day, berlin).unwrap(), at("2026-03-29T21:59:59.999999999Z"));
        assert_eq!(start_of(spring, Unit::Week, Zone::UTC).unwrap(), at("2026-03-23T00:00:00Z"));
        assert_eq!(start_of(spring, Unit::Quarter, Zone::UTC).unwrap(), at("2026-01-01T00:00:00Z"));
        assert_eq!(end_of(spring, Unit::Year, Zone::UTC).unwrap(), at("2026-12-31T23:59:59.999999999Z"));
        assert_eq!(
            start_of(at("2026-03-29T12:34:56.7Z"), Unit::Hour, berlin).unwrap(),
            at("2026-03-29T12:00:00Z")
        );
        assert!(end_of(at("9999-12-31T23:00:00Z"), Unit::Year, Zone::UTC).is_ok());
        assert!(start_of(at("0001-01-01T00:00:00Z"), Unit::Week, berlin).is_err());
        let lord_howe_gap = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap().and_hms_opt(2, 30, 0).unwrap();
        assert_eq!(berlin.moment_of(lord_howe_gap).unwrap(), at("2026-03-29T01:30:00Z"));
    }
}
