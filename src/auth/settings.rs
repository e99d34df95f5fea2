//! The tables under `[auth]` in the configuration file: what is too large for a flag.

use serde::{Deserialize, Serialize};

use super::{Role, Roles};

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
}

/// One binding of roles to principals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Binding {
    /// The name of a principal, as the log shows it; with `*` at its end, all that begin so.
    pub principal: String,
    /// What they may do.
    pub roles: Vec<Role>,
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
        for (n, binding) in self.binding.iter().enumerate() {
            let wrong = |problem: &str| Err(format!("auth.binding[{n}]: {problem}"));
            if binding.roles.is_empty() {
                return wrong("roles is empty");
            }
            let name = binding.principal.strip_suffix('*').unwrap_or(&binding.principal);
            if name.is_empty() && binding.principal != "*" {
                return wrong("principal is empty");
            }
            if name.contains('*') {
                return wrong("principal may have a `*` only at its end");
            }
        }
        Ok(())
    }

    /// The roles that bindings give to a principal.
    pub(super) fn roles_of(&self, principal: &str) -> Roles {
        let given = self.binding.iter().filter(|binding| match binding.principal.strip_suffix('*') {
            Some(beginning) => principal.starts_with(beginning),
            None => principal == binding.principal,
        });
        given.fold(Roles::NONE, |roles, binding| roles.and(Roles::of(&binding.roles)))
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
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("[[binding]]\nprincipal = 'a'\nroles = []\n", "roles is empty"),
            ("[[binding]]\nprincipal = ''\nroles = ['viewer']\n", "principal is empty"),
            ("[[binding]]\nprincipal = 'a*b'\nroles = ['viewer']\n", "only at its end"),
            ("[[binding]]\nprincipal = 'a'\nroles = ['owner']\n", "owner"),
            ("[[binding]]\nprincipal = 'a'\nrole = 'viewer'\n", "role"),
            ("audience = []\n", "audience"),
        ] {
            let error = tables(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
