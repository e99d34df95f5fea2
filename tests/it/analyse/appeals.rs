//! What the analysis says of every appeal to one of Guardian's policies, held against every appeal of a small world: whoever
//! makes it, and whatever anybody who may decides, in every order, up to a bound. `COUNTERSIGN_ANALYSE_APPEALS` sets how many
//! policies.

use std::collections::{BTreeSet, HashSet};

use countersign::policy::guardian;
use countersign::workflow::analyse::{Code, Finding, analyse_appeals};
use countersign::workflow::run::{
    AppealMachine, AppealState, AppealStatus, ApprovalStatus, Decision, Event, Happening, PolicyName, Verdict,
};

use crate::differential::guardian as made;

const CASES: u64 = 1000;
/// The most states that are looked at for one appeal.
const STATES_MAX: usize = 400;

/// Steps by their place in the document, as findings name them.
#[derive(Debug, Default)]
struct Claims {
    never_runs: BTreeSet<usize>,
    always_rejected: BTreeSet<usize>,
    never_reached: BTreeSet<usize>,
    never_begun: bool,
}

fn claims(findings: &[Finding]) -> Claims {
    let mut claims = Claims::default();
    for finding in findings {
        let digits: String = finding.path.chars().filter(char::is_ascii_digit).collect();
        let step = || digits.parse().unwrap();
        match finding.code {
            Code::StepNeverRuns => _ = claims.never_runs.insert(step()),
            Code::AlwaysRejected => _ = claims.always_rejected.insert(step()),
            Code::StepUnreached => _ = claims.never_reached.insert(step()),
            Code::StageNeverBegun => claims.never_begun = true,
            Code::SelfApproval | Code::SingleApprover => {}
            other => panic!("{other} is no finding about appeals"),
        }
    }
    claims
}

fn check(claims: &Claims, state: &AppealState) -> Result<(), String> {
    if state.failure.is_some() {
        return Ok(());
    }
    for (n, approval) in state.approvals.iter().enumerate() {
        let status = approval.status;
        let is_open =
            matches!(status, ApprovalStatus::Pending | ApprovalStatus::Approved | ApprovalStatus::Rejected);
        if claims.never_runs.contains(&n) && is_open {
            return Err(format!("steps[{n}] is {}", status.word()));
        }
        if claims.always_rejected.contains(&n) && status == ApprovalStatus::Approved {
            return Err(format!("steps[{n}] is approved"));
        }
        if claims.never_reached.contains(&n) && is_open {
            return Err(format!("steps[{n}] is reached, and {}", status.word()));
        }
        if claims.never_begun && is_open {
            return Err(format!("steps[{n}] is begun"));
        }
    }
    let never = claims.never_begun || !claims.never_reached.is_empty();
    if never && state.status == AppealStatus::Approved {
        return Err("the appeal is approved".to_owned());
    }
    Ok(())
}

/// Every appeal that this person can make, and everything that becomes of it.
fn explore(machine: &AppealMachine<'_>, claims: &Claims) -> Result<usize, String> {
    let at = made::start();
    let (state, _) = machine.step(AppealState::default(), &Event { at, what: Happening::Started });
    let mut open = vec![state];
    let mut seen = HashSet::new();
    while let Some(state) = open.pop() {
        let essence: Vec<ApprovalStatus> = state.approvals.iter().map(|one| one.status).collect();
        if !seen.insert(format!("{essence:?} {:?}", state.status)) || seen.len() > STATES_MAX {
            continue;
        }
        check(claims, &state).map_err(|why| format!("{why}: {state:#?}"))?;
        for approval in state.approvals.iter().filter(|one| one.status == ApprovalStatus::Pending) {
            for (actor, verdict) in approval
                .approvers
                .iter()
                .flat_map(|one| [Verdict::Approve, Verdict::Deny].map(|verdict| (one.clone(), verdict)))
            {
                let decision =
                    Decision { actor, verdict, approval: approval.name.clone(), ..Decision::default() };
                open.push(machine.step(state.clone(), &Event { at, what: Happening::Decided(decision) }).0);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn what_never_happens_happens_in_no_appeal() {
    let cases = std::env::var("COUNTERSIGN_ANALYSE_APPEALS").map_or(CASES, |text| text.parse().unwrap());
    let (mut nevers, mut states) = ([0; 4], 0);
    for number in 0..cases {
        let mut policy = made::policy(number);
        let mut custom = std::mem::take(&mut policy.custom);
        policy.steps.append(&mut custom);
        let document = made::document(&policy);
        let compiled = guardian::compile(&made::read(&document), guardian::Surroundings::default());
        let workflow = compiled.unwrap().workflow;
        let claims = claims(&analyse_appeals(&workflow));
        let counts = [
            claims.never_runs.len(),
            claims.always_rejected.len(),
            claims.never_reached.len(),
            usize::from(claims.never_begun),
        ];
        if counts == [0; 4] {
            continue;
        }
        for (all, one) in nevers.iter_mut().zip(counts) {
            *all += one;
        }
        for created_by in made::PEOPLE {
            let appeal = made::appeal(created_by, &policy);
            let machine = AppealMachine {
                workflow: &workflow,
                policy: PolicyName { id: "p".to_owned(), version: 1 },
                stages: policy.stages.len(),
                appeal: &appeal,
                dry_run: false,
                stop: None,
            };
            match explore(&machine, &claims) {
                Ok(looked_at) => states += looked_at,
                Err(why) => panic!("policy {number}: {why}\n{document:#}\n{claims:#?}"),
            }
        }
    }
    println!("{nevers:?} nevers, {states} states");
    assert!(nevers.iter().all(|count| *count as u64 * 100 > cases) || cases < CASES, "{nevers:?}");
}
