//! What expressions are asked about: people, accounts, tasks, entitlements, as plain data, and the `Directory` that
//! answers questions about everybody else. Section 3.9 of the environments' description names the fields.
//! No behaviour beyond defaults; nothing here knows CEL.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

/// Free-form attributes, as JSON has them. Keys are sorted, so that iterating over them gives the same order always.
pub type Attributes = BTreeMap<String, Json>;

/// A value of the free-form attributes. The depth is at most `limits` allow when it enters an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    /// JSON has one kind of number, and so has CEL when it reads JSON.
    Number(f64),
    String(String),
    List(Vec<Json>),
    Map(Attributes),
}

macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            #[default]
            Unspecified,
            $($variant,)*
        }

        impl $name {
            /// Names of the values without the prefix, in order; `UNSPECIFIED` is the first.
            pub const NAMES: &'static [&'static str] = &["UNSPECIFIED", $($text,)*];
            /// What the long spelling of a value starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The place of this value in `NAMES`.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }
        }
    };
}

enumeration!(UserStatus, "USER_STATUS_", { Enabled = "ENABLED", Disabled = "DISABLED", Deleted = "DELETED", });
enumeration!(UserType, "USER_TYPE_", {
    Human = "HUMAN", Agent = "AGENT", Service = "SERVICE", System = "SYSTEM",
});
enumeration!(AppUserStatus, "APP_USER_STATUS_", {
    Enabled = "ENABLED", Disabled = "DISABLED", Deleted = "DELETED",
});
enumeration!(AppUserType, "APP_USER_TYPE_", {
    User = "USER", ServiceAccount = "SERVICE_ACCOUNT", SystemAccount = "SYSTEM_ACCOUNT",
});
enumeration!(TaskOrigin, "TASK_ORIGIN_", {
    Webapp = "WEBAPP", Slack = "SLACK", Api = "API", Jira = "JIRA", Copilot = "COPILOT",
    ProfileMembershipAutomation = "PROFILE_MEMBERSHIP_AUTOMATION", TimeRevoke = "TIME_REVOKE",
});

/// A person or a machine with an identity of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    pub id: String,
    pub email: String,
    pub display_name: String,
    pub username: String,
    pub department: String,
    pub job_title: String,
    pub employment_type: String,
    pub employment_status: String,
    /// The e-mail address of the manager.
    pub manager: String,
    pub manager_id: String,
    pub emails: Vec<String>,
    pub usernames: Vec<String>,
    pub status: UserStatus,
    pub directory_status: UserStatus,
    pub kind: UserType,
    pub profile: Attributes,
    pub attributes: Attributes,
}

/// An account of a user in one app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppUser {
    pub id: String,
    pub display_name: String,
    pub username: String,
    pub email: String,
    pub usernames: Vec<String>,
    pub emails: Vec<String>,
    pub employee_ids: Vec<String>,
    pub kind: AppUserType,
    pub status: AppUserStatus,
    pub status_details: String,
    pub profile: Attributes,
    pub attributes: Attributes,
    /// From external insights, one for each source.
    pub risk_scores: Vec<RiskScore>,
    pub security_insights: Vec<SecurityInsight>,
}

/// How risky one source holds an account to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RiskScore {
    pub source: String,
    /// 0 to 100.
    pub score: f64,
}

/// What one source has to say about the security of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecurityInsight {
    pub source: String,
    /// `CRITICAL`, `HIGH`, `MEDIUM`, `LOW` or `INFORMATIONAL`, in any case.
    pub severity: String,
    pub title: String,
}

/// The request that a policy decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    pub id: String,
    pub numeric_id: String,
    pub display_name: String,
    pub subject_user_id: String,
    pub requestor_user_id: String,
    pub origin: TaskOrigin,
    /// Unset reads as the epoch, and `has()` of it is false.
    pub created_at: Option<DateTime<Utc>>,
    pub is_grant_permanent: bool,
    /// Unset reads as zero, and `has()` of it is false.
    pub grant_duration: Option<TimeDelta>,
    pub analysis: TaskAnalysis,
}

/// What the separation-of-duties analysis found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskAnalysis {
    pub id: String,
    pub has_conflict_violations: bool,
    pub conflict_violations: Vec<String>,
}

/// What is asked for: a right in an app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entitlement {
    pub id: String,
    pub app_id: String,
    pub risk_level_value_id: String,
    pub app_resource_type: String,
    pub annotations: Attributes,
}

/// A group of the directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    pub id: String,
    pub app_id: String,
    pub display_name: String,
}

/// What became of a request, for invariants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub granted: bool,
    pub denied: bool,
    /// Granted, and nobody approved anything.
    pub automatic: bool,
    /// If nobody ever does anything, the request is never decided.
    pub unbounded: bool,
    /// Whoever the request is about approved a step of it.
    pub self_approved: bool,
    /// Steps that somebody approved.
    pub approvals: u32,
    /// How many people approved, each counted once.
    pub distinct_approvers: u32,
}

/// The variables of one evaluation.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub subject: Arc<User>,
    /// The account the task is about; all fields are empty while there is none.
    pub account: Arc<AppUser>,
    pub entitlement: Arc<Entitlement>,
    pub task: Arc<Task>,
    /// Where the request came from. An expression that reads `ip` fails while it is not known.
    pub ip: Option<IpAddr>,
}

/// How somebody came to an entitlement through an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrollment {
    Requested,
    Automatic,
}

/// The directory could not answer. The message is for the log of the operator as well as for the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryError {
    pub message: String,
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DirectoryError {}

type Answer<T> = Result<T, DirectoryError>;

/// Who knows about users, apps and entitlements. Each question is asked at most once in one evaluation.
///
/// Every method has a default that knows nobody, so that an implementation names only what it has. Lists that are longer
/// than the declared sizes (`cost::MEMBERS_MAX`, `cost::LIST_MAX`) make the evaluation fail.
pub trait Directory: fmt::Debug + Send + Sync {
    fn user_by_id(&self, _user_id: &str) -> Answer<Option<Arc<User>>> {
        Ok(None)
    }

    fn user_by_email(&self, _email: &str) -> Answer<Option<Arc<User>>> {
        Ok(None)
    }

    /// The first user whose display name is `name`.
    fn user_by_name(&self, _name: &str) -> Answer<Option<Arc<User>>> {
        Ok(None)
    }

    fn managers(&self, _user_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(Vec::new())
    }

    fn direct_reports(&self, _user_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(Vec::new())
    }

    fn group_by_name(&self, _name: &str) -> Answer<Option<Arc<Group>>> {
        Ok(None)
    }

    fn app_owners(&self, _app_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(Vec::new())
    }

    /// The accounts that a user has in an app.
    fn app_users(&self, _user_id: &str, _app_id: &str) -> Answer<Vec<Arc<AppUser>>> {
        Ok(Vec::new())
    }

    /// The managers of a user as the app itself records them.
    fn app_user_managers(&self, _user_id: &str, _app_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(Vec::new())
    }

    fn entitlement_members(&self, _app_id: &str, _entitlement_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(Vec::new())
    }

    fn entitlement_owners(&self, _app_id: &str, _entitlement_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(Vec::new())
    }

    fn has_entitlement(&self, _user_id: &str, _app_id: &str, _entitlement_id: &str) -> Answer<bool> {
        Ok(false)
    }

    /// How the user got the entitlement, if it was through an enrolment.
    fn enrollment(&self, _user_id: &str, _app_id: &str, _entitlement_id: &str) -> Answer<Option<Enrollment>> {
        Ok(None)
    }
}

/// A directory that knows nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyDirectory;

impl Directory for EmptyDirectory {}
