//! A pack to the byte, as a second reading of `docs/format-pack.md` has it (`fixtures/golden.py`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_object::{ChunkId, Object};
use ottvc_store::Encoding;
use ottvc_store::pack::{
    Class, Decoder, GroupBuilder, PackHeader, PackId, Record, RecordHeader, RecordKind,
    decode_footer, decode_group, encode_footer, scan,
};

const GOLDEN: &[u8] = include_bytes!("../../../fixtures/golden.pack");

fn id() -> PackId {
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf".parse().unwrap()
}

/// The members of the golden group, one of them the object of record 2.
fn group(object: &[u8]) -> [(RecordKind, &[u8]); 3] {
    [(RecordKind::Chunk, b"one"), (RecordKind::Object, object), (RecordKind::Chunk, b"two")]
}

#[test]
fn a_pack_is_read_as_the_page_says() {
    let found = scan(id(), GOLDEN);
    assert_eq!(found.header, Some(PackHeader { id: id(), class: Class::Objects, order: 7 }));
    assert!(found.sealed && found.gaps.is_empty());
    assert_eq!(decode_footer(id(), 0, GOLDEN), Ok((found.end, found.records.clone())));
    let mut decoder = Decoder::default();
    let raw: Vec<Vec<u8>> = found
        .records
        .iter()
        .map(|record| {
            let stored = record.payload(GOLDEN).unwrap();
            decoder.decode(&record.header, stored).unwrap().into_owned()
        })
        .collect();
    let kinds = found.records.iter().map(|record| (record.header.kind, record.header.encoding));
    assert!(kinds.eq([
        (RecordKind::Chunk, Encoding::Raw),
        (RecordKind::Chunk, Encoding::Zstd),
        (RecordKind::Object, Encoding::Raw),
        (RecordKind::Operation, Encoding::Raw),
        (RecordKind::Workspace, Encoding::Raw),
        (RecordKind::Group, Encoding::Raw),
    ]));
    assert_eq!(raw[0], b"film");
    assert_eq!(raw[1], vec![b'A'; 1000]);
    assert_eq!(Object::from_bytes(&*raw[2]).unwrap().id().0, found.records[2].header.id);

    let members = decode_group(&raw[5]).unwrap();
    let members = members.iter().map(|(kind, member)| (*kind, member.of(&raw[5]).unwrap()));
    assert!(members.eq(group(&raw[2])));

    // Without its footer it is walked, and holds the same.
    let walked = scan(id(), &GOLDEN[..usize::try_from(found.end).unwrap()]);
    assert_eq!((walked.records, walked.sealed, walked.end), (found.records, false, found.end));
}

#[test]
fn a_pack_is_written_as_the_page_says() {
    let found = scan(id(), GOLDEN);
    let mut bytes = PackHeader { id: id(), class: Class::Objects, order: 7 }.encode();
    let mut records = Vec::new();
    for golden in &found.records {
        let stored = golden.payload(GOLDEN).unwrap();
        let raw = Decoder::default().decode(&golden.header, stored).unwrap().into_owned();
        let RecordHeader { kind, encoding, .. } = golden.header;
        let header = RecordHeader {
            kind,
            encoding,
            raw_len: u32::try_from(raw.len()).unwrap(),
            stored_len: u32::try_from(stored.len()).unwrap(),
            id: kind.id_of(&raw).unwrap(),
        };
        let record = Record { offset: bytes.len() as u64, header };
        bytes.extend(header.encode(id(), record.offset));
        bytes.extend(stored);
        records.push(record);
    }
    let end = bytes.len() as u64;
    bytes.extend(encode_footer(id(), end, &records));
    assert_eq!(bytes, GOLDEN);

    let payload = |at: usize| found.records[at].payload(GOLDEN).unwrap();
    let mut builder = GroupBuilder::default();
    assert!(group(payload(2)).into_iter().all(|(kind, raw)| builder.add(kind, raw)));
    assert_eq!(builder.encode().0, payload(5));
    assert_eq!(records[0].header.id, ChunkId::of(b"film").0);
}
