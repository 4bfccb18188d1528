//! Names against the files that hold them.

use super::blobs::Blobs;
use super::{Findings, Name, Snapshot, WrongName, WrongRow};
use crate::digest::Digest;
use crate::format::blob::Header;

const DANGLING: &str = "it points to nothing";
const CONTRADICTED: &str = "its file says something else";

/// Compares the names in the index with those in files that are whole.
pub(super) fn check(snapshot: &Snapshot, blobs: &Blobs, findings: &mut Findings) {
    for (key, row) in &snapshot.packages {
        let says = |header: &Header| header.package.as_ref().filter(|name| name.key() == *key).map(|name| name.sha256);
        let found = claims(snapshot, blobs, &row.blob, row.alias.as_ref(), |header| says(header).map(|sha256| sha256 == row.sha256));
        note(&found, Name::Package(key.clone()), row.blob, findings);
    }
    for (key, row) in &snapshot.metadata {
        let says = |header: &Header| header.metadata.as_ref().filter(|name| name.key() == *key).map(|_| true);
        note(&claims(snapshot, blobs, &row.blob, row.alias.as_ref(), says), Name::Metadata(key.clone()), row.blob, findings);
    }
    for (key, row) in &snapshot.images {
        let Some(record) = blobs.records.get(&row.record) else {
            if !snapshot.blobs.contains_key(&row.record) {
                findings.names.push(WrongName { name: Name::Image(*key), blob: row.record, reason: DANGLING });
            } else if !row.damaged {
                findings.images.push((*key, row.record));
            }
            continue;
        };
        let lost = |digest: &Digest| blobs.unreadable.contains(digest) || !snapshot.blobs.contains_key(digest);
        if record.spec_hash != *key {
            findings.names.push(WrongName { name: Name::Image(*key), blob: row.record, reason: CONTRADICTED });
        } else if (record.manifest, record.lock, record.annotations) != (row.manifest, row.lock, row.annotations) {
            findings.rows.push(WrongRow::Image(*key));
        } else if !row.damaged && (lost(&row.manifest) || blobs.incomplete.contains(&row.manifest)) {
            // A lost lock is no reason not to serve the disk.
            findings.images.push((*key, row.record));
        }
    }
    findings.images.sort();
}

enum Claim {
    Held,
    /// The bytes are there, and no file has the name.
    Unwritten,
    Wrong(&'static str),
}

/// Whether the blob, or the alias, holds the name. `says` is whether a header agrees with the row; none for a header of another name.
fn claims(snapshot: &Snapshot, blobs: &Blobs, blob: &Digest, alias: Option<&Digest>, says: impl Fn(&Header) -> Option<bool>) -> Claim {
    if !snapshot.blobs.contains_key(blob) {
        return Claim::Wrong(DANGLING);
    }
    if blobs.unreadable.contains(blob) {
        return Claim::Held;
    }
    let header = match alias {
        None => blobs.headers.get(blob),
        Some(alias) => blobs.aliases.get(alias).filter(|alias| alias.digest == *blob).map(|alias| &alias.header),
    };
    match header.and_then(says) {
        Some(true) => Claim::Held,
        Some(false) => Claim::Wrong(CONTRADICTED),
        None => Claim::Unwritten,
    }
}

fn note(claim: &Claim, name: Name, blob: Digest, findings: &mut Findings) {
    match claim {
        Claim::Held => {}
        Claim::Unwritten => findings.unwritten.push(name),
        Claim::Wrong(reason) => findings.names.push(WrongName { name, blob, reason }),
    }
}
