//! Static bearer tokens: a file of names, roles and digests.

use serde::{Deserialize, Serialize};
use subtle::ConditionallySelectable as _;

use super::entries::{Entry, parse};
use super::{Denied, Digest, Moment, Principal, Role, Roles, Secret};

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
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Moment>,
    /// From when on it counts no more. `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

impl StaticToken {
    /// A new token of a name, which counts for ever, and its text. Nobody can make the text again.
    ///
    /// # Errors
    /// On a system without random bytes.
    pub fn new(name: &str, roles: Vec<Role>) -> Result<(StaticToken, Secret), String> {
        let token = Secret::random(PREFIX).map_err(|_| "the system gives no random bytes".to_owned())?;
        let sha256 = Digest::of(token.reveal());
        Ok((StaticToken { name: name.to_owned(), roles, sha256, created: None, expires: None }, token))
    }
}

impl Entry for StaticToken {
    const KEY: &'static str = "token";

    fn id(&self) -> &str {
        &self.name
    }

    fn roles(&self) -> &[Role] {
        &self.roles
    }

    fn created(&self) -> Option<Moment> {
        self.created
    }

    fn expires(&self) -> Option<Moment> {
        self.expires
    }

    fn check(text: &str) -> Result<(), String> {
        Tokens::parse(text).map(drop)
    }
}

/// The tokens of a file.
#[derive(Debug)]
pub struct Tokens {
    entries: Vec<One>,
}

#[derive(Debug)]
struct One {
    digest: Digest,
    principal: Principal,
    /// In seconds since 1970.
    end: Option<i64>,
}

impl Tokens {
    /// Reads the text of a tokens file. The problem names no digest.
    pub fn parse(text: &str) -> Result<Tokens, String> {
        let written: Vec<StaticToken> = parse(text)?;
        if written.len() > TOKENS_MAX as usize {
            return Err(format!("more than {TOKENS_MAX} tokens"));
        }
        let mut entries: Vec<One> = Vec::new();
        for StaticToken { name, roles, sha256, expires, .. } in written {
            if !sane(&name) {
                return Err(format!("{name:?} is no name: 1 to {NAME_MAX_BYTES} letters, digits and -_.@/"));
            }
            let name = format!("token:{name}");
            if entries.iter().any(|one| one.principal.name == name) {
                return Err(format!("{name} is there twice"));
            }
            let principal = Principal::new(name, Roles::of(&roles));
            entries.push(One { digest: sha256, principal, end: expires.map(Moment::seconds) });
        }
        Ok(Tokens { entries })
    }

    /// Whose token this is at `now`, in seconds since 1970. Every entry is compared, whichever it is.
    ///
    /// # Errors
    /// When it is nobody's, or counts no more.
    pub fn find(&self, token: &str, now: i64) -> Result<&Principal, Denied> {
        const UNKNOWN: Denied = Denied::Invalid("the token is not known");
        if !token.starts_with(PREFIX) {
            return Err(UNKNOWN);
        }
        let digest = Digest::of(token);
        let mut found = u32::MAX;
        for (at, one) in (0..TOKENS_MAX).zip(&self.entries) {
            found.conditional_assign(&at, one.digest.is(&digest));
        }
        let one = self.entries.get(found as usize).ok_or(UNKNOWN)?;
        match one.end {
            Some(end) if end <= now => Err(Denied::Expired("the token has expired")),
            _ => Ok(&one.principal),
        }
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
            assert_eq!(tokens.find(&format!("cst_{n}"), 0).unwrap().name, format!("token:t{n}"));
        }
        for other in ["cst_10", "cst_", "", "0", "cst_00"] {
            assert!(matches!(tokens.find(other, 0), Err(Denied::Invalid(_))), "{other}");
        }
        assert!(Tokens::parse(&format!("{}{}", entry(1), entry(1))).unwrap_err().contains("twice"));
        assert!(Tokens::parse("[[token]]\nname = 'x'\n").is_err());
        assert!(Tokens::parse("[[tokens]]\nname = 'x'\n").is_err());
        assert!(Tokens::parse(&format!("{}expires = 2023-11-14\n", entry(1))).is_err());
    }

    #[test]
    fn a_token_counts_until_it_ends() {
        let (mut one, secret) = StaticToken::new("ci", vec![Role::Viewer]).unwrap();
        one.expires = Moment::at(100);
        let tokens = Tokens::parse(&format!("[[token]]\n{}", toml::to_string(&one).unwrap())).unwrap();
        assert!(tokens.find(secret.reveal(), 99).is_ok());
        assert!(matches!(tokens.find(secret.reveal(), 100), Err(Denied::Expired(_))));
        assert!(matches!(tokens.find("cst_other", 100), Err(Denied::Invalid(_))));
    }
}
