//! Reads what a pack holds from its bytes alone, whatever happened to them.

use super::footer::{self, decode_footer};
use super::record::{self, Record, RecordHeader};
use super::{PackFault, PackHeader, PackId};

/// Bytes of a pack that belong to no record that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they begin.
    pub start: u64,
    /// Where they end: at the next record, or the end of the file.
    pub end: u64,
    /// What was found instead.
    pub why: PackFault,
}

/// What the bytes of a pack hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What the pack opens with; `None` if that is damaged.
    pub header: Option<PackHeader>,
    /// Its records, in order of their offsets. Payloads were not looked at.
    pub records: Vec<Record>,
    /// Whether a footer in good order ends it.
    pub sealed: bool,
    /// The length that holds records: all after it is footer, or not to be trusted.
    pub end: u64,
    /// What cannot be read, in order of the offsets. A pack whose writer died has one, at its end.
    pub gaps: Vec<Gap>,
}

/// Reads the bytes of the pack that its place says is `id`.
///
/// A sealed pack's records come from its footer; one without is walked, and after a damaged header
/// the walk goes on at the next header in good order, so one bad byte costs one record. Never fails:
/// bytes that are no pack are one gap. Costs a look at each header, or at each byte of a gap.
pub fn scan(id: PackId, bytes: &[u8]) -> Scan {
    let len = bytes.len() as u64;
    let mut scan = Scan {
        header: None,
        records: Vec::new(),
        sealed: false,
        end: PackHeader::LEN,
        gaps: vec![],
    };
    match PackHeader::decode(bytes) {
        Ok(header) if header.id == id => scan.header = Some(header),
        Ok(_) => scan.gap(0, PackHeader::LEN.min(len), PackFault::Rule("pack header")),
        Err(why @ PackFault::TooNew(_)) => {
            scan.gap(0, len, why);
            return scan;
        }
        Err(why) => scan.gap(0, PackHeader::LEN.min(len), why),
    }
    match decode_footer(id, 0, bytes) {
        Ok((end, records)) => {
            scan.check_headers(id, bytes, &records);
            (scan.sealed, scan.end, scan.records) = (true, end, records);
        }
        Err(why) => scan.walk(id, bytes, why),
    }
    scan
}

impl Scan {
    fn gap(&mut self, start: u64, end: u64, why: PackFault) {
        self.gaps.push(Gap { start, end, why });
    }

    /// Notes the headers that do not say what the footer says of them.
    fn check_headers(&mut self, id: PackId, bytes: &[u8], records: &[Record]) {
        for record in records {
            let why = match RecordHeader::decode(tail(bytes, record.offset), id, record.offset) {
                Ok(header) if header == record.header => continue,
                Ok(_) => PackFault::Rule("record header"),
                Err(why) => why,
            };
            self.gap(record.offset, record.offset + RecordHeader::LEN, why);
        }
    }

    /// Walks the records of a pack whose footer is missing or damaged.
    fn walk(&mut self, id: PackId, bytes: &[u8], footer_fault: PackFault) {
        let len = bytes.len() as u64;
        let mut offset = PackHeader::LEN;
        while offset < len {
            let why = match record_at(id, bytes, offset) {
                Ok(record) => {
                    offset = record.end();
                    self.end = offset;
                    self.records.push(record);
                    continue;
                }
                Err(why) => why,
            };
            if tail(bytes, offset).starts_with(&footer::MAGIC) {
                self.gap(offset, len, footer_fault);
                return;
            }
            let next = next_record(id, bytes, offset);
            self.gap(offset, next.unwrap_or(len), why);
            offset = next.unwrap_or(len);
        }
    }
}

/// Reads the record at `offset`, whole.
fn record_at(id: PackId, bytes: &[u8], offset: u64) -> Result<Record, PackFault> {
    let header = RecordHeader::decode(tail(bytes, offset), id, offset)?;
    let record = Record { offset, header };
    if record.end() > bytes.len() as u64 { Err(PackFault::Torn("record")) } else { Ok(record) }
}

/// Finds the first record in good order past `offset`.
fn next_record(id: PackId, bytes: &[u8], offset: u64) -> Option<u64> {
    let start = offset + 1;
    let found = tail(bytes, start).windows(record::MAGIC.len()).enumerate().find(|(at, window)| {
        **window == record::MAGIC && record_at(id, bytes, start + *at as u64).is_ok()
    });
    found.map(|(at, _)| start + at as u64)
}

/// The bytes from `offset` on; none past the end.
fn tail(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;
    use crate::pack::{Class, RecordKind, encode_footer};

    const ID: PackId = PackId([9; 16]);

    /// A pack of `count` raw chunks, and its records; payload `n` is `n + 1` times the byte `n`.
    fn pack(count: u8) -> (Vec<u8>, Vec<Record>) {
        let mut bytes = PackHeader { id: ID, class: Class::Data, order: 1 }.encode();
        let mut records = Vec::new();
        for n in 0..count {
            let (offset, raw) = (bytes.len() as u64, vec![n; usize::from(n) + 1]);
            let (raw_len, id) = (u32::from(n) + 1, *blake3::hash(&raw).as_bytes());
            let (kind, encoding) = (RecordKind::Chunk, Encoding::Raw);
            let header = RecordHeader { kind, encoding, raw_len, stored_len: raw_len, id };
            bytes.extend(header.encode(ID, offset));
            bytes.extend(raw);
            records.push(Record { offset, header });
        }
        (bytes, records)
    }

    #[test]
    fn a_pack_reads_the_same_sealed_or_not() {
        let (mut bytes, records) = pack(5);
        let open = scan(ID, &bytes);
        assert_eq!((&open.records, open.sealed, &open.gaps), (&records, false, &vec![]));
        assert_eq!(open.end, bytes.len() as u64);
        bytes.extend(encode_footer(ID, open.end, &records));
        let sealed = scan(ID, &bytes);
        assert_eq!(sealed, Scan { sealed: true, ..open });
    }

    #[test]
    fn a_pack_torn_anywhere_keeps_every_whole_record() {
        let (bytes, records) = pack(4);
        for len in 0..bytes.len() {
            let torn = scan(ID, &bytes[..len]);
            let whole = records.iter().take_while(|record| record.end() <= len as u64).count();
            assert_eq!(torn.records, records[..whole], "cut at {len}");
            let clean = len as u64 == torn.end;
            assert_eq!(torn.gaps.is_empty(), clean, "cut at {len}");
        }
    }

    #[test]
    fn one_damaged_header_costs_one_record() {
        let (mut bytes, mut records) = pack(4);
        let lost = records.remove(1);
        bytes[usize::try_from(lost.offset).unwrap() + 20] ^= 1;
        let found = scan(ID, &bytes);
        assert_eq!(found.records, records);
        let why = PackFault::Checksum("record header");
        assert_eq!(found.gaps, [Gap { start: lost.offset, end: lost.end(), why }]);
    }

    #[test]
    fn a_footer_makes_up_for_a_damaged_header() {
        let (mut bytes, records) = pack(4);
        bytes.extend(encode_footer(ID, bytes.len() as u64, &records));
        bytes[usize::try_from(records[1].offset).unwrap() + 20] ^= 1;
        let found = scan(ID, &bytes);
        assert_eq!(found.records, records);
        assert_eq!(found.gaps.len(), 1);
    }

    #[test]
    fn headers_make_up_for_a_damaged_footer() {
        let (mut bytes, records) = pack(4);
        let end = bytes.len();
        bytes.extend(encode_footer(ID, end as u64, &records));
        for at in end..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let found = scan(ID, &bytes);
            assert_eq!((found.records, found.sealed), (records.clone(), false), "byte {at}");
            assert_eq!(found.gaps.len(), 1, "byte {at}");
        }
    }

    #[test]
    fn a_pack_inside_a_chunk_is_not_read_as_records() {
        let (inner, _) = pack(3);
        let mut bytes = PackHeader { id: ID, class: Class::Data, order: 1 }.encode();
        let raw_len = u32::try_from(inner.len()).unwrap();
        let (kind, encoding, id) = (RecordKind::Chunk, Encoding::Raw, [0; 32]);
        let header = RecordHeader { kind, encoding, raw_len, stored_len: raw_len, id };
        let mut broken = header.encode(ID, PackHeader::LEN);
        broken[10] ^= 1;
        bytes.extend(broken);
        bytes.extend(inner);
        assert_eq!(scan(ID, &bytes).records, []);
    }
}
