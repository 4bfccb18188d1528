//! Tests of the layers.

use std::fs;
use std::path::Path;

use super::layer::Layer;
use super::*;
use crate::fetch::ClientCertificate;
use crate::units::ByteSize;
use crate::yaml::explore::explore;
use crate::yaml::schema_tests::{as_json, assert_same_language};
use crate::yaml::{self, Report};

/// The configuration of a process without a home, or its mistakes as text, with the folder's name taken out.
fn with(folder: &Path, variables: &[(&str, &str)], explicit: Option<&str>) -> Result<Configuration, String> {
    let environment = Environment::new(variables.iter().copied(), false, &folder.join("etc"));
    let explicit = explicit.map(|text| {
        let path = folder.join("given.yaml");
        fs::write(&path, text).unwrap();
        path
    });
    load(&environment, explicit.as_deref()).map_err(|error| error.to_string().replace(&format!("{}/", folder.display()), ""))
}

#[test]
fn nothing_configured_is_the_built_in_layer() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = with(folder.path(), &[], None).unwrap();
    assert_eq!((configuration.config.clone(), configuration.files.len(), configuration.warnings.len()), (Config::default(), 0, 0));
    assert!(configuration.settings().iter().all(|setting| setting.origin == Origin::BuiltIn));
    assert_eq!(with(folder.path(), &[], Some("# nothing\n")).unwrap().config, Config::default());
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let (etc, home) = (folder.path().join("etc"), folder.path().join("home/.config/image-composer"));
    fs::create_dir_all(&etc).unwrap();
    fs::create_dir_all(&home).unwrap();
    fs::write(etc.join("config.yaml"), "workers: 2\nmirrors: {debian: ['http://a/debian'], ubuntu: ['http://a/ubuntu']}\nproxy: http://p:1\n")
        .unwrap();
    fs::write(home.join("config.yaml"), "workers: 3\nmirrors: {debian: ['http://b/debian/']}\nkeyrings: {debian: keys.gpg}\n").unwrap();
    let home_variable = folder.path().join("home").display().to_string();
    let variables = [("HOME", home_variable.as_str()), ("IMAGE_COMPOSER_WORKERS", "5")];

    let found = with(folder.path(), &variables, Some("workers: 4\nstorage: {image_cache: {enabled: false}}\n")).unwrap();

    assert_eq!(found.config.workers, 5);
    assert_eq!(found.config.mirrors["debian"], ["http://b/debian"]);
    assert_eq!(found.config.mirrors["ubuntu"], ["http://a/ubuntu"]);
    assert_eq!(found.config.keyrings["debian"], home.join("keys.gpg"));
    assert_eq!(found.config.proxy.as_ref().map(Proxy::address), Some("http://p:1"));
    assert!(!found.config.storage.image_cache.enabled && found.config.storage.package_cache.enabled);
    assert_eq!(found.files, [etc.join("config.yaml"), home.join("config.yaml"), folder.path().join("given.yaml")]);
}

#[test]
fn every_value_says_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("config.yaml"), "workers: 2\nstorage:\n  min_free_gb: 1.5\nproxy: http://me:secret@p:1\n").unwrap();
    let variables =
        [("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_COUNT", "unlimited"), ("IMAGE_COMPOSER_MIRRORS_DEBIAN", "http://a/debian http://b/debian")];
    let found = with(folder.path(), &variables, Some("workers: 4\nstorage: {min_free_gb: null}\n")).unwrap();
    let shown: Vec<String> = found.settings().iter().map(|Setting { key, value, origin }| format!("{key} {value} {origin}")).collect();
    insta::assert_snapshot!(shown.join("\n").replace(&format!("{}/", folder.path().display()), ""), @r#"
    storage.package_cache.enabled true built-in
    storage.package_cache.max_size_gb 10 built-in
    storage.package_cache.retention_days 30 built-in
    storage.image_cache.enabled true built-in
    storage.image_cache.max_count "unlimited" IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_COUNT
    storage.image_cache.max_size_gb "unlimited" built-in
    storage.image_cache.retention_days "unlimited" built-in
    storage.root_cache.enabled true built-in
    storage.root_cache.max_count 15 built-in
    storage.root_cache.retention_days 30 built-in
    storage.min_free_gb 1.5 etc/config.yaml:3
    storage.compression_level 1 built-in
    workers 4 given.yaml:1
    proxy "http://…@p:1" etc/config.yaml:4
    tls.ca_file null built-in
    tls.certificates [] built-in
    mirrors.debian ["http://a/debian","http://b/debian"] IMAGE_COMPOSER_MIRRORS_DEBIAN
    "#);
    let listed: Vec<String> = found.settings().into_iter().map(|setting| setting.key).collect();
    let keys = super::variables::keys().into_iter().map(|(path, _)| path.join("."));
    let archives = |key: &String| key.starts_with("mirrors.") || key.starts_with("keyrings.");
    assert!(keys.filter(|key| !archives(key)).all(|key| listed.contains(&key)), "a key is not shown");
}

#[test]
fn limits_are_numbers_or_unlimited() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
storage:
  package_cache: {enabled: true, max_size_gb: 50, retention_days: 60}
  image_cache: {enabled: true, max_count: unlimited, max_size_gb: 1.5, retention_days: 7}
  min_free_gb: 20
";
    let variables = [("IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_RETENTION_DAYS", "unlimited")];
    let Configuration { config, warnings, .. } = with(folder.path(), &variables, Some(text)).unwrap();
    let Storage { package_cache, image_cache, min_free, .. } = config.storage;
    assert_eq!((package_cache.max_size, package_cache.retention_days), (Some(ByteSize(50_000_000_000)), None));
    assert_eq!((image_cache.max_count, image_cache.max_size, image_cache.retention_days), (None, Some(ByteSize(1_500_000_000)), Some(7)));
    assert_eq!((min_free, warnings), (Some(ByteSize(20_000_000_000)), Vec::new()));
}

#[test]
fn nothing_said_of_limits_leaves_those_of_the_layer_below() {
    let folder = tempfile::tempdir().unwrap();
    let found = with(folder.path(), &[], Some("storage: {package_cache: {max_size_gb: null, retention_days: }}\n")).unwrap();
    assert_eq!(found.config, Config::default());
}

#[test]
fn a_limit_of_nothing_is_refused_with_both_ways_out() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
storage:
  package_cache: {max_size_gb: 0.0, retention_days: 0}
  image_cache: {max_count: none, max_size_gb: 5GB, retention_days: 1.5}
  min_free_gb: -1
";
    insta::assert_snapshot!(with(folder.path(), &[], Some(text)).unwrap_err());
}

#[test]
fn a_level_that_zstd_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let level = |text: &str| with(folder.path(), &[], Some(&format!("storage: {{compression_level: {text}}}\n")));
    assert_eq!(level("1").unwrap().config.storage.compression_level, 1);
    for text in ["0", "20", "-3", "fast"] {
        assert!(level(text).is_err(), "{text}");
    }
}

#[test]
fn every_key_is_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_ENABLED", "false"),
        ("IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_MAX_SIZE_GB", "1"),
        ("IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_RETENTION_DAYS", "2"),
        ("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_ENABLED", "false"),
        ("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_COUNT", "3"),
        ("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_SIZE_GB", "4"),
        ("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_RETENTION_DAYS", "5"),
        ("IMAGE_COMPOSER_STORAGE_MIN_FREE_GB", "6.5"),
        ("IMAGE_COMPOSER_STORAGE_COMPRESSION_LEVEL", "7"),
        ("IMAGE_COMPOSER_WORKERS", "4"),
        ("IMAGE_COMPOSER_PROXY", "http://me:secret@p:1"),
        ("IMAGE_COMPOSER_MIRRORS_DEBIAN_SECURITY", "http://a/s file:///b/s"),
        ("IMAGE_COMPOSER_KEYRINGS_UBUNTU", "/k.gpg"),
        ("IMAGE_COMPOSER_TLS_CA_FILE", "/ca.pem"),
        ("IMAGE_COMPOSER_STORE", "/s"),
        ("IMAGE_COMPOSER_WORKER", "1"),
        ("IMAGE_COMPOSER_PROXY_", ""),
    ];
    let found = with(folder.path(), &variables, None).unwrap();
    insta::assert_json_snapshot!(found.config);
    assert_eq!(
        found.warnings[0].to_string(),
        "the variable IMAGE_COMPOSER_WORKER is not known, and has no effect: did you mean IMAGE_COMPOSER_WORKERS?"
    );
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn certificates_are_files_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
tls:
  ca_file: ca.pem
  certificates:
    - {host: Repo.Example, cert: /etc/pki/us.pem, key: us.key}
    - {host: '[::1]', cert: both.pem}
";
    let tls = with(folder.path(), &[("IMAGE_COMPOSER_TLS_CA_FILE", "/ca.pem")], Some(text)).unwrap().config.tls;
    let certificate =
        |host: &str, cert: &str, key: &str| ClientCertificate { host: host.to_owned(), cert: folder.path().join(cert), key: folder.path().join(key) };
    assert_eq!(tls.ca_file, Some("/ca.pem".into()));
    assert_eq!(tls.certificates, [certificate("repo.example", "/etc/pki/us.pem", "us.key"), certificate("[::1]", "both.pem", "both.pem")]);
    let mistakes = "\
tls:
  ca_file: ''
  certificates:
    - {host: https://repo.example/, cert: a}
    - {host: repo.example:443, cert: a, kay: b}
    - {host: me:secret@repo.example}
    - {host: repo.example, cert: a, key: ''}
    - {host: repo.example, cert: a}
    - {host: REPO.example, cert: b}
    - repo.example
";
    let mistakes = with(folder.path(), &[], Some(mistakes)).unwrap_err();
    assert!(!mistakes.contains("secret"), "{mistakes}");
    insta::assert_snapshot!(mistakes);
}

#[test]
fn mistakes_of_all_layers_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
storage:
  package_cache:
    enabled: yes
    max_size: 5
    retention_days: -1
  image_cach: {enabled: true}
workers: many
mirrors:
  debian: http://a/debian
  debain: [http://a/debian]
  ubuntu: []
  debian-security: [http://me:secret@a/x, ftp://a/b, http://a/../b]
keyrings: [a]
proxy: secret
store: /s
";
    let variables = [("IMAGE_COMPOSER_WORKERS", "0"), ("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_ENABLED", "1")];
    let mistakes = with(folder.path(), &variables, Some(text)).unwrap_err();
    assert!(!mistakes.contains("secret"));
    insta::assert_snapshot!(mistakes);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let environment = Environment::new([("", ""); 0], false, Path::new("/none"));
    assert!(matches!(load(&environment, Some(Path::new("/none/config.yaml"))), Err(ConfigError::Read(_))));
}

#[test]
fn the_schema_has_every_key_and_bound_of_the_layers_and_no_other() {
    let asked = explore(|root, report| drop(Layer::read(root, Path::new(""), report)));
    assert!(asked.keys["storage.image_cache"].contains("max_count"));
    assert_same_language(&schema(), &asked, &[]);
}

#[test]
fn the_schema_takes_what_holds_and_refuses_what_does_not() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let is_valid = |text: &str| validator.is_valid(&as_json(&yaml::parse(text, &Report::new(Path::new("config.yaml"))).unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/seed-page/config.yaml")).unwrap();
    assert!(is_valid(&page));
    for value in ["storage: {min_free_gb: %}", "storage: {image_cache: {max_count: %}}", "storage: {image_cache: {max_size_gb: %}}", "workers: %"] {
        for number in ["0", "1", "1.5", "64", "65", "1000000", "1000001", "unlimited", "-1", "true", "null", "[]"] {
            let text = value.replace('%', number);
            assert_eq!(is_valid(&text), with(folder.path(), &[], Some(&text)).is_ok(), "{text}");
        }
    }
    assert!(!is_valid("mirrors: {debian: []}") && !is_valid("mirrors: {debain: ['http://a/d']}") && !is_valid("proxy: secret"));
}

#[test]
fn the_template_has_every_key_and_says_what_is_built_in() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(with(folder.path(), &[], Some(TEMPLATE)).unwrap().config, Config::default());
    // Mirrors and keyrings are comments in it, because none are built in.
    let root = yaml::parse(&TEMPLATE.replace("#  ", "  "), &Report::new(Path::new("config.yaml"))).unwrap().to_json();
    for (path, _) in variables::keys() {
        assert!(root.pointer(&format!("/{}", path.join("/"))).is_some(), "the template says nothing of {path:?}");
    }
    let mut changed = TEMPLATE.replace("#  ", "  ");
    changed = changed.replace("proxy:                        # ", "proxy: ");
    let changed = with(folder.path(), &[], Some(&changed)).unwrap().config;
    assert_eq!(changed.proxy.unwrap().address(), "http://host:3128");
    assert_eq!(changed.tls.certificates.len(), 1);
}
