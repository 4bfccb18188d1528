//! What is cut is the image, wherever windows and holes of the file are; and files that stay the same stay the same chunks.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::store::tests::noise;

/// An image that was cut: its pieces, those that continue each other as one, and the chunks of files and of the rest.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    pieces: Vec<Piece>,
    files: Vec<Vec<u8>>,
    rest: Vec<Vec<u8>>,
}

impl Cut {
    /// The bytes that were cut.
    fn bytes(&self) -> Vec<u8> {
        let (mut files, mut rest) = (self.files.concat().into_iter(), self.rest.concat().into_iter());
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match *piece {
                Piece::Hole(length) => bytes.resize(bytes.len() + length as usize, 0),
                Piece::Data(Kind::Files, length) => bytes.extend(files.by_ref().take(length as usize)),
                Piece::Data(Kind::Rest, length) => bytes.extend(rest.by_ref().take(length as usize)),
            }
        }
        assert!(files.next().is_none() && rest.next().is_none(), "chunks that no piece has");
        bytes
    }

    fn lengths(&self) -> Vec<usize> {
        self.rest.iter().map(Vec::len).collect()
    }
}

/// How a file is cut that has its zeros as holes, or not, whose files are known to be there, in windows of this length.
fn cut_as(bytes: &[u8], sparse: bool, files: Option<Files>, window: usize) -> Cut {
    let file = tempfile::tempfile().unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (at, block) in bytes.chunks(BLOCK as usize).enumerate() {
        if !sparse || block != &ZEROS[..block.len()] {
            file.write_all_at(block, at as u64 * BLOCK).unwrap();
        }
    }
    let len = bytes.len() as u64;
    let files = files.unwrap_or_else(|| Files::on(&file, len, &Cancel::default()).unwrap());
    let mut cutter = Cutter { window, ..Cutter::with_files(file, PathBuf::new(), len, files) };
    let mut all = Window::default();
    let mut cut = Cut { pieces: Vec::new(), files: Vec::new(), rest: Vec::new() };
    while let Some(next) = cutter.window(Window::default(), &Cancel::default()).unwrap() {
        assert!(next.len() <= window + 2 * CHUNK_MAX + READ_LEN + HOLE_MIN as usize);
        next.pieces.iter().for_each(|piece| all.push(*piece));
        for (kind, chunk) in next.chunks() {
            let Chunk::Cut(chunk) = chunk else { panic!("no chunk is known here") };
            match kind {
                Kind::Files => cut.files.push(chunk.to_vec()),
                Kind::Rest => cut.rest.push(chunk.to_vec()),
            }
        }
    }
    assert_eq!(cutter.digest(), Digest::of(bytes));
    assert_eq!(all.covered, len);
    cut.pieces = all.pieces;
    cut
}

fn cut(bytes: &[u8]) -> Cut {
    cut_as(bytes, true, None, WINDOW)
}

/// How a file with these extents is cut.
fn cut_with(bytes: &[u8], extents: &[Range<u64>]) -> Cut {
    cut_as(bytes, true, Some(Files::new(extents.to_vec(), bytes.len() as u64)), WINDOW)
}

#[test]
fn windows_leave_no_trace() {
    let bytes = noise(2 * WINDOW + 12_345, 1);
    let whole: Vec<usize> = FastCDC::new(&bytes, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX).map(|chunk| chunk.length).collect();
    assert_eq!(cut(&bytes).lengths(), whole);
}

/// The cuts of a fixed input: they change only if somebody decides that new images share nothing with stored ones.
#[test]
fn cuts_stay_where_they_are() {
    assert_eq!(cut(&noise(1 << 20, 2)).lengths(), [99_395, 159_574, 167_376, 75_818, 121_060, 69_303, 112_239, 89_076, 154_735]);
}

#[test]
fn only_long_runs_of_zeros_are_holes() {
    let mut bytes = noise(1 << 20, 3);
    bytes[8192..8192 + 28 * 1024].fill(0);
    assert_eq!(cut(&bytes).pieces, [Piece::Data(Kind::Rest, 1 << 20)]);
    bytes[8192..8192 + 32 * 1024].fill(0);
    assert_eq!(cut(&bytes).pieces[1], Piece::Hole(32 << 10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pieces_are_the_file_and_holes_in_it_do_not_matter(
        stretches in prop::collection::vec((0_usize..1 << 18, 0_usize..1 << 17, any::<u64>()), 0..6),
        extents in prop::collection::vec((0_u64..500, 1_u64..80), 0..40),
        window in 1_usize..1 << 20,
    ) {
        let mut bytes = Vec::new();
        for (zeros, data, seed) in stretches {
            bytes.resize(bytes.len() + zeros, 0);
            bytes.extend(noise(data, seed));
        }
        // Extents that overlap or lie beyond the end are left out.
        let extents = extents.into_iter().map(|(start, len)| start * BLOCK..(start + len) * BLOCK).collect();
        let files = Files::new(extents, bytes.len() as u64);
        let sparse = cut_as(&bytes, true, Some(files.clone()), WINDOW);
        prop_assert!(sparse.bytes() == bytes);
        prop_assert!(cut_as(&bytes, false, Some(files.clone()), WINDOW) == sparse);
        prop_assert!(cut_as(&bytes, true, Some(files), window) == sparse, "the window matters");
        for chunk in sparse.files.iter().chain(&sparse.rest) {
            prop_assert!(!chunk.is_empty() && chunk.len() <= CHUNK_MAX);
        }
    }
}

/// An image of these files one behind the other, each padded to whole blocks, with a block of something else before every fourth.
fn image_of(contents: &[Vec<u8>], salt: u64) -> (Vec<u8>, Vec<Range<u64>>) {
    let (mut bytes, mut extents) = (noise(100_000 / 4096 * 4096, salt), Vec::new());
    for (number, content) in contents.iter().enumerate() {
        if number % 4 == 0 {
            bytes.extend(noise(4096, salt + number as u64));
        }
        let start = bytes.len() as u64;
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        extents.push(start..bytes.len() as u64);
    }
    (bytes, extents)
}

#[test]
fn files_that_stay_are_the_same_chunks_wherever_they_lie() {
    let lens = [3_000, 700, 200_000, 31_000, 40_000, 9_000, 28_000, 1_500_000];
    let mut contents: Vec<Vec<u8>> = (0..80).map(|number| noise(lens[number % lens.len()], number as u64)).collect();
    let (bytes, extents) = image_of(&contents, 1_000);
    let before = cut_with(&bytes, &extents);
    assert!(before.bytes() == bytes);
    // A larger file is its own chunks, and what is not a file is in none of theirs.
    for number in (2..contents.len()).step_by(lens.len()) {
        let padded = extents[number].clone();
        let alone = cut(&bytes[padded.start as usize..padded.end as usize]).rest;
        assert!(alone.iter().all(|chunk| before.files.contains(chunk)), "file {number}");
    }
    assert!(before.files.len() > before.rest.len());

    // One file changes, one is new, and everything else moves: only the groups of those two are new.
    contents[41] = noise(700, 5_000);
    contents.insert(8, noise(5_000, 6_000));
    let (bytes, extents) = image_of(&contents, 2_000);
    let known: HashSet<Vec<u8>> = before.files.into_iter().collect();
    let new: usize = cut_with(&bytes, &extents).files.iter().filter(|chunk| !known.contains(*chunk)).map(Vec::len).sum();
    assert!((4096..200_000).contains(&new), "{new}");
}

/// An ext4 file system of one group in the second MiB of a disk of 4 MiB: a folder, a file of one extent, a file whose two extents stand in a block of their
/// own, and a file that is reserved and not written. With the extents of files.
fn disk_with_ext4() -> (Vec<u8>, Vec<Range<u64>>) {
    const START: usize = 1 << 20;
    let mut disk = vec![0; 4 << 20];
    let mut put = |at: usize, bytes: &[u8]| disk[at..at + bytes.len()].copy_from_slice(bytes);
    // The partition table: a header that points to 128 entries in sector 2, one of them used.
    put(512, b"EFI PART");
    put(512 + 72, &2_u64.to_le_bytes());
    put(512 + 80, &128_u32.to_le_bytes());
    put(512 + 84, &128_u32.to_le_bytes());
    put(1024 + 128, &[7; 32]);
    put(1024 + 128 + 32, &(START as u64 / 512).to_le_bytes());
    put(1024 + 128 + 40, &(3 * START as u64 / 512 - 1).to_le_bytes());
    // The superblock: 512 blocks of 4 KiB, 32 inodes of 256 bytes, extents and 64 bits.
    let superblock = START + 1024;
    for (at, number) in [(0, 32_u32), (4, 512), (24, 2), (32, 32_768), (40, 32), (76, 1), (96, 0x2c2), (100, 0x400)] {
        put(superblock + at, &number.to_le_bytes());
    }
    put(superblock + 56, &0xef53_u16.to_le_bytes());
    put(superblock + 88, &256_u16.to_le_bytes());
    put(superblock + 254, &64_u16.to_le_bytes());
    // The group's inodes begin in block 2, and 16 of them were never used.
    put(START + 4096 + 8, &2_u32.to_le_bytes());
    put(START + 4096 + 28, &16_u16.to_le_bytes());
    let header = |entries: u16, depth: u16| [&0xf30a_u16.to_le_bytes()[..], &entries.to_le_bytes(), &[4, 0], &depth.to_le_bytes(), &[0; 4]].concat();
    let extent = |blocks: u16, first: u32| [&[0; 4][..], &blocks.to_le_bytes(), &[0; 2], &first.to_le_bytes()].concat();
    let index = |below: u32| [&[0; 4][..], &below.to_le_bytes(), &[0; 4]].concat();
    let inodes: [(u32, u16, Vec<u8>); 4] = [
        (11, 0o040_755, [header(1, 0), extent(1, 100)].concat()),
        (12, 0o100_644, [header(1, 0), extent(20, 200)].concat()),
        (13, 0o100_755, [header(1, 1), index(101)].concat()),
        (14, 0o100_644, [header(1, 0), extent(0x8005, 300)].concat()),
    ];
    for (number, mode, node) in inodes {
        let at = START + 2 * 4096 + (number as usize - 1) * 256;
        put(at, &mode.to_le_bytes());
        put(at + 32, &0x8_0000_u32.to_le_bytes());
        put(at + 40, &node);
    }
    put(START + 101 * 4096, &[header(2, 0), extent(3, 110), extent(2, 220)].concat());
    let range = |first: usize, blocks: usize| (START + first * 4096) as u64..(START + (first + blocks) * 4096) as u64;
    (disk, vec![range(110, 3), range(200, 20), range(220, 2)])
}

fn files_on(disk: &[u8]) -> Files {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(disk, 0).unwrap();
    Files::on(&file, disk.len() as u64, &Cancel::default()).unwrap()
}

#[test]
fn files_of_ext4_are_found() {
    let (disk, extents) = disk_with_ext4();
    assert_eq!(files_on(&disk), Files::new(extents.clone(), disk.len() as u64));
    // The same without a partition table.
    let moved = extents.iter().map(|extent| extent.start - (1 << 20)..extent.end - (1 << 20)).collect();
    assert_eq!(files_on(&disk[1 << 20..3 << 20]), Files::new(moved, 2 << 20));
}

#[test]
fn groups_that_no_file_system_has_are_not_looked_at() {
    let (mut disk, extents) = disk_with_ext4();
    let per_group = (1 << 20) + 1024 + 32;
    for (blocks, found) in [(256_u32, true), (1, false), (128, false), (260, false)] {
        disk[per_group..per_group + 4].copy_from_slice(&blocks.to_le_bytes());
        let files = if found { Files::new(extents.clone(), disk.len() as u64) } else { Files::default() };
        assert_eq!(files_on(&disk), files, "{blocks}");
    }
}

#[test]
fn a_partition_that_overlaps_an_earlier_one_is_not_looked_at() {
    let (mut disk, extents) = disk_with_ext4();
    let mut put = |entry: usize, sectors: Range<u64>| {
        let at = 1024 + entry * 128;
        disk[at..at + 32].fill(7);
        disk[at + 32..at + 40].copy_from_slice(&sectors.start.to_le_bytes());
        disk[at + 40..at + 48].copy_from_slice(&(sectors.end - 1).to_le_bytes());
        files_on(&disk)
    };
    // The file system is in the second entry, from sector 2048 on to 6144.
    let all = Files::new(extents, 4 << 20);
    assert_eq!(put(2, 2048..6144), all);
    assert_eq!(put(0, 1024..2048), all);
    assert_eq!(put(0, 1024..2049), Files::default());
    assert_eq!(put(0, 6144..6145), all);
    assert_eq!(put(0, 6143..6144), Files::default());
}

#[test]
fn the_search_for_files_can_be_stopped() {
    let cancel = Cancel::default();
    cancel.cancel();
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&disk_with_ext4().0, 0).unwrap();
    assert!(matches!(Cutter::new(file, PathBuf::new(), Known::new(), &cancel), Err(Error::Cancelled(_))));
}

#[test]
fn a_long_hole_is_taken_in_step_by_step() {
    let (file, at, len) = (tempfile::tempfile().unwrap(), HOLE_LEN + 3 * BLOCK, 3 * HOLE_LEN);
    file.set_len(len).unwrap();
    file.write_all_at(&noise(BLOCK as usize, 11), at).unwrap();
    let mut cutter = Cutter::with_files(file, PathBuf::new(), len, Files::default());
    let mut window = Window::default();
    let mut steps = 0;
    while cutter.at < len {
        let before = cutter.at;
        cutter.step(&mut window).unwrap();
        assert!(cutter.at - before <= HOLE_LEN);
        steps += 1;
    }
    assert!(steps >= 4, "{steps}");
    // The borders of steps are none of the hole.
    cutter.end_zeros(&mut window);
    assert_eq!(window.pieces, [Piece::Hole(at), Piece::Data(Kind::Rest, BLOCK), Piece::Hole(len - at - BLOCK)]);
}

#[test]
fn extents_that_contradict_each_other_are_left_out() {
    let extents = vec![4096..8192, 0..12_288, 8192..8192, 12_288..20_000, 16_384..20_480, u64::MAX - 4095..u64::MAX];
    assert_eq!(Files::new(extents, 20_480), Files::new(vec![0..12_288, 16_384..20_480], 20_480));
}

#[test]
fn a_tree_of_extents_that_names_itself_ends() {
    let (mut disk, _) = disk_with_ext4();
    let node = (1 << 20) + 101 * 4096;
    for (entry, bytes) in disk[node + 12..node + 4096].chunks_exact_mut(12).enumerate() {
        bytes.fill(0);
        bytes[4] = 101;
        bytes[0] = entry as u8;
    }
    disk[node + 2..node + 4].copy_from_slice(&340_u16.to_le_bytes());
    disk[node + 6] = 5;
    let root = (1 << 20) + 2 * 4096 + 12 * 256 + 40;
    disk[root + 6] = 5;
    assert!(files_on(&disk).get(0).is_some(), "the other files are still found");
}

proptest! {
    #[test]
    fn whatever_stands_on_a_disk_it_is_cut(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        let (mut disk, _) = disk_with_ext4();
        // The places that are read: table, superblock, descriptors, inodes, one block of extents.
        let places: Vec<usize> =
            [512..1536, 1 << 20..(1 << 20) + 4096 + 64, (1 << 20) + 8192 + 2560..(1 << 20) + 8192 + 3584, (1 << 20) + 101 * 4096..(1 << 20) + 101 * 4096 + 64]
                .into_iter()
                .flatten()
                .collect();
        for (index, byte) in changes {
            disk[places[index.index(places.len())]] = byte;
        }
        let files = files_on(&disk);
        let mut end = 0;
        for number in 0.. {
            let Some(extent) = files.get(number) else { break };
            prop_assert!(end <= extent.start && extent.start < extent.end && extent.end <= disk.len() as u64);
            end = extent.end;
        }
    }
}

/// The pieces of a file, and the digests and lengths of its chunks of files and of all else, in windows of this length.
fn named(bytes: &[u8], files: &Files, known: Known, window: usize) -> (Vec<Piece>, [Vec<(Digest, u32)>; 2]) {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    let len = bytes.len() as u64;
    let mut cutter = Cutter { known, window, ..Cutter::with_files(file, PathBuf::new(), len, files.clone()) };
    let (mut all, mut chunks) = (Window::default(), [Vec::new(), Vec::new()]);
    while let Some(next) = cutter.window(Window::default(), &Cancel::default()).unwrap() {
        next.pieces.iter().for_each(|piece| all.push(*piece));
        for (kind, chunk) in next.chunks() {
            chunks[usize::from(kind == Kind::Rest)].push(match chunk {
                Chunk::Cut(bytes) => (Digest::of(bytes), bytes.len() as u32),
                Chunk::Known(digest, len) => (digest, len),
            });
        }
    }
    assert_eq!(cutter.digest(), Digest::of(bytes));
    (all.pieces, chunks)
}

#[test]
fn chunks_that_are_known_take_the_places_of_those_that_would_be_cut() {
    let lens = [5_000, 700_000, 40_000, 900, 32_768, 3_000, 2_000, 1_300_000, 20_000, 60_000];
    let contents: Vec<Vec<u8>> = lens.into_iter().zip(50..).map(|(len, seed)| noise(len, seed)).collect();
    let (bytes, extents) = image_of(&contents, 9);
    let files = Files::new(extents.clone(), bytes.len() as u64);
    let expected = named(&bytes, &files, Known::new(), WINDOW);
    let chunks = |extent: &Range<u64>| {
        let bytes = &bytes[extent.start as usize..extent.end as usize];
        let cut = FastCDC::new(bytes, CHUNK_MIN, CHUNK_AVERAGE, CHUNK_MAX);
        cut.map(|chunk| (Digest::of(&bytes[chunk.offset..chunk.offset + chunk.length]), chunk.length as u32)).collect::<Vec<_>>()
    };
    for take in [vec![1], vec![1, 2, 4, 7, 9], vec![7, 9], vec![0, 3, 5, 6, 8]] {
        for window in [1, 100_000, WINDOW] {
            let known = take.iter().map(|&number: &usize| (extents[number].start, (extents[number].end, chunks(&extents[number]))));
            assert!(named(&bytes, &files, known.collect(), window) == expected, "{take:?} in windows of {window}");
        }
    }
    // What is known is believed, and what is no file is not.
    let other = (extents[1].start, (extents[1].end, vec![(Digest::of(b"other"), 700_416)]));
    assert!(named(&bytes, &files, Known::from([other.clone()]), WINDOW).1[0].contains(&other.1.1[0]));
    let shorter = (other.0, (other.1.0 - BLOCK, other.1.1));
    assert!(named(&bytes, &files, Known::from([shorter]), WINDOW) == expected);
}
