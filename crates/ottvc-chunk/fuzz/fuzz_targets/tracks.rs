//! Any extents over any bytes: the file comes back from its streams, glue and map, or is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_chunk::ChunkError;
use ottvc_chunk::track::cut::TrackRule;
use ottvc_chunk::track::map::{Checkpoint, MapWriter, Step, steps};
use ottvc_chunk::track::split::{Lane, Refusal, TrackBlock, TrackSplitter};
use ottvc_chunk::track::{Container, Extent, Parser, Role, Stream, Unit, Units, Window};

/// Says what it was told, whatever the window.
#[derive(Debug)]
struct Told {
    container: Container,
    streams: Vec<Stream>,
    extents: Vec<Extent>,
}

impl Parser for Told {
    fn container(&self) -> Container {
        self.container
    }
    fn streams(&self) -> &[Stream] {
        &self.streams
    }
    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        out.append(&mut self.extents);
        window.bytes.len()
    }
}

fn container(byte: u8) -> Container {
    match byte % 4 {
        0 => Container::Mp4,
        1 => Container::Ts { packet: 188 },
        2 => Container::Ts { packet: 192 },
        _ => Container::Matroska,
    }
}

/// Returns the file that lanes make.
fn rebuild(streams: &[Vec<u8>], glue: &[u8], ops: &[u8], len: usize) -> Vec<u8> {
    let all = 0..len as u64;
    let slice = |lane: &[u8], start: u64, len: u32| {
        let start = usize::try_from(start).expect("it is in memory");
        lane.iter().skip(start).take(len as usize).copied().collect::<Vec<_>>()
    };
    let mut out = Vec::new();
    let visit = &mut |step| {
        match step {
            Step::Glue { start, len } => out.extend(slice(glue, start, len)),
            Step::Made(made) => out.extend_from_slice(made.bytes()),
            Step::Padding { len } => out.resize(out.len() + len as usize, 0xff),
            Step::Stream { stream, start, len } => {
                let lane = streams.get(usize::from(stream)).expect("there is such a stream");
                out.extend(slice(lane, start, len));
            }
        }
        Ok::<(), ChunkError>(())
    };
    steps(ops, Checkpoint::default(), streams.len(), all.end, all, visit).expect("it plays");
    out
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, count, long, rest @ ..] = bytes else { return };
    let container = container(*kind);
    let (told, file) = rest.split_at(rest.len().min(6 * usize::from(*count)));
    // Some files are repeated, so that runs of equal packets come about.
    let file = file.repeat(1 + usize::from(*long % 8));
    let streams: Vec<Stream> = [Units::Marked, Units::Raw, Units::Marked]
        .into_iter()
        .zip([Role::Video, Role::Audio, Role::Text])
        .map(|(units, role)| Stream {
            role,
            units,
            codec: String::new(),
            language: String::new(),
            rate: (1, 1),
        })
        .collect();

    // The writer alone, which refuses nothing: gaps and runs as told, in order.
    let mut lanes = vec![Vec::new(); 256];
    let (mut ops, mut glue) = (Vec::new(), Vec::new());
    let mut writer = MapWriter::new(container);
    let mut left = file.as_slice();
    for told in told.chunks_exact(6) {
        let [gap, more, run, again, stream, _] = *told else { return };
        let gap = usize::from(gap) + 188 * usize::from(more & 3);
        let run = usize::from(run) + 16 * usize::from(again & 15);
        let (now, later) = left.split_at(left.len().min(gap));
        writer.gap(now, &mut ops, &mut glue);
        let (now, later) = later.split_at(later.len().min(run));
        writer.run(u16::from(stream), now.len() as u64, &mut ops, &mut glue);
        if let Some(lane) = lanes.get_mut(usize::from(stream)) {
            lane.extend_from_slice(now);
        }
        left = later;
    }
    writer.gap(left, &mut ops, &mut glue);
    writer.finish(&mut ops, &mut glue);
    assert_eq!(rebuild(&lanes, &glue, &ops, file.len()), file);

    // The splitter, with extents that may overlap and go out of bounds.
    let mut at = 0_u64;
    let extents: Vec<Extent> = told
        .chunks_exact(6)
        .filter_map(|told| {
            let [ahead, back, len, more, stream, unit] = *told else { return None };
            at = at.saturating_add(u64::from(ahead)).saturating_sub(u64::from(back) / 64);
            let extent = Extent {
                offset: at,
                len: u32::from(len) + (u32::from(more) << (more % 24)),
                stream: u16::from(stream % 5),
                unit: (unit & 1 != 0).then_some(Unit { time: i64::from(unit) }),
            };
            at = at.saturating_add(u64::from(extent.len));
            Some(extent)
        })
        .collect();
    let parser = Box::new(Told { container, streams, extents });
    let len = file.len() as u64;
    let mut splitter =
        TrackSplitter::new(parser, len, TrackRule::DEFAULT, 0).expect("the rule has cut points");
    let (mut block, mut reader, mut raw) = (TrackBlock::default(), file.as_slice(), Vec::new());
    let (mut lanes, mut glue, mut ops) = (vec![Vec::new(); 3], Vec::new(), Vec::new());
    while splitter.next(&mut reader, &mut block).expect("memory can be read") {
        raw.extend_from_slice(block.file_bytes());
        for chunk in block.chunks() {
            match chunk.lane {
                Lane::Glue => glue.extend_from_slice(chunk.bytes),
                Lane::Map => ops.extend_from_slice(chunk.bytes),
                Lane::Stream(stream) => lanes
                    .get_mut(usize::from(stream))
                    .expect("there is such a stream")
                    .extend_from_slice(chunk.bytes),
            }
        }
    }
    match splitter.finish() {
        Ok(_) => assert!(raw == file && rebuild(&lanes, &glue, &ops, file.len()) == file),
        Err(Refusal::Differs { at }) => panic!("it differs at {at}"),
        Err(_) => {}
    }
});
