//! What `cache du` and `cache stats` show.

use std::io;
use std::time::Duration;

use image_composer::cache::{ClassUse, DiskUse};
use image_composer::format::totals::UsageRow;
use image_composer::store::Files;
use image_composer::units::{ByteSize, human_duration};

use super::stream::Stream;
use super::table::{Align, tabbed, table};
use super::{Ui, data, json, time};

impl Ui {
    /// Shows what the store takes, and what a collection would free; none where there is no store.
    pub(crate) fn disk_use(self, found: Option<(&DiskUse, u64)>, json: bool) -> io::Result<()> {
        if json {
            return data::json(&json::DiskUse::new(found));
        }
        let Some((used, would_free)) = found else {
            self.say("there is no store");
            return Ok(());
        };
        data::text(&classes(used, self.out))?;
        self.say(&free_line(used, would_free));
        if used.lost > 0 {
            self.warn(&format!("{} of the store were found damaged or missing; what needs them is fetched or built again", parts(used.lost)));
        }
        Ok(())
    }

    /// Shows what the caches were good for: packages, images, roots.
    pub(crate) fn usage(self, usage: &[UsageRow; 3], json: bool) -> io::Result<()> {
        if json {
            return data::json(&json::Usages::new(usage));
        }
        data::text(&caches(usage, self.out, time::now()))
    }
}

fn parts(number: u64) -> String {
    super::text::count(number, "part")
}

fn free_line(used: &DiskUse, would_free: u64) -> String {
    let free = ByteSize(used.free);
    match would_free {
        0 => format!("“cache gc” would free nothing; the file system has {free} left"),
        bytes => format!("“cache gc” would free {}; the file system has {free} left", ByteSize(bytes)),
    }
}

fn classes(used: &DiskUse, stream: Stream) -> String {
    let size = |bytes: u64| if stream.terminal { ByteSize(bytes).to_string() } else { bytes.to_string() };
    let dash = || "-".to_owned();
    let class = |name: &str, class: &ClassUse| {
        let ClassUse { count, raw_len, on_disk, own, shared, unused } = class;
        [name.to_owned(), count.to_string(), size(*raw_len), size(*on_disk), size(*own), size(*shared), size(*unused)]
    };
    let files = |name: &str, files: Files| [name.to_owned(), files.count.to_string(), dash(), size(files.len), dash(), dash(), dash()];
    let rows = [
        class("packages", &used.packages),
        class("metadata", &used.metadata),
        class("plain", &used.plain),
        class("names", &used.names),
        class("images", &used.images),
        ["roots".to_owned(), used.roots.to_string(), dash(), dash(), dash(), dash(), dash()],
        files("index", Files { count: 1, len: used.beside.index }),
        files("partials", used.beside.partials),
        files("quarantine", used.beside.quarantine),
        ["total".to_owned(), dash(), dash(), size(used.on_disk), dash(), dash(), dash()],
    ];
    if !stream.terminal {
        return tabbed(&rows);
    }
    let columns = [
        ("CLASS", Align::Left),
        ("COUNT", Align::Right),
        ("RAW", Align::Right),
        ("ON DISK", Align::Right),
        ("OWN", Align::Right),
        ("SHARED", Align::Right),
        ("UNUSED", Align::Right),
    ];
    table(columns, &rows, stream)
}

fn caches(usage: &[UsageRow; 3], stream: Stream, now: u64) -> String {
    let names = ["packages", "images", "roots"];
    if !stream.terminal {
        let row = |(name, row): (&str, &UsageRow)| {
            let since = if row.since == 0 { "-".to_owned() } else { time::moment(row.since) };
            let seconds = row.saved_millis / 1000;
            [name.to_owned(), row.hits.to_string(), row.misses.to_string(), row.saved_bytes.to_string(), seconds.to_string(), since]
        };
        return tabbed(&names.into_iter().zip(usage).map(row).collect::<Vec<_>>());
    }
    let row = |(name, row): (&str, &UsageRow)| {
        let all = row.hits.saturating_add(row.misses);
        let rate = if all == 0 { "-".to_owned() } else { format!("{} %", u128::from(row.hits) * 100 / u128::from(all)) };
        let took = if row.saved_millis == 0 { "-".to_owned() } else { human_duration(Duration::from_millis(row.saved_millis)) };
        let since = if row.since == 0 { "-".to_owned() } else { time::ago(row.since, now) };
        [name.to_owned(), row.hits.to_string(), row.misses.to_string(), rate, ByteSize(row.saved_bytes).to_string(), took, since]
    };
    let columns = [
        ("CACHE", Align::Left),
        ("HITS", Align::Right),
        ("MISSES", Align::Right),
        ("HIT RATE", Align::Right),
        ("SAVED", Align::Right),
        ("TIME SAVED", Align::Right),
        ("SINCE", Align::Left),
    ];
    table(columns, &names.into_iter().zip(usage).map(row).collect::<Vec<_>>(), stream)
}

#[cfg(test)]
mod tests {
    use image_composer::store::Beside;

    use super::*;

    const NOW: u64 = 1_795_162_530;
    const TERMINAL: Stream = Stream { terminal: true, colour: false };

    fn used() -> DiskUse {
        let class = |count: u64, mib: u64| {
            let on_disk = mib << 20;
            ClassUse { count, raw_len: on_disk * 2, on_disk, own: on_disk / 2, shared: on_disk / 4, unused: on_disk / 4 }
        };
        DiskUse {
            packages: class(148, 80),
            metadata: class(9, 12),
            plain: class(74, 110),
            names: class(2, 0),
            images: class(3, 900),
            roots: 2,
            chunks: 4_766,
            packs: 3,
            lost: 2,
            beside: Beside { index: 1 << 20, partials: Files { count: 1, len: 5_000 }, quarantine: Files { count: 2, len: 3_000 } },
            on_disk: 1103 << 20,
            free: 20 << 30,
        }
    }

    fn usage() -> [UsageRow; 3] {
        let packages = UsageRow { since: NOW - 3 * 86_400, hits: 1_480, misses: 20, saved_bytes: 800 << 20, saved_millis: 0 };
        let roots = UsageRow { since: NOW - 3_600, hits: 1, misses: 1, saved_bytes: 1 << 29, saved_millis: 7_000 };
        [packages, UsageRow { since: NOW - 3_600, hits: 3, misses: 2, saved_bytes: 6 << 30, saved_millis: 95_500 }, roots]
    }

    #[test]
    fn room_is_a_table_on_a_terminal_and_columns_elsewhere() {
        insta::assert_snapshot!(classes(&used(), TERMINAL));
        insta::assert_snapshot!(classes(&used(), Stream::PLAIN).replace('\t', "→"));
        assert_eq!(free_line(&used(), 0), "“cache gc” would free nothing; the file system has 20.0 GiB left");
        assert_eq!(free_line(&used(), 3 << 20), "“cache gc” would free 3.00 MiB; the file system has 20.0 GiB left");
    }

    #[test]
    fn what_caches_were_good_for_is_a_table_on_a_terminal_and_columns_elsewhere() {
        insta::assert_snapshot!(caches(&usage(), TERMINAL, NOW));
        insta::assert_snapshot!(caches(&usage(), Stream::PLAIN, NOW).replace('\t', "→"));
        insta::assert_snapshot!(caches(&<[UsageRow; 3]>::default(), TERMINAL, NOW));
    }

    #[test]
    fn the_json_of_both_is_a_promise() {
        insta::assert_json_snapshot!((json::DiskUse::new(Some((&used(), 3 << 20))), json::Usages::new(&usage())));
        insta::assert_json_snapshot!((json::DiskUse::new(None), json::Usages::new(&Default::default())));
    }
}
