//! How deep decoding has come: hostile bytes must end in an error, not at the end of the stack.
//!
//! Bincode decodes by recursion and hands a decoder no place to count in, so the count is kept per
//! thread, and a guard takes its level back however the decoder leaves.

use std::cell::Cell;

use bincode::error::DecodeError;

/// The deepest a value lies in a document; the root is at 1, a conflict is as deep as its place.
pub const MAX_DEPTH: usize = 64;
/// The most conflicts inside one another.
pub const MAX_CONFLICT_DEPTH: usize = 32;

thread_local! {
    static VALUES: Cell<usize> = const { Cell::new(0) };
    static CONFLICTS: Cell<usize> = const { Cell::new(0) };
}

/// One level, given back when dropped.
#[derive(Debug)]
pub(crate) struct Level {
    of_conflict: bool,
}

impl Level {
    /// Goes one value deeper.
    pub(crate) fn value() -> Result<Self, DecodeError> {
        Self::enter(false)
    }
    /// Goes one conflict deeper.
    pub(crate) fn conflict() -> Result<Self, DecodeError> {
        Self::enter(true)
    }

    fn enter(of_conflict: bool) -> Result<Self, DecodeError> {
        let (counter, limit) =
            if of_conflict { (&CONFLICTS, MAX_CONFLICT_DEPTH) } else { (&VALUES, MAX_DEPTH) };
        let depth = counter.get();
        if depth >= limit {
            return Err(DecodeError::Other("nested too deep"));
        }
        counter.set(depth + 1);
        Ok(Self { of_conflict })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        let counter = if self.of_conflict { &CONFLICTS } else { &VALUES };
        counter.set(counter.get().saturating_sub(1));
    }
}
