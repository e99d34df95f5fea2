//! The connection to a running service that every command shares which is a client of one: `--server`, `--token`, `--ca`,
//! `--cert`, `--key`, how long is waited, and how a refusal is told. Knows no RPC; a command hands [`Remote::service`] to the generated client
//! that it needs, and its calls to [`Remote::call`].

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use super::Failure;
use super::terminal::printable;
use crate::config::{ENV_SERVER, ENV_TOKEN};

/// How long a connection may take.
const CONNECT_MAX_S: u64 = 10;
/// How long the answer to a call may take.
const ANSWER_MAX_S: u64 = 30;
/// The largest answer that is taken; the service gives no larger one. A generated client is told by
/// `max_decoding_message_size`.
pub(super) const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
/// The largest file of certificates, or of a key.
const PEM_MAX_BYTES: u64 = 1024 * 1024;
/// Where a service listens that was told nothing.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";
/// Whoever gives it elsewhere believes to be safer than is so.
const CA_IS_FOR: &str = "--ca is for a server at https://";
const CERT_IS_FOR: &str = "--cert is for a server at https://";
/// What a URL has to look like.
const URL_FORM: &str = "http://HOST:PORT, https://HOST:PORT or unix:PATH";
/// How a socket of this machine is named.
const UNIX: &str = "unix:";

/// Which service, and how to be let in: the arguments of a command that cannot do without one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service: http://HOST:PORT, https://HOST:PORT or unix:PATH [env: COUNTERSIGN_SERVER] [default: http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
}

/// How to be let in.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Credentials {
    /// The bearer token to be known by; other users of the machine see arguments, so rather set the variable [env:
    /// COUNTERSIGN_TOKEN].
    #[arg(long, value_name = "TOKEN")]
    token: Option<Token>,
    /// With https: the certificates (PEM) of the authorities to trust, instead of those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With https: the certificate (PEM) to be known by, and those that lead from it to an authority of the server's.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key (PEM) of --cert.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// A bearer token, which nothing prints.
#[derive(Clone)]
struct Token(MetadataValue<Ascii>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl std::str::FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Token, Self::Err> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token has visible ASCII characters only");
        }
        let mut value = MetadataValue::try_from(format!("Bearer {text}"))
            .map_err(|_| "a token has visible ASCII characters only")?;
        value.set_sensitive(true);
        Ok(Token(value))
    }
}

/// Puts the token into every call.
#[derive(Clone, Debug)]
pub(super) struct Bearer(Option<Token>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Token(value)) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// What generated clients send their calls to.
pub(super) type Service = InterceptedService<Channel, Bearer>;

impl Args {
    /// Connects to the service that is named, by the argument, else by the environment, else the one of this machine.
    ///
    /// # Errors
    /// As [`Remote::connect`].
    pub(super) fn connect(
        self,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Remote, Failure> {
        let env: Vec<_> = env.into_iter().collect();
        let named = self.server.map_or_else(|| variable(&env, ENV_SERVER), |url| Ok(Some(url)))?;
        Remote::connect(named.unwrap_or_else(|| SERVER_DEFAULT.to_owned()), self.credentials, env)
    }
}

/// A service that can be asked.
#[derive(Debug)]
pub(super) struct Remote {
    runtime: tokio::runtime::Runtime,
    service: Service,
}

impl Remote {
    /// Connects to the service at `url`.
    ///
    /// # Errors
    /// A sentence: the URL is none of ours, a certificate or token is none, or nobody answers there.
    pub(super) fn connect(
        url: String,
        credentials: Credentials,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Remote, Failure> {
        let env: Vec<_> = env.into_iter().collect();
        let token = match (&credentials.token, variable(&env, ENV_TOKEN)?) {
            (None, Some(text)) => {
                Some(text.parse().map_err(|e| Failure::usage(format!("{ENV_TOKEN}: {e}")))?)
            }
            (given, _) => given.clone(),
        };
        let endpoint = endpoint(&url, &credentials)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::usage)?;
        let channel = runtime.block_on(endpoint.connect());
        let channel = channel.map_err(|error| {
            Failure::usage(format!("server {}: {}", printable(&url), with_causes(&error)))
        })?;
        Ok(Remote { runtime, service: InterceptedService::new(channel, Bearer(token)) })
    }

    /// For a generated client.
    pub(super) fn service(&self) -> Service {
        self.service.clone()
    }

    /// Waits for one call.
    ///
    /// # Errors
    /// The status that the service answered, or that the connection came to; [`refusal`] tells it.
    pub(super) fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        self.runtime.block_on(call).map(Response::into_inner)
    }

    /// Waits for anything else that needs the connection: a call whose metadata are wanted, a stream.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// What a refusal says to the person at the terminal: the code, the sentence, and each violation on a line of its own.
pub(super) fn refusal(status: &Status) -> String {
    let mut text = match status.code() {
        Code::Unauthenticated => {
            format!("{}; --token or {ENV_TOKEN} says who you are", printable(status.message()))
        }
        code => format!("{}: {}", name(code), printable(status.message())),
    };
    if let Some(details) = status.get_details_bad_request() {
        for violation in &details.field_violations {
            let reason = if violation.description.is_empty() { "not valid" } else { &violation.description };
            text.push_str(&format!("\n    {}: {}", printable(&violation.field), printable(reason)));
        }
    }
    text
}

/// A code in the spelling of the protocol's documentation.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// For so long and no longer.
fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(Duration::from_secs(CONNECT_MAX_S)).timeout(Duration::from_secs(ANSWER_MAX_S))
}

/// How to reach `url`.
fn endpoint(url: &str, credentials: &Credentials) -> Result<Endpoint, Failure> {
    let none_of_ours = || Failure::usage(format!("--server {}: expected {URL_FORM}", printable(url)));
    if let Some(path) = url.strip_prefix(UNIX) {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| none_of_ours())?;
        return match (path, &credentials.ca, &credentials.cert) {
            ("", ..) => Err(none_of_ours()),
            (_, Some(_), _) => Err(Failure::usage(CA_IS_FOR)),
            (_, _, Some(_)) => Err(Failure::usage(CERT_IS_FOR)),
            (_, None, None) => Ok(patient(endpoint)),
        };
    }
    let uri: Uri = url.parse().map_err(|_| none_of_ours())?;
    let plain_path = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = uri.authority().is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'));
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(none_of_ours()),
    };
    if !plain_path || !host {
        return Err(none_of_ours());
    }
    let endpoint = patient(Endpoint::from(uri));
    match (secure, &credentials.ca, &credentials.cert) {
        (false, None, None) => Ok(endpoint),
        (false, Some(_), _) => Err(Failure::usage(CA_IS_FOR)),
        (false, _, Some(_)) => Err(Failure::usage(CERT_IS_FOR)),
        (true, ..) => {
            let tls = endpoint.tls_config(tls(credentials)?);
            tls.map_err(|error| Failure::usage(format!("TLS: {}", with_causes(&error))))
        }
    }
}

/// Whom to trust, and which certificate to show.
fn tls(credentials: &Credentials) -> Result<ClientTlsConfig, Failure> {
    let tls = match &credentials.ca {
        None => ClientTlsConfig::new().with_native_roots(),
        Some(file) => {
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates("--ca", file)?))
        }
    };
    let (Some(cert), Some(key)) = (&credentials.cert, &credentials.key) else { return Ok(tls) };
    let chain = certificates("--cert", cert)?;
    let key = pem("--key", key, b"PRIVATE KEY-----", "there is no private key in this file")?;
    Ok(tls.identity(Identity::from_pem(chain, key)))
}

/// A file of certificates. Whoever trusts nobody, or shows nothing, finds out only by a handshake that fails.
fn certificates(flag: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    pem(flag, file, b"-----BEGIN CERTIFICATE-----", "there is no certificate in this file")
}

/// A file that has something in PEM, whose line has this `mark`.
fn pem(flag: &str, file: &Path, mark: &[u8], lacks: &str) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed =
        |problem: &dyn std::fmt::Display| Failure::usage(format!("{flag} {}: {problem}", file.display()));
    let mut pem = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    opened.take(PEM_MAX_BYTES).read_to_end(&mut pem).map_err(|error| failed(&error))?;
    if !pem.windows(mark.len()).any(|part| part == mark) {
        return Err(failed(&lacks));
    }
    Ok(pem)
}

/// The value of an environment variable; one that is empty counts as not set.
fn variable(env: &[(OsString, OsString)], name: &str) -> Result<Option<String>, Failure> {
    let found = env.iter().find(|(key, value)| key == name && !value.is_empty());
    let text = found.map(|(_, value)| value.to_str().map(str::to_owned));
    text.map(|text| text.ok_or_else(|| Failure::usage(format!("{name}: not valid UTF-8")))).transpose()
}

/// An error with what caused it; tonic's own sentence is "transport error".
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    printable(&sentence)
}
