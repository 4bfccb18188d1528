//! The index: which blobs, chunks and packs there are, and what they are called.
//!
//! A redb database in its multi-process mode: any number of processes read it, one at a time writes, and the lock of a writer ends with its process.
//! That write transaction is the only lock of the store: files appear and disappear only inside it. This file is the only one that knows redb.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redb::{
    ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle,
    TransactionError,
};

use super::access::WhyReadOnly;
use super::error::{Error, Result};
use super::failpoint;
use super::layout::{self, Layout};
use super::lease::{self, Lease};
use super::tally::Tally;
use super::{Options, Scratch, Waiting};
use crate::format::row::{BlobRow, ChunkRow, HoldRow, ImageRow, MetadataRow, PackRow, PackageRow, Row, TrashRow};
use crate::format::totals::{Amount, TotalRow, UsageRow};

/// Memory for pages of the index, in bytes. redb would take 1 GiB.
const CACHE_LEN: usize = 32 << 20;

/// How long to wait for another process before saying so.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first and the longest pause between two attempts to begin a write transaction. A commit takes about half a millisecond.
const PAUSES: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));

/// The length of the line in the file `writer`.
const WRITER_LEN: usize = 256;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const TABLES: [&str; 10] = [
    BlobRow::TABLE,
    ChunkRow::TABLE,
    PackRow::TABLE,
    PackageRow::TABLE,
    ImageRow::TABLE,
    MetadataRow::TABLE,
    HoldRow::TABLE,
    TrashRow::TABLE,
    TotalRow::TABLE,
    UsageRow::TABLE,
];

/// The open index.
pub(crate) struct Index {
    db: Db,
    root: PathBuf,
    path: PathBuf,
    writer_path: PathBuf,
    // Threads of this process queue here, so that only one at a time polls for the other processes' lock.
    gate: Mutex<()>,
    options: Options,
}

/// The database.
enum Db {
    /// To be written to; with the file that says who does.
    Open(Database, File),
    /// Of a store that this process can only look at.
    ReadOnly(ReadOnlyDatabase, WhyReadOnly),
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens or makes the index of a store.
    pub(crate) fn open(layout: &Layout, lease: &Lease, options: Options) -> Result<Self> {
        let path = layout.index();
        if !path.exists() {
            make(&path, &lease.fresh("i"))?;
        }
        Self::open_at(layout, path, options)
    }

    /// Opens or makes an index of a store that lies elsewhere than where the store has it.
    pub(crate) fn open_at(layout: &Layout, path: PathBuf, options: Options) -> Result<Self> {
        failpoint!("store::index::open");
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_LEN).set_concurrency_mode(ConcurrencyMode::MultiWriter);
        let db = builder.create(&path).map_err(index_error(&path))?;
        let writer_path = layout.writer();
        let writer = OpenOptions::new().create(true).truncate(false).write(true).open(&writer_path).map_err(Error::io("open", &writer_path))?;
        let index = Self { db: Db::Open(db, writer), root: layout.root().to_owned(), path, writer_path, gate: Mutex::new(()), options };
        index.create_tables()?;
        Ok(index)
    }

    /// Opens the index of a store that this process can only look at. Beside writers of other users it sees what they commit.
    ///
    /// # Errors
    /// [`Error::NoIndex`]; [`Error::Unclean`] where a writer was killed and none came after it.
    pub(crate) fn open_read_only(layout: &Layout, reason: WhyReadOnly, options: Options) -> Result<Self> {
        let path = layout.index();
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_LEN).set_concurrency_mode(ConcurrencyMode::MultiWriter);
        let db = match builder.open_read_only(&path) {
            Ok(db) => db,
            Err(DatabaseError::RepairAborted) => return Err(Error::Unclean { path, reason }),
            Err(error) => return Err(index_error(&path)(error)),
        };
        let writer_path = layout.writer();
        Ok(Self { db: Db::ReadOnly(db, reason), root: layout.root().to_owned(), path, writer_path, gate: Mutex::new(()), options })
    }

    /// Closes the database, so that it can be opened where nothing can be written.
    pub(crate) fn close(self) -> Result<()> {
        let Self { db, path, .. } = self;
        match db {
            Db::Open(db, _) => db.close().map_err(index_error(&path)),
            Db::ReadOnly(db, _) => db.close().map_err(index_error(&path)),
        }
    }

    /// Makes the database of a store that nobody has open as small as it can be, and closes it.
    pub(crate) fn compact(layout: &Layout) -> Result<()> {
        let path = layout.index();
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_LEN);
        let mut db = builder.open(&path).map_err(index_error(&path))?;
        db.compact().map_err(index_error(&path))?;
        db.close().map_err(index_error(&path))
    }

    /// Checks the database itself, every page of it, on a copy of its file in `scratch`.
    ///
    /// # Errors
    /// [`Error::Index`] for a file that is damaged.
    pub(crate) fn check(&self, scratch: &Scratch) -> Result<()> {
        let copy = scratch.path().join("index.redb");
        // The file of one moment: nobody commits meanwhile.
        let turn = if matches!(self.db, Db::Open(..)) { Some(self.write()?) } else { None };
        failpoint!("store::index::copy");
        std::fs::copy(&self.path, &copy).map_err(Error::io("copy", &self.path))?;
        drop(turn);
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_LEN);
        let whole = builder.open(&copy).and_then(|mut db| db.check_integrity());
        if whole.map_err(self.error())? { Ok(()) } else { Err(self.error()(redb::Error::Corrupted("pages have wrong checksums".to_owned()))) }
    }

    fn begin_read(&self) -> Result<redb::ReadTransaction> {
        let begun = match &self.db {
            Db::Open(db, _) => db.begin_read(),
            Db::ReadOnly(db, _) => db.begin_read(),
        };
        begun.map_err(self.error())
    }

    fn create_tables(&self) -> Result<()> {
        let txn = self.begin_read()?;
        let there: Vec<String> = txn.list_tables().map_err(self.error())?.map(|table| table.name().to_owned()).collect();
        if TABLES.iter().all(|table| there.iter().any(|name| name == table)) {
            return Ok(());
        }
        drop(txn);
        // The names of the index and of what was made before it. Where there are tables this was done.
        layout::sync_dir(&self.root)?;
        let txn = self.write()?;
        for table in TABLES {
            txn.txn.open_table(Definition::new(table)).map_err(self.error())?;
        }
        txn.commit()
    }

    /// The state of the index now. Must not be kept for long: pages that it sees cannot be used again.
    pub(crate) fn read(&self) -> Result<ReadTxn<'_>> {
        Ok(ReadTxn { txn: self.begin_read()?, index: self })
    }

    /// The only write transaction of all processes, once it is our turn. Without [`WriteTxn::commit`] it changes nothing.
    ///
    /// # Errors
    /// [`Error::Busy`] when another process does not end its own in time; the user's wish not to wait for it; [`Error::ReadOnly`].
    pub(crate) fn write(&self) -> Result<WriteTxn<'_>> {
        let (db, writer) = match &self.db {
            Db::Open(db, writer) => (db, writer),
            Db::ReadOnly(_, reason) => return Err(Error::ReadOnly { path: self.root.clone(), reason: *reason }),
        };
        // The gate guards no data, so a panic in another thread leaves nothing half-changed.
        failpoint!("store::index::begin");
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let (mut pause, longest) = PAUSES;
        let mut told = false;
        let txn = loop {
            match db.try_begin_write() {
                Ok(txn) => break txn,
                Err(TransactionError::WouldBlock) => {}
                Err(error) => return Err(self.error()(error)),
            }
            self.options.cancel.check()?;
            let waited = begun.elapsed();
            if waited >= self.options.lock_timeout {
                return Err(Error::Busy { path: self.root.clone(), waited, holder: self.holder() });
            }
            if waited >= PATIENCE && !told {
                told = true;
                (self.options.on_wait)(&Waiting { store: &self.root, holder: &self.holder() });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(longest);
        };
        failpoint!("store::index::begun");
        self.sign(writer)?;
        Ok(WriteTxn { txn, index: self, tally: RefCell::default(), _gate: gate })
    }

    /// Writes down who has the transaction, for those who wait. Nothing depends on it.
    fn sign(&self, writer: &File) -> Result<()> {
        let mut line = lease::this_process().into_bytes();
        line.resize(WRITER_LEN - 1, b' ');
        line.push(b'\n');
        writer.write_all_at(&line, 0).map_err(Error::io("write", &self.writer_path))
    }

    fn holder(&self) -> String {
        lease::first_line(&self.writer_path).unwrap_or_else(lease::somebody)
    }

    fn error<E: Into<redb::Error>>(&self) -> impl FnOnce(E) -> Error {
        index_error(&self.path)
    }

    fn decode<R: Row>(&self, bytes: &[u8]) -> Result<R> {
        R::decode(bytes).map_err(|source| Error::Row { path: self.path.clone(), table: R::TABLE, source })
    }
}

/// Makes an empty database at `staging`, and gives it its place once it is durable: one that a loss of power left half-made could never be opened.
fn make(path: &Path, staging: &Path) -> Result<()> {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
    drop(builder.create(staging).map_err(index_error(staging))?);
    File::open(staging).and_then(|file| file.sync_all()).map_err(Error::io("sync", staging))?;
    failpoint!("store::index::make");
    match fs::hard_link(staging, path) {
        Ok(()) => {}
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // A file system without hard links: it is made in its place.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {}
        Err(error) => return Err(Error::io("create", path)(error)),
    }
    failpoint!("store::index::made");
    // It would go with the lease as well.
    let _ = fs::remove_file(staging);
    Ok(())
}

fn index_error<E: Into<redb::Error>>(path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |error| Error::Index { path, source: Box::new(error.into()) }
}

/// The index as it was at one moment.
pub(crate) struct ReadTxn<'a> {
    txn: redb::ReadTransaction,
    index: &'a Index,
}

impl ReadTxn<'_> {
    /// A table, if it is there: in a store that can only be looked at, and that an older program made, later tables are missing.
    fn table<R: Row>(&self) -> Result<Option<redb::ReadOnlyTable<&'static [u8], &'static [u8]>>> {
        match self.txn.open_table(Definition::new(R::TABLE)) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.index.error()(error)),
        }
    }

    /// The row under `key`.
    pub(crate) fn get<R: Row>(&self, key: &[u8]) -> Result<Option<R>> {
        Ok(self.get_all(std::iter::once(key))?.pop().flatten())
    }

    /// The rows under many keys, in the order of the keys.
    pub(crate) fn get_all<'k, R: Row>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Result<Vec<Option<R>>> {
        let table = self.table::<R>()?;
        let get = |key| {
            let Some(table) = &table else { return Ok(None) };
            let found = ReadableTable::get(table, key).map_err(self.index.error())?;
            found.map(|bytes| self.index.decode(bytes.value())).transpose()
        };
        keys.into_iter().map(get).collect()
    }

    /// All rows, in the order of their keys.
    pub(crate) fn all<R: Row>(&self) -> Result<Vec<(Vec<u8>, R)>> {
        let mut rows = Vec::new();
        self.scan::<R>(&[], |key, row| {
            rows.push((key.to_owned(), row));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }

    /// Visits the rows from the key `from` on, in the order of their keys, until told to stop.
    pub(crate) fn scan<R: Row>(&self, from: &[u8], mut visit: impl FnMut(&[u8], R) -> Result<ControlFlow<()>>) -> Result<()> {
        let Some(table) = self.table::<R>()? else { return Ok(()) };
        for entry in ReadableTable::range::<&[u8]>(&table, from..).map_err(self.index.error())? {
            let (key, row) = entry.map_err(self.index.error())?;
            if visit(key.value(), self.index.decode(row.value())?)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The one write transaction. Files of the store appear and disappear only while somebody has it.
#[must_use = "without a commit nothing changes"]
pub(crate) struct WriteTxn<'a> {
    txn: redb::WriteTransaction,
    index: &'a Index,
    // What the changes so far mean for the counters.
    tally: RefCell<Tally>,
    _gate: MutexGuard<'a, ()>,
}

impl WriteTxn<'_> {
    /// Opens a table; only one at a time of each kind.
    pub(crate) fn table<R: Row>(&self) -> Result<Rows<'_, R>> {
        let table = self.txn.open_table(Definition::new(R::TABLE)).map_err(self.index.error::<TableError>())?;
        Ok(Rows { table, index: self.index, tally: &self.tally, row: PhantomData })
    }

    /// The row under `key`.
    pub(crate) fn get<R: Row>(&self, key: &[u8]) -> Result<Option<R>> {
        self.table::<R>()?.get(key)
    }

    /// Sets the row under `key`.
    pub(crate) fn put<R: Row>(&self, key: &[u8], row: &R) -> Result<()> {
        self.table::<R>()?.put(key, row)
    }

    /// Brings the counters up to the changes so far: totals, and the live bytes of packs.
    pub(crate) fn settle(&self) -> Result<()> {
        let live = self.tally.borrow_mut().take_live();
        {
            let mut packs = self.table::<PackRow>()?;
            for (id, change) in live {
                // A pack that is gone has no use for its counter.
                if let Some(row) = packs.get(id.as_bytes())? {
                    packs.put(id.as_bytes(), &PackRow { live_len: row.live_len.saturating_add_signed(change), ..row })?;
                }
            }
        }
        let totals = self.tally.borrow_mut().take_totals();
        let mut rows = self.table::<TotalRow>()?;
        for (total, change) in totals {
            let before = rows.get(&total.key())?.map_or_else(Amount::default, |row| row.0);
            rows.put(&total.key(), &TotalRow(change.apply(before)))?;
        }
        Ok(())
    }

    /// Makes all changes durable at once.
    pub(crate) fn commit(self) -> Result<()> {
        self.settle()?;
        failpoint!("store::index::commit");
        self.txn.commit().map_err(self.index.error())?;
        failpoint!("store::index::committed");
        Ok(())
    }
}

/// A table in the write transaction.
pub(crate) struct Rows<'t, R> {
    table: redb::Table<'t, &'static [u8], &'static [u8]>,
    index: &'t Index,
    tally: &'t RefCell<Tally>,
    row: PhantomData<R>,
}

impl<R: Row> Rows<'_, R> {
    /// The row under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<R>> {
        let found = self.table.get(key).map_err(self.index.error())?;
        found.map(|bytes| self.index.decode(bytes.value())).transpose()
    }

    /// Sets the row under `key`.
    pub(crate) fn put(&mut self, key: &[u8], row: &R) -> Result<()> {
        let before = self.table.insert(key, row.encode().as_slice()).map_err(self.index.error())?;
        let before = before.map(|row| self.index.decode::<R>(row.value())).transpose()?;
        self.tally.borrow_mut().change(before.as_ref(), Some(row));
        Ok(())
    }

    /// Removes the row under `key`, if there is one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<()> {
        let before = self.table.remove(key).map_err(self.index.error())?;
        let before = before.map(|row| self.index.decode::<R>(row.value())).transpose()?;
        self.tally.borrow_mut().change(before.as_ref(), None);
        Ok(())
    }

    /// All rows, in the order of their keys.
    pub(crate) fn all(&self) -> Result<Vec<(Vec<u8>, R)>> {
        let rows = self.table.iter().map_err(self.index.error())?;
        rows.map(|entry| {
            let (key, row) = entry.map_err(self.index.error())?;
            Ok((key.value().to_owned(), self.index.decode(row.value())?))
        })
        .collect()
    }
}
