//! Static bearer tokens: a file of names, roles and digests.

use serde::{Deserialize, Serialize};
use subtle::ConditionallySelectable as _;

use super::{Digest, Principal, Role, Roles};

/// Every token starts with this, so that people and scanners know one when they see it.
const PREFIX: &str = "cst_";
/// A look-up compares with every token.
const TOKENS_MAX: u32 = 1000;

/// One entry of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StaticToken {
    /// Whose it is; the principal is `token:NAME`.
    pub name: String,
    /// What its holder may do.
    pub roles: Vec<Role>,
    /// Of the token itself.
    pub sha256: Digest,
}

/// The tokens of a file.
#[derive(Debug)]
pub struct Tokens {
    entries: Vec<(Digest, Principal)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    token: Vec<StaticToken>,
}

impl Tokens {
    /// What a new token begins with.
    pub const PREFIX: &'static str = PREFIX;

    /// Reads the text of a tokens file. The problem names no digest.
    pub fn parse(text: &str) -> Result<Tokens, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if written.token.len() > TOKENS_MAX as usize {
            return Err(format!("more than {TOKENS_MAX} tokens"));
        }
        let mut entries: Vec<(Digest, Principal)> = Vec::new();
        for StaticToken { name, roles, sha256 } in written.token {
            if !sane(&name) {
                return Err(format!("{name:?} is no name: 1 to {NAME_MAX_BYTES} letters, digits and -_.@/"));
            }
            let name = format!("token:{name}");
            if entries.iter().any(|(_, principal)| principal.name == name) {
                return Err(format!("{name} is there twice"));
            }
            entries.push((sha256, Principal::new(name, Roles::of(&roles))));
        }
        Ok(Tokens { entries })
    }

    /// Whose token this is. Every entry is compared, whichever it is.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<&Principal> {
        if !token.starts_with(PREFIX) {
            return None;
        }
        let digest = Digest::of(token);
        let mut found = u32::MAX;
        for (at, (of, _)) in (0..TOKENS_MAX).zip(&self.entries) {
            found.conditional_assign(&at, of.is(&digest));
        }
        self.entries.get(found as usize).map(|(_, principal)| principal)
    }
}

/// The longest name of a token or a client.
pub(super) const NAME_MAX_BYTES: usize = 128;

/// Names end up in logs, revisions and shells.
pub(super) fn sane(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@/:".contains(&b);
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_found_and_no_other() {
        let digest = |token: &str| serde_json::to_string(&Digest::of(token)).unwrap();
        let entry = |n: u32| {
            format!(
                "[[token]]\nname = 't{n}'\nroles = ['viewer']\nsha256 = {}\n",
                digest(&format!("cst_{n}"))
            )
        };
        let tokens = Tokens::parse(&(0..10).map(entry).collect::<String>()).unwrap();
        for n in 0..10 {
            assert_eq!(tokens.find(&format!("cst_{n}")).unwrap().name, format!("token:t{n}"));
        }
        for other in ["cst_10", "cst_", "", "0", "cst_00"] {
            assert!(tokens.find(other).is_none(), "{other}");
        }
        assert!(Tokens::parse(&format!("{}{}", entry(1), entry(1))).unwrap_err().contains("twice"));
        assert!(Tokens::parse("[[token]]\nname = 'x'\n").is_err());
    }
}
