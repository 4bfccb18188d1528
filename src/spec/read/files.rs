//! `systemConfig.additionalFiles`.

use std::collections::BTreeMap;
use std::path::Path;

use super::checked;
use super::local::{self, Local};
use crate::spec::model::{AdditionalFile, Content};
use crate::spec::names;
use crate::yaml::{Field, Scalar};

/// The files of the list, and all that is in its folders; sorted by destination.
pub(super) fn read(field: &Field<'_>) -> Vec<AdditionalFile> {
    // By destination, which puts folders before what is in them.
    let mut files: BTreeMap<String, (Field<'_>, AdditionalFile)> = BTreeMap::new();
    for item in field.list().unwrap_or_default() {
        let Some(found) = read_item(&item) else { continue };
        for file in found {
            match files.get(&file.destination) {
                Some((_, other)) if other.content == Content::Folder && file.content == Content::Folder => {}
                Some((first, _)) => {
                    item.error(&format!("has the same destination as that in {}: “{}”", item.line_of(first.place()), file.destination));
                }
                None => drop(files.insert(file.destination.clone(), (item.clone(), file))),
            }
        }
    }
    for (item, file) in files.values() {
        let parents = Path::new(&file.destination).ancestors().skip(1);
        let mut files = parents.filter_map(|parent| files.get(parent.to_str()?)).filter(|(_, parent)| parent.content != Content::Folder);
        if let Some((first, parent)) = files.next() {
            item.error(&format!("lies beneath “{}”, the file in {}", parent.destination, item.line_of(first.place())));
        }
    }
    files.into_values().map(|(_, file)| file).collect()
}

fn read_item(item: &Field<'_>) -> Option<Vec<AdditionalFile>> {
    let mut fields = item.fields()?;
    // Where no baseline is laid over there is one stage only: before the initrd is made.
    fields.optional("stage").and_then(|field| field.one_of(&[("pre-initramfs", ()), ("", ())], &[]));
    let found = fields.required("local").and_then(|field| local::tree(&field));
    // Where nothing was found that is reported already.
    let is_folder = found.as_ref().is_none_or(|found| found.first().is_some_and(|(_, local)| local.content == Content::Folder));
    let destination = fields.required("final").and_then(|field| destination(&field, is_folder));
    let mode = fields.optional("mode").map(|field| mode(&field));
    let owner = fields.optional("owner").map(|field| checked(&field, names::owner));
    fields.finish();

    let (found, destination) = (found?, destination?);
    let mode = mode.map_or(Some(None), |mode| mode.map(Some))?;
    let owner = owner.map_or(Some(None), |owner| owner.map(Some))?;
    let files = found.into_iter().map(|(beneath, Local { path, content, mode: of_host })| {
        let mode = match (mode, &content) {
            (None, _) | (_, Content::Link(_)) => of_host,
            (Some(mode), Content::File(_)) => mode,
            // Who may read what is in a folder may also look into it, as chmod(1) has it for X.
            (Some(mode), Content::Folder) => mode & 0o777 | (mode & 0o444) >> 2,
        };
        AdditionalFile { local: path, content, mode, owner: owner.clone(), destination: format!("{destination}{beneath}") }
    });
    // The root of the image is there.
    Some(files.filter(|file| !file.destination.is_empty()).collect())
}

/// Without a slash at its end; empty for the root of the image.
fn destination(field: &Field<'_>, is_folder: bool) -> Option<String> {
    let written = field.text()?.value;
    match written.strip_suffix('/') {
        Some(folder) if is_folder && (folder.is_empty() || names::absolute_path(folder).is_ok()) => Some(folder.to_owned()),
        _ => checked(field, names::absolute_path),
    }
}

/// Permission bits, always octal: in YAML 1.2 a plain `0644` would be the number 644, which nobody means.
fn mode(field: &Field<'_>) -> Option<u32> {
    let written = match field.scalar() {
        Some(Scalar::Text(text) | Scalar::Integer(text)) => text.strip_prefix("0o").unwrap_or(text),
        _ => "",
    };
    let digits = written.strip_prefix('0').filter(|rest| rest.len() >= 3).unwrap_or(written);
    let holds = matches!(digits.len(), 3 | 4) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if !holds {
        return field.wrong_type("permissions of three or four octal digits, such as \"0644\"", None);
    }
    u32::from_str_radix(digits, 8).ok()
}
