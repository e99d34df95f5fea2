//! The operations on one expression by itself: what is wrong with it, and what it gives for a sample subject.

use super::error::invalid;
use super::{Answer, App, Error};
use crate::expr::{
    self, Diagnostic, EmptyDirectory, Environment, EvalError, Evaluation, Facts, Severity, User, UserStatus,
    UserType,
};
use crate::pb::c1::api::editor::v1::{EditorMarker, editor_marker};
use crate::pb::c1::api::policy::v1::{
    EditorEnvironment, EditorValidateRequest, EditorValidateResponse, TestAccountProvisionPolicyRequest,
    TestAccountProvisionPolicyResponse,
};
use crate::policy::{Path, Report};
use chrono::{DateTime, Utc};
use std::sync::Arc;

impl App {
    /// Every fault of an expression, as an editor shows it; none means that it is valid.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an environment that there is not.
    pub fn expression_validate(
        &self,
        request: &EditorValidateRequest,
    ) -> Result<Answer<EditorValidateResponse>, Error> {
        let environment = match EditorEnvironment::try_from(request.environment) {
            // The original knows conditions only.
            Ok(EditorEnvironment::Unspecified | EditorEnvironment::Condition) => Environment::Condition,
            Ok(EditorEnvironment::Approver) => Environment::Approver,
            Err(_) => {
                let message = format!("{} is not a value of this enum", request.environment);
                return Err(invalid("environment", "ENUM_VALUE_UNKNOWN", message));
            }
        };
        let found = match expr::compile(environment, &request.text) {
            Ok(program) => program.warnings().to_vec(),
            Err(faults) => faults,
        };
        Ok(EditorValidateResponse { markers: found.iter().map(marker).collect() }.into())
    }

    /// What an expression gives for a sample subject, in a directory that has nobody else.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the expression, or with why its evaluation failed.
    pub fn expression_test(
        &self,
        request: &TestAccountProvisionPolicyRequest,
    ) -> Result<Answer<TestAccountProvisionPolicyResponse>, Error> {
        let root = Path::ROOT;
        let program = expr::compile(Environment::AccountTest, &request.cel).map_err(|faults| {
            let mut report = Report::default();
            faults.iter().for_each(|fault| report.diagnose(&root.field("cel"), fault));
            report
                .finish()
                .err()
                .map_or_else(|| Error::Internal("faults without errors".into()), Error::Invalid)
        })?;
        let failed = |error: EvalError| invalid("cel", error.code.as_str(), error.message);
        let now = self.clock.now();
        let nanos = u32::try_from(now.nanos).unwrap_or(0);
        let now: DateTime<Utc> = DateTime::from_timestamp(now.seconds, nanos).unwrap_or_default();
        let facts = Facts { subject: Arc::new(sample_subject()), ..Facts::default() };
        let evaluation = Evaluation::new(&facts, &EmptyDirectory, now).map_err(failed)?;
        let value = program.evaluate(&evaluation).map_err(failed)?;
        let r#type = value.type_name().to_string();
        Ok(TestAccountProvisionPolicyResponse { r#type, value: value.to_string() }.into())
    }
}

fn marker(diagnostic: &Diagnostic) -> EditorMarker {
    let severity = match diagnostic.severity {
        Severity::Error => editor_marker::Severity::Error,
        Severity::Warning => editor_marker::Severity::Warning,
    };
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    EditorMarker {
        severity: severity.into(),
        message: diagnostic.message.clone(),
        start_line_number: number(diagnostic.start.line),
        start_column: number(diagnostic.start.column),
        end_line_number: number(diagnostic.end.line),
        end_column: number(diagnostic.end.column),
    }
}

/// Somebody with every field of text filled in, so that an expression over any of them gives something.
fn sample_subject() -> User {
    User {
        id: "sample-user".into(),
        email: "jane.doe@example.com".into(),
        display_name: "Jane Doe".into(),
        username: "jane.doe".into(),
        department: "Engineering".into(),
        job_title: "Engineer".into(),
        employment_type: "Employee".into(),
        employment_status: "Active".into(),
        manager: "john.smith@example.com".into(),
        manager_id: "sample-manager".into(),
        emails: vec!["jane.doe@example.com".into()],
        usernames: vec!["jane.doe".into()],
        status: UserStatus::Enabled,
        directory_status: UserStatus::Enabled,
        kind: UserType::Human,
        ..User::default()
    }
}
