//! Who is calling, and what they may do: principals, the ways to prove to be one, roles, and the one table that says which
//! method takes which role.
//!
//! A call comes as the head of a request ([`Presented`]) and leaves as a [`Principal`] or as [`Denied`]; [`Guard`] tries
//! the configured ways in their order. Nothing here reads a body, knows a policy, or makes a status: the server does. What
//! is secret is kept as a hash or is zeroed when it is dropped, and is in no error and no log line.

mod access;
mod access_token;
mod clients;
mod denied;
mod entries;
mod fetch;
mod forwarded;
mod grant;
mod guard;
mod jwks;
mod jwt;
mod moment;
mod peer;
mod principal;
mod quota;
mod reload;
mod replay;
mod role;
mod secret;
mod settings;
mod tokens;

pub use access::{Access, access, methods};
pub use access_token::AccessTokens;
pub use clients::{Client, Clients};
pub use denied::Denied;
pub use entries::{EntriesError, Entry, append, entries, remove};
pub use forwarded::{Peers, X_FORWARDED_CLIENT_CERT};
pub use grant::{Form, GrantError, Granted, Granter};
pub use guard::{Guard, Options, Presented, StartError};
pub use moment::Moment;
pub use peer::{Peer, PeerCertificate};
pub use principal::{ANONYMOUS, Principal};
pub use quota::Pass;
pub use role::{Role, Roles};
pub use secret::{Digest, Secret};
pub use settings::{Algorithm, Binding, Issuer, Tables};
pub use tokens::{StaticToken, Tokens};
