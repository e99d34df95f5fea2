//! A comparison for people who review a change. Everything on the page is in the answer; nothing is worked out here.

use crate::cli::page::{Page, Tone};
use crate::pb::countersign::v1::{
    Account, Change, ChangeDirection, CompareResponse, ComparedPolicy, Effect, EffectExample, EffectKind,
    Effects, Entitlement, Fate, FateKind, Request, User, UserStatus, UserType, Witness,
};

/// Columns of the name of a detail.
const DETAIL_COLUMNS: usize = 7;
/// The longest text of a policy that is shown, in characters.
const SHOWN_MAX: usize = 400;

/// The whole page. `names` is what the sides are called on the command line.
pub(super) fn comparison(answer: &CompareResponse, names: [&str; 2]) -> String {
    let mut page = Page::default();
    page.section("Policies");
    detail(&mut page, 1, "before", Tone::Plain, &named(names[0], answer.before.as_ref()));
    detail(&mut page, 1, "after", Tone::Plain, &named(names[1], answer.after.as_ref()));
    page.section("What changes in meaning");
    if answer.changes.is_empty() {
        page.line(1, Tone::Good.paint("nothing"));
    }
    answer.changes.iter().for_each(|one| change(&mut page, one));
    if answer.changes_left_out > 0 {
        page.line(1, Tone::Care.paint(format!("and {} more changes", answer.changes_left_out)));
    }
    if let Some(found) = &answer.effects {
        effects(&mut page, found);
    }
    page.finish()
}

fn named(name: &str, policy: Option<&ComparedPolicy>) -> String {
    match policy {
        Some(stored) if stored.revision > 0 => format!("{}, revision {}", stored.policy_id, stored.revision),
        Some(inline) if !inline.policy_id.is_empty() => format!("{name}, policy {}", inline.policy_id),
        _ => name.to_owned(),
    }
}

fn detail(page: &mut Page, level: usize, name: &str, tone: Tone, text: &str) {
    let columns = DETAIL_COLUMNS;
    page.line(level, format!("{name:columns$} {}", tone.paint(cut(text))));
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN_MAX).collect();
    format!("{start}...")
}

fn change(page: &mut Page, change: &Change) {
    let (tone, direction) = direction(change.direction());
    let path = match (change.before_path.as_str(), change.after_path.as_str()) {
        (before, after) if before == after => before.to_owned(),
        ("", after) => after.to_owned(),
        (before, "") => before.to_owned(),
        (before, after) => format!("{before} -> {after}"),
    };
    let about =
        if change.policy_id.is_empty() { path } else { format!("policy {}: {path}", change.policy_id) };
    let head =
        if direction.is_empty() { change.code.clone() } else { format!("{} ({direction})", change.code) };
    match about.as_str() {
        "" => page.line(1, tone.paint(head)),
        about => page.line(1, format!("{}  {}", tone.paint(head), Tone::Plain.paint(about))),
    }
    page.line(2, Tone::Plain.paint(&change.message));
    if !change.before.is_empty() {
        detail(page, 2, "was", Tone::Faint, &change.before);
    }
    if !change.after.is_empty() {
        detail(page, 2, "is", Tone::Plain, &change.after);
    }
    for (name, witness) in [("gains", &change.gained), ("loses", &change.lost)] {
        if let Some(witness) = witness {
            detail(page, 2, name, Tone::Care, &shown(witness));
        }
    }
}

fn direction(direction: ChangeDirection) -> (Tone, &'static str) {
    match direction {
        ChangeDirection::Unspecified => (Tone::Care, ""),
        ChangeDirection::Same => (Tone::Faint, "makes no difference"),
        ChangeDirection::Wider => (Tone::Bad, "wider"),
        ChangeDirection::Narrower => (Tone::Good, "narrower"),
        ChangeDirection::Different => (Tone::Bad, "different"),
        ChangeDirection::WiderOrSame => (Tone::Care, "wider, or no difference"),
        ChangeDirection::NarrowerOrSame => (Tone::Care, "narrower, or no difference"),
        ChangeDirection::Unknown => (Tone::Care, "cannot tell"),
    }
}

/// The request of a witness, and what there is to know about who asks and for what.
fn shown(witness: &Witness) -> String {
    let request = witness.request.clone().unwrap_or_default();
    let directory = witness.directory.clone().unwrap_or_default();
    let subject = directory.users.iter().find(|user| user.id == request.subject_id);
    let subject = subject.map(|user| about(&usual(user))).unwrap_or_default();
    let app = directory.apps.iter().find(|app| app.id == request.app_id);
    let account = app.and_then(|app| app.accounts.first());
    let account = account
        .map(|one| format!(", account {}{}", one.id, about(&Account { id: String::new(), ..one.clone() })));
    let asked = |one: &&Entitlement| one.app_id == request.app_id && one.id == request.entitlement_id;
    let entitlement = directory.entitlements.iter().find(asked);
    let entitlement = entitlement.map(|one| {
        let (id, app_id, resource_id) = (String::new(), String::new(), String::new());
        about(&Entitlement { id, app_id, resource_id, ..one.clone() })
    });
    let at = witness.at.map(|at| format!(", at {at}")).unwrap_or_default();
    let rest = Request {
        subject_id: String::new(),
        requester_id: String::new(),
        app_id: String::new(),
        entitlement_id: String::new(),
        ..request.clone()
    };
    let by = match request.requester_id.as_str() {
        "" => String::new(),
        other => format!(", asked by {other}"),
    };
    format!(
        "{}{subject} for {}/{}{}{by}{}{}{at}",
        request.subject_id,
        request.app_id,
        request.entitlement_id,
        entitlement.unwrap_or_default(),
        about(&rest),
        account.unwrap_or_default(),
    )
}

/// A user without an id and without what every witness has.
fn usual(user: &User) -> User {
    let mut user = user.clone();
    if user.email == format!("{}@example.com", user.id) {
        user.email.clear();
        user.emails.clear();
    }
    user.id.clear();
    if user.status() == UserStatus::Enabled {
        user.status = 0;
    }
    if user.directory_status() == UserStatus::Enabled {
        user.directory_status = 0;
    }
    if user.r#type() == UserType::Human {
        user.r#type = 0;
    }
    user
}

/// What a message says, behind what it is about; nothing if it says nothing.
fn about<M: prost::Message + prost::Name>(message: &M) -> String {
    match super::said(message).as_str() {
        "" | "{}" => String::new(),
        said => format!(" {said}"),
    }
}

fn effects(page: &mut Page, effects: &Effects) {
    let count = effects.requests;
    page.section(&format!("What becomes of {count} {}", if count == 1 { "request" } else { "requests" }));
    for one in &effects.effects {
        effect(page, one);
    }
    if effects.neither_runs > 0 {
        page.line(1, format!("{:>6}  {}", effects.neither_runs, Tone::Care.paint("run on neither")));
    }
    page.line(1, format!("{:>6}  {}", effects.unaffected, Tone::Plain.paint("as before")));
}

fn effect(page: &mut Page, effect: &Effect) {
    let (tone, name) = match effect.kind() {
        EffectKind::Unspecified => (Tone::Care, "other"),
        EffectKind::RouteChanged => (Tone::Care, "take another route"),
        EffectKind::NewlyAutoApproved => (Tone::Bad, "are granted with no person deciding, and were not"),
        EffectKind::NoLongerAutoApproved => (Tone::Good, "are no longer granted without a person"),
        EffectKind::NewlyDenied => (Tone::Bad, "are denied whoever approves, and were not"),
        EffectKind::NoLongerDenied => (Tone::Care, "are no longer denied"),
        EffectKind::LostLastApprover => (Tone::Bad, "have nobody left who could approve"),
        EffectKind::GainedApprover => (Tone::Good, "have somebody now who can approve"),
        EffectKind::ApproversChanged => (Tone::Care, "ask other people"),
        EffectKind::CannotRun => (Tone::Bad, "run on one of the two only"),
    };
    page.line(1, format!("{:>6}  {}", effect.count, tone.paint(name)));
    effect.examples.iter().for_each(|one| example(page, one));
    let more = usize::try_from(effect.count).unwrap_or_default().saturating_sub(effect.examples.len());
    if more > 0 {
        page.line(5, Tone::Faint.paint(format!("and {more} more")));
    }
}

fn example(page: &mut Page, example: &EffectExample) {
    let asked = example.request.as_ref().map(request).unwrap_or_default();
    page.line(5, Tone::Plain.paint(format!("[{}] {asked}", example.index)));
    for (name, one) in [("was", &example.before), ("is", &example.after)] {
        let (tone, text) = fate(&one.clone().unwrap_or_default());
        page.line(6, format!("{name:3} {}", tone.paint(text)));
    }
}

fn request(request: &Request) -> String {
    if let Some(appeal) = &request.appeal {
        return super::said(appeal);
    }
    let Request { subject_id, requester_id, app_id, entitlement_id, .. } = request;
    let by = match requester_id.as_str() {
        "" => String::new(),
        same if same == subject_id => String::new(),
        other => format!(", asked by {other}"),
    };
    let of = match (app_id.as_str(), entitlement_id.as_str()) {
        ("", "") => String::new(),
        (app, "") => format!(" for {app}"),
        (app, entitlement) => format!(" for {app}/{entitlement}"),
    };
    format!("{subject_id}{of}{by}")
}

fn fate(fate: &Fate) -> (Tone, String) {
    let asked: Vec<String> = fate
        .asked
        .iter()
        .map(|one| if one.user_ids.is_empty() { "nobody".to_owned() } else { one.user_ids.join(" or ") })
        .collect();
    let asked = asked.join(", then ");
    let (tone, mut text) = match fate.kind() {
        FateKind::Automatic => (Tone::Care, "granted with no person deciding".to_owned()),
        FateKind::ByPeople => (Tone::Plain, "granted if they approve".to_owned()),
        FateKind::Denied => (Tone::Bad, "denied".to_owned()),
        FateKind::Nobody => (Tone::Bad, "nobody is there to decide".to_owned()),
        FateKind::CannotRun => (Tone::Bad, "cannot be run".to_owned()),
        FateKind::Outside | FateKind::Unspecified => (Tone::Plain, "decided outside".to_owned()),
    };
    if !fate.why.is_empty() {
        text = format!("{text} ({})", fate.why);
    }
    if !asked.is_empty() {
        text = format!("{text}; asks {asked}");
    }
    if !fate.route.is_empty() {
        text = format!("{text}; by {}", fate.route.join(", "));
    }
    (tone, text)
}
