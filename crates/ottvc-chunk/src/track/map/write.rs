//! Writing a map: which of the bytes between two runs can be told, and which are kept.
//!
//! Nobody says what the bytes between runs are; it is read from them, and a wrong guess only keeps
//! bytes that could have been told. The map does not depend on the pieces in which gaps and runs come.

use super::MAX_RUN;
use super::op::{Kind, NULL, Op, Run};
use super::packets::{Packets, flags};
use crate::track::{Container, MAX_STREAMS};

/// A packet's length without what some containers add.
const PACKET: usize = 188;

/// Writes the map of a file, from its beginning to its end.
///
/// Operations are held back until they are sure to have ended, at most twice [`MAX_RUN`] and a gap.
#[derive(Debug)]
pub struct MapWriter {
    /// Bytes between packets, and where one begins: zero for files without packets.
    packet: u64,
    phase: u64,
    packets: Packets,
    /// Bytes of the file before `gap`.
    at: u64,
    /// Bytes that no operation is for yet, and the run after them.
    gap: Vec<u8>,
    run: Option<(u8, u32)>,
    held: Option<Held>,
}

/// An operation that may be repeated.
#[derive(Debug)]
struct Held {
    op: Op,
    again: u64,
    /// Bytes of the file that all of it makes.
    total: u64,
}

impl MapWriter {
    /// Starts the map of a file of this kind.
    pub fn new(container: Container) -> Self {
        let packet = match container {
            Container::Ts { packet } => u64::from(packet),
            _ => 0,
        };
        let phase = packet.saturating_sub(PACKET as u64);
        let packets = Packets::default();
        Self { packet, phase, packets, at: 0, gap: Vec::new(), run: None, held: None }
    }

    /// Adds `bytes` that are in no stream. Appends to `ops`, and to `glue` what of it cannot be told.
    pub fn gap(&mut self, mut bytes: &[u8], ops: &mut Vec<u8>, glue: &mut Vec<u8>) {
        if !bytes.is_empty() && self.run.is_some() {
            self.close(ops, glue);
        }
        while !bytes.is_empty() {
            let room = (MAX_RUN as usize).saturating_sub(self.gap.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.gap.extend_from_slice(now);
            bytes = later;
            if self.gap.len() == MAX_RUN as usize {
                self.close(ops, glue);
            }
        }
    }

    /// Adds `len` bytes of `stream`, an index below [`MAX_STREAMS`]. Appends as [`MapWriter::gap`] does.
    pub fn run(&mut self, stream: u16, mut len: u64, ops: &mut Vec<u8>, glue: &mut Vec<u8>) {
        debug_assert!(usize::from(stream) < MAX_STREAMS, "checked by the caller");
        let stream = u8::try_from(stream).unwrap_or(u8::MAX);
        while len > 0 {
            let before = match self.run {
                Some((same, before)) if same == stream && before < MAX_RUN => before,
                Some(_) => {
                    self.close(ops, glue);
                    0
                }
                None => 0,
            };
            let now = u32::try_from(len).unwrap_or(u32::MAX).min(MAX_RUN - before);
            self.run = Some((stream, before + now));
            len -= u64::from(now);
        }
    }

    /// Ends the map: no operation is held back any longer.
    pub fn finish(&mut self, ops: &mut Vec<u8>, glue: &mut Vec<u8>) {
        self.close(ops, glue);
        self.flush(ops);
    }

    /// Writes what makes the gap at hand and the run after it.
    fn close(&mut self, ops: &mut Vec<u8>, glue: &mut Vec<u8>) {
        let gap = std::mem::take(&mut self.gap);
        let (stream, len) = self.run.take().unwrap_or_default();
        self.at = self.at.saturating_add(gap.len() as u64);
        if self.packet > 0 {
            self.close_packets(&gap, stream, len, ops, glue);
        } else if len == 0 {
            self.emit(Kind::Plain, stream, &gap, len, ops, glue);
        } else {
            let be = len.to_be_bytes();
            let (kind, made) = match *gap {
                [.., a, b, c, d] if [a, b, c, d] == be => (Kind::Length(4), 4),
                // Shorter lengths only where there is nothing else, lest chance make operations differ.
                [a, b] if [0, 0, a, b] == be => (Kind::Length(2), 2),
                [a] if [0, 0, 0, a] == be => (Kind::Length(1), 1),
                _ => start_code(&gap),
            };
            let kept = gap.get(..gap.len() - made).unwrap_or_default();
            self.emit(kind, stream, kept, len, ops, glue);
        }
        self.at = self.at.saturating_add(u64::from(len));
        // Its memory is used again.
        self.gap = gap;
        self.gap.clear();
    }

    /// The same in a transport stream, where the gap may hold whole packets and the header of the one
    /// that the run lies in.
    fn close_packets(
        &mut self,
        gap: &[u8],
        stream: u8,
        len: u32,
        ops: &mut Vec<u8>,
        glue: &mut Vec<u8>,
    ) {
        let mut kept = gap;
        let mut header = self.header(kept);
        if header.is_none()
            && let [.., 0x47, a, b, c] = *kept
            && self.packets.next(stream, false, false).is_none_or(|next| next == [a, b, c])
        {
            // Packets begin elsewhere than they did: something was lost or put in.
            self.phase = self.at.saturating_sub(4) % self.packet;
            header = self.header(kept);
        }
        if let Some(start) = header {
            let (before, packet) = kept.split_at(start);
            let end = self.at.saturating_sub(packet.len() as u64);
            let before = self.nulls(before, end, ops, glue);
            if let [0x47, a, b, c, after @ ..] = packet
                && len > 0
                && let Some(kind) = self.told(stream, [*a, *b, *c])
            {
                if after.is_empty() {
                    return self.emit(kind, stream, before, len, ops, glue);
                }
                let room = after.len() as u64 + u64::from(len) == (PACKET - 4) as u64;
                if kind == (Kind::Next { start: false, field: true }) && room && is_stuffing(after)
                {
                    return self.emit(Kind::Stuffed, stream, before, len, ops, glue);
                }
                self.emit(kind, stream, before, 0, ops, glue);
                kept = after;
            } else {
                kept = kept.get(start - before.len()..).unwrap_or_default();
            }
        }
        kept = self.nulls(kept, self.at, ops, glue);
        let (kind, made) = if len > 0 { start_code(kept) } else { (Kind::Plain, 0) };
        let kept = kept.get(..kept.len() - made).unwrap_or_default();
        self.emit(kind, stream, kept, len, ops, glue);
    }

    /// Where in `gap`, which ends at [`Self::at`], the packet begins that the byte after it lies in.
    fn header(&self, gap: &[u8]) -> Option<usize> {
        let into = self.at.checked_sub(self.phase)? % self.packet;
        let start = gap.len().checked_sub(usize::try_from(into).ok()?)?;
        (into >= 4 && gap.get(start) == Some(&0x47)).then_some(start)
    }

    /// How a header of `stream` is told, if at all.
    fn told(&self, stream: u8, header: [u8; 3]) -> Option<Kind> {
        let (start, field) = flags(header);
        if self.packets.next(stream, start, field) == Some(header) {
            return Some(Kind::Next { start, field });
        }
        let has_payload = header.last().is_some_and(|last| last & 0x10 != 0);
        let room = self.packets.headers.len() < MAX_STREAMS;
        (has_payload && room).then_some(Kind::Header(header))
    }

    /// Writes the null packets in `gap`, which ends at byte `end` of the file, with what is before
    /// each, and returns what is after them.
    fn nulls<'g>(
        &mut self,
        gap: &'g [u8],
        end: u64,
        ops: &mut Vec<u8>,
        glue: &mut Vec<u8>,
    ) -> &'g [u8] {
        let start = end.saturating_sub(gap.len() as u64);
        let first = (self.phase + self.packet - start % self.packet) % self.packet;
        let (Ok(mut at), Ok(step)) = (usize::try_from(first), usize::try_from(self.packet)) else {
            return gap;
        };
        let mut done = 0;
        while let Some(packet) = gap.get(at..).and_then(<[u8]>::first_chunk::<PACKET>) {
            if let Some((head, body)) = packet.split_first_chunk()
                && *head == NULL
                && body.iter().all(|byte| *byte == 0xff)
            {
                let before = gap.get(done..at).unwrap_or_default();
                self.emit(Kind::Null, 0, before, 0, ops, glue);
                done = at + PACKET;
            }
            at += step;
        }
        gap.get(done..).unwrap_or_default()
    }

    /// Writes one operation, whose run is of `len` bytes; none if it would make nothing.
    fn emit(
        &mut self,
        kind: Kind,
        stream: u8,
        literal: &[u8],
        len: u32,
        ops: &mut Vec<u8>,
        glue: &mut Vec<u8>,
    ) {
        glue.extend_from_slice(literal);
        let literal = u32::try_from(literal.len()).unwrap_or(u32::MAX);
        let run = if len > 0 { Run::Of(len) } else { Run::None };
        let mut op = Op { kind, stream, literal, run };
        let left = self.packets.left;
        let rest = Op { run: Run::Rest, ..op };
        if self.packet > 0 && len > 0 && rest.shape(left).is_ok_and(|shape| shape.run == len) {
            op = rest;
        }
        let Ok(shape) = op.shape(left) else { return };
        // It was chosen by the same state.
        let made = op.make(shape, &mut self.packets);
        debug_assert!(made.is_ok(), "{op:?}: {made:?}");
        match &mut self.held {
            Some(held) if held.op == op && held.total + shape.total() <= u64::from(MAX_RUN) => {
                held.again += 1;
                held.total += shape.total();
            }
            _ => {
                self.flush(ops);
                self.held = Some(Held { op, again: 0, total: shape.total() });
            }
        }
    }

    /// Writes the operation held back.
    fn flush(&mut self, ops: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            held.op.put(ops);
            if held.again > 0 {
                Op::put_again(ops, held.again);
            }
        }
    }
}

/// The start code at the end of `gap`, and its length.
fn start_code(gap: &[u8]) -> (Kind, usize) {
    match gap {
        [.., 0, 0, 0, 1] => (Kind::Start(4), 4),
        [.., 0, 0, 1] => (Kind::Start(3), 3),
        _ => (Kind::Plain, 0),
    }
}

/// Whether `field` is an adaptation field of nothing but stuffing.
fn is_stuffing(field: &[u8]) -> bool {
    let Some((len, rest)) = field.split_first() else { return false };
    let padding = rest.get(1..).unwrap_or_default();
    usize::from(*len) == rest.len()
        && rest.first().is_none_or(|flags| *flags == 0)
        && padding.iter().all(|byte| *byte == 0xff)
}
