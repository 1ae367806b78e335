//! Header metadata: at what rate the tracks run.

use super::klv::{Kind, Klv, number};

/// The most of it that is read.
pub(super) const MOST: u64 = 16 << 20;
/// The most tracks.
const MOST_TRACKS: usize = 1024;

/// A partition pack, as far as it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    /// Bytes of header metadata that follow, less fill before it.
    pub(super) metadata: u64,
    /// Which essence container the elements after it are of.
    pub(super) body: u64,
}

impl Partition {
    /// Reads the value of a pack; `None` if it is cut off.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        Some(Self { metadata: number(value.get(32..40)?), body: number(value.get(60..64)?) })
    }
}

/// Edit units a second of tracks, by the number that their elements have in their keys.
#[derive(Debug, Default)]
pub(super) struct Rates(Vec<([u8; 4], (u32, u32))>);

impl Rates {
    /// Reads header metadata.
    pub(super) fn read(mut metadata: &[u8]) -> Self {
        let mut rates = Vec::new();
        while let Some(item) = Klv::read(metadata)
            && let Some(rest) = metadata.get(item.head..)
            && item.kind() != Kind::Partition
        {
            let len = usize::try_from(item.len).unwrap_or(usize::MAX);
            let Some((value, rest)) = rest.split_at_checked(len) else { break };
            if item.kind() == Kind::Track && rates.len() < MOST_TRACKS {
                rates.extend(track(value));
            }
            metadata = rest;
        }
        Self(rates)
    }

    /// The rate of a track; of any track that has one, if this has none; else 25.
    pub(super) fn of(&self, number: [u8; 4]) -> (u32, u32) {
        let track = self.0.iter().find(|(track, _)| *track == number).or_else(|| self.0.first());
        track.map_or((25, 1), |(_, rate)| *rate)
    }
}

/// Number and rate of a timeline track, if it has both.
fn track(mut set: &[u8]) -> Option<([u8; 4], (u32, u32))> {
    let (mut track, mut rate) = (None, None);
    while let Some(([a, b, c, d], rest)) = set.split_first_chunk() {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
        match (u16::from_be_bytes([*a, *b]), value) {
            (0x4804, [a, b, c, d]) => track = Some([*a, *b, *c, *d]),
            (0x4b01, [a, b, c, d, e, f, g, h]) => {
                let up = u32::from_be_bytes([*a, *b, *c, *d]);
                let down = u32::from_be_bytes([*e, *f, *g, *h]);
                rate = (up > 0 && down > 0).then_some((up, down));
            }
            _ => {}
        }
        set = rest;
    }
    // Tracks of the material package have no number: nothing in the file is theirs.
    Some((track.filter(|number| *number != [0; 4])?, rate?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_found_by_number() {
        let set = |number: u8, up: u8, down: u8| {
            let mut set = vec![0x48, 1, 0, 4, 0, 0, 0, 2, 0x48, 4, 0, 4, 0x15, 1, 5, number];
            set.extend([0x4b, 1, 0, 8, 0, 0, 0, up, 0, 0, 0, down]);
            set
        };
        assert_eq!(track(&set(1, 50, 1)), Some(([0x15, 1, 5, 1], (50, 1))));
        assert_eq!(track(&set(1, 50, 0)), None);
        assert_eq!(track(&set(1, 50, 1)[..20]), None);
        let mut key = *b"\x06\x0e\x2b\x34\x02\x53\x01\x01\x0d\x01\x01\x01\x01\x01\x3b\x00";
        let mut metadata = [&key[..], &[28], &set(1, 50, 1), &key, &[28], &set(2, 30, 1)].concat();
        let rates = Rates::read(&metadata);
        assert_eq!(rates.of([0x15, 1, 5, 2]), (30, 1));
        assert_eq!(rates.of([0x15, 1, 5, 3]), (50, 1));
        metadata.truncate(60);
        assert_eq!(Rates::read(&metadata).0.len(), 1);
        key[14] = 0x39;
        assert!(Rates::read(&[&key[..], &[28], &set(1, 50, 1)].concat()).0.is_empty());
        assert_eq!(Rates::default().of([0; 4]), (25, 1));
    }
}
