//! Partition tables: GPT (UEFI specification, chapter 5) and MBR, with the chain of logical partitions.

use super::problem::{Problem, Result};
use super::volume::Volume;
use crate::disk::{PartitionTable, TYPES, Uuid};
use crate::format::number::{huge, long, short};

/// The lengths of sectors that there are.
const SECTORS: [u64; 2] = [512, 4096];

/// Entries of a GPT that are read at most; tables have 128.
const ENTRIES_LIMIT: u32 = 1024;

/// Logical partitions that are read at most.
const LOGICAL_LIMIT: u32 = 128;

const MBR_GPT: u8 = 0xee;
/// Types of partitions that hold logical ones.
const MBR_EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// The partition table of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) kind: PartitionTable,
    /// The disk's own identifier.
    pub(super) id: String,
    pub(super) partitions: Vec<Partition>,
    /// What is wrong with it, although it can be read.
    pub(super) problem: Option<&'static str>,
}

/// An entry of a partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    /// From 1.
    pub(super) number: u32,
    /// Its type by our name, else as it stands in the table.
    pub(super) kind: String,
    /// Empty where it has none.
    pub(super) name: String,
    /// As `PARTUUID` has it.
    pub(super) id: String,
    /// The offset of its first byte.
    pub(super) start: u64,
    /// Its length in bytes.
    pub(super) len: u64,
}

/// None where the disk has no table.
pub(super) fn read(disk: &Volume<'_>) -> Result<Option<Table>> {
    if disk.len < SECTORS[0] {
        return Ok(None);
    }
    let first = disk.read(0, SECTORS[0])?;
    let entries = mbr_entries(&first);
    let is_protective = entries.is_some_and(|entries| entries.iter().any(|entry| entry.kind == MBR_GPT));
    if let Some(table) = gpt(disk, is_protective)? {
        return Ok(Some(table));
    }
    match entries {
        _ if is_protective => Err(Problem::Wrong("its GPT is damaged, and so is the backup")),
        Some(entries) => mbr(disk, &first, &entries).map(Some),
        None => Ok(None),
    }
}

/// The GPT, or its backup at the end of the disk.
fn gpt(disk: &Volume<'_>, is_protective: bool) -> Result<Option<Table>> {
    let first = of_image(SECTORS.iter().map(|sector| gpt_at(disk, *sector, *sector)))?;
    if first.is_some() || !is_protective {
        return Ok(first);
    }
    let backup = of_image(SECTORS.iter().map(|sector| gpt_at(disk, *sector, disk.len.saturating_sub(*sector) / sector * sector)))?;
    Ok(backup.map(|table| Table { problem: Some("the first GPT is damaged: this is the backup"), ..table }))
}

/// The first table that can be read. What is wrong with the others is of no interest, where it is not the machine.
fn of_image(tables: impl Iterator<Item = Result<Option<Table>>>) -> Result<Option<Table>> {
    for table in tables {
        match table {
            Ok(Some(table)) => return Ok(Some(table)),
            Err(problem) if !problem.is_of_image() => return Err(problem),
            Ok(None) | Err(_) => {}
        }
    }
    Ok(None)
}

/// The GPT whose header is at this offset; checksums must be right.
fn gpt_at(disk: &Volume<'_>, sector: u64, at: u64) -> Result<Option<Table>> {
    let header = disk.read(at, 512)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(None);
    }
    let number = |at: usize| long(&header, at).ok_or(Problem::CutOff);
    let (header_len, count, entry_len) = (number(12)?, number(80)?, number(84)?);
    let entries_at = huge(&header, 72).and_then(|at| at.checked_mul(sector)).ok_or(Problem::CutOff)?;
    let bounded = (92..=512).contains(&header_len) && count <= ENTRIES_LIMIT && (128..=4096).contains(&entry_len) && entry_len.is_power_of_two();
    if !bounded {
        return Err(Problem::Wrong("its GPT is out of bounds"));
    }
    let mut summed = header[..header_len as usize].to_vec();
    summed[16..20].fill(0);
    let entries = disk.read(entries_at, u64::from(count) * u64::from(entry_len))?;
    if crc32fast::hash(&summed) != number(16)? || crc32fast::hash(&entries) != number(88)? {
        return Err(Problem::Wrong("its GPT has wrong checksums"));
    }
    let partitions = (1..).zip(entries.chunks_exact(entry_len as usize)).filter_map(|(number, entry)| gpt_entry(number, entry, sector));
    let id = header[56..72].try_into().map(guid).unwrap_or_default();
    Ok(Some(Table { kind: PartitionTable::Gpt, id, partitions: partitions.collect(), problem: None }))
}

fn gpt_entry(number: u32, entry: &[u8], sector: u64) -> Option<Partition> {
    let kind: [u8; 16] = entry.get(..16)?.try_into().ok()?;
    (kind != [0; 16]).then_some(())?;
    let (first, last) = (huge(entry, 32)?, huge(entry, 40)?);
    let (start, end) = (first.checked_mul(sector)?, last.checked_add(1)?.checked_mul(sector)?);
    let kind = guid(kind);
    let known = TYPES.iter().find(|row| row.guid.to_string() == kind);
    let letters: Vec<u16> = (56..128).step_by(2).filter_map(|at| short(entry, at)).take_while(|letter| *letter != 0).collect();
    Some(Partition {
        number,
        kind: known.map_or(kind, |row| row.name.to_owned()),
        name: String::from_utf16_lossy(&letters),
        id: guid(entry[16..32].try_into().ok()?),
        start,
        len: end.checked_sub(start)?,
    })
}

/// The text of a GUID, whose first three fields are little-endian.
fn guid(mut bytes: [u8; 16]) -> String {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Uuid::from_bytes(bytes).to_string()
}

#[derive(Debug, Clone, Copy)]
struct MbrEntry {
    kind: u8,
    first: u32,
    sectors: u32,
}

/// The entries of a sector that is a partition table: not the first one of a file system, which ends alike.
fn mbr_entries(sector: &[u8]) -> Option<[MbrEntry; 4]> {
    let at = |number: usize| 446 + 16 * number;
    (sector.get(510..512)? == [0x55, 0xaa]).then_some(())?;
    let entries = [0, 1, 2, 3].map(|number| MbrEntry {
        kind: sector[at(number) + 4],
        first: long(sector, at(number) + 8).unwrap_or_default(),
        sectors: long(sector, at(number) + 12).unwrap_or_default(),
    });
    let plausible = (0..4).all(|number| matches!(sector[at(number)], 0 | 0x80)) && entries.iter().any(|entry| entry.kind != 0 && entry.sectors != 0);
    plausible.then_some(entries)
}

fn mbr(disk: &Volume<'_>, first: &[u8], entries: &[MbrEntry; 4]) -> Result<Table> {
    let signature = long(first, 440).unwrap_or_default();
    let partition = |number: u32, entry: &MbrEntry, base: u64| Partition {
        number,
        kind: TYPES
            .iter()
            .find(|row| row.mbr == entry.kind && row.architecture.is_none())
            .map_or_else(|| format!("{:#04x}", entry.kind), |row| row.name.to_owned()),
        name: String::new(),
        id: format!("{signature:08x}-{number:02x}"),
        start: (base + u64::from(entry.first)) * SECTORS[0],
        len: u64::from(entry.sectors) * SECTORS[0],
    };
    let mut table = Table { kind: PartitionTable::Mbr, id: format!("{signature:08x}"), partitions: Vec::new(), problem: None };
    let is_used = |entry: &&MbrEntry| entry.kind != 0 && entry.sectors != 0;
    let mut extended = None;
    for (number, entry) in (1..).zip(entries).filter(|(_, entry)| is_used(entry)) {
        if MBR_EXTENDED.contains(&entry.kind) {
            extended = extended.or(Some(u64::from(entry.first)));
        } else {
            table.partitions.push(partition(number, entry, 0));
        }
    }
    let Some(base) = extended else { return Ok(table) };
    let mut at = base;
    for number in 5..5 + LOGICAL_LIMIT {
        let sector = match disk.read(at * SECTORS[0], SECTORS[0]) {
            Ok(sector) => sector,
            Err(Problem::CutOff) => return Ok(Table { problem: Some("its logical partitions are cut off"), ..table }),
            Err(problem) => return Err(problem),
        };
        let Some([own, next, ..]) = mbr_entries(&sector) else { break };
        if is_used(&&own) {
            table.partitions.push(partition(number, &own, at));
        }
        if !MBR_EXTENDED.contains(&next.kind) {
            return Ok(table);
        }
        at = base + u64::from(next.first);
    }
    Ok(Table { problem: Some("its logical partitions have no end"), ..table })
}
