//! Where `moov` and fragments are, found by walking the boxes of a file.

use std::io;

use super::boxes::{HEADER, Header};
use crate::track::Source;

/// The most boxes looked at to find `moov`.
const MAX_BOXES: usize = 1 << 20;
/// How many bytes are read to look at a box.
const VIEW: usize = 4 << 10;
/// The longest `moov` that is read.
const MAX_MOOV: u64 = 256 << 20;

/// What the boxes of a file are.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The body of `moov`: where it is, and as many bytes as there are.
    pub(super) moov: Option<(u64, usize)>,
    /// Whether there are fragments.
    pub(super) moof: bool,
}

/// Walks the boxes of a file up to `moov` and the first `moof`; `None` if it does not begin as such a
/// file does, or has neither.
pub(super) fn find(source: &mut dyn Source) -> io::Result<Option<Found>> {
    let mut found = Found::default();
    let mut at = 0;
    let mut view = View::default();
    for _ in 0..MAX_BOXES {
        let Some(room) = source.len().checked_sub(at).filter(|room| *room >= 8) else { break };
        let Some(header) = Header::of(view.at(source, at)?, room) else { break };
        if at == 0 && !begins(header) {
            return Ok(None);
        }
        let head = u64::from(header.head);
        let body = header.len.min(room).saturating_sub(head);
        match &header.name {
            b"moov" if found.moov.is_none() && body <= MAX_MOOV => {
                let len = usize::try_from(body).unwrap_or_default();
                found.moov = Some((at.saturating_add(head), len));
            }
            b"moof" => found.moof = true,
            _ => {}
        }
        if found.moof && found.moov.is_some() || header.len >= room {
            break;
        }
        at = at.saturating_add(header.len);
    }
    Ok((found.moof || found.moov.is_some()).then_some(found))
}

/// A few bytes of a file, so that small boxes in a row cost few reads.
#[derive(Debug, Default)]
struct View {
    at: u64,
    bytes: Vec<u8>,
}

impl View {
    /// The bytes from `at` on, [`HEADER`] at least if there are as many.
    fn at(&mut self, source: &mut dyn Source, at: u64) -> io::Result<&[u8]> {
        let there = source.len().saturating_sub(at);
        let within = at.checked_sub(self.at).and_then(|skip| usize::try_from(skip).ok());
        let left = within.map_or(0, |skip| self.bytes.len().saturating_sub(skip));
        if (left as u64) < there.min(HEADER as u64) {
            let len = usize::try_from(there).map_or(VIEW, |there| there.min(VIEW));
            self.bytes.resize(len, 0);
            source.read_at(at, &mut self.bytes)?;
            self.at = at;
        }
        let skip = usize::try_from(at - self.at).unwrap_or_default();
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }
}

/// Whether a file may begin with such a box.
fn begins(header: Header) -> bool {
    matches!(
        &header.name,
        b"ftyp"
            | b"styp"
            | b"moov"
            | b"moof"
            | b"mdat"
            | b"free"
            | b"skip"
            | b"wide"
            | b"pnot"
            | b"sidx"
            | b"ssix"
            | b"emsg"
            | b"prft"
            | b"uuid"
            | b"udta"
            | b"meta"
    )
}
