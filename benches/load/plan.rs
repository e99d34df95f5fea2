//! Which figures are measured, against which floor, and in which order.
//!
//! A figure and its floor take turns in short rounds, so that whatever else the machine does hits both.

use std::path::Path;
use std::time::Duration;

use crate::children::Process;
use crate::clients::{Http1, Http2};
use crate::document::{self, GET, Stored};
use crate::durable::Writers;
use crate::round::{self, Clients, Round};
use crate::{Fault, Options};

const SLED: &str = "bare sled";
const GUARDIAN_SLED: &str = "bare sled, records of `CreatePolicy`";
const FILE: &str = "raw file";
const ECHO: &str = "bare tonic echo";
const GRPC_GET: &str = "`Get`, gRPC";
const GUARDIAN_ECHO: &str = "echo of `GetPolicy`";
const SIMULATE_ECHO: &str = "echo of `Simulate`";

/// How much is measured.
#[derive(Debug)]
pub struct Effort {
    /// How often every figure has its turn.
    pub rounds: usize,
    pub round: Duration,
    /// The same, once and not counted, before the others.
    pub warm_up: Duration,
}

impl Effort {
    pub const FULL: Effort =
        Effort { rounds: 5, round: Duration::from_secs(1), warm_up: Duration::from_millis(500) };
    pub const QUICK: Effort =
        Effort { rounds: 1, round: Duration::from_millis(100), warm_up: Duration::from_millis(20) };
}

/// One row of the table. Every list holds one value for each round.
pub struct Row {
    pub name: &'static str,
    pub clients: usize,
    pub rate: Vec<f64>,
    pub p50_us: Vec<f64>,
    pub p99_us: Vec<f64>,
    /// Processor time of the process that answers, for each request.
    pub cpu_us: Vec<f64>,
    pub against: Vec<Against>,
}

/// What a row is compared with.
pub struct Against {
    pub name: &'static str,
    pub rate: Vec<f64>,
    /// The share of that rate that is to be reached.
    pub aim: Option<f64>,
}

/// A figure or a floor.
struct Figure<'a> {
    name: &'static str,
    /// The process that answers, if it is not this one.
    process: Option<&'a Process>,
    run: Box<dyn Fn(usize, Duration) -> Result<Round, Fault> + 'a>,
    /// The names of what it is compared with, and the share to reach.
    against: Vec<(&'static str, Option<f64>)>,
}

impl<'a> Figure<'a> {
    fn new(name: &'static str, process: Option<&'a Process>, clients: impl Clients + 'a) -> Self {
        let run = Box::new(move |count, length| round::run(&clients, count, length));
        Figure { name, process, run, against: Vec::new() }
    }

    fn against(mut self, name: &'static str, aim: Option<f64>) -> Self {
        self.against.push((name, aim));
        self
    }
}

/// Measures everything that is asked for.
pub fn run(options: &Options) -> Result<Vec<Row>, Fault> {
    let data = tempfile::Builder::new().prefix("load-").tempdir_in(&options.dir)?;
    let server = Process::server(&options.server, &data.path().join("server"))?;
    let stored = document::store(&server)?;
    let guardian = document::store_guardian(&server)?;
    let (simulate, simulations) = document::simulation(&server)?;
    let echoes = Echoes {
        get: Echo::of(&stored.gets, &stored.get)?,
        guardian: Echo::of(&guardian.gets, &guardian.get)?,
        simulate: Echo::of(&simulations, &simulate)?,
    };

    let writes = writes(&server, &stored, &guardian, data.path())?;
    let reads = reads(&server, &echoes, &stored)?;
    let others = others(&server, &echoes, guardian.gets, simulations);
    let mut rows = Vec::new();
    // Writes first: what is read afterwards is read from a store that holds something.
    for group in [writes, reads, others] {
        let group = asked_for(group, &options.only);
        for clients in &options.clients {
            rows.extend(take_turns(&options.effort, *clients, &group)?);
        }
    }
    Ok(rows)
}

/// Those with the right name, and what they are compared with.
fn asked_for<'a>(group: Vec<Figure<'a>>, only: &str) -> Vec<Figure<'a>> {
    let named = group.iter().filter(|figure| figure.name.contains(only));
    let names: Vec<_> = named
        .flat_map(|figure| figure.against.iter().map(|(floor, _)| *floor).chain([figure.name]))
        .collect();
    group.into_iter().filter(|figure| names.contains(&figure.name)).collect()
}

fn writes<'a>(
    server: &'a Process,
    stored: &Stored,
    guardian: &Stored,
    data: &Path,
) -> Result<Vec<Figure<'a>>, Fault> {
    let record = document::record(stored);
    let file = Writers::file(&data.join("file"), record.clone())?;
    let sled = Writers::sled(&data.join("sled"), record)?;
    let guardian_sled = Writers::sled(&data.join("guardian-sled"), document::record(guardian))?;
    // Clients of several rounds share them, and they are needed until the end.
    let [file, sled, guardian_sled] =
        [file, sled, guardian_sled].map(|writers| &*Box::leak(Box::new(writers)));
    Ok(vec![
        Figure::new("`Create`, gRPC", Some(server), stored.creates.clone()).against(SLED, Some(0.5)),
        Figure::new(SLED, None, sled).against(FILE, None),
        Figure::new("Guardian's `CreatePolicy`", Some(server), guardian.creates.clone())
            .against(GUARDIAN_SLED, Some(0.5)),
        Figure::new(GUARDIAN_SLED, None, guardian_sled),
        Figure::new(FILE, None, file),
    ])
}

/// An echo, and the calls of it that have the messages of other calls, and their answers.
struct Echo {
    process: Process,
    calls: Http2,
    /// The length of an answer with its prefix.
    framed_bytes: usize,
}

struct Echoes {
    get: Echo,
    guardian: Echo,
    simulate: Echo,
}

impl Echo {
    fn of(calls: &Http2, message: &[u8]) -> Result<Echo, Fault> {
        let answer = document::once(calls)?;
        let framed_bytes = answer.len() + 5;
        let process = Process::echo(&answer)?;
        let calls = Http2::grpc(process.addr, GET, message)?.answered_with(framed_bytes);
        Ok(Echo { process, calls, framed_bytes })
    }

    fn figure(&self, name: &'static str) -> Figure<'_> {
        Figure::new(name, Some(&self.process), self.calls.clone())
    }
}

fn reads<'a>(server: &'a Process, echoes: &'a Echoes, stored: &Stored) -> Result<Vec<Figure<'a>>, Fault> {
    let gets = stored.gets.clone().answered_with(echoes.get.framed_bytes);
    Ok(vec![
        Figure::new(GRPC_GET, Some(server), gets).against(ECHO, Some(0.6)),
        echoes.get.figure(ECHO),
        Figure::new("`Get`, REST, HTTP/1.1", Some(server), Http1::get(server.addr, &stored.path))
            .against(GRPC_GET, Some(0.5)),
        Figure::new("`Get`, REST, HTTP/2", Some(server), Http2::get(server.addr, &stored.path)?)
            .against(GRPC_GET, Some(0.5)),
    ])
}

fn others<'a>(server: &'a Process, echoes: &'a Echoes, gets: Http2, simulations: Http2) -> Vec<Figure<'a>> {
    let gets = gets.answered_with(echoes.guardian.framed_bytes);
    let simulations = simulations.answered_with(echoes.simulate.framed_bytes);
    vec![
        Figure::new("Guardian's `GetPolicy`", Some(server), gets).against(GUARDIAN_ECHO, Some(0.6)),
        echoes.guardian.figure(GUARDIAN_ECHO),
        Figure::new("`Simulate`, five stages", Some(server), simulations).against(SIMULATE_ECHO, Some(0.5)),
        echoes.simulate.figure(SIMULATE_ECHO),
    ]
}

/// Measures the figures of a group in turn, round after round.
fn take_turns(effort: &Effort, clients: usize, group: &[Figure]) -> Result<Vec<Row>, Fault> {
    let mut rows: Vec<Row> = group
        .iter()
        .map(|figure| Row {
            name: figure.name,
            clients,
            rate: Vec::new(),
            p50_us: Vec::new(),
            p99_us: Vec::new(),
            cpu_us: Vec::new(),
            against: Vec::new(),
        })
        .collect();
    for figure in group {
        (figure.run)(clients, effort.warm_up).map_err(|error| failed(figure, clients, &error))?;
    }
    for _ in 0..effort.rounds {
        for (figure, row) in group.iter().zip(&mut rows) {
            let before = figure.process.and_then(Process::cpu_us);
            let round =
                (figure.run)(clients, effort.round).map_err(|error| failed(figure, clients, &error))?;
            let after = figure.process.and_then(Process::cpu_us);
            row.rate.push(round.rate());
            row.p50_us.push(round.quantile_us(0.5));
            row.p99_us.push(round.quantile_us(0.99));
            row.cpu_us.extend(before.zip(after).map(|(before, after)| (after - before) / round.count()));
        }
    }
    let rates: Vec<_> = rows.iter().map(|row| (row.name, row.rate.clone())).collect();
    for (figure, row) in group.iter().zip(&mut rows) {
        row.against = figure
            .against
            .iter()
            .filter_map(|(floor, aim)| {
                let (name, rate) = rates.iter().find(|(name, _)| name == floor)?.clone();
                Some(Against { name, rate, aim: *aim })
            })
            .collect();
    }
    Ok(rows)
}

fn failed(figure: &Figure, clients: usize, error: &Fault) -> Fault {
    format!("{}, {clients} clients: {error}", figure.name).into()
}
