//! RPM repositories: `repomd.xml` names the files of metadata with their digests, `primary.xml` the packages with theirs.

mod dependency;
pub mod primary;
pub mod repomd;
mod xml;

pub use xml::XmlError;
