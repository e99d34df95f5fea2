//! The tables under `[auth]` in the configuration file: what is too large for a flag.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Role, Roles};

/// Clocks that are further apart than this are broken.
const CLOCK_SKEW_MAX_SECONDS: u32 = 10 * 60;

/// The section `auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tables {
    /// The names that an assertion may be made out to. Empty: the host that the client called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Who has which roles, beside what the files of tokens and clients say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binding: Vec<Binding>,
    /// Whose JWTs count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuer: Vec<Issuer>,
}

/// One binding of roles, to principals by their name or to JWTs by a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Binding {
    /// The name of a principal, as the log shows it; with `*` at its end, all that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The name of a claim; dots lead into objects (`realm_access.roles`), unless a claim has the whole name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// What the claim must be, or have in its list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whose claims; needed where there is more than one issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What they may do.
    pub roles: Vec<Role>,
}

/// An issuer of JWTs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Issuer {
    /// What its tokens have as `iss`, letter for letter.
    pub issuer: String,
    /// The names of this service there: one of them must be in `aud`.
    pub audiences: Vec<String>,
    /// Where its keys are: an https URL of a JWK set, or `file:PATH`.
    pub jwks: String,
    /// The authorities (PEM) that the URL's server is checked against, instead of those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How its tokens may be signed.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the principal, `jwt:ISSUER#NAME`.
    #[serde(default = "default_principal_claim")]
    pub principal_claim: String,
    /// How far its clock may be off.
    #[serde(default = "default_clock_skew_seconds")]
    pub clock_skew_seconds: u32,
}

/// An algorithm with a public key. Those with a shared secret, and `none`, cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    EdDSA,
}

impl Algorithm {
    pub(super) fn of_jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::ES384 => jsonwebtoken::Algorithm::ES384,
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::RS384 => jsonwebtoken::Algorithm::RS384,
            Self::RS512 => jsonwebtoken::Algorithm::RS512,
            Self::PS256 => jsonwebtoken::Algorithm::PS256,
            Self::PS384 => jsonwebtoken::Algorithm::PS384,
            Self::PS512 => jsonwebtoken::Algorithm::PS512,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn default_principal_claim() -> String {
    "sub".to_owned()
}

fn default_clock_skew_seconds() -> u32 {
    60
}

impl Tables {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What no single value can say.
    ///
    /// # Errors
    /// A sentence that names the table.
    pub fn check(&self) -> Result<(), String> {
        for (n, issuer) in self.issuer.iter().enumerate() {
            let again = self.issuer.iter().take(n).any(|other| other.issuer == issuer.issuer);
            let problem = if again { Some("issuer is there twice") } else { issuer.problem() };
            if let Some(problem) = problem {
                return Err(format!("auth.issuer[{n}]: {problem}"));
            }
        }
        for (n, binding) in self.binding.iter().enumerate() {
            if let Some(problem) = binding.problem(&self.issuer) {
                return Err(format!("auth.binding[{n}]: {problem}"));
            }
        }
        Ok(())
    }

    /// The roles that bindings give to a principal by its name.
    pub(super) fn roles_of(&self, principal: &str) -> Roles {
        self.roles(|binding| match binding.principal.as_deref() {
            Some(name) => match name.strip_suffix('*') {
                Some(beginning) => principal.starts_with(beginning),
                None => principal == name,
            },
            None => false,
        })
    }

    /// The roles that bindings give to claims of an issuer.
    pub(super) fn roles_of_claims(&self, issuer: &str, claims: &Map<String, Value>) -> Roles {
        self.roles(|binding| match (&binding.claim, &binding.value) {
            (Some(claim), Some(value)) => {
                binding.issuer.as_deref().is_none_or(|of| of == issuer)
                    && claimed(claims, claim).is_some_and(|found| says(claim, found, value))
            }
            _ => false,
        })
    }

    fn roles(&self, counts: impl Fn(&Binding) -> bool) -> Roles {
        let given = self.binding.iter().filter(|binding| counts(binding));
        given.fold(Roles::NONE, |roles, binding| roles.and(Roles::of(&binding.roles)))
    }
}

impl Binding {
    fn problem(&self, issuers: &[Issuer]) -> Option<&'static str> {
        if self.roles.is_empty() {
            return Some("roles is empty");
        }
        match (&self.principal, &self.claim, &self.value) {
            (Some(principal), None, None) => {
                if self.issuer.is_some() {
                    return Some("issuer belongs beside claim");
                }
                let name = principal.strip_suffix('*').unwrap_or(principal);
                match name {
                    "" if principal != "*" => Some("principal is empty"),
                    name if name.contains('*') => Some("principal may have a `*` only at its end"),
                    _ => None,
                }
            }
            (None, Some(claim), Some(_)) if !claim.is_empty() => match &self.issuer {
                None if issuers.len() > 1 => Some("with more than one issuer, issuer says whose claim it is"),
                Some(of) if !issuers.iter().any(|issuer| issuer.issuer == *of) => {
                    Some("issuer is not among them")
                }
                _ => None,
            },
            _ => Some("either principal, or claim and value, says to whom"),
        }
    }
}

impl Issuer {
    fn problem(&self) -> Option<&'static str> {
        match self {
            _ if self.issuer.is_empty() => Some("issuer is empty"),
            _ if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) => {
                Some("audiences is empty: tokens that were made for others would count")
            }
            _ if self.algorithms.is_empty() => Some("algorithms is empty"),
            _ if self.principal_claim.is_empty() => Some("principal-claim is empty"),
            _ if self.clock_skew_seconds > CLOCK_SKEW_MAX_SECONDS => {
                Some("clock-skew-seconds is more than ten minutes")
            }
            _ => None,
        }
    }
}

/// A claim by its whole name, or by the way to it.
fn claimed<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// Whether a claim is a value, or has it in its list. `scope` is a list with spaces between (RFC 8693, section 4.2).
fn says(claim: &str, found: &Value, value: &str) -> bool {
    match found {
        Value::String(text) if claim == "scope" => text.split(' ').any(|word| word == value),
        Value::String(text) => text == value,
        Value::Bool(is) => is.to_string() == value,
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(toml: &str) -> Result<Tables, String> {
        let tables: Tables = toml::from_str(toml).map_err(|error| error.to_string())?;
        tables.check().map(|()| tables)
    }

    #[test]
    fn bindings_add_up() {
        let tables = tables(
            "[[binding]]\nprincipal = 'token:ci'\nroles = ['viewer']\n\
             [[binding]]\nprincipal = 'token:*'\nroles = ['editor', 'auditor']\n",
        )
        .unwrap();
        assert_eq!(tables.roles_of("token:ci"), Roles::of(&[Role::Viewer, Role::Editor, Role::Auditor]));
        assert_eq!(tables.roles_of("token:cd"), Roles::of(&[Role::Editor, Role::Auditor]));
        assert_eq!(tables.roles_of("client:ci"), Roles::NONE);
    }

    #[test]
    fn claims_and_the_ways_to_them() {
        let tables = tables(
            "[[issuer]]\nissuer = 'i'\naudiences = ['a']\njwks = 'file:x'\n\
             [[binding]]\nclaim = 'groups'\nvalue = 'staff'\nroles = ['viewer']\n\
             [[binding]]\nclaim = 'realm_access.roles'\nvalue = 'boss'\nissuer = 'i'\nroles = ['admin']\n\
             [[binding]]\nclaim = 'scope'\nvalue = 'write'\nroles = ['editor']\n",
        )
        .unwrap();
        let roles = |claims: Value| tables.roles_of_claims("i", claims.as_object().unwrap());
        let json = |text: &str| serde_json::from_str(text).unwrap();
        assert_eq!(roles(json(r#"{"groups": "staff"}"#)), Roles::of(&[Role::Viewer]));
        assert_eq!(roles(json(r#"{"groups": ["x", "staff"]}"#)), Roles::of(&[Role::Viewer]));
        assert_eq!(roles(json(r#"{"groups": "staff x"}"#)), Roles::NONE);
        assert_eq!(roles(json(r#"{"realm_access": {"roles": ["boss"]}}"#)), Roles::of(&[Role::Admin]));
        assert_eq!(roles(json(r#"{"scope": "read write"}"#)), Roles::of(&[Role::Editor]));
        assert_eq!(roles(json(r#"{"groups": {"staff": true}, "scope": null}"#)), Roles::NONE);
        assert_eq!(tables.roles_of("staff"), Roles::NONE);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let issuer = "[[issuer]]\nissuer = 'i'\njwks = 'file:x'\n";
        for (text, said) in [
            ("[[binding]]\nprincipal = 'a'\nroles = []\n", "roles is empty"),
            ("[[binding]]\nprincipal = ''\nroles = ['viewer']\n", "principal is empty"),
            ("[[binding]]\nprincipal = 'a*b'\nroles = ['viewer']\n", "only at its end"),
            ("[[binding]]\nprincipal = 'a'\nroles = ['owner']\n", "owner"),
            ("[[binding]]\nprincipal = 'a'\nrole = 'viewer'\n", "role"),
            ("[[binding]]\nclaim = 'a'\nroles = ['viewer']\n", "claim and value"),
            ("[[binding]]\nclaim = 'a'\nvalue = 'b'\nissuer = 'x'\nroles = ['viewer']\n", "not among them"),
            ("audience = []\n", "audience"),
            (issuer, "audiences"),
            (&format!("{issuer}audiences = []\n"), "audiences is empty"),
            (&format!("{issuer}audiences = ['a']\nalgorithms = ['HS256']\n"), "HS256"),
            (&format!("{issuer}audiences = ['a']\nalgorithms = ['none']\n"), "none"),
            (&format!("{issuer}audiences = ['a']\nalgorithms = []\n"), "algorithms is empty"),
            (&format!("{issuer}audiences = ['a']\nclock-skew-seconds = 9999\n"), "ten minutes"),
        ] {
            let error = tables(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
