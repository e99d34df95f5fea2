//! What goes into an operation beside the request, and what comes out beside the response.

/// Who calls, and what their call's metadata asks for.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The principal that revisions name.
    pub actor: String,
    /// The full name of the RPC, `package.Service/Method`, that revisions name.
    pub method: &'static str,
    /// `If-Match`: write only if the etag is one of these.
    pub if_match: Option<String>,
    /// `Idempotency-Key`: the same key gets the same answer.
    pub idempotency_key: Option<String>,
    /// `countersign-validate-only`: everything is checked and nothing is written (AIP-163). The answer is what would be
    /// stored, without the id and the etag that only a write gives.
    pub validate_only: bool,
    /// `countersign-apply`, on an update of a Guardian policy: what is secret and left out stays, and what changes nothing
    /// makes no version.
    pub apply: bool,
}

/// A response, and what travels beside it.
#[derive(Clone, Debug, Default)]
pub struct Answer<T> {
    /// The response message.
    pub message: T,
    /// The etag of the one policy that the response carries.
    pub etag: Option<String>,
    /// `CODE field.path: sentence`, each.
    pub warnings: Vec<String>,
}

impl<T> From<T> for Answer<T> {
    fn from(message: T) -> Self {
        Answer { message, etag: None, warnings: Vec::new() }
    }
}
