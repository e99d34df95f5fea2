//! What the analysis says never happens, held against everything that can happen: small policies, in every small world, under
//! every script of decisions up to a bound, on the machine that real tasks run on. `COUNTERSIGN_ANALYSE_RUNS` sets how many
//! policies; each is made from its number alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use countersign::expr::{Environment, Evaluation, Outcome as Facts, compile};
use countersign::workflow::analyse::{Code, Finding, Invariant, analyse};
use countersign::workflow::run::{
    Answer, Decision, Effect, Ending, Event, Happening, Machine, Outcome, Policies, StageState, State,
    Verdict, simulate,
};
use countersign::workflow::{Condition, Source, Until, Work};

use super::small::{Case, FIRST, OTHER, PEOPLE, World};

const CASES: u64 = 100;
/// The most things that happen in one script, and the most states of one world that are looked at.
const SCRIPT_MAX: usize = 9;
const STATES_MAX: usize = 1500;

/// What is asked of every policy.
pub const INVARIANTS: [&str; 14] = [
    "!outcome.automatic",
    "!outcome.granted",
    "!outcome.denied",
    "!outcome.selfApproved",
    "!outcome.unbounded",
    "!outcome.granted || outcome.approvals >= 1",
    "!outcome.granted || outcome.distinctApprovers >= 2",
    "!(outcome.granted && outcome.selfApproved)",
    "outcome.approvals <= 1",
    "outcome.distinctApprovers <= 1",
    "outcome.approvals == outcome.distinctApprovers",
    "outcome.granted || outcome.denied || outcome.approvals < 2",
    r#"entitlement.riskLevelValueId != "high" || !outcome.granted || outcome.distinctApprovers > 0"#,
    r#"subject.department == "Sales" ? !outcome.denied : !outcome.automatic"#,
];

pub fn invariants() -> Vec<Invariant> {
    let one = |text: &&str| Invariant {
        name: (*text).to_owned(),
        program: compile(Environment::Invariant, text).unwrap(),
    };
    INVARIANTS.iter().map(one).collect()
}

/// The id of a policy, and a field path or the key of a sequence in it.
type Place = (String, String);

/// What the findings about one policy say of everything.
#[derive(Debug, Default)]
struct Claims {
    /// Steps that are never reached.
    steps: BTreeSet<Place>,
    /// Waits that never end.
    waits: BTreeSet<Place>,
    /// The longest time to a decision, by sequence.
    times: BTreeMap<Place, TimeDelta>,
    sequences: BTreeSet<String>,
    /// Indexes of rules that never decide.
    rules: BTreeSet<usize>,
    baseline: bool,
    proved: Vec<Invariant>,
    /// What is said to happen to some request.
    hazards: BTreeSet<Hazard>,
}

/// Something bad that happens to a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hazard {
    /// It waits for ever in this step, because nobody may decide.
    Blocks(Place),
    /// Whom it is about gives all approvals that it needs in this sequence.
    SelfApproval(Place),
    /// It comes back to this step, from which another policy took over, while nobody answered.
    Round(Place),
}

/// Where a finding is, in the policy that it is about.
fn place_of(finding: &Finding) -> Place {
    if !finding.path.to_lowercase().ends_with("policyid") {
        return (FIRST.to_owned(), finding.path.clone());
    }
    (finding.related[0].clone(), finding.related[1].clone())
}

/// The same without this end of the path.
fn without((policy, path): Place, end: &str) -> Place {
    (policy, path.trim_end_matches(end).to_owned())
}

impl Claims {
    fn of(findings: &[Finding], invariants: &[Invariant]) -> Claims {
        let mut claims = Claims::default();
        let key = |path: &str| path.trim_start_matches("policySteps.").to_owned();
        for finding in findings {
            let path = finding.path.as_str();
            let place = place_of(finding);
            let sequence = (place.0.clone(), key(&place.1));
            let mut rule = || claims.rules.insert(super::worlds::rule_of(finding));
            match finding.code {
                Code::RuleNeverMatches | Code::RuleShadowed | Code::RuleAfterAlwaysTrue => _ = rule(),
                Code::StepUnreached => _ = claims.steps.insert(place),
                Code::WaitNeverEnds => _ = claims.waits.insert(without(place, ".wait.condition")),
                Code::DecisionTime => _ = claims.times.insert(sequence, time_of(&finding.message)),
                Code::ApprovalCanBlock => _ = claims.hazards.insert(Hazard::Blocks(place)),
                Code::SelfApproval => _ = claims.hazards.insert(Hazard::SelfApproval(sequence)),
                Code::EscalationCycle => {
                    _ = claims.hazards.insert(Hazard::Round(without(place, ".approval.escalation")));
                }
                Code::SequenceUnreached => _ = claims.sequences.insert(key(path)),
                Code::BaselineNeverUsed => claims.baseline = true,
                Code::InvariantProved => {
                    let invariant = invariants.iter().find(|one| one.name == finding.invariant);
                    claims.proved.push(invariant.unwrap().clone());
                }
                _ => {}
            }
        }
        claims
    }
}

/// The time that a finding says in words: `... after 1d 2h 3min 4s at the latest`.
pub fn time_of(message: &str) -> TimeDelta {
    if message.contains("at once") {
        return TimeDelta::zero();
    }
    let words = message.split(" after ").nth(1).unwrap().split(" at the latest").next().unwrap();
    let seconds = words.split(' ').map(|word| {
        let digits = word.trim_end_matches(char::is_alphabetic);
        let unit = match &word[digits.len()..] {
            "d" => 86_400,
            "h" => 3600,
            "min" => 60,
            "s" => 1,
            other => panic!("{other} in {message}"),
        };
        digits.parse::<i64>().unwrap() * unit
    });
    TimeDelta::seconds(seconds.sum())
}

/// A task on its way, and who approved what.
#[derive(Clone, Debug)]
struct Node {
    state: State,
    approvals: Vec<String>,
    /// Whether a webhook or an agent said anything.
    answered: bool,
    length: usize,
}

/// One world, in which everything is tried.
struct Explorer<'a> {
    claims: &'a Claims,
    policies: &'a Policies,
    world: &'a World,
    machine: Machine<'a>,
    /// Conditions of waits that hold in some world, so that they may come to hold.
    may_hold: &'a BTreeSet<String>,
    unbounded: bool,
    /// What became of invariants, by outcome.
    known: HashMap<(bool, bool, bool, u32, u32), Option<String>>,
    /// How long the longest run took, by sequence.
    longest: BTreeMap<Place, TimeDelta>,
    /// What was seen to happen.
    hazards: BTreeSet<Hazard>,
    states: usize,
    is_whole: bool,
}

impl Explorer<'_> {
    /// Everything that can happen; what contradicts a claim, if anything does.
    fn explore(&mut self) -> Result<(), String> {
        let (state, _) =
            self.machine.step(State::default(), &Event { at: self.world.at, what: Happening::Started });
        let mut open = VecDeque::from([Node { state, approvals: Vec::new(), answered: false, length: 0 }]);
        let mut seen = HashSet::new();
        while let Some(node) = open.pop_front() {
            if !seen.insert(self.essence(&node)) {
                continue;
            }
            self.states += 1;
            self.check(&node).map_err(|why| format!("{why}: {:#?}", node.state))?;
            self.look(&node);
            if node.state.ended.is_some() {
                continue;
            }
            if node.length >= SCRIPT_MAX || self.states >= STATES_MAX {
                self.is_whole = false;
                continue;
            }
            for (later, what) in self.next(&node.state) {
                let at = node.state.now + later;
                let mut approvals = node.approvals.clone();
                if let Happening::Decided(Decision { actor, verdict: Verdict::Approve, .. }) = &what {
                    approvals.push(actor.clone());
                }
                let answered = node.answered || matches!(what, Happening::Answered(_));
                let (state, effects) = self.machine.step(node.state.clone(), &Event { at, what });
                if !effects.iter().any(|effect| matches!(effect, Effect::Refused { .. })) {
                    open.push_back(Node { state, approvals, answered, length: node.length + 1 });
                }
            }
        }
        Ok(())
    }

    /// Two nodes with the same essence go on alike, and claims see the same in them.
    fn essence(&self, node: &Node) -> String {
        let state = &node.state;
        let stage = state.stages.last();
        let asked = stage.map(|one| one.asked.iter().map(|asked| &asked.user).collect::<BTreeSet<_>>());
        let stood = stage.map(|one| {
            (
                &one.place,
                one.state,
                one.left_at.is_some(),
                one.reassignments,
                one.escalates.as_ref().map(|one| one.done),
            )
        });
        let place = (&state.policy, &state.sequence, state.position, state.stages.len());
        let approved: BTreeSet<&String> = state.approved_by.iter().collect();
        let told: BTreeSet<&String> = node.approvals.iter().collect();
        let counted = (approved, told, node.approvals.len(), state.route.len(), node.answered);
        format!("{:?}", (place, asked, stood, state.due(), state.now, counted, &state.ended))
    }

    /// Puts down what bad thing has happened.
    fn look(&mut self, node: &Node) {
        let state = &node.state;
        let Some(came_to) = state.route.iter().find(|hop| !hop.sequence.is_empty()) else { return };
        let sequence = (came_to.policy.clone(), came_to.sequence.clone());
        if let Some(stage) = state.current()
            && stage.state == StageState::Blocked
            && state.due().is_none()
            && state.replacements == 0
            && ["approval", "webhook", "agent"].contains(&stage.kind.as_str())
        {
            self.hazards.insert(Hazard::Blocks((stage.policy.clone(), stage.place.clone())));
        }
        let own = !node.approvals.is_empty() && node.approvals.iter().all(|one| one == "ann");
        if state.ended == Some(Outcome::Granted) && own && !node.answered {
            self.hazards.insert(Hazard::SelfApproval(sequence.clone()));
        }
        // With the same people behind them, so that it can go on like this.
        let (mut approved, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for stage in state.stages.iter().filter(|_| !node.answered) {
            if stage.state == StageState::Passed && !stage.decided_by.is_empty() {
                approved.insert(&stage.decided_by);
            }
            let escalated = stage.escalates.as_ref().is_some_and(|escalates| escalates.done);
            let own = (&stage.policy, &stage.sequence) == (&sequence.0, &sequence.1);
            if own && escalated && stage.state == StageState::Abandoned {
                let place = (stage.policy.clone(), stage.place.clone());
                if !seen.insert((place.clone(), approved.clone())) {
                    self.hazards.insert(Hazard::Round(place));
                }
            }
        }
    }

    fn check(&mut self, node: &Node) -> Result<(), String> {
        let state = &node.state;
        for hop in state.route.iter().filter(|hop| hop.policy == FIRST) {
            if self.claims.sequences.contains(&hop.sequence) {
                return Err(format!("{} is reached", hop.sequence));
            }
            match hop.rule {
                Some(rule) if self.claims.rules.contains(&rule) => {
                    return Err(format!("rule {rule} decides"));
                }
                None if self.claims.baseline => return Err("the baseline is used".to_owned()),
                _ => {}
            }
        }
        for stage in &state.stages {
            let place = (stage.policy.clone(), stage.place.clone());
            if self.claims.steps.contains(&place) {
                return Err(format!("{} is reached", stage.place));
            }
            if stage.state == StageState::Passed && self.claims.waits.contains(&place) {
                return Err(format!("the wait {} ends", stage.place));
            }
        }
        self.check_time(state)?;
        self.check_invariants(node)
    }

    fn check_time(&mut self, state: &State) -> Result<(), String> {
        let Some(came_to) = state.route.iter().find(|hop| !hop.sequence.is_empty()) else { return Ok(()) };
        let place = (came_to.policy.clone(), came_to.sequence.clone());
        let Some(most) = self.claims.times.get(&place) else { return Ok(()) };
        // What machines do outside is taken to be done at once.
        if self.is_outside(state) {
            return Ok(());
        }
        let until = match state.ended_at {
            Some(at) => at,
            None => state.due().ok_or("it waits for ever".to_owned())?,
        };
        let took = until - self.world.at;
        if took > *most {
            return Err(format!("{took} is longer than {most}"));
        }
        let longest = self.longest.entry(place).or_default();
        *longest = took.max(*longest);
        Ok(())
    }

    fn is_outside(&self, state: &State) -> bool {
        let waits = state.current().is_some_and(|stage| stage.left_at.is_none());
        waits && matches!(work(self.policies, state), Some(Work::Provision(_) | Work::Action(_)))
    }

    fn check_invariants(&mut self, node: &Node) -> Result<(), String> {
        let count = |number: usize| u32::try_from(number).unwrap();
        let people: BTreeSet<&String> = node.approvals.iter().collect();
        let granted = node.state.ended == Some(Outcome::Granted);
        let facts = Facts {
            granted,
            denied: matches!(node.state.ended, Some(Outcome::Denied { .. })),
            automatic: granted && people.is_empty(),
            unbounded: self.unbounded,
            self_approved: people.contains(&"ann".to_owned()),
            approvals: count(node.approvals.len()),
            distinct_approvers: count(people.len()),
        };
        let key =
            (facts.granted, facts.denied, facts.self_approved, facts.approvals, facts.distinct_approvers);
        if !self.known.contains_key(&key) {
            let told = self.broken(&facts);
            self.known.insert(key, told);
        }
        self.known[&key].clone().map_or(Ok(()), Err)
    }

    /// The first invariant that is said to be proved and is broken by this.
    fn broken(&self, outcome: &Facts) -> Option<String> {
        let facts = self.world.request.facts(&self.world.directory, self.world.at);
        self.claims.proved.iter().find_map(|invariant| {
            let evaluation = Evaluation::new(&facts, &self.world.directory, self.world.at).unwrap();
            let met = invariant.program.is_met(&evaluation.with_outcome(outcome.clone()));
            (met != Ok(true)).then(|| format!("{} is {met:?} for {outcome:?}", invariant.name))
        })
    }

    /// Everything that can happen next: at once, or just before time does something by itself.
    fn next(&self, state: &State) -> Vec<(TimeDelta, Happening)> {
        let mut all = Vec::new();
        let Some(stage) = state.current().filter(|stage| stage.left_at.is_none()) else { return all };
        let outside = self.is_outside(state);
        let mut delays = vec![TimeDelta::zero()];
        if let Some(due) = state.due() {
            let left = due - state.now;
            all.push((left, Happening::TimePassed));
            if !outside && left > TimeDelta::seconds(1) {
                delays.push(left - TimeDelta::seconds(1));
            }
        }
        let mut what = vec![Happening::Cancelled { by: "ann".to_owned() }];
        match work(self.policies, state) {
            Some(Work::Form) => what.push(Happening::FormFilled),
            Some(Work::Provision(_) | Work::Action(_)) => {
                what.extend([true, false].map(|success| Happening::Done { success }));
            }
            Some(Work::Wait(wait)) => {
                what.push(Happening::Rechecked);
                if let Until::Condition { condition, .. } = &wait.until
                    && self.may_hold.contains(condition.text())
                {
                    what.push(Happening::ConditionHeld);
                }
            }
            Some(Work::Approval(approval)) if stage.asked.is_empty() => {
                if matches!(approval.sources.first(), Some(Source::Webhook(_) | Source::Agent(_))) {
                    what.extend(answers().map(Happening::Answered));
                }
            }
            Some(Work::Approval(approval)) => {
                let decide = |actor: &str, verdict| {
                    Happening::Decided(Decision { actor: actor.to_owned(), verdict, ..Decision::default() })
                };
                what.push(decide(&stage.asked[0].user, Verdict::Deny));
                for asked in &stage.asked {
                    what.push(decide(&asked.user, Verdict::Approve));
                    if approval.reassignment.allowed && stage.reassignments < 2 {
                        let to = PEOPLE.iter().filter(|one| **one != asked.user);
                        what.extend(
                            to.map(|to| decide(&asked.user, Verdict::Reassign(vec![(*to).to_owned()]))),
                        );
                    }
                }
            }
            _ => {}
        }
        all.extend(delays.iter().flat_map(|delay| what.iter().map(|what| (*delay, what.clone()))));
        all
    }
}

fn answers() -> impl Iterator<Item = Answer> {
    let policies = [OTHER, FIRST, "none"].map(|id| Answer::ChangePolicy(id.to_owned()));
    let people = PEOPLE.map(|id| Answer::Reassign(vec![id.to_owned()]));
    let others = [Answer::Approve, Answer::Deny, Answer::Comment("hm".to_owned()), Answer::Fail];
    others.into_iter().chain(policies).chain(people)
}

fn work<'p>(policies: &'p Policies, state: &State) -> Option<&'p Work> {
    let sequence = policies.by_id.get(&state.policy)?.workflow.sequences.get(&state.sequence)?;
    sequence.stages.get(state.position).map(|stage| &stage.work)
}

/// The conditions of waits that hold in some world at some time that matters.
fn may_hold(policies: &Policies, worlds: &[World]) -> BTreeSet<String> {
    let stages = policies.by_id.values().flat_map(|policy| policy.workflow.sequences.values());
    let mut held = BTreeSet::new();
    for stage in stages.flat_map(|sequence| &sequence.stages) {
        let Work::Wait(wait) = &stage.work else { continue };
        let Until::Condition { condition: condition @ Condition::Cel(program), .. } = &wait.until else {
            continue;
        };
        let times: [DateTime<Utc>; 2] =
            ["2026-11-26T00:00:00Z", "2026-12-01T00:00:00Z"].map(|at| at.parse().unwrap());
        let holds = worlds.iter().flat_map(|world| times.map(|at| (world, at))).any(|(world, at)| {
            let facts = world.request.facts(&world.directory, at);
            program.is_met(&Evaluation::new(&facts, &world.directory, at).unwrap()) == Ok(true)
        });
        if holds {
            held.insert(condition.text().to_owned());
        }
    }
    held
}

fn is_unbounded(machine: &Machine<'_>, at: DateTime<Utc>) -> bool {
    !matches!(simulate(machine, at, &[], true).idle.ending, Ending::Ends { .. })
}

#[derive(Debug, Default)]
struct Counted {
    policies: usize,
    worlds: usize,
    states: usize,
    cut_short: usize,
    steps: usize,
    waits: usize,
    times: usize,
    attained: usize,
    proved: usize,
    /// What was seen to happen, and what of it no finding says: hangs, self-approval, rounds.
    hazards: [usize; 3],
    missed: [usize; 3],
}

#[test]
fn what_never_happens_happens_in_no_run() {
    let cases = std::env::var("COUNTERSIGN_ANALYSE_RUNS").map_or(CASES, |text| text.parse().unwrap());
    let invariants = invariants();
    let mut counted = Counted::default();
    for number in 0..cases {
        let case = Case::of(number);
        let Some(policies) = case.policies() else { continue };
        let claims = Claims::of(&analyse(&policies, &invariants), &invariants);
        counted.policies += 1;
        let worlds = case.worlds();
        let may_hold = may_hold(&policies, &worlds);
        let mut longest: BTreeMap<Place, TimeDelta> = BTreeMap::new();
        let mut hazards = BTreeSet::new();
        for world in &worlds {
            let machine = Machine::new(&policies, &world.directory, &world.request);
            let unbounded = is_unbounded(&machine, world.at);
            let (claims, policies, may_hold) = (&claims, &policies, &may_hold);
            let (known, found) = (HashMap::new(), BTreeMap::new());
            let mut explorer = Explorer {
                claims,
                policies,
                world,
                machine,
                may_hold,
                unbounded,
                known,
                longest: found,
                hazards: BTreeSet::new(),
                states: 0,
                is_whole: true,
            };
            if let Err(why) = explorer.explore() {
                panic!("policy {number}: {why}\n{world:#?}\n{case:#?}\n{claims:#?}");
            }
            counted.states += explorer.states;
            counted.cut_short += usize::from(!explorer.is_whole);
            hazards.append(&mut explorer.hazards);
            for (key, took) in explorer.longest {
                let longest = longest.entry(key).or_default();
                *longest = took.max(*longest);
            }
        }
        for hazard in hazards {
            let kind = match hazard {
                Hazard::Blocks(_) => 0,
                Hazard::SelfApproval(_) => 1,
                Hazard::Round(_) => 2,
            };
            counted.hazards[kind] += 1;
            if !claims.hazards.contains(&hazard) {
                counted.missed[kind] += 1;
                println!("policy {number}: no finding says {hazard:?} of {} and {}", case.first, case.other);
            }
        }
        counted.worlds += worlds.len();
        counted.steps += claims.steps.len();
        counted.waits += claims.waits.len();
        counted.times += claims.times.len();
        counted.proved += claims.proved.len();
        // A second is lost whenever somebody acts just before it is too late.
        let close = |(key, most): &(&Place, &TimeDelta)| {
            longest.get(*key).is_some_and(|longest| *longest + TimeDelta::seconds(9) >= **most)
        };
        counted.attained += claims.times.iter().filter(close).count();
    }
    println!("{counted:?}");
    if cases < 100 {
        return;
    }
    assert!(counted.steps * 10 > counted.policies && counted.waits * 30 > counted.policies, "{counted:?}");
    assert!(counted.times * 3 > counted.policies && counted.proved > counted.policies, "{counted:?}");
    assert!(counted.attained * 2 > counted.times && counted.cut_short * 5 < counted.worlds, "{counted:?}");
    // Findings of what can happen are searched for, not proved; most of what can is found.
    assert!(counted.hazards.iter().all(|count| *count > 0), "{counted:?}");
    let most = counted.hazards.iter().map(|count| count / 20 + 1);
    assert!(counted.missed.iter().zip(most).all(|(missed, most)| *missed <= most), "{counted:?}");
}
