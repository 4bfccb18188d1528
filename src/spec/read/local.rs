//! Files and folders of the host that a spec names, as they are when the spec is loaded.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::checked;
use crate::digest::Digest;
use crate::distro::Packaging;
use crate::spec::model::Content;
use crate::spec::names;
use crate::yaml::Field;

/// The most that a folder may have in it, at any depth: more than any system's own `/etc` and `/opt`, and read in seconds.
const FOLDER_LIMIT: usize = 100_000;

/// Something of the host.
pub(super) struct Local {
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) content: Content,
    /// The permission bits.
    pub(super) mode: u32,
}

/// A file, and what is in it.
pub(super) struct LocalFile {
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
}

/// Why something cannot be used.
enum Problem {
    NotThere,
    /// Neither file nor folder nor link.
    Special,
    Unreadable(io::Error),
    Name(&'static str),
    TooMany,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::NotThere } else { Self::Unreadable(error) }
    }
}

/// The regular file that a field names, relative to the spec or as `file:///…`. Everything that is wrong with it is reported.
pub(super) fn file(field: &Field<'_>) -> Option<LocalFile> {
    let path = path(field)?;
    let found = look_at(&path, std::fs::metadata(&path));
    match found {
        Ok(Local { path, content: Content::File(digest), .. }) => Some(LocalFile { path, digest }),
        Ok(_) => {
            field.error(&format!("is a folder: {}", path.display()));
            None
        }
        Err(problem) => {
            tell(field, &path, problem);
            None
        }
    }
}

/// The file or folder that a field names, relative to the spec, and all that is in it, each with its path beneath: parents before children, by name. Links
/// in a folder are taken as they are. Everything that is wrong is reported.
pub(super) fn tree(field: &Field<'_>) -> Option<Vec<(String, Local)>> {
    let top = path(field)?;
    let mut found = Vec::new();
    // The one that is named may be a link to what is meant.
    match look_at(&top, std::fs::metadata(&top)).map_err(|problem| (top.clone(), problem)).and_then(|local| add(local, "", &mut found)) {
        Ok(()) => Some(found),
        Err((path, problem)) => {
            tell(field, &path, problem);
            None
        }
    }
}

/// The folder that a field names, relative to the spec, without links on the way, and the names of all packages in it, sorted: files that end with `.deb` or `.rpm`.
/// Everything that is wrong is reported.
pub(super) fn packages(field: &Field<'_>, packaging: Packaging) -> Option<(PathBuf, Vec<String>)> {
    let written = path(field)?;
    let suffix = match packaging {
        Packaging::Deb => "deb",
        Packaging::Rpm => "rpm",
    };
    match list_packages(&written, suffix) {
        Ok((_, names)) if names.is_empty() => {
            let hint = format!("put the packages into it as name.{suffix} (folders in it are not looked into), or leave the repository out");
            field.error_with_hint(&format!("is a folder without a package: {}", printable(&written)), hint);
            None
        }
        Ok(found) => Some(found),
        Err((_, Problem::Unreadable(error))) if error.kind() == io::ErrorKind::NotADirectory => {
            field.error_with_hint(&format!("is no folder: {}", printable(&written)), "name the folder that the packages are in");
            None
        }
        Err((path, Problem::NotThere)) => {
            field.error_with_hint(&format!("names a folder that is not there: {}", printable(&path)), "paths are relative to the spec");
            None
        }
        Err((path, problem)) => {
            tell(field, &path, problem);
            None
        }
    }
}

fn list_packages(path: &Path, suffix: &str) -> Result<(PathBuf, Vec<String>), (PathBuf, Problem)> {
    let at_folder = |error: io::Error| (path.to_owned(), Problem::from(error));
    let folder = std::fs::canonicalize(path).map_err(at_folder)?;
    let mut names = Vec::new();
    for (number, entry) in std::fs::read_dir(&folder).map_err(at_folder)?.enumerate() {
        let name = entry.map_err(at_folder)?.file_name();
        if number >= FOLDER_LIMIT {
            return Err((path.to_owned(), Problem::TooMany));
        }
        let stem = Path::new(&name).file_stem().map(Path::new);
        let is_source = suffix == "rpm" && stem.and_then(Path::extension).is_some_and(|kind| kind == "src" || kind == "nosrc");
        if is_source || Path::new(&name).extension().is_none_or(|extension| extension != suffix) {
            continue;
        }
        let usable = match name.to_str() {
            None => Err(Problem::Name("is not UTF-8")),
            Some(name) if name.contains(char::is_control) => Err(Problem::Name("has a control character")),
            Some(name) => Ok(name.to_owned()),
        };
        names.push(usable.map_err(|problem| (path.join(&name), problem))?);
    }
    names.sort_unstable();
    Ok((folder, names))
}

fn add(local: Local, beneath: &str, found: &mut Vec<(String, Local)>) -> Result<(), (PathBuf, Problem)> {
    let path = local.path.clone();
    let is_folder = local.content == Content::Folder;
    found.push((beneath.to_owned(), local));
    if found.len() > FOLDER_LIMIT {
        return Err((path, Problem::TooMany));
    }
    if !is_folder {
        return Ok(());
    }
    let at_folder = |error: io::Error| (path.clone(), Problem::Unreadable(error));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(at_folder)? {
        names.push(entry.map_err(at_folder)?.file_name());
        if names.len() > FOLDER_LIMIT {
            return Err((path, Problem::TooMany));
        }
    }
    names.sort_unstable();
    for name in names {
        let path = path.join(&name);
        let local = name
            .to_str()
            .ok_or(Problem::Name("is not UTF-8"))
            .and_then(|name| {
                let beneath = format!("{beneath}/{name}");
                names::absolute_path(&beneath).map_err(|_| Problem::Name("has a control character, or is too long"))?;
                Ok((beneath, look_at(&path, std::fs::symlink_metadata(&path))?))
            })
            .map_err(|problem| (path.clone(), problem));
        let (beneath, local) = local?;
        add(local, &beneath, found)?;
    }
    Ok(())
}

/// Where a local file is: what is relative is meant from the folder of the file that says it.
fn path(field: &Field<'_>) -> Option<PathBuf> {
    let written = checked(field, |text| if text.is_empty() || text.contains('\0') { Err("the path of a file") } else { Ok(()) })?;
    // As templates name keys.
    let place = written.strip_prefix("file://").filter(|path| path.starts_with('/')).unwrap_or(&written);
    let file = field.report().path_of(field.place());
    match std::path::absolute(file.parent().unwrap_or(Path::new("")).join(place)) {
        Ok(path) => Some(path),
        Err(error) => {
            field.error(&format!("cannot be made an absolute path: {error}"));
            None
        }
    }
}

/// What is at a path. It is looked at before it is opened: opening a pipe would wait for a writer.
fn look_at(path: &Path, about: io::Result<Metadata>) -> Result<Local, Problem> {
    let about = about?;
    let mode = about.permissions().mode() & 0o7777;
    let of = |content, mode| Ok(Local { path: path.to_owned(), content, mode });
    if about.is_dir() {
        return of(Content::Folder, mode);
    }
    if about.is_symlink() {
        let target = std::fs::read_link(path)?.into_os_string().into_string().map_err(|_| Problem::Name("is a link whose target is not UTF-8"))?;
        return of(Content::Link(target), 0o777);
    }
    if !about.is_file() {
        return Err(Problem::Special);
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    of(Content::File(hasher.finalize().into()), mode)
}

fn tell(field: &Field<'_>, path: &Path, problem: Problem) {
    let path = printable(path);
    match problem {
        Problem::NotThere => field.error_with_hint(&format!("names a file that is not there: {path}"), "paths are relative to the spec"),
        Problem::Special => field.error(&format!("has something that is neither a file nor a folder nor a link: {path}")),
        Problem::Unreadable(error) => field.error(&format!("cannot be read: {path}: {error}")),
        Problem::Name(what) => field.error(&format!("has a name that cannot be used: {path} {what}")),
        Problem::TooMany => {
            field.error_with_hint(&format!("is a folder with more than {FOLDER_LIMIT} files in it"), "make a package of it");
        }
    }
}

fn printable(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{fffd}")
}
