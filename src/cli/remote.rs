//! The connection to a running service that every command shares which is a client of one: `--server`, `--token`, `--ca`,
//! how long is waited, and how a refusal is told. Knows no RPC; a command hands [`Remote::service`] to the generated client
//! that it needs, and its calls to [`Remote::call`].

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
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
/// The largest file of certificates.
const CA_MAX_BYTES: u64 = 1024 * 1024;
/// Where a service listens that was told nothing.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";
/// What a URL has to look like.
const URL_FORM: &str = "http://HOST:PORT or https://HOST:PORT";

/// Which service, and how to be let in: the arguments of a command that cannot do without one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service: http://HOST:PORT or https://HOST:PORT [env: COUNTERSIGN_SERVER] [default: http://127.0.0.1:8080].
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
        let token = match (credentials.token, variable(&env, ENV_TOKEN)?) {
            (None, Some(text)) => {
                Some(text.parse().map_err(|e| Failure::usage(format!("{ENV_TOKEN}: {e}")))?)
            }
            (given, _) => given,
        };
        let endpoint = endpoint(&url, credentials.ca)?;
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

/// How to reach `url`.
fn endpoint(url: &str, ca: Option<PathBuf>) -> Result<Endpoint, Failure> {
    let none_of_ours = || Failure::usage(format!("--server {}: expected {URL_FORM}", printable(url)));
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
    let endpoint = Endpoint::from(uri)
        .connect_timeout(Duration::from_secs(CONNECT_MAX_S))
        .timeout(Duration::from_secs(ANSWER_MAX_S));
    match (secure, ca) {
        (false, None) => Ok(endpoint),
        (false, Some(_)) => Err(Failure::usage("--ca is for a server at https://")),
        (true, ca) => {
            let tls = ClientTlsConfig::new();
            let tls = match ca {
                None => tls.with_native_roots(),
                Some(file) => tls.ca_certificate(certificates(&file)?),
            };
            endpoint.tls_config(tls).map_err(|error| Failure::usage(format!("TLS: {}", with_causes(&error))))
        }
    }
}

fn certificates(file: &std::path::Path) -> Result<Certificate, Failure> {
    use std::io::Read as _;
    let failed =
        |problem: &dyn std::fmt::Display| Failure::usage(format!("--ca {}: {problem}", file.display()));
    let mut pem = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    opened.take(CA_MAX_BYTES).read_to_end(&mut pem).map_err(|error| failed(&error))?;
    // Whoever trusts nobody finds out only by a handshake that fails.
    if !pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
        return Err(failed(&"there is no certificate in this file"));
    }
    Ok(Certificate::from_pem(pem))
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
