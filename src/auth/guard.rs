//! The ways to prove who one is, in the order in which they are tried, and whether that is enough for a method.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::forwarded;
use super::jwt::Issuers;
use super::quota::{Failures, Quota};
use super::reload::Reloading;
use super::{
    ANONYMOUS, Access, AccessTokens, Clients, Denied, Granter, Pass, Peer, PeerCertificate, Peers, Principal,
    Roles, Tables, Tokens, access,
};

/// What is configured.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Static tokens.
    pub tokens_file: Option<PathBuf>,
    /// Clients of the token endpoint.
    pub clients_file: Option<PathBuf>,
    /// How long a token of the endpoint lasts.
    pub access_token_lifetime: Duration,
    /// The section `[auth]`.
    pub tables: Tables,
    /// Callers may show a certificate, which the listener verifies.
    pub client_certificates: bool,
    /// Whose word about the certificates of others counts.
    pub xfcc_peers: Peers,
    /// How many calls a principal may begin in a second.
    pub per_second_max: u32,
    /// How many calls of a principal may be in flight.
    pub in_flight_max: u32,
    /// How many calls with a credential that does not count a peer may make in a minute.
    pub failures_per_minute_max: u32,
}

impl Options {
    /// Whether there is any way to prove who one is. Without one, everybody may do everything.
    #[must_use]
    pub fn any(&self) -> bool {
        self.tokens_file.is_some()
            || self.clients_file.is_some()
            || !self.tables.issuer.is_empty()
            || self.client_certificates
            || !self.xfcc_peers.is_empty()
    }
}

/// Why the guard cannot take its post.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct StartError {
    setting: &'static str,
    problem: String,
}

/// What a call shows of its caller before anything of it is read.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The head of the request.
    pub headers: &'a HeaderMap,
    /// The certificate that the TLS handshake has verified, if there is one.
    pub certificate: Option<&'a PeerCertificate>,
    /// Where the call comes from.
    pub peer: Peer,
}

/// Decides who is let in.
pub struct Guard {
    /// `None` when nobody is asked who they are.
    checks: Option<Checks>,
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

#[derive(Debug)]
struct Checks {
    tokens: Option<Reloading<Tokens>>,
    granter: Option<Granter>,
    issuers: Arc<Issuers>,
    tables: Tables,
    xfcc_peers: Peers,
    quota: Arc<Quota>,
    failures: Failures,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("checks", &self.checks).finish_non_exhaustive()
    }
}

impl Guard {
    /// Lets everybody do everything, as nobody in particular.
    #[must_use]
    pub fn open() -> Guard {
        Guard { checks: None, now: Arc::new(|| 0) }
    }

    /// Reads the files that `options` name. `key` seals our own tokens; `now` says the seconds since 1970.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn new(
        options: &Options,
        key: Zeroizing<[u8; 32]>,
        now: Arc<dyn Fn() -> i64 + Send + Sync>,
    ) -> Result<Guard, StartError> {
        if !options.any() {
            return Ok(Guard { checks: None, now });
        }
        let wrong = |setting| move |problem| StartError { setting, problem };
        let tokens = match &options.tokens_file {
            Some(path) => Some(Reloading::open(path, Tokens::parse).map_err(wrong("tokens-file"))?),
            None => None,
        };
        let clients = match &options.clients_file {
            Some(path) => Some(Reloading::open(path, Clients::parse).map_err(wrong("clients-file"))?),
            None => None,
        };
        let issuers = Arc::new(Issuers::open(&options.tables.issuer).map_err(wrong("auth.issuer"))?);
        let granter = if clients.is_some() || !issuers.is_empty() {
            let lifetime = options.access_token_lifetime;
            let granter = Granter::new(
                clients,
                Arc::clone(&issuers),
                AccessTokens::new(key),
                lifetime,
                &options.tables,
            );
            Some(granter.map_err(wrong("clients-file"))?)
        } else {
            None
        };
        let checks = Checks {
            tokens,
            granter,
            issuers,
            tables: options.tables.clone(),
            xfcc_peers: options.xfcc_peers.clone(),
            quota: Quota::new(options.per_second_max, options.in_flight_max),
            failures: Failures::new(options.failures_per_minute_max),
        };
        Ok(Guard { checks: Some(checks), now })
    }

    /// The token endpoint, if there is one.
    #[must_use]
    pub fn granter(&self) -> Option<&Granter> {
        self.checks.as_ref()?.granter.as_ref()
    }

    /// The seconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        (self.now)()
    }

    /// Whether a method takes no credential. Where nobody is asked anyhow, none is special.
    #[must_use]
    pub fn is_open(&self, method: &str) -> bool {
        self.checks.is_some() && access(method) == Access::Open
    }

    /// Who calls. A credential that is shown must count: it is not passed over for another one.
    ///
    /// # Errors
    /// When nothing is shown, or what is shown does not count; and when that happens to one peer too often.
    pub async fn authenticate(&self, presented: &Presented<'_>) -> Result<Principal, Denied> {
        let Some(checks) = &self.checks else { return Ok(Principal::new(ANONYMOUS, Roles::ALL)) };
        match checks.credential(presented, self.now()).await {
            Ok(mut principal) => {
                principal.roles = principal.roles.and(checks.tables.roles_of(&principal.name));
                Ok(principal)
            }
            Err(denied) => {
                self.failed(&denied, presented.peer)?;
                Err(denied)
            }
        }
    }

    /// Counts a credential that does not count against the peer that showed it.
    ///
    /// # Errors
    /// When there were too many.
    fn failed(&self, denied: &Denied, peer: Peer) -> Result<(), Denied> {
        match (&self.checks, denied) {
            (Some(checks), Denied::Missing | Denied::Invalid(_) | Denied::Expired(_)) => {
                checks.failures.count(peer, Instant::now())
            }
            _ => Ok(()),
        }
    }

    /// A client that the token endpoint did not know, as [`Guard::authenticate`] counts a bad credential.
    ///
    /// # Errors
    /// When there were too many.
    pub fn client_failed(&self, peer: Peer) -> Result<(), Denied> {
        self.failed(&Denied::Missing, peer)
    }

    /// A place for one more call of a principal, or of the peer where nobody is asked who they are.
    ///
    /// # Errors
    /// When there are too many.
    pub fn enter(&self, principal: &Principal, peer: Peer) -> Result<Option<Pass>, Denied> {
        let Some(checks) = &self.checks else { return Ok(None) };
        let pass = match (principal.name.as_str(), peer) {
            (ANONYMOUS, Peer::Tcp(peer)) => {
                checks.quota.enter(&format!("{ANONYMOUS}@{}", peer.ip()), Instant::now())
            }
            (ANONYMOUS, Peer::Unix { uid: Some(uid), .. }) => {
                checks.quota.enter(&format!("{ANONYMOUS}@unix:{uid}"), Instant::now())
            }
            (name, _) => checks.quota.enter(name, Instant::now()),
        };
        pass.map(Some)
    }

    /// Whether a principal may call a method, `/package.Service/Method`.
    ///
    /// # Errors
    /// When it may not.
    pub fn authorise(&self, principal: &Principal, method: &str) -> Result<(), Denied> {
        match access(method) {
            _ if self.checks.is_none() => Ok(()),
            Access::Open => Ok(()),
            Access::Roles(needs) if needs.meets(principal.roles) => Ok(()),
            Access::Roles(needs) => Err(Denied::Forbidden { needs }),
        }
    }
}

impl Checks {
    async fn credential(&self, presented: &Presented<'_>, now: i64) -> Result<Principal, Denied> {
        if let Some(token) = bearer(presented.headers)? {
            return self.bearer(token, now).await;
        }
        // A proxy has a certificate of its own, which says nothing about whom it speaks for.
        let certificate = if self.xfcc_peers.has(presented.peer) {
            forwarded::certificate(presented.headers).map_err(Denied::Invalid)?
        } else {
            None
        };
        let name = certificate.as_ref().or(presented.certificate).and_then(PeerCertificate::name);
        name.map(|name| Principal::new(format!("cert:{name}"), Roles::NONE)).ok_or(Denied::Missing)
    }

    /// Each kind of token is known by its form, so that no kind is ever taken for another.
    async fn bearer(&self, token: &str, now: i64) -> Result<Principal, Denied> {
        if AccessTokens::is_one(token) {
            let granter = self.granter.as_ref().ok_or(Denied::Invalid("access tokens are not given here"))?;
            return granter.principal(token, now).map_err(Denied::Invalid);
        }
        if !self.issuers.is_empty() && Issuers::is_one(token) {
            // Boxed, because it is large and most calls do without.
            let subject = Box::pin(self.issuers.subject(token, &self.tables, now)).await?;
            return Ok(subject.principal);
        }
        match &self.tokens {
            Some(tokens) => tokens.current().find(token, now).cloned(),
            None => Err(Denied::Invalid("the token is not known")),
        }
    }
}

/// The bearer token, if there is an `Authorization`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Denied::Invalid("more than one Authorization"));
    }
    let text = value.to_str().map_err(|_| Denied::Invalid("an Authorization that is not ASCII"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::Invalid("an Authorization of another scheme than Bearer"));
    }
    if token.is_empty() || token.contains(' ') {
        return Err(Denied::Invalid("a malformed Authorization"));
    }
    Ok(Some(token))
}
