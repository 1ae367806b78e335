//! Running a map.

use std::ops::Range;

use super::op::{Kind, Op, Shape};
use super::{Checkpoint, packets};
use crate::ChunkError;
use crate::track::MAX_STREAMS;

/// Up to six bytes that are told, not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    bytes: [u8; 6],
    range: (u8, u8),
}

impl Made {
    /// Takes up to six bytes.
    pub(super) fn new(from: &[u8]) -> Self {
        let mut bytes = [0; 6];
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Self { bytes, range: (0, u8::try_from(from.len()).unwrap_or_default()) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let (start, end) = self.range;
        self.bytes.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }
}

/// What comes next in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A run of the glue.
    Glue {
        /// Where it begins in the glue.
        start: u64,
        /// Its length in bytes.
        len: u32,
    },
    /// These bytes.
    Made(Made),
    /// Bytes `ff`.
    Padding {
        /// How many.
        len: u32,
    },
    /// A run of a stream.
    Stream {
        /// Index of the stream.
        stream: u16,
        /// Where it begins in the stream.
        start: u64,
        /// Its length in bytes.
        len: u32,
    },
}

impl Step {
    /// How many bytes of the file it is.
    pub fn len(&self) -> u64 {
        match self {
            Self::Glue { len, .. } | Self::Padding { len } | Self::Stream { len, .. } => {
                u64::from(*len)
            }
            Self::Made(made) => made.bytes().len() as u64,
        }
    }

    /// Whether it is no byte of the file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns it without `front` bytes at its front and all past `most`; both count from its start.
    fn clip(self, front: u64, most: u64) -> Self {
        let most = most.min(self.len());
        let front = front.min(most);
        let short = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let len = short(most - front);
        match self {
            Self::Glue { start, .. } => Self::Glue { start: start + front, len },
            Self::Stream { stream, start, .. } => {
                Self::Stream { stream, start: start + front, len }
            }
            Self::Padding { .. } => Self::Padding { len },
            Self::Made(Made { bytes, range: (start, _) }) => {
                let at = |value| start.saturating_add(u8::try_from(value).unwrap_or_default());
                Self::Made(Made { bytes, range: (at(front), at(most)) })
            }
        }
    }
}

/// What one operation made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// Where it begins in the file.
    pub start: u64,
    steps: [Step; 4],
}

impl Played {
    /// The runs of bytes it consists of, in order; none is empty.
    pub fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.steps.iter().copied().filter(|step| !step.is_empty())
    }
}

/// Runs a map, or a stretch of one, operation by operation.
#[derive(Clone, Debug)]
pub struct Player<'m> {
    ops: &'m [u8],
    /// Where `ops` begin in the map.
    base: u64,
    at: Checkpoint,
    /// How many streams there are.
    streams: usize,
    /// Length of the file.
    len: u64,
    /// The operation at hand and where the next one begins.
    group: Option<(Op, u64)>,
}

impl<'m> Player<'m> {
    /// Goes on from `from`; `ops` are the bytes of the map from [`Checkpoint::op`] on, as far as wanted.
    ///
    /// The file has `streams` streams and `len` bytes.
    pub fn new(ops: &'m [u8], from: Checkpoint, streams: usize, len: u64) -> Self {
        let streams = streams.min(MAX_STREAMS);
        Self { ops, base: from.op, at: from, streams, len, group: None }
    }

    /// Where it is: all before has been played.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.at
    }

    /// Gives back where it is.
    pub fn into_checkpoint(self) -> Checkpoint {
        self.at
    }

    /// How many bytes of the file the next operation makes; `None` at the end of the bytes at hand.
    ///
    /// # Errors
    /// [`ChunkError::BadMap`].
    pub fn peek(&mut self) -> Result<Option<u64>, ChunkError> {
        let Some((op, _)) = self.group()? else { return Ok(None) };
        Ok(Some(op.shape(self.at.packets.left).map_err(|why| self.bad(why))?.total()))
    }

    /// Does the next operation; `None` at the end of the bytes at hand.
    ///
    /// Each makes at least one byte, and none goes past the end of the file: it ends.
    ///
    /// # Errors
    /// [`ChunkError::BadMap`]; the player is of no more use then.
    pub fn play(&mut self) -> Result<Option<Played>, ChunkError> {
        let Some((op, after)) = self.group()? else { return Ok(None) };
        let shape = op.shape(self.at.packets.left).map_err(|why| self.bad(why))?;
        let start = self.at.out;
        let out = start.checked_add(shape.total()).filter(|out| *out <= self.len);
        let out = out.ok_or_else(|| self.bad("it goes past the end of the file"))?;
        let stream = usize::from(op.stream);
        if op.has_stream() && stream >= self.streams {
            return Err(self.bad("there is no such stream"));
        }
        let made = op.make(shape, &mut self.at.packets).map_err(|why| self.bad(why))?;
        let glue = self.at.glue;
        // No sum overflows: glue and streams together have not more bytes than the file so far.
        self.at.glue = glue.saturating_add(u64::from(shape.literal));
        let mut run = 0;
        if shape.run > 0 {
            if self.at.streams.len() <= stream {
                self.at.streams.resize(stream + 1, 0);
            }
            if let Some(position) = self.at.streams.get_mut(stream) {
                run = *position;
                *position = run.saturating_add(u64::from(shape.run));
            }
        }
        self.at.out = out;
        self.at.left -= 1;
        if self.at.left == 0 {
            self.at.op = after;
            self.group = None;
        }
        Ok(Some(Played {
            start,
            steps: [
                Step::Glue { start: glue, len: shape.literal },
                Step::Made(made),
                Step::Padding { len: u32::from(shape.padding) },
                Step::Stream { stream: u16::from(op.stream), start: run, len: shape.run },
            ],
        }))
    }

    /// Does the operation at hand again and again at once: as often as is left of it, and as fits before
    /// byte `end` of the file. `None` if it makes no packet of its own, or fits once at most.
    ///
    /// # Errors
    /// [`ChunkError::BadMap`] where no operation can be read; of a wrong one [`Player::play`] tells.
    fn repeat(&mut self, end: u64) -> Result<Option<Repeated>, ChunkError> {
        let Some((op, after)) = self.group()? else { return Ok(None) };
        let shape = match (op.kind, op.shape(self.at.packets.left)) {
            (Kind::Next { .. } | Kind::Null, Ok(shape)) => shape,
            _ => return Ok(None),
        };
        let room = end.min(self.len).saturating_sub(self.at.out);
        let count = (room / shape.total()).min(self.at.left);
        let stream = usize::from(op.stream);
        if count < 2 || (op.has_stream() && stream >= self.streams) {
            return Ok(None);
        }
        let Some(header) = op.repeat(shape, count, &mut self.at.packets) else { return Ok(None) };
        let repeated = Repeated {
            header,
            shape,
            count,
            glue: self.at.glue,
            stream: u16::from(op.stream),
            run: self.at.streams.get(stream).copied().unwrap_or_default(),
        };
        // No product overflows, as none of the file so far does.
        let all = |each: u32| u64::from(each).saturating_mul(count);
        self.at.glue = self.at.glue.saturating_add(all(shape.literal));
        if shape.run > 0 {
            if self.at.streams.len() <= stream {
                self.at.streams.resize(stream + 1, 0);
            }
            if let Some(position) = self.at.streams.get_mut(stream) {
                *position = position.saturating_add(all(shape.run));
            }
        }
        self.at.out = self.at.out.saturating_add(shape.total().saturating_mul(count));
        self.at.left -= count;
        if self.at.left == 0 {
            self.at.op = after;
            self.group = None;
        }
        Ok(Some(repeated))
    }

    /// The operation at hand, read from the map if need be.
    fn group(&mut self) -> Result<Option<(Op, u64)>, ChunkError> {
        if self.group.is_some() {
            return Ok(self.group);
        }
        let start = self.at.op.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let mut rest = start.and_then(|at| self.ops.get(at..)).unwrap_or_default();
        let before = rest.len();
        if before == 0 {
            return Ok(None);
        }
        let op = Op::take(&mut rest).map_err(|why| self.bad(why))?;
        let again = Op::take_again(&mut rest).map_err(|why| self.bad(why))?;
        let times = again.checked_add(1).ok_or_else(|| self.bad("too many repetitions"))?;
        if self.at.left > times {
            return Err(self.bad("a checkpoint wants more repetitions than there are"));
        }
        if self.at.left == 0 {
            self.at.left = times;
        }
        self.group = Some((op, self.at.op.saturating_add((before - rest.len()) as u64)));
        Ok(self.group)
    }

    fn bad(&self, why: &'static str) -> ChunkError {
        ChunkError::BadMap { at: self.at.op, why }
    }
}

/// Packets that one operation makes again and again.
struct Repeated {
    /// The first one's header; the others differ in the counter.
    header: [u8; 4],
    shape: Shape,
    count: u64,
    /// Where its glue begins.
    glue: u64,
    stream: u16,
    /// Where its run begins in the stream.
    run: u64,
}

impl Repeated {
    /// Visits the runs of bytes they consist of, in order.
    fn steps<E>(&self, visit: &mut dyn FnMut(Step) -> Result<(), E>) -> Result<(), E> {
        let Self { mut header, shape, count, mut glue, stream, mut run } = *self;
        let (literal, padding) = (shape.literal, u32::from(shape.padding));
        for _ in 0..count {
            if literal > 0 {
                visit(Step::Glue { start: glue, len: literal })?;
                glue = glue.saturating_add(u64::from(literal));
            }
            visit(Step::Made(Made::new(&header)))?;
            if padding > 0 {
                visit(Step::Padding { len: padding })?;
            } else {
                header = packets::following(header);
            }
            if shape.run > 0 {
                visit(Step::Stream { stream, start: run, len: shape.run })?;
                run = run.saturating_add(u64::from(shape.run));
            }
        }
        Ok(())
    }
}

/// Visits what the bytes in `range` of a file are: runs of its streams, of its glue, and bytes told.
///
/// `from` is the checkpoint for the start of the range ([`Checkpoints::at`](super::Checkpoints::at)), `ops`
/// the stretch of the map from there on ([`Checkpoints::stretch`](super::Checkpoints::stretch)). The steps
/// tile the range in order; there are up to four for each operation.
///
/// # Errors
/// [`ChunkError::BadMap`] if the map is malformed, or ends before the range does; or what `visit` returns.
pub fn steps<E: From<ChunkError>>(
    ops: &[u8],
    from: Checkpoint,
    streams: usize,
    len: u64,
    range: Range<u64>,
    visit: &mut dyn FnMut(Step) -> Result<(), E>,
) -> Result<(), E> {
    let mut player = Player::new(ops, from, streams, len);
    if player.checkpoint().out > range.start {
        return Err(player.bad("the range begins before the checkpoint").into());
    }
    while player.checkpoint().out < range.end {
        let before = player.checkpoint().out < range.start;
        // A transport stream has thousands of packets to a range, most of them alike.
        if let Some(repeated) = player.repeat(if before { range.start } else { range.end })? {
            if !before {
                repeated.steps(visit)?;
            }
            continue;
        }
        let Some(played) = player.play()? else {
            return Err(player.bad("it ends before the range does").into());
        };
        let (mut at, end) = (played.start, player.checkpoint().out);
        if end <= range.start {
            continue;
        }
        // Nearly all lie within.
        if at >= range.start && end <= range.end {
            played.steps().try_for_each(&mut *visit)?;
            continue;
        }
        for step in played.steps() {
            let front = range.start.saturating_sub(at);
            let clipped = step.clip(front, range.end.saturating_sub(at));
            if !clipped.is_empty() {
                visit(clipped)?;
            }
            at += step.len();
        }
    }
    Ok(())
}
