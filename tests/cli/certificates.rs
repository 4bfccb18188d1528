//! Servers that want to know who asks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::folders::World;
use crate::support::tls;

#[test]
fn a_mirror_that_wants_a_certificate_is_shown_that_of_the_configuration() {
    let world = World::new();
    world.spec("", "");
    let mirror = tls::before(world.server.address());
    let (config, key) = (world.path(".config/image-composer/config.yaml"), world.path("client.key"));
    fs::copy(tls::fixture("client.key"), &key).unwrap();
    let trusted = fs::read_to_string(&config).unwrap();
    let fetch = |tls: &str, mode: u32| {
        fs::write(&config, format!("{trusted}tls: {{{tls}}}\n")).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let mirrors = ["debian", "debian-security"].map(|archive| format!("--mirror={archive}={mirror}"));
        let (status, _, err) = world.run(&["fetch", "spec.yml", &mirrors[0], &mirrors[1]]);
        (status, err)
    };
    let ca = format!("ca_file: {}", tls::fixture("ca.pem").display());
    let both = format!("{ca}, certificates: [{{host: localhost, cert: {}, key: ../../client.key}}]", tls::fixture("client.pem").display());

    let (status, err) = fetch("", 0o600);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("cannot connect securely") && err.contains("tls.ca_file"), "{err}");
    let (status, err) = fetch(&ca, 0o600);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("tls.certificates"), "{err}");
    let (status, err) = fetch(&both, 0o644);
    assert_eq!(status, 2, "{err}");
    assert!(
        err.contains("client.key has a private key, and all users of this machine can read it (mode 0644)") && err.contains("chmod o= "),
        "{err}"
    );
    let (status, err) = fetch(&both, 0o600);
    assert_eq!(status, 0, "{err}");
}
