//! What has become of the rules.
//!
//! A rule has become the one with the same condition that leads to the same place; of those that are left, one with the same condition;
//! then one whose condition is proved to be met by the same requests and that leads to the same place; and then, without crossing, one
//! that leads to the same place, the more alike their conditions the rather. The rest was removed or added.

use super::align::Pairing;
use super::change::{Change, Code, Direction};
use super::condition::told;
use super::sequences::{Led, Matched};
use super::words::{self, Words};
use crate::workflow::analyse::{Conditions, Exists, Stop, Ways, sequence_path};
use crate::workflow::{Destination, Route, Workflow};

/// The most pairs of rules that are asked about one by one.
const ASKED_MAX: usize = 256;

/// Both lists of rules.
struct Rules<'w> {
    before: &'w Workflow,
    after: &'w Workflow,
    /// Where each rule leads, and in the end the baseline: equal numbers are the same place.
    was: Vec<usize>,
    is: Vec<usize>,
    /// Those of the first workflow, then those of the second.
    conditions: Conditions<'w>,
}

/// Notes what is different.
pub(super) fn compare(
    before: &Workflow,
    after: &Workflow,
    matched: &Matched,
    stop: &Stop,
    changes: &mut Vec<Change>,
) {
    let (was, is) = places(before, after, matched);
    let all = before.routes.iter().chain(&after.routes).map(|route| &route.condition);
    let conditions = Conditions::of(all.collect(), stop);
    let mut rules = Rules { before, after, was, is, conditions };
    let pairing = rules.pair();
    let mut found = Vec::new();
    rules.notes(&pairing, &mut found);
    if rules.was.last() != rules.is.last() {
        found.push(baseline(before, after));
    }
    if found.is_empty() {
        return;
    }
    let routing = rules.routing();
    let nothing = routing.code == Code::RoutingSame;
    for change in &mut found {
        let of_order = matches!(change.code, Code::RuleAdded | Code::RuleRemoved | Code::RuleMoved);
        if of_order && nothing {
            change.direction = Some(Direction::Same);
        }
    }
    changes.extend(found);
    changes.push(routing);
}

/// Where each rule and the baseline lead, of both workflows.
fn places(before: &Workflow, after: &Workflow, matched: &Matched) -> (Vec<usize>, Vec<usize>) {
    let mut known: Vec<Led<'_>> = Vec::new();
    let mut was = Vec::new();
    for to in destinations(before) {
        let led = matched.now(to);
        let at = known.iter().position(|known| *known == led);
        was.push(at.unwrap_or_else(|| added(&mut known, led)));
    }
    let mut is = Vec::new();
    for to in destinations(after) {
        let at = known.iter().position(|known| known.is(to));
        is.push(at.unwrap_or_else(|| added(&mut known, Led::To(to))));
    }
    (was, is)
}

/// The place of what is added to a list.
fn added<T>(all: &mut Vec<T>, one: T) -> usize {
    all.push(one);
    all.len() - 1
}

fn destinations(workflow: &Workflow) -> impl Iterator<Item = &Destination> {
    workflow.routes.iter().map(|route| &route.to).chain([&workflow.baseline])
}

impl<'w> Rules<'w> {
    fn counts(&self) -> (usize, usize) {
        (self.before.routes.len(), self.after.routes.len())
    }

    fn pair(&mut self) -> Pairing {
        let mut pairing = Pairing::default();
        let text = |route: &'w Route| route.condition.text();
        let whole = |routes: &'w [Route], to: &[usize]| {
            routes.iter().zip(to).map(|(route, to)| Some((text(route), *to))).collect::<Vec<_>>()
        };
        pairing.pair_by_key(&whole(&self.before.routes, &self.was), &whole(&self.after.routes, &self.is));
        let texts = |routes: &'w [Route]| routes.iter().map(|route| Some(text(route))).collect::<Vec<_>>();
        pairing.pair_by_key(&texts(&self.before.routes), &texts(&self.after.routes));
        self.pair_equivalent(&mut pairing);
        let words = |routes: &'w [Route]| routes.iter().map(|one| Words::of(text(one))).collect::<Vec<_>>();
        let (old, new) = (words(&self.before.routes), words(&self.after.routes));
        pairing.pair_in_order(self.counts(), |before, after| {
            if self.was.get(before) != self.is.get(after) {
                return 0;
            }
            old.get(before).zip(new.get(after)).map_or(0, |(old, new)| 1 + old.alike(new))
        });
        pairing
    }

    fn pair_equivalent(&mut self, pairing: &mut Pairing) {
        let (count, others) = self.counts();
        let (gone, come) = (pairing.removed(count), pairing.added(others));
        let mut asked = 0;
        for before in gone {
            for after in come.iter().copied() {
                let open = pairing.before_of(after).is_none() && self.was.get(before) == self.is.get(after);
                if !open || asked == ASKED_MAX {
                    continue;
                }
                asked += 1;
                if self.conditions.same(before, count + after) {
                    pairing.pair(before, after);
                    break;
                }
            }
        }
    }

    fn notes(&mut self, pairing: &Pairing, found: &mut Vec<Change>) {
        let (count, others) = self.counts();
        let kept = pairing.kept_in_order();
        for (n, old) in self.before.routes.iter().enumerate() {
            let Some((m, new)) = pairing.after_of(n).and_then(|m| Some((m, self.after.routes.get(m)?)))
            else {
                let message = format!("the rule that led to {} is no more", words::destination(&old.to));
                let change = Change::new(Code::RuleRemoved, (&old.place, ""), message);
                found.push(change.with_values(old.condition.text(), ""));
                continue;
            };
            if !kept.contains(&(n, m)) {
                let message = "the rule has another place in the order";
                let change = Change::new(Code::RuleMoved, (&old.place, &new.place), message);
                found.push(change.with_values((n + 1).to_string(), (m + 1).to_string()));
            }
            self.condition(old, new, (n, count + m), found);
            if self.was.get(n) != self.is.get(m) {
                let (from, to) = (words::destination(&old.to), words::destination(&new.to));
                let message = format!("requests that the rule decides go to {to} instead of {from}");
                let change = Change::new(Code::RuleTargetChanged, (&old.place, &new.place), message);
                found.push(change.with_values(from, to));
            }
        }
        for new in pairing.added(others).into_iter().filter_map(|m| self.after.routes.get(m)) {
            let message = format!("a new rule leads to {}", words::destination(&new.to));
            let change = Change::new(Code::RuleAdded, ("", &new.place), message);
            found.push(change.with_values("", new.condition.text()));
        }
    }

    fn condition(&mut self, old: &Route, new: &Route, at: (usize, usize), found: &mut Vec<Change>) {
        if old.condition.text() == new.condition.text() {
            return;
        }
        let relation = self.conditions.relate(at.0, at.1);
        let direction = Direction::of(&relation);
        let code = match direction {
            Direction::Same => Code::RuleConditionRewritten,
            Direction::Wider => Code::RuleConditionWidened,
            Direction::Narrower => Code::RuleConditionNarrowed,
            Direction::Different => Code::RuleConditionChanged,
            Direction::WiderOrSame | Direction::NarrowerOrSame | Direction::Unknown => {
                Code::RuleConditionCannotTell
            }
        };
        let paths = (format!("{}.condition", old.place), format!("{}.condition", new.place));
        let message = format!("the condition {}", told(direction));
        let change = Change::new(code, (&paths.0, &paths.1), message).towards(direction);
        let change = change.with_values(old.condition.text(), new.condition.text());
        found.push(change.shown_by(relation));
    }

    /// Whether all of this makes a difference to any request.
    fn routing(&mut self) -> Change {
        let ways = |places: &[usize], first: usize| {
            let (otherwise, rules) = places.split_last()?;
            let rules = rules.iter().enumerate().map(|(n, place)| (first + n, *place)).collect();
            Some(Ways { rules, otherwise: *otherwise })
        };
        let both = ways(&self.was, 0).zip(ways(&self.is, self.before.routes.len()));
        let elsewhere =
            both.map_or(Exists::Unknown, |(before, after)| self.conditions.leads_elsewhere(&before, &after));
        match elsewhere {
            Exists::Never => {
                let message =
                    "whatever has changed in the rules, every request is led to where it was led before";
                Change::new(Code::RoutingSame, ("", ""), message).towards(Direction::Same)
            }
            Exists::Seen(witness) => {
                let message = "some requests are led elsewhere";
                let change = Change::new(Code::RoutingChanged, ("", ""), message);
                Change { gained: Some(witness), ..change }
            }
            Exists::Unknown => {
                let message = "whether any request is led elsewhere cannot be told";
                Change::new(Code::RoutingCannotTell, ("", ""), message).towards(Direction::Unknown)
            }
        }
    }
}

fn baseline(before: &Workflow, after: &Workflow) -> Change {
    let path = |workflow: &Workflow| match &workflow.baseline {
        Destination::Sequence(key) => sequence_path(workflow, key),
        Destination::Policy(_) => "baselinePolicyId".to_owned(),
        Destination::Nowhere => String::new(),
    };
    let (from, to) = (words::destination(&before.baseline), words::destination(&after.baseline));
    let message = format!("requests that no rule decides go to {to} instead of {from}");
    Change::new(Code::BaselineChanged, (&path(before), &path(after)), message).with_values(from, to)
}
