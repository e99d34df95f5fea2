//! The rows as a table that a person and Markdown can read.
#![allow(clippy::print_stdout, reason = "this is what the program is for")]

use crate::clients::CONNECTIONS;
use crate::plan::{Against, Effort, Row};
use crate::round::CLIENT_THREADS;

const HEAD: [&str; 7] = ["", "clients", "rate /s", "p50 µs", "p99 µs", "CPU µs", "share of the rate"];

pub fn print(effort: &Effort, rows: &[Row]) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{} rounds of {:?}, medians; {cores} cores for everything; many clients: {CLIENT_THREADS} threads, \
         {CONNECTIONS} connections over HTTP/2\n",
        effort.rounds, effort.round
    );
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(line));
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 6 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let rules = widths.iter().enumerate().map(|(column, width)| match column {
                0 | 6 => "-".repeat(*width),
                _ => format!("{}:", "-".repeat(width.saturating_sub(1))),
            });
            println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
        }
    }
}

fn line(row: &Row) -> [String; 7] {
    let whole = |values: &[f64]| median(values).map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let cpu = median(&row.cpu_us).map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    [
        row.name.to_owned(),
        row.clients.to_string(),
        whole(&row.rate),
        whole(&row.p50_us),
        whole(&row.p99_us),
        cpu,
        shares(row),
    ]
}

fn shares(row: &Row) -> String {
    let shares: Vec<String> = row.against.iter().map(|against| share(row, against)).collect();
    if shares.is_empty() { "-".to_owned() } else { shares.join(", ") }
}

/// The median of the shares of the single rounds: neighbours in time, so that a slow minute does not count for one side.
fn share(row: &Row, against: &Against) -> String {
    let shares: Vec<f64> = row.rate.iter().zip(&against.rate).map(|(ours, floor)| ours / floor).collect();
    let share = median(&shares).unwrap_or(f64::NAN);
    let name = against.name;
    match against.aim.filter(|_| row.clients > 1) {
        Some(aim) => format!("{share:.2} of {name} (aim {aim})"),
        None => format!("{share:.2} of {name}"),
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
