//! Packets: where they lie in a file, what each carries, and what its PID goes on with.

use super::pes;

/// Bytes of a packet itself.
pub(super) const LEN: usize = 188;
/// The most packets looked through for what a PID goes on with.
pub(super) const LOOK: usize = 512;
/// The most bytes a PID is looked ahead by.
pub(super) const PEEK: usize = 24;

/// The first byte of every packet.
const SYNC: u8 = 0x47;
/// How many packets in a row make a transport stream, if the file has as many.
const SURE: usize = 8;
/// The fewest packets that do.
const FEWEST: usize = 3;

/// How packets lie in a file: one after the other, each after `lead` bytes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes from one packet to the next: 188, or 192 with a time of arrival before each.
    pub(super) size: usize,
    lead: usize,
}

impl Layout {
    /// How many bytes of a file tell the layout, if there are as many.
    pub(super) const SNIFFED: usize = 192 * (SURE + 1);

    /// Finds the layout from the first bytes of a file; it may begin within a packet.
    pub(super) fn sniff(start: &[u8]) -> Option<Self> {
        let layouts = [LEN, LEN + 4].map(|size| Self { size, lead: size - LEN });
        let aligned = |layout: &Self| {
            let packets = (start.len() / layout.size).min(SURE);
            packets >= FEWEST && (0..packets).all(|nth| layout.is_sync(start, nth * layout.size))
        };
        let inside = |layout: &Self| {
            let mut firsts = 0..layout.size;
            firsts
                .any(|first| (0..SURE).all(|nth| layout.is_sync(start, first + nth * layout.size)))
        };
        layouts.into_iter().find(aligned).or_else(|| layouts.into_iter().find(inside))
    }

    /// Whether a packet may lie at `at`.
    pub(super) fn is_sync(self, bytes: &[u8], at: usize) -> bool {
        bytes.get(at + self.lead) == Some(&SYNC)
    }

    /// Whether packets lie at `at` and, as far as there are bytes, after it.
    pub(super) fn is_run(self, bytes: &[u8], at: usize) -> bool {
        let mut ats = (0..FEWEST).map(|nth| at + nth * self.size);
        ats.all(|at| at >= bytes.len() || self.is_sync(bytes, at))
    }

    /// Returns the first place after `at` where a packet may lie; the end of `bytes` if there is none.
    pub(super) fn next_sync(self, bytes: &[u8], at: usize) -> usize {
        let rest = bytes.get(at + self.lead + 1..).unwrap_or_default();
        memchr::memchr(SYNC, rest).map_or(bytes.len(), |found| at + 1 + found)
    }

    /// Returns the packet that lies at `at`, without what leads it.
    pub(super) fn packet(self, bytes: &[u8], at: usize) -> Option<&[u8; LEN]> {
        bytes.get(at + self.lead..)?.first_chunk()
    }
}

/// A packet with something in it that can be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// Whose it is, 13 bits.
    pub(super) pid: u16,
    /// Whether a PES packet or a section begins in it.
    pub(super) starts: bool,
    /// Its continuity counter, 4 bits.
    pub(super) counter: u8,
    /// What it carries, at least one byte and up to its end.
    pub(super) payload: &'a [u8],
    /// Its last bytes, by which it is known again.
    pub(super) tail: [u8; 8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` if it is damaged, scrambled or carries nothing.
    ///
    /// # Reference
    /// ISO/IEC 13818-1, 2.4.3.2 and 2.4.3.4.
    pub(super) fn read(bytes: &'a [u8; LEN]) -> Option<Self> {
        let [sync, flags, low, control, rest @ ..] = bytes;
        // Transport error; scrambling; payload.
        if *sync != SYNC || flags & 0x80 != 0 || control & 0xd0 != 0x10 {
            return None;
        }
        let adaptation = if control & 0x20 == 0 { 0 } else { usize::from(rest[0]) + 1 };
        let payload = rest.get(adaptation..).filter(|payload| !payload.is_empty())?;
        Some(Self {
            pid: u16::from_be_bytes([flags & 0x1f, *low]),
            starts: flags & 0x40 != 0,
            counter: control & 0x0f,
            payload,
            tail: bytes.last_chunk().copied().unwrap_or_default(),
        })
    }
}

/// What a PID goes on with after a packet; looked up only if it is asked for.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    layout: Layout,
    after: &'a [u8],
    pid: u16,
    counter: u8,
    found: Option<usize>,
    bytes: [u8; PEEK],
}

impl<'a> Ahead<'a> {
    /// Looks on in `after`, what follows `packet` in the file.
    pub(super) fn new(layout: Layout, after: &'a [u8], packet: &Packet<'_>) -> Self {
        let Packet { pid, counter, .. } = *packet;
        Self { layout, after, pid, counter, found: None, bytes: [0; PEEK] }
    }

    /// The next bytes of the PID, without PES headers: [`PEEK`], or as many as can be found.
    pub(super) fn bytes(&mut self) -> &[u8] {
        let found = match self.found {
            Some(found) => found,
            None => self.look(),
        };
        self.found = Some(found);
        self.bytes.get(..found).unwrap_or_default()
    }

    fn look(&mut self) -> usize {
        let [high, low] = self.pid.to_be_bytes();
        let mut filled = 0;
        for slot in self.after.chunks_exact(self.layout.size).take(LOOK) {
            let Some(bytes) = slot.last_chunk::<LEN>() else { break };
            if bytes[0] != SYNC {
                break;
            }
            if bytes[2] != low || bytes[1] & 0x1f != high {
                continue;
            }
            // One that comes twice counts once.
            let Some(packet) = Packet::read(bytes).filter(|next| next.counter != self.counter)
            else {
                continue;
            };
            self.counter = packet.counter;
            let mut body = packet.payload;
            if packet.starts {
                let pes::Head::Whole(header) = pes::read(body) else { break };
                body = body.get(header.len..).unwrap_or_default();
            }
            let room = self.bytes.get_mut(filled..).unwrap_or_default();
            let len = room.len().min(body.len());
            for (to, from) in room.iter_mut().zip(body) {
                *to = *from;
            }
            filled += len;
            if filled == PEEK {
                break;
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: usize, packets: usize) -> Vec<u8> {
        let mut packet = vec![0; size];
        packet[size - LEN] = SYNC;
        packet.repeat(packets)
    }

    #[test]
    fn layouts_are_told_apart() {
        let sniff = |bytes: &[u8]| Layout::sniff(bytes).map(|layout| layout.size);
        assert_eq!(sniff(&file(188, 3)), Some(188));
        assert_eq!(sniff(&file(192, 9)), Some(192));
        assert_eq!(sniff(&file(188, 2)), None);
        assert_eq!(sniff(&file(188, 10)[100..]), Some(188));
        assert_eq!(sniff(&file(192, 10)[2..]), Some(192));
        assert_eq!(sniff(&file(190, 12)), None);
        assert_eq!(sniff(&[]), None);
    }

    #[test]
    fn a_packet_without_readable_payload_is_none() {
        let mut bytes = [0xff; LEN];
        bytes[..4].copy_from_slice(&[SYNC, 0x41, 0x00, 0x17]);
        let packet = Packet::read(&bytes).unwrap();
        assert_eq!((packet.pid, packet.starts, packet.counter), (0x100, true, 7));
        assert_eq!(packet.payload.len(), 184);
        for (at, byte) in [(1, 0xc1), (3, 0x57), (3, 0x97), (3, 0x27), (3, 0x07), (0, 0x46)] {
            let mut other = bytes;
            other[at] = byte;
            assert!(Packet::read(&other).is_none(), "byte {at} {byte:#x}");
        }
        // Adaptation fields of 7 bytes, of all, and of more than there are.
        for (len, left) in [(7, Some(176)), (182, Some(1)), (183, None), (200, None)] {
            (bytes[3], bytes[4]) = (0x37, len);
            assert_eq!(Packet::read(&bytes).map(|packet| packet.payload.len()), left);
        }
    }
}
