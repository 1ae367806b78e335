//! Conflicts: listing them, and settling them place by place.

mod editions;
mod places;
mod rows;
mod settling;
mod steps;

use std::sync::Arc;

use ottvc_merge::schema::{Broken, Known, validate, validate_since};
use ottvc_merge::{Choice, Rule};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::path::PathKey;
use ottvc_object::tree::lookup_path;
use ottvc_object::value::value_to_json;
use ottvc_object::{CommitId, Entry, RepoPath, Storable, TreeId};
use serde::Serialize;
use serde_json::Value as Json;

use crate::cache::{self, Rows};
use crate::derived::{Again, FilmRow, Noted};
use crate::disputed::choice_of;
use crate::nodes::Batch;
use crate::record::place_text;
use crate::schemas::{Found, Schemas, convert, differ, refuse};
use crate::stage::Edits;
use crate::workspace::State;
use crate::worktree::Sink;
use crate::{Repo, RepoError};

pub(crate) use editions::{Heads, Merge};
use editions::{Merged, heads_of};
pub(crate) use places::{Disputed, Holds, Places, conflict_at};
pub use rows::ConflictRow;
pub(crate) use rows::{entry_json, leaves};
use settling::Settling;
pub use steps::Step;

/// How many conflicts an error names.
const NAMED_CONFLICTS: usize = 5;

/// Which conflicts to settle, and how.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// Only those at or below this path; all where `None`.
    pub path: Option<RepoPath>,
    /// Only those at or below this field.
    pub field: Option<FieldPath>,
    /// What to put there; where `None`, only rules choose.
    pub choice: Option<Choice>,
    /// Rules, asked first.
    pub rules: Vec<Rule>,
}

/// What `resolve` did.
#[derive(Clone, Debug, Serialize)]
pub struct Resolved {
    /// The conflicts it settled.
    pub resolved: Vec<ResolvedRow>,
    /// Those left.
    pub remaining: Vec<ConflictRow>,
    /// Fields made again of the films that are chosen by now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<FilmRow>,
}

/// One conflict settled.
#[derive(Clone, Debug, Serialize)]
pub struct ResolvedRow {
    /// The conflict's id.
    pub id: String,
    /// The entry.
    pub path: String,
    /// The field, for one inside a document.
    pub field: Option<String>,
    /// `ours`, `theirs`, `base`, `term`, `value`, `absent`, `both` or `order`; `memory`, or `memory_other_base`
    /// for what was settled over another base.
    pub taken: &'static str,
    /// What stands there now; left out where nothing does, and for an order and both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Whether nothing stands there now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
    /// Why, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it was.
    #[serde(skip)]
    pub was: ConflictRow,
}

impl ResolvedRow {
    fn of(was: ConflictRow, choice: &Choice, taken: &'static str, reason: Option<String>) -> Self {
        let side = |name, value: &Json| match was.absent.contains(&name) {
            true => (None, true),
            false => (Some(value.clone()), false),
        };
        let (value, absent) = match choice {
            Choice::Ours | Choice::Term(0) => side("ours", &was.ours),
            Choice::Base | Choice::Term(1) => side("base", &was.base),
            Choice::Theirs => side("theirs", &was.theirs),
            Choice::Term(at) if was.terms.is_empty() && *at == 2 => side("theirs", &was.theirs),
            Choice::Term(at) => (was.terms.get(*at).filter(|it| !it.is_null()).cloned(), false),
            Choice::Value(value) => (Some(value_to_json(value)), false),
            Choice::Absent => (None, true),
            Choice::Both | Choice::Order(_) => (None, false),
        };
        let (id, path, field) = (was.id.clone(), was.path.clone(), was.field.clone());
        Self { id, path, field, taken, value, absent, reason, was }
    }
}

/// How to settle the conflict at one place.
#[derive(Debug)]
struct Chosen {
    place: ConflictPlace,
    choice: Choice,
    taken: &'static str,
    reason: Option<String>,
}

/// What is remembered of how conflicts were settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Of the same disagreement.
    Exact,
    /// Also of the same sides over another base.
    AnyBase,
}

/// What chooses.
#[derive(Clone, Copy)]
enum By<'a> {
    /// What the resolution says.
    Choice,
    /// How it was settled before.
    Memory(Before),
    /// The side that is this edition.
    Edition(&'a str),
}

impl Repo {
    /// Lists the conflicts of a revision, or of what is staged.
    pub fn conflicts(&self, rev: Option<&str>) -> Result<Vec<ConflictRow>, RepoError> {
        let batch = Batch::new(&self.nodes);
        match rev {
            Some(rev) => {
                let commit = self.commit(self.resolve(rev)?.id)?;
                self.conflict_rows(
                    &batch,
                    commit.tree,
                    &commit.conflicts,
                    heads_of(&commit).as_ref(),
                )
            }
            None => {
                let state = self.state()?;
                let head = self.head_commit_id(&state)?;
                let places = self.conflict_places(&batch, state.staged, &state, head)?;
                let heads = self.staged_heads(&state, head)?;
                self.conflict_rows(&batch, state.staged, &places, heads.as_ref())
            }
        }
    }

    /// Settles conflicts of what is staged, in the stage and in the working copy, all or none.
    ///
    /// # Errors
    /// [`RepoError::NoConflict`] if none is where the call says; [`RepoError::BadArgument`] if a value, nothing or
    /// an order would go to more than one; [`RepoError::LocalChanges`] if a document was changed by hand since the
    /// merge: adding it keeps those changes.
    pub fn settle(&self, resolution: &Resolution) -> Result<Resolved, RepoError> {
        self.settle_or_try(resolution, By::Choice, false)
    }

    /// Settles conflicts as the side of their merge has them that is an edition: a branch's name, an edition's id
    /// or class. That is the merge in progress, or the one whose conflicts the last commit has. With `dry`, says
    /// so and does nothing.
    ///
    /// # Errors
    /// As [`Repo::settle`]; [`RepoError::NoMerge`] where there is neither; [`RepoError::BadArgument`] if neither
    /// side is that edition, or both are, or where it has no value of its own, as it is in conflict there.
    pub fn settle_by_edition(
        &self,
        resolution: &Resolution,
        edition: &str,
        dry: bool,
    ) -> Result<Resolved, RepoError> {
        self.settle_or_try(resolution, By::Edition(edition), dry)
    }

    /// Settles conflicts as they were settled before, where that is remembered so; what the resolution
    /// chooses does not count, but where it is about does. With `dry`, says so and does nothing.
    ///
    /// # Errors
    /// As [`Repo::settle`].
    pub fn settle_as_before(
        &self,
        resolution: &Resolution,
        before: Before,
        dry: bool,
    ) -> Result<Resolved, RepoError> {
        self.settle_or_try(resolution, By::Memory(before), dry)
    }

    /// Says what [`Repo::settle`] would do, each conflict that a rule or path names on its own, and does
    /// nothing.
    ///
    /// # Errors
    /// As [`Repo::settle`].
    pub fn settle_dry(&self, resolution: &Resolution) -> Result<Resolved, RepoError> {
        self.settle_or_try(resolution, By::Choice, true)
    }

    /// The side that is an edition, a branch's name, an edition's id or class, of the merge in progress or of the
    /// one whose conflicts the last commit has.
    fn side_of_edition(&self, state: &State, edition: &str) -> Result<(Heads, Merged), RepoError> {
        let head = self.head_commit_id(state)?;
        let heads = self.staged_heads(state, head)?.ok_or(RepoError::NoMerge)?;
        let batch = Batch::new(&self.nodes);
        // What was committed may lie on any branch by now, so its editions are known by their ids.
        let names = state.merging.as_ref().map(|merging| merging.theirs_name.clone());
        let names = names.map(|theirs| (crate::record::branch_name(state), theirs));
        let (ours, theirs) = names.unzip();
        let ours = self.edition_names(&batch, ours.flatten().as_deref(), heads.ours)?;
        let theirs = self.edition_names(&batch, theirs.as_deref(), heads.theirs)?;
        let is_it = |names: &[String]| names.iter().any(|name| name == edition);
        let bad = |why: String| RepoError::BadArgument {
            given: edition.to_owned(),
            wanted: "edition of this merge",
            why,
        };
        match (is_it(&ours), is_it(&theirs)) {
            (true, false) => Ok((heads, Merged::Ours)),
            (false, true) => Ok((heads, Merged::Theirs)),
            (true, true) => Err(bad("both sides are".into())),
            (false, false) => {
                let named = |names: &[String], head| -> Result<String, RepoError> {
                    let edition = self.commit(head)?.edition.to_string();
                    Ok(match names.first() {
                        Some(name) if *name != edition => format!("`{name}`"),
                        _ => format!("the edition {edition}, which has no branch"),
                    })
                };
                let (ours, theirs) = (named(&ours, heads.ours)?, named(&theirs, heads.theirs)?);
                Err(bad(format!("it merges {ours} and {theirs}")))
            }
        }
    }

    fn settle_or_try(
        &self,
        resolution: &Resolution,
        by: By<'_>,
        dry: bool,
    ) -> Result<Resolved, RepoError> {
        let batch = Batch::new(&self.nodes);
        let (state, head, places) = self.open_places(&batch)?;
        // Where there is none, it makes no difference which merge there was.
        if !places.iter().any(|place| resolution.covers(place)) {
            return Err(RepoError::NoConflict { place: resolution.place() });
        }
        let mut at = Places::of(self, &batch, state.staged)?;
        let mut side = match by {
            By::Edition(edition) => {
                let (heads, side) = self.side_of_edition(&state, edition)?;
                Some((Merge::of(&at, &heads)?, (edition, side)))
            }
            By::Choice | By::Memory(_) => None,
        };
        let mut all = Vec::new();
        for place in places.into_iter().filter(|place| resolution.covers(place)) {
            let ruled = resolution.ruled(&place);
            let chosen = match (by, &mut side) {
                (By::Memory(before), _) => self
                    .suggested_choice(&mut at, &place, before == Before::AnyBase)?
                    .map(|(choice, other_base)| match other_base {
                        false => (choice, "memory"),
                        true => (choice, "memory_other_base"),
                    }),
                (_, Some((merge, side))) if ruled.is_none() => {
                    Some(merge.choice_of_side(&mut at, &place, *side)?)
                }
                _ => resolution.choice_for(&place),
            };
            all.extend(chosen.map(|(choice, taken)| Chosen { place, choice, taken, reason: None }));
        }
        if all.is_empty() {
            return Err(match by {
                By::Memory(_) => RepoError::NothingRemembered {
                    place: match resolution.path {
                        Some(_) => format!("the conflicts at {}", resolution.place()),
                        None => "these conflicts".to_owned(),
                    },
                },
                By::Choice | By::Edition(_) => RepoError::NoConflict { place: resolution.place() },
            });
        }
        refuse_one_for_many(resolution, &all)?;
        self.settle_chosen(&batch, state, head, all, dry)
    }

    /// The state of the working copy, the commit it stands on, and where what is staged has conflicts.
    fn open_places(
        &self,
        batch: &Batch<'_>,
    ) -> Result<(State, Option<CommitId>, Vec<ConflictPlace>), RepoError> {
        let state = self.state()?;
        let head = self.head_commit_id(&state)?;
        let places = self.conflict_places(batch, state.staged, &state, head)?;
        Ok((state, head, places))
    }

    /// Settles conflicts, all or none. Why goes into the message that the commit of the merge will have, unless
    /// it is given another.
    fn settle_chosen(
        &self,
        batch: &Batch<'_>,
        mut state: State,
        head: Option<CommitId>,
        all: Vec<Chosen>,
        dry: bool,
    ) -> Result<Resolved, RepoError> {
        let mut settling = Settling::new(Places::of(self, batch, state.staged)?);
        let mut resolved = Vec::new();
        let mut reasons = Vec::new();
        for Chosen { place, choice, taken, reason } in all {
            let Some(row) = settling.settle(&place, &choice)? else { continue };
            if let Some(reason) = &reason {
                reasons.push(format!("{}: {reason}", place_text(&place)));
            }
            resolved.push(ResolvedRow::of(row, &choice, taken, reason));
        }
        let mut edits = settling.into_edits()?;
        if let Some(merging) = &mut state.merging {
            merging.add_reasons(&reasons);
        }
        let before = self.schemas_for_reading(batch, state.staged)?;
        self.refuse_changed(batch, state.staged, &before, &edits)?;
        let mut settled = self.apply(state.staged, &edits, batch)?;
        let changed: Vec<RepoPath> = edits.values().map(|edit| edit.path.clone()).collect();
        let noted = self.noted_films(head)?;
        let again = self.made_by_end(batch, &state, head, settled, (&changed, &noted))?;
        if !again.edits.is_empty() {
            edits.extend(again.edits);
            settled = self.apply(state.staged, &edits, batch)?;
        }
        let after = self.schemas(batch, settled)?;
        self.conform_settled(batch, state.staged, &after, &mut edits)?;
        state.staged = self.apply(state.staged, &edits, batch)?;
        if !dry {
            let mut writer = self.objects.writer()?;
            batch.flush(&mut *writer)?;
            writer.finish()?;
            let rows = self.write_settled((&before, &after), &edits)?;
            self.save_state(&state, &rows)?;
        }
        let left = self.conflict_places(batch, state.staged, &state, head)?;
        let heads = self.staged_heads(&state, head)?;
        let remaining = self.conflict_rows(batch, state.staged, &left, heads.as_ref())?;
        Ok(Resolved { resolved, remaining, made: again.made })
    }

    /// Converts the documents that were settled to their schemas.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] if one breaks a rule that it did not break before.
    fn conform_settled(
        &self,
        batch: &Batch<'_>,
        staged: TreeId,
        schemas: &Schemas,
        edits: &mut Edits,
    ) -> Result<(), RepoError> {
        let mut findings = Vec::new();
        for edit in edits.values_mut() {
            let Some(named) = &mut edit.new else { continue };
            let (Entry::Document { id, .. }, Some(schema)) = (named.entry, schemas.of(&edit.path))
            else {
                continue;
            };
            let document = convert(Some(schema), batch.load(id)?)?;
            let mut found = validate(document.value(), schema);
            if !found.is_empty()
                && let Some(Entry::Document { id, .. }) =
                    lookup_path(batch, staged, &edit.path)?.map(|named| named.entry)
            {
                let before = convert(Some(schema), batch.load(id)?)?;
                let mut known = Known::by_writing(Broken::of(before.value(), schema));
                found = validate_since(document.value(), schema, &mut known);
            }
            findings.extend(found.into_iter().map(|it| Found::of(&edit.path, schema, it)));
            let object = document.to_object()?;
            named.entry =
                Entry::Document { id: object.id().into(), len: object.bytes().len() as u64 };
            batch.put(object);
        }
        refuse(findings)
    }

    /// Fields that are made again in `tree` while a merge is settled, as far as what lies at the `changed` paths is
    /// concerned; not in documents that were changed by hand since they were staged.
    pub(crate) fn made_by_end(
        &self,
        batch: &Batch<'_>,
        state: &State,
        head: Option<CommitId>,
        tree: TreeId,
        (changed, noted): (&[RepoPath], &Noted),
    ) -> Result<Again, RepoError> {
        let Some(sides) = self.sides_merged(state, head)? else { return Ok(Again::default()) };
        let mut again = self.make_again(batch, sides, tree, (changed, noted))?;
        let schemas = self.schemas_for_reading(batch, state.staged)?;
        match self.refuse_changed(batch, state.staged, &schemas, &again.edits) {
            Err(RepoError::LocalChanges { paths }) => {
                let by_hand = |path: &str| paths.iter().any(|other| other == path);
                again.edits.retain(|_, edit| !by_hand(&edit.path.to_string()));
                again.made.retain(|row| !by_hand(&row.path));
            }
            other => other?,
        }
        Ok(again)
    }

    /// Refuses to write over what was changed by hand since it was staged, and over what is staged, or lies
    /// there, where a side of a rename goes.
    fn refuse_changed(
        &self,
        batch: &Batch<'_>,
        staged: TreeId,
        schemas: &Schemas,
        edits: &Edits,
    ) -> Result<(), RepoError> {
        let mut changed = Vec::new();
        for edit in edits.values() {
            let before = self.staged_at(staged, &edit.path)?.map(|named| named.entry);
            // Already there where a crash came between writing files and saving the state.
            let new = edit.new.as_ref().map(|named| named.entry);
            if matches!(before, Some(Entry::File(_))) && before != new {
                changed.push(edit.path.to_string());
                continue;
            }
            let expected: Vec<Entry> = before.into_iter().chain(new).collect();
            if let Some(here) = self.look(&edit.path, &expected, schemas, &mut Rows::new())?
                && !self.holds(batch, before, here)?
                && !self.holds(batch, new, here)?
            {
                changed.push(edit.path.to_string());
            }
        }
        match changed.is_empty() {
            true => Ok(()),
            false => Err(RepoError::LocalChanges { paths: changed }),
        }
    }

    /// Writes what was settled into the working copy, as [`Repo::move_to`] writes documents.
    pub(crate) fn write_settled(
        &self,
        (before, after): (&Schemas, &Arc<Schemas>),
        edits: &Edits,
    ) -> Result<Rows, RepoError> {
        let plain = Sink::open(&self.root)?.under(after);
        let tagged = Sink::open(&self.root)?;
        let sink_for = |path: &RepoPath| match differ(before.of(path), after.of(path)) {
            true => &tagged,
            false => &plain,
        };
        let mut rows = Rows::new();
        for edit in edits.values() {
            match edit.new.as_ref().map(|named| named.entry) {
                None => {
                    plain.remove(&edit.path)?;
                    cache::forget(&mut rows, &edit.path);
                }
                Some(Entry::Tree { id, .. }) => {
                    plain.remove(&edit.path)?;
                    ottvc_object::tree::walk(&self.nodes, id, &edit.path, &mut |path, named| {
                        if !matches!(named.entry, Entry::Tree { .. } | Entry::Conflict(_)) {
                            let facts = sink_for(path).put(&*self.objects, path, &named.entry)?;
                            cache::note_written(&mut rows, path, &facts, (named.entry, true))?;
                        }
                        Ok::<bool, RepoError>(true)
                    })?;
                }
                Some(entry) => {
                    let facts = sink_for(&edit.path).put(&*self.objects, &edit.path, &entry)?;
                    cache::note_written(&mut rows, &edit.path, &facts, (entry, true))?;
                }
            }
        }
        Ok(rows)
    }
}

/// Refuses a choice that says what one place is to have where it would go to several.
fn refuse_one_for_many(resolution: &Resolution, all: &[Chosen]) -> Result<(), RepoError> {
    let of_one = |it: &&Chosen| matches!(it.taken, "value" | "absent" | "order");
    let many: Vec<String> = all.iter().filter(of_one).map(|it| place_text(&it.place)).collect();
    if many.len() < 2 {
        return Ok(());
    }
    let mut named = many.iter().take(NAMED_CONFLICTS).cloned().collect::<Vec<String>>().join(", ");
    if many.len() > NAMED_CONFLICTS {
        named += &format!(" and {} more", many.len() - NAMED_CONFLICTS);
    }
    Err(RepoError::BadArgument {
        given: if resolution.path.is_some() { resolution.place() } else { "every path".into() },
        wanted: "place of one conflict",
        why: format!("what is given would go to each of {named}"),
    })
}

/// The word for a choice.
fn word_of(choice: &Choice) -> &'static str {
    match choice {
        Choice::Ours => "ours",
        Choice::Theirs => "theirs",
        Choice::Base => "base",
        Choice::Term(_) => "term",
        Choice::Value(_) => "value",
        Choice::Absent => "absent",
        Choice::Both => "both",
        Choice::Order(_) => "order",
    }
}

impl Resolution {
    /// Whether a conflict's place is one this is about.
    fn covers(&self, place: &ConflictPlace) -> bool {
        let below = |path: &PathKey| place.path.key().0.starts_with(&path.0);
        self.path.as_ref().is_none_or(|path| below(&path.key()))
            && match (&self.field, &place.field) {
                (None, _) => true,
                (Some(want), Some(field)) => field.0.starts_with(&want.0),
                (Some(_), None) => false,
            }
    }

    /// What a rule takes at a place, and the word for it.
    fn ruled(&self, place: &ConflictPlace) -> Option<(Choice, &'static str)> {
        let options = ottvc_merge::MergeOptions { rules: self.rules.clone(), ..Default::default() };
        let rule = options.rule_for(&place.path, place.field.as_ref())?;
        Some((choice_of(rule.side), rule.side.word()))
    }

    /// What to put at a place, and the word for it.
    fn choice_for(&self, place: &ConflictPlace) -> Option<(Choice, &'static str)> {
        if let Some(ruled) = self.ruled(place) {
            return Some(ruled);
        }
        let is_order = |field: &FieldPath| matches!(field.0.last(), Some(Segment::Order));
        if matches!(self.choice, Some(Choice::Order(_)))
            && !place.field.as_ref().is_some_and(is_order)
        {
            return None;
        }
        self.choice.clone().map(|choice| {
            let word = word_of(&choice);
            (choice, word)
        })
    }

    /// The place for messages.
    fn place(&self) -> String {
        match (&self.path, &self.field) {
            (Some(path), Some(field)) => format!("{path}#{field}"),
            (Some(path), None) => path.to_string(),
            (None, _) => "any path the call names".to_owned(),
        }
    }
}
