//! Parse, check and evaluate: no text may make any of it panic, or cost more than its bound. The first byte chooses the
//! environment, the rest is the text.

#![no_main]

use chrono::DateTime;
use countersign::expr::{COST_MAX_UNITS, EmptyDirectory, Environment, EvalCode, Evaluation, Facts, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let environment = Environment::ALL[usize::from(*first) % Environment::ALL.len()];
    match compile(environment, text) {
        Ok(program) => {
            assert!(program.cost() <= COST_MAX_UNITS);
            let facts = Facts::default();
            let now = DateTime::from_timestamp(1_772_530_200, 0).unwrap_or_default();
            let evaluation = Evaluation::new(&facts, &EmptyDirectory, now).expect("empty facts fit");
            if let Err(error) = program.evaluate(&evaluation) {
                assert_ne!(error.code, EvalCode::Internal, "{error}");
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.span.start <= fault.span.end && fault.span.end <= text.len(), "{fault}");
            }
        }
    }
});
