//! JWTs of OIDC issuers: who issued, for whom, by which key, until when, and which roles its claims stand for.

use std::fmt;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::jwks::Keys;
use super::settings::{Issuer, Tables};
use super::{Denied, Principal};

/// Longer tokens are no business of ours.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// Without a key id, every key that fits is tried, but no more than this.
const KEYS_TRIED_MAX: usize = 4;
/// The longest name of a subject: it ends up in every revision.
const SUBJECT_MAX_BYTES: usize = 256;

/// The configured issuers.
pub(super) struct Issuers(Vec<One>);

struct One {
    settings: Issuer,
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| &one.settings.issuer)).finish()
    }
}

/// Who a token stands for.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) principal: Principal,
    /// When the token ends, in seconds since 1970.
    pub(super) end: i64,
}

impl Issuers {
    /// Reads the files that the settings name; URLs are asked when a token comes.
    pub(super) fn open(settings: &[Issuer]) -> Result<Issuers, String> {
        let open = |settings: &Issuer| {
            let keys = Keys::open(&settings.jwks, settings.ca.as_deref());
            let keys = keys.map_err(|problem| format!("{}: {problem}", settings.issuer))?;
            let algorithms = settings.algorithms.iter().map(|algorithm| algorithm.of_jwt()).collect();
            Ok(One { settings: settings.clone(), algorithms, keys })
        };
        settings.iter().map(open).collect::<Result<_, String>>().map(Issuers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a credential wants to be a JWT.
    pub(super) fn is_one(token: &str) -> bool {
        token.split('.').count() == 3
    }

    /// Who a token stands for, with the roles that `tables` bind to its claims.
    pub(super) async fn subject(&self, token: &str, tables: &Tables, now: i64) -> Result<Subject, Denied> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(Denied::Invalid("the JWT is too long"));
        }
        let header = decode_header(token).map_err(|_| Denied::Invalid("the JWT is malformed"))?;
        // Only to find out whose keys to ask; nothing else of it counts before the signature does.
        let claimed: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| Denied::Invalid("the JWT is malformed"))?;
        let issuer = claimed.get("iss").and_then(Value::as_str);
        let one = self.0.iter().find(|one| issuer == Some(one.settings.issuer.as_str()));
        let one = one.ok_or(Denied::Invalid("the JWT is of another issuer"))?;
        if !one.algorithms.contains(&header.alg) {
            return Err(Denied::Invalid("the JWT is signed by an algorithm that is not allowed"));
        }
        let keys = one.keys.find(header.kid.as_deref(), header.alg).await?;
        if keys.is_empty() {
            return Err(Denied::Invalid("the JWT is signed by a key that the issuer does not have"));
        }
        let rules = one.rules(header.alg);
        let mut verified = None;
        for key in keys.iter().take(KEYS_TRIED_MAX) {
            match decode::<Map<String, Value>>(token, &key.decoding, &rules) {
                Ok(data) => verified = Some(data.claims),
                Err(error) => match error.kind() {
                    jsonwebtoken::errors::ErrorKind::InvalidSignature => continue,
                    kind => return Err(Denied::Invalid(fault(kind))),
                },
            }
            break;
        }
        let claims = verified.ok_or(Denied::Invalid("the signature of the JWT is wrong"))?;
        let end = one.in_time(&claims, now)?;
        let name = one.name(&claims)?;
        let mut principal = Principal::new(format!("jwt:{}#{name}", one.settings.issuer), super::Roles::NONE);
        principal.roles = tables.roles_of_claims(&one.settings.issuer, &claims);
        Ok(Subject { principal, end })
    }
}

impl One {
    /// Issuer and audience are demanded. The clock is handed in, so that times are checked here and not there.
    fn rules(&self, algorithm: Algorithm) -> Validation {
        let mut rules = Validation::new(algorithm);
        rules.set_issuer(&[&self.settings.issuer]);
        rules.set_audience(&self.settings.audiences);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.validate_exp = false;
        rules
    }

    /// When the token ends, if it counts now.
    fn in_time(&self, claims: &Map<String, Value>, now: i64) -> Result<i64, Denied> {
        let time = |name: &'static str| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Denied::Invalid("a time in the JWT is no number")),
        };
        let (now, skew) = (super::grant::seconds(now), f64::from(self.settings.clock_skew_seconds));
        let end = time("exp")?.ok_or(Denied::Invalid("the JWT has no end"))?;
        if end + skew <= now {
            return Err(Denied::Invalid("the JWT has expired"));
        }
        for begin in [time("nbf")?, time("iat")?].into_iter().flatten() {
            if begin > now + skew {
                return Err(Denied::Invalid("the JWT does not count yet"));
            }
        }
        #[allow(clippy::cast_possible_truncation, reason = "saturates, and is compared with times near now")]
        Ok(end as i64)
    }

    fn name<'a>(&self, claims: &'a Map<String, Value>) -> Result<&'a str, Denied> {
        let name = claims.get(&self.settings.principal_claim).and_then(Value::as_str);
        let name = name.ok_or(Denied::Invalid("the JWT does not say whose it is"))?;
        if name.is_empty() || name.len() > SUBJECT_MAX_BYTES || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Denied::Invalid("the subject of the JWT is no name"));
        }
        Ok(name)
    }
}

fn fault(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidIssuer => "the JWT is of another issuer",
        ErrorKind::InvalidAudience => "the JWT is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the JWT lacks a claim",
        _ => "the JWT is malformed",
    }
}
