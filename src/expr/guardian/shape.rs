//! What an expression may name, by the place it stands in, and the static check of field names against it. Guardian finds a
//! misspelt field only when the expression runs, as nil or as an error; here it is a warning with its column. What is known of
//! values on the way says what kind of value the whole gives, where that is certain.
//! Shapes are those of Guardian's JSON, and of its Go structs for the places that are given those.

use std::sync::Arc;

use super::builtins::Builtin;
use super::kinds::Type;
use super::tree::{BuiltinCall, Form, Node, Operator, Pointer, Sign};
use crate::expr::diagnostic::{self, Code, Diagnostic, Severity};

/// Where an expression stands in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `approvers` of a step.
    Approvers,
    /// `when` of a step.
    When,
    /// `approve_if` of a step.
    ApproveIf,
    /// `rejection_reason` of a step; an expression only when it has `$appeal` in it.
    RejectionReason,
    /// `on.expression` of a requirement.
    RequirementOn,
    /// `when` of a metadata source or of custom steps.
    SourceWhen,
    /// URL, body or header of a metadata source or of custom steps; an expression only when it has `$appeal` in it.
    SourceRequest,
    /// A text in the `value` of a metadata source; an expression only when it has `$appeal` or `$response` in it.
    SourceValue,
    /// As that, of a source of the type static, which has no response.
    StaticValue,
    /// URL, body or header of a post hook of a requirement.
    PostHook,
    /// A value of `iam.schema`; an expression only when it has `$response` in it.
    IamSchema,
    /// `when` of a labelling rule.
    LabelWhen,
    /// A label of a labelling rule; an expression only when it has `$appeal`, `$resource` or `$policy` in it.
    LabelValue,
    /// Anywhere else: every name is allowed, and evaluation finds out whether there is such a parameter.
    Unknown,
}

impl Place {
    pub const ALL: &'static [Self] = &[
        Self::Approvers,
        Self::When,
        Self::ApproveIf,
        Self::RejectionReason,
        Self::RequirementOn,
        Self::SourceWhen,
        Self::SourceRequest,
        Self::SourceValue,
        Self::StaticValue,
        Self::PostHook,
        Self::IamSchema,
        Self::LabelWhen,
        Self::LabelValue,
        Self::Unknown,
    ];

    /// Whether a text in this place is evaluated at all; if not, it stands for itself.
    #[must_use]
    pub fn is_expression(self, text: &str) -> bool {
        let markers: &[&str] = match self {
            Self::RejectionReason | Self::SourceRequest => &["$appeal"],
            Self::SourceValue | Self::StaticValue => &["$appeal", "$response"],
            Self::IamSchema => &["$response"],
            Self::LabelValue => &["$appeal", "$resource", "$policy"],
            _ => return true,
        };
        markers.iter().any(|marker| text.contains(marker))
    }

    /// The names of the parameters, without the `$`; `None` when any name goes.
    #[must_use]
    pub fn parameters(self) -> Option<&'static [&'static str]> {
        match self {
            Self::SourceValue => Some(&["appeal", "response"]),
            Self::PostHook => Some(&["additional_appeals", "appeal", "policy", "requirement"]),
            Self::IamSchema => Some(&["response"]),
            Self::Unknown => None,
            _ => Some(&["appeal"]),
        }
    }

    fn shape(self, parameter: &str) -> &'static Shape {
        match (self, parameter) {
            (Self::SourceValue | Self::StaticValue, "$appeal") => &APPEAL_RECORD,
            (Self::SourceValue, "$response") => &RESPONSE,
            (Self::PostHook, "$additional_appeals") => &APPEALS,
            (Self::Unknown, _) => &OPEN,
            (_, "$appeal") => &APPEAL,
            _ => &OPEN,
        }
    }
}

/// What is known of a value before it is there; instead of it there may be nil, or the evaluation fails.
#[derive(Debug)]
pub(super) enum Shape {
    /// Nothing.
    Open,
    Text,
    Number,
    Truth,
    /// A time, or a span of time.
    Time,
    /// With any fields.
    Map,
    Fields(&'static [(&'static str, &'static Shape)]),
    List(&'static Shape),
}

/// What kind of value an expression gives, if it gives any but nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    Text,
    Number,
    Bool,
    /// A time, or a span of time.
    Time,
    Map,
    List,
}

impl ResultKind {
    /// For a sentence.
    #[must_use]
    pub fn named(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Bool => "a bool",
            Self::Time => "a time or a duration",
            Self::Map => "a map",
            Self::List => "a list",
        }
    }
}

impl Shape {
    fn kind(&self) -> Option<ResultKind> {
        Some(match self {
            Self::Open => return None,
            Self::Text => ResultKind::Text,
            Self::Number => ResultKind::Number,
            Self::Truth => ResultKind::Bool,
            Self::Time => ResultKind::Time,
            Self::Map | Self::Fields(_) => ResultKind::Map,
            Self::List(_) => ResultKind::List,
        })
    }

    fn of_type(ty: &Type) -> &'static Self {
        match ty {
            Type::Bool => &TRUTH,
            Type::Text => &TEXT,
            Type::Time | Type::Duration => &TIME,
            Type::TextMap | Type::AnyMap | Type::GroupMap => &MAP,
            Type::Slice(_) => &OPENS,
            ty if ty.is_number() => &NUMBER,
            _ => &OPEN,
        }
    }

    /// What is known of a value that is one of two.
    fn either(one: &'static Self, other: &'static Self) -> &'static Self {
        if one.kind() != other.kind() {
            return &OPEN;
        }
        match one {
            Self::Fields(_) => &MAP,
            Self::List(_) => &OPENS,
            _ => one,
        }
    }
}

/// The kind of a value that a checked program gives, as far as it is certain before it runs. `shape` is what [`check`] found.
pub(super) fn kind(shape: &Shape, code: &Node) -> Option<ResultKind> {
    match &code.form {
        // Only the checker knows the methods of times.
        Form::Call(_) => code.ty.as_ref().map_or(&OPEN, Shape::of_type).kind(),
        _ => shape.kind(),
    }
}

static OPEN: Shape = Shape::Open;
static TEXT: Shape = Shape::Text;
static NUMBER: Shape = Shape::Number;
static TRUTH: Shape = Shape::Truth;
static TIME: Shape = Shape::Time;
static MAP: Shape = Shape::Map;
static TEXTS: Shape = Shape::List(&TEXT);
static OPENS: Shape = Shape::List(&OPEN);
static APPEALS: Shape = Shape::List(&APPEAL);
static RESOURCES: Shape = Shape::List(&RESOURCE);
static RESOURCE_RECORDS: Shape = Shape::List(&RESOURCE_RECORD);

static APPEAL: Shape = Shape::Fields(&[
    ("id", &TEXT),
    ("resource_id", &TEXT),
    ("policy_id", &TEXT),
    ("policy_version", &NUMBER),
    ("status", &TEXT),
    ("account_id", &TEXT),
    ("account_type", &TEXT),
    ("created_by", &TEXT),
    ("creator", &OPEN),
    ("role", &TEXT),
    ("permissions", &TEXTS),
    ("options", &OPTIONS),
    ("details", &MAP),
    ("labels", &MAP),
    ("description", &TEXT),
    ("created_at", &TEXT),
    ("updated_at", &TEXT),
    ("group_id", &TEXT),
    ("group_type", &TEXT),
    ("user_labels", &MAP),
    ("labels_metadata", &MAP),
    ("resource", &RESOURCE),
    ("approvals", &OPENS),
    ("grant", &MAP),
    ("revision", &NUMBER),
]);

static OPTIONS: Shape = Shape::Fields(&[("duration", &TEXT), ("expiration_date", &TEXT)]);

static RESOURCE: Shape = Shape::Fields(&[
    ("id", &TEXT),
    ("provider_type", &TEXT),
    ("provider_urn", &TEXT),
    ("type", &TEXT),
    ("urn", &TEXT),
    ("name", &TEXT),
    ("details", &MAP),
    ("global_urn", &TEXT),
    ("created_at", &TEXT),
    ("updated_at", &TEXT),
    ("labels", &MAP),
    ("is_deleted", &TRUTH),
    ("parent_id", &TEXT),
    ("children", &RESOURCES),
    ("group_id", &TEXT),
    ("group_type", &TEXT),
]);

/// A Go struct, under its Go names.
static APPEAL_RECORD: Shape = Shape::Fields(&[
    ("ID", &TEXT),
    ("ResourceID", &TEXT),
    ("PolicyID", &TEXT),
    ("PolicyVersion", &NUMBER),
    ("Status", &TEXT),
    ("AccountID", &TEXT),
    ("AccountType", &TEXT),
    ("GroupID", &TEXT),
    ("GroupType", &TEXT),
    ("CreatedBy", &TEXT),
    ("Creator", &OPEN),
    ("Role", &TEXT),
    ("Permissions", &TEXTS),
    ("Options", &OPTIONS_RECORD),
    ("Details", &OPEN),
    ("Labels", &OPEN),
    ("LabelsMetadata", &OPEN),
    ("UserLabels", &OPEN),
    ("Description", &TEXT),
    ("Policy", &OPEN),
    ("Resource", &RESOURCE_RECORD),
    ("Approvals", &OPENS),
    ("Grant", &OPEN),
    ("Revision", &NUMBER),
    ("CreatedAt", &OPEN),
    ("UpdatedAt", &OPEN),
]);

static OPTIONS_RECORD: Shape = Shape::Fields(&[("ExpirationDate", &OPEN), ("Duration", &TEXT)]);

static RESOURCE_RECORD: Shape = Shape::Fields(&[
    ("ID", &TEXT),
    ("ProviderType", &TEXT),
    ("ProviderURN", &TEXT),
    ("Type", &TEXT),
    ("URN", &TEXT),
    ("Name", &TEXT),
    ("Details", &OPEN),
    ("Labels", &OPEN),
    ("CreatedAt", &OPEN),
    ("UpdatedAt", &OPEN),
    ("IsDeleted", &TRUTH),
    ("ParentID", &TEXT),
    ("Children", &RESOURCE_RECORDS),
    ("GlobalURN", &TEXT),
    ("GroupID", &TEXT),
    ("GroupType", &TEXT),
]);

static RESPONSE: Shape =
    Shape::Fields(&[("status", &TEXT), ("status_code", &NUMBER), ("headers", &MAP), ("body", &OPEN)]);

/// A warning for every field that there is not, in the order of their places; and what is known of the result. The tree is as it
/// was parsed.
pub(super) fn check(text: &str, place: Place, node: &Node) -> (Vec<Diagnostic>, &'static Shape) {
    let mut walker = Walker { text, place, elements: Vec::new(), variables: Vec::new(), found: Vec::new() };
    let shape = walker.shape(node);
    walker.found.sort_by_key(|fault| fault.span.start);
    (walker.found, shape)
}

struct Walker<'t> {
    text: &'t str,
    place: Place,
    /// What `#` is, closure in closure.
    elements: Vec<&'static Shape>,
    variables: Vec<(Arc<str>, &'static Shape)>,
    found: Vec<Diagnostic>,
}

impl Walker<'_> {
    fn shape(&mut self, node: &Node) -> &'static Shape {
        match &node.form {
            Form::Name(name) => {
                let variable = self.variables.iter().rev().find(|(known, _)| known == name);
                variable.map_or_else(|| self.place.shape(name), |(_, shape)| shape)
            }
            Form::Pointer(Pointer::Element) => self.elements.last().copied().unwrap_or(&OPEN),
            Form::Chain(inner) => self.shape(inner),
            Form::Member(member) => {
                let base = self.shape(&member.base);
                self.shape(&member.property);
                match (member.property.text(), base) {
                    (Some(name), _) => self.field(base, name, member.property.span.or(node.span)),
                    (None, Shape::List(element)) => element,
                    _ => &OPEN,
                }
            }
            Form::Slice { base, from, to } => {
                for bound in [from, to].into_iter().flatten() {
                    self.shape(bound);
                }
                self.shape(base)
            }
            Form::Let { name, value, body } => {
                let value = self.shape(value);
                self.variables.push((Arc::clone(name), value));
                let shape = self.shape(body);
                self.variables.pop();
                shape
            }
            Form::Builtin(call) => self.builtin(call),
            Form::Text(_) => &TEXT,
            Form::Int(_) | Form::Float(_) => &NUMBER,
            Form::Bool(_) => &TRUTH,
            Form::Binary(binary) => {
                let (left, right) = (self.shape(&binary.left), self.shape(&binary.right));
                of_binary(binary.operator, left, right)
            }
            Form::Conditional { condition, then, otherwise } => {
                let condition = self.shape(condition);
                let then = then.as_ref().map_or(condition, |then| self.shape(then));
                Shape::either(then, self.shape(otherwise))
            }
            _ => {
                node.each_child(|child| {
                    self.shape(child);
                });
                match &node.form {
                    Form::Unary(Sign::Not, _) => &TRUTH,
                    Form::Array(_) => &OPENS,
                    Form::Map(_) => &MAP,
                    _ => &OPEN,
                }
            }
        }
    }

    fn builtin(&mut self, call: &BuiltinCall) -> &'static Shape {
        let is_predicate = call.builtin.is_predicate();
        let Some((first, rest)) = call.arguments.split_first() else {
            return Shape::of_type(&call.builtin.result());
        };
        let list = self.shape(first);
        let element = if let Shape::List(element) = list { element } else { &OPEN };
        for (index, argument) in rest.iter().enumerate() {
            if is_predicate && index == 0 {
                self.elements.push(element);
                self.shape(argument);
                self.elements.pop();
            } else {
                self.shape(argument);
            }
        }
        match call.builtin {
            Builtin::Filter | Builtin::Sort | Builtin::SortBy | Builtin::Take => list,
            Builtin::Find | Builtin::FindLast | Builtin::First | Builtin::Last => element,
            Builtin::All | Builtin::None | Builtin::Any | Builtin::One => &TRUTH,
            Builtin::Count | Builtin::FindIndex | Builtin::FindLastIndex => &NUMBER,
            Builtin::Map => &OPENS,
            // What comes of the first argument or of the elements of a list may be of any type.
            Builtin::GroupBy
            | Builtin::Reduce
            | Builtin::Get
            | Builtin::Sum
            | Builtin::Max
            | Builtin::Min => &OPEN,
            builtin => Shape::of_type(&builtin.result()),
        }
    }

    fn field(
        &mut self,
        base: &'static Shape,
        name: &str,
        span: Option<crate::expr::diagnostic::Span>,
    ) -> &'static Shape {
        let message = match base {
            // What the methods of times give is for the checker.
            Shape::Open | Shape::Map | Shape::Time => return &OPEN,
            Shape::Fields(fields) => {
                if let Some((_, shape)) = fields.iter().find(|(known, _)| *known == name) {
                    return shape;
                }
                match diagnostic::nearest(name, fields.iter().map(|(known, _)| *known)) {
                    Some(near) => format!("there is no field {name}; did you mean {near}?"),
                    None => format!("there is no field {name}"),
                }
            }
            Shape::Text | Shape::Number | Shape::Truth => format!("the value has no fields, so no {name}"),
            Shape::List(_) => format!("a list has no field {name}"),
        };
        let mut fault = Diagnostic::new(self.text, Code::UndeclaredField, span.unwrap_or_default(), message);
        fault.severity = Severity::Warning;
        self.found.push(fault);
        &OPEN
    }
}

/// What a binary operator gives.
fn of_binary(operator: Operator, left: &'static Shape, right: &'static Shape) -> &'static Shape {
    match operator {
        _ if operator.gives_bool() => &TRUTH,
        // The left side is a bool or fails; the right one is given as it is.
        Operator::And | Operator::Or => Shape::either(&TRUTH, right),
        Operator::Coalesce => Shape::either(left, right),
        Operator::Range => &OPENS,
        // A text is added to nothing but a text.
        Operator::Add if matches!(left, Shape::Text) || matches!(right, Shape::Text) => &TEXT,
        _ if matches!((left, right), (Shape::Number, Shape::Number)) => &NUMBER,
        _ => &OPEN,
    }
}
