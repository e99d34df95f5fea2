//! Values of ours inside cel's evaluator: objects with declared fields, maps in key order, enumerations, addresses,
//! compiled patterns. Each says what it can do through cel's traits and nothing more.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator as CelIterator, Sizer};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelNull, CelString, CelTimestamp, CelType,
    CelUInt, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use chrono::TimeDelta;

use super::address::{Cidr, Ip};
use super::facts::{
    AppUser, Attributes, Entitlement, Group, Json, Outcome, RiskScore, SecurityInsight, Task, User,
};
use super::schema::{Enumeration, Object};

pub(super) type Boxed = Box<dyn Val>;

pub(super) fn text(value: impl Into<String>) -> Boxed {
    Box::new(CelString::from(value.into()))
}

pub(super) fn flag(value: bool) -> Boxed {
    Box::new(CelBool::from(value))
}

pub(super) fn list(values: impl IntoIterator<Item = Boxed>) -> Boxed {
    Box::new(CelList::from(values.into_iter().collect::<Vec<_>>()))
}

pub(super) fn null() -> Boxed {
    Box::new(CelNull)
}

/// What a record stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    User(Arc<User>),
    AppUser(Arc<AppUser>),
    AppUserStatus(Arc<AppUser>),
    Task(Arc<Task>),
    TaskAnalysis(Arc<Task>),
    Entitlement(Arc<Entitlement>),
    Group(Arc<Group>),
    RiskScore(Arc<RiskScore>),
    SecurityInsight(Arc<SecurityInsight>),
    Outcome(Arc<Outcome>),
}

/// An object with declared fields. The value of each is made when it is read for the first time.
#[derive(Clone, Debug)]
pub(super) struct Record(Arc<Inner>);

/// Most fields that an object has.
const FIELDS_MAX: usize = 17;

type Slots = [OnceLock<Boxed>; FIELDS_MAX];

#[derive(Debug)]
struct Inner {
    source: Source,
    /// Made with the first value, so that a record nobody looks into stays small: lists of thousands are common.
    slots: OnceLock<Box<Slots>>,
}

impl From<Source> for Record {
    fn from(source: Source) -> Self {
        Self(Arc::new(Inner { source, slots: OnceLock::new() }))
    }
}

impl Record {
    pub fn boxed(source: Source) -> Boxed {
        Box::new(Self::from(source))
    }

    pub fn source(&self) -> &Source {
        &self.0.source
    }

    pub fn object(&self) -> Object {
        match self.0.source {
            Source::User(_) => Object::User,
            Source::AppUser(_) => Object::AppUser,
            Source::AppUserStatus(_) => Object::AppUserStatus,
            Source::Task(_) => Object::Task,
            Source::TaskAnalysis(_) => Object::TaskAnalysis,
            Source::Entitlement(_) => Object::Entitlement,
            Source::Group(_) => Object::Group,
            Source::RiskScore(_) => Object::RiskScore,
            Source::SecurityInsight(_) => Object::SecurityInsight,
            Source::Outcome(_) => Object::Outcome,
        }
    }

    /// The value of the field in this slot, as `Object::fields` counts them.
    pub fn slot(&self, slot: usize) -> Option<&Boxed> {
        let field = self.object().fields().get(slot)?;
        let slots = self.0.slots.get_or_init(|| Box::new([const { OnceLock::new() }; FIELDS_MAX]));
        Some(slots.get(slot)?.get_or_init(|| self.0.source.value(field.name).unwrap_or_else(null)))
    }

    /// `has(record.field)`: as protobuf has it, a field is there when it differs from its default.
    pub fn has(&self, slot: usize) -> bool {
        if let Source::Task(task) = &self.0.source {
            match self.object().fields().get(slot).map(|field| field.name) {
                Some("createdAt") => return task.created_at.is_some(),
                Some("grantDuration") => return task.grant_duration.is_some(),
                _ => {}
            }
        }
        let Some(value) = self.slot(slot) else { return false };
        if let Some(one) = value.downcast_ref::<EnumValue>() {
            return one.number != 0;
        }
        if let Some(map) = value.downcast_ref::<OrderedMap>() {
            return !map.0.is_empty();
        }
        value.as_zeroer().is_none_or(|zeroer| !zeroer.is_zero_value())
    }
}

fn texts(values: &[String]) -> Boxed {
    list(values.iter().map(|value| text(value.as_str())))
}

fn enumerated(enumeration: Enumeration, number: u8) -> Boxed {
    Box::new(EnumValue { enumeration, number })
}

impl Source {
    fn value(&self, field: &str) -> Option<Boxed> {
        match self {
            Self::User(user) => user_value(user, field),
            Self::AppUser(account) => app_user_value(account, field),
            Self::Task(task) => task_value(task, field),
            Self::AppUserStatus(account) => Some(match field {
                "status" => enumerated(Enumeration::AppUserStatus, account.status.number()),
                "details" => text(account.status_details.as_str()),
                _ => return None,
            }),
            Self::TaskAnalysis(task) => Some(match field {
                "id" => text(task.analysis.id.as_str()),
                "hasConflictViolations" => flag(task.analysis.has_conflict_violations),
                "conflictViolations" => texts(&task.analysis.conflict_violations),
                _ => return None,
            }),
            Self::Entitlement(entitlement) => Some(match field {
                "id" => text(entitlement.id.as_str()),
                "appId" => text(entitlement.app_id.as_str()),
                "riskLevelValueId" => text(entitlement.risk_level_value_id.as_str()),
                "appResourceType" => text(entitlement.app_resource_type.as_str()),
                "annotations" => attributes(&entitlement.annotations),
                _ => return None,
            }),
            Self::Group(group) => Some(match field {
                "id" => text(group.id.as_str()),
                "appId" => text(group.app_id.as_str()),
                "displayName" => text(group.display_name.as_str()),
                _ => return None,
            }),
            Self::RiskScore(risk) => Some(match field {
                "source" => text(risk.source.as_str()),
                "score" => Box::new(CelDouble::from(risk.score)),
                _ => return None,
            }),
            Self::SecurityInsight(insight) => Some(match field {
                "source" => text(insight.source.as_str()),
                "severity" => text(insight.severity.as_str()),
                "title" => text(insight.title.as_str()),
                _ => return None,
            }),
            Self::Outcome(outcome) => Some(match field {
                "granted" => flag(outcome.granted),
                "denied" => flag(outcome.denied),
                "automatic" => flag(outcome.automatic),
                "unbounded" => flag(outcome.unbounded),
                "selfApproved" => flag(outcome.self_approved),
                "approvals" => Box::new(CelInt::from(i64::from(outcome.approvals))),
                "distinctApprovers" => Box::new(CelInt::from(i64::from(outcome.distinct_approvers))),
                _ => return None,
            }),
        }
    }
}

fn user_value(user: &User, field: &str) -> Option<Boxed> {
    let value = match field {
        "id" => &user.id,
        "email" => &user.email,
        "displayName" => &user.display_name,
        "username" => &user.username,
        "department" => &user.department,
        "jobTitle" => &user.job_title,
        "employmentType" => &user.employment_type,
        "employmentStatus" => &user.employment_status,
        "manager" => &user.manager,
        "managerId" => &user.manager_id,
        "emails" => return Some(texts(&user.emails)),
        "usernames" => return Some(texts(&user.usernames)),
        "status" => return Some(enumerated(Enumeration::UserStatus, user.status.number())),
        "directoryStatus" => {
            return Some(enumerated(Enumeration::UserStatus, user.directory_status.number()));
        }
        "type" => return Some(enumerated(Enumeration::UserType, user.kind.number())),
        "profile" => return Some(attributes(&user.profile)),
        "attributes" => return Some(attributes(&user.attributes)),
        _ => return None,
    };
    Some(text(value.as_str()))
}

fn app_user_value(account: &Arc<AppUser>, field: &str) -> Option<Boxed> {
    let score = |risk: &RiskScore| Record::boxed(Source::RiskScore(Arc::new(risk.clone())));
    Some(match field {
        "id" => text(account.id.as_str()),
        "displayName" => text(account.display_name.as_str()),
        "username" => text(account.username.as_str()),
        "email" => text(account.email.as_str()),
        "usernames" => texts(&account.usernames),
        "emails" => texts(&account.emails),
        "employeeIds" => texts(&account.employee_ids),
        "appUserType" => enumerated(Enumeration::AppUserType, account.kind.number()),
        "status" => Record::boxed(Source::AppUserStatus(Arc::clone(account))),
        "profile" => attributes(&account.profile),
        "attributes" => attributes(&account.attributes),
        "riskScore" => {
            let by_source =
                account.risk_scores.iter().map(|risk| (Key::String(risk.source.clone()), score(risk)));
            Box::new(by_source.collect::<OrderedMap>())
        }
        "riskScores" => list(account.risk_scores.iter().map(score)),
        "securityInsights" => {
            let insights = account.security_insights.iter();
            list(insights.map(|insight| Record::boxed(Source::SecurityInsight(Arc::new(insight.clone())))))
        }
        _ => return None,
    })
}

fn task_value(task: &Arc<Task>, field: &str) -> Option<Boxed> {
    Some(match field {
        "id" => text(task.id.as_str()),
        "numericId" => text(task.numeric_id.as_str()),
        "displayName" => text(task.display_name.as_str()),
        "subjectUserId" => text(task.subject_user_id.as_str()),
        "requestorUserId" => text(task.requestor_user_id.as_str()),
        "origin" => enumerated(Enumeration::TaskOrigin, task.origin.number()),
        "createdAt" => Box::new(CelTimestamp::from(task.created_at.unwrap_or_default().fixed_offset())),
        "isGrantPermanent" => flag(task.is_grant_permanent),
        "grantDuration" => Box::new(CelDuration::from(task.grant_duration.unwrap_or(TimeDelta::zero()))),
        "analysis" => Record::boxed(Source::TaskAnalysis(Arc::clone(task))),
        _ => return None,
    })
}

fn attributes(map: &Attributes) -> Boxed {
    Box::new(OrderedMap::from_iter(map.iter().map(|(key, value)| (Key::String(key.clone()), json(value)))))
}

fn json(value: &Json) -> Boxed {
    match value {
        Json::Null => null(),
        Json::Bool(value) => flag(*value),
        Json::Number(value) => Box::new(CelDouble::from(*value)),
        Json::String(value) => text(value.as_str()),
        Json::List(values) => list(values.iter().map(json)),
        Json::Map(map) => attributes(map),
    }
}

/// Declares the cel type of a type of ours, and what every such type has in common.
macro_rules! value_type {
    ($rust:ty, $static:ident = $name:literal, $equals:expr, $indexed:expr) => {
        static $static: Type = Type::new_unspecified_type($name);

        impl Val for $rust {
            fn get_type(&self) -> &Type {
                &$static
            }

            fn cel_type() -> &'static Type {
                &$static
            }

            fn equals(&self, other: &dyn Val) -> bool {
                other.downcast_ref::<Self>().is_some_and(|other| $equals(self, other))
            }

            fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
            where
                Self: 'v,
            {
                let indexed: for<'i> fn(&'i Self) -> Option<&'i (dyn Indexer + 'static)> = $indexed;
                indexed(self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
                Box::new(self.clone())
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $rust {}
    };
}

value_type!(Record, RECORD_TYPE = "object", |a: &Record, b: &Record| a.0.source == b.0.source, |a| Some(a));
value_type!(EnumValue, ENUM_TYPE = "enum", |a: &EnumValue, b: &EnumValue| a == b, |_| None);
value_type!(Ip, IP_TYPE = "IP", |a: &Ip, b: &Ip| a == b, |a| Some(a));
value_type!(Cidr, CIDR_TYPE = "CIDR", |a: &Cidr, b: &Cidr| a == b, |_| None);
value_type!(Pattern, PATTERN_TYPE = "pattern", |_: &Pattern, _: &Pattern| false, |_| None);

/// A value of one of the declared enumerations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EnumValue {
    pub enumeration: Enumeration,
    pub number: u8,
}

/// A regular expression, compiled once with the expression that holds it.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub regex::Regex);

/// `record.field`: the checker has turned the name into a slot. By name where the type was not known before run time.
impl Indexer for Record {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let slot = match (index.downcast_ref::<CelInt>(), index.downcast_ref::<CelString>()) {
            (Some(slot), _) => usize::try_from(*slot.inner()).ok(),
            (_, Some(name)) => self.object().field(name.inner()).map(|(slot, _)| slot),
            _ => None,
        };
        let value = slot.and_then(|slot| self.slot(slot));
        value
            .map(|value| CowVal::Borrowed(value.as_ref()))
            .ok_or_else(|| ExecutionError::no_such_key("field"))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Indexer for Ip {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString>().map_or("", CelString::inner);
        let value = self.field(name).ok_or_else(|| ExecutionError::no_such_key(name))?;
        Ok(CowVal::Owned(flag(value)))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

/// The key of a map. Integers of both kinds, and whole doubles, are the same key when they are the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Int(i64),
    /// Only numbers that an `Int` cannot hold.
    Uint(u64),
    String(String),
}

impl Key {
    pub fn of(value: &dyn Val) -> Option<Self> {
        if let Some(text) = value.downcast_ref::<CelString>() {
            return Some(Self::String(text.inner().to_owned()));
        }
        if let Some(flag) = value.downcast_ref::<CelBool>() {
            return Some(Self::Bool(*flag.inner()));
        }
        if let Some(int) = value.downcast_ref::<CelInt>() {
            return Some(Self::Int(*int.inner()));
        }
        if let Some(uint) = value.downcast_ref::<CelUInt>() {
            let uint = *uint.inner();
            return Some(i64::try_from(uint).map_or(Self::Uint(uint), Self::Int));
        }
        let double = *value.downcast_ref::<CelDouble>()?.inner();
        #[expect(clippy::cast_possible_truncation, reason = "compared with the original")]
        let whole = double as i64;
        #[expect(clippy::cast_precision_loss, reason = "exact for every double that came from an integer")]
        let exact = (whole as f64).partial_cmp(&double) == Some(Ordering::Equal) && whole != i64::MAX;
        exact.then_some(Self::Int(whole))
    }

    pub fn boxed(&self) -> Boxed {
        match self {
            Self::Bool(value) => flag(*value),
            Self::Int(value) => Box::new(CelInt::from(*value)),
            Self::Uint(value) => Box::new(CelUInt::from(*value)),
            Self::String(value) => text(value.as_str()),
        }
    }
}

/// A map that iterates in the order of its keys, so that the same evaluation always gives the same result.
#[derive(Clone, Debug)]
pub(super) struct OrderedMap(pub Arc<BTreeMap<Key, (Boxed, Boxed)>>);

impl FromIterator<(Key, Boxed)> for OrderedMap {
    fn from_iter<I: IntoIterator<Item = (Key, Boxed)>>(entries: I) -> Self {
        Self(Arc::new(entries.into_iter().map(|(key, value)| (key.clone(), (key.boxed(), value))).collect()))
    }
}

static ORDERED_MAP_TYPE: Type = MAP_TYPE;

impl Val for OrderedMap {
    fn get_type(&self) -> &Type {
        &ORDERED_MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &ORDERED_MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| {
            self.0.len() == other.0.len()
                && self
                    .0
                    .iter()
                    .zip(other.0.iter())
                    .all(|((ak, (_, av)), (bk, (_, bv)))| ak == bk && av.equals(bv.as_ref()))
        })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for OrderedMap {}

impl Indexer for OrderedMap {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let key = Key::of(index);
        let value = key.as_ref().and_then(|key| self.0.get(key));
        value.map(|(_, value)| CowVal::Borrowed(value.as_ref())).ok_or_else(|| {
            ExecutionError::no_such_key(&match key {
                Some(Key::String(name)) => name,
                Some(other) => format!("{other:?}"),
                None => "of a type that maps do not have".to_owned(),
            })
        })
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Container for OrderedMap {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(Key::of(value).is_some_and(|key| self.0.contains_key(&key)))
    }
}

impl Sizer for OrderedMap {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.0.len()).unwrap_or(i64::MAX))
    }
}

impl Iterable for OrderedMap {
    fn iter<'b, 'v>(&'b self) -> Box<dyn CelIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Keys(self.0.values()))
    }
}

struct Keys<'b>(std::collections::btree_map::Values<'b, Key, (Boxed, Boxed)>);

impl<'b, 'v> CelIterator<'b, 'v> for Keys<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        let (key, _) = self.0.next()?;
        Some(key.as_ref())
    }
}

/// A copy of `value` that borrows nothing. `None` for values that are not ours to keep.
pub(super) fn detach(value: &dyn Val) -> Option<Boxed> {
    if let Some(elements) = value.downcast_ref::<CelList>() {
        let elements = elements.inner().iter().map(|element| detach(element.as_ref()));
        return elements.collect::<Option<Vec<_>>>().map(list);
    }
    fn copy<T: StaticVal + Clone>(value: &dyn Val) -> Option<Boxed> {
        value.downcast_ref::<T>().map(|value| Box::new(value.clone()) as Boxed)
    }
    if let Some(value) = value.downcast_ref::<CelString>() {
        return Some(text(value.inner()));
    }
    if let Some(value) = value.downcast_ref::<CelBytes>() {
        return Some(Box::new(CelBytes::from(value.inner().to_vec())));
    }
    copy::<CelBool>(value)
        .or_else(|| copy::<CelInt>(value))
        .or_else(|| copy::<CelUInt>(value))
        .or_else(|| copy::<CelDouble>(value))
        .or_else(|| copy::<Record>(value))
        .or_else(|| copy::<OrderedMap>(value))
        .or_else(|| copy::<EnumValue>(value))
        .or_else(|| copy::<CelTimestamp>(value))
        .or_else(|| copy::<CelDuration>(value))
        .or_else(|| copy::<Ip>(value))
        .or_else(|| copy::<Cidr>(value))
        .or_else(|| copy::<Pattern>(value))
        .or_else(|| {
            value.downcast_ref::<CelType>().map(|value| Box::new(CelType::new(value.name())) as Boxed)
        })
        .or_else(|| value.downcast_ref::<CelNull>().map(|_| null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_field_has_a_value() {
        let (account, task) = (Arc::<AppUser>::default(), Arc::<Task>::default());
        let sources = [
            Source::User(Arc::default()),
            Source::AppUser(Arc::clone(&account)),
            Source::AppUserStatus(account),
            Source::Task(Arc::clone(&task)),
            Source::TaskAnalysis(task),
            Source::Entitlement(Arc::default()),
            Source::Group(Arc::default()),
            Source::RiskScore(Arc::default()),
            Source::SecurityInsight(Arc::default()),
            Source::Outcome(Arc::default()),
        ];
        for source in sources {
            let fields = Record::from(source.clone()).object().fields();
            assert!(fields.len() <= FIELDS_MAX);
            for field in fields {
                assert!(source.value(field.name).is_some(), "{:?} {}", source, field.name);
            }
        }
    }
}
