//! One PID with a track on it: packets in order, PES packets out of them, and who reads those.

use crate::track::{Extent, MAX_STREAMS, Role, Stream, Unit, Units};

use super::frames::Frames;
use super::kind::{Form, Kind};
use super::nals::Nals;
use super::packet::{Ahead, Packet};
use super::pes::{self, Clock, Head};
use super::piece::Piece;
use super::sequences::Sequences;

/// Ticks of time stamps a second.
const RATE: (u32, u32) = (90_000, 1);

/// A PID with a track on it.
#[derive(Debug)]
pub(super) struct Pid {
    kind: Kind,
    /// Counter and tail of the last packet.
    last: Option<(u8, [u8; 8])>,
    pes: Pes,
    /// Last time stamp.
    time: i64,
    reader: Reader,
}

/// Where in a PES packet a PID is.
#[derive(Debug)]
enum Pes {
    /// In none that could be read.
    Outside,
    /// In the header, of which so many bytes were seen.
    Header([u8; pes::MOST], usize),
    /// In the rest of the header, of this length, and what comes after it, of that if it is known.
    Body(usize, Option<usize>),
}

/// Who reads what PES packets hold.
#[derive(Debug)]
enum Reader {
    Nals(Nals),
    Sequences(Sequences),
    Frames(Frames),
    /// Nobody: all goes to a stream, perhaps as units.
    Whole {
        stream: u16,
        timed: bool,
        unit: Option<Unit>,
    },
    /// All payload goes to a stream; there are no PES packets.
    Sections {
        stream: u16,
    },
}

impl Pid {
    /// Begins a track with its first packet, and adds its streams; `None` if there are too many.
    pub(super) fn begin(
        kind: Kind,
        packet: &Packet<'_>,
        streams: &mut Vec<Stream>,
    ) -> Option<Self> {
        if streams.len() + 2 > MAX_STREAMS {
            return None;
        }
        let stream = u16::try_from(streams.len()).ok()?;
        let body = match pes::read(packet.payload) {
            Head::Whole(header) => packet.payload.get(header.len..).unwrap_or_default(),
            Head::Partial | Head::Bad => &[],
        };
        let Kind { role, form, codec, language } = kind.clone().seen(body);
        let units = match form {
            Form::Untimed | Form::Sections => Units::Raw,
            _ => Units::Marked,
        };
        let pictures = Stream { role, units, codec, language, rate: RATE };
        if let Form::Nals(_) = form {
            let side = Stream { role: Role::Side, ..pictures.clone() };
            streams.extend([pictures, side]);
        } else {
            streams.push(pictures);
        }
        let reader = match form {
            Form::Nals(codec) => Reader::Nals(Nals::new(codec, stream, stream + 1)),
            Form::Sequences => Reader::Sequences(Sequences::new(stream)),
            Form::Frames(sound) => Reader::Frames(Frames::new(sound, stream)),
            Form::Timed | Form::Unknown => Reader::Whole { stream, timed: true, unit: None },
            Form::Untimed => Reader::Whole { stream, timed: false, unit: None },
            Form::Sections => Reader::Sections { stream },
        };
        Some(Self { kind, last: None, pes: Pes::Outside, time: 0, reader })
    }

    /// What is on it.
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Takes the next packet, whose payload lies at `at` in the file.
    pub(super) fn take<'a>(
        &mut self,
        packet: &Packet<'a>,
        at: u64,
        ahead: Ahead<'a>,
        clock: &mut Clock,
        out: &mut Vec<Extent>,
    ) {
        let this = (packet.counter, packet.tail);
        match self.last.replace(this) {
            // The same packet twice.
            Some(last) if last == this => return,
            Some((counter, _)) if (counter + 1) & 15 == packet.counter => {}
            _ => self.lose(),
        }
        let mut piece = Piece { bytes: packet.payload, at, ahead };
        if let Reader::Sections { stream } = self.reader {
            return piece.give(0..piece.bytes.len(), stream, &mut None, out);
        }
        if packet.starts {
            self.pes = Pes::Header([0; pes::MOST], 0);
        }
        if let Pes::Header(..) = self.pes {
            self.header(piece.bytes, clock);
        }
        let Pes::Body(header, body) = &mut self.pes else { return };
        let skipped = (*header).min(piece.bytes.len());
        *header -= skipped;
        piece.at += skipped as u64;
        piece.bytes = piece.bytes.get(skipped..).unwrap_or_default();
        match &mut self.reader {
            Reader::Nals(nals) => nals.take(&mut piece, self.time, out),
            Reader::Sequences(sequences) => sequences.take(&mut piece, self.time, out),
            Reader::Frames(frames) => frames.take(&mut piece, out),
            // These alone trust the length: the others have marks of their own in what they read.
            Reader::Whole { stream, unit, .. } => {
                let len = body.unwrap_or(usize::MAX).min(piece.bytes.len());
                *body = body.map(|body| body - len);
                piece.give(0..len, *stream, unit, out);
            }
            Reader::Sections { .. } => {}
        }
    }

    /// Packets are missing before the one that comes next.
    fn lose(&mut self) {
        match &mut self.pes {
            Pes::Header(..) => self.pes = Pes::Outside,
            Pes::Body(header, body) => (*header, *body) = (0, None),
            Pes::Outside => {}
        }
        match &mut self.reader {
            Reader::Nals(nals) => nals.lose(),
            Reader::Frames(frames) => frames.lose(),
            Reader::Sequences(_) | Reader::Whole { .. } | Reader::Sections { .. } => {}
        }
    }

    /// Reads on in a header; once it is whole, the body begins with as many bytes as are left of it.
    fn header(&mut self, bytes: &[u8], clock: &mut Clock) {
        let Pes::Header(head, seen) = &mut self.pes else { return };
        let had = *seen;
        for (to, byte) in head.iter_mut().skip(had).zip(bytes) {
            *to = *byte;
            *seen += 1;
        }
        match pes::read(head.get(..*seen).unwrap_or_default()) {
            Head::Whole(header) => {
                self.pes = Pes::Body(header.len.saturating_sub(had), header.body);
                if let Some(stamp) = header.time {
                    self.time = clock.unwrap(stamp);
                }
                match &mut self.reader {
                    Reader::Frames(frames) if header.time.is_some() => frames.stamp(self.time),
                    Reader::Whole { timed: true, unit, .. } => {
                        *unit = Some(Unit { time: self.time });
                    }
                    _ => {}
                }
            }
            Head::Partial => {}
            Head::Bad => self.pes = Pes::Outside,
        }
    }
}
