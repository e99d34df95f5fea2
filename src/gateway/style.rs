//! How JSON is written and read: one row for each dialect, chosen by the package of the service.

use std::sync::Arc;

use crate::wire::Type;
use crate::wire::json::{self, JSON_DEPTH_MAX_LEVELS, Names, Reading, Unknown};

/// One dialect of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub write: json::Style,
    pub read: Reading,
    /// How much of the details of an error is written.
    pub details: Details,
    /// Whether paths are read as Go's router and grpc-gateway read them: unescaped as a whole before they are matched, so
    /// that `%2F` separates, and whole numbers in them with Go's prefixes (`0x1f`, `1_000`).
    pub go_paths: bool,
}

/// How much of the details of an error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Details {
    /// All; without any, `"details":[]`.
    Always,
    /// All; without any, nothing.
    IfAny,
    /// Nothing.
    Never,
}

impl Style {
    /// camelCase, defaults written, unknown fields refused; `""` for a number, an enum or a time counts as unset, as
    /// this API's clients echo empty state.
    pub const CONDUCTORONE: Style = Style {
        write: json::Style { names: Names::Json, defaults: true },
        read: Reading {
            unknown_fields: Unknown::Refuse,
            max_depth: JSON_DEPTH_MAX_LEVELS,
            messages_around: 0,
            blank_is_unset: true,
        },
        details: Details::Always,
        go_paths: false,
    };

    /// snake_case, defaults left out, unknown fields ignored.
    pub const GUARDIAN: Style = Style {
        write: json::Style { names: Names::Proto, defaults: false },
        read: Reading {
            unknown_fields: Unknown::Ignore,
            max_depth: JSON_DEPTH_MAX_LEVELS,
            messages_around: 0,
            blank_is_unset: false,
        },
        details: Details::IfAny,
        go_paths: true,
    };

    /// The same, and errors have no details: those that we add are unknown to its clients.
    pub const GUARDIAN_STRICT: Style = Style { details: Details::Never, ..Style::GUARDIAN };
}

/// Which package speaks which dialect.
#[derive(Debug, Clone)]
pub struct Styles {
    first: Style,
    others: Vec<(String, Style)>,
}

impl Styles {
    /// Every package speaks `style`, and so do errors that belong to none.
    pub fn all(style: Style) -> Styles {
        Styles { first: style, others: Vec::new() }
    }

    /// `package` (its full name, `gotocompany.guardian.v1beta1`) speaks `style` instead.
    #[must_use]
    pub fn with(mut self, package: &str, style: Style) -> Styles {
        self.others.push((package.to_owned(), style));
        self
    }

    pub(crate) fn dialects(&self, any: Option<&Type>) -> Dialects {
        let dialect = |style: &Style| Arc::new(Dialect { style: *style, any: any.cloned() });
        let others = self.others.iter().map(|(package, style)| (package.clone(), dialect(style)));
        Dialects { first: dialect(&self.first), others: others.collect() }
    }
}

/// A style and what it takes to write errors in it.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) style: Style,
    /// `google.protobuf.Any`, which error details are. Without it they are left out.
    pub(crate) any: Option<Type>,
}

pub(crate) struct Dialects {
    first: Arc<Dialect>,
    others: Vec<(String, Arc<Dialect>)>,
}

impl Dialects {
    pub(crate) fn of(&self, package: &str) -> Arc<Dialect> {
        let own = self.others.iter().find(|(name, _)| name == package);
        Arc::clone(own.map_or(&self.first, |(_, dialect)| dialect))
    }
}
