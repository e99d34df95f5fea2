//! Expressions from text to value. The cases are data: `data/expr/*.tsv`, one expression a line, with what it must give.
//! `COUNTERSIGN_BLESS=1` writes what it gives now; read the difference before committing it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::expr::{
    AppUser, AppUserStatus, AppUserType, Code, Directory, DirectoryError, EmptyDirectory, Enrollment,
    Entitlement, Environment, EvalCode, Evaluation, Facts, Group, Json, MEMBERS_MAX, RiskScore,
    SecurityInsight, Severity, Task, TaskAnalysis, TaskOrigin, User, UserStatus, UserType, Value, compile,
};

#[path = "expr_hostile.rs"]
mod hostile;
#[path = "expr_spec.rs"]
mod spec;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/expr").join(name)
}

/// A small company. Alice reports to Bob, Bob to Carol; everybody is in the directory.
#[derive(Debug)]
struct Company {
    users: Vec<Arc<User>>,
}

fn user(id: &str, name: &str, department: &str, manager: &str) -> Arc<User> {
    let email = format!("{id}@example.com");
    Arc::new(User {
        id: id.to_owned(),
        display_name: name.to_owned(),
        username: id.to_owned(),
        department: department.to_owned(),
        manager: if manager.is_empty() { String::new() } else { format!("{manager}@example.com") },
        manager_id: manager.to_owned(),
        emails: vec![email.clone()],
        email,
        status: UserStatus::Enabled,
        kind: UserType::Human,
        ..User::default()
    })
}

impl Company {
    fn new() -> Self {
        let users = vec![
            user("alice", "Alice", "Eng", "bob"),
            user("bob", "Bob", "Eng", "carol"),
            user("carol", "Carol", "Board", ""),
            user("dave", "Dave", "Finance", "carol"),
        ];
        Self { users }
    }

    fn who(&self, test: impl Fn(&User) -> bool) -> Vec<Arc<User>> {
        self.users.iter().filter(|user| test(user)).cloned().collect()
    }
}

impl Directory for Company {
    fn user_by_id(&self, id: &str) -> Result<Option<Arc<User>>, DirectoryError> {
        Ok(self.who(|user| user.id == id).pop())
    }

    fn user_by_email(&self, email: &str) -> Result<Option<Arc<User>>, DirectoryError> {
        if email == "broken@example.com" {
            return Err(DirectoryError { message: "the directory is down".to_owned() });
        }
        Ok(self.who(|user| user.email == email).pop())
    }

    fn user_by_name(&self, name: &str) -> Result<Option<Arc<User>>, DirectoryError> {
        Ok(self.who(|user| user.display_name == name).pop())
    }

    fn managers(&self, id: &str) -> Result<Vec<Arc<User>>, DirectoryError> {
        let manager =
            self.who(|user| user.id == id).pop().map(|user| user.manager_id.clone()).unwrap_or_default();
        Ok(self.who(|user| user.id == manager))
    }

    fn direct_reports(&self, id: &str) -> Result<Vec<Arc<User>>, DirectoryError> {
        Ok(self.who(|user| user.manager_id == id))
    }

    fn group_by_name(&self, name: &str) -> Result<Option<Arc<Group>>, DirectoryError> {
        let group = Group { id: "g1".to_owned(), app_id: "app1".to_owned(), display_name: name.to_owned() };
        Ok((name == "Leads").then(|| Arc::new(group)))
    }

    fn app_owners(&self, app_id: &str) -> Result<Vec<Arc<User>>, DirectoryError> {
        Ok(self.who(|user| app_id == "app1" && (user.id == "carol" || user.id == "dave")))
    }

    fn app_users(&self, user_id: &str, app_id: &str) -> Result<Vec<Arc<AppUser>>, DirectoryError> {
        let account = AppUser {
            id: format!("{user_id}-{app_id}"),
            status: AppUserStatus::Enabled,
            ..AppUser::default()
        };
        Ok(if user_id == "alice" && app_id == "app1" { vec![Arc::new(account)] } else { Vec::new() })
    }

    fn app_user_managers(&self, user_id: &str, _: &str) -> Result<Vec<Arc<User>>, DirectoryError> {
        self.managers(user_id)
    }

    fn entitlement_members(
        &self,
        app_id: &str,
        entitlement_id: &str,
    ) -> Result<Vec<Arc<User>>, DirectoryError> {
        if entitlement_id == "crowd" {
            return Ok(std::iter::repeat_with(|| user("x", "X", "", "")).take(MEMBERS_MAX + 1).collect());
        }
        Ok(self.who(|user| app_id == "app1" && entitlement_id == "ent1" && user.department == "Eng"))
    }

    fn entitlement_owners(&self, app_id: &str, _: &str) -> Result<Vec<Arc<User>>, DirectoryError> {
        Ok(self.who(|user| app_id == "app1" && user.id == "dave"))
    }

    fn has_entitlement(
        &self,
        user_id: &str,
        app_id: &str,
        entitlement_id: &str,
    ) -> Result<bool, DirectoryError> {
        Ok((user_id, app_id, entitlement_id) == ("alice", "app1", "ent1"))
    }

    fn enrollment(
        &self,
        user: &str,
        app: &str,
        entitlement: &str,
    ) -> Result<Option<Enrollment>, DirectoryError> {
        Ok(match (user, app, entitlement) {
            ("alice", "app1", "ent1") => Some(Enrollment::Automatic),
            ("alice", "app1", "ent2") => Some(Enrollment::Requested),
            _ => None,
        })
    }
}

fn text(value: &str) -> Json {
    Json::String(value.to_owned())
}

/// Alice asks for an entitlement of high risk, from the office, on a Tuesday.
fn facts(company: &Company) -> Facts {
    let mut subject = User::clone(&company.users[0]);
    subject.emails.push("alice@lab.example.com".to_owned());
    subject.job_title = "Engineer".to_owned();
    subject.employment_type = "Contractor".to_owned();
    subject.profile = BTreeMap::from([
        ("training".to_owned(), text("done")),
        ("level".to_owned(), Json::Number(3.0)),
        ("remote".to_owned(), Json::Bool(true)),
        ("nothing".to_owned(), Json::Null),
        ("teams".to_owned(), Json::List(vec![text("red"), text("blue")])),
        ("site".to_owned(), Json::Map(BTreeMap::from([("city".to_owned(), text("Köln"))]))),
    ]);
    let account = AppUser {
        id: "acc1".to_owned(),
        email: "alice@example.com".to_owned(),
        employee_ids: vec!["e1".to_owned()],
        kind: AppUserType::User,
        status: AppUserStatus::Enabled,
        status_details: "active".to_owned(),
        risk_scores: vec![RiskScore { source: "okta".to_owned(), score: 71.5 }],
        security_insights: vec![SecurityInsight {
            source: "crowdstrike".to_owned(),
            severity: "high".to_owned(),
            title: "Old agent".to_owned(),
        }],
        ..AppUser::default()
    };
    let task = Task {
        id: "t1".to_owned(),
        numeric_id: "17".to_owned(),
        display_name: "Access to payroll".to_owned(),
        subject_user_id: "alice".to_owned(),
        requestor_user_id: "bob".to_owned(),
        origin: TaskOrigin::Slack,
        created_at: DateTime::from_timestamp(1_772_530_200, 0),
        is_grant_permanent: false,
        grant_duration: Some(TimeDelta::hours(72)),
        analysis: TaskAnalysis {
            id: "a1".to_owned(),
            has_conflict_violations: true,
            conflict_violations: vec!["pay-and-approve".to_owned()],
        },
    };
    let entitlement = Entitlement {
        id: "ent1".to_owned(),
        app_id: "app1".to_owned(),
        risk_level_value_id: "high".to_owned(),
        ..Entitlement::default()
    };
    Facts {
        subject: Arc::new(subject),
        account: Arc::new(account),
        entitlement: Arc::new(entitlement),
        task: Arc::new(task),
        ip: Some([10, 1, 2, 3].into()),
    }
}

/// Tuesday 2026-03-03T09:30:00Z, the moment of `now()`.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_530_200, 0).unwrap()
}

fn environment(letter: &str) -> Environment {
    match letter {
        "C" => Environment::Condition,
        "A" => Environment::Approver,
        "T" => Environment::AccountTest,
        other => panic!("{other} is no environment"),
    }
}

/// `type = text`, or the code of the failure, or the faults with their places.
fn outcome(environment: Environment, text: &str) -> String {
    let program = match compile(environment, text) {
        Ok(program) => program,
        Err(faults) => {
            let place = |fault: &countersign::expr::Diagnostic| {
                assert_eq!(fault.severity, Severity::Error);
                let (start, end) = (fault.start, fault.end);
                format!(
                    "{}@{}:{}-{}:{} {}",
                    fault.code, start.line, start.column, end.line, end.column, fault.message
                )
            };
            return faults.iter().map(place).collect::<Vec<_>>().join(" | ");
        }
    };
    let company = Company::new();
    let facts = facts(&company);
    let evaluation = Evaluation::new(&facts, &company, now()).unwrap();
    match program.evaluate(&evaluation) {
        Ok(value) => format!("{} = {value}", program.result_type()),
        Err(error) => format!("! {error}"),
    }
}

/// Runs the cases of one file: environment, expression (with `\n` for a line break), outcome, between tabs. Lines that
/// start with `#` are comments.
fn run(name: &str) {
    let path = data(name);
    let file = std::fs::read_to_string(&path).unwrap();
    let (mut wrong, mut blessed, mut count) = (String::new(), String::new(), 0);
    for (number, line) in file.lines().enumerate() {
        let parts: Vec<&str> = line.split('\t').collect();
        let (letter, text, expected) = match parts.as_slice() {
            [_] => {
                writeln!(blessed, "{line}").unwrap();
                continue;
            }
            [letter, text] => (*letter, *text, ""),
            [letter, text, expected] => (*letter, *text, *expected),
            _ => panic!("{name}:{}: four columns", number + 1),
        };
        count += 1;
        let found = outcome(environment(letter), &text.replace("\\n", "\n"));
        let found = found.replace('\n', "\\n").replace('\t', "\\t");
        writeln!(blessed, "{letter}\t{text}\t{found}").unwrap();
        if found != expected {
            writeln!(wrong, "{name}:{}: {text}\n  expected {expected}\n  found    {found}", number + 1)
                .unwrap();
        }
    }
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        std::fs::write(&path, blessed).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 0, "{name} has no cases");
}

#[test]
fn good_expressions_give_their_values() {
    run("good.tsv");
}

#[test]
fn bad_expressions_have_every_fault_at_its_place() {
    run("bad.tsv");
}

#[test]
fn evaluations_that_fail_say_why() {
    run("failing.tsv");
}

#[test]
fn costly_expressions_are_refused_with_their_estimate() {
    run("cost.tsv");
}

#[test]
fn good_and_bad_cases_are_what_their_files_say() {
    let lines = |name: &str| -> Vec<String> {
        let file = std::fs::read_to_string(data(name)).unwrap();
        file.lines().filter(|line| line.contains('\t')).map(str::to_owned).collect()
    };
    let outcome = |line: &str| line.split('\t').nth(2).unwrap_or("").to_owned();
    for line in lines("good.tsv") {
        assert!(outcome(&line).contains(" = "), "{line}");
    }
    for line in lines("bad.tsv") {
        assert!(outcome(&line).starts_with("EXPRESSION_"), "{line}");
    }
    for line in lines("failing.tsv") {
        assert!(outcome(&line).starts_with("! EVALUATION_"), "{line}");
    }
}

#[test]
fn every_code_is_shown_by_a_case() {
    let all: String =
        ["bad.tsv", "cost.tsv"].iter().map(|name| std::fs::read_to_string(data(name)).unwrap()).collect();
    for code in Code::ALL.iter().filter(|code| **code != Code::Constant) {
        // Too long to write down; `hostile` has it.
        assert!(*code == Code::TooLong || all.contains(code.as_str()), "no case shows {code}");
    }
}

#[test]
fn constants_are_known_without_facts() {
    let compiled = |text: &str| compile(Environment::Condition, text).unwrap();
    assert!(compiled("true").is_always_true());
    assert!(compiled("size([1, 2].filter(x, x > 1)) == 1 || subject.id == ''.trim()").constant().is_none());
    assert!(compiled("[1, 2].all(x, x > 0) && 'a'.startsWith('a')").is_always_true());
    let never = compiled("1 > 2");
    assert_eq!(never.constant(), Some(&Value::Bool(false)));
    assert_eq!(never.warnings()[0].code, Code::Constant);
    assert!(compiled("subject.id == 'a'").constant().is_none());
    assert!(compiled("now() > timestamp('2020-01-01T00:00:00Z')").constant().is_none());
}

/// Counts what it is asked.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl Directory for Counting {
    fn managers(&self, _: &str) -> Result<Vec<Arc<User>>, DirectoryError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![user("m", "M", "", "")])
    }
}

#[test]
fn the_directory_is_asked_once_for_each_question() {
    let text = "c1.directory.users.v1.GetManagers(subject).all(m, size(c1.directory.users.v1.GetManagers(subject)) == 1)";
    let program = compile(Environment::Condition, text).unwrap();
    let (facts, directory) = (Facts::default(), Counting::default());
    let evaluation = Evaluation::new(&facts, &directory, now()).unwrap();
    assert_eq!(program.is_met(&evaluation), Ok(true));
    assert_eq!(program.is_met(&evaluation), Ok(true));
    assert_eq!(directory.0.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn facts_that_are_larger_than_declared_are_refused() {
    let too_large = |user: User| {
        let facts = Facts { subject: Arc::new(user), ..Facts::default() };
        Evaluation::new(&facts, &EmptyDirectory, now()).unwrap_err().code
    };
    let long = "x".repeat(4097);
    assert_eq!(too_large(User { email: long.clone(), ..User::default() }), EvalCode::TooLarge);
    assert_eq!(too_large(User { emails: vec![String::new(); 1025], ..User::default() }), EvalCode::TooLarge);
    assert_eq!(
        too_large(User {
            profile: BTreeMap::from([("a".to_owned(), Json::String(long))]),
            ..User::default()
        }),
        EvalCode::TooLarge
    );
    let mut deep = Json::Null;
    for _ in 0..17 {
        deep = Json::List(vec![deep]);
    }
    assert_eq!(
        too_large(User { profile: BTreeMap::from([("a".to_owned(), deep)]), ..User::default() }),
        EvalCode::TooLarge
    );
}

#[test]
fn approvers_are_read_from_every_result() {
    let company = Company::new();
    let facts = facts(&company);
    let evaluation = Evaluation::new(&facts, &company, now()).unwrap();
    let ids = |text: &str| -> Vec<String> {
        let value = compile(Environment::Approver, text).unwrap().evaluate(&evaluation).unwrap();
        value.users().unwrap().iter().map(|user| user.id.clone()).collect()
    };
    assert_eq!(ids("appOwners"), ["carol", "dave"]);
    assert_eq!(ids("subject"), ["alice"]);
    assert_eq!(ids("[]"), [""; 0]);
    assert_eq!(ids("c1.directory.users.v1.FindByName('Nobody')"), [""; 0]);
    assert_eq!(ids("[c1.directory.users.v1.FindByName('Nobody'), subject]"), ["alice"]);
}

#[test]
fn programs_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&compile(Environment::Condition, "true").unwrap());
}
