//! What an expression may name, by the place it stands in, and the static check of field names against it. Guardian finds a
//! misspelt field only when the expression runs, as nil or as an error; here it is a warning with its column.
//! Shapes are those of Guardian's JSON, and of its Go structs for the places that are given those.

use std::sync::Arc;

use super::builtins::Builtin;
use super::tree::{BuiltinCall, Form, Node, Pointer};
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
            Self::SourceValue => &["$appeal", "$response"],
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
            (Self::SourceValue, "$appeal") => &APPEAL_RECORD,
            (Self::SourceValue, "$response") => &RESPONSE,
            (Self::PostHook, "$additional_appeals") => &APPEALS,
            (Self::Unknown, _) => &OPEN,
            (_, "$appeal") => &APPEAL,
            _ => &OPEN,
        }
    }
}

/// What is known of a value before it is there.
#[derive(Debug)]
enum Shape {
    /// Nothing.
    Open,
    /// A text, number or bool: it has no fields.
    Plain,
    Fields(&'static [(&'static str, &'static Shape)]),
    List(&'static Shape),
}

static OPEN: Shape = Shape::Open;
static PLAIN: Shape = Shape::Plain;
static PLAINS: Shape = Shape::List(&PLAIN);
static OPENS: Shape = Shape::List(&OPEN);
static APPEALS: Shape = Shape::List(&APPEAL);
static RESOURCES: Shape = Shape::List(&RESOURCE);
static RESOURCE_RECORDS: Shape = Shape::List(&RESOURCE_RECORD);

static APPEAL: Shape = Shape::Fields(&[
    ("id", &PLAIN),
    ("resource_id", &PLAIN),
    ("policy_id", &PLAIN),
    ("policy_version", &PLAIN),
    ("status", &PLAIN),
    ("account_id", &PLAIN),
    ("account_type", &PLAIN),
    ("created_by", &PLAIN),
    ("creator", &OPEN),
    ("role", &PLAIN),
    ("permissions", &PLAINS),
    ("options", &OPTIONS),
    ("details", &OPEN),
    ("labels", &OPEN),
    ("description", &PLAIN),
    ("created_at", &PLAIN),
    ("updated_at", &PLAIN),
    ("group_id", &PLAIN),
    ("group_type", &PLAIN),
    ("user_labels", &OPEN),
    ("labels_metadata", &OPEN),
    ("resource", &RESOURCE),
    ("approvals", &OPENS),
    ("grant", &OPEN),
    ("revision", &PLAIN),
]);

static OPTIONS: Shape = Shape::Fields(&[("duration", &PLAIN), ("expiration_date", &PLAIN)]);

static RESOURCE: Shape = Shape::Fields(&[
    ("id", &PLAIN),
    ("provider_type", &PLAIN),
    ("provider_urn", &PLAIN),
    ("type", &PLAIN),
    ("urn", &PLAIN),
    ("name", &PLAIN),
    ("details", &OPEN),
    ("global_urn", &PLAIN),
    ("created_at", &PLAIN),
    ("updated_at", &PLAIN),
    ("labels", &OPEN),
    ("is_deleted", &PLAIN),
    ("parent_id", &PLAIN),
    ("children", &RESOURCES),
    ("group_id", &PLAIN),
    ("group_type", &PLAIN),
]);

/// A Go struct, under its Go names.
static APPEAL_RECORD: Shape = Shape::Fields(&[
    ("ID", &PLAIN),
    ("ResourceID", &PLAIN),
    ("PolicyID", &PLAIN),
    ("PolicyVersion", &PLAIN),
    ("Status", &PLAIN),
    ("AccountID", &PLAIN),
    ("AccountType", &PLAIN),
    ("GroupID", &PLAIN),
    ("GroupType", &PLAIN),
    ("CreatedBy", &PLAIN),
    ("Creator", &OPEN),
    ("Role", &PLAIN),
    ("Permissions", &PLAINS),
    ("Options", &OPTIONS_RECORD),
    ("Details", &OPEN),
    ("Labels", &OPEN),
    ("LabelsMetadata", &OPEN),
    ("UserLabels", &OPEN),
    ("Description", &PLAIN),
    ("Policy", &OPEN),
    ("Resource", &RESOURCE_RECORD),
    ("Approvals", &OPENS),
    ("Grant", &OPEN),
    ("Revision", &PLAIN),
    ("CreatedAt", &OPEN),
    ("UpdatedAt", &OPEN),
]);

static OPTIONS_RECORD: Shape = Shape::Fields(&[("ExpirationDate", &OPEN), ("Duration", &PLAIN)]);

static RESOURCE_RECORD: Shape = Shape::Fields(&[
    ("ID", &PLAIN),
    ("ProviderType", &PLAIN),
    ("ProviderURN", &PLAIN),
    ("Type", &PLAIN),
    ("URN", &PLAIN),
    ("Name", &PLAIN),
    ("Details", &OPEN),
    ("Labels", &OPEN),
    ("CreatedAt", &OPEN),
    ("UpdatedAt", &OPEN),
    ("IsDeleted", &PLAIN),
    ("ParentID", &PLAIN),
    ("Children", &RESOURCE_RECORDS),
    ("GlobalURN", &PLAIN),
    ("GroupID", &PLAIN),
    ("GroupType", &PLAIN),
]);

static RESPONSE: Shape =
    Shape::Fields(&[("status", &PLAIN), ("status_code", &PLAIN), ("headers", &OPEN), ("body", &OPEN)]);

/// A warning for every field that there is not, in the order of their places. The tree is as it was parsed.
pub(super) fn check(text: &str, place: Place, node: &mut Node) -> Vec<Diagnostic> {
    let mut walker = Walker { text, place, elements: Vec::new(), variables: Vec::new(), found: Vec::new() };
    walker.shape(node);
    walker.found.sort_by_key(|fault| fault.span.start);
    walker.found
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
    fn shape(&mut self, node: &mut Node) -> &'static Shape {
        let span = node.span;
        match &mut node.form {
            Form::Name(name) => {
                let variable = self.variables.iter().rev().find(|(known, _)| known == name);
                variable.map_or_else(|| self.place.shape(name), |(_, shape)| shape)
            }
            Form::Pointer(Pointer::Element) => self.elements.last().copied().unwrap_or(&OPEN),
            Form::Chain(inner) => self.shape(inner),
            Form::Member(member) => {
                let base = self.shape(&mut member.base);
                self.shape(&mut member.property);
                match (member.property.text(), base) {
                    (Some(name), _) => self.field(base, &Arc::clone(name), member.property.span.or(span)),
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
            _ => {
                let mut children = Vec::new();
                node.each_child(&mut |child| {
                    children.push(std::mem::replace(child, Node { form: Form::Nil, span: None, ty: None }))
                });
                for child in &mut children {
                    self.shape(child);
                }
                let mut children = children.into_iter();
                node.each_child(&mut |child| {
                    if let Some(back) = children.next() {
                        *child = back;
                    }
                });
                &OPEN
            }
        }
    }

    fn builtin(&mut self, call: &mut BuiltinCall) -> &'static Shape {
        let is_predicate = call.builtin.is_predicate();
        let Some((first, rest)) = call.arguments.split_first_mut() else { return &OPEN };
        let list = self.shape(first);
        let element = if let Shape::List(element) = list { element } else { &OPEN };
        for (index, argument) in rest.iter_mut().enumerate() {
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
            _ => &OPEN,
        }
    }

    fn field(
        &mut self,
        base: &'static Shape,
        name: &str,
        span: Option<crate::expr::diagnostic::Span>,
    ) -> &'static Shape {
        let message = match base {
            Shape::Open => return &OPEN,
            Shape::Fields(fields) => {
                if let Some((_, shape)) = fields.iter().find(|(known, _)| *known == name) {
                    return shape;
                }
                match diagnostic::nearest(name, fields.iter().map(|(known, _)| *known)) {
                    Some(near) => format!("there is no field {name}; did you mean {near}?"),
                    None => format!("there is no field {name}"),
                }
            }
            Shape::Plain => format!("the value has no fields, so no {name}"),
            Shape::List(_) => format!("a list has no field {name}"),
        };
        let mut fault = Diagnostic::new(self.text, Code::UndeclaredField, span.unwrap_or_default(), message);
        fault.severity = Severity::Warning;
        self.found.push(fault);
        &OPEN
    }
}
