//! What stands in a certificate: the names of its holder, and when it ends. Verifies nothing; rustls has done that.

use std::io;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::auth::PeerCertificate;

/// The names of the holder. Names with control characters are left out: they are made to deceive readers of logs.
pub(super) fn of(der: &CertificateDer<'_>) -> io::Result<PeerCertificate> {
    let unreadable =
        |_| io::Error::new(io::ErrorKind::InvalidData, "the names in the certificate cannot be read");
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unreadable(error.to_string()))?;
    let mut peer = PeerCertificate::default();
    let alternative =
        certificate.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) => peer.uris.extend(plain(uri)),
            GeneralName::DNSName(name) => peer.dns_names.extend(plain(name)),
            _ => {}
        }
    }
    let common_name = certificate.subject().iter_common_name().next();
    peer.common_name = common_name.and_then(|name| name.as_str().ok()).and_then(plain);
    Ok(peer)
}

fn plain(name: &str) -> Option<String> {
    (!name.is_empty() && !name.contains(char::is_control)).then(|| name.to_owned())
}

/// The end of its time, or nothing where it does not say.
pub(super) fn not_after(der: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate.validity().not_after.to_string())
        .unwrap_or_default()
}
