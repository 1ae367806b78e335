//! Tables that name the PIDs: the program association table and the program maps.
//!
//! # Reference
//! ISO/IEC 13818-1, 2.4.4.

use super::kind::Kind;
use super::packet::Packet;

/// The most bytes of a section of these tables, header and checksum included.
const MOST: usize = 1024;

/// What a section says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// PIDs of the program maps.
    Programs(Vec<u16>),
    /// PIDs of one program, and what is on each.
    Program(Vec<(u16, Kind)>),
}

/// Puts the sections of one PID together, and reads those that say something new.
#[derive(Debug, Default)]
pub(super) struct Sections {
    bytes: Vec<u8>,
    /// Checksum of the last table read, so that one repeated is passed over.
    last: Option<[u8; 4]>,
}

impl Sections {
    /// Takes the next packet and returns the tables that end in it.
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> Vec<Table> {
        let mut tables = Vec::new();
        let mut payload = packet.payload;
        if packet.starts {
            let Some((pointer, rest)) = payload.split_first() else { return tables };
            let Some((old, new)) = rest.split_at_checked(usize::from(*pointer)) else {
                self.bytes.clear();
                return tables;
            };
            self.go_on(old, &mut tables);
            self.bytes.clear();
            self.bytes.extend_from_slice(new);
            payload = &[];
        }
        self.go_on(payload, &mut tables);
        tables
    }

    /// Adds bytes to a section begun; without one, it is not known where they belong.
    fn go_on(&mut self, bytes: &[u8], tables: &mut Vec<Table>) {
        if self.bytes.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        let mut rest = self.bytes.as_slice();
        while let [_, high, low, ..] = rest {
            let len = 3 + usize::from(u16::from_be_bytes([high & 0x0f, *low]));
            // Stuffing of 0xff claims to be long too.
            if len > MOST {
                rest = &[];
                break;
            }
            let Some((section, next)) = rest.split_at_checked(len) else { break };
            let sum = section.last_chunk().copied();
            if self.last != sum && crc(section) == 0 {
                self.last = sum;
                tables.extend(read(section));
            }
            rest = next;
        }
        let done = self.bytes.len() - rest.len();
        self.bytes.drain(..done);
    }
}

/// Reads a whole section; `None` if it is another table, not yet valid, or not well formed.
fn read(section: &[u8]) -> Option<Table> {
    let (header, rest) = section.split_at_checked(8)?;
    let body = rest.get(..rest.len().checked_sub(4)?)?;
    // Current, not next.
    if header.get(5)? & 1 == 0 {
        return None;
    }
    match header.first()? {
        0 => Some(Table::Programs(programs(body))),
        2 => Some(Table::Program(program(body)?)),
        _ => None,
    }
}

fn programs(body: &[u8]) -> Vec<u16> {
    let entries = body.as_chunks::<4>().0.iter();
    // Program 0 is the network information table.
    let programs = entries.filter(|[high, low, ..]| (*high, *low) != (0, 0));
    programs.map(|[_, _, high, low]| u16::from_be_bytes([high & 0x1f, *low])).collect()
}

fn program(body: &[u8]) -> Option<Vec<(u16, Kind)>> {
    let [_, _, high, low, rest @ ..] = body else { return None };
    let (of_program, mut rest) = descriptors(rest, [*high, *low])?;
    let mut pids = Vec::new();
    while let [kind, high, low, len_high, len_low, more @ ..] = rest {
        let pid = u16::from_be_bytes([high & 0x1f, *low]);
        let (own, next) = descriptors(more, [*len_high, *len_low])?;
        pids.push((pid, Kind::of(*kind, of_program, own)));
        rest = next;
    }
    Some(pids)
}

/// Splits off as many bytes as the low 12 bits of `len` say.
fn descriptors(bytes: &[u8], [high, low]: [u8; 2]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(usize::from(u16::from_be_bytes([high & 0x0f, low])))
}

/// CRC-32 of MPEG, by nibbles; 0 for a section with a right one at its end.
fn crc(bytes: &[u8]) -> u32 {
    const NIBBLES: [u32; 16] = [
        0x0000_0000,
        0x04c1_1db7,
        0x0982_3b6e,
        0x0d43_26d9,
        0x1304_76dc,
        0x17c5_6b6b,
        0x1a86_4db2,
        0x1e47_5005,
        0x2608_edb8,
        0x22c9_f00f,
        0x2f8a_d6d6,
        0x2b4b_cb61,
        0x350c_9b64,
        0x31cd_86d3,
        0x3c8e_a00a,
        0x384f_bdbd,
    ];
    bytes.iter().fold(u32::MAX, |crc, byte| {
        [byte >> 4, byte & 15].iter().fold(crc, |crc, nibble| {
            let at = usize::from(crc.to_be_bytes()[0] >> 4 ^ nibble);
            crc << 4 ^ NIBBLES.get(at).copied().unwrap_or_default()
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A section of table `id` with length and checksum.
    pub(crate) fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let len = u8::try_from(5 + body.len() + 4).unwrap();
        let mut bytes = vec![id, 0xb0, len, 0, 1, 0xc1, 0, 0];
        bytes.extend(body);
        let sum = crc(&bytes);
        bytes.extend(sum.to_be_bytes());
        bytes
    }

    fn packet(starts: bool, payload: &[u8]) -> Packet<'_> {
        Packet { pid: 0, starts, counter: 0, payload, tail: [0; 8] }
    }

    #[test]
    fn the_checksum_is_that_of_mpeg() {
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn sections_are_put_together_and_read_once() {
        let body = [0, 0, 0xe0, 0x10, 0, 1, 0xf0, 0x00, 0, 2, 0xe1, 0x23];
        let section = section(0, &body);
        let expected = || vec![Table::Programs(vec![0x1000, 0x123])];
        let mut whole = vec![0];
        whole.extend(&section);
        whole.extend([0xff; 100]);
        let mut sections = Sections::default();
        assert_eq!(sections.take(&packet(true, &whole)), expected());
        assert_eq!(sections.take(&packet(true, &whole)), []);
        for cut in 2..section.len() {
            let mut sections = Sections::default();
            assert_eq!(sections.take(&packet(false, &section)), [], "never begun");
            assert_eq!(sections.take(&packet(true, &whole[..cut])), []);
            assert_eq!(sections.take(&packet(false, &whole[cut..])), expected(), "cut {cut}");
            // The rest may come before a pointer too.
            let mut sections = Sections::default();
            let mut rest = vec![u8::try_from(section.len() + 1 - cut).unwrap()];
            rest.extend(&whole[cut..]);
            assert_eq!(sections.take(&packet(true, &whole[..cut])), []);
            assert_eq!(sections.take(&packet(true, &rest)), expected(), "cut {cut}");
        }
        whole[6] ^= 1;
        assert_eq!(Sections::default().take(&packet(true, &whole)), [], "a wrong checksum");
        assert_eq!(Sections::default().take(&packet(true, &[200, 1, 2])), []);
    }
}
