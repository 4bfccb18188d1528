//! What `cache list`, `cache info` and `cache dir` show.

use std::io;
use std::path::Path;

use image_composer::build::Annotations;
use image_composer::cache::{ImageName, ImageRecord, PackageEntry, Sharing};
use image_composer::progress::label;
use image_composer::resolve::Lock;
use image_composer::units::{ByteSize, human_duration};

use super::stream::Stream;
use super::table::{Align, pairs, tabbed, table};
use super::{Ui, data, json, text, time};

/// What is known of a kept image beside its record.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// None where it is damaged.
    pub(crate) lock: Option<Lock>,
    /// All that the builder kept beside it.
    pub(crate) annotations: Annotations,
    /// Who else uses its chunks; none where its manifest is damaged.
    pub(crate) sharing: Option<Sharing>,
}

impl Ui {
    /// Shows all kept images: a table for people, columns for programs, or JSON.
    pub(crate) fn images(self, images: &[ImageRecord], damaged: &[ImageName], json: bool) -> io::Result<()> {
        if json {
            return data::json(&json::Images::new(images, damaged));
        }
        for image in damaged {
            let id = image.spec_hash.short();
            let what = format!("{id} {} {}", image.name, image.version);
            self.warn(&format!("{} is damaged and is not served; “image-composer cache clean {id}” removes it", what.trim_end()));
        }
        if images.is_empty() {
            self.say("no images in the cache");
            return Ok(());
        }
        data::text(&list(images, self.out, time::now()))
    }

    /// Shows one kept image with its packages; `lock` is none where it is damaged.
    pub(crate) fn image(self, image: &ImageRecord, about: &About, json: bool) -> io::Result<()> {
        let lock = about.lock.as_ref();
        if json {
            let lock = lock.filter(|_| image.imported.is_none());
            let packages = lock.map(|lock| lock.packages.iter().map(json::Package::from).collect());
            return data::json(&json::ImageWithPackages::new(image, packages, about));
        }
        data::text(&details(image, about, self.out, time::now()))
    }
}

impl Ui {
    /// Shows packages: a table for people, columns for programs, or JSON.
    pub(crate) fn packages(self, packages: &[PackageEntry], json: bool) -> io::Result<()> {
        if json {
            return data::json(&json::CachedPackages { packages: packages.iter().map(json::CachedPackage::from).collect() });
        }
        if packages.is_empty() {
            self.say("no packages in the cache");
            return Ok(());
        }
        data::text(&package_list(packages, self.out, time::now()))
    }
}

fn package_list(packages: &[PackageEntry], stream: Stream, now: u64) -> String {
    let row = |package: &PackageEntry| {
        let (coordinates, human) = (&package.coordinates, stream.terminal);
        let pinned = match (package.pinned, human) {
            (true, true) => "yes",
            (true, false) => "pinned",
            (false, true) => "",
            (false, false) => "-",
        };
        [
            coordinates.name().to_owned(),
            coordinates.version().to_owned(),
            coordinates.arch().to_owned(),
            coordinates.repository().to_owned(),
            if human { ByteSize(package.raw_len).to_string() } else { package.raw_len.to_string() },
            if human { time::ago(package.last_used, now) } else { time::moment(package.last_used) },
            package.uses.to_string(),
            pinned.to_owned(),
        ]
        .map(|cell| text::printable(&cell).replace(['\t', '\n'], " "))
    };
    let rows: Vec<_> = packages.iter().map(row).collect();
    if !stream.terminal {
        return tabbed(&rows);
    }
    let columns = [
        ("NAME", Align::Left),
        ("VERSION", Align::Left),
        ("ARCH", Align::Left),
        ("REPOSITORY", Align::Left),
        ("SIZE", Align::Right),
        ("LAST USED", Align::Left),
        ("USES", Align::Right),
        ("PINNED", Align::Left),
    ];
    table(columns, &rows, stream)
}

/// Shows a log as it was kept, harmless for terminals.
pub(crate) fn log(log: &str) -> io::Result<()> {
    data::text(&text::printable(log))
}

/// Shows where the store is.
pub(crate) fn store_dir(path: &Path, json: bool) -> io::Result<()> {
    if json {
        return data::json(&json::StoreDir { path: path.to_string_lossy().into_owned(), exists: path.exists() });
    }
    data::path(path)
}

/// For people: short hashes, sizes with units, ages. For programs: whole hashes, bytes, moments, separated by tabs.
fn list(images: &[ImageRecord], stream: Stream, now: u64) -> String {
    if !stream.terminal {
        let rows: Vec<[String; 9]> = images.iter().map(exact_row).collect();
        return tabbed(&rows);
    }
    let columns = [
        ("ID", Align::Left),
        ("NAME", Align::Left),
        ("VERSION", Align::Left),
        ("SIZE", Align::Right),
        ("OWN SIZE", Align::Right),
        ("BUILT", Align::Left),
        ("LAST USED", Align::Left),
        ("USES", Align::Right),
        ("PINNED", Align::Left),
    ];
    let rows: Vec<_> = images
        .iter()
        .map(|image| {
            [
                image.spec_hash.short(),
                text::printable(&image.name).into_owned(),
                or_unknown(&image.version),
                ByteSize(image.raw_len).to_string(),
                ByteSize(image.own_bytes).to_string(),
                time::ago(image.built_at, now),
                time::ago(image.last_used, now),
                image.uses.to_string(),
                if image.pinned { "yes".to_owned() } else { String::new() },
            ]
        })
        .collect();
    table(columns, &rows, stream)
}

fn exact_row(image: &ImageRecord) -> [String; 9] {
    [
        image.spec_hash.to_string(),
        text::printable(&image.name).replace(['\t', '\n'], " "),
        text::printable(&image.version).replace(['\t', '\n'], " "),
        image.raw_len.to_string(),
        image.own_bytes.to_string(),
        time::moment(image.built_at),
        time::moment(image.last_used),
        image.uses.to_string(),
        if image.pinned { "pinned" } else { "-" }.to_owned(),
    ]
}

fn details(image: &ImageRecord, about: &About, stream: Stream, now: u64) -> String {
    let packages = match (&image.imported, &about.lock) {
        (Some(_), _) => "unknown, the image was imported".to_owned(),
        (None, None) => "unknown, their list is damaged".to_owned(),
        (None, Some(lock)) => {
            let size = lock.packages.iter().fold(0, |sum: u64, package| sum.saturating_add(package.size));
            format!("{} in {}", lock.packages.len(), ByteSize(size))
        }
    };
    let when = |seconds| format!("{} ({})", time::ago(seconds, now), time::moment(seconds));
    let mut rows = vec![
        ("id", image.spec_hash.to_string()),
        ("name", text::printable(&image.name).into_owned()),
        ("version", or_unknown(&image.version)),
        ("for", or_unknown(format!("{} {}", image.dist, image.arch).trim())),
        ("size", format!("{}, {} of it data", ByteSize(image.raw_len), ByteSize(image.data_len))),
        ("own size", format!("{} in the store, not shared with older images", ByteSize(image.own_bytes))),
        ("digest", image.raw_digest.to_string()),
        match &image.imported {
            None => ("built", format!("{}, in {}", when(image.built_at), human_duration(image.build_time))),
            Some(import) => ("imported", format!("{}, from {} ({})", when(image.built_at), text::printable(&import.file), import.format)),
        },
        ("last used", when(image.last_used)),
        ("uses", image.uses.to_string()),
        ("packages", packages),
    ];
    if image.pinned {
        rows.push(("pinned", "yes, it stays whatever the limits say".to_owned()));
    }
    for release in &image.releases {
        rows.push(("metadata", text::printable(&format!("{} {} of {}", release.archive, release.suite, time::moment(release.date))).into_owned()));
    }
    for release in about.lock.iter().flat_map(|lock| &lock.releases).filter(|release| !release.keys.is_empty()) {
        let signed = format!("{} {} by {}", release.archive, release.suite, release.keys.join(", "));
        rows.push(("signed", text::printable(&signed).into_owned()));
    }
    for id in about.annotations.untrusted().unwrap_or_default() {
        rows.push(("untrusted repositories", text::printable(&format!("{id}, which nothing proved")).into_owned()));
    }
    for (id, files) in about.annotations.folders() {
        let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        rows.push(("folder", text::printable(&format!("{id} with {files}")).into_owned()));
    }
    rows.extend(about.annotations.phases.iter().map(|took| ("phase", format!("{}: {}", label(took.phase), human_duration(took.duration())))));
    if let Some(Sharing { total, own, with }) = &about.sharing {
        rows.push(("chunks", format!("{} in the store, {} of it for this image alone", ByteSize(*total), ByteSize(*own))));
        for other in with {
            let name = format!("{} with {} {} {}", ByteSize(other.bytes), other.spec_hash.short(), other.name, other.version);
            rows.push(("shared", text::printable(name.trim_end()).into_owned()));
        }
    }
    pairs(&rows, stream)
}

/// What nobody said of an imported image.
fn or_unknown(value: &str) -> String {
    if value.is_empty() { "unknown".to_owned() } else { text::printable(value).into_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use image_composer::build::Took;
    use image_composer::cache::{Coordinates, Import, ReleaseDate, SharedWith, SpecHash};
    use image_composer::digest::{Digest, Sha256};
    use image_composer::progress::Phase;
    use image_composer::repo::ReleaseInfo;
    use image_composer::resolve::{LockedPackage, Reason};

    use super::*;

    const NOW: u64 = 1_795_162_530;

    pub(in crate::ui) fn image(name: &str, days: u64) -> ImageRecord {
        ImageRecord {
            spec_hash: SpecHash::from(Digest::of(name.as_bytes())),
            name: name.to_owned(),
            version: "1.0".to_owned(),
            dist: "debian12".to_owned(),
            arch: "x86_64".to_owned(),
            raw_len: 2 << 30,
            data_len: 400 << 20,
            own_bytes: 150 << 20,
            raw_digest: Digest::of(b"raw"),
            manifest: Digest::of(b"manifest"),
            lock: Digest::of(b"lock"),
            annotations: Digest::of(b"annotations"),
            built_at: NOW - days * 86_400,
            last_used: NOW - 3_600,
            uses: 7,
            build_time: Duration::from_millis(34_100),
            source_date: NOW - 9 * 86_400,
            releases: vec![ReleaseDate { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: NOW - 9 * 86_400 }],
            imported: None,
            pinned: false,
        }
    }

    pub(in crate::ui) fn imported() -> ImageRecord {
        let unknown = String::new;
        let import = Import { file: "appliance.qcow2".to_owned(), format: "qcow2".to_owned() };
        let (build_time, releases) = (Duration::ZERO, Vec::new());
        let image = image("appliance", 1);
        ImageRecord { version: unknown(), dist: unknown(), arch: unknown(), build_time, source_date: 0, releases, imported: Some(import), ..image }
    }

    fn with_lock(lock: Lock) -> About {
        About { lock: Some(lock), ..About::default() }
    }

    fn lock() -> Lock {
        let package = LockedPackage {
            coordinates: Coordinates::new("libc6", "2.36-9", "amd64", "debian").unwrap(),
            sha256: Sha256::of(b"libc6"),
            size: 2 << 20,
            filename: "pool/libc6.deb".to_owned(),
            installed_size: 12 << 20,
            essential: false,
            reason: Reason::Wanted,
        };
        let signed = ReleaseInfo {
            archive: "debian".to_owned(),
            suite: "bookworm".to_owned(),
            date: 1_700_000_000,
            digest: Digest::of(b"InRelease"),
            keys: vec!["AB12".to_owned(), "CD34".to_owned()],
        };
        Lock { packages: vec![package], releases: vec![ReleaseInfo { suite: "unsigned".to_owned(), keys: Vec::new(), ..signed.clone() }, signed] }
    }

    #[test]
    fn a_list_is_a_table_on_a_terminal_and_columns_elsewhere() {
        let images = [imported(), ImageRecord { pinned: true, ..image("minimal", 2) }, image("a-longer-name", 40)];
        let terminal = Stream { terminal: true, colour: false };
        insta::assert_snapshot!(list(&images, terminal, NOW));
        insta::assert_snapshot!(list(&images, Stream::PLAIN, NOW).replace('\t', "→"));
    }

    #[test]
    fn one_image_is_told_in_pairs() {
        let took = Took { phase: Phase::Download, millis: 1_500 };
        let other = SharedWith { spec_hash: image("server", 1).spec_hash, name: "server".to_owned(), version: "2".to_owned(), bytes: 90 << 20 };
        let about = About {
            annotations: Annotations { phases: vec![took], ..Annotations::default() },
            sharing: Some(Sharing { total: 150 << 20, own: 60 << 20, with: vec![other] }),
            ..with_lock(lock())
        };
        insta::assert_snapshot!(details(&image("minimal", 2), &about, Stream::PLAIN, NOW));
        let spec = serde_json::json!({"spec": {
            "repositories": [{"id": "a"}, {"id": "b", "unverified": true}],
            "folders": [{"id": "debs", "packages": [{"file": "a.deb"}, {"file": "b.deb"}]}],
        }});
        let local = About { annotations: Annotations { inputs: spec, ..Annotations::default() }, ..About::default() };
        let told = details(&image("minimal", 2), &local, Stream::PLAIN, NOW);
        assert!(told.contains("\nuntrusted repositories b, which nothing proved\nfolder                 debs with 2 files\n"), "{told}");
        let pinned = ImageRecord { pinned: true, ..image("minimal", 2) };
        assert!(details(&pinned, &About::default(), Stream::PLAIN, NOW).contains("\npinned    yes, it stays whatever the limits say\n"));
        assert!(details(&image("minimal", 2), &About::default(), Stream::PLAIN, NOW).contains("packages  unknown, their list is damaged"));
        insta::assert_snapshot!(details(&imported(), &with_lock(Lock { packages: Vec::new(), releases: Vec::new() }), Stream::PLAIN, NOW));
    }

    #[test]
    fn passwords_are_never_shown() {
        let hash = "$6$salt$hash";
        let users = serde_json::json!([{"name": "root", "password": hash}, {"name": "locked", "password": null}]);
        let annotations =
            Annotations { inputs: serde_json::json!({"spec": {"image": {"name": "a"}, "system": {"users": users}}}), ..Annotations::default() };
        let about = About { annotations, ..About::default() };
        let json = serde_json::to_value(json::ImageWithPackages::new(&image("minimal", 2), None, &about)).unwrap();
        let expected = serde_json::json!([{"name": "root", "password": "(not shown)"}, {"name": "locked", "password": null}]);
        assert_eq!(json["spec"]["system"]["users"], expected);
        assert!(!json.to_string().contains(hash) && !details(&image("minimal", 2), &about, Stream::PLAIN, NOW).contains(hash));
    }

    #[test]
    fn the_json_of_images_is_a_promise() {
        let (image, lock) = (image("minimal", 2), lock());
        let packages = Some(lock.packages.iter().map(json::Package::from).collect());
        let annotations = Annotations { inputs: serde_json::json!({"spec": {"image": {"name": "minimal"}}}), ..Annotations::default() };
        let about = About { annotations, sharing: Some(Sharing { total: 9, own: 4, with: Vec::new() }), lock: Some(lock.clone()) };
        insta::assert_json_snapshot!(json::ImageWithPackages::new(&image, packages, &about));
    }
}
