//! Local files that a spec names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::checked;
use crate::digest::Digest;
use crate::spec::model::AdditionalFile;
use crate::spec::names;
use crate::yaml::Field;

/// A file as it was when the spec was loaded.
pub(super) struct Local {
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    /// The permission bits.
    pub(super) mode: u32,
}

/// `systemConfig.additionalFiles`.
pub(super) fn read(field: &Field<'_>, folder: &Path) -> Vec<AdditionalFile> {
    let mut files = Vec::new();
    let mut seen = BTreeMap::new();
    for item in field.list().unwrap_or_default() {
        let Some(mut fields) = item.fields() else { continue };
        fields.refuse("stage", "leave it out");
        let local = fields.required("local").and_then(|field| local(&field, folder));
        let destination_field = fields.required("final");
        let destination = destination_field.as_ref().and_then(|field| checked(field, names::absolute_path));
        fields.finish();
        let (Some(field), Some(destination)) = (destination_field, destination) else { continue };
        if let Some(first) = seen.insert(destination.clone(), item.place()) {
            field.error(&format!("is the same as that in line {}: “{destination}”", first.line));
        }
        if let Some(Local { path, digest, mode }) = local {
            files.push((field, AdditionalFile { local: path, digest, mode, destination }));
        }
    }
    for (field, file) in &files {
        let parents = Path::new(&file.destination).ancestors().skip(1);
        if let Some(parent) = parents.filter_map(Path::to_str).find(|parent| seen.contains_key(*parent)) {
            field.error(&format!("lies beneath “{parent}”, which is another file of the list"));
        }
    }
    files.into_iter().map(|(_, file)| file).collect()
}

/// The regular file that a field names, relative to `folder`. Everything that is wrong with it is reported.
pub(super) fn local(field: &Field<'_>, folder: &Path) -> Option<Local> {
    let written = checked(field, |text| if text.is_empty() || text.contains('\0') { Err("the path of a file") } else { Ok(()) })?;
    let path = match std::path::absolute(folder.join(&written)) {
        Ok(path) => path,
        Err(error) => {
            field.error(&format!("cannot be made an absolute path: {error}"));
            return None;
        }
    };
    match digest(&path) {
        Ok((digest, mode)) => Some(Local { path, digest, mode }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            field.error_with_hint(&format!("names a file that is not there: {}", path.display()), "paths are relative to the spec");
            None
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            field.error_with_hint(&format!("is not a regular file: {}", path.display()), "name each file on its own");
            None
        }
        Err(error) => {
            field.error(&format!("cannot be read: {}: {error}", path.display()));
            None
        }
    }
}

/// Digest and permission bits of a regular file; anything else is `InvalidInput`.
fn digest(path: &Path) -> io::Result<(Digest, u32)> {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((hasher.finalize().into(), mode))
}
