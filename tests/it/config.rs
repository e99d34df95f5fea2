//! The settings of `serve`: precedence, unknown keys, and the one table behind flags, environment and file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as _, FromArgMatches as _};
use countersign::config::{Error, Layer, Settings, Source, TABLE, resolve};

fn flags(args: &[&str]) -> Layer {
    let command = Layer::augment_args(clap::Command::new("serve").no_binary_name(true));
    Layer::from_arg_matches(&command.try_get_matches_from(args).unwrap()).unwrap()
}

fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A directory with one file in it.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn from_file(text: &str) -> Result<Settings, Error> {
    let (_directory, path) = file(text);
    resolve(Layer::default(), Some(path), [])
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
    resolve(Layer::default(), None, env(pairs))
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let (_directory, path) = file("request-deadline = '1s'\nshutdown-grace = '2s'\nlog-level = 'warn'\n");
    let of_env = env(&[("COUNTERSIGN_REQUEST_DEADLINE", "3s"), ("COUNTERSIGN_SHUTDOWN_GRACE", "4s")]);
    let settings = resolve(flags(&["--request-deadline", "5s"]), Some(path.clone()), of_env).unwrap();
    assert_eq!(settings.request_deadline.to_string(), "5s");
    assert_eq!(settings.shutdown_grace.to_string(), "4s");
    assert_eq!(settings.log_level.to_string(), "warn");
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    let sources =
        ["request_deadline", "shutdown_grace", "log_level", "listen"].map(|field| settings.source(field));
    let expected = [Source::Flag, Source::Environment, Source::File(path), Source::Default];
    assert_eq!(sources, [Some(&expected[0]), Some(&expected[1]), Some(&expected[2]), Some(&expected[3])]);
}

#[test]
fn the_flag_wins_over_the_variable_that_names_the_file() {
    let (_a, by_flag) = file("log-level = 'warn'");
    let (_b, by_variable) = file("log-level = 'debug'");
    let variable = env(&[("COUNTERSIGN_CONFIG", by_variable.to_str().unwrap())]);
    let level = |config| resolve(Layer::default(), config, variable.clone()).unwrap().log_level.to_string();
    assert_eq!(level(None), "debug");
    assert_eq!(level(Some(by_flag)), "warn");
}

/// Another value than the default for every setting, so that a source that loses one is seen.
fn other(field: &str, default: &str) -> String {
    match field {
        "listen" | "admin_listen" => "[::1]:0".to_owned(),
        "store" => "memory:".to_owned(),
        "empty_approvers" => "skip".to_owned(),
        "guardian_compat" => "strict".to_owned(),
        "guardian_lint" => "deny".to_owned(),
        "raystack_grpc_listen" => "[::1]:0".to_owned(),
        "tls_cert" | "tls_key" | "tls_client_ca" => "/tls.pem".to_owned(),
        "max_connection_age" => "7m".to_owned(),
        "tls_client_auth" => "optional".to_owned(),
        "secrets_keys" => "env:KEYS".to_owned(),
        "xfcc_peers" => "10.0.0.0/8,127.0.0.1/32".to_owned(),
        "insecure_no_auth" => "true".to_owned(),
        "tokens_file" | "clients_file" => "./file".to_owned(),
        "grpc_web" => "true".to_owned(),
        "cors_origins" => "https://app.example.com".to_owned(),
        "log_format" => "json".to_owned(),
        "log_level" => "trace".to_owned(),
        _ if default.ends_with(['s', 'h']) => "7m".to_owned(),
        _ if default.ends_with("iB") => "1MiB".to_owned(),
        _ => "7".to_owned(),
    }
}

#[test]
fn flags_environment_and_file_have_the_same_settings() {
    let mut args = Vec::new();
    let mut variables = Vec::new();
    let mut toml = String::new();
    for setting in TABLE {
        let value = other(setting.field, setting.default);
        assert_ne!(value, setting.default, "{}", setting.field);
        args.extend([format!("--{}", setting.key()), value.clone()]);
        let plain = ["7", "true"].contains(&value.as_str());
        let quoted = if plain { value.clone() } else { format!("{value:?}") };
        toml.push_str(&format!("{} = {quoted}\n", setting.key()));
        variables.push((OsString::from(setting.variable()), OsString::from(value)));
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (_directory, path) = file(&toml);
    let from = [
        (Source::Flag, resolve(flags(&args), None, []).unwrap()),
        (Source::Environment, resolve(Layer::default(), None, variables).unwrap()),
        (Source::File(path.clone()), resolve(Layer::default(), Some(path), []).unwrap()),
    ];
    let values = |settings: &Settings| {
        let toml = settings.to_toml();
        toml.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (source, settings) in &from {
        assert_eq!(values(settings), values(&from[0].1));
        for setting in TABLE {
            assert_eq!(settings.source(setting.field), Some(source), "{}", setting.field);
        }
    }
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let pairs = [("COUNTERSIGN_STORE", "sled:./a \"b\""), ("COUNTERSIGN_MAX_MESSAGE_BYTES", "12345")];
    let printed = from_env(&pairs).unwrap().to_toml();
    assert!(printed.contains("store = 'sled:./a \"b\"'  # COUNTERSIGN_STORE\n"), "{printed}");
    assert!(printed.contains("max-message-bytes = 12345  # COUNTERSIGN_MAX_MESSAGE_BYTES\n"), "{printed}");
    assert!(printed.contains("shutdown-delay = \"0s\"  # default\n"), "{printed}");
    let again = from_file(&printed).unwrap();
    let value = |line: &str| line.split("  # ").next().unwrap().to_owned();
    let values = |toml: &str| toml.lines().map(value).collect::<Vec<_>>();
    assert_eq!(values(&again.to_toml()), values(&printed));
}

#[test]
fn what_is_not_known_is_an_error() {
    let error = from_file("listen = '127.0.0.1:1'\nlisten_admin = 'x'\n").unwrap_err().to_string();
    assert!(error.contains("line 2, column 1") && error.contains("listen_admin"), "{error}");
    let error = from_file("log-level = 'loud'\n").unwrap_err().to_string();
    assert!(error.contains("line 1, column 13") && error.contains("expected off, error"), "{error}");
    let error = from_env(&[("COUNTERSIGN_LISTEM", "x")]).unwrap_err().to_string();
    assert!(error.contains("COUNTERSIGN_LISTEM"), "{error}");
    let error = from_env(&[("COUNTERSIGN_LISTEN", "x")]).unwrap_err().to_string();
    assert!(error.contains("COUNTERSIGN_LISTEN") && error.contains("\"x\""), "{error}");
}

#[test]
fn what_kubernetes_injects_is_passed_over() {
    let injected = [
        "COUNTERSIGN_SERVICE_HOST",
        "COUNTERSIGN_SERVICE_PORT",
        "COUNTERSIGN_SERVICE_PORT_GRPC",
        "COUNTERSIGN_PORT",
        "COUNTERSIGN_PORT_8080_TCP",
        "COUNTERSIGN_PORT_8080_TCP_ADDR",
        "COUNTERSIGN_PORT_8080_TCP_PROTO",
        "COUNTERSIGN_ADMIN_SERVICE_HOST",
        "COUNTERSIGN_ADMIN_PORT_8081_TCP_PORT",
    ];
    for name in injected {
        assert!(from_env(&[(name, "tcp://10.0.0.1:8080"), ("PATH", "/bin")]).is_ok(), "{name}");
    }
    for name in ["COUNTERSIGN_SERVICES", "COUNTERSIGN_PORTS", "COUNTERSIGN_PORT_X"] {
        assert!(from_env(&[(name, "x")]).is_err(), "{name}");
    }
}

#[test]
fn what_clients_read_is_passed_over() {
    let settings = from_env(&[("COUNTERSIGN_SERVER", "https://there"), ("COUNTERSIGN_TOKEN", "t")]).unwrap();
    assert_eq!(settings.to_toml(), from_env(&[]).unwrap().to_toml());
}

#[test]
fn values_and_their_bounds() {
    let too_long = format!("unix:/{}", "x".repeat(107));
    let cases = [
        ("COUNTERSIGN_REQUEST_DEADLINE", "500ms", true),
        ("COUNTERSIGN_REQUEST_DEADLINE", "1m 30s", true),
        ("COUNTERSIGN_REQUEST_DEADLINE", "0s", false),
        ("COUNTERSIGN_REQUEST_DEADLINE", "10", false),
        ("COUNTERSIGN_REQUEST_DEADLINE", "1000years", false),
        ("COUNTERSIGN_SHUTDOWN_DELAY", "0s", true),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "4MiB", true),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "4 MiB", true),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "4096", true),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "4MB", false),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "4096MiB", false),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "-1", false),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "0", false),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "1023", false),
        ("COUNTERSIGN_MAX_MESSAGE_BYTES", "1KiB", true),
        ("COUNTERSIGN_MAX_HEADER_BYTES", "8KiB", true),
        ("COUNTERSIGN_MAX_HEADER_BYTES", "4KiB", false),
        ("COUNTERSIGN_MAX_CONNECTIONS", "1", true),
        ("COUNTERSIGN_MAX_CONNECTIONS", "0", false),
        ("COUNTERSIGN_STORE", "memory:", true),
        ("COUNTERSIGN_STORE", "sled:", false),
        ("COUNTERSIGN_STORE", "etcd:x", false),
        ("COUNTERSIGN_LISTEN", "unix:/run/countersign.sock", true),
        ("COUNTERSIGN_LISTEN", "unix:here.sock", true),
        ("COUNTERSIGN_LISTEN", "unix:", false),
        ("COUNTERSIGN_LISTEN", too_long.as_str(), false),
        ("COUNTERSIGN_LISTEN", "/run/countersign.sock", false),
        ("COUNTERSIGN_LISTEN", "0.0.0.0:80", false),
        ("COUNTERSIGN_LOG_FORMAT", "json", true),
        ("COUNTERSIGN_LOG_FORMAT", "xml", false),
        ("COUNTERSIGN_LOG_LEVEL", "off", true),
        ("COUNTERSIGN_LOG_LEVEL", "4", false),
    ];
    for (name, value, valid) in cases {
        let settings = from_env(&[(name, value)]);
        assert_eq!(settings.is_ok(), valid, "{name}={value}: {:?}", settings.err());
    }
}
