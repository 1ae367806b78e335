//! Headers of PES packets.
//!
//! # Reference
//! ISO/IEC 13818-1, 2.4.3.6 and 2.4.3.7.

/// How many bytes of a header matter, at most.
pub(super) const MOST: usize = 14;

/// What the first bytes of a PES packet tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// All there is to know.
    Whole(Header),
    /// More bytes are needed, [`MOST`] at most in all.
    Partial,
    /// It is no PES packet, or one of padding.
    Bad,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its own length in bytes.
    pub(super) len: usize,
    /// Presentation time stamp: 33 bits, 90 kHz.
    pub(super) time: Option<u64>,
    /// How many bytes come after it; `None` if it goes on to the next PES packet.
    pub(super) body: Option<usize>,
}

/// Reads a header from the first bytes of a PES packet.
pub(super) fn read(bytes: &[u8]) -> Head {
    let (prefix, rest) = bytes.split_at_checked(3).unwrap_or((bytes, &[]));
    if !b"\0\0\x01".starts_with(prefix) {
        return Head::Bad;
    }
    let [id, high, low, rest @ ..] = rest else { return Head::Partial };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match id {
        0xbe => return Head::Bad,
        // Program stream map and directory, private 2, ECM, EMM, DSM-CC, H.222.1 E: no more header.
        0xbc | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff => {
            let body = Some(length).filter(|length| *length > 0);
            return Head::Whole(Header { len: 6, time: None, body });
        }
        _ => {}
    }
    let [marks, flags, extra, rest @ ..] = rest else { return Head::Partial };
    // Two marker bits, then two that say whether it is scrambled.
    if marks & 0xf0 != 0x80 {
        return Head::Bad;
    }
    let extra = usize::from(*extra);
    let mut time = None;
    if flags & 0x80 != 0 && extra >= 5 {
        let Some(stamp) = rest.first_chunk() else { return Head::Partial };
        time = Some(time_stamp(*stamp));
    }
    let body = (length > 0).then(|| length.saturating_sub(3 + extra));
    Head::Whole(Header { len: 9 + extra, time, body })
}

/// 33 bits, in three groups with a marker bit after each.
fn time_stamp(bytes: [u8; 5]) -> u64 {
    let [a, b, c, d, e] = bytes.map(u64::from);
    (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1
}

/// Time stamps as one line that does not wrap at 33 bits.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<i64>,
}

impl Clock {
    /// Returns the time nearest to the last one that `stamp` can be.
    pub(super) fn unwrap(&mut self, stamp: u64) -> i64 {
        let stamp = stamp.cast_signed();
        let time = self.last.map_or(stamp, |last| {
            // The difference modulo 2^33, sign and all.
            last.saturating_add(stamp.wrapping_sub(last) << 31 >> 31)
        });
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let header = [0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0x00, 0x01, 0x00, 0x03, 0xaa];
        let whole = Head::Whole(Header { len: 14, time: Some(1), body: None });
        assert_eq!(read(&header), whole);
        assert_eq!(read(&header[..MOST]), whole);
        for len in 0..MOST {
            assert_eq!(read(&header[..len]), Head::Partial, "{len}");
        }
        let no_time = Header { len: 11, time: None, body: Some(5) };
        assert_eq!(read(&[0, 0, 1, 0xc0, 0, 10, 0x80, 0, 2]), Head::Whole(no_time));
        let private = Header { len: 6, time: None, body: Some(10) };
        assert_eq!(read(&[0, 0, 1, 0xbf, 0, 10]), Head::Whole(private));
        assert_eq!(read(&[0, 0, 1, 0xbe, 0, 10]), Head::Bad);
        assert_eq!(read(&[0, 0, 2]), Head::Bad);
        assert_eq!(read(&[0, 0, 1, 0xe0, 0, 0, 0x00, 0x80, 5]), Head::Bad);
        assert_eq!(time_stamp([0x2f, 0xff, 0xff, 0xff, 0xff]), (1 << 33) - 1);
    }

    #[test]
    fn time_goes_on_where_stamps_wrap() {
        let mut clock = Clock::default();
        let stamps = [(1 << 33) - 3600, 0, 3600, (1 << 33) - 7200, 7200];
        let times = stamps.map(|stamp| clock.unwrap(stamp));
        let wrap = 1 << 33;
        assert_eq!(times, [wrap - 3600, wrap, wrap + 3600, wrap - 7200, wrap + 7200]);
    }
}
