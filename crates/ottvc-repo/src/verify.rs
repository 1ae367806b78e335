//! Reading back and checking every byte, object and reference.
//!
//! Three questions, each of everything: do the bytes hash to their ids (the store's own check), does
//! all that is named exist and agree with what is said of it (a walk from every ref, the working copy
//! and every operation), and do the chunks of each file make that file (rebuilt and hashed once: the
//! tie from content to manifest is not hashed into any tree). A finding ends nothing; what it affects
//! is named in the user's words, `REV:PATH`.

mod affected;
mod findings;
mod listed;
mod repair;
mod structure;

use std::io;

use ottvc_object::manifest::MerkleAccumulator;
use ottvc_object::{ChunkId, ContentId};
use ottvc_store::{DamagedThing, Portion, Round, StoreError};
use serde::Serialize;

use crate::audit::{
    At, Graph, Link, Seen, Steps, What, commit_link, is_about_one_thing, working_links,
};
use crate::content::{self, ContentError};
use crate::{Progress, Repo, RepoError, random_id};
use affected::Places;
use findings::{Bad, Findings, Key};
pub use repair::{Repair, Repaired};
use structure::Structure;

/// How many chunks a sample asks for at a time.
const SAMPLE_GROUP: usize = 256;

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Every byte of every pack, and every file is rebuilt.
    Everything,
    /// All structure, and that many percent of the chunks, chosen by chance.
    Sample(f64),
    /// About that many bytes of packs, from where the last such check stopped; structure when all
    /// packs have been read, or to name damage.
    Budget(u64),
    /// All structure, and no chunk.
    Structure,
}

/// How far round the checks with a budget are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RoundReport {
    /// When the round began, in UTC milliseconds since 1970.
    pub began_ms: i64,
    /// Packs read this time.
    pub packs: u64,
    /// Bytes of the packs that were read since it began.
    pub done_bytes: u64,
    /// Bytes of all packs there are.
    pub total_bytes: u64,
    /// Whether that is all of them: the next check begins a new round.
    pub complete: bool,
}

impl From<Round> for RoundReport {
    fn from(round: Round) -> Self {
        let complete = round.is_complete();
        let Round { began: began_ms, packs, done_bytes, total_bytes } = round;
        Self { began_ms, packs, done_bytes, total_bytes, complete }
    }
}

/// What was checked, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Objects read and hashed.
    pub objects: u64,
    /// Chunks read and hashed.
    pub chunks: u64,
    /// Bytes read for that.
    pub bytes: u64,
    /// Distinct files rebuilt from their chunks and found to be what their content id says.
    pub files: u64,
    /// The part of all chunks that was read, in percent, where not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// How far round the checks are, where this was one with a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<RoundReport>,
    /// What was repaired; the lists say what is left then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repaired>,
    /// What is there and not what it should be.
    pub damaged: Vec<Finding>,
    /// What is named and not there.
    pub missing: Vec<Finding>,
    /// Whether there is neither.
    pub clean: bool,
}

/// Something damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its id, or the content id of a file; `None` where nobody can tell what the bytes were.
    pub id: Option<String>,
    /// `chunk`, `file`, or a kind of object; `pack` or `index` for bytes that nobody can name, `state`
    /// for what the working copy remembers.
    pub kind: &'static str,
    /// Whose versions of what need it, as `REV:PATH`: branches and tags, else `(working copy)`, else
    /// the newest commit that has it there. A folder ends in `/`; a commit itself is `REV` alone.
    pub affects: Vec<String>,
    /// What is wrong with it.
    pub why: String,
    /// File and offset, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// How many percent of the chunks to read, more than 0 and at most 100.
fn checked_percent(percent: f64) -> Result<f64, RepoError> {
    if percent > 0.0 && percent <= 100.0 {
        return Ok(percent);
    }
    Err(RepoError::BadArgument {
        given: percent.to_string(),
        wanted: "sample",
        why: "more than 0 and at most 100 percent".into(),
    })
}

impl Repo {
    /// Checks as much as `reading` says.
    ///
    /// # Errors
    /// Where the store as a whole fails; damage is no error, it is in the report.
    pub fn verify(
        &self,
        reading: Reading,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, RepoError> {
        let sample = match reading {
            Reading::Sample(percent) => Some(checked_percent(percent)?),
            _ => None,
        };
        let mut findings = Findings::default();
        let mut report = VerifyReport {
            objects: 0,
            chunks: 0,
            bytes: 0,
            files: 0,
            sample,
            round: None,
            repair: None,
            damaged: Vec::new(),
            missing: Vec::new(),
            clean: false,
        };
        let portion = match reading {
            Reading::Everything => Some(Portion::Everything),
            Reading::Budget(bytes) => Some(Portion::Oldest { bytes, now: self.now() }),
            Reading::Sample(_) | Reading::Structure => None,
        };
        if let Some(portion) = portion {
            self.check_bytes(portion, &mut report, &mut findings, progress)?;
        }
        // Where everything was read just now, it is as it was found.
        let known = match reading {
            Reading::Everything => Vec::new(),
            _ => self.objects.known_damage()?,
        };
        for thing in known {
            let (id, kind) = match thing {
                DamagedThing::Object(id) => (id.0, "object"),
                DamagedThing::Chunk(id) => (id.0, "chunk"),
            };
            let why = "an earlier check found it so".to_owned();
            findings.note(Key::Held(id), Bad::damaged(kind, why, None));
        }
        let goes_on = report.round.is_some_and(|round| !round.complete);
        if goes_on && findings.is_empty() {
            (report.damaged, report.missing) = findings.unnamed();
            report.clean = report.damaged.is_empty();
            return Ok(report);
        }
        let mut graph = Graph::scan(&*self.objects)?;
        if let Some(percent) = sample {
            self.check_sample(percent, &graph, &mut report, &mut findings, progress)?;
        }

        let heads = self.heads()?;
        let mut roots: Vec<Link> = heads.iter().filter_map(|(_, id)| id.map(commit_link)).collect();
        let working = match self.state() {
            Ok(state) => working_links(&state),
            Err(error @ RepoError::BadState(_)) => {
                findings.note_unnamed("state", chain(&error), None);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        roots.extend(&working);
        roots.extend(self.operation_links()?);
        let mut structure = Structure::new(findings, progress, graph.len());
        graph.grow(&*self.objects, &roots, &mut structure)?;
        let (mut findings, known) = structure.finish(&graph, &self.nodes)?;
        if portion.is_none() {
            report.objects = known.objects;
        }
        let rebuild = reading == Reading::Everything;
        report.files = self.check_files(&graph, &known, rebuild, &mut findings, progress)?;
        // So that the same bytes, added again, are stored again.
        self.objects.note_damage(findings.unreadable())?;

        let places = Places { graph: &graph, heads: &heads, working: &working, known: &known };
        let affected = match findings.is_empty() {
            true => affected::Affected::default(),
            false => places.affected(&*self.objects, &findings),
        };
        let (damaged, missing) = findings.into_lists(&graph, affected);
        report.clean = damaged.is_empty() && missing.is_empty();
        Ok(VerifyReport { damaged, missing, ..report })
    }

    /// Has the store read and hash every byte of a portion.
    fn check_bytes(
        &self,
        portion: Portion,
        report: &mut VerifyReport,
        findings: &mut Findings,
        progress: &dyn Progress,
    ) -> Result<(), RepoError> {
        let checked = self.objects.check(portion, &mut |done, total| {
            progress.report("reading every byte", done, total);
        })?;
        report.round = checked.round.map(RoundReport::from);
        (report.objects, report.chunks, report.bytes) =
            (checked.objects, checked.chunks, checked.bytes);
        for damage in checked.damage {
            let place = Some(damage.place);
            match damage.what {
                Some(DamagedThing::Object(id)) => {
                    findings.note(Key::Held(id.0), Bad::damaged("object", damage.why, place));
                }
                Some(DamagedThing::Chunk(id)) => {
                    findings.note(Key::Held(id.0), Bad::damaged("chunk", damage.why, place));
                }
                None => {
                    let in_index = place.as_ref().is_some_and(|place| place.starts_with("db,"));
                    let kind = if in_index { "index" } else { "pack" };
                    findings.note_unnamed(kind, damage.why, place);
                }
            }
        }
        Ok(())
    }

    /// Reads `percent` of the chunks held, at least one.
    fn check_sample(
        &self,
        percent: f64,
        graph: &Graph,
        report: &mut VerifyReport,
        findings: &mut Findings,
        progress: &dyn Progress,
    ) -> Result<(), RepoError> {
        let chunks = graph.all().filter(|(_, thing)| thing.held && thing.what == What::Chunk);
        let mut ids: Vec<ChunkId> = chunks.map(|(_, thing)| ChunkId(thing.id)).collect();
        // A draw for each chunk: whoever damages a store cannot know which will be read.
        let mut draws = blake3::Hasher::new().update(&random_id()?).finalize_xof();
        let mut draw = || {
            let mut bytes = [0; 4];
            draws.fill(&mut bytes);
            u32::from_le_bytes(bytes)
        };
        let bound = percent / 100.0 * f64::from(u32::MAX);
        let last = ids.last().copied();
        ids.retain(|_| f64::from(draw()) <= bound);
        if ids.is_empty() {
            ids.extend(last);
        }
        let total = ids.len() as u64;
        for group in ids.chunks(SAMPLE_GROUP) {
            self.read_group(group, report, findings)?;
            progress.report("reading a sample", report.chunks, total);
        }
        Ok(())
    }

    /// Reads chunks; one that cannot be read does not keep the others from being read.
    fn read_group(
        &self,
        group: &[ChunkId],
        report: &mut VerifyReport,
        findings: &mut Findings,
    ) -> Result<(), RepoError> {
        let mut left = group;
        while !left.is_empty() {
            let mut read = 0;
            let outcome = self.objects.read_chunks(left, &mut |index, raw| {
                read = read.max(index + 1);
                report.chunks += 1;
                report.bytes += raw.len() as u64;
                Ok(())
            });
            left = left.get(read..).unwrap_or_default();
            let Err(error) = outcome else { return Ok(()) };
            let Some((first, rest)) = left.split_first() else { return Ok(()) };
            // The store reads in the order given, so the first one not handed out is to blame.
            findings.note_failure(Key::Held(first.0), "chunk", error)?;
            left = rest;
        }
        Ok(())
    }

    /// Checks each distinct file that anything reaches: that its chunks are the ones its manifest's
    /// root is over and, with `rebuild`, that they make the file. Returns how many were rebuilt.
    fn check_files(
        &self,
        graph: &Graph,
        known: &structure::Known,
        rebuild: bool,
        findings: &mut Findings,
        progress: &dyn Progress,
    ) -> Result<u64, RepoError> {
        let mut files: Vec<(At, ContentId)> = graph.files().map(|(id, at)| (at, id)).collect();
        files.sort_unstable();
        let total = known.file_bytes();
        let (mut done, mut rebuilt) = (0_u64, 0);
        let mut seen = Seen::none(graph);
        for (at, content) in files {
            progress.report("rebuilding files", done, total);
            let mut broken = false;
            if !findings.is_empty() {
                seen.forget();
                graph.reach(&[at], Steps::All, &mut seen, &mut |_, thing| {
                    broken |= findings.has(Key::of(thing));
                });
            }
            // With a part known to be bad, the whole can only be found bad again.
            if !broken {
                match self.check_file(content, known, rebuild, findings) {
                    Ok(()) => rebuilt += u64::from(rebuild && !findings.has(Key::File(content.0))),
                    Err(error) => note_content(content, manifest_of(graph, at), error, findings)?,
                }
            }
            done = done.saturating_add(known.len_of(content));
        }
        Ok(rebuilt)
    }

    fn check_file(
        &self,
        content: ContentId,
        known: &structure::Known,
        rebuild: bool,
        findings: &mut Findings,
    ) -> Result<(), ContentError> {
        let file = content::open(&*self.objects, content)?;
        known.check_len(content, file.len(), findings);
        let mut merkle = MerkleAccumulator::default();
        let (mut bytes, mut count, mut first) = (0, 0, None);
        file.chunks(0..u64::MAX, &mut |position| {
            merkle.push(position.chunk.id.0);
            first = first.or(Some(position.chunk.id));
            (bytes, count) = (position.end(), count + 1);
            Ok(())
        })?;
        let manifest = file.manifest();
        let chunks = manifest.layout.chunks();
        let malformed = |why: &str| {
            let why = why.to_owned();
            Err(ottvc_object::ObjectError::Malformed { what: "manifest", why }.into())
        };
        if merkle.root() != manifest.merkle_root {
            return malformed("its root is not over its chunks");
        }
        if bytes != manifest.stored_len() || count != chunks.count() {
            return malformed("its chunks do not tile the file");
        }
        // A single chunk is the file, and was hashed as a chunk already.
        let is_chunk = count == 1 && first.is_some_and(|chunk| chunk.0 == content.0);
        if rebuild && !is_chunk {
            file.write_to(&mut io::sink())?;
        }
        Ok(())
    }
}

/// The manifest that a file of the graph is kept by.
fn manifest_of(graph: &Graph, file: At) -> Option<Key> {
    graph.links(file).first().map(|at| Key::of(&graph.thing(*at)))
}

/// Notes why a file could not be checked, under the thing that is to blame.
fn note_content(
    content: ContentId,
    manifest: Option<Key>,
    error: ContentError,
    findings: &mut Findings,
) -> Result<(), RepoError> {
    let file = Key::File(content.0);
    match error {
        ContentError::Store(error) => match &error {
            StoreError::NoChunk { id } | StoreError::DamagedChunk { id, .. } => {
                findings.note_failure(Key::Held(id.0), "chunk", error)
            }
            StoreError::NotFound { id } | StoreError::Damaged { id, .. } => {
                findings.note_failure(Key::Held(id.0), "object", error)
            }
            _ => findings.note_failure(file, "file", error),
        },
        ContentError::Mismatch { found, .. } => {
            let why = format!("its chunks make a file with content {found}");
            findings.note(file, Bad::damaged("file", why, None));
            Ok(())
        }
        ContentError::Object(error) => {
            let bad = Bad::damaged("manifest", error.to_string(), None);
            findings.note(manifest.unwrap_or(file), bad);
            Ok(())
        }
        ContentError::NoManifest { .. } => {
            findings.note(file, Bad::missing("file"));
            Ok(())
        }
        error => Err(error.into()),
    }
}

/// An error and all its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
