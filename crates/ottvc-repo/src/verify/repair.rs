//! Taking what is damaged or missing here from another repository.
//!
//! Whatever comes from there is checked against its id before it is stored, so that the other can be in
//! any state and belong to anybody. A tree that was missing may name more that is, so it is looked again
//! after every step. Packs that turned out damaged are emptied in the end, as far as they read.

use std::collections::BTreeSet;

use ottvc_object::manifest::ChunkRef;
use ottvc_object::{ChunkId, ContentId, ObjectId};
use ottvc_store::pack::Encoder;
use ottvc_store::{DamagedThing, ObjectStore, StoreError, StoreWriter};
use serde::Serialize;

use super::{Finding, Reading, VerifyReport};
use crate::content::{self, ContentError};
use crate::ingest::{IngestOptions, encode};
use crate::{Progress, Repo, RepoError};

/// Things of damaged packs listed at a time.
const MOST_THINGS: usize = 1 << 20;

/// What was repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// What was damaged or missing, and is no more.
    pub repaired: Vec<Finding>,
    /// Damaged packs that were emptied and removed.
    pub packs: u64,
}

/// A repair that was made; what it came to, a check of its own says.
#[derive(Debug)]
pub struct Repair {
    /// What was found damaged or missing, before and on the way.
    found: Vec<Finding>,
    packs: u64,
}

impl Repair {
    /// Puts together what was found before and what a check found after.
    pub fn conclude(self, before: VerifyReport, after: VerifyReport) -> VerifyReport {
        let left: BTreeSet<_> = after.damaged.iter().chain(&after.missing).map(name).collect();
        let gone = self.found.iter().filter(|finding| !left.contains(&name(finding)));
        let repaired = gone.cloned().collect();
        VerifyReport {
            damaged: after.damaged,
            missing: after.missing,
            clean: after.clean,
            repair: Some(Repaired { repaired, packs: self.packs }),
            ..before
        }
    }
}

/// What tells a finding from others.
fn name(finding: &Finding) -> (Option<String>, Option<String>) {
    let place = finding.id.is_none().then(|| finding.place.clone()).flatten();
    (finding.id.clone(), place)
}

impl Repo {
    /// Takes all that `report` found damaged or missing, and what comes to light then, from another
    /// store. Durable when it returns.
    ///
    /// # Errors
    /// Where this store or the other fails as a whole.
    pub fn repair(
        &self,
        report: &VerifyReport,
        other: &dyn ObjectStore,
        progress: &dyn Progress,
    ) -> Result<Repair, RepoError> {
        let mut found: Vec<Finding> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next: Vec<Finding> = [&report.damaged[..], &report.missing[..]].concat();
        loop {
            next.retain(|finding| seen.insert(name(finding)));
            let stored = self.fetch_all(&next, other, progress)?;
            found.append(&mut next);
            if !stored {
                break;
            }
            let now = self.verify(Reading::Structure, progress)?;
            next = [now.damaged, now.missing].concat();
        }
        Ok(Repair { found, packs: self.empty_damaged_packs()? })
    }

    /// Stores what the other has of these; says whether that was anything.
    fn fetch_all(
        &self,
        findings: &[Finding],
        other: &dyn ObjectStore,
        progress: &dyn Progress,
    ) -> Result<bool, RepoError> {
        // So that storing them does store them, whatever the index says is there.
        let things: Vec<_> = findings.iter().filter_map(thing).collect();
        self.objects.note_damage(&things)?;
        let (mut stored, mut encoder) = (false, Encoder::default());
        let mut writer = self.objects.writer()?;
        for (done, finding) in findings.iter().enumerate() {
            progress.report("taking from the other", done as u64, findings.len() as u64);
            match self.fetch(finding, other, &mut *writer, &mut encoder) {
                Ok(found) => stored |= found,
                // It is not there, or not whole there either.
                Err(error) if error.is_about_one_file() => {}
                Err(error) => return Err(error.into()),
            }
        }
        writer.finish()?;
        self.objects.sync()?;
        Ok(stored)
    }

    /// Stores one thing as the other has it; `false` if it is nothing that can be asked for.
    fn fetch(
        &self,
        finding: &Finding,
        other: &dyn ObjectStore,
        writer: &mut dyn StoreWriter,
        encoder: &mut Encoder,
    ) -> Result<bool, ContentError> {
        if let Some(content) = file(finding) {
            let options = IngestOptions { rule: self.rule, tracks: self.tracks, jobs: self.jobs };
            content::copy(other, content, &*self.objects, writer, options)?;
            return Ok(true);
        }
        match thing(finding) {
            None => Ok(false),
            Some(DamagedThing::Object(id)) => Ok(writer.put(&other.get(id)?)?),
            Some(DamagedThing::Chunk(id)) => {
                let mut raw = Vec::new();
                other.read_chunks(&[id], &mut |_, bytes| {
                    raw.extend_from_slice(bytes);
                    Ok(())
                })?;
                if ChunkId::of(&raw) != id {
                    return Err(StoreError::NoChunk { id }.into());
                }
                let chunk = ChunkRef { id, len: u32::try_from(raw.len()).unwrap_or(u32::MAX) };
                Ok(writer.put_chunk(encode(encoder, chunk, &raw))?)
            }
        }
    }

    /// Moves what can be read out of packs that are known to be damaged, and removes those that nothing
    /// is wanted of any more; says how many.
    fn empty_damaged_packs(&self) -> Result<u64, RepoError> {
        let store = self.objects.collectable();
        let (mut gone, mut tried) = (0, BTreeSet::new());
        loop {
            let mut worn = store.worn(MOST_THINGS)?;
            worn.retain(|worn| worn.damaged && tried.insert(worn.pack));
            if worn.is_empty() {
                return Ok(gone);
            }
            for one in worn {
                gone += u64::from(store.rewrite(&one)?.gone);
            }
        }
    }
}

/// The object or chunk that a finding is about.
fn thing(finding: &Finding) -> Option<DamagedThing> {
    let id = finding.id.as_ref()?;
    match finding.kind {
        "file" => None,
        "chunk" => id.parse().ok().map(DamagedThing::Chunk),
        _ => id.parse::<ObjectId>().ok().map(DamagedThing::Object),
    }
}

/// The file that a finding is about.
fn file(finding: &Finding) -> Option<ContentId> {
    if finding.kind == "file" { finding.id.as_ref()?.parse().ok() } else { None }
}
