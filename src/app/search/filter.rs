//! The filters of a search that a card of the catalogue can answer.

use super::REFS_MAX;
use crate::app::catalogue::Card;
use crate::app::words::{QUERY_WORDS_MAX, folded, words};
use crate::app::{Error, error::invalid};
use crate::pb::c1::api::policy::v1::{
    PolicyScope, PolicyScopeObjectType as ObjectType, PolicyScopeSlot as Slot, PolicyScopeView as View,
    PolicyType, SearchPoliciesRequest,
};
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
    /// # Errors
    /// Filters outside the limits, or that do not go together, are violations.
    pub(super) fn of(request: &SearchPoliciesRequest) -> Result<Filter, Error> {
        for (path, count) in
            [("refs", request.refs.len()), ("excludePolicyIds", request.exclude_policy_ids.len())]
        {
            if count > REFS_MAX {
                return Err(invalid(path, "TOO_MANY_IDS", format!("{count} ids; the limit is {REFS_MAX}")));
            }
        }
        for (n, number) in request.policy_types.iter().enumerate() {
            known::<PolicyType>(&format!("policyTypes[{n}]"), *number)?;
        }
        let words: BTreeSet<String> = words(&request.query).collect();
        if words.len() > QUERY_WORDS_MAX {
            let message = format!("{} words; the limit is {QUERY_WORDS_MAX}", words.len());
            return Err(invalid("query", "QUERY_TOO_LONG", message));
        }
        let view = known::<View>("scopeView", request.scope_view)?;
        let object = Object::of(request)?;
        object.check(view)?;
        Ok(Filter {
            name: folded(&request.display_name),
            words,
            has_query: !request.query.trim().is_empty(),
            types: request.policy_types.clone(),
            excluded: request.exclude_policy_ids.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect(),
            include_deleted: request.include_deleted,
            view: request.refs.is_empty().then_some(view),
            object,
        })
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
    fn of(request: &SearchPoliciesRequest) -> Result<Object, Error> {
        Ok(Object {
            object_type: known("scopeObjectType", request.scope_object_type)?,
            app_id: request.scope_app_id.clone(),
            app_entitlement_id: request.scope_app_entitlement_id.clone(),
            slot: known("scopeSlot", request.scope_slot)?,
        })
    }

    fn check(&self, view: View) -> Result<(), Error> {
        let named = !self.app_id.is_empty();
        if view == View::GlobalAndObject && !named {
            let message = "name the object: scopeAppId, and scopeAppEntitlementId for an entitlement";
            return Err(invalid("scopeAppId", "SCOPE_OBJECT_REQUIRED", message));
        }
        if !self.app_entitlement_id.is_empty() && !named {
            let message = "an entitlement is named together with its app";
            return Err(invalid("scopeAppId", "SCOPE_OBJECT_REQUIRED", message));
        }
        if self.slot != Slot::Unspecified && !named {
            let message = "a slot narrows one object: name its scopeAppId";
            return Err(invalid("scopeSlot", "SCOPE_OBJECT_REQUIRED", message));
        }
        Ok(())
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

/// The enum value of a number.
fn known<E: TryFrom<i32>>(path: &str, number: i32) -> Result<E, Error> {
    let unknown = |_| invalid(path, "ENUM_VALUE_UNKNOWN", format!("{number} is not a value of this enum"));
    E::try_from(number).map_err(unknown)
}
