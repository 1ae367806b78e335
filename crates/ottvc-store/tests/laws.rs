//! Laws of the pack format, whatever the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

use ottvc_store::pack::{
    Class, Decoder, Encoder, PackHeader, PackId, Record, RecordHeader, RecordKind, Scan,
    encode_footer, scan,
};
use proptest::collection::vec;
use proptest::prelude::*;

const ID: PackId = PackId([3; 16]);

/// The bytes of a pack with these chunks, and its records.
fn pack(chunks: &[Vec<u8>], sealed: bool) -> (Vec<u8>, Vec<Record>) {
    let mut bytes = PackHeader { id: ID, class: Class::Data, order: 1 }.encode();
    let (mut records, mut encoder) = (Vec::new(), Encoder::default());
    for raw in chunks {
        let header = encoder.chunk(raw).unwrap().header().unwrap();
        let offset = bytes.len() as u64;
        bytes.extend(header.encode(ID, offset));
        bytes.extend_from_slice(&encoder.encode(raw).1);
        records.push(Record { offset, header });
    }
    if sealed {
        bytes.extend(encode_footer(ID, bytes.len() as u64, &records));
    }
    (bytes, records)
}

/// Asserts what holds of any scan of these bytes, and reads every payload.
fn assert_sound(found: &Scan, bytes: &[u8]) {
    let mut end = PackHeader::LEN;
    for record in &found.records {
        assert!(record.offset >= end, "records are in order and do not overlap");
        end = record.end();
        let stored = record.payload(bytes).expect("records lie in the pack");
        let raw = Decoder::default().decode(&record.header, stored);
        assert!(raw.is_err() || raw.is_ok_and(|raw| raw.len() == record.header.raw_len as usize));
    }
    assert!(found.gaps.iter().all(|gap| gap.start <= gap.end && gap.end <= bytes.len() as u64));
}

fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(prop_oneof![vec(any::<u8>(), 1..200), (1..400_usize).prop_map(|len| vec![7; len])], 0..6)
}

proptest! {
    /// What was written is what is read, sealed or not.
    #[test]
    fn packs_read_back(chunks in chunks(), sealed: bool) {
        let (bytes, records) = pack(&chunks, sealed);
        let found = scan(ID, &bytes);
        prop_assert_eq!(&found.records, &records);
        prop_assert_eq!((found.sealed, found.gaps.len()), (sealed, 0));
        for (record, raw) in records.iter().zip(&chunks) {
            let stored = record.payload(&bytes).unwrap();
            let mut decoder = Decoder::default();
            prop_assert_eq!(&*decoder.decode(&record.header, stored).unwrap(), raw.as_slice());
        }
    }

    /// Any bytes are scanned without harm.
    #[test]
    fn any_bytes_are_scanned(bytes in vec(any::<u8>(), 0..600), opened: bool) {
        let header = PackHeader { id: ID, class: Class::Data, order: 1 }.encode();
        let bytes = if opened { [header, bytes].concat() } else { bytes };
        assert_sound(&scan(ID, &bytes), &bytes);
    }

    /// A damaged pack is scanned without harm, and records the damage missed are still found.
    #[test]
    fn damage_stays_where_it_is(
        chunks in chunks(), sealed: bool,
        flips in vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let (mut bytes, records) = pack(&chunks, sealed);
        let mut places = Vec::new();
        for (index, bit) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= 1 << bit;
            places.push(at as u64);
        }
        let found = scan(ID, &bytes);
        assert_sound(&found, &bytes);
        for record in records {
            let hit = places.iter().any(|at| (record.offset..record.end()).contains(at));
            prop_assert!(hit || found.records.contains(&record), "a whole record is lost");
        }
    }

    /// A pack cut anywhere keeps the records before the cut.
    #[test]
    fn a_cut_keeps_what_is_before_it(
        chunks in chunks(), sealed: bool, cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, records) = pack(&chunks, sealed);
        let bytes = &bytes[..cut.index(bytes.len())];
        let found = scan(ID, bytes);
        assert_sound(&found, bytes);
        let whole = records.iter().take_while(|record| record.end() <= bytes.len() as u64);
        prop_assert_eq!(found.records, whole.copied().collect::<Vec<_>>());
    }

    /// No payload, however wrong, unpacks to more than its header states or does other harm.
    #[test]
    fn any_payload_is_unpacked_within_bounds(
        stored in vec(any::<u8>(), 0..300), raw_len: u32, zstd: bool, frame: bool,
    ) {
        let encoding =
            if zstd { ottvc_store::Encoding::Zstd } else { ottvc_store::Encoding::Raw };
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let stored = if frame { [&magic[..], &stored].concat() } else { stored };
        let raw = Decoder::default().unpack(encoding, raw_len, &stored);
        prop_assert!(raw.is_err() || raw.is_ok_and(|raw| raw.len() == raw_len as usize));
    }

    /// A record header reads back where it was written, and nowhere else.
    #[test]
    fn record_headers_hold_in_their_place(raw in vec(any::<u8>(), 1..300), at: u32, off in 1..99_u64) {
        let header = Encoder::default().chunk(&raw).unwrap().header().unwrap();
        prop_assert_eq!(header.kind, RecordKind::Chunk);
        let bytes = header.encode(ID, u64::from(at));
        prop_assert_eq!(RecordHeader::decode(&bytes, ID, u64::from(at)), Ok(header));
        prop_assert!(RecordHeader::decode(&bytes, ID, u64::from(at) + off).is_err());
    }
}
