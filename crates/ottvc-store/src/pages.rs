//! Memory that begins where a page does: what goes past the page cache goes from and to such.

use std::ops::Range;

/// Pages, and the blocks of all disks, begin at multiples of this.
pub(crate) const PAGE: usize = 4 << 10;

/// Bytes read from a file, in memory that is used again and again.
#[derive(Debug, Default)]
pub struct Pages {
    /// Never cleared, so that memory used again costs no zeroing.
    memory: Vec<u8>,
    filled: Range<usize>,
}

impl Pages {
    /// The bytes in it.
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(self.filled.clone()).unwrap_or_default()
    }

    /// How much memory it takes, in bytes, whatever is in it.
    pub fn memory_bytes(&self) -> usize {
        self.memory.len()
    }

    /// Room for `len` bytes from a page's start on; nothing is in it any more.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        self.filled = 0..0;
        if self.memory.len() < len.saturating_add(PAGE) {
            // What was there need not be copied to where more has room.
            self.memory = vec![0; len.saturating_add(PAGE)];
        }
        let first = first_page(&self.memory);
        self.memory.get_mut(first..first.saturating_add(len)).unwrap_or_default()
    }

    /// Says which bytes of the room are of use.
    pub(crate) fn fill(&mut self, used: Range<usize>) {
        let first = first_page(&self.memory);
        self.filled = first + used.start..first + used.end;
    }
}

/// Where the first page begins that begins in `memory`.
pub(crate) fn first_page(memory: &[u8]) -> usize {
    memory.as_ptr().align_offset(PAGE).min(PAGE)
}
