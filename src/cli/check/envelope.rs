//! Which policies a document of a file holds: one, a list of them, or an answer of the API with one or several in it.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::place;
use super::tree::{NodeId, Tree, Value};

/// The fields in which the APIs' answers have several policies, each with those that stand beside it.
const LISTS: &[(&str, &[&str])] =
    &[("list", &["nextPageToken", "next_page_token"]), ("policies", &["total"])];

/// The field of [`LISTS`] in which Guardian's answers have all versions of policies.
const VERSIONS: &str = "policies";

/// The policies of the document at `root`, and what is wrong with what is around them.
pub(super) fn policies(tree: &Tree, root: NodeId) -> (Vec<NodeId>, Vec<Finding>) {
    let mut faults = Vec::new();
    let items = match tree.node(root).map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        Some(Value::Map(entries)) => match list(tree, entries) {
            Some((list, name, beside)) => {
                check_beside(tree, entries, name, beside, &mut faults);
                tree.items(list)
            }
            None => return (vec![unwrap(tree, root, &mut faults)], faults),
        },
        Some(Value::Null) | None => return (Vec::new(), faults),
        Some(_) => {
            let at = place::start_of(tree, root);
            faults.push(Finding::violation(at, "TYPE_MISMATCH", "expected a policy or a list of policies"));
            return (Vec::new(), faults);
        }
    };
    let policies = items.iter().map(|item| unwrap(tree, *item, &mut faults)).collect();
    (policies, faults)
}

/// Whether the document at `root` is a list of policies, or an answer with one, of which there may be none in it.
pub(super) fn is_list(tree: &Tree, root: NodeId) -> bool {
    matches!(tree.node(root).map(|node| &node.value), Some(Value::List(_)))
        || list(tree, tree.entries(root)).is_some()
}

/// Takes out of the policies of an answer of Guardian's those of which it has a later version: whose they are, and how many.
pub(super) fn leave_latest(tree: &Tree, root: NodeId, policies: &mut Vec<NodeId>) -> BTreeMap<String, usize> {
    let mut earlier = BTreeMap::new();
    if list(tree, tree.entries(root)).is_none_or(|(_, name, _)| name != VERSIONS) {
        return earlier;
    }
    let mut latest: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, number) in policies.iter().filter_map(|policy| version(tree, *policy)) {
        let known = latest.entry(id).or_default();
        *known = number.max(*known);
    }
    policies.retain(|policy| {
        let superseded = version(tree, *policy).filter(|(id, number)| latest.get(id) > Some(number));
        if let Some((id, _)) = superseded {
            *earlier.entry(id.to_owned()).or_default() += 1;
        }
        superseded.is_none()
    });
    earlier
}

/// The id and the version of the policy at `root`, if it has both.
fn version(tree: &Tree, root: NodeId) -> Option<(&str, u32)> {
    let entries = tree.entries(root);
    let id = tree.text(member(tree, entries, "id")?);
    match &tree.node(member(tree, entries, "version")?)?.value {
        Value::Bare { json, .. } if !id.is_empty() => Some((id, json.parse().ok()?)),
        _ => None,
    }
}

/// The list that an answer has, its name, and what may stand beside it.
fn list(
    tree: &Tree,
    entries: &[(NodeId, NodeId)],
) -> Option<(NodeId, &'static str, &'static [&'static str])> {
    LISTS.iter().find_map(|(name, beside)| {
        let list = member(tree, entries, name)?;
        matches!(tree.node(list)?.value, Value::List(_)).then_some((list, *name, *beside))
    })
}

/// The policy in `{"policy": {...}}`; anything else is as it is.
fn unwrap(tree: &Tree, id: NodeId, faults: &mut Vec<Finding>) -> NodeId {
    let entries = tree.entries(id);
    match member(tree, entries, "policy") {
        Some(policy) if matches!(tree.node(policy).map(|node| &node.value), Some(Value::Map(_))) => {
            check_beside(tree, entries, "policy", &[], faults);
            policy
        }
        _ => id,
    }
}

fn member(tree: &Tree, entries: &[(NodeId, NodeId)], name: &str) -> Option<NodeId> {
    entries.iter().find(|(key, _)| tree.text(*key) == name).map(|(_, value)| *value)
}

/// Refuses whatever would be passed over in silence.
fn check_beside(
    tree: &Tree,
    entries: &[(NodeId, NodeId)],
    name: &str,
    known: &[&str],
    faults: &mut Vec<Finding>,
) {
    let mut seen = false;
    for (key, _) in entries {
        let text = tree.text(*key);
        let at = place::start_of(tree, *key);
        if text == name {
            if std::mem::replace(&mut seen, true) {
                faults.push(Finding::violation(at, "FIELD_DUPLICATE", "this field is given twice"));
            }
        } else if !known.contains(&text) {
            let message = format!("there is no such field beside `{name}`");
            faults
                .push(Finding { path: text.to_owned(), ..Finding::violation(at, "FIELD_UNKNOWN", message) });
        }
    }
}
