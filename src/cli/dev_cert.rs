//! `countersign dev-cert`: an authority and a certificate for trying TLS on one machine. Nobody should trust either for
//! anything else, so the authority may sign for this machine's names only, and its key is thrown away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};

use super::Failure;

/// The names of this machine to itself.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Some clients refuse certificates that last longer than 398 days.
const VALID_DAYS: u64 = 397;
/// Clocks of containers and virtual machines may be a little behind.
const SKEW_HOURS: u64 = 1;
const CA: &str = "ca.pem";
const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";

/// The arguments of `dev-cert`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes ca.pem, cert.pem and key.pem, and overwrites nothing. Not for production: the key of \
                        the authority is thrown away, so that it can never sign anything else."
)]
pub(super) struct Args {
    /// Where to put the files; made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let directory = std::path::absolute(&args.directory).map_err(Failure::failed)?;
    let of = |path: &Path, error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    fs::create_dir_all(&directory).map_err(|error| of(&directory, error))?;
    let made = make().map_err(Failure::failed)?;
    let files = [(KEY, &made.key, 0o600), (CERT, &made.certificate, 0o644), (CA, &made.authority, 0o644)];
    // All are claimed before any is written, so that a refusal leaves nothing half made.
    let mut claimed: Vec<(PathBuf, File)> = Vec::new();
    for (name, _, mode) in files {
        let path = directory.join(name);
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            Ok(file) => claimed.push((path, file)),
            Err(error) => {
                for (path, _) in &claimed {
                    let _ = fs::remove_file(path);
                }
                return Err(of(&path, error));
            }
        }
    }
    for ((path, mut file), (_, text, _)) in claimed.into_iter().zip(files) {
        file.write_all(text.as_bytes()).map_err(|error| of(&path, error))?;
    }
    explain(&directory);
    Ok(())
}

/// The three files, in PEM.
struct Made {
    authority: String,
    certificate: String,
    key: String,
}

fn make() -> Result<Made, rcgen::Error> {
    let now = SystemTime::now();
    let not_before = now - Duration::from_secs(SKEW_HOURS * 3600);
    let not_after = now + Duration::from_secs(VALID_DAYS * 24 * 3600);
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };

    let mut authority = params("Countersign development authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix([127, 0, 0, 0].into(), 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                std::net::Ipv6Addr::LOCALHOST.into(),
                128,
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();

    // Another name than the authority's: certificates of the same name as their issuer are taken for self-signed ones.
    let mut leaf = params("countersign on localhost");
    leaf.subject_alt_names = CertificateParams::new(NAMES.map(str::to_owned))?.subject_alt_names;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    let certificate = leaf.signed_by(&key, &issuer)?.pem();
    Ok(Made { authority: authority_pem, certificate, key: key.serialize_pem() })
}

fn explain(directory: &Path) {
    let path = |name: &str| directory.join(name).display().to_string();
    println!("made {}, {} and {}, good for {VALID_DAYS} days\n", path(CERT), path(KEY), path(CA));
    println!("serve with it:");
    println!("  countersign serve --tls-cert {} --tls-key {}\n", path(CERT), path(KEY));
    println!("and have clients trust it:");
    println!("  curl --cacert {} https://127.0.0.1:8080/api/v1/policies", path(CA));
    println!("  grpcurl -cacert {} 127.0.0.1:8080 list", path(CA));
    println!("  SSL_CERT_FILE={} terraform plan", path(CA));
}
