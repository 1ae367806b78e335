//! The same work on many things, on all cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use crate::RepoError;
use crate::content::ContentError;

/// Neighbours are worked on together, this many at a time: they often lie together.
const BATCH: usize = 32;

/// Works on every item and returns what came of each, in order. Every thread has a state of its own,
/// made by `start`. `jobs` threads at most, this one among them.
///
/// # Errors
/// The first error that a thread met; the items after it may be done or not.
pub(crate) fn map<T: Sync, S, R: Send>(
    jobs: usize,
    items: &[T],
    start: impl Fn() -> Result<S, RepoError> + Sync,
    work: impl Fn(&mut S, &T) -> Result<R, RepoError> + Sync,
) -> Result<Vec<R>, RepoError> {
    let batches: Vec<&[T]> = items.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(None);
    let run = || {
        let worked = start().and_then(|mut state| {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(at) else { return Ok(()) };
                let made: Result<Vec<R>, _> = batch.iter().map(|it| work(&mut state, it)).collect();
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(at, made?);
            }
        });
        if let Err(error) = worked {
            next.store(batches.len(), Ordering::Relaxed);
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    };
    scope(|scope| {
        for _ in 1..jobs.min(batches.len()) {
            let thread = Builder::new().name("ottvc-work".into()).spawn_scoped(scope, run);
            thread.map_err(|source| ContentError::Thread { source })?;
        }
        run();
        Ok::<(), RepoError>(())
    })?;
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .into_values()
            .flatten()
            .collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        for jobs in [0, 1, 3] {
            let twice = map(jobs, &items, || Ok(()), |(), it| Ok(it * 2)).unwrap();
            assert_eq!(twice, items.iter().map(|it| it * 2).collect::<Vec<_>>());
            let fails = |(): &mut (), it: &usize| match it {
                500 => Err(RepoError::InTheWay { path: "500".into() }),
                it => Ok(*it),
            };
            let error = map(jobs, &items, || Ok(()), fails).unwrap_err();
            assert_eq!(error.code(), RepoError::InTheWay { path: String::new() }.code());
        }
        assert!(map(4, &[], || Ok(()), |(), it: &u8| Ok(*it)).unwrap().is_empty());
    }
}
