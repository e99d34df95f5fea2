//! TLS on the main port: both HTTPs by ALPN, callers' certificates, new files without dropped connections, and peers that
//! never finish their handshake.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::server::Drained;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;

use super::probe::{Answer, Client, Server, framed, within};
use super::process::{LISTEN, Process, SERVE, find};
use crate::harness::countersign;

/// An authority that exists for one test.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn sign(&self, common_name: &str, names: Vec<SanType>) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        Identity { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    pub fn server(&self) -> Identity {
        self.sign("a server", vec![SanType::IpAddress([127, 0, 0, 1].into())])
    }

    /// What a server of the tests' own shakes hands with.
    pub fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        let Identity { cert, key } = self.server();
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![cert], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config))
    }

    pub fn spiffe(&self, uri: &str) -> Identity {
        self.sign("a client", vec![SanType::URI(uri.try_into().unwrap())])
    }
}

/// A directory with the files of one server.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(identity: &Identity) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.replace(identity);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn replace(&self, identity: &Identity) {
        std::fs::write(self.path("cert.pem"), &identity.cert).unwrap();
        std::fs::write(self.path("key.pem"), &identity.key).unwrap();
    }

    async fn start(&self, more: &[(&str, &str)]) -> Server {
        let (cert, key) = (self.text("cert.pem"), self.text("key.pem"));
        let mut settings = vec![("tls-cert", cert.as_str()), ("tls-key", key.as_str())];
        settings.extend(more);
        Server::start(&settings).await
    }
}

/// Connects and reads nothing yet. `alpn` is what the client offers.
async fn shake_hands(
    addr: SocketAddr,
    authority: &str,
    identity: Option<&Identity>,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = within(TcpStream::connect(addr)).await?;
    let name = ServerName::IpAddress(addr.ip().into());
    within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// One REST call over HTTP/1.1; an error when the server ends the connection instead, as it does in TLS 1.3 after the
/// client believes itself connected.
async fn get(mut stream: TlsStream<TcpStream>, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

/// Shakes hands and calls once.
async fn rest(addr: SocketAddr, authority: &str, identity: Option<&Identity>) -> std::io::Result<String> {
    get(shake_hands(addr, authority, identity, &["http/1.1"]).await?, "/api/v1/policies/fine").await
}

async fn grpc(addr: SocketAddr, authority: &str) -> Client {
    let stream = shake_hands(addr, authority, None, &["h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    Client::over(stream, None).await
}

#[tokio::test]
async fn grpc_and_rest_share_the_port_by_alpn() {
    let authority = Authority::new("authority");
    let server = Files::new(&authority.server()).start(&[("raystack-grpc-listen", "127.0.0.1:0")]).await;
    for addr in [server.addr, server.raystack_grpc_addr().unwrap()] {
        let answer = grpc(addr, &authority.pem).await.call("/test.v1.Probe/Echo", &[], b"hello").await;
        assert_eq!((answer.code(), answer.message.as_deref()), (Code::Ok, Some(b"hello".as_slice())));
        for (offered, chosen) in
            [(&["http/1.1"][..], Some(&b"http/1.1"[..])), (&["http/1.1", "h2"], Some(b"h2")), (&[], None)]
        {
            let stream = shake_hands(addr, &authority.pem, None, offered).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
            if chosen != Some(b"h2") {
                let answer = get(stream, "/api/v1/policies/fine").await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        }
    }
    assert!(shake_hands(server.addr, &authority.pem, None, &["spdy/1"]).await.is_err());
    assert!(rest(server.addr, &Authority::new("another").pem, None).await.is_err(), "clients do verify");
    assert!(super::get(server.admin_addr, "/livez").await.starts_with("HTTP/1.1 200"), "plain");
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let authority = Authority::new("authority");
    let server = Files::new(&authority.server()).start(&[]).await;
    let message = vec![b'x'; 3 << 20];
    let mut client = grpc(server.addr, &authority.pem).await;
    for _ in 0..3 {
        let answer = client.call("/test.v1.Probe/Echo", &[], &message).await;
        assert_eq!((answer.code(), answer.message.as_ref()), (Code::Ok, Some(&message)));
    }
}

#[tokio::test]
async fn callers_without_a_good_certificate_are_refused() {
    let (authority, clients) = (Authority::new("authority"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    std::fs::write(files.path("clients.pem"), &clients.pem).unwrap();
    let clients_file = files.text("clients.pem");
    let good = clients.spiffe("spiffe://example.org/ci");
    let wrong = Authority::new("clients").spiffe("spiffe://example.org/ci");
    for (mode, without) in [("require", false), ("optional", true)] {
        let server = files.start(&[("tls-client-ca", &clients_file), ("tls-client-auth", mode)]).await;
        for (who, identity, served) in
            [("good", Some(&good), true), ("wrong", Some(&wrong), false), ("none", None, without)]
        {
            let answer = rest(server.addr, &authority.pem, identity).await;
            assert_eq!(answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200")), served, "{mode} {who}");
        }
    }
}

#[tokio::test]
async fn new_authorities_for_callers_are_used() {
    let (authority, old, new) = (Authority::new("authority"), Authority::new("old"), Authority::new("new"));
    let files = Files::new(&authority.server());
    std::fs::write(files.path("clients.pem"), &old.pem).unwrap();
    let clients_file = files.text("clients.pem");
    let server = files.start(&[("tls-client-ca", &clients_file), ("tls-reload-interval", "5ms")]).await;
    let [of_old, of_new] = [&old, &new].map(|one| one.spiffe("spiffe://example.org/ci"));
    let is_served = async |identity: &Identity| {
        let answer = rest(server.addr, &authority.pem, Some(identity)).await;
        answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
    };
    assert!(is_served(&of_old).await && !is_served(&of_new).await);
    std::fs::write(files.path("clients.pem"), &new.pem).unwrap();
    within(async { while !is_served(&of_new).await {} }).await;
    assert!(!is_served(&of_old).await);
}

#[test]
fn the_name_in_the_certificate_is_the_principal() {
    let (authority, clients) = (Authority::new("authority"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    std::fs::write(files.path("clients.pem"), &clients.pem).unwrap();
    let config = "[[auth.binding]]\nprincipal = 'cert:spiffe://example.org/ci'\nroles = ['viewer']\n";
    std::fs::write(files.path("config.toml"), config).unwrap();
    let of = |name: &str| files.text(name);
    let mut process = Process::serve(&[
        "--config",
        &of("config.toml"),
        "--tls-cert",
        &of("cert.pem"),
        "--tls-key",
        &of("key.pem"),
        "--tls-client-ca",
        &of("clients.pem"),
        "--tls-client-auth",
        "optional",
    ]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dns = |name: &str| clients.sign("by name", vec![SanType::DnsName(name.try_into().unwrap())]);
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let both = |of: &str| {
        clients.sign("both", vec![SanType::DnsName("ci.example.org".try_into().unwrap()), uri(of)])
    };
    let cases = [
        // A SPIFFE URI goes before a DNS name, and that before the common name.
        (Some(both("spiffe://example.org/ci")), "200", "cert:spiffe://example.org/ci"),
        (Some(both("https://example.org/ci")), "403", "cert:ci.example.org"),
        (Some(clients.spiffe("spiffe://example.org/ci")), "200", "cert:spiffe://example.org/ci"),
        (Some(clients.spiffe("spiffe://example.org/other")), "403", "cert:spiffe://example.org/other"),
        (Some(dns("ci.example.org")), "403", "cert:ci.example.org"),
        (Some(clients.sign("somebody", Vec::new())), "403", "cert:somebody"),
        (None, "401", ""),
    ];
    for (identity, status, principal) in cases {
        let answer = runtime.block_on(async {
            let stream = shake_hands(process.addr, &authority.pem, identity.as_ref(), &["http/1.1"]).await;
            get(stream.unwrap(), "/api/v1/policies").await.unwrap()
        });
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{principal}: {answer}");
        let line = find(&mut process.log, |line| line["message"] == "call");
        assert_eq!(line["principal"].as_str().unwrap_or_default(), principal, "{line}");
    }
}

#[tokio::test]
async fn new_files_are_used_and_open_connections_stay() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let files = Files::new(&old.server());
    let mut server = files.start(&[("tls-reload-interval", "5ms"), ("shutdown-grace", "1h")]).await;
    let mut client = grpc(server.addr, &old.pem).await;
    let stream = client.begin("/test.v1.Probe/Forever", &[], &framed(b"")).await.unwrap();
    files.replace(&new.server());
    let renewed = async { while rest(server.addr, &new.pem, None).await.is_err() {} };
    within(renewed).await;
    assert!(rest(server.addr, &old.pem, None).await.is_err());
    assert_eq!(client.call("/test.v1.Probe/Echo", &[], b"still here").await.code(), Code::Ok);
    server.stop();
    let answer = Answer::read(stream).await;
    assert_eq!(answer.text(), "the server is shutting down", "the stream was open until now");
    server.ended().await;
}

#[test]
fn new_files_that_are_bad_are_reported_and_the_old_ones_stay() {
    let authority = Authority::new("authority");
    let files = Files::new(&authority.server());
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let mut process =
        Process::serve(&["--tls-cert", &cert, "--tls-key", &key, "--tls-reload-interval", "5ms"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let other = Authority::new("other").server();
    type Spoil<'a> = (&'a dyn Fn(), &'a str);
    let cases: [Spoil<'_>; 4] = [
        (&|| std::fs::write(&cert, &other.cert).unwrap(), "tls-cert and tls-key"),
        (&|| std::fs::write(&cert, "nothing").unwrap(), "there is no certificate"),
        (&|| std::fs::remove_file(&cert).unwrap(), "cannot read"),
        (
            &|| files.replace(&Identity { cert: other.cert.clone(), key: other.cert.clone() }),
            "no private key",
        ),
    ];
    for (spoil, said) in cases {
        spoil();
        let line = find(&mut process.log, |line| {
            line["error"].as_str().is_some_and(|error| error.contains(said))
                && line["message"].as_str().unwrap().contains("the old ones stay")
        });
        assert!(!line.to_string().contains("BEGIN"), "{line}");
        let answer = runtime.block_on(rest(process.addr, &authority.pem, None)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshake_does_not_hold_up_the_end() {
    let authority = Authority::new("authority");
    let files = Files::new(&authority.server());
    let mut server = files.start(&[("shutdown-grace", "1h"), ("handshake-timeout", "1h")]).await;
    let silent = TcpStream::connect(server.addr).await.unwrap();
    let mut hesitant = TcpStream::connect(server.addr).await.unwrap();
    // The head of a TLS record with a ClientHello that does not come.
    hesitant.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    // A later connection was accepted, so the earlier ones were.
    let quiet = shake_hands(server.addr, &authority.pem, None, &["h2"]).await.unwrap();
    server.stop();
    assert_eq!(server.ended().await, Drained { connections_cut: 0, calls_cut: 0 });
    drop((silent, hesitant, quiet));
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let authority = Authority::new("authority");
    let server = Files::new(&authority.server()).start(&[("handshake-timeout", "20ms")]).await;
    let mut hesitant = TcpStream::connect(server.addr).await.unwrap();
    hesitant.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut rest = Vec::new();
    // Closed in whichever way.
    let _ = within(hesitant.read_to_end(&mut rest)).await;
    let plain = async {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    assert!(!within(plain).await.starts_with(b"HTTP"), "nobody is served in the clear");
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let files = Files::new(&Authority::new("authority").server());
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--tls-cert", &cert], 2, "tls-cert: needs tls-key"),
        (&["--tls-client-ca", &cert], 2, "tls-client-ca: needs tls-cert"),
        (&["--tls-cert", "/no/such.pem", "--tls-key", &key], 1, "tls-cert: cannot read /no/such.pem"),
        (&["--tls-cert", &cert, "--tls-key", &cert], 1, "there is no private key"),
    ];
    for (flags, code, said) in cases {
        let mut serve = countersign();
        serve.args(SERVE).args(LISTEN).args(["--store", "memory:"]);
        let output = serve.args(flags).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && text.contains(said), "{flags:?}: {text}");
    }
}

fn dev_cert(directory: &Path) -> std::process::Output {
    countersign().arg("dev-cert").arg(directory).output().unwrap()
}

#[test]
fn dev_cert_makes_what_serve_and_clients_take_and_overwrites_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let tls = directory.path().join("tls");
    let output = dev_cert(&tls);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("SSL_CERT_FILE="), "{said}");
    let (cert, key, authority) = (tls.join("cert.pem"), tls.join("key.pem"), tls.join("ca.pem"));
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let before = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&authority).unwrap_or(());
    let again = dev_cert(&tls);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&key).unwrap(), before);
    assert!(!authority.exists(), "a refusal leaves nothing half made");

    std::fs::remove_dir_all(&tls).unwrap();
    assert!(dev_cert(&tls).status.success());
    let process = Process::serve(&["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let authority = std::fs::read_to_string(&authority).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(rest(process.addr, &authority, None)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let certificate = CertificateDer::from_pem_slice(&std::fs::read(&cert).unwrap()).unwrap();
    for (name, is_ours) in [("127.0.0.1", true), ("::1", true), ("localhost", true), ("example.org", false)] {
        let name = ServerName::try_from(name).unwrap();
        let verified = verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now());
        assert_eq!(verified.is_ok(), is_ours, "{name:?}: {verified:?}");
    }
}
