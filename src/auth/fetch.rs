//! One small document over HTTPS, with every wait and every size bounded. No redirects: the URL is the operator's word.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, StatusCode, Uri, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_util::task::AbortOnDropHandle;

/// From the first packet to the last byte.
const FETCH_MAX_SECONDS: u64 = 5;
/// A JWK set has a few KiB.
const DOCUMENT_MAX_BYTES: usize = 256 * 1024;

/// Where a document is, and whom to trust there.
pub(super) struct Fetch {
    url: Uri,
    host: String,
    port: u16,
    /// `None` for plain HTTP, which is only taken from this machine.
    tls: Option<TlsConnector>,
}

impl Fetch {
    /// `ca` is a file with authorities (PEM); without it, the system's count.
    pub(super) fn new(url: &str, ca: Option<&Path>) -> Result<Fetch, String> {
        let wrong = || format!("{url:?} is no URL like https://HOST/PATH, and no file:PATH");
        let url: Uri = url.parse().map_err(|_| wrong())?;
        let host = url.host().ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && loopback(&host) => false,
            Some(scheme) if *scheme == Scheme::HTTP => {
                return Err(format!("{url}: keys are only taken over https, but for this machine's own"));
            }
            _ => return Err(wrong()),
        };
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure { Some(connector(ca)?) } else { None };
        Ok(Fetch { url, host, port, tls })
    }

    /// For the log.
    pub(super) fn url(&self) -> String {
        self.url.to_string()
    }

    /// The document.
    pub(super) async fn get(&self) -> Result<String, String> {
        match tokio::time::timeout(Duration::from_secs(FETCH_MAX_SECONDS), self.exchange()).await {
            Ok(document) => document,
            Err(_) => Err(format!("no answer within {FETCH_MAX_SECONDS} s")),
        }
    }

    async fn exchange(&self) -> Result<String, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(text)?;
        match &self.tls {
            None => self.ask(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(text)?;
                self.ask(tls.connect(name, stream).await.map_err(text)?).await
            }
        }
    }

    async fn ask<I>(&self, io: I) -> Result<String, String>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(text)?;
        let authority = self.url.authority().map_or(self.host.as_str(), http::uri::Authority::as_str);
        let path = self.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(text)?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let response = sender.send_request(request).await.map_err(text)?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let body = response.into_body();
        if body.size_hint().lower() > DOCUMENT_MAX_BYTES as u64 {
            return Err(format!("the answer is larger than {DOCUMENT_MAX_BYTES} bytes"));
        }
        let body = Limited::new(body, DOCUMENT_MAX_BYTES).collect().await.map_err(text)?;
        String::from_utf8(body.to_bytes().into()).map_err(text)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let failed = |error| format!("{}: {error}", path.display());
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("there are no authorities to check the issuer's server against".to_owned());
    }
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(text)?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock stands still but for those who wait for it.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_not_waited_for() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        // The kernel takes the connection; nobody ever reads from it.
        let fetch = Fetch::new(&format!("http://127.0.0.1:{port}/keys"), None).unwrap();
        let error = fetch.get().await.unwrap_err();
        assert!(error.contains("no answer within 5 s"), "{error}");
    }

    #[test]
    fn keys_are_taken_in_the_clear_from_this_machine_only() {
        for url in ["http://127.0.0.1/keys", "http://localhost:8080/keys", "http://[::1]/keys"] {
            assert!(Fetch::new(url, None).is_ok(), "{url}");
        }
        for url in
            ["http://id.example.org/keys", "http://127.0.0.1.example.org/", "ftp://127.0.0.1/", "keys", ""]
        {
            assert!(Fetch::new(url, None).is_err(), "{url}");
        }
    }
}
