//! Cut points of streams.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Small sizes, so that short streams have many chunks.
const SMALL: UnitRule =
    UnitRule { target: 512, whole: 2048, split: CutRule::FastCdc { min: 64, avg: 256, max: 1024 } };

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The chunks of units, which come `piece` bytes at a time.
fn cut(rule: UnitRule, units: &[Vec<u8>], piece: usize) -> Vec<Vec<u8>> {
    let mut cutter = StreamCutter::units(rule).unwrap();
    let bytes = units.concat();
    let mut starts: VecDeque<usize> =
        units.iter().scan(0, |at, unit| Some(std::mem::replace(at, *at + unit.len()))).collect();
    let (mut chunks, mut start, mut end) = (Vec::new(), 0, 0);
    while start < bytes.len() {
        end = (end + piece).min(bytes.len());
        while let Some(unit) = starts.front().copied().filter(|unit| *unit < end) {
            starts.pop_front();
            cutter.unit(unit as u64);
        }
        while let Some(len) = cutter.cut(&bytes[start..end], end == bytes.len()) {
            assert!(len > 0 && len <= 2048);
            chunks.push(bytes[start..start + len].to_vec());
            start += len;
        }
        assert!(end - start <= 2048 + 1024 + 512, "{} bytes wait", end - start);
    }
    assert_eq!(chunks.concat(), bytes);
    chunks
}

fn units() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let len = prop_oneof![8 => 1..40_usize, 4 => 100..700_usize, 1 => 1000..6000_usize];
    let unit = (any::<u64>(), len).prop_map(|(seed, len)| noise(seed, len));
    vec(unit, 1..120)
}

proptest! {
    /// How a stream comes changes nothing.
    #[test]
    fn pieces_do_not_matter(units in units(), piece in 1..700_usize) {
        prop_assert_eq!(cut(SMALL, &units, piece), cut(SMALL, &units, usize::MAX >> 1));
    }

    /// What comes before a cut before a unit changes nothing after it.
    #[test]
    fn only_what_follows_decides(units in units(), more in units(), skip in 0..100_usize) {
        let skip = skip.min(units.len() - 1);
        let whole = cut(SMALL, &units, 1 << 20);
        let later = cut(SMALL, &[&more, &units[skip..]].concat(), 1 << 20);
        let kept = later.iter().rev().zip(whole.iter().rev()).take_while(|(a, b)| a == b).count();
        let kept: usize = later[later.len() - kept..].iter().map(Vec::len).sum();
        // All from the first cut before a unit in the common part on.
        let mut at = 0;
        let common: usize = units[skip..].iter().map(Vec::len).sum();
        let starts: Vec<usize> = units.iter().map(|unit| { at += unit.len(); at - unit.len() }).collect();
        let long = units[skip + 1..].iter().zip(&starts[skip + 1..]).find(|(unit, _)| unit.len() >= 512);
        if let Some((_, start)) = long {
            prop_assert!(kept >= at - start, "{kept} of {common} kept, expected {}", at - start);
        }
    }
}

#[test]
fn an_insertion_changes_its_neighbours_only() {
    let unit = |seed: u64| noise(seed, 200 + usize::try_from(seed % 150).unwrap());
    let units: Vec<_> = (0..4000).map(unit).collect();
    let mut edited = units.clone();
    edited.splice(2000..2001, (9000..9003).map(unit));
    let before = cut(SMALL, &units, 1 << 20);
    let after = cut(SMALL, &edited, 1 << 20);
    let fresh = after.iter().filter(|chunk| !before.contains(chunk)).count();
    assert!((1..=4).contains(&fresh), "{fresh} of {}", after.len());
}

#[test]
fn cut_points_are_the_same_everywhere() {
    let lens = |units: &[Vec<u8>]| -> Vec<usize> {
        cut(SMALL, units, 1 << 20).iter().map(Vec::len).collect()
    };
    let units: Vec<_> = (0..20).map(|seed| noise(seed, 150)).collect();
    assert_eq!(lens(&units), [300, 150, 150, 150, 300, 150, 150, 750, 450, 450]);
    // Units of the target and more are cut before, whatever they hold; very long ones are split.
    let units: Vec<_> = [512, 600, 3000, 513].map(|len| noise(7, len)).to_vec();
    let golden = [512, 600, 276, 261, 359, 180, 65, 156, 352, 348, 265, 69, 326, 112, 231, 513];
    assert_eq!(lens(&units), golden);
}

#[test]
fn impossible_rules_are_refused() {
    let rule = TrackRule::DEFAULT;
    for other in [
        UnitRule { target: 0, ..rule.other },
        UnitRule { target: 65 << 10, ..rule.other },
        UnitRule { whole: 5 << 20, ..rule.other },
        UnitRule { split: CutRule::FastCdc { min: 64, avg: 256, max: 8 << 20 }, ..rule.other },
    ] {
        assert!(matches!(StreamCutter::units(other), Err(ChunkError::BadRule { .. })), "{other:?}");
    }
    for (role, units) in [(Role::Video, Units::Marked), (Role::Data, Units::Marked)]
        .into_iter()
        .chain([(Role::Audio, Units::Raw), (Role::Video, Units::Raw)])
    {
        let (codec, language, rate) = (String::new(), String::new(), (1, 1));
        StreamCutter::of(&rule, &Stream { role, units, codec, language, rate }).unwrap();
    }
    StreamCutter::of_glue(&rule).unwrap();
}
