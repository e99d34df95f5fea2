//! The static types of expressions: the built-in ones, and the objects and enumerations that section 3.9 declares.
//! Only declarations: `check` decides what may be done with them, `record` holds values of them.

use std::fmt;
use std::sync::Arc;

use super::facts::{AppUserStatus, AppUserType, TaskOrigin, UserStatus, UserType};

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// The elements of an empty list: fits everything.
    Unknown,
    /// Something with a fault that is already reported: fits everything, and silences what follows from it.
    Faulty,
    /// Known only at run time.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// The type of a type, as `type(1)` gives it.
    Type,
    Ip,
    Cidr,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Object(Object),
    Enum(Enumeration),
}

impl Type {
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(of))
    }

    #[must_use]
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// Whether nothing is known about the value before run time.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Dyn | Self::Unknown | Self::Faulty)
    }

    /// Whether `null` can stand where this type is expected.
    pub(super) fn is_nullable(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Timestamp | Self::Duration | Self::Ip | Self::Null)
            || self.is_open()
    }

    /// The type that both fit into, if there is one. `Dyn` absorbs everything.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Faulty, _) | (_, Self::Faulty) => Some(Self::Faulty),
            (Self::Unknown, known) | (known, Self::Unknown) => Some(known.clone()),
            (Self::Dyn, _) | (_, Self::Dyn) => Some(Self::Dyn),
            (Self::Null, known) | (known, Self::Null) if known.is_nullable() => Some(known.clone()),
            (Self::List(a), Self::List(b)) => a.join(b).map(Self::list),
            (Self::Map(ak, av), Self::Map(bk, bv)) => Some(Self::map(ak.join(bk)?, av.join(bv)?)),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown | Self::Faulty | Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Type => f.write_str("type"),
            Self::Ip => f.write_str("IP"),
            Self::Cidr => f.write_str("CIDR"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Object(object) => f.write_str(object.name()),
            Self::Enum(enumeration) => f.write_str(enumeration.name()),
        }
    }
}

/// An object type with declared fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    User,
    AppUser,
    AppUserStatus,
    Task,
    TaskAnalysis,
    Entitlement,
    Group,
    RiskScore,
    SecurityInsight,
    Outcome,
}

/// One field of an object: the place in `Object::fields` is its slot in a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As the documentation prefers it, camelCase where it has both.
    pub name: &'static str,
    /// The old spelling; empty if there is none.
    pub old_name: &'static str,
    pub(super) kind: FieldKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Bool,
    Int,
    Double,
    Text,
    Texts,
    Timestamp,
    Duration,
    Attributes,
    Object(Object),
    Objects(Object),
    ObjectBySource(Object),
    Enum(Enumeration),
}

const fn field(name: &'static str, old_name: &'static str, kind: FieldKind) -> Field {
    Field { name, old_name, kind }
}

impl Field {
    #[must_use]
    pub fn ty(&self) -> Type {
        match self.kind {
            FieldKind::Bool => Type::Bool,
            FieldKind::Int => Type::Int,
            FieldKind::Double => Type::Double,
            FieldKind::Text => Type::String,
            FieldKind::Texts => Type::list(Type::String),
            FieldKind::Timestamp => Type::Timestamp,
            FieldKind::Duration => Type::Duration,
            FieldKind::Attributes => Type::map(Type::String, Type::Dyn),
            FieldKind::Object(object) => Type::Object(object),
            FieldKind::Objects(object) => Type::list(Type::Object(object)),
            FieldKind::ObjectBySource(object) => Type::map(Type::String, Type::Object(object)),
            FieldKind::Enum(enumeration) => Type::Enum(enumeration),
        }
    }
}

use FieldKind::{Attributes, Bool, Double, Duration, Int, Objects, Text, Texts, Timestamp};

const USER: &[Field] = &[
    field("id", "", Text),
    field("email", "", Text),
    field("displayName", "display_name", Text),
    field("username", "", Text),
    field("department", "", Text),
    field("jobTitle", "job_title", Text),
    field("employmentType", "employment_type", Text),
    field("employmentStatus", "employment_status", Text),
    field("manager", "", Text),
    field("managerId", "manager_id", Text),
    field("emails", "", Texts),
    field("usernames", "", Texts),
    field("status", "", FieldKind::Enum(Enumeration::UserStatus)),
    field("directoryStatus", "directory_status", FieldKind::Enum(Enumeration::UserStatus)),
    field("type", "", FieldKind::Enum(Enumeration::UserType)),
    field("profile", "", Attributes),
    field("attributes", "", Attributes),
];
const APP_USER: &[Field] = &[
    field("id", "", Text),
    field("displayName", "display_name", Text),
    field("username", "", Text),
    field("email", "", Text),
    field("usernames", "", Texts),
    field("emails", "", Texts),
    field("employeeIds", "employee_ids", Texts),
    field("appUserType", "app_user_type", FieldKind::Enum(Enumeration::AppUserType)),
    field("status", "", FieldKind::Object(Object::AppUserStatus)),
    field("profile", "", Attributes),
    field("attributes", "", Attributes),
    field("riskScore", "risk_score", FieldKind::ObjectBySource(Object::RiskScore)),
    field("riskScores", "risk_scores", Objects(Object::RiskScore)),
    field("securityInsights", "security_insights", Objects(Object::SecurityInsight)),
];
const APP_USER_STATUS: &[Field] =
    &[field("status", "", FieldKind::Enum(Enumeration::AppUserStatus)), field("details", "", Text)];
const TASK: &[Field] = &[
    field("id", "", Text),
    field("numericId", "numeric_id", Text),
    field("displayName", "display_name", Text),
    field("subjectUserId", "subject_user_id", Text),
    field("requestorUserId", "requestor_user_id", Text),
    field("origin", "", FieldKind::Enum(Enumeration::TaskOrigin)),
    field("createdAt", "created_at", Timestamp),
    field("isGrantPermanent", "is_grant_permanent", Bool),
    field("grantDuration", "grant_duration", Duration),
    field("analysis", "", FieldKind::Object(Object::TaskAnalysis)),
];
const TASK_ANALYSIS: &[Field] = &[
    field("id", "", Text),
    field("hasConflictViolations", "has_conflict_violations", Bool),
    field("conflictViolations", "conflict_violations", Texts),
];
const ENTITLEMENT: &[Field] = &[
    field("id", "", Text),
    field("appId", "app_id", Text),
    field("riskLevelValueId", "risk_level_value_id", Text),
    field("appResourceType", "app_resource_type", Text),
    field("annotations", "", Attributes),
];
const GROUP: &[Field] =
    &[field("id", "", Text), field("appId", "app_id", Text), field("displayName", "display_name", Text)];
const RISK_SCORE: &[Field] = &[field("source", "", Text), field("score", "", Double)];
const SECURITY_INSIGHT: &[Field] =
    &[field("source", "", Text), field("severity", "", Text), field("title", "", Text)];
const OUTCOME: &[Field] = &[
    field("granted", "", Bool),
    field("denied", "", Bool),
    field("automatic", "", Bool),
    field("unbounded", "", Bool),
    field("selfApproved", "self_approved", Bool),
    field("approvals", "", Int),
    field("distinctApprovers", "distinct_approvers", Int),
];

impl Object {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::AppUser => "AppUser",
            Self::AppUserStatus => "AppUser.Status",
            Self::Task => "Task",
            Self::TaskAnalysis => "Task.Analysis",
            Self::Entitlement => "Entitlement",
            Self::Group => "Group",
            Self::RiskScore => "c1.risk_score.v1",
            Self::SecurityInsight => "SecurityInsight",
            Self::Outcome => "Outcome",
        }
    }

    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::User => USER,
            Self::AppUser => APP_USER,
            Self::AppUserStatus => APP_USER_STATUS,
            Self::Task => TASK,
            Self::TaskAnalysis => TASK_ANALYSIS,
            Self::Entitlement => ENTITLEMENT,
            Self::Group => GROUP,
            Self::RiskScore => RISK_SCORE,
            Self::SecurityInsight => SECURITY_INSIGHT,
            Self::Outcome => OUTCOME,
        }
    }

    /// Slot and declaration of the field that is spelled `name`, in either spelling.
    #[must_use]
    pub fn field(self, name: &str) -> Option<(usize, &'static Field)> {
        self.fields()
            .iter()
            .enumerate()
            .find(|(_, field)| field.name == name || (!field.old_name.is_empty() && field.old_name == name))
    }
}

/// The fields of an `IP`, all bool.
pub(super) const IP_FIELDS: &[&str] = &[
    "is4",
    "is6",
    "isPrivate",
    "isLoopback",
    "isGlobalUnicast",
    "isMulticast",
    "isInterfaceLocalMulticast",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isUnspecified",
];

/// An enumeration whose values are written `Name.VALUE` or `Name.PREFIX_VALUE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enumeration {
    UserStatus,
    UserType,
    AppUserStatus,
    AppUserType,
    TaskOrigin,
    TimeFormat,
}

impl Enumeration {
    pub const ALL: &'static [Self] = &[
        Self::UserStatus,
        Self::UserType,
        Self::AppUserStatus,
        Self::AppUserType,
        Self::TaskOrigin,
        Self::TimeFormat,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserStatus => "UserStatus",
            Self::UserType => "UserType",
            Self::AppUserStatus => "AppUserStatus",
            Self::AppUserType => "AppUserType",
            Self::TaskOrigin => "TaskOrigin",
            Self::TimeFormat => "TimeFormat",
        }
    }

    /// What the long spelling of its values starts with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::UserStatus => UserStatus::PREFIX,
            Self::UserType => UserType::PREFIX,
            Self::AppUserStatus => AppUserStatus::PREFIX,
            Self::AppUserType => AppUserType::PREFIX,
            Self::TaskOrigin => TaskOrigin::PREFIX,
            Self::TimeFormat => "TIME_FORMAT_",
        }
    }

    /// Short spellings; the place of each is its number.
    #[must_use]
    pub const fn values(self) -> &'static [&'static str] {
        match self {
            Self::UserStatus => UserStatus::NAMES,
            Self::UserType => UserType::NAMES,
            Self::AppUserStatus => AppUserStatus::NAMES,
            Self::AppUserType => AppUserType::NAMES,
            Self::TaskOrigin => TaskOrigin::NAMES,
            Self::TimeFormat => &["UNSPECIFIED", "RFC3339", "DATE", "DATETIME", "TIME"],
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|enumeration| enumeration.name() == name)
    }

    /// The number of the value with this spelling, short or long.
    pub(super) fn value(self, spelling: &str) -> Option<u8> {
        let short = spelling.strip_prefix(self.prefix()).unwrap_or(spelling);
        let place = self.values().iter().position(|value| *value == short)?;
        u8::try_from(place).ok()
    }
}
