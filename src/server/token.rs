//! `POST /auth/v1/token`, which is no RPC: a form comes in, JSON in the words of OAuth 2.0 goes out (RFC 6749, sections 5.1
//! and 5.2). What it decides on is in `auth`.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, PRAGMA, RETRY_AFTER,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::json;
use tonic::Code;
use tonic::body::Body;
use zeroize::Zeroizing;

use crate::auth::{Denied, Form, GrantError, Granted, Guard, Peer};

/// The largest form. An assertion has less than one KiB.
const FORM_MAX_BYTES: usize = 32 * 1024;

/// What the tokens are that are given for others.
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// One request.
pub(crate) async fn answer<B>(guard: &Guard, request: Request<B>, peer: Peer) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(granter) = guard.granter() else {
        let text = "no clients are configured";
        return json(
            StatusCode::NOT_FOUND,
            Code::NotFound,
            &json!({"error": "invalid_request", "error_description": text}),
        );
    };
    if request.method() != Method::POST {
        let error = GrantError::InvalidRequest("only POST");
        let mut response = refused(&error);
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let host = request.uri().host().or_else(|| request.headers().get(HOST)?.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    let form = match Limited::new(request.into_body(), FORM_MAX_BYTES).collect().await {
        Ok(body) => Form::parse(&Zeroizing::new(body.to_bytes().to_vec())),
        Err(_) => Err(GrantError::InvalidRequest("the form is too large, or did not come to its end")),
    };
    let granted = match form {
        Ok(form) => granter.grant(&form, &host, guard.now()).await,
        Err(error) => Err(error),
    };
    match granted {
        Ok(granted) => given(&granted),
        Err(error) => {
            tracing::info!(why = %error, code = error.code(), "no access token");
            match guard.client_failed(peer) {
                Err(Denied::Exhausted { retry_after, .. }) => refused(&GrantError::Exhausted { retry_after }),
                _ => refused(&error),
            }
        }
    }
}

fn given(granted: &Granted) -> Response<Body> {
    tracing::info!(principal = granted.principal, "access token given");
    let (token, seconds) = (granted.access_token.reveal(), granted.expires_in.as_secs());
    let body = match granted.exchanged {
        false => json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}),
        true => json!({
            "access_token": token,
            "issued_token_type": ACCESS_TOKEN_TYPE,
            "token_type": "Bearer",
            "expires_in": seconds,
        }),
    };
    json(StatusCode::OK, Code::Ok, &body)
}

fn refused(error: &GrantError) -> Response<Body> {
    let (status, code) = match error {
        GrantError::InvalidRequest(_) | GrantError::UnsupportedGrantType => {
            (StatusCode::BAD_REQUEST, Code::InvalidArgument)
        }
        GrantError::InvalidClient(_) => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        GrantError::Exhausted { .. } => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        GrantError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
    };
    let body = json!({"error": error.code(), "error_description": error.description()});
    let mut response = json(status, code, &body);
    if let Some(pause) = error.retry_after() {
        let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Nothing of this may be kept by anybody in between.
fn json(status: StatusCode, code: Code, body: &serde_json::Value) -> Response<Body> {
    let body = body.to_string();
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    response.extensions_mut().insert(code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
