//! The layer that lets calls in: who calls, and whether they may. It works on the head of a request, before anything of it
//! is decoded, and makes the statuses of those that stay outside.
//!
//! To who is not let in, everything looks the same: a path that is there, one that is not, and every credential that does not
//! count, but for one that did until it expired. Why it does not is in the log.

use http::Request;
use http::header::AUTHORIZATION;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::auth::{
    Denied, Guard, Pass, Peer, PeerCertificate, Presented, Principal, Roles, X_FORWARDED_CLIENT_CERT,
};
use crate::rpc::status;
use crate::telemetry;

/// What Guardian says, and so what every face says.
const UNAUTHENTICATED: &str = "invalid authentication credentials";
/// What who had a good credential hears.
const EXPIRED: &str = "the credential has expired";

/// What the caller wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// What needs no credential.
    Open,
    /// A method, `/package.Service/Method`.
    Method(&'a str),
    /// Something that is not there.
    Nothing,
}

/// Lets a request in, with its principal among its extensions, or says why not. `named` hears who calls as soon as that
/// is known. What comes back is the call's place among those of its principal.
pub(crate) async fn admit<B>(
    guard: &Guard,
    request: &mut Request<B>,
    peer: Peer,
    wanted: Wanted<'_>,
    mut named: impl FnMut(&str),
) -> Result<Option<Pass>, Status> {
    // Taken out for the while, since a body may not be shared between threads and a head may.
    let headers = std::mem::take(request.headers_mut());
    let certificate = request.extensions_mut().remove::<PeerCertificate>();
    let presented = Presented { headers: &headers, certificate: certificate.as_ref(), peer };
    let outcome = decide(guard, &presented, wanted, &mut named).await;
    *request.headers_mut() = headers;
    // Nobody behind this layer has a use for them.
    request.headers_mut().remove(AUTHORIZATION);
    request.headers_mut().remove(X_FORWARDED_CLIENT_CERT);
    match outcome {
        Ok((principal, pass)) => {
            request.extensions_mut().insert(principal);
            Ok(pass)
        }
        Err(denied) => {
            tracing::info!(why = %denied, request_id = telemetry::request_id(), "denied");
            Err(status(&denied))
        }
    }
}

async fn decide(
    guard: &Guard,
    presented: &Presented<'_>,
    wanted: Wanted<'_>,
    named: &mut impl FnMut(&str),
) -> Result<(Principal, Option<Pass>), Denied> {
    if is_open(guard, wanted) {
        let principal = Principal::anonymous();
        named(&principal.name);
        let pass = guard.enter(&principal, presented.peer)?;
        return Ok((principal, pass));
    }
    let principal = guard.authenticate(presented).await?;
    named(&principal.name);
    let pass = guard.enter(&principal, presented.peer)?;
    match wanted {
        Wanted::Method(method) => guard.authorise(&principal, method)?,
        // Whoever may do nothing learns nothing either.
        Wanted::Nothing if principal.roles.is_empty() => return Err(Denied::Forbidden { needs: Roles::ALL }),
        Wanted::Nothing | Wanted::Open => {}
    }
    Ok((principal, pass))
}

/// Health and its like are asked by machines that have no credential, and answered without looking for one.
fn is_open(guard: &Guard, wanted: Wanted<'_>) -> bool {
    match wanted {
        Wanted::Open => true,
        Wanted::Method(method) => guard.is_open(method),
        Wanted::Nothing => false,
    }
}

/// What a caller hears who is not let in.
pub(crate) fn status(denied: &Denied) -> Status {
    match denied {
        Denied::Missing | Denied::Invalid(_) => {
            with(Code::Unauthenticated, UNAUTHENTICATED, info("CREDENTIAL_INVALID"))
        }
        Denied::Expired(_) => with(Code::Unauthenticated, EXPIRED, info("CREDENTIAL_EXPIRED")),
        Denied::Forbidden { needs } if needs.is_empty() => {
            with(Code::PermissionDenied, "nobody may call this method", info("ROLE_MISSING"))
        }
        Denied::Forbidden { needs } => {
            let text = format!("this call needs the role {needs}");
            with(Code::PermissionDenied, &text, info("ROLE_MISSING"))
        }
        Denied::Exhausted { what, retry_after } => {
            let mut details = info("TOO_MANY_CALLS");
            details.set_retry_info(Some(*retry_after));
            with(Code::ResourceExhausted, what, details)
        }
        Denied::Unavailable(_) => {
            with(Code::Unavailable, "credentials cannot be checked now", info("CREDENTIAL_UNCHECKED"))
        }
    }
}

fn info(reason: &str) -> ErrorDetails {
    status::info(reason, &[])
}

fn with(code: Code, text: &str, details: ErrorDetails) -> Status {
    Status::with_error_details(code, text, details)
}
