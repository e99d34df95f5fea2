//! The service as it stands on the network: two ports, one list of layers, and an orderly end.
//!
//! [`start`] is handed the settings and the [`Parts`] that do the work, binds both ports and returns; from then on the
//! service runs until [`Running::stop`]. It decides nothing about policies and opens no store.
//!
//! A connection is accepted in `listener`, shaken hands with in `intake`, served in `connection`; each request on it passes `pipeline`, where the
//! layers stand in one list, and ends in `answer`, where it is logged and counted.

mod admin;
mod admission;
mod assembly;
mod answer;
mod classify;
mod connection;
mod deadline;
mod gather;
mod health;
mod intake;
mod keys;
mod limits;
mod listener;
mod pages;
mod pipeline;
mod refusal;
mod request_id;
pub mod services;
mod token;
mod tls;
mod trace;
mod unix;
mod web;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic_health::server::HealthReporter;

use crate::app::App;
use crate::auth::Guard;
use crate::config::{Listen, Settings};
use crate::gateway::{Gateway, Styles};
use crate::store::Health;
use crate::telemetry::{Metrics, Tracer};
use admin::Admin;
use classify::Methods;
use connection::Http;
use intake::Intake;
use limits::Gate;
use pages::Pages;
use pipeline::Pipeline;
use web::Web;

pub use assembly::{Assembled, AssemblyError, assemble};
pub use keys::{KeysUnreadable, keys};
pub use services::Services;
pub use tls::TlsError;

/// What the frame is built around.
#[derive(Debug)]
pub struct Parts {
    /// The RPC services. Health and reflection are added here.
    pub services: services::Builder,
    /// The encoded `FileDescriptorSet` of those services, as the compiler wrote it.
    pub descriptors: &'static [u8],
    /// REST. Its limit for bodies is set here, from the settings.
    pub gateway: Gateway,
    /// How each package speaks JSON, for its description.
    pub styles: Styles,
    /// The metrics that the admin port shows; the store has its handles from the same value.
    pub metrics: Arc<Metrics>,
    /// Whether the store takes writes. While it does not, the service is not ready.
    pub health: watch::Receiver<Health>,
    /// Who is let in.
    pub guard: Arc<Guard>,
    /// Where the calls that are denied are written down, if anywhere.
    pub audit: Option<Arc<App>>,
    /// What spans are begun with, where somebody collects them.
    pub tracer: Option<Tracer>,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is in use, or not ours.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Bind { setting: &'static str, address: Listen, source: io::Error },
    /// The files of TLS are not there or not good.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The embedded descriptors are broken; the build is.
    #[error("the embedded descriptors do not decode: {0}")]
    Descriptors(#[from] prost::DecodeError),
    /// The same, as reflection sees it.
    #[error("the embedded descriptors do not decode: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A service that is up.
#[derive(Debug)]
pub struct Running {
    /// The main port, as bound.
    pub addr: Listen,
    /// The admin port, as bound.
    pub admin_addr: SocketAddr,
    /// The second port for gRPC, as bound, if there is one.
    pub raystack_grpc_addr: Option<SocketAddr>,
    stop: CancellationToken,
    ended: JoinHandle<Drained>,
    // Whoever drops the handle without a word does not leave a service behind.
    _stop_on_drop: DropGuard,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had to be cut at the deadline.
    pub connections_cut: usize,
    /// Calls that were being worked on when they were cut.
    pub calls_cut: u32,
}

impl Running {
    /// Tells the service to stop: not ready at once, no new connections after the delay, cut off after the grace.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the service has ended, which it only does after [`Running::stop`].
    pub async fn ended(self) -> Drained {
        // The supervising task panics only when it is aborted with the runtime.
        self.ended.await.unwrap_or(Drained { connections_cut: 0, calls_cut: 0 })
    }
}

/// Binds both ports and starts serving.
pub async fn start(settings: &Settings, parts: Parts) -> Result<Running, Error> {
    let Parts { services, descriptors, gateway, styles, metrics, health, guard, audit, tracer } = parts;
    let mut all = vec![descriptors];
    all.extend(health::DESCRIPTORS);
    let methods = Methods::new(&all, &metrics)?;
    let service_names = methods.services().to_vec();
    let (services, reporter) = health::add_to(services, descriptors)?;

    let tls = tls::open(settings).await?;
    let (socket, addr) = listener::bind("listen", &settings.listen).await?;
    let (admin_socket, admin_addr) = listener::bind_tcp("admin-listen", settings.admin_listen).await?;
    let mut sockets = vec![socket];
    let mut raystack_grpc_addr = None;
    if let Some(address) = settings.raystack_grpc_listen.0 {
        let (socket, addr) = listener::bind_tcp("raystack-grpc-listen", address).await?;
        sockets.push(socket);
        raystack_grpc_addr = Some(addr);
        tracing::info!(raystack_grpc_listen = %addr, "serving on a second port");
    }

    let stop = CancellationToken::new();
    let draining = CancellationToken::new();
    let pipeline = Arc::new(Pipeline {
        methods,
        audit,
        services,
        gateway: gateway.body_limit(settings.max_message_bytes.bytes() as usize),
        pages: Pages::new(styles),
        max_message_bytes: settings.max_message_bytes.bytes(),
        max_header_bytes: settings.max_header_bytes.bytes(),
        request_deadline: settings.request_deadline.duration(),
        requests: Gate::new("max-requests-in-flight", settings.max_requests_in_flight.get()),
        streams: Gate::new("max-streams-in-flight", settings.max_streams_in_flight.get()),
        draining: draining.clone(),
        guard,
        tracer,
        secure: tls.is_some(),
    });
    let ready = *health.borrow() == Health::Ready;
    health::report(&reporter, &service_names, ready).await;

    let http = Arc::new(Http::new(settings));
    let web = Arc::new(Web::new(settings));
    let admin = Arc::new(Admin { metrics, health: health.clone(), stopping: stop.clone() });
    let admin_stop = CancellationToken::new();
    let admin_loop =
        tokio::spawn(intake::accept_admin(admin_socket, Arc::clone(&http), admin, admin_stop.clone()));
    let connections_max = settings.max_connections.get() as usize;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let tls = tls.map(|(tls, loaded)| {
        tokio::spawn(Arc::clone(&tls).follow(loaded, draining.clone()));
        tls
    });
    let intake = Intake { http, tls, web, pipeline: Arc::clone(&pipeline) };
    let main_loop = tokio::spawn(intake.accept(sockets, connections_max, draining.clone()));

    let supervisor = Supervisor {
        pipeline,
        reporter,
        service_names,
        health,
        stop: stop.clone(),
        draining,
        delay: settings.shutdown_delay.duration(),
        grace: settings.shutdown_grace.duration(),
    };
    let ended = tokio::spawn(async move {
        let drained = supervisor.run(main_loop).await;
        admin_stop.cancel();
        if let Ok(mut open) = admin_loop.await {
            open.abort_all();
        }
        drained
    });
    tracing::info!(listen = %addr, scheme, admin_listen = %admin_addr, "serving");
    Ok(Running {
        addr,
        admin_addr,
        raystack_grpc_addr,
        _stop_on_drop: stop.clone().drop_guard(),
        stop,
        ended,
    })
}

/// Keeps health up to date while the service runs, and ends it in order.
struct Supervisor {
    pipeline: Arc<Pipeline>,
    reporter: HealthReporter,
    service_names: Vec<String>,
    health: watch::Receiver<Health>,
    stop: CancellationToken,
    draining: CancellationToken,
    delay: Duration,
    grace: Duration,
}

impl Supervisor {
    async fn run(mut self, main_loop: JoinHandle<JoinSet<()>>) -> Drained {
        self.follow_health().await;

        // Load balancers are told first and given time to believe it; who comes nevertheless is still served.
        health::report(&self.reporter, &self.service_names, false).await;
        tracing::info!(delay = ?self.delay, grace = ?self.grace, "shutting down");
        tokio::time::sleep(self.delay).await;

        // Stops accepting, sends GOAWAY, ends watches.
        self.draining.cancel();
        let Ok(mut open) = main_loop.await else { return Drained { connections_cut: 0, calls_cut: 0 } };
        let all_left = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace, all_left).await.is_ok() {
            tracing::info!("all calls finished");
            return Drained { connections_cut: 0, calls_cut: 0 };
        }

        // A peer that never finishes its handshake, its request or reading its answer would keep hyper waiting for ever.
        let calls_cut = self.pipeline.requests.inside().saturating_add(self.pipeline.streams.inside());
        let drained = Drained { connections_cut: open.len(), calls_cut };
        tracing::warn!(
            connections = drained.connections_cut,
            calls = drained.calls_cut,
            "cut off at shutdown-grace"
        );
        open.abort_all();
        drained
    }

    /// Says NOT_SERVING while the store takes no writes; returns when the service is told to stop.
    async fn follow_health(&mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                changed = self.health.changed() => {
                    if changed.is_err() {
                        // Whoever would have said so is gone: the last word stands.
                        self.stop.cancelled().await;
                        return;
                    }
                    let health = self.health.borrow_and_update().clone();
                    match &health {
                        Health::Ready => tracing::info!("ready again"),
                        Health::NotReady { why } => tracing::error!(why, "not ready"),
                    }
                    health::report(&self.reporter, &self.service_names, health == Health::Ready).await;
                }
            }
        }
    }
}
