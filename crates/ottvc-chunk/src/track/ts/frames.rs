//! Sound whose frames say how long they are: AAC in ADTS, AC-3 and E-AC-3, MPEG layers I to III.
//!
//! What lies between frames is glue, the header that ADTS puts before a frame of AAC too: MP4 and Matroska
//! have none.

use crate::track::{Extent, Unit};

use super::packet::PEEK;
use super::piece::Piece;
use super::sound::{Frame, Sound};

/// Ticks of a time stamp a second.
const TICKS: u64 = 90_000;

/// Tells the frames of one PID apart.
#[derive(Debug)]
pub(super) struct Frames {
    sound: Sound,
    stream: u16,
    /// Bytes of a header still to come.
    header: usize,
    /// Bytes of a frame still to come after them.
    body: usize,
    unit: Option<Unit>,
    /// Time of the next frame that begins.
    stamp: Option<i64>,
    /// Time of the last frame that had a stamp, and samples since.
    since: (i64, u64),
}

impl Frames {
    /// Gives all frames to `stream`.
    pub(super) fn new(sound: Sound, stream: u16) -> Self {
        Self { sound, stream, header: 0, body: 0, unit: None, stamp: None, since: (0, 0) }
    }

    /// The next frame that begins is heard at `time`.
    pub(super) fn stamp(&mut self, time: i64) {
        self.stamp = Some(time);
    }

    /// Bytes are missing before those that come next.
    pub(super) fn lose(&mut self) {
        (self.header, self.body) = (0, 0);
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, piece: &mut Piece<'_>, out: &mut Vec<Extent>) {
        let bytes = piece.bytes;
        let mut at = 0;
        while at < bytes.len() {
            let header = self.header.min(bytes.len() - at);
            self.header -= header;
            at += header;
            let body = self.body.min(bytes.len() - at);
            self.body -= body;
            piece.give(at..at + body, self.stream, &mut self.unit, out);
            at += body;
            if at < bytes.len() {
                at += self.begin(piece, at);
            }
        }
    }

    /// Begins the frame at `at`, or returns how many bytes to pass to where one may be.
    fn begin(&mut self, piece: &mut Piece<'_>, at: usize) -> usize {
        let mut room = [0; PEEK];
        let Some(frame) = self.sound.frame(piece.peek(at, &mut room)) else {
            let rest = piece.bytes.get(at + 1..).unwrap_or_default();
            let next = rest.windows(2).position(|pair| self.sound.may_begin(pair));
            // The last byte may be the first of a frame.
            return 1 + next.unwrap_or(rest.len().saturating_sub(1));
        };
        (self.header, self.body) = (frame.header, frame.body);
        self.unit = frame.unit.then(|| Unit { time: self.time(frame) });
        0
    }

    /// Returns when `frame` is heard.
    fn time(&mut self, frame: Frame) -> i64 {
        if let Some(stamp) = self.stamp.take() {
            self.since = (stamp, 0);
        }
        let (stamp, samples) = self.since;
        self.since.1 = samples.saturating_add(u64::from(frame.samples));
        let ticks = samples.saturating_mul(TICKS) / u64::from(frame.rate.max(1));
        stamp.saturating_add_unsigned(ticks)
    }
}
