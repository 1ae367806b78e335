//! The map: the program that rebuilds a file from its streams and its glue.
//!
//! [`MapWriter`] makes it, in the order of the file; [`Player`] runs it, from the start or from a
//! [`Checkpoint`], and says which bytes come next. It needs nothing but the map: no parser, and not
//! even the bytes of streams and glue. What parsers learn later never changes what a map means.
//!
//! # Bytes of a map
//! A map is a list of *operations*. Each makes a part of the file: first a run of the glue (the *literal*),
//! then up to 188 bytes that need not be kept since they can be told (*made* bytes), then a run of one
//! stream. Streams and glue are read from their beginnings on, each run where the one before ended.
//! Numbers are LEB128: seven bits a byte, the lowest first, bit 7 set on all bytes but the last, which is
//! not 0 unless it is the only one.
//!
//! | field | when | what |
//! |---|---|---|
//! | head, a byte | always | bits 0 to 3 kind; bits 4 to 6 stream; bit 7 set if a literal length follows |
//! | stream, a byte | bits 4 to 6 are 7 | index of the stream, 7 to 255 |
//! | literal, a number | bit 7 | length of the literal, 1 to 2²⁰ |
//! | run, a number | always | 0 no run; 1 all that is left of the packet; else its length + 1, at most 2²⁰ + 1 |
//! | header, 3 bytes | kind 11 | the packet's header after the sync byte |
//!
//! A head of `0f` is no operation: a number n of 1 or more follows, and the operation before it is to be
//! done n times more. It never follows another `0f`, and a map never begins with it.
//!
//! | kind | made bytes |
//! |---|---|
//! | 0 | none |
//! | 1, 2, 3 | length of the run, big-endian, in 1, 2, 4 bytes; the run must be given as a length |
//! | 4, 5 | start code `000001`, `00000001` |
//! | 6 | the next header of the stream: PUSI off, no adaptation field |
//! | 7 | the same, PUSI on |
//! | 8 | the same as 6 with an adaptation field, which is in the literal of the next operation |
//! | 9 | the same as 8, PUSI on |
//! | 10 | the header of kind 8, then an adaptation field of nothing but stuffing, as long as the run leaves room for |
//! | 11 | `47` and the header given; it is the stream's from now on |
//! | 12 | a null packet: `47 1f ff 10`, then 184 bytes `ff`; without stream and run |
//!
//! Kinds 6 to 12 are those of MPEG transport streams. A *header* is the three bytes after `47`; there is
//! one for each PID that a header of kind 11 had, and a stream uses that of the PID of its last header.
//! So a stream beside that of pictures, of the same PID, shares its counter. The next header is the last
//! one of its PID, with the bits for PUSI and adaptation field as told, the bit for payload set, and
//! 1 added to the continuity counter, modulo 16; it becomes the last. After a header 184 bytes are *left of
//! the packet*, after kind 12 none; what comes after, glue, made bytes and runs, makes it less, down to 0.
//! A literal comes before the header of its operation and belongs to the packet before. Packets of 192
//! bytes have four bytes of arrival time before the header: they stay glue, for they tell nothing that
//! could be computed.
//!
//! A stuffing field of n bytes is `n - 1`, then, if n is 2 or more, `00` and n - 2 bytes `ff`.
//!
//! # Reference
//! ISO/IEC 13818-1 2.4.3 (packets, adaptation fields, null packets); ITU-T H.264 annex B (start codes).

mod checkpoint;
pub(super) mod number;
mod op;
mod packets;
mod play;
mod write;

pub use checkpoint::{Checkpoint, Checkpoints, MAX_CHECKPOINTS, MIN_INTERVAL};
pub use play::{Made, Played, Player, Step, steps};
pub use write::MapWriter;

/// The most bytes of glue, or of a stream, that one operation takes; an operation and its repetitions
/// together make no more than twice that and 188.
pub const MAX_RUN: u32 = 1 << 20;

/// The most bytes of an operation and of the count that may follow it.
pub const MAX_OP_BYTES: usize = 24;

#[cfg(test)]
mod tests;
