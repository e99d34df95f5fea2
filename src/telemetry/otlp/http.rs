//! `http/protobuf`: a batch of spans in one POST, on a connection of its own. Batches are seconds apart.
//!
//! The thread that sends batches has no runtime, so the exchange happens in the one that the client was made in.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_util::task::AbortOnDropHandle;

/// A collector answers with a few bytes, or a sentence.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// Sends requests, and each within its time.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Handle,
    timeout: Duration,
    roots: Arc<RootCertStore>,
}

impl Client {
    /// `authorities` (PEM) are trusted instead of the system's.
    pub(super) fn new(timeout: Duration, authorities: Option<&[u8]>) -> Result<Client, String> {
        let mut roots = RootCertStore::empty();
        match authorities {
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    roots.add(certificate.map_err(text)?).map_err(text)?;
                }
            }
        }
        Ok(Client { runtime: Handle::current(), timeout, roots: Arc::new(roots) })
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    // As `async_trait` writes it.
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Sent<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let exchange = exchange(request, Arc::clone(&self.roots));
        let timeout = self.timeout;
        // Inside, because a timer belongs to a runtime.
        let bounded = async move { tokio::time::timeout(timeout, exchange).await };
        let exchange = AbortOnDropHandle::new(self.runtime.spawn(bounded));
        Box::pin(async move { exchange.await?? })
    }
}

async fn exchange(request: Request<Bytes>, roots: Arc<RootCertStore>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri().clone();
    let host = uri.host().ok_or("the endpoint has no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    if !secure {
        return post(request, &uri, stream).await;
    }
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host)?, stream).await?;
    post(request, &uri, stream).await
}

async fn post<I>(mut request: Request<Bytes>, uri: &Uri, io: I) -> Result<Response<Bytes>, HttpError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let authority = uri.authority().ok_or("the endpoint has no host")?;
    request.headers_mut().insert(header::HOST, authority.as_str().parse()?);
    *request.uri_mut() = Uri::from(uri.path_and_query().cloned().ok_or("the endpoint has no path")?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request.map(Full::new)).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await?.to_bytes();
    Ok(Response::from_parts(head, body))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
