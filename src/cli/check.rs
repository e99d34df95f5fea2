//! `countersign check`: compiles policies in files as the service would, and says what is wrong with them and where.

mod analysis;
mod decode;
mod dialect;
mod envelope;
mod escaped;
mod finding;
mod go_yaml;
mod json_text;
mod message;
mod place;
mod print;
mod source;
mod stored;
pub(super) mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::time::SystemTime;

use super::remote::{self, Remote};
use super::terminal::printable;
use super::{FAILED, Failure, USAGE};
use crate::policy::guardian::{Compat, Family, Lint, Surroundings};
use crate::workflow::Nobody;
use dialect::Reference;
pub(super) use dialect::{Accepted, Dialects, Document, Name};
use finding::Finding;
pub(super) use finding::Severity;
pub(super) use message::{Origin, message, messages};
use source::Source;
use stored::Stock;
use tree::Tree;

/// The arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing is wrong (there may be warnings), 1 there are violations, 2 wrong usage, a \
                        file that cannot be read, or a server that cannot be asked."
)]
pub(super) struct Args {
    /// JSON or YAML: one policy, a list, several documents, or an answer of the API; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The shape of the policies; without it, each policy is looked at: what has only fields of Guardian's is Guardian's.
    #[arg(long, value_enum)]
    dialect: Option<dialect::Name>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value = "text")]
    format: print::Format,
    /// Look up references to other policies on this service, http://HOST:PORT, https://HOST:PORT or unix:PATH.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    credentials: remote::Credentials,
    /// What an approval does that finds nobody and does not say: block, skip or deny, as the service is set.
    #[arg(long, value_name = "WHAT", default_value_t = Nobody::default())]
    empty_approvers: Nobody,
    /// Guardian's faults, as the service is set: default, or strict to copy them.
    #[arg(long, value_name = "WHAT", default_value_t = Compat::default())]
    guardian_compat: Compat,
    /// What Guardian accepts and finds out too late, as the service is set: warn, or deny.
    #[arg(long, value_name = "WHAT", default_value_t = Lint::default())]
    guardian_lint: Lint,
    /// Say also what each policy does for every request: docs/analyze.md.
    #[arg(long)]
    analyze: bool,
    /// TOML with [[invariant]] tables of a name and an expression; one that does not hold is a violation. Implies --analyze.
    #[arg(long, value_name = "FILE")]
    invariants: Option<String>,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let around = Surroundings {
        compat: args.guardian_compat,
        lint: args.guardian_lint,
        family: Family::default(),
        now: Some(SystemTime::now().into()),
        ..Surroundings::default()
    };
    let invariants = args.invariants.as_deref().map(analysis::read).transpose().map_err(Failure::usage)?;
    let dialects = Dialects::new(args.dialect, args.empty_approvers, around, false);
    let mut dialects = dialects.map_err(Failure::usage)?;
    if args.analyze || invariants.is_some() {
        dialects = dialects.analysing(invariants.unwrap_or_default());
    }
    // Only a server that is named is asked: without one, this command needs none.
    let remote = args.server.map(|url| Remote::connect(url, args.credentials, env)).transpose()?;
    let stock = remote.map(Stock::new);
    let mut run = Run { dialects, stock, format: args.format, tally: Tally::default() };
    let mut unread = false;
    for name in &args.files {
        match Source::read(name) {
            Ok(source) => run.check(&source)?,
            Err(sentence) => {
                eprintln!("countersign: {}", printable(&sentence));
                unread = true;
            }
        }
    }
    run.tally.report(run.stock.is_some());
    match (unread, run.tally.violations) {
        (true, _) => Err(Failure::said(USAGE)),
        (false, 0) => Ok(()),
        (false, _) => Err(Failure::said(FAILED)),
    }
}

/// One invocation.
struct Run {
    dialects: Dialects,
    stock: Option<Stock>,
    format: print::Format,
    tally: Tally,
}

/// What an invocation has seen.
#[derive(Debug, Default)]
struct Tally {
    policies: usize,
    violations: usize,
    warnings: usize,
    references: usize,
}

impl Run {
    /// Checks one file and prints what was found, in the order of the file.
    fn check(&mut self, source: &Source) -> Result<(), Failure> {
        let Checked { policies, mut findings, references, .. } =
            check_text(source, &self.dialects, Versions::All);
        self.tally.policies += policies.len();
        self.tally.references += references.len();
        if let Some(stock) = &mut self.stock {
            for reference in &references {
                findings.extend(stock.fault(reference)?);
            }
        }
        findings.sort_by_key(|finding| finding.offset);
        let mut out = io::BufWriter::new(io::stdout().lock());
        for finding in &findings {
            match finding.severity {
                Severity::Violation => self.tally.violations += 1,
                Severity::Warning => self.tally.warnings += 1,
                Severity::Note => {}
            }
            print::finding(&mut out, self.format, source, finding).map_err(Failure::output)?;
        }
        out.flush().map_err(Failure::output)
    }
}

/// Which policies of a list answer of Guardian's are meant, which has all their versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    All,
    Latest,
}

/// What is in a file, and all that can be said about it without a server.
#[derive(Debug, Default)]
struct Checked {
    /// None in the place of one that cannot be decoded.
    policies: Vec<Option<Accepted>>,
    findings: Vec<Finding>,
    references: Vec<Reference>,
    /// How many versions of a policy were left out.
    earlier: BTreeMap<String, usize>,
}

fn check_text(source: &Source, dialects: &Dialects, versions: Versions) -> Checked {
    let (tree, findings) = parse(source);
    let mut file = Checked { findings, ..Checked::default() };
    let (mut compiled, mut places) = (analysis::Compiled::default(), Vec::new());
    for document in &tree.documents {
        let (mut roots, faults) = envelope::policies(&tree, *document);
        file.findings.extend(faults);
        if versions == Versions::Latest {
            file.earlier.extend(envelope::leave_latest(&tree, *document, &mut roots));
        }
        for root in roots {
            let checked = dialects.of(&tree, root).check(source, &tree, root);
            file.policies.push(checked.accepted);
            file.findings.extend(checked.findings);
            file.references.extend(checked.references);
            if let Some((id, workflow)) = checked.compiled {
                compiled.push(id, workflow);
                places.push(root);
            }
        }
    }
    file.findings.extend(dialects.analysed(source, &tree, &compiled, &places));
    // A list of nothing is what a service without policies gives; a file without a list was meant to have one.
    let has_list = tree.documents.iter().any(|document| envelope::is_list(&tree, *document));
    if file.policies.is_empty() && file.findings.is_empty() && !has_list {
        file.findings.push(Finding::violation(0, "POLICY_MISSING", "there is no policy in this file"));
    }
    file.findings.sort_by_key(|finding| finding.offset);
    file
}

/// A JSON text that is known to be one, as a tree.
pub(super) fn tree_of_json(text: &str) -> Option<(Tree, tree::NodeId)> {
    let (tree, faults) = Tree::parse_json(text);
    let root = tree.documents.first().copied().filter(|_| faults.is_empty())?;
    Some((tree, root))
}

/// The policies of one file for a command that goes on with them, the latest versions of those in an answer of Guardian's. What
/// there is to say that is at least as bad as `shown` is printed to standard error, and a violation is a failure.
pub(super) fn documents(name: &str, dialects: &Dialects, shown: Severity) -> Result<Vec<Accepted>, Failure> {
    let source = Source::read(name).map_err(|sentence| Failure::usage(printable(&sentence)))?;
    let Checked { policies, findings, earlier, .. } = check_text(&source, dialects, Versions::Latest);
    for (id, number) in earlier {
        let (file, id) = (printable(&source.name), printable(&id));
        let versions = count(number, "earlier version is", "earlier versions are");
        eprintln!("countersign: {file}: policy {id}: {versions} left out");
    }
    let mut out = io::stderr().lock();
    let is_shown = |one: &&Finding| shown == Severity::Warning || one.severity == Severity::Violation;
    for finding in findings.iter().filter(is_shown) {
        print::finding(&mut out, print::Format::Text, &source, finding).map_err(Failure::output)?;
    }
    if findings.iter().any(|finding| finding.severity == Severity::Violation) {
        return Err(Failure::said(FAILED));
    }
    Ok(policies.into_iter().flatten().collect())
}

/// The documents of a file. YAML allows more than JSON, a comma too many for one; a file that is called JSON has to be JSON.
fn parse(source: &Source) -> (Tree, Vec<Finding>) {
    if !source.is_json() {
        return Tree::parse(&source.text);
    }
    let (tree, mut findings) = Tree::parse_json(&source.text);
    if findings.is_empty() {
        findings.extend(json_fault(source));
    }
    (tree, findings)
}

fn json_fault(source: &Source) -> Option<Finding> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(&source.text).err()?;
    let sentence = error.to_string();
    let sentence = sentence.split(" at line ").next().unwrap_or_default();
    let at = source.offset(error.line(), error.column().max(1));
    Some(Finding::violation(at, "JSON_SYNTAX", sentence))
}

impl Tally {
    /// A last sentence for people; it goes to standard error, so that findings can be piped.
    fn report(&self, looked_up: bool) {
        let Tally { policies, violations, warnings, references } = self;
        if !looked_up && *references > 0 {
            let references = count(*references, "reference", "references");
            eprintln!("countersign: {references} to stored policies not checked; --server URL looks them up");
        }
        eprintln!(
            "countersign: {}, {}, {}",
            count(*policies, "policy", "policies"),
            count(*violations, "violation", "violations"),
            count(*warnings, "warning", "warnings"),
        );
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that is done with a text, but for the printing to a terminal.
    fn check_all(name: &str, text: &str) -> (usize, usize) {
        let source = Source::new(name.to_owned(), text.to_owned());
        let dialects = Dialects::new(None, Nobody::Block, Surroundings::default(), false).unwrap();
        let Checked { policies, findings, .. } = check_text(&source, &dialects, Versions::All);
        for finding in &findings {
            let mut out = Vec::new();
            print::finding(&mut out, print::Format::Text, &source, finding).unwrap();
            print::finding(&mut out, print::Format::Json, &source, finding).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{out:?}");
        }
        (policies.len(), findings.len())
    }

    /// Pieces of files, of which some fit together.
    const PIECES: &[&str] = &[
        "displayName: ",
        "rules:",
        "- condition: ",
        "policySteps:",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "- ",
        "? ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "# c",
        "\\u00e9",
        "\\ud83d",
        "\\\"",
        "subject.departmnet == \"Eng\"",
        "((",
        "policy: ",
        "list: ",
        "steps",
        "steps: ",
        "approve_if: ",
        "grant",
        "1e5",
        "0x",
        "null",
        "é😀",
        "\r\n",
        "\u{feff}",
        "\u{1b}[2J",
        "`",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_it_panic(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)) {
            check_all("x.yaml", &pieces.concat());
            check_all("x.json", &pieces.concat());
        }

        #[test]
        fn no_expression_makes_it_panic(text in "[ -~\\n\\t\\\\é😀]{0,60}", style in 0..5) {
            let quoted = serde_json::Value::from(text.as_str()).to_string();
            let written = match style {
                0 => quoted,
                1 => format!("'{}'", text.replace('\'', "''")),
                2 => format!("|\n    {}", text.replace('\n', "\n    ")),
                3 => format!(">-\n    {}", text.replace('\n', "\n    ")),
                _ => text.clone(),
            };
            check_all("x.yaml", &format!("displayName: x\nrules:\n- stepKey: a\n  condition: {written}\n"));
        }
    }

    #[test]
    fn a_large_file_on_one_line_takes_no_longer_per_finding() {
        let one = r#"{"rules": [{"condition": "subject.x"}], "y": 1},"#;
        let text = format!("[{}{{}}]", one.repeat(source::FILE_MAX_BYTES / one.len() / 8));
        let (policies, findings) = check_all("x.json", &text);
        assert!(policies > 10_000 && findings >= policies);
    }
}
