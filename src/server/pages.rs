//! What the main port shows to people: the OpenAPI description, and a page to read it and try it. Everything that the
//! page needs is in the program; it asks nobody but the service itself, and its policy for content says so.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response};
use http_body_util::Full;
use tonic::body::Body;

use crate::gateway::{Styles, openapi};
use crate::pb;

/// Scripts and styles of our own only, and no frame around us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// One thing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    OpenApi,
    Docs,
    Script,
    Style,
}

impl Page {
    /// The page at `path`, if there is one and the verb reads.
    pub(crate) fn at(method: &Method, path: &str) -> Option<Page> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        match path {
            "/openapi.json" => Some(Page::OpenApi),
            "/docs" => Some(Page::Docs),
            "/docs/docs.js" => Some(Page::Script),
            "/docs/docs.css" => Some(Page::Style),
            _ => None,
        }
    }
}

/// The pages, made when they are first asked for.
#[derive(Debug)]
pub(crate) struct Pages {
    styles: Styles,
    openapi: OnceLock<Bytes>,
}

impl Pages {
    pub(crate) fn new(styles: Styles) -> Self {
        Pages { styles, openapi: OnceLock::new() }
    }

    /// The answer with a page in it.
    pub(crate) fn answer(&self, page: Page) -> Response<Body> {
        let (kind, bytes) = match page {
            Page::OpenApi => ("application/json", self.openapi()),
            Page::Docs => ("text/html; charset=utf-8", Bytes::from_static(include_bytes!("pages/docs.html"))),
            Page::Script => {
                ("text/javascript; charset=utf-8", Bytes::from_static(include_bytes!("pages/docs.js")))
            }
            Page::Style => ("text/css; charset=utf-8", Bytes::from_static(include_bytes!("pages/docs.css"))),
        };
        let mut response = Response::new(Body::new(Full::new(bytes)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn openapi(&self) -> Bytes {
        let made = self.openapi.get_or_init(|| {
            let version = env!("CARGO_PKG_VERSION");
            // The gateway has refused a bad rule before anybody could ask for this.
            let document = openapi(pb::pool(), &self.styles, version).unwrap_or_default();
            Bytes::from(document.to_string())
        });
        made.clone()
    }
}
