//! Packs on their way in: chunks are appended to a file under `tmp/`, which is closed and made durable when it is long enough.
//!
//! Packs are read with positioned reads, not through a memory map: a file that shrinks under a map ends the process, and at 40 KiB a chunk the copy is
//! not what costs (decoding and checking are).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::early_sync::EarlySync;
use super::error::{Error, Object, Result};
use super::index::WriteTxn;
use super::lease::Lease;
use super::{Store, failpoint, layout};
use crate::digest::Digest;
use crate::format::pack::{self, ENTRY_LIMIT, Entry, HEAD_LEN, PACK_LEN};
use crate::format::row::{PackRow, TrashRow};

/// A pack that is complete and durable, but not yet in the store. Its file is removed when this is dropped unpublished.
#[derive(Debug)]
#[must_use = "a staged pack is removed when it is not published"]
pub(crate) struct StagedPack {
    pub(crate) id: Digest,
    pub(crate) entries: Vec<Entry>,
    pub(crate) stored_len: u64,
    pub(crate) path: PathBuf,
}

impl Drop for StagedPack {
    fn drop(&mut self) {
        // Published or already gone is fine; what stays goes with the lease.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes the packs of one ingest.
#[derive(Debug)]
pub(crate) struct PackWriter {
    lease: Arc<Lease>,
    open: Option<Open>,
    done: Vec<StagedPack>,
}

#[derive(Debug)]
struct Open {
    file: File,
    early: EarlySync,
    staged: StagedPack,
}

impl PackWriter {
    pub(crate) fn new(lease: &Arc<Lease>) -> Self {
        Self { lease: Arc::clone(lease), open: None, done: Vec::new() }
    }

    /// Appends the frame of one chunk.
    pub(crate) fn append(&mut self, digest: Digest, raw_len: u32, frame: &[u8]) -> Result<()> {
        let full = |open: &Open| open.staged.stored_len >= PACK_LEN || open.staged.entries.len() >= (ENTRY_LIMIT / 4) as usize;
        if self.open.as_ref().is_some_and(full) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::create(&self.lease)?),
        };
        failpoint!("store::packs::write");
        let written = open.file.write_all(frame).and_then(|()| open.early.wrote(frame.len() as u64));
        written.map_err(Error::io("write", &open.staged.path))?;
        open.staged.entries.push(Entry { digest, offset: open.staged.stored_len, stored_len: frame.len() as u32, raw_len });
        open.staged.stored_len += frame.len() as u64;
        Ok(())
    }

    /// Bytes that were written so far.
    pub(crate) fn stored_len(&self) -> u64 {
        self.done.iter().chain(self.open.as_ref().map(|open| &open.staged)).map(|pack| pack.stored_len).sum()
    }

    /// Closes the last pack, and returns all.
    pub(crate) fn finish(mut self) -> Result<Vec<StagedPack>> {
        self.close()?;
        Ok(std::mem::take(&mut self.done))
    }

    fn close(&mut self) -> Result<()> {
        let Some(Open { mut file, mut early, mut staged }) = self.open.take() else { return Ok(()) };
        let (id, footer) = pack::encode_footer(&staged.entries)?;
        failpoint!("store::packs::write");
        file.write_all(&footer).map_err(Error::io("write", &staged.path))?;
        failpoint!("store::packs::sync");
        early.finish().and_then(|()| file.sync_data()).map_err(Error::io("sync", &staged.path))?;
        failpoint!("store::packs::synced");
        staged.id = id;
        staged.stored_len += footer.len() as u64;
        self.done.push(staged);
        Ok(())
    }
}

impl Open {
    fn create(lease: &Lease) -> Result<Self> {
        let path = lease.fresh("p");
        failpoint!("store::packs::create");
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
        file.write_all(&pack::encode_head()).map_err(Error::io("write", &path))?;
        let staged = StagedPack { id: Digest::of(b""), entries: Vec::new(), stored_len: HEAD_LEN, path };
        let early = EarlySync::new(&file).map_err(Error::io("open", &staged.path))?;
        Ok(Self { file, early, staged })
    }
}

impl WriteTxn<'_> {
    /// Gives a staged pack its place and its row. The rows of its chunks are the caller's; what is live in it follows from them.
    pub(crate) fn publish_pack(&self, store: &Store, pack: &StagedPack) -> Result<()> {
        layout::publish(&pack.path, &store.layout.pack(&pack.id))?;
        self.table::<TrashRow>()?.remove(&Object::Pack(pack.id).key())?;
        let mut packs = self.table::<PackRow>()?;
        let live_len = packs.get(pack.id.as_bytes())?.map_or(0, |row| row.live_len);
        packs.put(pack.id.as_bytes(), &PackRow { stored_len: pack.stored_len, chunks: pack.entries.len() as u32, live_len })
    }
}
