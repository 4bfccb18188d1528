//! `target`.

use crate::distro::{self, Architecture, Profile};
use crate::spec::model::{ImageType, Target};
use crate::yaml::Field;

/// Families that the language has and this program does not build.
const OTHER_OS: [&str; 1] = ["wind-river-elxr"];

/// Releases of those families, and ones without a profile.
const OTHER_DIST: [&str; 3] = ["elxr12", "elxr13", "ubuntu26"];

pub(super) fn read(field: &Field<'_>) -> Option<(Target, &'static Profile)> {
    let mut target = field.fields()?;

    let mut families: Vec<(&str, &str)> = distro::PROFILES.iter().map(|profile| (profile.os, profile.os)).collect();
    families.dedup();
    let os_field = target.optional("os");
    let os = os_field.as_ref().and_then(|field| field.one_of(&families, &OTHER_OS));

    let mut profiles: Vec<(&str, &'static Profile)> = distro::PROFILES.iter().map(|profile| (profile.name, profile)).collect();
    // Templates call it both.
    profiles.extend(distro::find("el10").map(|profile| ("rcd10", profile)));
    let profile = target.required("dist").and_then(|field| field.one_of(&profiles, &OTHER_DIST));

    let arch_names = [Architecture::X86_64, Architecture::Aarch64].map(|arch| (arch.name(), arch));
    let arch_field = target.required("arch");
    let arch = arch_field.as_ref().and_then(|field| field.one_of(&arch_names, &["armv7hl"]));

    let types = [ImageType::Raw, ImageType::Img, ImageType::Wsl2].map(|kind| (kind.name(), kind));
    let image_type = target.optional("imageType").map(|field| field.one_of(&types, &["iso"]));
    target.finish();

    let (profile, arch) = (profile?.value, arch?.value);
    if let (Some(field), Some(os)) = (os_field, os)
        && os.value != profile.os
    {
        field.error(&format!("must be “{}” for {}, but is “{}”", profile.os, profile.name, os.value));
    }
    if !profile.architectures.contains(&arch) {
        let supported = profile.architectures.iter().map(|arch| arch.name()).collect::<Vec<_>>().join(", ");
        arch_field?.error(&format!("cannot be “{}” for {}, which is built for: {supported}", arch.name(), profile.name));
    }
    let image_type = image_type.map_or(Some(ImageType::Raw), |written| written.map(|located| located.value))?;
    Some((Target { os: profile.os.to_owned(), dist: profile.name.to_owned(), arch, image_type }, profile))
}
