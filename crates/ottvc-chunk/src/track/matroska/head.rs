//! What stands before the first cluster: how long a tick is, and the tracks.

use std::io;

use super::ebml::{Element, HEAD, children, id, unsigned};
use crate::track::Source;

/// The most elements before the first cluster that are looked at.
const MOST_ELEMENTS: usize = 1000;
/// The most bytes of an element that is read as a whole.
const MOST_BYTES: u64 = 16 << 20;
/// Nanoseconds of a tick, if a file does not say.
const TICK: u32 = 1_000_000;

/// What stands before the first cluster.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Nanoseconds of a tick.
    tick: Option<u32>,
    /// The payload of `Tracks`; nothing if they are not found.
    pub(super) tracks: Vec<u8>,
}

impl Head {
    /// Reads it; `None` if the file is not EBML.
    pub(super) fn read(source: &mut dyn Source) -> io::Result<Option<Self>> {
        let first = element_at(source, 0)?.filter(|first| first.id == id::EBML);
        let Some(first) = first else { return Ok(None) };
        let mut head = Self::default();
        head.walk(source, first.end(0))?;
        Ok(Some(head))
    }

    /// Ticks a second.
    pub(super) fn rate(&self) -> (u32, u32) {
        let tick = self.tick.filter(|tick| *tick > 0).unwrap_or(TICK);
        let (mut a, mut b) = (1_000_000_000, tick);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (1_000_000_000 / a, tick / a)
    }

    /// Reads the elements from `at` on.
    fn walk(&mut self, source: &mut dyn Source, mut at: Option<u64>) -> io::Result<()> {
        let (mut segment, mut elsewhere) = (0, None);
        for _ in 0..MOST_ELEMENTS {
            let Some(start) = at else { break };
            let Some(element) = element_at(source, start)? else { break };
            at = element.end(start);
            match element.id {
                id::SEGMENT => {
                    segment = start.saturating_add(element.head as u64);
                    at = Some(segment);
                }
                id::CLUSTER => break,
                id::SEEK_HEAD => {
                    let seeks = payload(source, start, element)?;
                    elsewhere = elsewhere.or_else(|| seek(&seeks));
                }
                _ => self.take(source, start, element)?,
            }
        }
        if let Some(position) = elsewhere.filter(|_| self.tracks.is_empty()) {
            let start = position.saturating_add(segment);
            if let Some(element) = element_at(source, start)? {
                self.take(source, start, element)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, source: &mut dyn Source, at: u64, element: Element) -> io::Result<()> {
        match element.id {
            id::TRACKS if self.tracks.is_empty() => self.tracks = payload(source, at, element)?,
            id::INFO => {
                let info = payload(source, at, element)?;
                let tick = children(&info).find(|(id, _)| *id == id::TIMESTAMP_SCALE);
                self.tick = tick.and_then(|(_, tick)| u32::try_from(unsigned(tick)).ok());
            }
            _ => {}
        }
        Ok(())
    }
}

/// Where in the segment `Tracks` are, by the payload of a `SeekHead`.
fn seek(seeks: &[u8]) -> Option<u64> {
    let of = |seek, id| children(seek).find(|(child, _)| *child == id).map(|(_, it)| unsigned(it));
    let mut seeks = children(seeks).filter(|(id, _)| *id == id::SEEK).map(|(_, seek)| seek);
    let tracks = seeks.find(|seek| of(seek, id::SEEK_ID) == Some(u64::from(id::TRACKS)))?;
    of(tracks, id::SEEK_POSITION)
}

/// The element at an offset of the file.
fn element_at(source: &mut dyn Source, at: u64) -> io::Result<Option<Element>> {
    let left = usize::try_from(source.len().saturating_sub(at)).unwrap_or(HEAD);
    let mut head = [0; HEAD];
    let head = head.get_mut(..left.min(HEAD)).unwrap_or_default();
    if !head.is_empty() {
        source.read_at(at, head)?;
    }
    Ok(Element::read(head))
}

/// The payload of the element at `at`, as far as it is in the file; nothing if it is too long.
fn payload(source: &mut dyn Source, at: u64, element: Element) -> io::Result<Vec<u8>> {
    let start = at.saturating_add(element.head as u64);
    let left = source.len().saturating_sub(start);
    let len = element.len.unwrap_or_default().min(left);
    let len = usize::try_from(if len > MOST_BYTES { 0 } else { len }).unwrap_or_default();
    let mut payload = vec![0; len];
    if len > 0 {
        source.read_at(start, &mut payload)?;
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_may_stand_after_the_clusters() {
        let seek = [&[0x4d, 0xbb, 0x8c, 0x53, 0xab, 0x84][..], &[0x16, 0x54, 0xae, 0x6b]].concat();
        let seek = [&seek[..], &[0x53, 0xac, 0x82, 0, 29]].concat();
        let seek = [&[0x11, 0x4d, 0x9b, 0x74, 0x8f][..], &seek].concat();
        let cluster = [0x1f, 0x43, 0xb6, 0x75, 0x84, 0xa3, 0x82, 1, 2];
        let tracks = [0x16, 0x54, 0xae, 0x6b, 0x83, 0xae, 0x81, 0];
        let start = [0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67, 0xff];
        let file = [&start[..], &seek, &cluster, &tracks].concat();
        assert_eq!(seek.len() + cluster.len(), 29);
        let head = Head::read(&mut file.as_slice()).unwrap().unwrap();
        assert_eq!((head.tracks.as_slice(), head.rate()), (&[0xae, 0x81, 0][..], (1000, 1)));
        // Cut off, there are none; nor are there in what is no EBML.
        let cut = Head::read(&mut &file[..file.len() - 9]).unwrap().unwrap();
        assert!(cut.tracks.is_empty());
        assert!(Head::read(&mut &file[1..]).unwrap().is_none());
    }

    #[test]
    fn ticks_are_a_fraction_of_a_second() {
        let rate = |tick| Head { tick, tracks: Vec::new() }.rate();
        assert_eq!(rate(Some(20_833)), (1_000_000_000, 20_833));
        assert_eq!(rate(Some(100_000)), (10_000, 1));
        assert_eq!(rate(Some(u32::MAX)), (200_000_000, 858_993_459));
        assert_eq!(rate(Some(0)), (1000, 1));
    }
}
