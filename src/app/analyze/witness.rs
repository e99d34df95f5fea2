//! A witness as the messages that a simulation takes.

use crate::expr::{Attributes, Json, TaskOrigin};
use crate::pb::countersign::v1 as pb;
use crate::pb::json::{Entry, Kind, ListValue, Struct, Value};
use crate::workflow::analyse::Witness;
use crate::workflow::run::{Answer, Happening, Verdict};
use crate::workflow::world::{Account, App, Directory, EntitlementInfo, Person, Request, Resource};
use chrono::{DateTime, TimeDelta, Utc};
use prost_types::{Duration, Timestamp};

/// The whole witness.
pub(in super::super) fn message(witness: &Witness) -> pb::Witness {
    pb::Witness {
        request: Some(request(&witness.request)),
        directory: Some(directory(&witness.directory)),
        at: stamp(witness.at),
        happenings: witness.happenings.iter().filter_map(|(after, what)| happening(*after, what)).collect(),
    }
}

fn stamp(at: DateTime<Utc>) -> Option<Timestamp> {
    Some(Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).ok()? })
}

fn span(span: TimeDelta) -> Option<Duration> {
    Some(Duration { seconds: span.num_seconds(), nanos: span.subsec_nanos() })
}

fn happening(after: TimeDelta, what: &Happening) -> Option<pb::Happening> {
    use pb::happening::What;
    let nothing = pb::Nothing::default;
    let what = match what {
        Happening::TimePassed => What::Nothing(nothing()),
        Happening::FormFilled => What::FormFilled(nothing()),
        Happening::ConditionHeld => What::ConditionHolds(nothing()),
        Happening::Rechecked => What::Recheck(nothing()),
        Happening::Done { success } => What::Done(pb::OutsideDone { failed: !success }),
        Happening::Decided(decision) => {
            let (actor, reason) = (decision.actor.clone(), decision.reason.clone());
            let stepped_up = decision.stepped_up;
            let one = |verdict: fn(pb::Decision) -> What| {
                verdict(pb::Decision {
                    actor: actor.clone(),
                    reason: reason.clone(),
                    stepped_up,
                    approval: decision.approval.clone(),
                })
            };
            match &decision.verdict {
                Verdict::Approve => one(What::Approve),
                Verdict::Deny => one(What::Deny),
                Verdict::Reassign(to) => {
                    What::Reassign(pb::Reassignment { actor, to: to.clone(), reason, stepped_up })
                }
            }
        }
        Happening::Answered(given) => What::Answer(pb::Answer { answer: Some(answer(given)) }),
        // The analysis lets nothing else happen.
        _ => return None,
    };
    Some(pb::Happening { after: span(after), what: Some(what) })
}

fn answer(given: &Answer) -> pb::answer::Answer {
    use pb::answer::Answer as Given;
    let nothing = pb::Nothing::default;
    match given {
        Answer::Approve => Given::Approve(nothing()),
        Answer::Deny => Given::Deny(nothing()),
        Answer::Comment(text) => Given::Comment(text.clone()),
        Answer::Reassign(users) => Given::Reassign(pb::UserIds { ids: users.clone() }),
        Answer::ChangePolicy(id) => Given::ChangePolicy(id.clone()),
        Answer::Fail => Given::Fail(nothing()),
    }
}

fn request(request: &Request) -> pb::Request {
    let analysis = &request.analysis;
    pb::Request {
        subject_id: request.subject_id.clone(),
        requester_id: request.requester_id.clone(),
        app_id: request.app_id.clone(),
        entitlement_id: request.entitlement_id.clone(),
        grant_duration: request.grant_duration.and_then(span),
        origin: origin(request.origin).into(),
        created_at: request.created_at.and_then(stamp),
        display_name: request.display_name.clone(),
        task_id: request.task_id.clone(),
        numeric_id: request.numeric_id.clone(),
        analysis: (*analysis != Default::default()).then(|| pb::TaskAnalysis {
            id: analysis.id.clone(),
            has_conflict_violations: analysis.has_conflict_violations,
            conflict_violations: analysis.conflict_violations.clone(),
        }),
        appeal: request
            .appeal
            .as_ref()
            .map(|appeal| pb::Appeal { appeal: Some(object(&appeal.appeal)), ..pb::Appeal::default() }),
        ..pb::Request::default()
    }
}

fn origin(origin: TaskOrigin) -> pb::TaskOrigin {
    match origin {
        TaskOrigin::Unspecified => pb::TaskOrigin::Unspecified,
        TaskOrigin::Webapp => pb::TaskOrigin::Webapp,
        TaskOrigin::Slack => pb::TaskOrigin::Slack,
        TaskOrigin::Api => pb::TaskOrigin::Api,
        TaskOrigin::Jira => pb::TaskOrigin::Jira,
        TaskOrigin::Copilot => pb::TaskOrigin::Copilot,
        TaskOrigin::ProfileMembershipAutomation => pb::TaskOrigin::ProfileMembershipAutomation,
        TaskOrigin::TimeRevoke => pb::TaskOrigin::TimeRevoke,
    }
}

fn directory(directory: &Directory) -> pb::Directory {
    pb::Directory {
        users: directory.people().iter().map(user).collect(),
        apps: directory.apps().map(app).collect(),
        entitlements: directory.entitlements().map(entitlement).collect(),
        resources: directory.resources().map(resource).collect(),
        groups: Vec::new(),
        administrator_ids: directory.administrators().to_vec(),
    }
}

fn user(person: &Person) -> pb::User {
    let user = &person.user;
    pb::User {
        id: user.id.clone(),
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        username: user.username.clone(),
        department: user.department.clone(),
        job_title: user.job_title.clone(),
        employment_type: user.employment_type.clone(),
        employment_status: user.employment_status.clone(),
        manager_ids: person.managers.clone(),
        emails: user.emails.clone(),
        usernames: user.usernames.clone(),
        status: user.status.number().into(),
        directory_status: user.directory_status.number().into(),
        r#type: user.kind.number().into(),
        profile: attributes(&user.profile),
        attributes: attributes(&user.attributes),
        delegate_id: person.delegate_id.clone(),
        ..pb::User::default()
    }
}

fn app(app: &App) -> pb::App {
    pb::App {
        id: app.id.clone(),
        owner_ids: app.owners.clone(),
        accounts: app.accounts.iter().map(account).collect(),
        ..pb::App::default()
    }
}

fn account(given: &Account) -> pb::Account {
    let account = &given.account;
    pb::Account {
        id: account.id.clone(),
        user_id: given.user_id.clone(),
        display_name: account.display_name.clone(),
        username: account.username.clone(),
        email: account.email.clone(),
        r#type: account.kind.number().into(),
        status: account.status.number().into(),
        status_details: account.status_details.clone(),
        profile: attributes(&account.profile),
        attributes: attributes(&account.attributes),
        ..pb::Account::default()
    }
}

fn entitlement(given: &EntitlementInfo) -> pb::Entitlement {
    let entitlement = &given.entitlement;
    pb::Entitlement {
        id: entitlement.id.clone(),
        app_id: entitlement.app_id.clone(),
        resource_id: given.resource_id.clone(),
        owner_ids: given.owners.clone(),
        member_ids: given.members.clone(),
        risk_level_value_id: entitlement.risk_level_value_id.clone(),
        app_resource_type: entitlement.app_resource_type.clone(),
        annotations: attributes(&entitlement.annotations),
        ..pb::Entitlement::default()
    }
}

fn resource(resource: &Resource) -> pb::Resource {
    pb::Resource {
        id: resource.id.clone(),
        app_id: resource.app_id.clone(),
        owner_ids: resource.owners.clone(),
        ..pb::Resource::default()
    }
}

fn attributes(given: &Attributes) -> Option<Struct> {
    (!given.is_empty()).then(|| map(given))
}

fn map(given: &Attributes) -> Struct {
    let fields = given.iter().map(|(key, value)| Entry { key: key.clone(), value: Some(value_of(value)) });
    Struct { fields: fields.collect() }
}

fn value_of(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(*number),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::List(values) => Kind::ListValue(ListValue { values: values.iter().map(value_of).collect() }),
        Json::Map(inner) => Kind::StructValue(map(inner)),
    };
    Value { kind: Some(kind) }
}

fn object(given: &serde_json::Map<String, serde_json::Value>) -> Struct {
    let fields = given.iter().map(|(key, value)| Entry { key: key.clone(), value: Some(plain(value)) });
    Struct { fields: fields.collect() }
}

fn plain(value: &serde_json::Value) -> Value {
    use serde_json::Value as Plain;
    let kind = match value {
        Plain::Null => Kind::NullValue(0),
        Plain::Bool(flag) => Kind::BoolValue(*flag),
        Plain::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Plain::String(text) => Kind::StringValue(text.clone()),
        Plain::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(plain).collect() }),
        Plain::Object(inner) => Kind::StructValue(object(inner)),
    };
    Value { kind: Some(kind) }
}
