//! The token endpoint, without HTTP: a form comes in, a short-lived token goes out. ConductorOne's flow, as its SDKs and its
//! Terraform provider use it (section 4.1 of the reference on its API).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use percent_encoding::percent_decode;
use serde::Deserialize;

use super::access_token::Claims;
use super::jwt::Issuers;
use super::reload::Reloading;
use super::replay::{Use, Used};
use super::{AccessTokens, Client, Clients, Denied, Digest, Principal, Role, Roles, Secret, Tables};

/// How far ahead the end of an assertion may be (ConductorOne's own limit).
const ASSERTION_MAX_SECONDS: f64 = 300.0;
/// How far the clocks of clients may be off.
const SKEW_SECONDS: f64 = 60.0;
/// Parameters in a form; we know seven.
const PARAMETERS_MAX: usize = 32;
/// When an issuer's keys cannot be fetched, they may be able to be after this.
const UNAVAILABLE_RETRY_SECONDS: u64 = 30;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The kinds of token that can be exchanged: both are JWTs of an issuer.
const SUBJECT_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];

const BY_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A form, decoded. Its values are zeroed when it is dropped.
#[derive(Debug, Default)]
pub struct Form(BTreeMap<String, Secret>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// What is no such form, or says something twice (RFC 6749, section 3.2).
    pub fn parse(body: &[u8]) -> Result<Form, GrantError> {
        let mut parameters = BTreeMap::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decoded(halves.next().unwrap_or_default())?;
            let value = decoded(halves.next().unwrap_or_default())?;
            if parameters.len() >= PARAMETERS_MAX {
                return Err(GrantError::InvalidRequest("too many parameters"));
            }
            if parameters.insert(name.reveal().to_owned(), value).is_some() {
                return Err(GrantError::InvalidRequest("a parameter is there twice"));
            }
        }
        Ok(Form(parameters))
    }

    /// A parameter without a value counts as left out (RFC 6749, section 3.2).
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::reveal).filter(|value| !value.is_empty())
    }

    fn need(&self, name: &str, missing: &'static str) -> Result<&str, GrantError> {
        self.get(name).ok_or(GrantError::InvalidRequest(missing))
    }
}

fn decoded(text: &[u8]) -> Result<Secret, GrantError> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let spaced = zeroize::Zeroizing::new(spaced);
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes).map(Secret::new).map_err(|_| GrantError::InvalidRequest("not UTF-8"))
}

/// Why there is no token. The texts are for the log; [`GrantError::code`] and [`GrantError::description`] for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The form is not as it should be.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client is not who it says, or not known: the answer does not say which.
    #[error("{0}")]
    InvalidClient(&'static str),
    /// Another way to get a token than those we have.
    #[error("another grant type")]
    UnsupportedGrantType,
    /// Too much at one time.
    #[error("too much at one time")]
    Exhausted { retry_after: Duration },
    /// What was sent cannot be checked now.
    #[error("{0}")]
    Unavailable(&'static str),
}

impl GrantError {
    /// The word of RFC 6749, section 5.2.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::Exhausted { .. } | Self::Unavailable(_) => "temporarily_unavailable",
        }
    }

    /// A sentence for the person behind the client, which tells nobody whether a client exists.
    #[must_use]
    pub fn description(&self) -> &'static str {
        match self {
            Self::InvalidRequest(what) => what,
            Self::InvalidClient(_) => "the client's credentials are not valid",
            Self::UnsupportedGrantType => "grant_type is client_credentials or token-exchange",
            Self::Exhausted { .. } => "too many requests",
            Self::Unavailable(_) => "credentials cannot be checked now",
        }
    }

    /// When to come again, if that may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Exhausted { retry_after } => Some(*retry_after),
            Self::Unavailable(_) => Some(Duration::from_secs(UNAVAILABLE_RETRY_SECONDS)),
            _ => None,
        }
    }
}

/// A token for a client.
#[derive(Debug)]
pub struct Granted {
    /// Whose it is.
    pub principal: String,
    /// The token.
    pub access_token: Secret,
    /// How long it lasts.
    pub expires_in: Duration,
    /// Whether it was given for another token, which RFC 8693 wants to be said.
    pub exchanged: bool,
}

/// Gives tokens to clients.
#[derive(Debug)]
pub struct Granter {
    clients: Option<Reloading<Clients>>,
    issuers: Arc<Issuers>,
    tokens: AccessTokens,
    lifetime: Duration,
    tables: Tables,
    used: Used,
    /// Stands in for a client that does not exist, so that looking for one takes as long.
    decoy: Client,
}

#[derive(Deserialize)]
struct Assertion {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

/// Some clients write a list, others a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Granter {
    pub(super) fn new(
        clients: Option<Reloading<Clients>>,
        issuers: Arc<Issuers>,
        tokens: AccessTokens,
        lifetime: Duration,
        tables: &Tables,
    ) -> Result<Granter, String> {
        let (decoy, _) = Client::new("nobody", "nowhere", Vec::new())?;
        Ok(Granter {
            clients,
            issuers,
            tokens,
            lifetime,
            tables: tables.clone(),
            used: Used::default(),
            decoy,
        })
    }

    /// One request. `host` is the host that the client called, with or without its port; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// What the client did wrong, or that it is not known.
    pub async fn grant(&self, form: &Form, host: &str, now: i64) -> Result<Granted, GrantError> {
        match form.need("grant_type", "grant_type is missing")? {
            "client_credentials" => self.client(form, host, now),
            EXCHANGE if !self.issuers.is_empty() => self.exchange(form, now).await,
            _ => Err(GrantError::UnsupportedGrantType),
        }
    }

    fn client(&self, form: &Form, host: &str, now: i64) -> Result<Granted, GrantError> {
        let id = form.need("client_id", "client_id is missing")?;
        let client = self.find(id);
        let checked = client.as_ref().unwrap_or(&self.decoy);
        match (form.get("client_assertion"), form.get("client_secret")) {
            (Some(assertion), None) => {
                if form.get("client_assertion_type") != Some(BY_ASSERTION) {
                    return Err(GrantError::InvalidRequest("client_assertion_type is not jwt-bearer"));
                }
                self.check_assertion(checked, id, assertion, host, now)?;
            }
            (None, Some(secret)) => {
                if !bool::from(checked.secret_sha256.is(&Digest::of(secret))) {
                    return Err(GrantError::InvalidClient("the secret is wrong"));
                }
            }
            _ => {
                return Err(GrantError::InvalidRequest("either client_assertion or client_secret is needed"));
            }
        }
        let client = client.ok_or(GrantError::InvalidClient("no such client"))?;
        let left = client.left(now).ok_or(GrantError::InvalidClient("the client has expired"))?;
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX).min(left);
        self.token(format!("client:{}", client.id), Vec::new(), lifetime, now)
    }

    /// A token of an issuer for one of ours (RFC 8693), which lasts no longer and may do no more. The client's id says
    /// nothing: who it is, the token says.
    async fn exchange(&self, form: &Form, now: i64) -> Result<Granted, GrantError> {
        let kind = form.need("subject_token_type", "subject_token_type is missing")?;
        if !SUBJECT_TYPES.contains(&kind) {
            return Err(GrantError::InvalidRequest("subject_token_type is neither jwt nor id_token"));
        }
        let token = form.need("subject_token", "subject_token is missing")?;
        let subject = match Box::pin(self.issuers.subject(token, &self.tables, now)).await {
            Ok(subject) => subject,
            Err(Denied::Unavailable(why)) => return Err(GrantError::Unavailable(why)),
            Err(denied) => {
                tracing::info!(why = %denied, "a subject token does not count");
                return Err(GrantError::InvalidRequest("subject_token is not valid"));
            }
        };
        let left = subject.end.saturating_sub(now);
        if left <= 0 {
            return Err(GrantError::InvalidRequest("subject_token is not valid"));
        }
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX).min(left);
        let roles = subject.principal.roles.iter().collect();
        let granted = self.token(subject.principal.name, roles, lifetime, now)?;
        Ok(Granted { exchanged: true, ..granted })
    }

    fn find(&self, id: &str) -> Option<Client> {
        self.clients.as_ref()?.current().find(id).cloned()
    }

    fn token(&self, sub: String, roles: Vec<Role>, lifetime: i64, now: i64) -> Result<Granted, GrantError> {
        let claims = Claims { sub, exp: now.saturating_add(lifetime), roles };
        let access_token =
            self.tokens.seal(&claims).ok_or(GrantError::Unavailable("no token can be made"))?;
        let expires_in = Duration::from_secs(u64::try_from(lifetime).unwrap_or_default());
        Ok(Granted { principal: claims.sub, access_token, expires_in, exchanged: false })
    }

    /// A JWT that the client signed with its own key, for us, now, and for the first time.
    fn check_assertion(
        &self,
        client: &Client,
        id: &str,
        assertion: &str,
        host: &str,
        now: i64,
    ) -> Result<(), GrantError> {
        let wrong = GrantError::InvalidClient;
        let key = DecodingKey::from_ed_components(&client.public_key)
            .map_err(|_| wrong("the client's key is damaged"))?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        // The clock is handed in, and whom it is for depends on the request; both are checked below.
        rules.validate_exp = false;
        rules.validate_aud = false;
        let claims: Assertion = jsonwebtoken::decode(assertion, &key, &rules)
            .map_err(|_| wrong("the assertion is malformed, or not signed by the client"))?
            .claims;
        if claims.iss != id || claims.sub != id {
            return Err(wrong("the assertion is another client's"));
        }
        if !self.is_for_us(&claims.aud, host) {
            return Err(wrong("the assertion is made out to another service"));
        }
        let seconds = seconds(now);
        if claims.exp + SKEW_SECONDS <= seconds {
            return Err(wrong("the assertion has expired"));
        }
        if claims.exp > seconds + ASSERTION_MAX_SECONDS + SKEW_SECONDS {
            return Err(wrong("the assertion lasts too long"));
        }
        let begins = claims.nbf.into_iter().chain(claims.iat);
        if begins.into_iter().any(|begin| begin > seconds + SKEW_SECONDS) {
            return Err(wrong("the assertion does not count yet"));
        }
        let signed = assertion.rsplit_once('.').map_or(assertion, |(signed, _)| signed);
        #[allow(clippy::cast_possible_truncation, reason = "checked above to be near now")]
        let end = (claims.exp + SKEW_SECONDS).ceil() as i64;
        match self.used.once(signed, end, now) {
            Use::First => Ok(()),
            Use::Again => Err(wrong("the assertion was used before")),
            Use::NoRoom => {
                Err(GrantError::Exhausted { retry_after: Duration::from_secs_f64(ASSERTION_MAX_SECONDS) })
            }
        }
    }

    fn is_for_us(&self, audience: &Audience, host: &str) -> bool {
        let named = match audience {
            Audience::One(name) => std::slice::from_ref(name),
            Audience::Many(names) => names.as_slice(),
        };
        let called = [bare(host)];
        let ours = &self.tables.audiences;
        named.iter().map(|name| bare(name)).any(|name| match ours.is_empty() {
            true => called.contains(&name),
            false => ours.iter().any(|ours| bare(ours) == name),
        })
    }

    /// The principal of one of our tokens, with the roles that it has now. A client that was taken out of the file is
    /// nobody any more, whatever it holds.
    pub(super) fn principal(&self, token: &str, now: i64) -> Result<Principal, &'static str> {
        let claims = self.tokens.open(token, now)?;
        let roles = match claims.sub.strip_prefix("client:") {
            Some(id) => {
                let client = self.find(id).ok_or("the client of the access token is gone")?;
                client.left(now).ok_or("the client of the access token has expired")?;
                client.roles
            }
            None => claims.roles,
        };
        Ok(Principal::new(claims.sub, Roles::of(&roles)))
    }
}

/// Seconds as JWTs have them, which may have fractions.
#[allow(clippy::cast_precision_loss, reason = "exact until the year 285 million")]
pub(super) fn seconds(now: i64) -> f64 {
    now as f64
}

/// A host without its port and without the brackets of IPv6, in small letters.
fn bare(host: &str) -> String {
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        // One colon is before a port; more are an address.
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or(host),
        None => host,
    };
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_what_is_none() {
        let form = Form::parse(b"a=1&b=x%3Ay+z&&c=").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), Some("x:y z"), None));
        assert!(Form::parse(b"a=1&a=2").is_err());
        assert!(Form::parse(b"a=%ff").is_err());
        assert!(Form::parse("x=1&".repeat(40).as_bytes()).is_err());
        assert!(!format!("{form:?}").contains("x:y"), "a form is not printed");
    }

    #[test]
    fn hosts_without_their_ports() {
        for (host, expected) in [
            ("Policies.Example.org:8443", "policies.example.org"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8443", "::1"),
            ("::1", "::1"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(bare(host), expected);
        }
    }
}
