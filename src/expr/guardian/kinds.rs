//! Static types, as `reflect` has them for what expressions can reach, and the questions that the checker asks of them.
//! Knows no tree.

use std::fmt;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// The type of the literal nil, which is no type at all.
    Nil,
    /// `interface {}`: known at run time only.
    Any,
    Bool,
    Int,
    /// What some methods of times give.
    Int64,
    Float,
    Text,
    Time,
    Duration,
    Month,
    Weekday,
    Slice(Arc<Type>),
    /// From text to anything.
    TextMap,
    /// From anything to anything.
    AnyMap,
    /// From anything to lists.
    GroupMap,
    Func(Arc<Signature>),
}

/// The type of a function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signature {
    pub parameters: Vec<Type>,
    /// Whether the last parameter may be given any number of times.
    pub is_variadic: bool,
    pub result: Type,
    /// How Go writes it.
    pub name: &'static str,
}

/// What `reflect.Kind` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invalid,
    Interface,
    Bool,
    Int,
    Int64,
    Float,
    Text,
    Struct,
    Slice,
    Map,
    Func,
}

impl Type {
    /// The type of a list of anything.
    pub fn list() -> Self {
        Self::Slice(Arc::new(Self::Any))
    }

    pub fn slice(element: Self) -> Self {
        Self::Slice(Arc::new(element))
    }

    /// The type of the name of a built-in that is not called.
    pub fn function() -> Self {
        Self::Func(Arc::new(Signature {
            parameters: vec![Self::Any],
            is_variadic: true,
            result: Self::Any,
            name: "func(...interface {}) (interface {}, error)",
        }))
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Invalid,
            Self::Any => Kind::Interface,
            Self::Bool => Kind::Bool,
            Self::Int | Self::Month | Self::Weekday => Kind::Int,
            Self::Int64 | Self::Duration => Kind::Int64,
            Self::Float => Kind::Float,
            Self::Text => Kind::Text,
            Self::Time => Kind::Struct,
            Self::Slice(_) => Kind::Slice,
            Self::TextMap | Self::AnyMap | Self::GroupMap => Kind::Map,
            Self::Func(_) => Kind::Func,
        }
    }

    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }

    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    pub fn is_integer(&self) -> bool {
        matches!(self.kind(), Kind::Int | Kind::Int64)
    }

    pub fn is_number(&self) -> bool {
        self.is_integer() || self.kind() == Kind::Float
    }

    pub fn is_text(&self) -> bool {
        *self == Self::Text
    }

    pub fn is_bool(&self) -> bool {
        *self == Self::Bool
    }

    pub fn is_time(&self) -> bool {
        *self == Self::Time
    }

    pub fn is_duration(&self) -> bool {
        *self == Self::Duration
    }

    pub fn is_list(&self) -> bool {
        self.kind() == Kind::Slice
    }

    pub fn is_map(&self) -> bool {
        self.kind() == Kind::Map
    }

    /// What a list holds.
    pub fn element(&self) -> Option<Self> {
        match self {
            Self::Slice(element) => Some(Self::clone(element)),
            _ => None,
        }
    }

    /// The keys of a map.
    pub fn key(&self) -> Self {
        if *self == Self::TextMap { Self::Text } else { Self::Any }
    }

    /// The values of a map.
    pub fn map_value(&self) -> Self {
        if *self == Self::GroupMap { Self::list() } else { Self::Any }
    }

    pub fn is_assignable_to(&self, other: &Self) -> bool {
        other.is_any() || self == other
    }

    pub fn is_comparable_with(&self, other: &Self) -> bool {
        self.is_nil()
            || other.is_nil()
            || self.kind() == other.kind()
            || (self.is_number() && other.is_number())
            || self.is_any()
            || other.is_any()
    }

    /// The type of the sum of two numbers.
    pub fn combined(&self, other: &Self) -> Self {
        if self.kind() == other.kind() {
            self.clone()
        } else if self.kind() == Kind::Float || other.kind() == Kind::Float {
            Self::Float
        } else {
            Self::Int
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nil => "<nil>",
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Time => "time.Time",
            Self::Duration => "time.Duration",
            Self::Month => "time.Month",
            Self::Weekday => "time.Weekday",
            Self::Slice(element) => return write!(f, "[]{element}"),
            Self::TextMap => "map[string]interface {}",
            Self::AnyMap => "map[interface {}]interface {}",
            Self::GroupMap => "map[interface {}][]interface {}",
            Self::Func(signature) => signature.name,
        })
    }
}

/// Whether one of the two is `Any`, and the other is `Any` too or what `is` accepts.
pub(super) fn either(left: &Type, right: &Type, is: impl Fn(&Type) -> bool) -> bool {
    match (left.is_any(), right.is_any()) {
        (true, true) => true,
        (true, false) => is(right),
        (false, true) => is(left),
        (false, false) => false,
    }
}
