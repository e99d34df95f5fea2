//! Random messages, with prost-reflect's own JSON and binary forms as the oracle.

use super::{POOL, descriptor, from_json, to_json, ty};
use countersign::wire::check;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{
    Cardinality, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, SerializeOptions, Value,
};

/// Random choices taken from a list of numbers, so that proptest can shrink a message by shrinking the list.
pub(super) struct Choices<'a> {
    pub(super) numbers: &'a [u64],
    pub(super) at: usize,
}

impl Choices<'_> {
    fn next(&mut self) -> u64 {
        let n = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        n
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

const TEXTS: &[&str] =
    &["", "a", "grant", "my key", "Zürich", "\u{1F600}", "q\"\\\n\t\u{1}", "a.b", "`", "NaN", "0"];
const WHOLE: &[u64] =
    &[0, 1, 2, 127, 128, 255, 1 << 31, u32::MAX as u64, 1 << 53, (1 << 53) + 1, i64::MAX as u64, u64::MAX];
const DOUBLES: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    1e15,
    1e16,
    1e300,
    5e-324,
    f64::MAX,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

fn scalar(kind: &Kind, c: &mut Choices<'_>) -> Value {
    let n = c.next();
    let whole = if n.is_multiple_of(3) { n } else { WHOLE[(n % WHOLE.len() as u64) as usize] };
    match kind {
        Kind::Double => Value::F64(DOUBLES[(n % DOUBLES.len() as u64) as usize]),
        Kind::Float => Value::F32(DOUBLES[(n % DOUBLES.len() as u64) as usize] as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(whole as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(whole as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(whole as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(whole),
        Kind::Bool => Value::Bool(n % 2 == 1),
        Kind::String => Value::String(TEXTS[(n % TEXTS.len() as u64) as usize].to_owned()),
        Kind::Bytes => Value::Bytes(n.to_le_bytes()[..(n % 9) as usize].to_vec().into()),
        // The last one is a number that the enum does not have.
        Kind::Enum(e) if e.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber([0, 1, 2, -3, 77][(n % 5) as usize]),
        Kind::Message(_) => unreachable!(),
    }
}

pub(super) fn any_message(
    descriptor: &MessageDescriptor,
    c: &mut Choices<'_>,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            let seconds =
                [0, -62_135_596_800, 253_402_300_799, 951_782_400, c.next() as i64 % 60_000_000_000];
            message.set_field_by_name("seconds", Value::I64(seconds[c.below(5) as usize]));
            let nanos = [0, 1, 500_000_000, 123_456_000, 999_999_999];
            message.set_field_by_name("nanos", Value::I32(nanos[c.below(5) as usize]));
            return message;
        }
        "google.protobuf.Duration" => {
            let sign = if c.below(2) == 0 { 1 } else { -1 };
            let seconds = [0, 1, 3600, 315_576_000_000][c.below(4) as usize];
            let nanos = if seconds > 3600 { 0 } else { [0, 1, 500_000_000][c.below(3) as usize] };
            message.set_field_by_name("seconds", Value::I64(sign * seconds));
            message.set_field_by_name("nanos", Value::I32(sign as i32 * nanos));
            return message;
        }
        "google.protobuf.FieldMask" => {
            // Single words only: we keep the spelling of a path, the oracle changes it.
            let paths =
                (0..c.below(3)).map(|_| Value::String(["a", "b.c", "rules"][c.below(3) as usize].into()));
            message.set_field_by_name("paths", Value::List(paths.collect()));
            return message;
        }
        "google.protobuf.Any" => {
            let names = ["every.v1.Scalars", "google.protobuf.Duration", "every.v1.Oneofs"];
            let inner = POOL.get_message_by_name(names[c.below(3) as usize]).unwrap();
            let content = any_message(&inner, c, depth.saturating_sub(1)).encode_to_vec();
            let url = format!("type.googleapis.com/{}", inner.full_name());
            message.set_field_by_name("type_url", Value::String(url));
            message.set_field_by_name("value", Value::Bytes(content.into()));
            return message;
        }
        // The oracle prints the other doubles as null in a wrapper, where we print their names.
        "google.protobuf.DoubleValue" => {
            message.set_field_by_name("value", Value::F64(DOUBLES[c.below(10) as usize]));
            return message;
        }
        "google.protobuf.FloatValue" => {
            message.set_field_by_name("value", Value::F32([0.0, 1.5, 1e38, 1e-45][c.below(4) as usize]));
            return message;
        }
        "google.protobuf.Value" => {
            let choices = if depth == 0 { 4 } else { 6 };
            let field = descriptor.get_field(1 + c.below(choices) as u32).unwrap();
            let value = match field.kind() {
                Kind::Double => Value::F64([0.0, -1.5, 1e300, 9_007_199_254_740_992.0][c.below(4) as usize]),
                Kind::Message(inner) => Value::Message(any_message(&inner, c, depth - 1)),
                kind => scalar(&kind, c),
            };
            message.set_field(&field, value);
            return message;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        // Members of a oneof are rarer, so that the first of them are not always replaced by the last.
        let skip = if field.containing_oneof().is_some() { c.below(4) != 0 } else { c.below(3) == 0 };
        if skip {
            continue;
        }
        if let Some(value) = field_value(&field, c, depth) {
            message.set_field(&field, value);
        }
    }
    message
}

fn field_value(field: &FieldDescriptor, c: &mut Choices<'_>, depth: usize) -> Option<Value> {
    let one = |kind: &Kind, c: &mut Choices<'_>| match kind {
        Kind::Message(_) if depth == 0 => None,
        Kind::Message(inner) => Some(Value::Message(any_message(inner, c, depth - 1))),
        kind => Some(scalar(kind, c)),
    };
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return None };
        let mut map = std::collections::HashMap::new();
        for _ in 0..c.below(4) {
            let key = match scalar(&entry.map_entry_key_field().kind(), c) {
                Value::Bool(v) => MapKey::Bool(v),
                Value::I32(v) => MapKey::I32(v),
                Value::I64(v) => MapKey::I64(v),
                Value::U32(v) => MapKey::U32(v),
                Value::U64(v) => MapKey::U64(v),
                Value::String(v) => MapKey::String(v),
                _ => return None,
            };
            map.insert(key, one(&entry.map_entry_value_field().kind(), c)?);
        }
        return Some(Value::Map(map));
    }
    if field.cardinality() == Cardinality::Repeated {
        let list: Option<Vec<_>> = (0..c.below(4)).map(|_| one(&field.kind(), c)).collect();
        return list.map(Value::List);
    }
    one(&field.kind(), c)
}

pub(super) fn oracle_json(message: &DynamicMessage, defaults: bool) -> String {
    let options = SerializeOptions::new().skip_default_fields(!defaults);
    let mut out = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut out, &options).unwrap();
    String::from_utf8(out.into_inner()).unwrap()
}

fn oracle_read(descriptor: &MessageDescriptor, text: &str) -> Result<DynamicMessage, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    DynamicMessage::deserialize_with_options(descriptor.clone(), &mut reader, &DeserializeOptions::new())
}

/// Equal as text: NaN is not equal to itself as a value.
pub(super) fn same(a: &DynamicMessage, b: &DynamicMessage) -> bool {
    let text = |m: &DynamicMessage| {
        let value: serde_json::Value = serde_json::from_str(&oracle_json(m, false)).unwrap();
        value.to_string()
    };
    a == b || text(a) == text(b)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_messages_agree_with_the_oracle(numbers in prop::collection::vec(any::<u64>(), 0..400)) {
        let every = descriptor("every.v1.Every");
        let ours = ty("every.v1.Every");
        let message = any_message(&every, &mut Choices { numbers: &numbers, at: 0 }, 4);
        let bytes = message.encode_to_vec();
        // The oracle does not write a map's value that equals zero, not even a negative zero.
        let message = DynamicMessage::decode(every.clone(), bytes.as_slice()).unwrap();
        check(&ours, &bytes, 100).unwrap();

        for defaults in [false, true] {
            let text = to_json(&ours, &bytes, defaults);
            // Ours is read by ours and by the oracle as the same message.
            let back = from_json(&ours, &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let back = DynamicMessage::decode(every.clone(), back.as_slice()).unwrap();
            prop_assert!(same(&back, &message), "ours by ours\n{text}\n{}", oracle_json(&message, false));
            let read = oracle_read(&every, &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            prop_assert!(same(&read, &message), "ours by the oracle\n{text}\n{}", oracle_json(&read, false));
            // The oracle's is read by ours.
            let text = oracle_json(&message, defaults);
            let back = from_json(&ours, &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let back = DynamicMessage::decode(every.clone(), back.as_slice()).unwrap();
            prop_assert!(same(&back, &message), "the oracle's by ours\n{text}");
        }
    }

    /// Splitting a message in two and appending the parts merges them on the wire; both readers must see the same.
    #[test]
    fn appended_messages_merge_as_the_oracle_merges_them(
        a in prop::collection::vec(any::<u64>(), 0..200),
        b in prop::collection::vec(any::<u64>(), 0..200),
    ) {
        for name in ["every.v1.Every", "every.v1.Maps", "every.v1.Lists", "every.v1.WellKnown"] {
            let descriptor = descriptor(name);
            let ours = ty(name);
            let mut bytes = any_message(&descriptor, &mut Choices { numbers: &a, at: 0 }, 3).encode_to_vec();
            bytes.extend(any_message(&descriptor, &mut Choices { numbers: &b, at: 0 }, 3).encode_to_vec());
            // The type of one `Any` with the content of another need not be a message.
            if check(&ours, &bytes, 100).is_err() {
                continue;
            }
            let merged = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap();
            // `check` sees the parts of a split `Any` one by one; the oracle, which sees it whole, has no JSON for it then.
            if serde_json::to_value(&merged).is_err() {
                continue;
            }
            let mut out = Vec::new();
            let style = countersign::wire::json::Style::default();
            if countersign::wire::json::encode(&ours, &bytes, &style, &mut out).is_err() {
                // Two durations of opposite signs merge to one that is out of range; the oracle refuses it too.
                continue;
            }
            let text = String::from_utf8(out).unwrap();
            let back = from_json(&ours, &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let back = DynamicMessage::decode(descriptor.clone(), back.as_slice()).unwrap();
            prop_assert!(same(&back, &merged), "{text}\n{}", oracle_json(&merged, false));
        }
    }
}

/// The finisher of splitmix64: neighbouring numbers become unrelated ones.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// The oracle is only as good as its descriptors: make sure the random messages do reach every field.
#[test]
fn random_messages_reach_every_field() {
    let every = descriptor("every.v1.Every");
    let mut reached = std::collections::BTreeSet::new();
    for seed in 0..400u64 {
        let numbers: Vec<u64> = (0..600).map(|i| mixed(seed * 1000 + i)).collect();
        let message = any_message(&every, &mut Choices { numbers: &numbers, at: 0 }, 4);
        for (field, value) in message.fields() {
            reached.insert(field.full_name().to_owned());
            if let Value::Message(inner) = value {
                reached.extend(inner.fields().map(|(f, _)| f.full_name().to_owned()));
            }
        }
        assert_eq!(message.descriptor(), every);
    }
    for field in every.fields() {
        if let Kind::Message(inner) = field.kind() {
            // The one value of `NullValue` is zero, which is unset.
            for field in inner.fields().filter(|f| f.full_name() != "every.v1.WellKnown.null") {
                assert!(reached.contains(field.full_name()), "{} is never set", field.full_name());
            }
        }
    }
}
