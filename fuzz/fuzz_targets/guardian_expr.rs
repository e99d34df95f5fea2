//! Guardian's language: lex, parse, check and evaluate; no text may make any of it panic. The first byte chooses the place, the
//! rest is the text.

#![no_main]

use chrono::DateTime;
use countersign::expr::EvalCode;
use countersign::expr::guardian::{Parameters, Place, Value, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let place = Place::ALL[usize::from(*first) % Place::ALL.len()];
    match compile(place, text) {
        Ok(program) => {
            let appeal = serde_json::json!({"role": "viewer", "policy_version": 3, "permissions": ["a", null], "labels": {}});
            let appeal = Value::from_json(&appeal).expect("it is small");
            let now = DateTime::from_timestamp(1_772_530_200, 0).unwrap_or_default();
            let parameters = Parameters::new(now).with("appeal", appeal.clone()).with("response", appeal);
            if let Err(error) = program.evaluate(&parameters) {
                assert_ne!(error.code, EvalCode::Internal, "{error}");
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(text.get(fault.span.start..fault.span.end).is_some(), "{fault}");
            }
        }
    }
});
