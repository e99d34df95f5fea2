//! cel-spec's own cases.
