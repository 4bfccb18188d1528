//! RPM repositories: `repomd.xml` names the files of metadata with their digests, `primary.xml` the packages with theirs,
//! `filelists.xml` all of their files; a metalink names the mirrors.

mod dependency;
pub mod filelists;
pub mod mirrors;
pub mod primary;
pub mod repomd;
mod xml;

pub use xml::XmlError;
