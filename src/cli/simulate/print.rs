//! A trace for people. Everything on the page is in the trace; nothing is worked out here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::sentence;
use crate::cli::page::{Page, Tone};
use crate::pb::countersign::v1::{
    AppealTrace, Hop, Occurrence, RequirementTried, RuleTried, RuleValue, Stage, Trace,
};

/// Columns of the value of a rule.
const RULE_VALUE_COLUMNS: usize = 13;
/// Columns of the name of a detail.
const DETAIL_COLUMNS: usize = 11;

/// The whole page. `began` is when the simulation begins.
pub(super) fn trace(trace: &Trace, began: DateTime<Utc>) -> String {
    let mut page = Page::default();
    if !trace.route.is_empty() {
        page.section("Route");
        trace.route.iter().for_each(|one| hop(&mut page, one));
    }
    if let Some(one) = &trace.appeal {
        page.section("Appeal");
        appeal(&mut page, one);
    }
    if !trace.stages.is_empty() {
        page.section("Stages, as they are in the end");
        trace.stages.iter().enumerate().for_each(|(n, one)| stage(&mut page, n, one));
    }
    if !trace.timeline.is_empty() {
        page.section("Time line");
        timeline(&mut page, &trace.timeline, &trace.stages, began);
    }
    page.section("Outcome");
    let (tone, text) = sentence::outcome(&trace.outcome.clone().unwrap_or_default());
    page.line(1, tone.paint(text));
    for action in &trace.post_actions {
        page.line(1, format!("then {}", Tone::Plain.paint(action)));
    }
    if let Some(idle) = &trace.idle {
        page.section("If nobody ever does anything");
        timeline(&mut page, &idle.timeline, &trace.stages, began);
        let (tone, text) = sentence::ending(idle);
        page.line(1, tone.paint(text));
    }
    page.finish()
}

fn hop(page: &mut Page, hop: &Hop) {
    let revision = if hop.revision > 0 { format!(", revision {}", hop.revision) } else { String::new() };
    page.line(1, Tone::Plain.paint(format!("policy {}{revision}", hop.policy_id)));
    hop.rules.iter().for_each(|one| rule(page, one));
    page.line(2, Tone::Plain.paint(sentence::decided(hop)));
}

fn rule(page: &mut Page, rule: &RuleTried) {
    let (tone, value) = match rule.value() {
        RuleValue::True => (Tone::Good, "true"),
        RuleValue::False => (Tone::Plain, "false"),
        RuleValue::Error => (Tone::Care, "error"),
        RuleValue::NotReached | RuleValue::Unspecified => (Tone::Faint, "not reached"),
    };
    let value = tone.paint(format!("{value:RULE_VALUE_COLUMNS$}"));
    page.line(2, format!("{value}{}", Tone::Plain.paint(format!("{}: {}", rule.path, rule.condition))));
    let below = |page: &mut Page, text: String| {
        page.line(2, format!("{:RULE_VALUE_COLUMNS$}  {}", "", Tone::Faint.paint(text)));
    };
    // A condition of one operand is its own reason, and an error has been said with its operand.
    let reasons = rule.because.iter().filter(|one| one.expression != rule.condition);
    let mut error_said = false;
    for reason in reasons {
        error_said |= reason.value == rule.error;
        below(page, format!("{} is {}", reason.expression, reason.value));
    }
    if !rule.error.is_empty() && !error_said {
        below(page, rule.error.clone());
    }
}

/// What a stage is called: its number, its kind, and its name if it has one.
fn title(number: usize, stage: &Stage) -> String {
    let name = if stage.name.is_empty() { String::new() } else { format!(" \"{}\"", stage.name) };
    format!("{}. {}{name}", number + 1, stage.kind)
}

fn stage(page: &mut Page, number: usize, stage: &Stage) {
    let tone = match stage.state.as_str() {
        "passed" | "approved" => Tone::Good,
        "denied" | "rejected" | "failed" | "timed_out" | "blocked" => Tone::Bad,
        "waiting" | "pending" => Tone::Care,
        _ => Tone::Faint,
    };
    let title = Tone::Plain.paint(title(number, stage));
    page.line(1, format!("{title}: {}", tone.paint(stage.state.replace('_', " "))));
    let policy = if stage.policy_id.is_empty() { "" } else { "policy " };
    let comma = if stage.policy_id.is_empty() { "" } else { ", " };
    detail(page, "place", [format!("{policy}{}{comma}{}", stage.policy_id, stage.path)]);
    let times = match (sentence::time(stage.entered_at.as_ref()), sentence::time(stage.left_at.as_ref())) {
        (from, _) if from.is_empty() => from,
        (from, to) if to.is_empty() => format!("since {from}"),
        (from, to) => format!("{from} to {to}"),
    };
    detail(page, "time", [times]);
    detail(page, "sources", stage.sources.iter().map(sentence::source));
    let nobody = stage.approvers.is_empty() && stage.kind == "approval";
    let nobody = nobody.then(|| "nobody".to_owned());
    detail(page, "approvers", stage.approvers.iter().map(sentence::approver).chain(nobody));
    detail(page, "excluded", stage.excluded.iter().map(sentence::excluded));
    detail(page, "required", stage.required.iter().map(sentence::required));
    // Whoever decided before it was due has kept it from happening.
    let escalation = stage.escalation.iter().filter(|one| one.done || stage.left_at.is_none());
    let escalation = escalation.map(|one| {
        let at = sentence::time(one.at.as_ref());
        if one.done { format!("happened at {at}: {}", one.to) } else { format!("at {at}: {}", one.to) }
    });
    detail(page, "escalation", escalation);
    detail(page, "due", [sentence::time(stage.due_at.as_ref())]);
    let handed = if stage.reassignments > 0 { stage.reassignments.to_string() } else { String::new() };
    detail(page, "handed on", [handed]);
    detail(
        page,
        "evaluated",
        stage.evaluated.iter().map(|one| format!("{} is {}", one.expression, one.value)),
    );
    detail(page, "decided by", [stage.decided_by.clone()]);
    detail(page, "reason", [stage.reason.clone()]);
}

/// A detail with one line for each value that is not empty; the name stands before the first.
fn detail(page: &mut Page, name: &str, values: impl IntoIterator<Item = String>) {
    let mut name = name;
    for value in values.into_iter().filter(|value| !value.is_empty()) {
        page.line(
            2,
            format!("{}{}", Tone::Faint.paint(format!("{name:DETAIL_COLUMNS$}")), Tone::Plain.paint(value)),
        );
        name = "";
    }
}

/// One line for each occurrence; those about a stage stand below its title.
fn timeline(page: &mut Page, all: &[Occurrence], stages: &[Stage], began: DateTime<Utc>) {
    let times: BTreeMap<usize, (String, String)> = all
        .iter()
        .enumerate()
        .map(|(n, one)| (n, (sentence::time(one.at.as_ref()), sentence::elapsed(began, one.at.as_ref()))))
        .collect();
    let wide = |of: fn(&(String, String)) -> &str| times.values().map(|one| of(one).len()).max().unwrap_or(0);
    let (at_columns, elapsed_columns) = (wide(|one| &one.0), wide(|one| &one.1));
    let blank = " ".repeat(at_columns + elapsed_columns + 4);
    let (mut under, mut last) = (None, String::new());
    for (one, (at, elapsed)) in all.iter().zip(times.into_values()) {
        // A time is said once, so that what happens at one time is seen to.
        let margin = match at == last {
            true => blank.clone(),
            false => {
                format!("{at:at_columns$}  {}  ", Tone::Faint.paint(format!("{elapsed:elapsed_columns$}")))
            }
        };
        last = at;
        let number = one.stage.and_then(|stage| usize::try_from(stage).ok());
        if let Some(number) = number
            && Some(number) != under
        {
            // One that begins after the end of the trace is not among its stages.
            let title = stages.get(number).map_or(format!("{}. stage", number + 1), |one| title(number, one));
            page.line(1, format!("{margin}{}", Tone::Plain.paint(title)));
            page.line(1, format!("{blank}  {}", occurrence(one)));
        } else if number.is_some() {
            page.line(1, format!("{margin}  {}", occurrence(one)));
        } else {
            page.line(1, format!("{margin}{}", occurrence(one)));
        }
        under = number;
    }
}

fn occurrence(one: &Occurrence) -> String {
    let tone = match one.kind.as_str() {
        "refused" | "blocked" => Tone::Bad,
        "escalated" | "assumed" | "wake_at" => Tone::Care,
        "ended" => Tone::Heading,
        _ => Tone::Plain,
    };
    let text = tone.paint(&one.text);
    match one.kind.as_str() {
        "ended" => format!("ended: {}", tone.paint(ended(&one.text))),
        "refused" | "blocked" | "commented" => format!("{}: {text}", one.kind),
        "wake_at" => format!("wakes at {text}"),
        "assumed" => format!("taken to be so: {text}"),
        _ => text,
    }
}

/// The outcome's own word as people write it; why it came to that may quote a policy.
fn ended(text: &str) -> String {
    let (word, why) = text.split_at(text.find(':').unwrap_or(text.len()));
    word.replace('_', " ") + why
}

fn appeal(page: &mut Page, appeal: &AppealTrace) {
    if !appeal.status.is_empty() {
        page.line(1, Tone::Plain.paint(&appeal.status));
    }
    if !appeal.failure.is_empty() {
        let refused = Tone::Bad.paint(format!("refused: {}", appeal.failure_code));
        page.line(1, format!("{refused}: {}", Tone::Plain.paint(&appeal.failure)));
    }
    let labels = appeal.labels.iter().map(|one| format!("{}={} ({})", one.key, one.value, one.source));
    detail(page, "labels", labels);
    for one in &appeal.requirements {
        requirement(page, one);
    }
    detail(page, "not known", appeal.notes.iter().cloned());
}

fn requirement(page: &mut Page, one: &RequirementTried) {
    if !one.fires {
        let because = format!("{} does not fire, because of {}", one.path, one.because);
        return page.line(2, Tone::Faint.paint(because));
    }
    page.line(2, Tone::Care.paint(format!("{} fires", one.path)));
    one.appeals.iter().for_each(|one| page.line(3, Tone::Plain.paint(format!("asks for {one}"))));
    one.hooks.iter().for_each(|one| page.line(3, Tone::Plain.paint(format!("calls {one}"))));
}
