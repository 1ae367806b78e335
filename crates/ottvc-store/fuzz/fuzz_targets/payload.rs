//! Payloads from hostile bytes: unpacked to the length stated, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_object::ChunkId;
use ottvc_store::Encoding;
use ottvc_store::pack::{Decoder, Encoder};

fuzz_target!(|bytes: &[u8]| {
    let Some((len, stored)) = bytes.split_first_chunk() else { return };
    // Lengths past the limit too.
    let raw_len = u32::from_le_bytes(*len) >> (len[3] % 25);
    let mut decoder = Decoder::default();
    for encoding in [Encoding::Raw, Encoding::Zstd] {
        if let Ok(raw) = decoder.unpack(encoding, raw_len, stored) {
            assert_eq!(raw.len() as u64, u64::from(raw_len));
        }
    }
    let raw = stored.repeat(1 + usize::from(len[0]));
    if let Some(chunk) = Encoder::default().chunk(&raw) {
        let header = chunk.header().expect("a chunk of lengths that fit");
        assert_eq!(chunk.id, ChunkId::of(&raw));
        assert_eq!(decoder.decode(&header, &chunk.bytes).expect("its own payload"), raw);
    }
});
