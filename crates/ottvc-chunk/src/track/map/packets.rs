//! What is known of the packets of a transport stream: the last header of each PID, and how much of
//! the packet at hand is left.

use crate::track::MAX_STREAMS;

/// Bytes of a packet after its header.
pub(super) const BODY: u8 = 184;

/// Bits of a header: payload unit start, in its first byte.
const START: u8 = 0x40;
/// An adaptation field is there, in its last byte.
const FIELD: u8 = 0x20;
/// A payload is there, in its last byte.
const PAYLOAD: u8 = 0x10;

/// A packet's header after its sync byte.
pub(super) type Header = [u8; 3];

/// Whether the header says that a payload unit starts, and that there is an adaptation field.
pub(super) fn flags([first, _, last]: Header) -> (bool, bool) {
    (first & START != 0, last & FIELD != 0)
}

/// The sync byte and the header after those of `packet`, its flags being the same.
pub(super) fn following([sync, first, second, last]: [u8; 4]) -> [u8; 4] {
    [sync, first, second, last & 0xf0 | last.wrapping_add(1) & 0x0f]
}

/// The state that headers are told from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packets {
    /// The last header of each PID, in the order they were met: at most [`MAX_STREAMS`].
    pub(super) headers: Vec<Header>,
    /// By stream, 1 + the index of its header; 0 without any.
    pub(super) of: Vec<u16>,
    /// Bytes left of the packet at hand.
    pub(super) left: u8,
}

impl Packets {
    /// The index of the header of `stream`.
    fn index(&self, stream: u8) -> Option<usize> {
        self.of.get(usize::from(stream)).copied().map(usize::from)?.checked_sub(1)
    }

    /// The header that comes next for `stream`, with these flags.
    pub(super) fn next(&self, stream: u8, start: bool, field: bool) -> Option<Header> {
        let [first, second, last] = *self.headers.get(self.index(stream)?)?;
        let first = first & !START | if start { START } else { 0 };
        let counter = last.wrapping_add(1) & 0x0f;
        let last = last & 0xc0 | PAYLOAD | if field { FIELD } else { 0 } | counter;
        Some([first, second, last])
    }

    /// Makes `header` the last of its PID, and that PID the one of `stream`; `false` if there are too
    /// many PIDs.
    pub(super) fn set(&mut self, stream: u8, header: Header) -> bool {
        let pid = |[first, second, _]: Header| (first & 0x1f, second);
        let index = match self.headers.iter().position(|known| pid(*known) == pid(header)) {
            Some(index) => index,
            None if self.headers.len() >= MAX_STREAMS => return false,
            None => {
                self.headers.push(header);
                self.headers.len() - 1
            }
        };
        if let Some(known) = self.headers.get_mut(index) {
            *known = header;
        }
        let stream = usize::from(stream);
        if self.of.len() <= stream {
            self.of.resize(stream + 1, 0);
        }
        if let Some(of) = self.of.get_mut(stream) {
            *of = u16::try_from(index + 1).unwrap_or_default();
        }
        true
    }

    /// Takes the next `count` headers of `stream`, all with these flags; returns the first.
    pub(super) fn advance_by(
        &mut self,
        stream: u8,
        start: bool,
        field: bool,
        count: u64,
    ) -> Option<Header> {
        let first = self.advance(stream, start, field)?;
        let index = self.index(stream)?;
        let [.., last] = self.headers.get_mut(index)?;
        // The counter is modulo 16.
        let more = u8::try_from(count.saturating_sub(1) & 0x0f).unwrap_or_default();
        *last = *last & 0xf0 | last.wrapping_add(more) & 0x0f;
        Some(first)
    }

    /// Takes the next header of `stream`.
    pub(super) fn advance(&mut self, stream: u8, start: bool, field: bool) -> Option<Header> {
        let header = self.next(stream, start, field)?;
        let index = self.index(stream)?;
        *self.headers.get_mut(index)? = header;
        Some(header)
    }
}
