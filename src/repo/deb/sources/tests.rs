use super::*;
use crate::fetch::Proxies;

/// A host with these files beneath `/etc/apt`.
fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join("etc/apt").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn sources(name: &str, text: &str) -> Vec<AptSource> {
    read(host(&[(name, text)]).path()).unwrap()
}

fn problem(name: &str, text: &str) -> String {
    let root = host(&[(name, text)]);
    let error = read(root.path()).unwrap_err().to_string();
    error.replace(&root.path().join("etc/apt").display().to_string(), "…")
}

#[test]
fn a_host_without_apt_has_no_sources() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(read(root.path()).unwrap(), []);
    assert_eq!(proxies(root.path(), Proxies::default()).unwrap(), Proxies::default());
}

#[test]
fn reads_the_one_line_format() {
    let text = "# deb http://off.example/debian bookworm main\n\n\
        deb [ arch=amd64,arm64 signed-by=/k/a.gpg,/k/b.asc lang=en ] http://a.example/debian/ bookworm main contrib # why\n\
        deb-src http://a.example/debian bookworm main\n\
        \tdeb\tfile:/srv/flat ./\n";
    let sources = sources("sources.list", text);
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[0].uris, ["http://a.example/debian"]);
    assert_eq!(
        (sources[0].suites.as_slice(), sources[0].components.as_slice()),
        (&["bookworm".to_owned()][..], &["main".to_owned(), "contrib".to_owned()][..])
    );
    assert_eq!(sources[0].architectures, ["amd64", "arm64"]);
    assert_eq!(sources[0].signed_by, [SignedBy::File("/k/a.gpg".into()), SignedBy::File("/k/b.asc".into())]);
    assert!(sources[0].origin.ends_with("/etc/apt/sources.list:3"));
    assert_eq!((sources[1].uris.as_slice(), sources[1].suites.as_slice()), (&["file:///srv/flat".to_owned()][..], &["./".to_owned()][..]));
}

#[test]
fn reads_the_deb822_format() {
    let text = "Types: deb deb-src\n# a comment\nURIs: http://a.example/debian\n http://b.example/debian\nSuites: bookworm bookworm-updates\n\
        Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n -----END PGP PUBLIC KEY BLOCK-----\n\n\
        Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
        Types: deb-src\nURIs: http://src.example/debian\nSuites: bookworm\nComponents: main\n\n\
        types: deb\nuris: http://c.example/x\nsuites: s\ncomponents: main\nsigned-by: 0123456789abcdef0123456789ABCDEF01234567!\n";
    let sources = sources("sources.list.d/debian.sources", text);
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[0].uris, ["http://a.example/debian", "http://b.example/debian"]);
    assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
    let armor = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQIN\n-----END PGP PUBLIC KEY BLOCK-----\n";
    assert_eq!(sources[0].signed_by, [SignedBy::Inline(armor.to_owned())]);
    assert_eq!(sources[1].signed_by, [SignedBy::Fingerprint("0123456789ABCDEF0123456789ABCDEF01234567".to_owned())]);
}

#[test]
fn reads_the_files_that_apt_reads_in_its_order() {
    let line = |name: &str| format!("deb http://{name}.example/debian s main\n");
    let root = host(&[
        ("sources.list", &line("first")),
        ("sources.list.d/b.list", &line("third")),
        ("sources.list.d/a.list", &line("second")),
        ("sources.list.d/c.list.save", "nonsense"),
        ("sources.list.d/d.sources.disabled", "nonsense"),
        ("sources.list.d/.hidden.list", "nonsense"),
        ("sources.list.d/with space.list", "nonsense"),
    ]);
    let uris: Vec<_> = read(root.path()).unwrap().into_iter().flat_map(|source| source.uris).collect();
    assert_eq!(uris, ["http://first.example/debian", "http://second.example/debian", "http://third.example/debian"]);
}

#[test]
fn names_file_and_line_of_what_it_cannot_read() {
    assert_eq!(problem("sources.list", "\nrpm http://a s main\n"), "…/sources.list:2: “rpm” is no type of a source: deb and deb-src are");
    assert_eq!(problem("sources.list", "deb [arch=amd64 http://a s main"), "…/sources.list:1: the options have no closing bracket");
    assert_eq!(problem("sources.list", "deb http://a"), "…/sources.list:1: there is no suite");
    assert_eq!(problem("sources.list", "deb main s http://a"), "…/sources.list:1: there is no address");
    let text = "\nTypes: deb\nSuites: s\nComponents: main\n";
    assert_eq!(problem("sources.list.d/a.sources", text), "…/sources.list.d/a.sources:2: the source has no field URIs");
    assert_eq!(problem("sources.list.d/a.sources", "nonsense\n"), "…/sources.list.d/a.sources:1: this is no field (“Name: value”)");
}

#[test]
fn finds_the_mirrors_of_an_archive() {
    let sources = sources(
        "sources.list",
        "deb http://ppa.example/someone/debian bookworm main\n\
         deb http://docker.example/linux/debian bookworm stable\n\
         deb http://mirror.example/debian bookworm main\n\
         deb http://mirror.example/debian bookworm-updates main\n\
         deb http://mirror.example/debian-security bookworm-security main\n\
         deb http://snapshot.example/archive/debian/2026 bookworm main contrib\n\
         deb cdrom:[Debian] bookworm main\n\
         deb http://other.example/debian sid main\n",
    );
    assert_eq!(
        mirrors_for(&sources, "debian", &["bookworm", "bookworm-updates"], &["main"]),
        [
            "http://mirror.example/debian",
            "http://ppa.example/someone/debian",
            "http://snapshot.example/archive/debian/2026",
            "http://other.example/debian"
        ]
    );
    assert_eq!(mirrors_for(&sources, "debian-security", &["bookworm-security"], &["main"]), ["http://mirror.example/debian-security"]);
    // A host of another release has the right mirror as well.
    assert_eq!(mirrors_for(&sources, "debian-security", &["trixie-security"], &["main"]), ["http://mirror.example/debian-security"]);
    assert!(mirrors_for(&sources, "ubuntu", &["noble"], &["main"]).is_empty());
}

#[test]
fn reads_the_proxy_in_every_spelling() {
    let proxied = |text: &str| proxies(host(&[("apt.conf", text)]).path(), Proxies::default()).unwrap();
    for text in [
        "Acquire::http::Proxy \"http://p:3142\";",
        "acquire::HTTP::proxy \"http://p:3142\";",
        "// why\nAcquire { http { /* here */ Proxy \"http://p:3142\"; }; Retries \"3\"; };",
        "Acquire::http { Proxy \"http://p:3142\"; }\n",
    ] {
        let found = proxied(text);
        assert_eq!((found.http.as_deref(), found.https.as_deref()), (Some("http://p:3142"), Some("http://p:3142")), "{text}");
    }
    let found = proxied(
        "Acquire::http::Proxy \"http://p\"; Acquire::https::Proxy \"DIRECT\";\n# a comment\nAcquire::http::Proxy { local.example \"DIRECT\"; far.example \"http://q\"; };\n\
         APT::NeverAutoRemove { \"^linux-.*\"; };\n",
    );
    assert_eq!((found.http.as_deref(), found.https), (Some("http://p"), None));
    assert_eq!(found.hosts, [("far.example".to_owned(), Some("http://q".to_owned())), ("local.example".to_owned(), None)].into());
    assert_eq!(proxied("Acquire::http::Proxy \"http://p\"; #clear Acquire::http;\n"), Proxies::default());
}

#[test]
fn the_environment_has_the_proxies_that_apt_says_nothing_about() {
    let of = |text: &str| {
        let found = proxies(host(&[("apt.conf", text)]).path(), Proxies::all("http://env")).unwrap();
        (found.http, found.https)
    };
    let (env, apt) = (|| Some("http://env".to_owned()), || Some("http://apt".to_owned()));
    for text in ["", "Acquire::http::Proxy \"\";", "Acquire::https::Proxy \"\"; Acquire::http::Proxy \"\";"] {
        assert_eq!(of(text), (env(), env()), "{text}");
    }
    assert_eq!(of("Acquire::http::Proxy \"http://apt\"; Acquire::https::Proxy \"\";"), (apt(), apt()));
    assert_eq!(of("Acquire::http::Proxy::repo.internal \"DIRECT\";"), (env(), env()));
    assert_eq!(of("Acquire::http::Proxy \"DIRECT\";"), (None, None));
    assert_eq!(of("Acquire::https::Proxy \"DIRECT\";"), (env(), None));
    assert_eq!(of("Acquire::https::Proxy \"http://apt\";"), (env(), apt()));
    assert_eq!(of("Acquire::http::Proxy \"http://apt\"; Acquire::https::Proxy \"DIRECT\";"), (apt(), None));
}

#[test]
fn the_last_proxy_counts() {
    let root = host(&[
        ("apt.conf.d/10a", "Acquire::http::Proxy \"http://first\";"),
        ("apt.conf.d/90b.conf", "Acquire::http::Proxy \"http://second\";"),
        ("apt.conf.d/95c.dpkg-old", "Acquire::http::Proxy \"http://never\";"),
    ]);
    assert_eq!(proxies(root.path(), Proxies::default()).unwrap().http.as_deref(), Some("http://second"));
}

#[test]
fn refuses_configuration_that_apt_would_refuse() {
    for text in ["Acquire { http { Proxy \"p\"; };", "};", "A \"open;", "{ };", "/* open", &"a { ".repeat(100)] {
        let error = proxies(host(&[("apt.conf", text)]).path(), Proxies::default()).unwrap_err();
        assert!(matches!(error, SourcesError::Malformed { .. }), "{text}: {error}");
        assert!(error.hint().unwrap().contains("IMAGE_COMPOSER_PROXY"));
    }
}
