//! The bytes of a pack, whole and damaged: reading them ends, and invents no record.
//!
//! Checksums keep blind changes from getting far, so packs are also put together from the input
//! and damaged where it says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_store::Encoding;
use ottvc_store::pack::{
    Class, Decoder, Encoder, GroupBuilder, PackHeader, PackId, Record, RecordHeader, RecordKind,
    Scan, decode_footer, decode_group, encode_footer, scan,
};

const ID: PackId = PackId([9; 16]);

/// Reads bytes as a pack, and checks what a scan promises whatever they are.
fn read(bytes: &[u8]) -> Scan {
    let found = scan(ID, bytes);
    let len = bytes.len() as u64;
    let mut end = PackHeader::LEN;
    let mut decoder = Decoder::default();
    for record in &found.records {
        assert!(record.offset >= end && record.end() <= len);
        end = record.end();
        let stored = record.payload(bytes).expect("a record lies within the pack");
        if let Ok(raw) = decoder.decode(&record.header, stored) {
            assert_eq!(raw.len(), usize::try_from(record.header.raw_len).expect("a length"));
        }
    }
    assert!(found.end >= end.min(len));
    assert!(found.gaps.iter().all(|gap| gap.start <= gap.end));
    found
}

/// A pack as the input tells it: a byte of flags a record, a length, and that many bytes.
fn write(mut recipe: &[u8]) -> (Vec<u8>, Vec<Record>) {
    let header = PackHeader { id: ID, class: Class::Objects, order: 1 };
    let (mut bytes, mut records) = (header.encode(), Vec::new());
    let mut encoder = Encoder::default();
    while let [flags, len, rest @ ..] = recipe {
        let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        recipe = rest;
        let raw = payload.repeat(1 + usize::from(flags >> 4));
        let kind = RecordKind::from_byte(1 + flags % 5).expect("a kind");
        let Some(id) = kind.id_of(&raw).filter(|_| !raw.is_empty()) else { continue };
        let (encoding, stored) = encoder.encode(&raw);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
        let (raw_len, stored_len) = (length(&raw), length(&stored));
        let record = Record {
            offset: bytes.len() as u64,
            header: RecordHeader { kind, encoding, raw_len, stored_len, id },
        };
        bytes.extend(record.header.encode(ID, record.offset));
        bytes.extend(&*stored);
        records.push(record);
    }
    (bytes, records)
}

/// Lines of a footer such as no writer leaves, under a checksum that fits.
fn forged_footer(recipe: &[u8]) {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let Some((head, lines)) = recipe.split_at_checked(9) else { return };
    let offset = number(&head[..8]) >> (head[8] % 64);
    let record = |line: &[u8]| Record {
        offset: number(&line[..8]) >> (line[8] % 64),
        header: RecordHeader {
            kind: RecordKind::from_byte(1 + line[9] % 5).expect("a kind"),
            encoding: if line[9] < 128 { Encoding::Raw } else { Encoding::Zstd },
            raw_len: u32::from_be_bytes([line[10], line[11], line[12], line[13]]),
            stored_len: u32::from_be_bytes([line[14], line[15], line[16], line[17]]),
            id: [line[9]; 32],
        },
    };
    let records: Vec<Record> = lines.chunks_exact(18).map(record).collect();
    let footer = encode_footer(ID, offset, &records);
    for start in [0, offset, offset / 2, u64::MAX] {
        if let Ok((end, found)) = decode_footer(ID, start, &footer) {
            assert!(found == records && end == offset && start <= offset);
        }
    }
}

/// Members of a group tile the bytes after its lines, and put together again give the same.
fn read_group(raw: &[u8]) {
    let Ok(members) = decode_group(raw) else { return };
    let mut builder = GroupBuilder::default();
    for (kind, member) in &members {
        assert!(builder.add(*kind, member.of(raw).expect("a member lies within the group")));
    }
    let (again, places) = builder.encode();
    assert_eq!(again, raw);
    assert!(places.iter().eq(members.iter().map(|(_, member)| member)));
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read_group(bytes);
    let _ = decode_footer(ID, 0, bytes);
    let _ = decode_footer(ID, u64::MAX, bytes);
    forged_footer(bytes);

    let Some(([at, cut, flip, seal], recipe)) = bytes.split_first_chunk() else { return };
    let (mut pack, records) = write(recipe);
    let records_end = pack.len();
    if seal % 2 == 0 {
        pack.extend(encode_footer(ID, records_end as u64, &records));
    }
    let whole = read(&pack);
    assert_eq!(whole.records, records);
    assert!(whole.gaps.is_empty() || seal % 2 == 1 && whole.gaps.is_empty());
    assert_eq!((whole.sealed, whole.end), (seal % 2 == 0, records_end as u64));

    // One byte damaged, a tail cut off: records not hit are still found, others never made up.
    let at = usize::from(*at) * pack.len() / 256;
    if let Some(byte) = pack.get_mut(at) {
        *byte ^= flip;
    }
    let damaged = read(&pack);
    assert!(damaged.records.iter().all(|record| records.contains(record)));
    let hit = |record: &&Record| {
        record.offset > at as u64 || record.offset + RecordHeader::LEN <= at as u64
    };
    assert!(records.iter().filter(hit).all(|record| damaged.records.contains(record)));
    pack.truncate(pack.len() * usize::from(*cut) / 256);
    let torn = read(&pack);
    assert!(torn.records.iter().all(|record| records.contains(record)));
});
