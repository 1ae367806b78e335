//! Hash lists of a revision, as `checkout` would write it out, that other tools can check.
//!
//! BLAKE3 of a file is its content id, so a list for `b3sum` reads no file. Any other hash takes
//! reading every byte, once, and the content id is checked on the way: a list never vouches for bytes
//! that are not the file. A SHA-256 that was computed once is kept beside the manifest.
//!
//! Names need no escaping: a [`ottvc_object::Name`] holds no backslash and no control character.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ottvc_object::value::Document;
use ottvc_object::{CommitId, ContentId, Entry, FileEntry, FileMode, Hash, RepoPath, Storable};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::checkout::Shown;
use crate::content::{self, ContentError};
use crate::disputed::Disputed;
use crate::{Progress, Repo, RepoError};

/// How far a chain of symbolic links is followed.
const MAX_LINKS: usize = 16;
/// The longest target of a link, in bytes.
const MAX_TARGET: u64 = 4096;

/// Who can check the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixityFormat {
    /// `b3sum -c`.
    B3sum,
    /// `sha256sum -c`.
    Sha256sum,
    /// Tools of the ASC Media Hash List, version 2.
    AscMhl,
}

impl FixityFormat {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::B3sum => "b3sum",
            Self::Sha256sum => "sha256sum",
            Self::AscMhl => "ascmhl",
        }
    }
    /// The word for its hash function.
    pub fn algorithm(self) -> &'static str {
        match self {
            Self::B3sum => "blake3",
            Self::Sha256sum => "sha256",
            Self::AscMhl => "xxh128",
        }
    }
}

/// What to list.
#[derive(Clone, Debug)]
pub struct FixityOptions {
    /// Who is to check it.
    pub format: FixityFormat,
    /// Only these paths and what is below them; all where empty.
    pub paths: Vec<String>,
    /// What to list where there is a conflict.
    pub conflicts: Option<Disputed>,
}

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FixityFile {
    /// Its path, with `/` between names.
    #[serde(serialize_with = "crate::read::as_text")]
    pub path: RepoPath,
    /// Its length in bytes, as written out.
    pub bytes: u64,
    /// Its hash: lowercase hexadecimal digits.
    pub hash: String,
}

/// Hashes of the files of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FixityList {
    /// The commit.
    #[serde(serialize_with = "crate::read::as_text")]
    pub commit: CommitId,
    /// `b3sum`, `sha256sum` or `ascmhl`.
    pub format: &'static str,
    /// `blake3`, `sha256` or `xxh128`.
    pub algorithm: &'static str,
    /// The files, in tree order.
    pub files: Vec<FixityFile>,
    /// Paths that no list can cover: symbolic links to folders, or to what is not in the list; for
    /// `ascmhl` also what its tools pass over.
    pub left_out: Vec<String>,
    /// SHA-256 of contents that the store did not know yet; see [`Repo::keep_sha256`].
    #[serde(skip)]
    pub learnt: Vec<(ContentId, Hash)>,
}

impl FixityList {
    /// Writes the lines of a list for `b3sum -c` and `sha256sum -c`.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn write_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        for FixityFile { path, hash, .. } in &self.files {
            let path = path.to_string();
            // A bare dash is standard input to both tools.
            let dot = if path == "-" { "./" } else { "" };
            writeln!(out, "{hash}  {dot}{path}")?;
        }
        Ok(())
    }
}

/// What is hashed.
enum Job {
    File(FileEntry),
    Document(Document),
}

/// What hashing one file gave.
struct Hashed {
    bytes: u64,
    hash: String,
    learnt: Option<(ContentId, Hash)>,
}

impl Repo {
    /// Lists the files of `rev` with their hashes.
    ///
    /// A document is hashed as the JSON that `checkout` writes. A symbolic link is listed as the file
    /// of the list that it leads to, since the tools that check follow links. Reads no file for
    /// `b3sum`, each content once for the others, on as many threads as the repository may use.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`] if there are some and nothing says what to list, [`RepoError::NoPath`], or the
    /// store's for a file that cannot be read back as it was.
    pub fn fixity(
        &self,
        rev: &str,
        options: &FixityOptions,
        progress: &dyn Progress,
    ) -> Result<FixityList, RepoError> {
        let commit = self.resolve(rev)?.id;
        let tree = self.commit(commit)?.tree;
        let mut selected = self.select(rev, tree, &options.paths, &[])?;
        selected.sort_by_cached_key(|(path, _)| path.key());
        selected.dedup_by(|a, b| a.0 == b.0);
        let mut left_out = Vec::new();
        if options.format == FixityFormat::AscMhl {
            selected.retain(|(path, _)| {
                let passed_over = super::mhl::is_passed_over(path);
                if passed_over {
                    left_out.push(path.to_string());
                }
                !passed_over
            });
        }
        let shown = self.settle_for_reading(selected, options.conflicts)?;

        let mut files: HashMap<String, usize> = HashMap::new();
        let mut links: HashMap<String, RepoPath> = HashMap::new();
        let mut jobs = Vec::new();
        // Which job a path's hash comes from; a link's is not known yet.
        let mut listed: Vec<(RepoPath, Option<usize>)> = Vec::new();
        let mut contents: HashMap<ContentId, usize> = HashMap::new();
        for (path, shown) in shown {
            let at = match shown {
                Shown::Document(document) => push(&mut jobs, Job::Document(document)),
                Shown::Entry(Entry::Document { id, .. }) => {
                    let document = Document::from_object(&self.objects.get(id.into())?)?;
                    push(&mut jobs, Job::Document(document))
                }
                Shown::Entry(Entry::File(file)) if file.mode == FileMode::Symlink => {
                    if let Some(target) = self.link_target(&path, &file)? {
                        links.insert(path.to_string(), target);
                    }
                    listed.push((path, None));
                    continue;
                }
                Shown::Entry(Entry::File(file)) => *contents
                    .entry(file.content)
                    .or_insert_with(|| push(&mut jobs, Job::File(file))),
                Shown::Entry(_) => continue,
            };
            files.insert(path.to_string(), at);
            listed.push((path, Some(at)));
        }
        let hashed = self.hash_all(jobs, options.format, progress)?;
        let mut list = FixityList {
            commit,
            format: options.format.word(),
            algorithm: options.format.algorithm(),
            files: Vec::with_capacity(listed.len()),
            left_out,
            learnt: hashed.iter().filter_map(|hashed| hashed.learnt).collect(),
        };
        for (path, at) in listed {
            let at = at.or_else(|| follow(&path, &links, &files));
            match at.and_then(|at| hashed.get(at)) {
                Some(Hashed { bytes, hash, .. }) => {
                    list.files.push(FixityFile { path, bytes: *bytes, hash: hash.clone() });
                }
                None => list.left_out.push(path.to_string()),
            }
        }
        Ok(list)
    }

    /// Keeps SHA-256 hashes beside the manifests of files the store has; says how many were new.
    ///
    /// Durable on return. A manifest that has one is left alone; how a file is cut stays as it is.
    ///
    /// # Errors
    /// The store's, [`ottvc_store::StoreError::ReadOnly`] among them.
    pub fn keep_sha256(&self, learnt: &[(ContentId, Hash)]) -> Result<u64, RepoError> {
        let mut writer = self.objects.writer()?;
        let mut kept = 0;
        for (content, hash) in learnt {
            let mut manifest = content::open(&*self.objects, *content)?.manifest().clone();
            if manifest.sha256.is_none() {
                manifest.sha256 = Some(*hash);
                writer.put(&manifest.to_object()?)?;
                kept += 1;
            }
        }
        writer.finish()?;
        self.objects.sync()?;
        Ok(kept)
    }

    /// Where a link leads, as a path of the tree; `None` if it leads out of it.
    fn link_target(
        &self,
        link: &RepoPath,
        file: &FileEntry,
    ) -> Result<Option<RepoPath>, RepoError> {
        if file.len > MAX_TARGET {
            return Ok(None);
        }
        let mut target = Vec::new();
        content::open(&*self.objects, file.content)?.write_to(&mut target)?;
        let Ok(target) = std::str::from_utf8(&target) else { return Ok(None) };
        let mut names: Vec<&str> = link.names().iter().map(|name| name.as_str()).collect();
        names.pop();
        for part in target.split('/') {
            match part {
                "." => {}
                // An empty first part is the root of the file system.
                "" if target.starts_with('/') => return Ok(None),
                "" => {}
                ".." if names.pop().is_none() => return Ok(None),
                ".." => {}
                name => names.push(name),
            }
        }
        Ok(RepoPath::new(&names.join("/")).ok())
    }

    /// Hashes everything, the longest first, so that no thread is left with it in the end.
    fn hash_all(
        &self,
        jobs: Vec<Job>,
        format: FixityFormat,
        progress: &dyn Progress,
    ) -> Result<Vec<Hashed>, RepoError> {
        let size = |job: &Job| match job {
            Job::File(file) => file.len,
            Job::Document(_) => 0,
        };
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(jobs.get(*at).map_or(0, size)));
        let total = match format {
            FixityFormat::B3sum => 0,
            _ => jobs.iter().map(size).sum(),
        };
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let stop = AtomicBool::new(false);
        let work = || {
            let mut hashed: Vec<(usize, Hashed)> = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let Some(job) = jobs.get(*at) else { break };
                let mut tell = |bytes: u64| {
                    let done = done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
                    progress.report("hashing", done, total);
                };
                let one = self.hash(job, format, &mut tell);
                if one.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                hashed.push((*at, one?));
            }
            Ok::<_, RepoError>(hashed)
        };
        let threads = match format {
            FixityFormat::B3sum => 1,
            _ => self.jobs.clamp(1, jobs.len().max(1)),
        };
        let mut all: Vec<(usize, Hashed)> = std::thread::scope(|scope| {
            let mut workers = Vec::new();
            for _ in 1..threads {
                let worker = std::thread::Builder::new().spawn_scoped(scope, work);
                workers.push(worker.map_err(|source| ContentError::Thread { source })?);
            }
            let mut all = work();
            for worker in workers {
                // A panic in a thread is this program's mistake, and goes on as one.
                let part = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all = all.and_then(|mut all| {
                    all.extend(part?);
                    Ok(all)
                });
            }
            all
        })?;
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, hashed)| hashed).collect())
    }

    fn hash(
        &self,
        job: &Job,
        format: FixityFormat,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Hashed, RepoError> {
        let mut hasher = Hasher::new(format);
        let file = match job {
            Job::Document(document) => {
                let json = document.to_json_pretty();
                hasher.update(json.as_bytes());
                let bytes = json.len() as u64;
                return Ok(Hashed { bytes, hash: hex(&hasher.finish()), learnt: None });
            }
            Job::File(file) => file,
        };
        let found = |hash: &[u8]| Hashed { bytes: file.len, hash: hex(hash), learnt: None };
        if format == FixityFormat::B3sum {
            return Ok(found(file.content.as_bytes()));
        }
        let reader = content::open(&*self.objects, file.content)?;
        let known = reader.manifest().sha256.filter(|_| format == FixityFormat::Sha256sum);
        if let Some(known) = known {
            tell(file.len);
            return Ok(found(&known));
        }
        reader.write_to(&mut Telling { hasher: &mut hasher, tell })?;
        let hash = hasher.finish();
        let learnt = <Hash>::try_from(hash.as_slice()).ok().map(|hash| (file.content, hash));
        let learnt = learnt.filter(|_| format == FixityFormat::Sha256sum);
        Ok(Hashed { learnt, ..found(&hash) })
    }
}

fn push(jobs: &mut Vec<Job>, job: Job) -> usize {
    jobs.push(job);
    jobs.len() - 1
}

/// The file of the list that a link leads to, by way of other links perhaps.
fn follow(
    link: &RepoPath,
    links: &HashMap<String, RepoPath>,
    files: &HashMap<String, usize>,
) -> Option<usize> {
    let mut at = link.to_string();
    for _ in 0..MAX_LINKS {
        at = links.get(&at)?.to_string();
        if let Some(file) = files.get(&at) {
            return Some(*file);
        }
    }
    None
}

/// Lowercase hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hash function of one of the formats.
pub(super) enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Sha256),
    Xxh128(Box<twox_hash::XxHash3_128>),
}

impl Hasher {
    pub(super) fn new(format: FixityFormat) -> Self {
        match format {
            FixityFormat::B3sum => Self::Blake3(Box::default()),
            FixityFormat::Sha256sum => Self::Sha256(Sha256::new()),
            FixityFormat::AscMhl => Self::Xxh128(Box::new(twox_hash::XxHash3_128::new())),
        }
    }
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Xxh128(hasher) => hasher.write(bytes),
        }
    }
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            // xxHash's canonical form is big-endian.
            Self::Xxh128(hasher) => hasher.finish_128().to_be_bytes().to_vec(),
        }
    }
}

/// Hashes what is written, and tells how much that was.
struct Telling<'h> {
    hasher: &'h mut Hasher,
    tell: &'h mut dyn FnMut(u64),
}

impl Write for Telling<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        (self.tell)(bytes.len() as u64);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
