//! The footer of a sealed pack: every record once more, found from the end of the file.

use super::record::Record;
use super::{PackFault, PackHeader, PackId, checksum, take};

/// The first eight bytes of a footer.
pub(super) const MAGIC: [u8; 8] = *b"ottvcft\n";
/// The last eight bytes of a sealed pack.
const END: [u8; 8] = *b"ottvcend";
/// Length of what comes after the lines, in bytes.
const TRAILER_LEN: usize = 64;

/// The part of a pack that faults in this module name.
const PART: &str = "footer";

/// Returns the footer that seals `pack` at `offset`, listing `records` in order of their offsets.
pub fn encode_footer(pack: PackId, offset: u64, records: &[Record]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for record in records {
        record.encode_line(&mut bytes);
    }
    let mut trailer = pack.0.to_vec();
    trailer.extend(offset.to_le_bytes());
    trailer.extend((records.len() as u64).to_le_bytes());
    trailer.extend(checksum::<24>(&[&bytes, &trailer]));
    trailer.extend(END);
    bytes.extend(trailer);
    bytes
}

/// Returns where the footer of `pack` begins and what it lists, given its bytes from `start` on.
///
/// The records are in order, do not overlap and lie between header and footer; what they hold is not
/// looked at. Allocates at most the footer's own length.
///
/// # Errors
/// [`PackFault::Missing`] if the bytes do not end as a sealed pack does, [`PackFault::Torn`] if the
/// footer begins before `start`, another fault if it is damaged.
pub fn decode_footer(
    pack: PackId,
    start: u64,
    bytes: &[u8],
) -> Result<(u64, Vec<Record>), PackFault> {
    let (body, mut trailer) = bytes
        .len()
        .checked_sub(TRAILER_LEN)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(PackFault::Missing(PART))?;
    let summed = trailer.get(..32).unwrap_or_default();
    let id = PackId(take(&mut trailer, PART)?);
    let offset = u64::from_le_bytes(take(&mut trailer, PART)?);
    let count = u64::from_le_bytes(take(&mut trailer, PART)?);
    let sum = take::<24>(&mut trailer, PART)?;
    if take::<8>(&mut trailer, PART)? != END {
        return Err(PackFault::Missing(PART));
    }
    let body_end = start.checked_add(body.len() as u64).ok_or(PackFault::Rule(PART))?;
    let lines_end = count
        .checked_mul(Record::LINE_LEN)
        .and_then(|len| len.checked_add(offset)?.checked_add(MAGIC.len() as u64));
    if lines_end != Some(body_end) || offset < PackHeader::LEN || id != pack {
        return Err(PackFault::Rule(PART));
    }
    let within = offset.checked_sub(start).ok_or(PackFault::Torn(PART))?;
    let within = usize::try_from(within).map_err(|_| PackFault::Rule(PART))?;
    let lines = body.get(within..).ok_or(PackFault::Rule(PART))?;
    if checksum::<24>(&[lines, summed]) != sum {
        return Err(PackFault::Checksum(PART));
    }
    let mut rest = lines.strip_prefix(&MAGIC).ok_or(PackFault::Rule(PART))?;
    // The lines were measured against the bytes in hand, so `count` cannot ask for more than that.
    let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    let mut end = PackHeader::LEN;
    while !rest.is_empty() {
        let record = Record::decode_line(&mut rest)?;
        if record.offset < end || record.end() > offset {
            return Err(PackFault::Rule(PART));
        }
        end = record.end();
        records.push(record);
    }
    Ok((offset, records))
}
