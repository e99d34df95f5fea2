//! The settings of `serve`: one table, and the rule by which flags, environment, file and defaults meet.
//!
//! The table below is the only place that names a setting. From it come the command line flag (`--request-deadline`),
//! the environment variable (`COUNTERSIGN_REQUEST_DEADLINE`), the key in the TOML file (`request-deadline`), the help
//! and the documentation. Flags win over the environment, the environment over the file, the file over the default;
//! what is not known is an error everywhere, because a misspelled limit is a limit that is not there.
//!
//! This module reads what it is handed and, for `--config`, one file. It opens nothing else and starts nothing.

mod listen;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::auth;
use crate::policy::guardian::{Compat, Lint};
use crate::store::Location;
use crate::telemetry::{LogFormat, LogLevel};
use crate::workflow::Nobody;
pub use listen::Listen;
pub use value::{ClientAuth, KeySource, OptionalAddress, OptionalPath, OptionalSpan, Origins, Size, Span};

/// Every environment variable of ours starts with this.
pub const ENV_PREFIX: &str = "COUNTERSIGN_";
/// Names the TOML file, as `--config` does.
pub const ENV_CONFIG: &str = "COUNTERSIGN_CONFIG";
/// Names the service to the commands that are its clients, as `--server` does.
pub const ENV_SERVER: &str = "COUNTERSIGN_SERVER";
/// Holds the token of those commands, as `--token` does.
pub const ENV_TOKEN: &str = "COUNTERSIGN_TOKEN";
/// What the other commands read; whoever has it set for them can serve all the same.
const ENV_OF_CLIENTS: [&str; 2] = [ENV_SERVER, ENV_TOKEN];
/// Below this an HTTP/1 request head does not fit into the transport's read buffer.
const HEADER_MIN_BYTES: u32 = 8 * 1024;

/// Below this hardly any request fits.
const MESSAGE_MIN_BYTES: u32 = 1024;

macro_rules! settings {
    ($( $(#[doc = $help:literal])+ $field:ident: $type:ty = $default:literal; )+) => {
        /// What one source says: `None` where it says nothing. Flags, environment and file all become this.
        #[derive(Debug, Default, Clone, clap::Args, serde::Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        pub struct Layer {
            $( $(#[doc = $help])+ #[arg(long)] pub $field: Option<$type>, )+
            /// The section `[auth]`, which only a file can have.
            #[arg(skip)]
            pub auth: Option<auth::Tables>,
        }

        /// The settings in force, every one of them known and checked.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $( $(#[doc = $help])+ pub $field: $type, )+
            /// Who has which roles, and what else is too large for a flag.
            pub auth: auth::Tables,
            sources: BTreeMap<&'static str, Source>,
        }

        /// The table, for help, documentation and tests.
        pub const TABLE: &[Setting] = &[
            $( Setting { field: stringify!($field), default: $default, help: concat!($($help),+) }, )+
        ];

        impl Layer {
            /// Sets a field from text; `false` when there is no such field.
            fn set(&mut self, field: &str, text: &str) -> Result<bool, String> {
                match field {
                    $( stringify!($field) => self.$field = Some(parse::<$type>(text)?), )+
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }

        impl Settings {
            /// Takes each setting from the first layer that has it, else its default.
            fn merge(layers: [(Source, Layer); 3]) -> Result<Self, Error> {
                let [(first, a), (second, b), (third, c)] = layers;
                let mut sources = BTreeMap::new();
                let auth = a.auth.or(b.auth).or(c.auth).unwrap_or_default();
                $(
                    let (source, $field) = match (a.$field, b.$field, c.$field) {
                        (Some(value), ..) => (first.clone(), value),
                        (None, Some(value), _) => (second.clone(), value),
                        (None, None, Some(value)) => (third.clone(), value),
                        (None, None, None) => {
                            let value = parse::<$type>($default).map_err(|problem| Error::Value {
                                name: stringify!($field).into(), problem,
                            })?;
                            (Source::Default, value)
                        }
                    };
                    sources.insert(stringify!($field), source);
                )+
                Ok(Self { $($field,)+ auth, sources })
            }

            /// Field name and value as text, in the order of the table.
            fn rows(&self) -> Vec<(&'static str, String)> {
                vec![ $( (stringify!($field), self.$field.to_string()), )+ ]
            }
        }
    };
}

settings! {
    /// Address of the main port: gRPC and REST; or `unix:PATH`, a socket that its owner and group may connect to.
    listen: Listen = "127.0.0.1:8080";
    /// Address of the admin port: /livez, /readyz, /metrics.
    admin_listen: SocketAddr = "127.0.0.1:8081";
    /// Where policies are kept: `sled:DIRECTORY`, or `memory:` for trying out.
    store: Location = "sled:./countersign-data";
    /// What a policy does when nobody is found to approve and it does not say: `block`, `skip` the step, or `deny`.
    empty_approvers: Nobody = "block";
    /// Whether faults of Guardian's are copied in its part of the API: `default` or `strict`.
    guardian_compat: Compat = "default";
    /// What becomes of what Guardian accepts and finds out too late: `warn`, or `deny` the policy.
    guardian_lint: Lint = "warn";
    /// Address of a second port for clients of the older family of Guardian, which expect gRPC there; or `off`.
    raystack_grpc_listen: OptionalAddress = "off";
    /// The certificate chain (PEM) with which the main port and the second one speak TLS; or `none`.
    tls_cert: OptionalPath = "none";
    /// The private key (PEM) of that certificate; or `none`.
    tls_key: OptionalPath = "none";
    /// The authorities (PEM) that callers' certificates are verified against; or `none`, when nobody is asked for one.
    tls_client_ca: OptionalPath = "none";
    /// With authorities: whether callers must show a certificate (`require`), or may (`optional`). One that is shown must be good.
    tls_client_auth: ClientAuth = "require";
    /// How often the files of TLS are read again; when they have changed, new connections use them.
    tls_reload_interval: Span = "10s";
    /// Where the keys are that secrets in policies are encrypted with: `none`, `file:PATH` or `env:VARIABLE`. Each is 32 bytes in base64; the first encrypts, all decrypt.
    secrets_keys: KeySource = "none";
    /// Listen on a wider address than this machine's own although nobody is asked who they are.
    insecure_no_auth: bool = "false";
    /// The file with the digests of static bearer tokens, which `countersign token create` adds to; or `none`.
    tokens_file: OptionalPath = "none";
    /// The file with the clients that may fetch a token at /auth/v1/token, which `countersign client create` adds to; or `none`.
    clients_file: OptionalPath = "none";
    /// How long a token from /auth/v1/token lasts.
    access_token_lifetime: Span = "1h";
    /// The peers whose `x-forwarded-client-cert` counts: addresses and networks, `10.0.0.0/8,127.0.0.1`, and `unix` for who comes by a unix socket; or `none`.
    xfcc_peers: auth::Peers = "none";
    /// Calls that one principal may begin in a second; the next one is refused.
    max_principal_requests_per_second: NonZeroU32 = "1000";
    /// Calls of one principal in flight at one time, streams included; the next one is refused.
    max_principal_requests_in_flight: NonZeroU32 = "256";
    /// Calls with a credential that does not count that one peer may make in a minute; the next one is told to wait.
    max_failed_authentications_per_minute: NonZeroU32 = "120";
    /// Whether gRPC-Web is spoken on the main port, for browsers: `true` or `false`.
    grpc_web: bool = "false";
    /// The origins whose scripts may call (CORS): `none`, `*`, or a list like `https://app.example.com,https://other.example.com:8443`.
    cors_origins: Origins = "none";
    /// How log lines look: `text` or `json`.
    log_format: LogFormat = "text";
    /// The least severe log lines to write: `off`, `error`, `warn`, `info`, `debug`, `trace`.
    log_level: LogLevel = "info";
    /// The largest request message.
    max_message_bytes: Size = "4MiB";
    /// The largest request head: all header names and values together.
    max_header_bytes: Size = "64KiB";
    /// Calls worked on at one time; the next one is refused.
    max_requests_in_flight: NonZeroU32 = "1024";
    /// Streaming calls (watches, reflection) open at one time; the next one is refused.
    max_streams_in_flight: NonZeroU32 = "1024";
    /// Connections open at one time; the next one waits to be accepted.
    max_connections: NonZeroU32 = "4096";
    /// HTTP/2 streams open at one time on one connection.
    max_connection_streams: NonZeroU32 = "256";
    /// The longest that one call may take; a client's grpc-timeout shortens it. Streaming calls are exempt.
    request_deadline: Span = "10s";
    /// How long a new connection may take to shake hands and say which HTTP it speaks.
    handshake_timeout: Span = "10s";
    /// How long an HTTP/1 request head may take, and how long such a connection may idle before its next request.
    http1_header_timeout: Span = "30s";
    /// How often an HTTP/2 peer is pinged.
    keep_alive_interval: Span = "30s";
    /// How long an HTTP/2 peer may take to answer a ping.
    keep_alive_timeout: Span = "20s";
    /// How old a connection may become, a tenth more or less, before its peer is told to make a new one; or `off`.
    max_connection_age: OptionalSpan = "off";
    /// After that: how long its calls may take to finish before it is cut off.
    max_connection_age_grace: Span = "10s";
    /// How long a peer may leave an answer unread before its connection is closed.
    response_timeout: Span = "30s";
    /// After a signal to stop: how long the service says that it is not ready but still accepts.
    shutdown_delay: Span = "0s";
    /// After that: how long calls in flight may take to finish before they are cut off.
    shutdown_grace: Span = "20s";
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name as a Rust field: `request_deadline`.
    pub field: &'static str,
    /// The default, as it would be written on the command line.
    pub default: &'static str,
    /// One sentence of help.
    pub help: &'static str,
}

impl Setting {
    /// The name in the file and, after `--`, on the command line.
    #[must_use]
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }

    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.field.to_uppercase())
    }
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A command line flag.
    Flag,
    /// An environment variable.
    Environment,
    /// The TOML file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

/// Why there are no settings. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not TOML, or has an unknown key or a value of the wrong kind; the text names line and column.
    #[error("{path}: {problem}")]
    File { path: PathBuf, problem: String },
    /// An environment variable that starts like ours and is none.
    #[error("unknown environment variable {0} (every {ENV_PREFIX}* variable must be a setting of `serve`)")]
    UnknownVariable(String),
    /// A value that cannot be.
    #[error("{name}: {problem}")]
    Value { name: String, problem: String },
}

fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("invalid value {text:?}: {error}"))
}

/// Puts the three sources together. `config` is the `--config` flag; without it, `COUNTERSIGN_CONFIG` names the file.
pub fn resolve(
    flags: Layer,
    config: Option<PathBuf>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, Error> {
    let settings = merged(flags, config, env)?;
    settings.check()?;
    Ok(settings)
}

/// Where the admin port is, for whoever asks it. The rest need not be right: it may be given to `serve` by flags.
pub fn admin_listen(
    flags: Layer,
    config: Option<PathBuf>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<SocketAddr, Error> {
    Ok(merged(flags, config, env)?.admin_listen)
}

fn merged(
    flags: Layer,
    config: Option<PathBuf>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, Error> {
    let (environment, config_from_env) = from_environment(env)?;
    let (file, path) = match config.or(config_from_env) {
        Some(path) => (from_file(&path)?, path),
        None => (Layer::default(), PathBuf::new()),
    };
    let layers = [(Source::Flag, flags), (Source::Environment, environment), (Source::File(path), file)];
    Settings::merge(layers)
}

fn from_file(path: &Path) -> Result<Layer, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    toml::from_str(&text).map_err(|error| Error::File { path: path.into(), problem: error.to_string() })
}

fn from_environment(
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Layer, Option<PathBuf>), Error> {
    let mut layer = Layer::default();
    let mut config = None;
    for (name, value) in env {
        let Some(name) = name.to_str().filter(|name| name.starts_with(ENV_PREFIX)) else { continue };
        if name == ENV_CONFIG {
            config = Some(PathBuf::from(value));
            continue;
        }
        let Some(setting) = TABLE.iter().find(|setting| setting.variable() == name) else {
            if ENV_OF_CLIENTS.contains(&name) || injected_by_kubernetes(name) {
                continue;
            }
            return Err(Error::UnknownVariable(name.to_owned()));
        };
        let wrong = |problem| Error::Value { name: name.to_owned(), problem };
        let text = value.to_str().ok_or_else(|| wrong("not valid UTF-8".into()))?;
        layer.set(setting.field, text).map_err(wrong)?;
    }
    Ok((layer, config))
}

/// Kubernetes puts `X_SERVICE_HOST`, `X_SERVICE_PORT[_NAME]`, `X_PORT` and `X_PORT_8080_TCP[_ADDR…]` into every pod for
/// every Service X of the namespace. A Service called `countersign` or `countersign-admin` must not stop us.
fn injected_by_kubernetes(name: &str) -> bool {
    let of_port = |(_, rest): (&str, &str)| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(of_port)
}

impl Settings {
    /// What no single value can say: lower bounds.
    fn check(&self) -> Result<(), Error> {
        let never_zero = [
            ("request-deadline", self.request_deadline),
            ("handshake-timeout", self.handshake_timeout),
            ("http1-header-timeout", self.http1_header_timeout),
            ("keep-alive-interval", self.keep_alive_interval),
            ("keep-alive-timeout", self.keep_alive_timeout),
            ("response-timeout", self.response_timeout),
            ("access-token-lifetime", self.access_token_lifetime),
            ("tls-reload-interval", self.tls_reload_interval),
        ];
        for (name, span) in never_zero {
            if span.duration().is_zero() {
                return Err(Error::Value { name: name.into(), problem: "must be more than 0s".into() });
            }
        }
        let least = [
            ("max-header-bytes", self.max_header_bytes, HEADER_MIN_BYTES),
            ("max-message-bytes", self.max_message_bytes, MESSAGE_MIN_BYTES),
        ];
        for (name, size, least_bytes) in least {
            if size.bytes() < least_bytes {
                let problem = format!("must be at least {least_bytes} bytes");
                return Err(Error::Value { name: name.into(), problem });
            }
        }
        self.auth.check().map_err(|problem| Error::Value { name: "auth".into(), problem })?;
        self.check_tls()?;
        self.check_listeners()
    }

    /// Where nobody is asked who they are, only this machine may call, unless somebody says that it is meant so.
    fn check_listeners(&self) -> Result<(), Error> {
        if self.auth_options().any() || self.insecure_no_auth {
            return Ok(());
        }
        let second = self.raystack_grpc_listen.0.map(|address| ("raystack-grpc-listen", address));
        // What only this machine's users can reach is as good as loopback.
        let first = self.listen.address().map(|address| ("listen", address));
        for (name, address) in first.into_iter().chain(second) {
            if !address.ip().to_canonical().is_loopback() {
                let problem = format!(
                    "{address} can be reached from other machines, and no authentication is configured: set \
                     tokens-file, clients-file, tls-client-ca, xfcc-peers or an [[auth.issuer]] (docs/auth.md), or \
                     insecure-no-auth if everybody may do everything"
                );
                return Err(Error::Value { name: name.into(), problem });
            }
        }
        Ok(())
    }

    /// Half of TLS is none, and whoever has set half of it believes otherwise.
    fn check_tls(&self) -> Result<(), Error> {
        let missing = match (&self.tls_cert.0, &self.tls_key.0, &self.tls_client_ca.0) {
            (Some(_), Some(_), _) if self.listen.path().is_some() => (
                "listen",
                "a unix socket speaks no TLS: leave out tls-cert and tls-key, or listen on an address",
            ),
            (Some(_), Some(_), _) | (None, None, None) => return Ok(()),
            (Some(_), None, _) => ("tls-cert", "needs tls-key beside it"),
            (None, Some(_), _) => ("tls-key", "needs tls-cert beside it"),
            (None, None, Some(_)) => ("tls-client-ca", "needs tls-cert and tls-key beside it"),
        };
        Err(Error::Value { name: missing.0.into(), problem: missing.1.into() })
    }

    /// Who is let in, as the guard reads it.
    #[must_use]
    pub fn auth_options(&self) -> auth::Options {
        auth::Options {
            tokens_file: self.tokens_file.0.clone(),
            clients_file: self.clients_file.0.clone(),
            client_certificates: self.tls_client_ca.0.is_some(),
            access_token_lifetime: self.access_token_lifetime.duration(),
            tables: self.auth.clone(),
            xfcc_peers: self.xfcc_peers.clone(),
            per_second_max: self.max_principal_requests_per_second.get(),
            in_flight_max: self.max_principal_requests_in_flight.get(),
            failures_per_minute_max: self.max_failed_authentications_per_minute.get(),
        }
    }

    /// Where the setting with this field name came from.
    #[must_use]
    pub fn source(&self, field: &str) -> Option<&Source> {
        self.sources.get(field)
    }

    /// The settings in force as TOML that `--config` would accept, with the source of each as a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for (field, text) in self.rows() {
            let value = match (text.parse::<i64>(), text.parse::<bool>()) {
                (Ok(number), _) => toml::Value::Integer(number),
                (_, Ok(switch)) => toml::Value::Boolean(switch),
                _ => toml::Value::String(text),
            };
            let source = match self.source(field) {
                Some(Source::Flag) => "flag".to_owned(),
                Some(Source::Environment) => format!("{ENV_PREFIX}{}", field.to_uppercase()),
                // A file name may hold anything but a line break belongs into no comment.
                Some(Source::File(path)) => path.display().to_string().replace(char::is_control, " "),
                Some(Source::Default) | None => "default".to_owned(),
            };
            let _ = writeln!(out, "{} = {value}  # {source}", field.replace('_', "-"));
        }
        if !self.auth.is_empty() {
            #[derive(serde::Serialize)]
            struct Section<'a> {
                auth: &'a auth::Tables,
            }
            // Every value in it came from TOML.
            let _ = write!(out, "\n{}", toml::to_string(&Section { auth: &self.auth }).unwrap_or_default());
        }
        out
    }
}
