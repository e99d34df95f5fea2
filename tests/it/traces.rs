//! Traces: the real binary, told by the variables of OpenTelemetry to send its spans to a collector of the tests' own.

mod collector;

use std::net::{SocketAddr, TcpListener};

use http_body_util::BodyExt as _;
use tonic::Code;

use crate::harness::countersign;
use crate::harness::{self, Answer};
use crate::server::http1;
use crate::server::probe::{Client, framed, within};
use crate::server::process::{Process, find};
use crate::server::tls::Authority;
use collector::{Collector, Seen, spans};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parent(sampled: bool) -> String {
    format!("00-{TRACE}-{SPAN}-0{}", u8::from(sampled))
}

/// One call over gRPC, and its code.
fn grpc(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Code {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { call(&mut Client::connect(addr, None).await, path, headers).await })
}

async fn call(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> Code {
    let (head, body) = client.begin(path, headers, &framed(b"")).await.unwrap().into_parts();
    let body = within(body.collect()).await.unwrap();
    let code = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
    Code::from_bytes(code.or(head.headers.get("grpc-status")).expect("a code").as_bytes())
}

/// One call over REST.
fn rest(addr: SocketAddr, verb: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(harness::http(addr, verb, path, &headers, body.as_bytes()))
}

/// The service, sending to `collector` when it ends and not before.
fn serve(collector: &Collector, protocol: &str, env: &[(&str, &str)], flags: &[&str]) -> Process {
    let endpoint = format!("http://{}", collector.addr);
    let mut all = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    all.extend(env);
    Process::serve_in(&all, flags)
}

/// Ends the service in order; it has done so well, and its log.
fn end(process: Process) -> String {
    process.signal(rustix::process::Signal::TERM);
    let (code, log) = process.exit_code();
    assert_eq!(code, Some(0), "{log}");
    log
}

fn of<'a>(seen: &'a [Seen], request: &str) -> &'a Seen {
    let found = seen.iter().find(|seen| seen.attribute("countersign.request_id") == request);
    found.unwrap_or_else(|| panic!("no span of {request}: {seen:#?}"))
}

/// Some of a span's attributes.
fn has(seen: &Seen, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(seen.attribute(key), *value, "{key} of {seen:#?}");
    }
}

const HEALTH: &str = "/grpc.health.v1.Health/Check";

#[test]
fn a_call_over_either_face_is_one_span_in_its_callers_trace_and_sent_before_the_end() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Collector::start(None);
        let env = [
            ("OTEL_SERVICE_NAME", "policies"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue"),
        ];
        let mut process = serve(&collector, protocol, &env, &[]);
        let parent = parent(true);
        let headers = |id| [("traceparent", parent.as_str()), ("tracestate", "a=1"), ("x-request-id", id)];
        assert_eq!(grpc(process.addr, HEALTH, &headers("one")), Code::Ok);
        let line = find(&mut process.log, |line| line["request_id"] == "one");
        assert_eq!(line["trace_id"], TRACE);
        assert_eq!(rest(process.addr, "GET", "/api/v1/policies/x?a=b", &headers("two"), "").status, 404);
        assert_eq!(find(&mut process.log, |line| line["request_id"] == "two")["trace_id"], TRACE);
        let addr = process.addr;
        end(process);

        let export = collector.next();
        assert_eq!(export.headers["x-tenant"], "blue");
        let seen = spans(export);
        assert_eq!(seen.len(), 2, "{seen:#?}");
        let (one, two) = (of(&seen, "one"), of(&seen, "two"));
        for seen in [one, two] {
            assert_eq!((seen.trace(), seen.parent()), (TRACE.to_owned(), SPAN.to_owned()));
            assert_eq!((seen.span.trace_state.as_str(), seen.scope.as_str()), ("a=1", "countersign"));
            assert_eq!(seen.span.kind, 2, "a server's");
            assert_eq!(seen.span.flags & 1, 1, "sampled");
            assert!(seen.span.end_time_unix_nano >= seen.span.start_time_unix_nano && !seen.failed());
            assert_eq!(seen.resource["service.name"], "policies");
            assert_eq!(seen.resource["deployment.environment.name"], "test");
            assert_eq!(seen.resource["service.version"], "9");
            has(seen, &[("network.peer.address", "127.0.0.1"), ("enduser.id", "anonymous")]);
            assert!(!format!("{seen:?}").contains("a=b"), "no query");
        }
        assert_ne!(one.span.span_id, two.span.span_id);
        assert_eq!(one.span.name, "grpc.health.v1.Health/Check");
        has(
            one,
            &[("rpc.system", "grpc"), ("rpc.service", "grpc.health.v1.Health"), ("rpc.method", "Check")],
        );
        has(one, &[("rpc.grpc.status_code", "0"), ("network.protocol.version", "2"), ("http.route", "")]);
        assert_eq!(two.span.name, "GET /api/v1/policies/{id}");
        has(two, &[("rpc.service", "c1.api.policy.v1.Policies"), ("rpc.method", "Get")]);
        has(two, &[("rpc.grpc.status_code", "5"), ("http.response.status_code", "404"), ("error.type", "")]);
        has(two, &[("http.request.method", "GET"), ("http.route", "/api/v1/policies/{id}")]);
        has(two, &[("url.path", "/api/v1/policies/x"), ("url.scheme", "http")]);
        has(two, &[("server.address", "127.0.0.1"), ("server.port", &addr.port().to_string())]);
        has(two, &[("network.protocol.version", "1.1")]);
        assert_ne!(two.attribute("network.peer.port"), "");
    }
}

#[test]
fn what_is_our_fault_is_an_error_and_what_is_the_callers_is_not() {
    let collector = Collector::start(None);
    let process = serve(&collector, "grpc", &[], &[]);
    let id = |id| [("x-request-id", id)];
    assert_eq!(grpc(process.addr, "/no.Such/Method", &id("unknown")), Code::Unimplemented);
    // Its body does not come.
    let late = "POST /api/v1/policies HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\nGrpc-Timeout: 1m\r\n\
                X-Request-Id: late\r\nConnection: close\r\n\r\n";
    assert!(http1(process.addr, late).starts_with("HTTP/1.1 504"));
    assert_eq!(rest(process.addr, "POST", "/api/v1/policies", &id("bad"), "{").status, 400);
    assert_eq!(rest(process.addr, "BREW", "/secret/place", &id("nowhere"), "").status, 404);
    end(process);
    let seen = collector.spans();
    let unknown = of(&seen, "unknown");
    assert!(unknown.failed() && unknown.span.name == "grpc", "{unknown:#?}");
    has(
        unknown,
        &[("error.type", "UNIMPLEMENTED"), ("rpc.grpc.status_code", "12"), ("rpc.method", "_OTHER")],
    );
    assert_eq!(unknown.parent(), "", "a trace of its own");
    assert_eq!(unknown.resource["service.name"], "countersign");
    assert_eq!(unknown.resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_ne!(unknown.resource["service.instance.id"], "");
    let late = of(&seen, "late");
    assert!(late.failed() && late.span.name == "POST /api/v1/policies", "{late:#?}");
    has(late, &[("error.type", "504"), ("rpc.grpc.status_code", "4"), ("http.response.status_code", "504")]);
    let bad = of(&seen, "bad");
    assert!(!bad.failed(), "{bad:#?}");
    has(bad, &[("error.type", ""), ("http.response.status_code", "400")]);
    let nowhere = of(&seen, "nowhere");
    assert!(!nowhere.failed() && nowhere.span.name == "HTTP", "{nowhere:#?}");
    has(nowhere, &[("http.request.method", "_OTHER"), ("http.route", ""), ("rpc.method", "")]);
    assert!(!format!("{nowhere:?}").contains("secret"), "a path that nobody knows may hold anything");
}

#[test]
fn whether_a_span_is_recorded_is_said_by_the_caller_or_else_by_the_sampler() {
    let sampler = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let always = [("OTEL_TRACES_SAMPLER", "always_on")];
    type Case<'a> = (&'a [(&'a str, &'a str)], [bool; 3]);
    let cases: [Case<'_>; 3] =
        [(&[], [true, false, true]), (&sampler, [true, false, false]), (&always, [true, true, true])];
    for (env, recorded) in cases {
        let collector = Collector::start(None);
        let mut process = serve(&collector, "grpc", env, &[]);
        let (yes, no) = (parent(true), parent(false));
        for (id, parent) in [("yes", Some(&yes)), ("no", Some(&no)), ("open", None)] {
            let mut headers = vec![("x-request-id", id)];
            headers.extend(parent.map(|parent| ("traceparent", parent.as_str())));
            grpc(process.addr, HEALTH, &headers);
            let line = find(&mut process.log, |line| line["request_id"] == id);
            let trace = line["trace_id"].as_str().expect("a trace");
            assert!(parent.is_none() || trace == TRACE, "{line}");
        }
        end(process);
        let seen = collector.spans();
        let is = |id| seen.iter().any(|seen| seen.attribute("countersign.request_id") == id);
        assert_eq!(["yes", "no", "open"].map(is), recorded, "{env:?}");
    }
}

#[test]
fn what_is_no_traceparent_begins_a_new_trace() {
    let collector = Collector::start(None);
    let process = serve(&collector, "grpc", &[], &[]);
    let broken = format!("00-{TRACE}-{SPAN}-1");
    grpc(
        process.addr,
        HEALTH,
        &[("traceparent", &broken), ("tracestate", "a=1"), ("x-request-id", "broken")],
    );
    let long = vec!["a=1"; 33].join(",");
    grpc(
        process.addr,
        HEALTH,
        &[("traceparent", &parent(true)), ("tracestate", &long), ("x-request-id", "long")],
    );
    end(process);
    let seen = collector.spans();
    let broken = of(&seen, "broken");
    assert!(broken.trace() != TRACE && broken.parent().is_empty() && broken.span.trace_state.is_empty());
    let long = of(&seen, "long");
    assert!(long.trace() == TRACE && long.span.trace_state.is_empty());

    let collector = Collector::start(None);
    let process = serve(&collector, "grpc", &[("OTEL_PROPAGATORS", "b3")], &[]);
    grpc(process.addr, HEALTH, &[("traceparent", &parent(true)), ("x-request-id", "alone")]);
    end(process);
    assert_ne!(of(&collector.spans(), "alone").trace(), TRACE);
}

#[test]
fn spans_are_sent_while_the_service_runs() {
    let collector = Collector::start(None);
    let env = [("OTEL_BSP_SCHEDULE_DELAY", "1"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")];
    let process = serve(&collector, "http/protobuf", &env, &[]);
    grpc(process.addr, HEALTH, &[("x-request-id", "now")]);
    assert_eq!(spans(collector.next())[0].attribute("countersign.request_id"), "now");
}

#[test]
fn nothing_is_traced_unless_somebody_collects() {
    let collector = Collector::start(None);
    let endpoint = format!("http://{}", collector.addr);
    let there = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let cases: [&[(&str, &str)]; 5] = [
        &[],
        &[("OTEL_SERVICE_NAME", "policies"), ("OTEL_TRACES_SAMPLER", "always_on")],
        &[there, ("OTEL_SDK_DISABLED", "True")],
        &[there, ("OTEL_TRACES_EXPORTER", "none")],
        &[there, ("OTEL_TRACES_EXPORTER", "zipkin")],
    ];
    for env in cases {
        let mut process = Process::serve_in(env, &[]);
        grpc(process.addr, HEALTH, &[("x-request-id", "off"), ("traceparent", &parent(true))]);
        let line = find(&mut process.log, |line| line["request_id"] == "off");
        assert!(line.get("trace_id").is_none(), "{line}");
        end(process);
    }
    assert!(collector.spans().is_empty());
}

#[test]
fn a_collector_that_is_away_or_silent_disturbs_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (addr, protocol) in [
        (silent.local_addr().unwrap(), "grpc"),
        (silent.local_addr().unwrap(), "http/protobuf"),
        (gone, "grpc"),
        (gone, "http/protobuf"),
    ] {
        let endpoint = format!("http://{addr}");
        let env = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "2"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
        ];
        let process = Process::serve_in(&env, &["--shutdown-grace", "0s"]);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut client = Client::connect(process.addr, None).await;
            for _ in 0..50 {
                assert_eq!(call(&mut client, HEALTH, &[]).await, Code::Ok);
            }
        });
        drop(runtime);
        let log = end(process);
        assert!(log.contains("the last spans did not reach their collector") || addr == gone, "{log}");
    }
}

#[test]
fn the_collector_may_be_behind_tls() {
    let authority = Authority::new("of the collector");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Collector::start(Some(authority.acceptor()));
        let endpoint = format!("https://{}", collector.addr);
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap()),
        ];
        let process = serve(&collector, protocol, &env, &[]);
        grpc(process.addr, HEALTH, &[("x-request-id", "secure")]);
        end(process);
        of(&collector.spans(), "secure");
    }
}

#[test]
fn variables_that_cannot_be_are_named_at_the_start() {
    let there = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    let cases: [(&str, &str, &str); 5] = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon", "expected grpc or http/protobuf, and not \"pigeon\""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "expected a number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such.pem", "cannot read /no/such.pem"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null", "there is no certificate"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ];
    for (name, value, said) in cases {
        let mut serve = countersign();
        serve.args([
            "serve",
            "--store",
            "memory:",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        let output = serve.envs([there, (name, value)]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(said), "{name}: {text}");
    }
}
