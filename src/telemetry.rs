//! What the service says about itself: log lines, metrics, traces, and the id that ties a line to a request.
//!
//! It knows nothing of policies and never sees a payload: what is logged is a method, a code, a duration, an id and a
//! peer. Lines go to standard error through [`Sink`], so that a slow reader of the log never slows down an answer.

mod metrics;
mod otlp;
mod sink;

use std::fmt;
use std::panic::PanicHookInfo;
use std::str::FromStr;

use http::HeaderValue;
use serde::Deserialize;
use tokio::task::futures::TaskLocalFuture;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

pub use metrics::{AuditDropped, CONTENT_TYPE, Metrics, RpcKind, RpcMetrics, StoreMetrics, code_name};
pub use otlp::{Http, Incoming, Span, Tracer, Traces, TracesError};
pub use sink::{Flush, Sink};

tokio::task_local! {
    /// The id of the request that the current task works on.
    static REQUEST_ID: HeaderValue;
}

/// Runs `work` as part of the request `id`, so that whoever logs in it can name the request.
pub fn in_request<F: Future>(id: HeaderValue, work: F) -> TaskLocalFuture<HeaderValue, F> {
    REQUEST_ID.scope(id, work)
}

/// The id of the request that is being worked on here, or `""` outside of any.
#[must_use]
pub fn request_id() -> String {
    REQUEST_ID.try_with(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()).unwrap_or_default()
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The least severe line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(LevelFilter);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" | "error" | "warn" | "info" | "debug" | "trace" => text
                .parse()
                .map(Self)
                .map_err(|error: tracing::metadata::ParseLevelFilterError| error.to_string()),
            _ => Err("expected off, error, warn, info, debug or trace".to_owned()),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Starts logging for the whole process, panics included. Lines that were not yet written are written when the returned
/// guard is dropped. A second call changes nothing.
#[must_use]
pub fn init(format: LogFormat, level: LogLevel) -> Flush {
    let (sink, flush) = Sink::start(std::io::stderr());
    // The libraries below us are silent unless something is wrong, or everything is asked for.
    let others = if level.0 == LevelFilter::TRACE { level.0 } else { level.0.min(LevelFilter::WARN) };
    let filter = Targets::new().with_default(others).with_target("countersign", level.0);
    let layer = tracing_subscriber::fmt::layer().with_writer(sink).with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let subscriber = Registry::default().with(layer.with_filter(filter));
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
    flush
}

/// The only place where the text of a panic goes.
fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let text =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("(not text)");
    tracing::error!(request_id = request_id(), location, panic = message, "panic");
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::io::{self, Write};
    use std::panic::AssertUnwindSafe;
    use std::sync::{Arc, Mutex};

    /// What was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_with_the_id_of_its_request() {
        let lines = Lines::default();
        let out = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || out.clone()).json();
        let subscriber = Registry::default().with(layer.flatten_event(true).with_span_list(false));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(async {
                let panics = AssertUnwindSafe(async { panic!("the roof is on fire") }).catch_unwind();
                let ended: Result<(), _> = in_request(HeaderValue::from_static("request-7"), panics).await;
                assert!(ended.is_err());
                let panics = AssertUnwindSafe(async { std::panic::panic_any(7) }).catch_unwind();
                let ended: Result<(), _> = panics.await;
                assert!(ended.is_err());
            });
        });
        std::panic::set_hook(before);

        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [first, second] = lines.as_slice() else { panic!("{text}") };
        for (line, id, panic) in [(first, "request-7", "the roof is on fire"), (second, "", "(not text)")] {
            assert_eq!(line["level"], "ERROR", "{line}");
            assert_eq!(line["message"], "panic", "{line}");
            assert_eq!(line["request_id"], id, "{line}");
            assert_eq!(line["panic"], panic, "{line}");
            assert!(line["location"].as_str().unwrap().starts_with("src/telemetry.rs:"), "{line}");
        }
    }
}
