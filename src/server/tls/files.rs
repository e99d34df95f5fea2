//! From the files that the settings name to a configuration of rustls, or to a sentence about the file that is wrong.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::Digest as _;

use super::names;
use crate::config::{ClientAuth, Settings};

/// A chain has a few kilobytes, the authorities of a whole system some hundred.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// What the service speaks above TLS, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What files held, so that a change shows. For a state in which one could not be read, the digest of what went wrong.
pub(crate) type Digest = [u8; 32];

/// Why files cannot be used. Never shows what is in one.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, not ours to read, or too large to be what it should be.
    #[error("{setting}: cannot read {path}: {error}")]
    Read { setting: &'static str, path: PathBuf, error: io::Error },
    /// A file holds something else.
    #[error("{setting}: {path}: {problem}")]
    Content { setting: &'static str, path: PathBuf, problem: String },
    /// Each file is fine and they do not fit together.
    #[error("tls-cert and tls-key: {0}")]
    Pair(rustls::Error),
    /// The work was interrupted because the process ends.
    #[error("interrupted")]
    Interrupted,
}

/// Which files, and what they are for.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_auth: ClientAuth,
}

/// A configuration that works.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) digest: Digest,
    /// When the certificate ends, for the log.
    pub(super) not_after: String,
}

/// The bytes of all files.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    /// `None` when the settings name none.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        Some(Self {
            certificate: settings.tls_cert.0.clone()?,
            key: settings.tls_key.0.clone()?,
            client_ca: settings.tls_client_ca.0.clone(),
            client_auth: settings.tls_client_auth,
        })
    }

    /// Reads the files.
    pub(super) async fn load(self) -> Result<Loaded, TlsError> {
        match self.load_if_changed(Digest::default()).await {
            Ok(Some(loaded)) => Ok(loaded),
            Ok(None) => Err(TlsError::Interrupted),
            Err((_, error)) => Err(error),
        }
    }

    /// Reads the files; `None` when they hold what they held. An error comes with the digest of the state that it is about.
    pub(super) async fn load_if_changed(self, seen: Digest) -> Result<Option<Loaded>, (Digest, TlsError)> {
        let work = tokio::task::spawn_blocking(move || {
            let contents = self.read().map_err(|error| (of_text(&error.to_string()), error))?;
            let digest = contents.digest();
            if digest == seen {
                return Ok(None);
            }
            self.configure(&contents, digest).map(Some).map_err(|error| (digest, error))
        });
        work.await.unwrap_or(Ok(None))
    }

    fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: read("tls-cert", &self.certificate)?,
            key: read("tls-key", &self.key)?,
            client_ca: self.client_ca.as_deref().map(|path| read("tls-client-ca", path)).transpose()?,
        })
    }

    fn configure(&self, contents: &Contents, digest: Digest) -> Result<Loaded, TlsError> {
        let chain = certificates("tls-cert", &self.certificate, &contents.certificate)?;
        let not_after = chain.first().map(names::not_after).unwrap_or_default();
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| TlsError::Content {
            setting: "tls-key",
            path: self.key.clone(),
            // The reader's own words could show a part of the key.
            problem: "there is no private key (PEM, not encrypted) in it".to_owned(),
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let builder = match (&self.client_ca, &contents.client_ca) {
            (Some(path), Some(bytes)) => {
                let wrong = |problem: String| TlsError::Content {
                    setting: "tls-client-ca",
                    path: path.clone(),
                    problem,
                };
                let mut roots = RootCertStore::empty();
                for authority in certificates("tls-client-ca", path, bytes)? {
                    roots.add(authority).map_err(|error| wrong(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match self.client_auth {
                    ClientAuth::Require => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(error.to_string()))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Loaded { config: Arc::new(config), digest, not_after })
    }
}

impl Contents {
    fn digest(&self) -> Digest {
        let mut sha = sha2::Sha256::new();
        for bytes in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten()
        {
            sha.update((bytes.len() as u64).to_be_bytes());
            sha.update(bytes);
        }
        sha.finalize().into()
    }
}

fn of_text(text: &str) -> Digest {
    sha2::Sha256::digest(text).into()
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::Read { setting, path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(failed(io::Error::other(format!("it is larger than {FILE_MAX_BYTES} bytes"))));
    }
    Ok(bytes)
}

fn certificates(
    setting: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |problem: String| TlsError::Content { setting, path: path.to_owned(), problem };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let all = all.map_err(|error| wrong(format!("it is not PEM: {error}")))?;
    if all.is_empty() {
        return Err(wrong("there is no certificate (PEM) in it".to_owned()));
    }
    Ok(all)
}
