//! The metrics, under the names that go-grpc-middleware gave them, so that existing dashboards and alerts fit.
//!
//! Every label set exists from the start, at zero: an alert on a rate needs the zero before the first error. Handles are
//! resolved once, so that counting a request touches no map and allocates nothing.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tonic::Code;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// 0.1 ms to 13 s, by doubling: from a read out of memory to the default deadline.
const HANDLING_FIRST_BUCKET_SECONDS: f64 = 0.000_1;
const HANDLING_BUCKETS: u16 = 18;
/// 0.05 ms to 1.6 s, by doubling.
const FSYNC_FIRST_BUCKET_SECONDS: f64 = 0.000_05;
const FSYNC_BUCKETS: u16 = 16;
/// 1 to 1024 writes in one commit, by doubling.
const BATCH_BUCKETS: u16 = 11;

/// All codes of gRPC, in the order of their numbers.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

/// The name of a code as the gRPC documents spell it; log lines use it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    CODES.iter().find(|(known, _)| *known == code).map_or("UNKNOWN", |(_, name)| name)
}

/// go-grpc-middleware spells codes as Go's `codes.Code` prints them: `OK`, `Canceled`, `InvalidArgument`.
fn code_label(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    }
}

/// Which sides of a call stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcKind {
    /// One message each way.
    Unary,
    /// Many requests, one answer.
    ClientStream,
    /// One request, many answers.
    ServerStream,
    /// Many both ways.
    BidiStream,
}

impl RpcKind {
    fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ClientStream => "client_stream",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabels {
    grpc_type: &'static str,
    grpc_service: String,
    grpc_method: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HandledLabels {
    grpc_type: &'static str,
    grpc_service: String,
    grpc_method: String,
    grpc_code: String,
}

type HistogramFamily = Family<MethodLabels, Histogram, fn() -> Histogram>;

/// Every metric of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    started: Family<MethodLabels, Counter>,
    handled: Family<HandledLabels, Counter>,
    handling_seconds: HistogramFamily,
    store: StoreMetrics,
    audit_dropped: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let started = Family::default();
        let handled = Family::default();
        let handling_seconds = HistogramFamily::new_with_constructor(|| {
            Histogram::new(exponential_buckets(HANDLING_FIRST_BUCKET_SECONDS, 2.0, HANDLING_BUCKETS))
        });
        let store = StoreMetrics {
            commit_batch_size: Histogram::new(exponential_buckets(1.0, 2.0, BATCH_BUCKETS)),
            fsync_seconds: Histogram::new(exponential_buckets(
                FSYNC_FIRST_BUCKET_SECONDS,
                2.0,
                FSYNC_BUCKETS,
            )),
        };
        // The encoder puts `_total` behind the name of a counter by itself.
        registry.register("grpc_server_started", "RPCs started on the server", started.clone());
        registry.register(
            "grpc_server_handled",
            "RPCs completed on the server, regardless of success or failure",
            handled.clone(),
        );
        registry.register(
            "grpc_server_handling_seconds",
            "Time from the start of an RPC to the end of its answer, in seconds",
            handling_seconds.clone(),
        );
        registry.register(
            "countersign_store_commit_batch_size",
            "Writes that became durable together",
            store.commit_batch_size.clone(),
        );
        registry.register(
            "countersign_store_fsync_seconds",
            "Time to make one batch of writes durable, in seconds",
            store.fsync_seconds.clone(),
        );
        let audit_dropped = Counter::default();
        registry.register(
            "countersign_audit_dropped",
            "Calls that failed and are not in the audit trail, because there were too many of them",
            audit_dropped.clone(),
        );
        Self { registry: Mutex::new(registry), started, handled, handling_seconds, store, audit_dropped }
    }
}

impl Metrics {
    /// The handles of one method; all its series exist from now on, at zero.
    #[must_use]
    pub fn rpc(&self, kind: RpcKind, service: &str, method: &str) -> RpcMetrics {
        let labels = MethodLabels {
            grpc_type: kind.label(),
            grpc_service: service.to_owned(),
            grpc_method: method.to_owned(),
        };
        let handled = CODES.map(|(code, _)| {
            self.handled.get_or_create_owned(&HandledLabels {
                grpc_type: kind.label(),
                grpc_service: service.to_owned(),
                grpc_method: method.to_owned(),
                grpc_code: code_label(code),
            })
        });
        RpcMetrics {
            started: self.started.get_or_create_owned(&labels),
            handling_seconds: self.handling_seconds.get_or_create_owned(&labels),
            handled,
        }
    }

    /// What the store reports to.
    #[must_use]
    pub fn store(&self) -> StoreMetrics {
        self.store.clone()
    }

    /// What the audit trail reports to.
    #[must_use]
    pub fn audit_dropped(&self) -> AuditDropped {
        AuditDropped(self.audit_dropped.clone())
    }

    /// All metrics in the OpenMetrics text format ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

/// The handles of one method.
#[derive(Debug, Clone)]
pub struct RpcMetrics {
    started: Counter,
    handled: [Counter; CODES.len()],
    handling_seconds: Histogram,
}

impl RpcMetrics {
    /// A call came in.
    pub fn started(&self) {
        self.started.inc();
    }

    /// A call ended.
    pub fn handled(&self, code: Code, took: Duration) {
        if let Some(counter) = usize::try_from(code as i32).ok().and_then(|index| self.handled.get(index)) {
            counter.inc();
        }
        self.handling_seconds.observe(took.as_secs_f64());
    }
}

/// What the audit trail reports to.
#[derive(Debug, Clone)]
pub struct AuditDropped(Counter);

impl AuditDropped {
    /// So many entries were dropped.
    pub fn add(&self, entries: u64) {
        self.0.inc_by(entries);
    }
}

/// What the store reports to; cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    commit_batch_size: Histogram,
    fsync_seconds: Histogram,
}

impl StoreMetrics {
    /// So many writes became durable together.
    pub fn commit_batch(&self, writes: usize) {
        #[allow(clippy::cast_precision_loss)]
        self.commit_batch_size.observe(writes as f64);
    }

    /// So long it took to make them durable.
    pub fn fsync(&self, took: Duration) {
        self.fsync_seconds.observe(took.as_secs_f64());
    }
}
