//! User names and passwords for servers, from the host's own files: apt's (`apt_auth.conf(5)`) and `~/.netrc`.
//!
//! They go to the host that they name and to no other, over `https`, unless the entry itself says `http://`. No message and no `Debug` form has one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::Error;

/// The longest file that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// The most files of a folder that are read.
const FILES_LIMIT: usize = 1000;

/// What servers may be told about the user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(Vec<Entry>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.0.len())
    }
}

/// For one server, or for a part of it.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    /// `https`, unless the entry names another one.
    scheme: String,
    host: String,
    /// None is any.
    port: Option<u16>,
    /// Without a slash at its end; what lies beneath it is meant too.
    path: String,
    login: String,
    password: String,
}

impl Credentials {
    /// Those of the host at `root`: `/etc/apt/auth.conf`, `/etc/apt/auth.conf.d/*.conf` by name, and `.netrc` in the directory `home`. The first entry that
    /// fits an address holds.
    ///
    /// # Errors
    /// A file that cannot be read; what is not there, or not this user's to read, has nothing for them.
    pub fn of_host(root: &Path, home: Option<&Path>) -> Result<Self, Error> {
        let mut files = vec![root.join("etc/apt/auth.conf")];
        let folder = root.join("etc/apt/auth.conf.d");
        let mut parts: Vec<PathBuf> = match std::fs::read_dir(&folder) {
            Ok(entries) => entries.take(FILES_LIMIT).filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) if is_nothing(&error) => Vec::new(),
            Err(source) => return Err(Error::File { path: folder, source }),
        };
        parts.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        parts.sort_unstable();
        files.extend(parts);
        files.extend(home.map(|home| home.join(".netrc")));
        let mut all = Self::default();
        for path in files {
            match read(&path) {
                Ok(text) => all.0.extend(parse(&text)),
                Err(error) if is_nothing(&error) => {}
                Err(source) => return Err(Error::File { path, source }),
            }
        }
        Ok(all)
    }

    /// User name and password for an address.
    pub(super) fn of(&self, url: &Url) -> Option<(&str, &str)> {
        let path = |entry: &Entry| url.path().strip_prefix(entry.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let fits = |entry: &&Entry| {
            entry.scheme == url.scheme()
                && url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(&entry.host))
                && entry.port.is_none_or(|port| url.port_or_known_default() == Some(port))
                && path(entry)
        };
        self.0.iter().find(fits).map(|entry| (entry.login.as_str(), entry.password.as_str()))
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

fn read(path: &Path) -> io::Result<String> {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The entries of a file. An entry without a host (`default`), a name or a password is for nobody.
fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<(Option<String>, String, String)> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        while let Some(word) = words.next() {
            match word {
                "machine" => entries.push((words.next().map(str::to_owned), String::new(), String::new())),
                "default" => entries.push((None, String::new(), String::new())),
                "login" => set(&mut entries, |entry| &mut entry.1, words.next()),
                "password" => set(&mut entries, |entry| &mut entry.2, words.next()),
                "account" => drop(words.next()),
                // A macro of ftp(1), up to an empty line.
                "macdef" => {
                    lines.by_ref().find(|line| line.trim().is_empty());
                    break;
                }
                _ => {}
            }
        }
    }
    let whole = |(machine, login, password): (Option<String>, String, String)| {
        let machine = machine?;
        let (scheme, rest) = machine.split_once("://").unwrap_or(("https", &machine));
        // An address, so that hosts are written as addresses have them.
        let url = Url::parse(&format!("{scheme}://{rest}")).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        let port = url.port().or_else(|| rest.split('/').next()?.rsplit_once(':')?.1.parse().ok());
        let path = url.path().trim_end_matches('/').to_owned();
        (!login.is_empty() && !password.is_empty()).then(|| Entry { scheme: scheme.to_owned(), host, port, path, login, password })
    };
    entries.into_iter().filter_map(whole).collect()
}

fn set<T>(entries: &mut [T], field: impl Fn(&mut T) -> &mut String, value: Option<&str>) {
    if let (Some(entry), Some(value)) = (entries.last_mut(), value) {
        value.clone_into(field(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# comment
machine example.org/private/ login one password first
machine example.org
  login two
  password second
machine http://plain.example:8080 login three password third
machine incomplete.example login four
macdef init
  machine macro.example login five password fifth

default login six password sixth
machine [::1]:443 account a login seven password seventh
";

    #[test]
    fn an_entry_is_for_its_host_alone() {
        let credentials = Credentials(parse(TEXT));
        let of = |url: &str| credentials.of(&Url::parse(url).unwrap()).map(|(login, _)| login);
        for (url, login) in [
            ("https://example.org/private", "one"),
            ("https://EXAMPLE.org/private/dists/x", "one"),
            ("https://example.org/privates", "two"),
            ("https://example.org:8443/a", "two"),
            ("http://plain.example:8080/a", "three"),
            ("https://[::1]/a", "seven"),
        ] {
            assert_eq!(of(url), Some(login), "{url}");
        }
        for url in [
            "http://example.org/private",
            "https://sub.example.org/",
            "https://example.org.evil.example/",
            "http://plain.example/",
            "https://plain.example:8080/",
            "https://incomplete.example/",
            "https://macro.example/",
            "https://[::1]:8443/",
            "file:///private",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn the_files_of_the_host_are_read_in_their_order() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let home = root.path().join("home");
        assert_eq!(Credentials::of_host(root.path(), Some(&home)).unwrap(), Credentials::default());
        write("home/.netrc", "machine a login netrc password secret machine b login netrc password secret");
        write("etc/apt/auth.conf.d/50.conf", "machine a login later password secret");
        write("etc/apt/auth.conf.d/10.conf", "machine a login part password secret");
        write("etc/apt/auth.conf.d/00.bak", "machine a login backup password secret");
        let of = |url: &str| {
            let credentials = Credentials::of_host(root.path(), Some(&home)).unwrap();
            assert!(!format!("{credentials:?}").contains("secret"));
            credentials.of(&Url::parse(url).unwrap()).unwrap().0.to_owned()
        };
        assert_eq!((of("https://a/"), of("https://b/")), ("part".to_owned(), "netrc".to_owned()));
        write("etc/apt/auth.conf", "machine a login main password secret");
        assert_eq!(of("https://a/"), "main");
        write("etc/apt/auth.conf", &"#".repeat(1 << 21));
        assert!(matches!(Credentials::of_host(root.path(), None), Err(Error::File { .. })));
    }
}
