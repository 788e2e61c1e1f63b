//! What people get to read when their file is wrong, word by word; and what short forms and variables amount to.

use std::sync::Arc;

use portcullis_engine::State;

use super::*;
use crate::gateway::build;
use crate::gateway::keys::Keys;

fn overrides(file: &Path) -> Overrides {
    Overrides { config: Some(file.to_owned()), ..Overrides::default() }
}

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder)
}

/// `PORTCULLIS_BLESS=1 cargo test -p portcullis` writes the texts down anew; read the difference.
#[test]
fn errors_name_file_place_expectation_and_nearest_word() {
    let folder = data("config-errors");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 20);
    for file in files {
        // What only shows when guards are compiled over the contract is an error of the file, too.
        let loaded = load_with(&overrides(&file), &|_| None).and_then(|config| {
            build::compile(&config, Keys::none().ring().clone(), Arc::new(State::new(64)))
        });
        let error = loaded.expect_err(&file.display().to_string());
        let text = format!("{error}\n").replace(&format!("{}/", folder.display()), "");
        let golden = file.with_extension("txt");
        if std::env::var_os("PORTCULLIS_BLESS").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(text, expected, "{}", golden.display());
        assert!(!text.contains("hunter2"), "a secret is not repeated");
    }
}

fn read_text(text: &str, variables: &[(&str, &str)], overrides: &Overrides) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portcullis.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123\n").unwrap();
    let overrides = Overrides { config: Some(file), ..overrides.clone() };
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    load_with(&overrides, &variable).map_err(|error| error.to_string())
}

#[test]
fn variables_and_files_are_filled_in_and_paths_start_at_the_file() {
    let text = "
listen: ${ADDRESS:-127.0.0.1}:${PORT}
upstream: { origins: ['${UPSTREAM}'], retries: '${RETRIES}' }
admin: { listen: 0.0.0.0:9600, token: '${file:token}' }
contract: api/openapi.yaml
workers: ${WORKERS:-3}
trusted_hops: [10.0.0.0/8]
";
    let variables = [("PORT", "81"), ("UPSTREAM", "http://api:3000"), ("RETRIES", "7")];
    let config = read_text(text, &variables, &Overrides::default()).unwrap();
    let gateway = &config.gateway;
    assert_eq!(gateway.proxy.listen[0].address, "127.0.0.1:81".parse().unwrap());
    assert_eq!(gateway.proxy.upstream.origins[0].url, "http://api:3000");
    assert_eq!((gateway.proxy.upstream.retries, gateway.proxy.workers), (7, 3));
    assert_eq!(gateway.admin.as_ref().unwrap().token.as_deref(), Some("0123456789abcdef0123"));
    let contract = gateway.contract.as_ref().unwrap();
    assert!(contract.file.is_absolute() && contract.file.ends_with("api/openapi.yaml"));
    assert!(gateway.data.ends_with(".portcullis"));
    assert_eq!(config.files.len(), 2, "the file and the contract");
}

#[test]
fn the_command_line_goes_before_the_file() {
    let overrides = Overrides {
        spec: Some("other.yaml".into()),
        upstream: vec!["http://127.0.0.1:9".into(), "http://127.0.0.1:10".into()],
        listen: vec!["127.0.0.1:0".into()],
        admin: Some("off".into()),
        data: Some("elsewhere".into()),
        workers: Some(1),
        monitor: true,
        ..Overrides::default()
    };
    let text = "
listen: { address: 127.0.0.1:8443, tls: { certificate: c.pem, key: k.pem } }
upstream: { origins: http://127.0.0.1:3000, retries: 1 }
contract: { file: openapi.yaml, base_paths: [''] }
";
    let config = read_text(text, &[], &overrides).unwrap();
    let gateway = &config.gateway;
    assert_eq!(gateway.proxy.upstream.origins.len(), 2);
    assert_eq!(gateway.proxy.upstream.retries, 1, "what the command line does not say stays");
    assert!(gateway.proxy.listen[0].tls && gateway.proxy.listen[0].address.port() == 0);
    let contract = gateway.contract.as_ref().unwrap();
    assert_eq!(contract.file, Path::new("other.yaml"));
    assert_eq!(contract.options.base_paths, Some(vec![String::new()]));
    assert!(gateway.admin.is_none());
    assert_eq!(gateway.data, Path::new("elsewhere"));
    assert_eq!(config.policies.mode, portcullis_engine::Mode::Monitor);
}

#[test]
fn no_file_is_needed() {
    let overrides = Overrides { upstream: vec!["http://127.0.0.1:3000".into()], ..Overrides::default() };
    let config = load_with(&overrides, &|_| None).unwrap();
    assert_eq!(config.gateway.proxy.listen[0].address, checked::DEFAULT_LISTEN.parse().unwrap());
    assert!(config.gateway.contract.is_none() && config.document.is_none());
    let wrong = Overrides { upstream: vec!["ftp://x".into()], ..Overrides::default() };
    let error = load_with(&wrong, &|_| None).unwrap_err().to_string();
    assert!(error.starts_with("--upstream: `ftp://x` is not an http or https URL\n"), "{error}");
}

#[test]
fn what_takes_a_restart_is_named() {
    let fixed = |text: &str| {
        let text = format!("upstream: http://127.0.0.1:1\ndata: /nowhere\n{text}");
        read_text(&text, &[], &Overrides::default()).unwrap().gateway.fixed()
    };
    let start = fixed("");
    for (text, expected) in [
        ("", &[][..]),
        ("limits: { in_flight: 1 }\ntimeouts: { head: 1s }\nbounds: { request_body: 1KiB }", &[]),
        ("listen: 127.0.0.1:1", &["listen"]),
        ("workers: 7\nadmin: off", &["workers", "admin"]),
        ("events: off", &["events"]),
        ("log: { access: json }\nevents: { max_age: 1d }\ndrain: 1s", &["log", "events", "drain"]),
    ] {
        assert_eq!(start.changed(&fixed(text)), expected, "{text}");
    }
}

#[test]
fn the_two_halves_of_the_file_share_no_key() {
    let guards: Vec<&str> = Policies::keys().collect();
    assert!(guards.len() > 2, "{guards:?}");
    assert!(own_keys().len() > 10);
    for key in own_keys() {
        assert!(!guards.contains(&key.as_str()), "{key}");
    }
}
