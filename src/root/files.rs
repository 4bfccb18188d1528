//! Files and folders of the host, copied into the tree.

use std::io::{Read as _, Write as _};
use std::path::Path;

use super::plan::{Content, File};
use super::{Error, users};
use crate::digest::Digest;
use crate::tree::Tree;

/// Copies a file, a folder without what is in it, or a link, in place of what file or link is there.
pub(super) fn copy(tree: &Tree, file: &File) -> Result<(), Error> {
    let destination = Path::new(&file.destination);
    let owner = file.owner.as_deref().map(|owner| users::owner(tree, owner, &file.destination)).transpose()?;
    match &file.content {
        Content::Folder if tree.is_directory(destination) => {}
        Content::Folder => {
            tree.create_dirs(destination)?;
            if let Some((user, group)) = owner {
                tree.set_owner(destination, user, group)?;
            }
            tree.set_mode(destination, file.mode)?;
        }
        Content::Link(target) => {
            tree.replace_link(target, destination)?;
            if let Some((user, group)) = owner {
                tree.set_owner(destination, user, group)?;
            }
        }
        Content::File(digest) => copy_contents(tree, file, *digest, owner)?,
    }
    Ok(())
}

/// Copies a regular file, and checks on the way that it is still the one that the spec's hash speaks of.
fn copy_contents(tree: &Tree, file: &File, digest: Digest, owner: Option<(u32, u32)>) -> Result<(), Error> {
    let mut from = std::fs::File::open(&file.local).map_err(Error::io("read", &file.local))?;
    let destination = Path::new(&file.destination);
    let mut to = tree.create(destination, 0o600)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = from.read(&mut buffer).map_err(Error::io("read", &file.local))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(crate::tree::Error::at("write", destination))?;
    }
    if let Some((user, group)) = owner {
        tree.set_owner(destination, user, group)?;
    }
    // Last: a change of the owner takes away the bits that make a program run as its owner.
    to.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(file.mode)).map_err(crate::tree::Error::at("set the mode of", destination))?;
    if Digest::from(hasher.finalize()) != digest {
        return Err(Error::Unfulfilled {
            problem: format!("{} changed while the image was built", file.local.display()),
            hint: "build again".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn file(content: Content, mode: u32, destination: &str) -> File {
        File { local: "/nonexistent".into(), content, mode, owner: None, destination: destination.to_owned() }
    }

    #[test]
    fn folders_files_and_links_are_made_as_they_are() {
        let (host, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tree = Tree::open(root.path()).unwrap();
        tree.write("etc/link", b"was a file", 0o644).unwrap();
        tree.set_mode(Path::new("etc"), 0o755).unwrap();
        let local = host.path().join("run");
        std::fs::write(&local, "run").unwrap();
        copy(&tree, &file(Content::Folder, 0o700, "/etc")).unwrap();
        copy(&tree, &file(Content::Folder, 0o2750, "/etc/app")).unwrap();
        copy(&tree, &File { local: local.clone(), ..file(Content::File(Digest::of(b"run")), 0o4755, "/etc/app/run") }).unwrap();
        copy(&tree, &file(Content::Link("../nowhere".to_owned()), 0o777, "/etc/link")).unwrap();
        let mode = |path: &str| std::fs::symlink_metadata(root.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("etc"), 0o755, "what is there keeps its mode");
        assert_eq!((mode("etc/app"), mode("etc/app/run")), (0o2750, 0o4755));
        assert_eq!(std::fs::read_link(root.path().join("etc/link")).unwrap(), Path::new("../nowhere"));
        let changed = File { local, ..file(Content::File(Digest::of(b"walk")), 0o755, "/etc/app/run") };
        assert!(copy(&tree, &changed).unwrap_err().to_string().ends_with("run changed while the image was built"));
    }

    #[test]
    fn owners_are_those_of_the_image() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        // The tests run as whoever runs them: files can only be given to that user.
        let about = std::fs::metadata(root.path()).unwrap();
        let (user, group) = (about.uid(), about.gid());
        tree.write("etc/passwd", format!("me:x:{user}:{group}:::\n").as_bytes(), 0o644).unwrap();
        tree.write("etc/group", format!("us:x:{group}:\n").as_bytes(), 0o644).unwrap();
        for (owner, expected) in [("me", true), ("me:us", true), (&*format!("{user}:us"), true), ("me:them", false), ("you", false), ("60123", false)]
        {
            let folder = File { owner: Some(owner.to_owned()), ..file(Content::Folder, 0o755, "/srv") };
            assert_eq!(copy(&tree, &folder).is_ok(), expected, "{owner}");
        }
    }
}
