//! TLS: the certificate that the service shows, the ones that its callers show, and both anew when their files change.
//!
//! gRPC and REST share the port by ALPN (`h2`, `http/1.1`). The acceptor in force is replaced as a whole and only by one
//! that works, so a connection has the old files or the new ones, never a mixture. It knows no HTTP and no principal: what
//! a verified certificate says goes on as an [`auth::PeerCertificate`](crate::auth::PeerCertificate).

mod files;
mod names;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::auth::PeerCertificate;
use crate::config::Settings;
use files::{Digest, Files, Loaded};

pub use files::TlsError;

/// What connections are shaken hands with.
#[derive(Debug)]
pub(crate) struct Tls {
    files: Files,
    interval: Duration,
    current: RwLock<Acceptor>,
}

struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor(..)")
    }
}

/// Loads what the settings name. `None`: they name nothing, and the ports speak plain.
pub(crate) async fn open(settings: &Settings) -> Result<Option<(Arc<Tls>, Digest)>, TlsError> {
    let Some(files) = Files::of(settings) else { return Ok(None) };
    let Loaded { config, digest, not_after } = files.clone().load().await?;
    tracing::info!(certificate = %files.certificate.display(), not_after, "TLS");
    let interval = settings.tls_reload_interval.duration();
    let current = RwLock::new(Acceptor(TlsAcceptor::from(config)));
    Ok(Some((Arc::new(Tls { files, interval, current }), digest)))
}

impl Tls {
    /// Shakes hands. Waits for the peer as long as it takes; whoever calls sets the bound.
    pub(crate) async fn handshake<I>(&self, io: I) -> io::Result<(TlsStream<I>, Option<PeerCertificate>)>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone();
        let stream = acceptor.accept(io).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|der| names::of(der)).transpose()?;
        Ok((stream, certificate))
    }

    /// Reads the files again and again until `stop` fires, and takes them over when they have changed and are good.
    /// `seen` is what was loaded last.
    pub(crate) async fn follow(self: Arc<Self>, mut seen: Digest, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.interval) => {}
            }
            match self.files.clone().load_if_changed(seen).await {
                Ok(None) => {}
                Ok(Some(Loaded { config, digest, not_after })) => {
                    seen = digest;
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Acceptor(TlsAcceptor::from(config));
                    tracing::info!(not_after, "the files of TLS have changed; new connections use them");
                }
                // Once for each state of the files: whoever replaces two of them one after the other is seen in between.
                Err((digest, error)) if seen != digest => {
                    seen = digest;
                    tracing::error!(%error, "the files of TLS have changed and are not usable; the old ones stay");
                }
                Err(_) => {}
            }
        }
    }
}
