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

const PLAIN: &str = "`Create`, gRPC";
const CONDITIONS: &str = "`Create`, two conditions";
const GUARDIAN: &str = "Guardian's `CreatePolicy`";
const EXPRESSIONS: &str = "Guardian's `CreatePolicy`, two expressions";
const SLED: &str = "bare sled";
const CONDITIONS_SLED: &str = "bare sled, with conditions";
const GUARDIAN_SLED: &str = "bare sled, Guardian's";
const EXPRESSIONS_SLED: &str = "bare sled, Guardian's with expressions";
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
    let stored = document::store(&server, document::PLAIN)?;
    let conditions = document::store(&server, document::CONDITIONS)?;
    let guardian = document::store_guardian(&server, document::GUARDIAN_PLAIN)?;
    let expressions = document::store_guardian(&server, document::GUARDIAN_EXPRESSIONS)?;
    let (simulate, simulations) = document::simulation(&server)?;
    let echoes = Echoes {
        get: Echo::of(&stored.gets, &stored.get)?,
        guardian: Echo::of(&expressions.gets, &expressions.get)?,
        simulate: Echo::of(&simulations, &simulate)?,
    };

    let creates = [
        (PLAIN, SLED, Some(0.5), &stored),
        (CONDITIONS, CONDITIONS_SLED, None, &conditions),
        (GUARDIAN, GUARDIAN_SLED, Some(0.5), &guardian),
        (EXPRESSIONS, EXPRESSIONS_SLED, Some(0.5), &expressions),
    ];
    let writes = writes(&server, creates, data.path())?;
    let reads = reads(&server, &echoes, &stored)?;
    let others = others(&server, &echoes, expressions.gets, simulations);
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

/// Creates, each beside a floor of its own: sled with records of the same size. `creates` has the names of both, and the share
/// to reach.
fn writes<'a>(
    server: &'a Process,
    creates: [(&'static str, &'static str, Option<f64>, &Stored); 4],
    data: &Path,
) -> Result<Vec<Figure<'a>>, Fault> {
    let mut figures = Vec::new();
    for (number, (name, floor, aim, stored)) in creates.into_iter().enumerate() {
        let record = document::record(stored);
        let sled = lasting(Writers::sled(&data.join(format!("sled-{number}")), record.clone())?);
        let floor_figure = Figure::new(floor, None, sled);
        figures.push(Figure::new(name, Some(server), stored.creates.clone()).against(floor, aim));
        figures.push(if number == 0 { floor_figure.against(FILE, None) } else { floor_figure });
        if number == 0 {
            let file = lasting(Writers::file(&data.join("file"), record)?);
            figures.push(Figure::new(FILE, None, file));
        }
    }
    Ok(figures)
}

/// Clients of several rounds share them, and they are needed until the end.
fn lasting(writers: Writers) -> &'static Writers {
    Box::leak(Box::new(writers))
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
