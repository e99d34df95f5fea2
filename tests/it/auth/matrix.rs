//! Every RPC of the descriptors, over every face, with every credential that counts and every one that does not.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use countersign::auth::{self, Role};
use countersign::pb;
use futures_util::stream::{self, StreamExt as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};
use serde_json::Value as Json;
use tonic::Code;

use super::jwt::{self, Key};
use super::{Answer, Connection, Files, access_token, bearer, data};
use crate::harness::{ManualClock, Server};

/// No message of ours, so whoever gets far enough to decode it says something else than "denied".
const GARBAGE: &[u8] = &[0xff, 0xff, 0xff];
/// Fewer cases than this, and somebody has lost some.
const CASES_MIN: usize = 2_000;

/// Requests on the connection at one time.
const AT_ONE_TIME: usize = 64;

/// When all of it happens.
const NOW: i64 = 1_700_003_600;

type Headers = Vec<(&'static str, Vec<u8>)>;

/// Who may call a method.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Open,
    Roles(BTreeSet<&'static str>),
}

/// The table of `data/auth/methods.tsv`.
fn expected() -> BTreeMap<String, Expected> {
    let text = data("methods.tsv");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let (method, roles) = line.split_once('\t').unwrap_or_else(|| panic!("no tab: {line}"));
        if roles == "open" {
            return (method.to_owned(), Expected::Open);
        }
        let named = roles.split(' ').map(|role| role.parse::<Role>().unwrap().name());
        (method.to_owned(), Expected::Roles(named.collect()))
    })
    .collect()
}

/// Every method that the server has, with its http rules.
fn methods() -> BTreeMap<String, Vec<(String, String)>> {
    let mut pools = vec![pb::pool().clone()];
    for set in [
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ] {
        pools.push(DescriptorPool::decode(set).unwrap());
    }
    let mut methods = BTreeMap::new();
    for pool in &pools {
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            methods.insert(path, routes(pool, &method));
        }
    }
    methods
}

/// Verb and path of each http rule of a method.
fn routes(pool: &DescriptorPool, method: &MethodDescriptor) -> Vec<(String, String)> {
    let Some(extension) = pool.get_extension_by_name("google.api.http") else { return Vec::new() };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    let rule = options.get_extension(&extension);
    let rule = rule.as_message().unwrap();
    let mut rules = vec![rule.clone()];
    if let Some(more) = rule.get_field_by_name("additional_bindings") {
        rules.extend(more.as_list().unwrap().iter().map(|rule| rule.as_message().unwrap().clone()));
    }
    rules.iter().map(route).collect()
}

fn route(rule: &DynamicMessage) -> (String, String) {
    for verb in ["get", "put", "post", "delete", "patch"] {
        if let Some(Value::String(path)) = rule.get_field_by_name(verb).as_deref()
            && rule.has_field_by_name(verb)
        {
            let mut filled = String::new();
            let mut rest = path.as_str();
            while let Some((before, after)) = rest.split_once('{') {
                filled.push_str(before);
                // A number is also a text.
                filled.push('1');
                rest = after.split_once('}').unwrap().1;
            }
            filled.push_str(rest);
            return (verb.to_uppercase(), filled);
        }
    }
    panic!("a rule without a path: {rule:?}");
}

#[test]
fn every_rpc_is_in_the_table_and_in_the_matrix() {
    let rpcs: BTreeSet<String> = methods().into_keys().collect();
    let table: BTreeSet<String> = auth::methods().map(str::to_owned).collect();
    let matrix: BTreeSet<String> = expected().into_keys().collect();
    let lacks = |name: &str, listed: &BTreeSet<String>| {
        let differ: Vec<&String> = rpcs.symmetric_difference(listed).collect();
        assert!(differ.is_empty(), "{name} has to list every RPC, and none that is not there: {differ:#?}");
    };
    lacks("src/auth/access.rs", &table);
    lacks("tests/it/data/auth/methods.tsv", &matrix);
}

/// A server that knows tokens and clients, and credentials for it.
struct World {
    server: Server,
    _files: Files,
    good: Vec<(String, Option<Role>, Headers)>,
    bad: Vec<(String, Headers)>,
}

fn good_kinds() -> Vec<(String, Option<Role>)> {
    let roles = Role::ALL.into_iter().map(|role| (role.name().to_owned(), Some(role)));
    roles.chain([("nothing".to_owned(), None)]).collect()
}

impl World {
    async fn new() -> World {
        let files = Files::new();
        let clock = ManualClock::at(NOW - 3600);
        let (old, old_secret) = files.client("old", &[Role::Admin]);
        let mut tokens = Vec::new();
        let mut clients = Vec::new();
        for (name, role) in good_kinds() {
            let roles: Vec<Role> = role.into_iter().collect();
            tokens.push((name.clone(), role, files.token(&name, &roles)));
            clients.push((name.clone(), role, files.client(&name, &roles)));
        }
        let admin = tokens.iter().find(|(name, ..)| name == "admin").unwrap().2.clone();
        let bound = files.token("bound", &[]);
        let keys = Keys::new();
        std::fs::write(files.path("keys"), jwt::set(&[&keys.own, &keys.later])).unwrap();
        let settings = files.settings(&format!(
            "max-failed-authentications-per-minute = 1000000\nmax-principal-requests-per-second = 1000000\n\
             [[auth.binding]]\nprincipal = 'token:bound'\nroles = ['editor']\n{}",
            jwt::configuration(&format!("file:{}", files.path("keys").display()))
        ));
        let server = Server::with(&settings, clock.clone()).await;
        let connection = Connection::open(server.addr).await;
        let expired = access_token(&connection, &old, &old_secret).await;
        clock.advance(3600);

        let mut good: Vec<(String, Option<Role>, Headers)> = Vec::new();
        good.push(("a token with a binding".to_owned(), Some(Role::Editor), vec![bearer(&bound)]));
        for (name, role, token) in &tokens {
            good.push((format!("static token of {name}"), *role, vec![bearer(token)]));
        }
        for (name, role, (client, secret)) in &clients {
            let token = access_token(&connection, client, secret).await;
            good.push((format!("access token of {name}"), *role, vec![bearer(&token)]));
        }
        for (name, role) in good_kinds() {
            let groups: Vec<&str> = role.into_iter().map(Role::name).collect();
            let token = keys.own.sign(&jwt::claims(NOW, &groups));
            good.push((format!("JWT of {name}"), role, vec![bearer(&token)]));
        }
        let access = access_token(&connection, &old, &old_secret).await;
        let stranger = access_token_of_another_server().await;
        let mut bad = bad_tokens(&admin, &access, &expired, &stranger);
        bad.extend(keys.bad_tokens());
        let mut bad: Vec<(String, Headers)> =
            bad.into_iter().map(|(name, token)| (name.to_owned(), vec![bearer(&token)])).collect();
        bad.extend(bad_headers(&admin));
        World { server, _files: files, good, bad }
    }
}

/// Keys of the issuer, and of one who would like to be it.
struct Keys {
    own: Key,
    /// Of the issuer as well, of another kind.
    later: Key,
    stranger: Key,
}

impl Keys {
    fn new() -> Keys {
        let own = Key::new("own", Algorithm::ES256);
        let later = Key::new("later", Algorithm::EdDSA);
        Keys { own, later, stranger: Key::new("own", Algorithm::ES256) }
    }

    /// JWTs that would let an admin in, if it were not for one thing each.
    fn bad_tokens(&self) -> Vec<(&'static str, String)> {
        let claims = jwt::claims(NOW, &["admin"]);
        let with = |name: &str, value: Json| {
            let mut claims = claims.clone();
            match value {
                Json::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value,
            }
            self.own.sign(&claims)
        };
        let good = self.own.sign(&claims);
        let (head, rest) = good.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let public = jwt::set(&[&self.own]);
        let confused = EncodingKey::from_secret(public.as_bytes());
        let hs = Header { kid: Some("own".to_owned()), ..Header::new(Algorithm::HS256) };
        vec![
            ("an expired JWT", with("exp", (NOW - 3600).into())),
            ("a JWT without an end", with("exp", Json::Null)),
            ("a JWT with a text for an end", with("exp", "never".into())),
            ("a JWT of tomorrow", with("nbf", (NOW + 3600).into())),
            ("a JWT issued tomorrow", with("iat", (NOW + 3600).into())),
            ("a JWT of another issuer", with("iss", "https://id.example.com".into())),
            ("a JWT of two issuers", with("iss", serde_json::json!([jwt::ISSUER]))),
            ("a JWT without an issuer", with("iss", Json::Null)),
            ("a JWT for another audience", with("aud", "countersign2".into())),
            ("a JWT without an audience", with("aud", Json::Null)),
            ("a JWT for nobody", with("aud", serde_json::json!([]))),
            ("a JWT of nobody", with("sub", Json::Null)),
            ("a JWT of somebody with a line break", with("sub", "a\nb".into())),
            ("a JWT of a stranger's key", self.stranger.sign(&claims)),
            ("a JWT of an unknown key", self.own.sign_as(&claims, Some("unknown"))),
            ("a JWT of another key of the issuer", self.later.sign_as(&claims, Some("own"))),
            ("a JWT without a signature", format!("{head}.{payload}.")),
            ("a JWT with a cut signature", format!("{head}.{payload}.{}", &signature[..40])),
            (
                "a JWT with another's signature",
                format!("{head}.{}.{signature}", encode(jwt::claims(NOW, &["admin", "editor"]).to_string())),
            ),
            ("a JWT of no algorithm", format!("{}.{payload}.", encode(r#"{"alg":"none"}"#.to_owned()))),
            (
                "a JWT of no algorithm, signed",
                format!("{}.{payload}.{signature}", encode(r#"{"alg":"none"}"#.to_owned())),
            ),
            ("a JWT of the public key as a secret", jsonwebtoken::encode(&hs, &claims, &confused).unwrap()),
            (
                "a JWT that brings its key",
                format!(
                    "{}.{payload}.{signature}",
                    encode(format!(r#"{{"alg":"ES256","jwk":{}}}"#, self.stranger.jwk()))
                ),
            ),
            ("two JWTs", format!("{good},{good}")),
        ]
    }
}

async fn access_token_of_another_server() -> String {
    let files = Files::new();
    let (client, secret) = files.client("stranger", &[Role::Admin]);
    let server = Server::with(&files.settings(""), ManualClock::at(NOW)).await;
    let token = access_token(&Connection::open(server.addr).await, &client, &secret).await;
    server.stop().await;
    token
}

/// Tokens that do not count, made from ones that do.
fn bad_tokens(admin: &str, access: &str, expired: &str, stranger: &str) -> Vec<(&'static str, String)> {
    let (claims, seal) = access.split_once('.').unwrap();
    let (stranger_claims, _) = stranger.split_once('.').unwrap();
    let flipped = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    vec![
        ("an empty token", String::new()),
        ("two words", format!("{admin} {admin}")),
        ("a word", "password".to_owned()),
        ("an unknown static token", Secret::unknown()),
        ("the beginning of a static token", "cst_".to_owned()),
        ("a changed static token", flipped(admin)),
        ("a cut static token", admin[..admin.len() - 1].to_owned()),
        ("a longer static token", format!("{admin}A")),
        ("a static token in capitals", admin.to_uppercase()),
        ("a static token without its beginning", admin.trim_start_matches("cst_").to_owned()),
        ("an expired access token", expired.to_owned()),
        ("an access token of another server", stranger.to_owned()),
        ("an access token with other claims", format!("{}.{seal}", flipped(claims))),
        ("an access token with another's claims", format!("{stranger_claims}.{seal}")),
        ("an access token with another seal", format!("{claims}.{}", flipped(seal))),
        ("an access token without a seal", claims.to_owned()),
        ("an access token with an empty seal", format!("{claims}.")),
        ("the beginning of an access token", "csa_".to_owned()),
        ("something like a JWT", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".to_owned()),
    ]
}

struct Secret;

impl Secret {
    fn unknown() -> String {
        auth::Secret::random("cst_").unwrap().reveal().to_owned()
    }
}

/// A token that counts, where none belongs.
fn bad_headers(admin: &str) -> Vec<(String, Headers)> {
    let text = |name, value: String| (name, value.into_bytes());
    let cases: Vec<(&str, Headers)> = vec![
        ("nothing", vec![]),
        ("a scheme alone", vec![text("authorization", "Bearer".to_owned())]),
        ("no scheme", vec![text("authorization", admin.to_owned())]),
        ("another scheme", vec![text("authorization", format!("Basic {admin}"))]),
        ("two Authorizations", vec![bearer(admin), bearer(admin)]),
        ("no text", vec![("authorization", vec![b'B', b'e', b'a', b'r', b'e', b'r', b' ', 0xff])]),
        ("metadata", vec![text("grpc-metadata-authorization", format!("Bearer {admin}"))]),
        ("a cookie", vec![text("cookie", format!("authorization=Bearer {admin}"))]),
        ("a name", vec![text("x-auth-email", "admin@example.org".to_owned())]),
        (
            "a proxy's word",
            vec![text("x-forwarded-client-cert", "URI=spiffe://example.org/admin".to_owned())],
        ),
        ("a proxy's token", vec![text("proxy-authorization", format!("Bearer {admin}"))]),
    ];
    cases.into_iter().map(|(name, headers)| (name.to_owned(), headers)).collect()
}

/// What kind of credential a case shows.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// One that counts, of this role or of none.
    Good(Option<Role>),
    Bad,
}

/// One case, over gRPC or over REST; the code that came back.
struct Asked {
    code: i32,
    answer: Answer,
}

async fn ask(
    connection: &Connection,
    path: &str,
    route: Option<&(String, String)>,
    headers: &Headers,
) -> Asked {
    match route {
        None => {
            let answer = connection.grpc(path, headers, GARBAGE).await;
            Asked { code: answer.code(), answer }
        }
        Some((verb, path)) => {
            let answer = connection.send(verb, path, headers, b"{").await;
            let code = match answer.status {
                200 => 0,
                _ => i32::try_from(answer.json()["code"].as_i64().unwrap()).unwrap(),
            };
            Asked { code, answer }
        }
    }
}

/// The answer without what differs from request to request and from path to path.
fn words(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status, headers, String::from_utf8_lossy(&answer.body).into_owned())
}

const UNAUTHENTICATED: i32 = Code::Unauthenticated as i32;
const PERMISSION_DENIED: i32 = Code::PermissionDenied as i32;

/// What comes in how it belongs, and nothing else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matrix() {
    let world = World::new().await;
    let connection = Connection::open(world.server.addr).await;
    let expected = expected();
    let (good, bad) = (world.good.iter(), world.bad.iter());
    let credentials: Vec<(&str, Shown, &Headers)> = good
        .map(|(name, role, headers)| (name.as_str(), Shown::Good(*role), headers))
        .chain(bad.map(|(name, headers)| (name.as_str(), Shown::Bad, headers)))
        .collect();
    let mut cases = Vec::new();
    for (path, routes) in &methods() {
        for route in [None].into_iter().chain(routes.iter().cloned().map(Some)) {
            cases.extend(credentials.iter().map(|credential| (path.clone(), route.clone(), *credential)));
        }
    }
    let count = cases.len();
    let failures: Vec<String> = stream::iter(cases)
        .map(async |(path, route, (name, shown, headers))| {
            let asked = ask(&connection, &path, route.as_ref(), headers).await;
            let right = match (&expected[&path], shown) {
                (Expected::Open, _) => ![UNAUTHENTICATED, PERMISSION_DENIED].contains(&asked.code),
                (Expected::Roles(_), Shown::Bad) => asked.code == UNAUTHENTICATED,
                (Expected::Roles(roles), Shown::Good(role)) => {
                    let may = role.is_some_and(|role| roles.contains(role.name()));
                    asked.code != UNAUTHENTICATED && (asked.code == PERMISSION_DENIED) != may
                }
            };
            (!right).then(|| format!("{path} {route:?} with {name}: {:?}", asked.answer))
        })
        .buffer_unordered(AT_ONE_TIME)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    assert!(
        failures.is_empty(),
        "{} of {count} cases: {:#?}",
        failures.len(),
        &failures[..failures.len().min(20)]
    );
    println!("{count} cases");
    assert!(count >= CASES_MIN, "{count} cases");
    world.server.stop().await;
}

/// A caller without a credential learns nothing from the answer: not which paths there are, and not what is wrong with
/// what it sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_stranger_everything_looks_the_same() {
    let world = World::new().await;
    let connection = Connection::open(world.server.addr).await;
    let grpc =
        ["/c1.api.policy.v1.Policies/Get", "/c1.api.policy.v1.Policies/Nothing", "/no.Service/Method", "/"];
    let rest = [
        ("GET", "/api/v1/policies/1"),
        ("DELETE", "/api/v1/policies/1"),
        ("PATCH", "/api/v1/policies/1"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/"),
        ("POST", "/api/v1/search/policies"),
        ("GET", "/v1/nothing"),
    ];
    let guardian =
        [("GET", "/api/v1beta1/policies"), ("GET", "/api/v1beta1/nothing"), ("TRACE", "/api/v1beta1/%zz")];
    for (name, headers) in &world.bad {
        let mut seen = BTreeSet::new();
        for path in grpc {
            seen.insert(words(&connection.grpc(path, headers, GARBAGE).await));
        }
        assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        for routes in [rest.as_slice(), guardian.as_slice()] {
            let mut seen = BTreeSet::new();
            for (verb, path) in routes {
                seen.insert(words(&connection.send(verb, path, headers, b"{").await));
            }
            assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        }
    }
    world.server.stop().await;
}

/// Who may do nothing is told so everywhere, and who may read is told what is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_there_for_those_who_may_read() {
    let world = World::new().await;
    let connection = Connection::open(world.server.addr).await;
    for (name, role, headers) in &world.good {
        let code = if role.is_some() { Code::Unimplemented } else { Code::PermissionDenied };
        let asked = ask(&connection, "/no.Service/Method", None, headers).await;
        assert_eq!(asked.code, code as i32, "{name}");
        let code = if role.is_some() { Code::NotFound } else { Code::PermissionDenied };
        let route = ("GET".to_owned(), "/api/v1/nothing".to_owned());
        assert_eq!(ask(&connection, "", Some(&route), headers).await.code, code as i32, "{name}");
    }
    world.server.stop().await;
}

/// The words of each face.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_in_the_words_of_its_face() {
    let world = World::new().await;
    let connection = Connection::open(world.server.addr).await;
    let answer = connection.send("GET", "/api/v1/policies/1", &[], b"").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["message"], "invalid authentication credentials");
    assert_eq!(answer.json()["details"][0]["reason"], "CREDENTIAL_INVALID");
    assert_eq!(answer.headers["www-authenticate"], "invalid authentication credentials");
    let answer = connection.send("GET", "/api/v1beta1/policies", &[], b"").await;
    assert_eq!((answer.status, answer.json()["code"].as_i64()), (401, Some(16)));
    assert_eq!(answer.json()["message"], "invalid authentication credentials");
    assert_eq!(answer.headers["www-authenticate"], "invalid authentication credentials");
    let viewer = &world.good.iter().find(|(name, ..)| name == "static token of viewer").unwrap().2;
    let answer = connection.send("DELETE", "/api/v1/policies/1", viewer, b"").await;
    assert_eq!((answer.status, answer.json()["code"].as_i64()), (403, Some(7)));
    assert_eq!(answer.json()["message"], "this call needs the role editor or admin");
    // What everybody may see says nothing of any policy.
    let answer = connection.send("GET", "/ping", &[], b"").await;
    assert_eq!((answer.status, answer.body.as_ref()), (200, b"pong".as_slice()));
    for page in ["/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css"] {
        for bad in [vec![], vec![("authorization", b"Bearer no".to_vec())]] {
            let answer = connection.send("GET", page, &bad, b"").await;
            assert_eq!(answer.status, 200, "{page}");
        }
        assert_eq!(connection.send("POST", page, &[], b"").await.status, 401, "{page} is for reading");
    }
    assert_eq!(connection.send("GET", "/docs/other", &[], b"").await.status, 401);
    world.server.stop().await;
}
