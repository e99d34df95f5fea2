//! What a policy would do with a request, without doing it. Reads policies; writes nothing, calls nobody.
//!
//! Policies are found and compiled first, once for each call; then the machine runs, off the threads that serve connections.

mod happening;
mod source;
mod trace;

use super::world::{self, time};
use super::{Answer, App, Error, error::invalid};
use crate::pb::countersign::v1 as pb;
use crate::policy::{Path, Report};
use crate::workflow::Condition;
use crate::workflow::run::{AppealMachine, Happening, Machine, Policies, Trace, simulate, simulate_appeal};
use crate::workflow::world::{Directory, Request};
use chrono::{DateTime, TimeDelta, Utc};
pub(super) use source::{Prepared, key};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::mpsc;

/// The most that can happen in one simulation.
pub const HAPPENINGS_MAX: usize = 1000;
/// The most cases of one batch.
pub const CASES_MAX: usize = 1000;
/// How many answers of a batch wait for whoever reads them.
const ANSWERS_WAITING_MAX: usize = 16;
/// How many cases are simulated at a time, before others get the processor.
const CASES_AT_ONCE: usize = 16;

/// How large the world of a simulation is, and how much happens in it, that runs where the call came in.
const SMALL_MAX_ENTRIES: usize = 128;
/// What all the conditions of its policies may cost at most, in units of expressions. That is reckoned for the largest directory
/// there can be; a small one costs a small part of it.
const SMALL_MAX_UNITS: u64 = 500_000;

/// One simulation, ready to run.
#[derive(Debug)]
struct Run {
    prepared: Arc<Prepared>,
    request: Request,
    happenings: Vec<(TimeDelta, Happening)>,
    at: DateTime<Utc>,
    assume: bool,
    dry_run: bool,
}

/// The answers of a batch, in order.
#[derive(Debug)]
pub struct Batch {
    answers: mpsc::Receiver<Result<pb::BatchSimulateResponse, Error>>,
}

impl Batch {
    /// The next answer; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Internal`]; nothing comes after one.
    pub async fn next(&mut self) -> Option<Result<pb::BatchSimulateResponse, Error>> {
        self.answers.recv().await
    }
}

impl App {
    /// What becomes of one request.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the request, the directory and an inline policy; [`Error::NotFound`] and
    /// [`Error::NoSuchVersion`] for a policy that is not there.
    pub async fn simulate(
        &self,
        request: pb::SimulateRequest,
    ) -> Result<Answer<pb::SimulateResponse>, Error> {
        let dry_run = request.dry_run;
        let assume = !request.wait_for_outside;
        let (directory, run) = self
            .prepare_one(
                &request.policy.unwrap_or_default(),
                &request.request.unwrap_or_default(),
                request.directory.unwrap_or_default(),
                request.at.as_ref(),
                &request.happenings,
            )
            .await?;
        let run = Run { assume, dry_run, ..run };
        let trace = self.run_one(directory, run, trace::message).await?;
        Ok(pb::SimulateResponse { trace: Some(trace) }.into())
    }

    /// Who could approve a request now.
    ///
    /// # Errors
    /// As [`App::simulate`].
    pub async fn who_can_approve(
        &self,
        request: pb::WhoCanApproveRequest,
    ) -> Result<Answer<pb::WhoCanApproveResponse>, Error> {
        let (directory, run) = self
            .prepare_one(
                &request.policy.unwrap_or_default(),
                &request.request.unwrap_or_default(),
                request.directory.unwrap_or_default(),
                request.at.as_ref(),
                &request.happenings,
            )
            .await?;
        Ok(self.run_one(directory, run, trace::short).await?.into())
    }

    /// What becomes of many requests.
    ///
    /// # Errors
    /// As [`App::simulate`], for all cases together and before the first answer.
    pub async fn batch_simulate(&self, request: pb::BatchSimulateRequest) -> Result<Batch, Error> {
        let mut report = Report::default();
        let root = Path::ROOT;
        let count = request.cases.len();
        if count == 0 || count > CASES_MAX {
            let message = format!("{count} cases; a batch has 1 to {CASES_MAX}");
            return Err(invalid("cases", "CASES_COUNT", message));
        }
        let given = request.directory.clone().unwrap_or_default();
        let directory = world::directory(&mut report, &root.field("directory"), given);
        let at = time(&mut report, &root.field("at"), request.at.as_ref()).unwrap_or_else(|| self.time());
        let mut read = Reading { app: self, report, directory: &directory, at, known: BTreeMap::new() };
        let mut runs = Vec::with_capacity(count);
        for n in 0..count {
            let Some(run) = read.case(&request, n).await? else { continue };
            let (assume, dry_run) = (!request.wait_for_outside, request.dry_run);
            runs.push(Run { assume, dry_run, ..run });
        }
        read.report.finish()?;
        let ids = request.cases.into_iter().map(|case| case.id);
        Ok(self.start(directory, runs.into_iter().zip(ids).collect()))
    }

    /// Begins a batch. Whoever reads slowly holds up nobody else: no thread waits for them.
    fn start(&self, directory: Directory, mut runs: Vec<(Run, String)>) -> Batch {
        let (sender, answers) = mpsc::channel(ANSWERS_WAITING_MAX);
        let (compute, directory) = (self.compute.clone(), Arc::new(directory));
        tokio::spawn(async move {
            let mut index = 0;
            while !runs.is_empty() {
                let few: Vec<(Run, String)> = runs.drain(..CASES_AT_ONCE.min(runs.len())).collect();
                let (directory, first) = (Arc::clone(&directory), index);
                index += few.len();
                let work = compute.run(move |stop| answers_of(&few, first, &directory, stop));
                let answers = tokio::select! {
                    answers = work => answers,
                    // Whoever read has gone away, and the work is told to stop.
                    () = sender.closed() => return,
                };
                let answers: Vec<Result<_, Error>> = match answers {
                    Ok(answers) => answers.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                };
                for answer in answers {
                    let last = answer.is_err();
                    if sender.send(answer).await.is_err() || last {
                        return;
                    }
                }
            }
        });
        Batch { answers }
    }

    /// Runs one simulation: where the call came in, if that takes less time than handing it over does.
    async fn run_one<T: Send + 'static>(
        &self,
        directory: Directory,
        run: Run,
        answer: fn(Trace) -> T,
    ) -> Result<T, Error> {
        if run.is_small(&directory) {
            return Ok(answer(run.trace(&directory, &AtomicBool::default())));
        }
        // Boxed, so that small ones need no room for it.
        Box::pin(self.compute.run(move |stop| answer(run.trace(&directory, stop)))).await
    }

    async fn prepare_one(
        &self,
        policy: &pb::PolicySource,
        request: &pb::Request,
        directory: pb::Directory,
        at: Option<&prost_types::Timestamp>,
        happenings: &[pb::Happening],
    ) -> Result<(Directory, Run), Error> {
        let mut report = Report::default();
        let root = Path::ROOT;
        let directory = world::directory(&mut report, &root.field("directory"), directory);
        let at = time(&mut report, &root.field("at"), at).unwrap_or_else(|| self.time());
        let mut read = Reading { app: self, report, directory: &directory, at, known: BTreeMap::new() };
        let [policy_at, request_at, happenings_at] =
            [root.field("policy"), root.field("request"), root.field("happenings")];
        let run = read.run(&policy_at, policy, &request_at, request, &happenings_at, happenings);
        let run = run.await?;
        read.report.finish()?;
        let run = run.ok_or_else(|| Error::Internal("a policy with faults has no violations".to_owned()))?;
        Ok((directory, run))
    }

    /// The time, for calls that name none.
    pub(super) fn time(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        DateTime::from_timestamp(now.seconds, u32::try_from(now.nanos).unwrap_or(0)).unwrap_or_default()
    }
}

/// Reading the cases of one call.
struct Reading<'a> {
    app: &'a App,
    report: Report,
    directory: &'a Directory,
    at: DateTime<Utc>,
    /// What was found for a policy, by its source; `None` for one with faults, which have been reported.
    known: BTreeMap<Vec<u8>, Option<Arc<Prepared>>>,
}

impl Reading<'_> {
    async fn case(&mut self, batch: &pb::BatchSimulateRequest, n: usize) -> Result<Option<Run>, Error> {
        let root = Path::ROOT;
        let cases = root.field("cases");
        let at = cases.index(n);
        let Some(case) = batch.cases.get(n) else { return Ok(None) };
        let (policy, request) = (pb::PolicySource::default(), pb::Request::default());
        let (policy_at, policy) = match &case.policy {
            Some(own) => (at.field("policy"), own),
            None => (root.field("policy"), batch.policy.as_ref().unwrap_or(&policy)),
        };
        let (request_at, request) = match &case.request {
            Some(own) => (at.field("request"), own),
            None => (root.field("request"), batch.request.as_ref().unwrap_or(&request)),
        };
        let happenings_at = at.field("happenings");
        self.run(&policy_at, policy, &request_at, request, &happenings_at, &case.happenings).await
    }

    async fn run(
        &mut self,
        policy_at: &Path<'_>,
        policy: &pb::PolicySource,
        request_at: &Path<'_>,
        request: &pb::Request,
        happenings_at: &Path<'_>,
        happenings: &[pb::Happening],
    ) -> Result<Option<Run>, Error> {
        let happenings = happening::all(&mut self.report, happenings_at, happenings);
        let (mut made, kind) = world::request(&mut self.report, request_at, request, self.directory);
        let key = source::key(policy, request);
        let prepared = match self.known.get(&key) {
            Some(known) => known.clone(),
            None => {
                let found =
                    self.app.find_policy(&mut self.report, policy_at, policy, request_at, request).await?;
                self.known.entry(key).or_insert(found.map(Arc::new)).clone()
            }
        };
        let Some(prepared) = prepared else { return Ok(None) };
        prepared.check_request(&mut self.report, request_at, &mut made, kind);
        Ok(Some(Run { prepared, request: made, happenings, at: self.at, assume: true, dry_run: false }))
    }
}

/// The answers of some cases, the first of which has the index `first`.
fn answers_of(
    runs: &[(Run, String)],
    first: usize,
    directory: &Directory,
    stop: &AtomicBool,
) -> Vec<pb::BatchSimulateResponse> {
    let answers = runs.iter().enumerate().map(|(n, (run, id))| pb::BatchSimulateResponse {
        id: id.clone(),
        index: u32::try_from(first + n).unwrap_or(u32::MAX),
        trace: Some(trace::message(run.trace(directory, stop))),
    });
    answers.collect()
}

impl Run {
    /// Whether it takes less time than handing it to another thread.
    fn is_small(&self, directory: &Directory) -> bool {
        let Prepared::Task { policies, .. } = &*self.prepared else { return false };
        let conditions = policies.by_id.values().flat_map(|one| one.workflow.conditions());
        let units = conditions.map(|condition| match condition {
            Condition::Cel(program) => program.cost(),
            Condition::Guardian(_) => u64::MAX,
        });
        let units = units.fold(0, u64::saturating_add);
        units <= SMALL_MAX_UNITS && self.happenings.len() + directory.size() <= SMALL_MAX_ENTRIES
    }

    fn trace(&self, directory: &Directory, stop: &AtomicBool) -> Trace {
        match (&*self.prepared, &self.request.appeal) {
            (Prepared::Appeal { workflow, policy, stages, .. }, Some(appeal)) => {
                let (workflow, policy, stages, dry_run) =
                    (&**workflow, policy.clone(), *stages, self.dry_run);
                let stop = Some(stop);
                let machine = AppealMachine { workflow, policy, stages, appeal, dry_run, stop };
                simulate_appeal(&machine, self.at, &self.happenings)
            }
            (Prepared::Task { policies, .. }, _) => {
                let machine = Machine::new(policies, directory, &self.request).until(stop);
                simulate(&machine, self.at, &self.happenings, self.assume)
            }
            // Refused when the call was read.
            (Prepared::Appeal { .. }, None) => {
                let policies = Policies::default();
                let machine = Machine::new(&policies, directory, &self.request).until(stop);
                simulate(&machine, self.at, &self.happenings, self.assume)
            }
        }
    }
}
