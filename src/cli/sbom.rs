//! Bills of images: which there are, for those commands that write them.

use std::path::Path;

use clap::ValueEnum;
use image_composer::bill::BillFormat;
use image_composer::build::{Output, Report, bill};
use image_composer::cache::ImageCache;
use image_composer::progress::Cancel;
use image_composer::store::Store;

use super::{Error, Result};

/// A bill, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sbom {
    /// SPDX 2.3, in JSON
    Spdx,
    /// `CycloneDX` 1.5, in JSON
    #[value(help = "CycloneDX 1.5, in JSON")]
    Cyclonedx,
    /// An in-toto statement with SLSA provenance: what the image was made from
    Provenance,
}

impl From<Sbom> for BillFormat {
    fn from(sbom: Sbom) -> Self {
        match sbom {
            Sbom::Spdx => Self::Spdx,
            Sbom::Cyclonedx => Self::CycloneDx,
            Sbom::Provenance => Self::Provenance,
        }
    }
}

/// Writes the bills of the image that was just built or served, beside its files, and adds them to the report.
pub(super) fn write(store: Option<&Store>, report: &mut Report, bills: &[Sbom], folder: &Path, cancel: &Cancel) -> Result {
    if bills.is_empty() {
        return Ok(());
    }
    let cache = store.map(ImageCache::new).ok_or_else(cache_off)?;
    let Some(image) = cache.lookup(&report.spec_hash)? else {
        return Err(Error::NotKept { name: report.name.clone() });
    };
    let bill = bill(&cache, &image, cancel)?;
    for &sbom in bills {
        let format = BillFormat::from(sbom);
        let path = folder.join(format!("{}-{}.{}", report.name, report.version, format.suffix()));
        let (size, allocated) = bill.write(format, &path)?;
        report.outputs.push(Output { path, size, allocated });
    }
    Ok(())
}

/// A bill is asked for, and nothing is kept to make it from.
pub(super) fn cache_off() -> Error {
    Error::usage(
        "--sbom needs the image cache, and it is off",
        "bills are made from what is kept with the image: leave the cache on in command, spec and configuration",
    )
}
