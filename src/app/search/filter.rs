//! The filters of a search that a card of the catalogue can answer.

use super::REFS_MAX;
use crate::app::catalogue::Card;
use crate::app::words::{QUERY_WORDS_MAX, folded, words};
use crate::pb::c1::api::policy::v1::{
    PolicyScope, PolicyScopeObjectType as ObjectType, PolicyScopeSlot as Slot, PolicyScopeView as View,
    PolicyType, SearchPoliciesRequest,
};
use crate::policy::c1::enum_value;
use crate::policy::{Path, Report};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The filters of one request, checked.
#[derive(Debug)]
pub(super) struct Filter {
    /// The display name without regard to case; empty for any.
    pub(super) name: String,
    /// Every one of these must begin some word of the name or the description.
    pub(super) words: BTreeSet<String>,
    /// There is a query, though it may have no words, and then matches nothing.
    pub(super) has_query: bool,
    types: Vec<i32>,
    excluded: BTreeSet<Uuid>,
    include_deleted: bool,
    /// Which scopes; `None` when ids are given, which makes the view moot.
    view: Option<View>,
    object: Object,
}

/// The one app or entitlement that the scope filters name.
#[derive(Debug)]
struct Object {
    object_type: ObjectType,
    app_id: String,
    app_entitlement_id: String,
    slot: Slot,
}

impl Filter {
    /// Filters outside the limits, or that do not go together, are noted in `report`.
    pub(super) fn of(report: &mut Report, request: &SearchPoliciesRequest) -> Filter {
        let root = Path::ROOT;
        for (path, count) in
            [("refs", request.refs.len()), ("excludePolicyIds", request.exclude_policy_ids.len())]
        {
            if count > REFS_MAX {
                let message = format!("{count} ids; the limit is {REFS_MAX}");
                report.refuse(&root.field(path), "TOO_MANY_IDS", message);
            }
        }
        for (n, number) in request.policy_types.iter().enumerate() {
            enum_value::<PolicyType>(report, &root.field("policyTypes").index(n), *number);
        }
        let words: BTreeSet<String> = words(&request.query).collect();
        if words.len() > QUERY_WORDS_MAX {
            let message = format!("{} words; the limit is {QUERY_WORDS_MAX}", words.len());
            report.refuse(&root.field("query"), "QUERY_TOO_LONG", message);
        }
        let view: View = enum_value(report, &root.field("scopeView"), request.scope_view);
        let object = Object::of(report, request);
        object.check(report, view);
        let excluded = request.exclude_policy_ids.iter().take(REFS_MAX);
        Filter {
            name: folded(&request.display_name),
            words,
            has_query: !request.query.trim().is_empty(),
            types: request.policy_types.clone(),
            excluded: excluded.filter_map(|id| id_of(id)).collect(),
            include_deleted: request.include_deleted,
            view: request.refs.is_empty().then_some(view),
            object,
        }
    }

    /// Whether the name or the words narrow the search.
    pub(super) fn has_text(&self) -> bool {
        self.has_query || !self.name.is_empty()
    }

    /// The app to which every match must be scoped, if there is one.
    pub(super) fn only_app(&self) -> Option<&str> {
        let only = self.view == Some(View::Scoped) && !self.object.app_id.is_empty();
        only.then_some(self.object.app_id.as_str())
    }

    /// Whether a policy passes every filter but those of name and words.
    pub(super) fn matches(&self, id: &Uuid, card: &Card) -> bool {
        (self.include_deleted || !card.deleted)
            && (self.types.is_empty() || self.types.contains(&card.policy_type))
            && !self.excluded.contains(id)
            && self.matches_scope(card.scope.as_ref())
    }

    fn matches_scope(&self, scope: Option<&PolicyScope>) -> bool {
        match (self.view, scope) {
            (None | Some(View::All), _) => true,
            (Some(View::Unspecified | View::Global), scope) => scope.is_none(),
            (Some(View::Scoped), scope) => scope.is_some_and(|scope| self.object.covers(scope)),
            (Some(View::GlobalAndObject), scope) => scope.is_none_or(|scope| self.object.covers(scope)),
        }
    }
}

impl Object {
    fn of(report: &mut Report, request: &SearchPoliciesRequest) -> Object {
        let root = Path::ROOT;
        Object {
            object_type: enum_value(report, &root.field("scopeObjectType"), request.scope_object_type),
            app_id: request.scope_app_id.clone(),
            app_entitlement_id: request.scope_app_entitlement_id.clone(),
            slot: enum_value(report, &root.field("scopeSlot"), request.scope_slot),
        }
    }

    /// Refuses what is said of an object that is not named.
    fn check(&self, report: &mut Report, view: View) {
        if !self.app_id.is_empty() {
            return;
        }
        let root = Path::ROOT;
        let app_id = root.field("scopeAppId");
        if view == View::GlobalAndObject {
            let message = "name the object: scopeAppId, and scopeAppEntitlementId for an entitlement";
            report.refuse(&app_id, "SCOPE_OBJECT_REQUIRED", message);
        } else if !self.app_entitlement_id.is_empty() {
            report.refuse(&app_id, "SCOPE_OBJECT_REQUIRED", "an entitlement is named together with its app");
        }
        if self.slot != Slot::Unspecified {
            let message = "a slot narrows one object: name its scopeAppId";
            report.refuse(&root.field("scopeSlot"), "SCOPE_OBJECT_REQUIRED", message);
        }
    }

    /// Whether a scope is that of the object, in so far as the request names one.
    fn covers(&self, scope: &PolicyScope) -> bool {
        let of_entitlement = !scope.app_entitlement_id.is_empty();
        let of_type = match self.object_type {
            ObjectType::Unspecified => true,
            ObjectType::App => !of_entitlement,
            ObjectType::Entitlement => of_entitlement,
        };
        of_type
            && (self.app_id.is_empty() || self.app_id == scope.app_id)
            && (self.app_entitlement_id.is_empty() || self.app_entitlement_id == scope.app_entitlement_id)
            && (self.slot == Slot::Unspecified || self.slot as i32 == scope.slot)
    }
}

/// The id that a text is, in the one spelling that ids have, as Get takes it. Any other text is that of no policy.
pub(super) fn id_of(text: &str) -> Option<Uuid> {
    let id = Uuid::parse_str(text).ok()?;
    let mut spelt = Uuid::encode_buffer();
    let spelt: &str = id.hyphenated().encode_lower(&mut spelt);
    (spelt == text).then_some(id)
}
