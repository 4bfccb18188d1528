//! Walks the tree of a spec: one file a section of the language.

mod disk;
mod files;
mod image;
mod local;
mod network;
mod repositories;
mod system;
mod target;
mod users;

use super::draft::{CacheDraft, Draft};
use super::model::ImageType;
use crate::distro::{BootProvider, Packaging};
use crate::yaml::{Field, Fields, Kind, Node, Report};

/// What the document says; its mistakes go to `report`. Local files are looked up beside the file that names them.
pub(super) fn document(root: &Node, report: &Report) -> Option<Draft> {
    let mut document = Fields::of_document(root, report)?;
    for overlay in ["baseline", "overlayPolicy"] {
        document.refuse(overlay, "images are built from packages only: name them in systemConfig.packages");
    }
    for record in ["sbomPackageMetadata", "resolvedKernelPackages"] {
        document.refuse(record, "it is the record of another program's build: leave it out");
    }
    let image = document.required("image").and_then(|field| image::read(&field));
    let target = document.required("target").and_then(|field| target::read(&field));
    let arch = target.as_ref().map(|(target, _)| target.arch);
    let packaging = target.as_ref().map_or(Packaging::Deb, |(_, profile)| profile.packaging);
    let kind = target.as_ref().map_or(ImageType::Raw, |(target, _)| target.image_type);
    let system = document.optional("systemConfig").map(|field| system::read(&field, system::For { arch, packaging, kind }));
    // A boot loader that is wrong is the default here: its own mistake is told.
    let bootloader = system.as_ref().and_then(|system| system.bootloader).unwrap_or(BootProvider::SystemdBoot);
    let disk = document.optional("disk").map(|field| match kind {
        ImageType::Raw => disk::read(&field, disk::Machine { arch, bootloader }),
        other => disk::read_of_files(&field, other),
    });
    let profile = target.as_ref().map(|(_, profile)| *profile);
    let repositories = document.optional("packageRepositories").map(|field| repositories::read(&field, profile, arch));
    let metadata = document.optional("metadata").and_then(|field| metadata(&field));
    let cache = document.optional("build").map(|field| build(&field));
    document.finish();

    let (target, profile) = target?;
    let (repositories, folders) = repositories.unwrap_or_default();
    Some(Draft {
        image: image?,
        target,
        profile,
        disk: disk.unwrap_or_default(),
        system: system.unwrap_or_default(),
        repositories,
        folders,
        metadata,
        cache: cache.unwrap_or_default(),
    })
}

/// `metadata`: whatever a template's authors write down about it.
fn metadata(field: &Field<'_>) -> Option<serde_json::Value> {
    let Kind::Mapping(_) = field.node().kind else { return field.wrong_type("a mapping (key: value)", None) };
    Some(field.node().to_json())
}

/// `build`: what has an influence on the work, and none on the image.
fn build(field: &Field<'_>) -> CacheDraft {
    let mut draft = CacheDraft::default();
    let Some(mut build) = field.fields() else { return draft };
    if let Some(mut cache) = build.optional("cache").and_then(|field| field.fields()) {
        let mut switch = |name| cache.optional(name).and_then(|field| field.boolean()).map(|located| located.value);
        draft.packages = switch("use_package_cache");
        draft.images = switch("use_image_cache");
        cache.finish();
    }
    build.finish();
    draft
}

/// Reports the field if it is there: it means nothing for an image of this kind.
fn unfit(fields: &mut Fields<'_>, name: &'static str, kind: ImageType, hint: &str) {
    if let Some(field) = fields.optional(name) {
        field.error_with_hint(&format!("cannot be given for an image of type {}", kind.name()), hint);
    }
}

/// A text that holds what is said of it: `problem` of it is reported.
fn checked(field: &Field<'_>, check: impl FnOnce(&str) -> Result<(), &'static str>) -> Option<String> {
    let text = field.text()?;
    match check(&text.value) {
        Ok(()) => Some(text.value),
        Err(expected) => {
            field.error(&format!("must be {expected}, but is “{}”", crate::yaml::cut(&text.value)));
            None
        }
    }
}

/// A list of texts that all hold what is said of them.
fn checked_list(field: &Field<'_>, check: impl Fn(&str) -> Result<(), &'static str>) -> Vec<String> {
    field.list().unwrap_or_default().iter().filter_map(|item| checked(item, &check)).collect()
}

/// A text of one line for people.
fn one_line(text: &str) -> Result<(), &'static str> {
    let holds = !text.trim().is_empty() && text.len() <= 1024 && !text.contains(char::is_control);
    if holds { Ok(()) } else { Err("one line of at most 1024 characters") }
}
