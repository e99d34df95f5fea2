//! Traces: one span a request, sent to a collector by OTLP. The only place that names OpenTelemetry.
//!
//! It is told what to do by the variables that every OpenTelemetry SDK reads, and is off unless they name a collector.
//! Requests never wait for it: spans go into a queue, one thread sends them on, and what the queue has no room for is
//! dropped. `docs/traces.md` has the variables, `docs/decisions/0021-traces.md` what was decided.

mod context;
mod http;
mod span;

use std::mem::ManuallyDrop;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tonic::transport::{Certificate, ClientTlsConfig};

use self::http::Client;
pub use span::{Http, Incoming, Span};

/// The name under which our spans are known.
const SCOPE: &str = "countersign";
const SERVICE_NAME: Key = Key::from_static_str("service.name");
/// How the SDK begins a name that nobody has given.
const NAMELESS: &str = "unknown_service";
/// A batch may be on its way for so long, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const EXPORT_MAX_MS: u64 = 10_000;

/// Why there are no traces although somebody wants them.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A variable has a value that cannot be.
    #[error("{name}: {problem}")]
    Variable { name: &'static str, problem: String },
    /// The exporter does not take its variables; the text names the one.
    #[error("the variables of OpenTelemetry: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The way to the collector. Whoever holds it sees to it that [`Traces::flush`] is called at the end.
#[derive(Debug)]
pub struct Traces {
    /// Dropping the last handle of it would wait for the collector, which only [`Traces::flush`] may.
    provider: ManuallyDrop<SdkTracerProvider>,
    tracer: Tracer,
}

/// What spans are begun with.
#[derive(Debug, Clone)]
pub struct Tracer {
    sdk: SdkTracer,
    /// Whether what a caller says of its trace counts.
    takes_up: bool,
}

impl Traces {
    /// As the environment says: `None` when it names no collector, or says that there be no traces. To be called in the
    /// runtime that is to carry the connection, and while it runs.
    ///
    /// # Errors
    /// The environment says something that cannot be.
    pub fn start() -> Result<Option<Traces>, TracesError> {
        if !wanted() {
            return Ok(None);
        }
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter()?).with_resource(resource()).build();
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
        let takes_up = variable("OTEL_PROPAGATORS")
            .is_none_or(|names| names.split(',').any(|name| name.trim() == "tracecontext"));
        let tracer = Tracer { sdk: provider.tracer_with_scope(scope), takes_up };
        Ok(Some(Traces { provider: ManuallyDrop::new(provider), tracer }))
    }

    /// For whoever begins spans.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Sends what is still in the queue, for as long as `limit`. Blocks. Spans that end later are lost.
    pub fn flush(&self, limit: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "the last spans did not reach their collector");
        }
    }
}

/// The value of a variable; one that is empty counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The value of a variable that traces have of their own, else of the one that all signals share.
fn of_traces(what: &str) -> Option<String> {
    variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{what}"))
        .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{what}")))
}

/// Whether anybody wants traces.
fn wanted() -> bool {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return false;
    }
    let Some(exporters) = variable("OTEL_TRACES_EXPORTER") else { return of_traces("ENDPOINT").is_some() };
    let mut named = exporters.split(',').map(str::trim);
    let otlp = named.clone().any(|name| name == "otlp");
    if !otlp && named.any(|name| name != "none") {
        tracing::warn!(OTEL_TRACES_EXPORTER = exporters, "no traces: the only exporter here is otlp");
    }
    otlp
}

/// What takes batches to the collector, in the protocol that is asked for.
fn exporter() -> Result<SpanExporter, TracesError> {
    let authorities = authorities()?;
    let timeout = timeout()?;
    match of_traces("PROTOCOL").as_deref() {
        Some("grpc") => {
            let tls = match authorities {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            let exporter = SpanExporter::builder().with_tonic().with_timeout(timeout).with_tls_config(tls);
            Ok(exporter.build()?)
        }
        None | Some("http/protobuf") => {
            let client = Client::new(timeout, authorities.as_deref()).map_err(|problem| {
                TracesError::Variable { name: "OTEL_EXPORTER_OTLP_CERTIFICATE", problem }
            })?;
            let exporter = SpanExporter::builder().with_http().with_http_client(client);
            let protocol = opentelemetry_otlp::Protocol::HttpBinary;
            Ok(exporter.with_protocol(protocol).with_timeout(timeout).build()?)
        }
        Some(other) => Err(TracesError::Variable {
            name: "OTEL_EXPORTER_OTLP_PROTOCOL",
            problem: format!("expected grpc or http/protobuf, and not {other:?}"),
        }),
    }
}

/// How long a batch may be on its way.
fn timeout() -> Result<Duration, TracesError> {
    let Some(text) = of_traces("TIMEOUT") else { return Ok(Duration::from_millis(EXPORT_MAX_MS)) };
    match text.parse() {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(TracesError::Variable {
            name: "OTEL_EXPORTER_OTLP_TIMEOUT",
            problem: format!("expected a number of milliseconds, and not {text:?}"),
        }),
    }
}

/// The authorities (PEM) to trust instead of the system's.
fn authorities() -> Result<Option<Vec<u8>>, TracesError> {
    let Some(path) = of_traces("CERTIFICATE") else { return Ok(None) };
    let wrong = |problem| TracesError::Variable { name: "OTEL_EXPORTER_OTLP_CERTIFICATE", problem };
    let pem = std::fs::read(&path).map_err(|error| wrong(format!("cannot read {path}: {error}")))?;
    // Whoever trusts nobody finds out only by a handshake that fails.
    match CertificateDer::pem_slice_iter(&pem).next() {
        Some(Ok(_)) => Ok(Some(pem)),
        _ => Err(wrong(format!("there is no certificate in {path}"))),
    }
}

/// Who sends the spans: what the environment says, and what it leaves open.
fn resource() -> Resource {
    let told = Resource::builder().build();
    let open = |key: &Key| told.get(key).is_none();
    let mut ours = Vec::new();
    if told.get(&SERVICE_NAME).is_none_or(|name| name.as_str().starts_with(NAMELESS)) {
        ours.push(KeyValue::new(SERVICE_NAME, SCOPE));
    }
    let instance = || uuid::Uuid::now_v7().to_string();
    let others =
        [("service.version", env!("CARGO_PKG_VERSION").to_owned()), ("service.instance.id", instance())];
    let others = others.into_iter().map(|(key, value)| (Key::from_static_str(key), value));
    ours.extend(others.filter(|(key, _)| open(key)).map(|(key, value)| KeyValue::new(key, value)));
    Resource::builder().with_attributes(ours).build()
}
