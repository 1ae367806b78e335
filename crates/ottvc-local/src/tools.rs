//! What reading takes, kept from one read to the next: making a decoder costs more than reading a
//! small object with it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use ottvc_store::pack::Decoder;
use ottvc_store::pages::Pages;

/// A buffer longer than this is not kept, in bytes.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// How many buffers for runs are kept, and how long one may be that is: a read window, and a chunk.
const MAX_SPARE: usize = 8;
const MAX_SPARE_BYTES: usize = 16 << 20;

/// A buffer and a decoder.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) buffer: Vec<u8>,
    pub(crate) decoder: Decoder,
}

/// Tools that nobody uses now.
#[derive(Debug, Default)]
pub(crate) struct Toolbox(Mutex<Vec<Tools>>);

impl Toolbox {
    /// Lends tools until they are dropped.
    pub(crate) fn lend(&self) -> Lent<'_> {
        let tools = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent { tools: tools.unwrap_or_default(), toolbox: self }
    }
}

/// Tools in use.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    tools: Tools,
    toolbox: &'a Toolbox,
}

impl Deref for Lent<'_> {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.tools
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Tools {
        &mut self.tools
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let tools = std::mem::take(&mut self.tools);
        if tools.buffer.capacity() <= MAX_KEPT_BYTES {
            self.toolbox.0.lock().unwrap_or_else(PoisonError::into_inner).push(tools);
        }
    }
}

/// Memory for runs that are read ahead, while nobody uses it: fresh memory costs more than hashing what is
/// read into it.
#[derive(Debug, Default)]
pub(crate) struct SparePages(Mutex<Vec<Pages>>);

impl SparePages {
    pub(crate) fn take(&self) -> Pages {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_default()
    }

    pub(crate) fn give_back(&self, pages: Pages) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE && pages.memory_bytes() <= MAX_SPARE_BYTES {
            spare.push(pages);
        }
    }
}
