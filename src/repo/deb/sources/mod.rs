//! The host's apt sources: where its mirrors are, and how it reaches them.
//!
//! No mirror's address is built into this program: on a Debian or Ubuntu host they come from what the host's own apt uses (`sources.list(5)`,
//! `apt.conf(5)`). Everything is read beneath a root directory, which is `/` outside of tests.

mod apt_conf;
mod deb822;
mod one_line;

use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use apt_conf::proxies;

/// The longest file that is read, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// One entry of the host's apt sources that is enabled and brings binary packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AptSource {
    /// Base addresses, without a slash at the end.
    pub uris: Vec<String>,
    /// Suites beneath `dists/`, or paths that end with a slash (flat repositories).
    pub suites: Vec<String>,
    /// Components; empty for flat repositories.
    pub components: Vec<String>,
    /// Architectures that it is restricted to; empty for all.
    pub architectures: Vec<String>,
    /// Which keys must have signed it; empty for apt's own trusted keys.
    pub signed_by: Vec<SignedBy>,
    /// Where it is written, `path:line`.
    pub origin: String,
}

/// A key that apt wants a source to be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// A keyring file of the host.
    File(PathBuf),
    /// The fingerprint of a key among apt's trusted ones.
    Fingerprint(String),
    /// An armored key that is written into the source itself.
    Inline(String),
}

/// Apt's configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// A file or directory cannot be read.
    #[error("{}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is longer than 4 MiB.
    #[error("{} is too long for a file of apt", path.display())]
    TooLong {
        /// Which one.
        path: PathBuf,
    },
    /// A line is not what apt would read.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, in words.
        problem: String,
    },
}

impl SourcesError {
    /// A way out.
    pub fn hint(&self) -> Option<String> {
        let (Self::Read { path, .. } | Self::TooLong { path } | Self::Malformed { path, .. }) = self;
        let of_proxies = path.iter().any(|part| part.as_encoded_bytes().starts_with(b"apt.conf"));
        let hint = if of_proxies {
            "name the proxy yourself: `proxy:` in the configuration, or IMAGE_COMPOSER_PROXY"
        } else {
            "name the mirrors of all archives yourself: --mirror, or `mirrors:` in the configuration"
        };
        Some(hint.to_owned())
    }
}

/// Where in a file something is wrong, and what.
struct Fault {
    line: usize,
    problem: String,
}

impl Fault {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }

    fn at(self, path: &Path) -> SourcesError {
        SourcesError::Malformed { path: path.to_owned(), line: self.line, problem: self.problem }
    }
}

/// The enabled sources of the host whose file system is at `root`, in apt's order: `sources.list`, then the files of `sources.list.d` by name.
/// A host without apt has none.
///
/// # Errors
/// Files that cannot be read, and lines that apt would not understand either.
pub fn read(root: &Path) -> Result<Vec<AptSource>, SourcesError> {
    let mut sources = Vec::new();
    let list = root.join("etc/apt/sources.list");
    let parts = files(&root.join("etc/apt/sources.list.d"), &["list", "sources"])?;
    for path in std::iter::once(list).chain(parts) {
        let Some(text) = contents(&path)? else { continue };
        sources.extend(parse(&text, &path)?);
    }
    Ok(sources)
}

/// The sources in the text of the file `path`, whose name says how they are written.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Vec<AptSource>, SourcesError> {
    let parse = if path.extension().is_some_and(|extension| extension == "sources") { deb822::parse } else { one_line::parse };
    parse(text, &path.display().to_string()).map_err(|fault| fault.at(path))
}

/// The base addresses among `sources` that serve an archive, best first.
///
/// An address serves the archive if its last path component is `suffix` (`debian`, `debian-security`, `ubuntu`), or if its entry names one of
/// `suites`; in both cases the entry must name one of `components`, for other people's repositories are often called `…/debian` as well. Addresses
/// whose entries name more of `suites` come first, then the order of the sources decides. Addresses that are not `http`, `https` or `file` are left out.
pub fn mirrors_for(sources: &[AptSource], suffix: &str, suites: &[&str], components: &[&str]) -> Vec<String> {
    let mut ranked: Vec<(usize, &str)> = Vec::new();
    for source in sources {
        if !source.components.iter().any(|component| components.contains(&component.as_str())) {
            continue;
        }
        let named = source.suites.iter().filter(|suite| suites.contains(&suite.as_str())).count();
        for uri in &source.uris {
            let reachable = ["http://", "https://", "file:/"].iter().any(|scheme| uri.starts_with(scheme));
            if !reachable || (named == 0 && uri.rsplit('/').next() != Some(suffix)) {
                continue;
            }
            match ranked.iter_mut().find(|(_, other)| other == uri) {
                Some((rank, _)) => *rank += named,
                None => ranked.push((named, uri)),
            }
        }
    }
    ranked.sort_by_key(|(named, _)| std::cmp::Reverse(*named));
    ranked.into_iter().map(|(_, uri)| uri.to_owned()).collect()
}

/// An address as apt writes it, in one spelling.
fn normal_uri(uri: &str) -> String {
    let uri = uri.trim_end_matches('/');
    // apt writes `file:/path`, too.
    match uri.strip_prefix("file:/").filter(|path| !path.starts_with('/')) {
        Some(path) => format!("file:///{path}"),
        None => uri.to_owned(),
    }
}

/// `Signed-By` where it is no inline key: paths and fingerprints.
fn signed_by(text: &str) -> Vec<SignedBy> {
    let parts = text.split([',', ' ', '\t', '\n']).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            if part.starts_with('/') {
                SignedBy::File(PathBuf::from(part))
            } else {
                SignedBy::Fingerprint(part.trim_end_matches('!').to_ascii_uppercase())
            }
        })
        .collect()
}

/// The files of a directory that have one of these extensions (`""` is none) and names that apt would read, sorted; none without the directory.
fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, SourcesError> {
    let error = |source| SourcesError::Read { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(error(other)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) && !name.starts_with('.');
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if plain && extensions.contains(&extension) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// The text of a file; none if there is no such file.
fn contents(path: &Path) -> Result<Option<String>, SourcesError> {
    let error = |source| SourcesError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(error(other)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(SourcesError::TooLong { path: path.to_owned() });
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests;
