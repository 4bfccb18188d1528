//! Takes a disk image of another program into the store.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::export::free;
use super::{Error, Result};
use crate::cache::{ImageCache, ImageKey, ImageRecord, Import, NewImage, SpecHash};
use crate::disk::formats::{self, Bounds, Compression, Contents, FileFormat, FileSource, Format, compression};
use crate::progress::{Cancel, Event, Progress};
use crate::resolve::Lock;
use crate::spec::Loaded;
use crate::store::{Scratch, Store};
use crate::units::ByteSize;

/// Room that is left for others when a file is unpacked.
const SPARE: u64 = 64 << 20;

/// The longest name that is made of a file's.
const NAME_LIMIT: usize = 200;

/// What is to be imported, and as what.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// The file.
    pub path: PathBuf,
    /// What it is, where its content shall not be asked.
    pub format: Option<FileFormat>,
    /// What the image is called; none for the spec's name or the file's.
    pub name: Option<String>,
    /// The spec that it is the image of.
    pub spec: Option<ForSpec>,
    /// The longest disk that is taken.
    pub max_size: ByteSize,
    /// Whether it takes the place of another image of the spec.
    pub replace: bool,
}

/// The spec of an imported image.
#[derive(Debug, Clone)]
pub struct ForSpec {
    hash: SpecHash,
    name: String,
    version: String,
    dist: String,
    arch: String,
    size: ByteSize,
    annotations: Vec<u8>,
}

impl ForSpec {
    /// The spec as the next build of it will be looked up.
    ///
    /// # Panics
    /// Never: a spec is plain values, which can be written as JSON.
    pub fn new(loaded: &Loaded, source_date_epoch: Option<u64>) -> Self {
        let spec = &loaded.spec;
        Self {
            hash: loaded.hash(source_date_epoch),
            name: spec.image.name.clone(),
            version: spec.image.version.clone(),
            dist: spec.target.dist.clone(),
            arch: spec.target.arch.name().to_owned(),
            size: spec.disk.size,
            annotations: serde_json::to_vec(spec).expect("a spec is plain values"),
        }
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The image as it is in the cache now.
    pub image: ImageRecord,
    /// What the file was.
    pub format: FileFormat,
    /// Whether the same image was there before: nothing was changed then.
    pub present: bool,
}

/// Reads the file, cuts its disk into the store, and lists it.
///
/// # Errors
/// A file that cannot be read as a disk, one that is too long or not the spec's, a store that cannot be written to, the user's wish to stop. Nothing is
/// changed then.
pub fn import(store: &Store, request: &ImportRequest, progress: &dyn Progress, cancel: &Cancel) -> Result<Imported> {
    store.check_writable()?;
    let raw = RawFile::new(store, request, progress, cancel)?;
    let len = std::fs::metadata(&raw.path).map_err(Error::io("inspect", &raw.path))?.len();
    if len == 0 {
        return Err(Error::Empty(request.path.clone()));
    }
    if len > request.max_size.0 {
        return Err(formats::Error::TooLong { path: request.path.clone(), limit: request.max_size }.into());
    }
    if let Some(spec) = request.spec.as_ref().filter(|spec| spec.size.0 != len) {
        return Err(Error::OtherSize { path: request.path.clone(), found: ByteSize(len), expected: spec.size });
    }
    let (key, new) = describe(request, raw.format);
    let cache = ImageCache::new(store);
    let (image, present) = cache.import(key, &new, &raw.path, request.replace, progress, cancel)?;
    Ok(Imported { image, format: raw.format, present })
}

/// The disk of a file as a raw file: the file itself, or one that goes with this value.
struct RawFile {
    path: PathBuf,
    format: FileFormat,
    _scratch: Option<Scratch>,
}

impl RawFile {
    fn new(store: &Store, request: &ImportRequest, progress: &dyn Progress, cancel: &Cancel) -> Result<Self> {
        let path = &request.path;
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        if !file.metadata().map_err(Error::io("inspect", path))?.is_file() {
            return Err(Error::NotAFile(path.clone()));
        }
        let asked = match request.format.map(|format| format.contents) {
            Some(Contents::Disk(disk)) => Some(disk),
            Some(contents) => return Err(Error::NoDisk { path: path.clone(), contents }),
            None => None,
        };
        let named = FileFormat::of_path(path);
        let compression = match request.format {
            Some(format) => format.compression,
            None => compression_of(&file).map_err(Error::io("read", path))?,
        };
        let scratch = store.scratch()?;
        let bounds = || free(scratch.path()).map(|free| Bounds { max_len: request.max_size.0, room: free.saturating_sub(SPARE) });
        let mut inner = path.clone();
        if let Some(how) = compression {
            inner = scratch.path().join("decompressed");
            let out = create(&inner)?;
            compression::decompress(how, (&file, path), (&out, &inner), bounds()?, progress, cancel)?;
            file = out;
        }
        let unreadable = |name| move |problem| formats::Error::Unreadable { path: path.clone(), name, problem };
        let source = FileSource::new(file).map_err(Error::io("inspect", path))?;
        let disk = if let Some(disk) = asked {
            disk
        } else {
            let found = formats::recognise(&source).map_err(unreadable("a disk image"))?;
            contradiction(path, named.map(|named| named.contents), found, progress)?;
            found
        };
        let format = FileFormat { contents: disk.into(), compression };
        if disk == Format::Raw {
            // A raw file needs no copy.
            return Ok(Self { path: inner, format, _scratch: compression.map(|_| scratch) });
        }
        let name = disk.name();
        let mut disk = formats::open(&source, disk).map_err(unreadable(name))?;
        let raw = scratch.path().join("raw");
        let out = create(&raw)?;
        formats::unpack(&mut disk, (path, name), (&out, &raw), bounds()?, progress, cancel)?;
        Ok(Self { path: raw, format, _scratch: Some(scratch) })
    }
}

/// What the name and the content of a file say differently: the content is believed where it says something.
fn contradiction(path: &Path, named: Option<Contents>, found: Format, progress: &dyn Progress) -> Result<()> {
    match named {
        Some(name) if !matches!(name, Contents::Disk(_)) && found == Format::Raw => Err(Error::NoDisk { path: path.to_owned(), contents: name }),
        Some(name) if name != found.into() && found == Format::Raw => Err(Error::Misnamed { path: path.to_owned(), name }),
        Some(name) if name != found.into() => {
            progress.report(Event::Warning(&format!("{} is called {name}, and is {found}: it is read as {found}", path.display())));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn compression_of(file: &File) -> io::Result<Option<Compression>> {
    use std::os::unix::fs::FileExt as _;
    let mut head = [0; 8];
    let len = file.read_at(&mut head, 0)?;
    Ok(Compression::of_head(&head[..len]))
}

fn create(path: &Path) -> Result<File> {
    File::options().read(true).write(true).create_new(true).open(path).map_err(Error::io("create", path))
}

/// The key and the record of an imported image.
fn describe(request: &ImportRequest, format: FileFormat) -> (ImageKey, NewImage) {
    let file = request.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = file.split('.').find(|part| !part.is_empty()).unwrap_or("disk").chars().take(NAME_LIMIT).collect();
    let spec = request.spec.as_ref();
    let of = |field: fn(&ForSpec) -> &String| spec.map_or_else(String::new, |spec| field(spec).clone());
    let lock = Lock { packages: Vec::new(), releases: Vec::new() };
    let new = NewImage {
        name: request.name.clone().or_else(|| spec.map(|spec| spec.name.clone())).unwrap_or(stem),
        version: of(|spec| &spec.version),
        dist: of(|spec| &spec.dist),
        arch: of(|spec| &spec.arch),
        annotations: spec.map_or_else(Vec::new, |spec| spec.annotations.clone()),
        lock: crate::format::cbor::encode(&lock).expect("a lock is plain values"),
        build_time: Duration::ZERO,
        source_date: 0,
        releases: Vec::new(),
        imported: Some(Import { file, format: format.to_string() }),
    };
    (spec.map_or(ImageKey::Content, |spec| ImageKey::Spec(spec.hash)), new)
}
