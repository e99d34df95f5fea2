//! From accepted sockets to the pipeline and the admin port: TLS where it is on, then HTTP.
//!
//! Whatever a peer does or leaves undone here is bounded by `handshake-timeout` and ended at once by a drain: nobody who
//! has not finished a handshake has a call in flight.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::admin::Admin;
use super::connection::{Connection, Http};
use super::listener::{self, Socket};
use super::pipeline::Pipeline;
use super::tls::Tls;
use super::web::Web;
use crate::auth::{Peer, PeerCertificate};

/// The admin port is for a few machines; strangers on it must not cost the main port its file descriptors.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// What every connection of the main port is served with.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) http: Arc<Http>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) web: Arc<Web>,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl Intake {
    /// Serves the main port and the second one until `draining` fires; the connections that are still open.
    pub(crate) async fn accept(
        self,
        sockets: Vec<Socket>,
        connections_max: usize,
        draining: CancellationToken,
    ) -> JoinSet<()> {
        let intake = Arc::new(self);
        listener::accept(sockets, connections_max, draining.clone(), |stream, peer| {
            let (intake, draining) = (Arc::clone(&intake), draining.child_token());
            async move {
                let accepted = Instant::now();
                match &intake.tls {
                    None => intake.serve(stream, peer, None, accepted, draining).await,
                    Some(tls) => {
                        let shaken = Box::pin(tls.handshake(stream));
                        let by = accepted + intake.http.handshake_timeout();
                        let shaken = tokio::select! {
                            biased;
                            () = draining.cancelled() => return,
                            shaken = timeout_at(by, shaken) => shaken,
                        };
                        match shaken {
                            Ok(Ok((stream, certificate))) => {
                                intake.serve(stream, peer, certificate, accepted, draining).await;
                            }
                            Ok(Err(error)) => log_refusal(peer, &error),
                            Err(_) => tracing::debug!(%peer, "no TLS within handshake-timeout"),
                        }
                    }
                }
            }
        })
        .await
    }

    /// Serves one connection whose peer is known as well as it will be.
    async fn serve<I>(
        &self,
        io: I,
        peer: Peer,
        certificate: Option<PeerCertificate>,
        accepted: Instant,
        draining: CancellationToken,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let connection = Arc::new(Connection::default());
        let of_requests = Arc::clone(&connection);
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            let connection = Arc::clone(&of_requests);
            // Here and not in the call, which first runs only when its turn comes.
            let in_flight = connection.in_flight();
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            self.web.call(Arc::clone(&self.pipeline), request, connection, in_flight, peer)
        });
        self.http.serve(io, service, connection, accepted, draining).await;
    }
}

/// Whoever only looks whether the port is open is no news; whoever is refused will want to know why.
fn log_refusal(peer: Peer, error: &io::Error) {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => {
            tracing::debug!(%peer, %error, "the peer left during the TLS handshake");
        }
        _ => tracing::info!(%peer, %error, "no TLS with this peer"),
    }
}

/// Serves the admin port until `stop` fires; the connections that are still open.
pub(crate) async fn accept_admin(
    socket: Socket,
    http: Arc<Http>,
    admin: Arc<Admin>,
    stop: CancellationToken,
) -> JoinSet<()> {
    listener::accept(vec![socket], ADMIN_CONNECTIONS_MAX, stop.clone(), |stream, _| {
        let (http, admin, stop) = (Arc::clone(&http), Arc::clone(&admin), stop.child_token());
        async move {
            let service = service_fn(move |request| {
                let answer = admin.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            http.serve(stream, service, Arc::default(), Instant::now(), stop).await;
        }
    })
    .await
}
