//! The merge of one place in a tree: a file, a document or a folder, or a conflict among them.
//!
//! Contents are compared by id alone. What an id cannot decide is handed back: documents and folders
//! to be looked into, structured files to be tried. Name, executable bit and former paths merge apart
//! from content, so a rename or `chmod` on one side goes with an edit on the other.

use std::collections::BTreeSet;

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::entry::MAX_FORMER_PATHS;
use ottvc_object::field_path::FieldPath;
use ottvc_object::{DocumentId, Entry, FileEntry, FileMode, Name, NamedEntry, RepoPath, TreeId};

use crate::algebra::{agreed_by, settle_by, simplify_by};
use crate::{MergeError, MergeOptions, Side};

/// What one term has at a place of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryTerm {
    /// Nothing.
    Absent,
    /// An entry that is no conflict.
    Entry(NamedEntry),
    /// A conflict: its entry, and the conflict that entry names.
    Conflict(NamedEntry, Conflict<Entry>),
}

impl EntryTerm {
    fn named(&self) -> Option<&NamedEntry> {
        match self {
            Self::Absent => None,
            Self::Entry(named) | Self::Conflict(named, _) => Some(named),
        }
    }
    fn slot(&self) -> Slot<'_> {
        match self {
            Self::Absent => Slot::Absent,
            Self::Entry(named) => Slot::Entry(&named.entry),
            Self::Conflict(_, conflict) => Slot::Conflict(conflict),
        }
    }
}

/// What merging one place of a tree came to, or needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryMerge {
    /// The place is settled: this, or nothing.
    Take(Option<NamedEntry>),
    /// Documents that differ: load them, call [`crate::merge_values`] with `options` and the same
    /// path, and put the result at `place`. A `None` from there means there is nothing at the place.
    Documents {
        /// What to load; the sides' own conflicts between documents are already taken apart.
        terms: Terms<Option<DocumentId>>,
        /// Where the result goes.
        place: Place,
    },
    /// Folders that differ: merge each name in them, an absent folder counting as an empty one. If
    /// nothing is left, there is no folder.
    Folders {
        /// What to look into.
        terms: Terms<Option<TreeId>>,
        /// Where the result goes.
        place: Place,
    },
    /// JSON files that differ: if all of them can be read, merge them by structure, and where that
    /// leaves no conflict write the result as a file of this mode; else do what `otherwise` says.
    Structured {
        /// What to read.
        terms: Terms<Option<FileEntry>>,
        /// The mode the merged file gets.
        mode: FileMode,
        /// Where the result goes.
        place: Place,
        /// What the place comes to if structure does not help.
        otherwise: Box<(Self, Vec<EntryDecision>)>,
    },
    /// A conflict: store it, and put an entry that names it at `place`.
    Conflict {
        /// What disagrees.
        conflict: Conflict<Entry>,
        /// Where it goes.
        place: Place,
    },
}

/// The name and history an entry gets at its place, merged apart from its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: Name,
    /// Paths it had before: sorted, at most [`MAX_FORMER_PATHS`].
    pub former: Vec<RepoPath>,
}

impl Place {
    /// Puts `entry` here.
    pub fn with(&self, entry: Entry) -> NamedEntry {
        NamedEntry { name: self.name.clone(), entry, former: self.former.clone() }
    }
}

/// What a rule decided about a whole entry, or the spelling that was taken of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryDecision {
    /// Where.
    pub path: RepoPath,
    /// The rule, as it was written; `name` for two spellings of one name.
    pub rule: String,
    /// Whose entry, or spelling, was taken.
    pub chosen: Side,
    /// What the sides and bases have there.
    pub terms: Terms<Option<Entry>>,
}

/// Merges what the terms have at `path`: `[ours, base, theirs]`, or more sides.
///
/// Give conflicts as [`EntryTerm::Conflict`] with what they hold; places are the same when their keys
/// are ([`Name::key`]), so names in the terms may differ in case.
///
/// # Errors
/// [`MergeError::TooManyTerms`], or [`MergeError::UnreadConflict`] for a conflict given by id alone.
pub fn merge_entries(
    terms: &Terms<EntryTerm>,
    options: &MergeOptions,
    path: &RepoPath,
) -> Result<(EntryMerge, Vec<EntryDecision>), MergeError> {
    let all: Vec<&EntryTerm> = terms.as_slice().iter().collect();
    let unread = |term: &&EntryTerm| {
        matches!(term, EntryTerm::Entry(NamedEntry { entry: Entry::Conflict(_), .. }))
    };
    if all.iter().any(unread) {
        return Err(MergeError::UnreadConflict { path: path.clone() });
    }
    let mut decisions = Vec::new();
    // S0, S1: as wholes.
    let same = |a: &&EntryTerm, b: &&EntryTerm| a.slot() == b.slot();
    let settled = settle_by(&all, &same);
    if let Some(EntryTerm::Absent) = settled {
        return Ok((EntryMerge::Take(None), decisions));
    }
    let Some(place) = merge_place(terms, path, &mut decisions) else {
        return Ok((EntryMerge::Take(None), decisions));
    };
    if let Some(terms) = counted(&all, options) {
        return Ok((EntryMerge::Documents { terms, place }, decisions));
    }
    if let Some(named) = settled.and_then(EntryTerm::named) {
        return Ok((EntryMerge::Take(Some(place.with(named.entry))), decisions));
    }
    // S3: with the sides' own conflicts taken apart.
    let flat = flatten(&all.iter().map(|term| term.slot()).collect::<Vec<_>>());
    if let Some(Slot::Absent | Slot::Entry(_)) = agreed_by(&flat, &Slot::eq) {
        return Ok((EntryMerge::Take(taken(flat.first(), &place)), decisions));
    }
    let simple = simplify_by(flat, &Slot::eq);
    if agreed_by(&simple, &Slot::eq).is_some() {
        return Ok((EntryMerge::Take(taken(simple.first(), &place)), decisions));
    }
    let open = Open { terms, simple, place, options, path };
    let (merge, decision) = open.merge()?;
    decisions.extend(decision);
    Ok((merge, decisions))
}

/// The documents of a place where equal sides settle nothing, as the schema counts something in them.
fn counted(all: &[&EntryTerm], options: &MergeOptions) -> Option<Terms<Option<DocumentId>>> {
    options.schema.as_ref().filter(|schema| schema.counts())?;
    let slots: Vec<Slot<'_>> = all.iter().map(|term| term.slot()).collect();
    let simple = simplify_by(slots, &Slot::eq);
    let document = |slot: &Slot<'_>| match slot {
        Slot::Absent => Some(None),
        Slot::Entry(Entry::Document { id, .. }) => Some(Some(*id)),
        _ => None,
    };
    let terms: Vec<Option<DocumentId>> = simple.iter().map(document).collect::<Option<_>>()?;
    let agreed = matches!(agreed_by(&terms, &Option::eq), Some(Some(_)));
    if terms.len() > 1 && agreed { Terms::new(terms).ok() } else { None }
}

/// Builds the conflict of these entries, for callers that find one between places: renames.
pub fn entry_conflict(kind: ConflictKind, terms: &Terms<Option<Entry>>) -> Conflict<Entry> {
    Conflict {
        kind,
        path: FieldPath::root(),
        policy: "atomic".to_owned(),
        terms: terms.map(|entry| Term::from(*entry)),
    }
}

/// [`EntryTerm`] without names: what content is compared by.
#[derive(Clone, Copy, Debug)]
enum Slot<'a> {
    Absent,
    Entry(&'a Entry),
    Conflict(&'a Conflict<Entry>),
}

impl<'a> Slot<'a> {
    fn entry(self) -> Option<&'a Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Absent | Self::Conflict(_) => None,
        }
    }
}

impl<'a> From<&'a Term<Entry>> for Slot<'a> {
    fn from(term: &'a Term<Entry>) -> Self {
        match term {
            Term::Absent => Self::Absent,
            Term::Value(entry) => Self::Entry(entry),
            Term::Contested(conflict) => Self::Conflict(conflict),
        }
    }
}

impl PartialEq for Slot<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Entry(a), Self::Entry(b)) => a == b,
            (Self::Conflict(a), Self::Conflict(b)) => a == b || a.core_id() == b.core_id(),
            _ => false,
        }
    }
}

/// Replaces each conflict among the adds by its terms.
fn flatten<'a>(terms: &[Slot<'a>]) -> Vec<Slot<'a>> {
    let mut flat = Vec::with_capacity(terms.len());
    for (at, slot) in terms.iter().enumerate() {
        match slot {
            Slot::Conflict(conflict) if at % 2 == 0 => {
                let inner: Vec<Slot<'a>> =
                    conflict.terms.as_slice().iter().map(Slot::from).collect();
                flat.extend(flatten(&inner));
            }
            slot => flat.push(*slot),
        }
    }
    flat
}

fn taken(slot: Option<&Slot<'_>>, place: &Place) -> Option<NamedEntry> {
    slot.and_then(|slot| slot.entry()).map(|entry| place.with(*entry))
}

/// A place where the sides differ.
struct Open<'a> {
    /// As given.
    terms: &'a Terms<EntryTerm>,
    /// Taken apart and cancelled: no conflicts among the adds.
    simple: Vec<Slot<'a>>,
    place: Place,
    options: &'a MergeOptions,
    path: &'a RepoPath,
}

impl Open<'_> {
    fn merge(self) -> Result<(EntryMerge, Option<EntryDecision>), MergeError> {
        // S2: a base in conflict is not looked into.
        if self.simple.iter().any(|slot| matches!(slot, Slot::Conflict(_))) {
            return Ok((self.conflict(ConflictKind::ContestedBase)?, None));
        }
        let document = |entry: &Entry| match entry {
            Entry::Document { id, .. } => Some(*id),
            _ => None,
        };
        if let Some(terms) = self.all(document)? {
            return Ok((EntryMerge::Documents { terms, place: self.place }, None));
        }
        let folder = |entry: &Entry| match entry {
            Entry::Tree { id, .. } => Some(*id),
            _ => None,
        };
        if let Some(terms) = self.all(folder)? {
            return Ok((EntryMerge::Folders { terms, place: self.place }, None));
        }
        if self.simple.iter().step_by(2).any(|slot| *slot == Slot::Absent) {
            return self.decide(ConflictKind::DeleteEdit);
        }
        let kind = self.kind();
        let file = |entry: &Entry| match entry {
            Entry::File(file) if file.mode != FileMode::Symlink => Some(*file),
            _ => None,
        };
        let Some(files) = self.all(file)? else { return self.decide(kind) };
        let mode = merge_mode(&files);
        let contents = files.map(|file| file.map(|file| (file.content, file.len)));
        if let Some(Some((content, len))) = settle_by(contents.as_slice(), &PartialEq::eq) {
            let entry = Entry::File(FileEntry { content, len, mode });
            return Ok((EntryMerge::Take(Some(self.place.with(entry))), None));
        }
        if !self.place.name.as_str().ends_with(".json") {
            return self.decide(kind);
        }
        let (otherwise, decision) = self.decide(kind)?;
        let otherwise = Box::new((otherwise, decision.into_iter().collect()));
        let place = self.place;
        Ok((EntryMerge::Structured { terms: files, mode, place, otherwise }, None))
    }

    /// Reads every present term by `read`, or gives `None` where one is something else. The terms as
    /// given are kept if possible: in their places rules can tell ours from theirs.
    fn all<T: Copy>(
        &self,
        read: impl Fn(&Entry) -> Option<T>,
    ) -> Result<Option<Terms<Option<T>>>, MergeError> {
        let collect = |slots: &mut dyn Iterator<Item = Slot<'_>>| -> Option<Vec<Option<T>>> {
            slots
                .map(|slot| match slot {
                    Slot::Absent => Some(None),
                    Slot::Entry(entry) => read(entry).map(Some),
                    Slot::Conflict(_) => None,
                })
                .collect()
        };
        let given = collect(&mut self.terms.as_slice().iter().map(EntryTerm::slot));
        let found = given.or_else(|| collect(&mut self.simple.iter().copied()));
        found.map(|terms| Terms::new(terms).map_err(|_| self.too_many())).transpose()
    }

    /// The kind of conflict there is while no side is absent.
    fn kind(&self) -> ConflictKind {
        if self.simple.iter().skip(1).step_by(2).all(|slot| *slot == Slot::Absent) {
            return ConflictKind::AddAdd;
        }
        let kinds: BTreeSet<&str> =
            self.simple.iter().filter_map(|slot| slot.entry()).map(Entry::word).collect();
        if kinds.len() > 1 { ConflictKind::Type } else { ConflictKind::EditEdit }
    }

    /// S8, S9: what a rule says, or a conflict.
    fn decide(
        &self,
        kind: ConflictKind,
    ) -> Result<(EntryMerge, Option<EntryDecision>), MergeError> {
        let terms = self.terms.as_slice();
        if let Some(rule) = self.options.rule_for(self.path, None) {
            let term = match rule.side {
                Side::Ours => terms.first(),
                Side::Theirs => terms.last(),
                Side::Base => terms.get(1),
            };
            let entry = match term {
                Some(EntryTerm::Absent) => Some(None),
                Some(EntryTerm::Entry(named)) => Some(Some(self.place.with(named.entry))),
                // A side that has not decided itself cannot decide here.
                Some(EntryTerm::Conflict(..)) | None => None,
            };
            if let Some(entry) = entry {
                let decision = EntryDecision {
                    path: self.path.clone(),
                    rule: rule.to_string(),
                    chosen: rule.side,
                    terms: entries_of(self.terms),
                };
                return Ok((EntryMerge::Take(entry), Some(decision)));
            }
        }
        Ok((self.conflict(kind)?, None))
    }

    fn conflict(&self, kind: ConflictKind) -> Result<EntryMerge, MergeError> {
        let term = |slot: &Slot<'_>| match slot {
            Slot::Absent => Term::Absent,
            Slot::Entry(entry) => Term::Value(**entry),
            Slot::Conflict(conflict) => Term::Contested(Box::new((*conflict).clone())),
        };
        let terms =
            Terms::new(self.simple.iter().map(term).collect()).map_err(|_| self.too_many())?;
        let path = FieldPath::root();
        let conflict = Conflict { kind, path, policy: "atomic".to_owned(), terms };
        Ok(EntryMerge::Conflict { conflict, place: self.place.clone() })
    }

    fn too_many(&self) -> MergeError {
        MergeError::TooManyTerms { at: self.path.to_string(), count: self.simple.len() }
    }
}

fn entries_of(terms: &Terms<EntryTerm>) -> Terms<Option<Entry>> {
    terms.map(|term| term.named().map(|named| named.entry))
}

/// Merges the executable bit: a matter of two values, so it always settles. Absent counts as without.
fn merge_mode(files: &Terms<Option<FileEntry>>) -> FileMode {
    let set =
        |file: &&Option<FileEntry>| file.is_some_and(|file| file.mode == FileMode::Executable);
    if files.adds().filter(set).count() > files.removes().filter(set).count() {
        FileMode::Executable
    } else {
        FileMode::Regular
    }
}

/// Merges name and former paths of the terms that are there; `None` if none is.
fn merge_place(
    terms: &Terms<EntryTerm>,
    path: &RepoPath,
    decisions: &mut Vec<EntryDecision>,
) -> Option<Place> {
    let name = |term: &EntryTerm| term.named().map(|named| named.name.clone());
    let names = terms.map(name);
    let name = match settle_by(names.as_slice(), &PartialEq::eq).flatten() {
        Some(name) => name,
        None => {
            // Spellings of one place (they differ in case only) that a side made, or else has.
            let old: BTreeSet<&Name> = names.removes().flatten().collect();
            let sides: BTreeSet<&Name> = names.adds().flatten().collect();
            let new: Vec<&&Name> = sides.difference(&old).collect();
            let first = new.first().copied().or_else(|| sides.first())?;
            if new.len() > 1 {
                let ours = names.as_slice().first().and_then(Option::as_ref);
                decisions.push(EntryDecision {
                    path: path.clone(),
                    rule: "name".to_owned(),
                    chosen: if ours == Some(*first) { Side::Ours } else { Side::Theirs },
                    terms: entries_of(terms),
                });
            }
            (*first).clone()
        }
    };
    let formers = |term: &EntryTerm| term.named().map(|named| named.former.clone());
    let formers = terms.map(|term| formers(term).unwrap_or_default());
    let every: BTreeSet<&RepoPath> = formers.as_slice().iter().flatten().collect();
    let kept = every.into_iter().filter(|former| {
        let lists = |of: &&Vec<RepoPath>| of.contains(former);
        formers.adds().filter(lists).count() > formers.removes().filter(lists).count()
    });
    Some(Place { name, former: kept.take(MAX_FORMER_PATHS).cloned().collect() })
}
