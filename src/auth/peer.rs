//! What a verified client certificate says about its holder.

/// The names in a client certificate that the TLS handshake has verified against the configured authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// URI names, in the order of the certificate; a SPIFFE id is one of them.
    pub uris: Vec<String>,
    /// DNS names, in the order of the certificate.
    pub dns_names: Vec<String>,
    /// The common name of the subject.
    pub common_name: Option<String>,
}

impl PeerCertificate {
    /// The name that the holder goes by: the SPIFFE URI, else the first DNS name, else the common name.
    pub fn name(&self) -> Option<&str> {
        let spiffe = self.uris.iter().find(|uri| uri.starts_with("spiffe://"));
        spiffe.or(self.dns_names.first()).or(self.common_name.as_ref()).map(String::as_str)
    }
}
