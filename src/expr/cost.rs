//! An upper bound for the cost of an expression, worked out from its text alone, before it is ever evaluated.
//!
//! Every value has a `Shape`: how many elements or bytes it can have at most. Sizes of facts are declared here, and
//! `evaluate` refuses facts that are larger, so that the bound holds for every evaluation. One unit is about one visit of
//! a node of the syntax tree or 64 bytes looked at (some 10 to 50 ns); making a new value costs twice as much as
//! looking at it, so that the bound limits memory too: no evaluation allocates more than `COST_MAX_UNITS` * 32 bytes.

use std::rc::Rc;

use super::schema::{FieldKind, Type};

/// Most units that an expression may cost in the worst case.
pub const COST_MAX_UNITS: u64 = 10_000_000;
/// Most elements of a list of members, of people or of groups that a directory returns.
pub const MEMBERS_MAX: usize = 4096;
/// Most elements of every other list, and most entries of a map.
pub const LIST_MAX: usize = 1024;
/// Longest string of a fact, in bytes.
pub const STRING_MAX_BYTES: usize = 4096;
/// Most values in one map of free-form attributes, counting those inside of others.
pub const ATTRIBUTES_MAX_VALUES: usize = 16_384;
/// Most bytes of text in one map of free-form attributes, keys included.
pub const ATTRIBUTES_MAX_BYTES: usize = 1_048_576;
/// Deepest nesting in free-form attributes.
pub const ATTRIBUTES_MAX_LEVELS: usize = 16;

/// What one call to the directory is taken to cost.
pub(super) const DIRECTORY_CALL_UNITS: u64 = 200;
/// What it costs to keep one user of an answer of the directory.
pub(super) const DIRECTORY_ITEM_UNITS: u64 = 4;
/// Constant parts up to this cost are evaluated when the expression is compiled.
pub(super) const FOLD_MAX_UNITS: u64 = 20_000;

/// Bytes that one element of a list takes, beside what it refers to.
const ELEMENT_BYTES: u64 = 48;

/// The most that a value can be.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Elements of a list or a map, bytes of a string; 1 for everything else.
    pub length: u64,
    /// Bytes, elements included.
    pub bytes: u64,
    pub element: Option<Rc<Shape>>,
}

impl Shape {
    pub const SCALAR: Self = Self { length: 1, bytes: 16, element: None };

    pub fn string(bytes: u64) -> Self {
        Self { length: bytes, bytes: bytes.saturating_add(16), element: None }
    }

    pub fn list(length: u64, element: Self) -> Self {
        let bytes = length.saturating_mul(element.bytes.saturating_add(ELEMENT_BYTES));
        Self { length, bytes, element: Some(Rc::new(element)) }
    }

    /// The declared maximum of a fact of this type.
    pub fn declared(ty: &Type) -> Self {
        let list_max = LIST_MAX as u64;
        match ty {
            Type::String | Type::Bytes => Self::string(STRING_MAX_BYTES as u64),
            Type::List(of) => Self::list(list_max, Self::declared(of)),
            // Iterating over a map gives its keys.
            Type::Map(..) => {
                Self { element: Some(Rc::new(Self::string(STRING_MAX_BYTES as u64))), ..Self::attribute() }
            }
            Type::Dyn | Type::Unknown | Type::Faulty => Self::attribute(),
            // Objects are shared, never copied.
            _ => Self::SCALAR,
        }
    }

    /// Any free-form attribute: a string, a number, a list, a map. At worst it is all there is in its map.
    fn attribute() -> Self {
        let bytes = ATTRIBUTES_MAX_VALUES as u64 * ELEMENT_BYTES + ATTRIBUTES_MAX_BYTES as u64;
        Self { length: STRING_MAX_BYTES as u64, bytes, element: None }
    }

    pub fn of_field(kind: FieldKind, ty: &Type) -> Self {
        match kind {
            FieldKind::Objects(_) | FieldKind::ObjectBySource(_) => Self::list(LIST_MAX as u64, Self::SCALAR),
            _ => Self::declared(ty),
        }
    }

    /// An element of this value: of a list its elements, of a map its keys. Of an attribute whatever it may hold; all that
    /// its elements hold together is less than as many of the longest texts.
    pub fn element(&self) -> Self {
        self.element
            .as_ref()
            .map_or_else(|| Self::string(STRING_MAX_BYTES as u64), |element| Self::clone(element))
    }

    /// How many elements a loop sees. An attribute is 4096 bytes of text or 1024 elements, and so are sums of them.
    pub fn count(&self) -> u64 {
        if self.element.is_some() {
            self.length
        } else {
            self.length.div_ceil((STRING_MAX_BYTES / LIST_MAX) as u64)
        }
    }

    /// The larger of the two, part by part.
    pub fn join(&self, other: &Self) -> Self {
        Self {
            length: self.length.max(other.length),
            bytes: self.bytes.max(other.bytes),
            element: match (&self.element, &other.element) {
                (Some(a), Some(b)) => Some(Rc::new(a.join(b))),
                (Some(one), None) | (None, Some(one)) => Some(Rc::clone(one)),
                (None, None) => None,
            },
        }
    }

    /// Both, one after the other.
    pub fn concat(&self, other: &Self) -> Self {
        let mut sum = self.join(other);
        sum.length = self.length.saturating_add(other.length);
        sum.bytes = self.bytes.saturating_add(other.bytes);
        sum
    }

    /// Units for looking at all of it once.
    pub fn look(&self) -> u64 {
        1 + self.bytes / 64
    }

    /// Units for making it.
    pub fn make(&self) -> u64 {
        1 + self.bytes / 32
    }

    /// Units for comparing it with `other`: no more than the smaller one is looked at, eight times as fast as a scan.
    pub fn compare(&self, other: &Self) -> u64 {
        1 + self.bytes.min(other.bytes) / 512
    }
}
