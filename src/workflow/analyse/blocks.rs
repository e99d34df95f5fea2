//! Approvals that nobody can give, so that a request waits for ever: because nobody is there, or because whoever is may not
//! decide. Each was seen in a run.

use super::Witness;
use super::candidate::{Candidate, SUBJECT};
use super::drive::{Actor, Cast, Run};
use super::finding::{Code, Finding};
use super::people::One;
use super::stages;
use crate::workflow::run::{Answer, Excluded, Exclusion, StageRecord};
use crate::workflow::{Approval, EscalationTarget, Source, Stage, Work};

/// The most runs for one policy, and for one step of it.
const RUNS_MAX: usize = 512;
const RUNS_OF_STEP_MAX: usize = 24;
/// The most people that are named in one step and tried as whom the request is about.
const SUBJECTS_MAX: usize = 4;
/// How often those who are asked are disabled, since others are asked then.
const DISABLED_MAX: usize = 4;
/// The most people whom a finding names.
const NAMED_MAX: usize = 4;

/// Notes the approvals of a sequence at which a request can wait for ever. `runs` is how many there were before.
pub(super) fn analyse(one: &One<'_>, runs: &mut usize, findings: &mut Vec<Finding>) {
    for stage in &one.sequence.stages {
        let Work::Approval(approval) = &stage.work else { continue };
        if !stages::may_block(approval) || *runs >= RUNS_MAX {
            continue;
        }
        let mut search = Search { one, stage, approval, left: RUNS_OF_STEP_MAX };
        let found = search.search();
        *runs += RUNS_OF_STEP_MAX - search.left;
        if let Some((candidate, run)) = found {
            let record = run.state.current();
            let message = record.map(|record| in_words(approval, record)).unwrap_or_default();
            let finding = Finding::new(Code::ApprovalCanBlock, stage.place.clone(), message);
            findings.push(finding.shown_by(Witness::of_run(&candidate, &run)));
        }
    }
}

struct Search<'a> {
    one: &'a One<'a>,
    stage: &'a Stage,
    approval: &'a Approval,
    /// How many runs there may still be.
    left: usize,
}

impl Search<'_> {
    /// Who is where, so that nobody may decide: first with nobody in the roles that are asked, then with those who are there
    /// excluded.
    fn search(&mut self) -> Option<(Candidate, Run)> {
        let cast = |cast: &Cast, but: Option<&Approval>| {
            let mut candidate = self.one.candidate.clone();
            self.one.roles.cast(&mut candidate, cast, but);
            candidate
        };
        let nobody = cast(&Cast::Everybody, Some(self.approval));
        let everybody = cast(&Cast::Everybody, None);
        let mut candidates = vec![nobody, everybody];
        if self.approval.require_distinct_approvers {
            let person = "approver".to_owned();
            candidates.push(cast(&Cast::Only { person, fills: Vec::new(), delegates: false }, None));
        }
        if self.one.candidate.subject.user.id == SUBJECT {
            for user in named_by(self.approval).take(SUBJECTS_MAX) {
                let mut candidate = self.one.candidate.clone();
                candidate.rename(user);
                self.one.roles.cast(&mut candidate, &Cast::Everybody, Some(self.approval));
                candidates.push(candidate);
            }
        }
        // Administrators decide where the rule of distinct approvers leaves nobody; without them, nobody does.
        let with = candidates.iter().filter(|candidate| !candidate.administrators.is_empty());
        let without: Vec<Candidate> =
            with.map(|with| Candidate { administrators: Vec::new(), ..with.clone() }).collect();
        candidates.extend(without);
        for candidate in &candidates {
            if let Ok(run) = self.tried(candidate)? {
                return Some((candidate.clone(), run));
            }
        }
        candidates.into_iter().find_map(|candidate| self.without_those_asked(candidate))
    }

    /// The request, with whoever would be asked disabled, and whoever would be then.
    fn without_those_asked(&mut self, mut candidate: Candidate) -> Option<(Candidate, Run)> {
        for _ in 0..DISABLED_MAX {
            let asked = match self.tried(&candidate)? {
                Ok(run) => return Some((candidate, run)),
                Err(asked) if asked.is_empty() => return None,
                Err(asked) => asked,
            };
            asked.iter().for_each(|user| candidate.disable(user));
        }
        let run = self.tried(&candidate)?.ok()?;
        Some((candidate, run))
    }

    /// The run in which the request waits for ever here, or else who is asked here. `None` once there were enough runs.
    fn tried(&mut self, candidate: &Candidate) -> Option<Result<Run, Vec<String>>> {
        let spot = self.one.spot(&self.stage.place);
        // An agent may fail, or leave the decision to others.
        let answers = match self.approval.sources.first() {
            Some(Source::Agent(_)) => vec![Some(Answer::Fail), Some(Answer::Comment("witness".to_owned()))],
            _ => vec![None],
        };
        let mut asked = Vec::new();
        for answer in answers {
            self.left = self.left.checked_sub(1)?;
            let Some(run) = self.one.run(candidate, &Actor::EverybodyBefore(spot.clone(), answer)) else {
                continue;
            };
            if run.is_blocked() && run.state.current().is_some_and(|stage| spot.is(stage)) {
                return Some(Ok(run));
            }
            let here = run.state.stages.iter().rfind(|stage| spot.is(stage));
            asked.extend(here.iter().flat_map(|stage| &stage.asked).map(|one| one.user.clone()));
        }
        Some(Err(asked))
    }
}

/// The people whom an approval names, wherever it does.
fn named_by(approval: &Approval) -> impl Iterator<Item = &String> {
    let sources = approval.sources.iter().flat_map(|source| match source {
        Source::Users(users) => users.as_slice(),
        _ => &[],
    });
    let escalates = approval.escalation.as_ref().map(|escalation| &escalation.to);
    let escalated = match escalates {
        Some(EscalationTarget::Reassign(users)) => users.as_slice(),
        _ => &[],
    };
    let failed = match approval.sources.first() {
        Some(Source::Agent(agent)) => agent.on_failure.users(),
        _ => &[],
    };
    let mut seen = std::collections::BTreeSet::new();
    sources.chain(escalated).chain(failed).filter(move |user| seen.insert(user.as_str()))
}

/// Why nobody may decide.
fn in_words(approval: &Approval, record: &StageRecord) -> String {
    let mut excluded: Vec<&Excluded> = Vec::new();
    for one in &record.excluded {
        if excluded.iter().all(|known| known.user != one.user) {
            excluded.push(one);
        }
    }
    let each: Vec<String> = excluded
        .iter()
        .take(NAMED_MAX)
        .map(|one| {
            let why = match one.why {
                Exclusion::Subject => "whom the request is about",
                Exclusion::Requester => "who asks",
                Exclusion::ApprovedEarlier => "who approved earlier",
                Exclusion::Disabled => "who is disabled",
                Exclusion::Deleted => "who is deleted",
                Exclusion::Unknown => "whom the directory does not know",
            };
            format!("{}, {why}", one.user)
        })
        .collect();
    let more = match excluded.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let then = match (&approval.escalation, approval.sources.first()) {
        (Some(_), _) => "once it has escalated, ",
        (None, Some(Source::Agent(_))) => "once the agent has failed or left the decision to others, ",
        _ => "",
    };
    match (each.is_empty(), then) {
        (true, "") => {
            "when nobody is found to ask, a request waits here for ever: there is no fallback that always \
                       names somebody, and no escalation"
                .to_owned()
        }
        (true, _) => format!("{then}a request waits here for ever when nobody is found to ask"),
        (false, _) => format!(
            "{then}a request waits here for ever when nobody whom it would ask may decide: {}{more}",
            each.join("; ")
        ),
    }
}
