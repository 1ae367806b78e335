//! Marking: from roots to everything they lead to, each object read once.

use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::{Kind, ObjectId};
use ottvc_refs::RefValue;
use ottvc_store::collect::{Holder, Live, Thing};
use ottvc_store::{Held, StoreError};

use super::{Collector, thing_of};
use crate::audit::{Link, Opened, commit_link, is_about_one_thing, working_links};
use crate::content::{self, ContentError, KeptBy};
use crate::{Progress, RepoError};

/// How many operations are asked for at a time.
const PAGE: usize = 256;

/// What lives, as far as is known.
#[derive(Debug)]
pub struct Marked {
    pub(super) live: Live,
    /// In milliseconds.
    pub(super) grace: i64,
    /// Until when operations hold something that nothing else does.
    pub(super) until: Option<i64>,
}

impl Marked {
    pub(super) fn new(grace: i64) -> Self {
        Self { live: Live::default(), grace, until: None }
    }
}

/// What to do about a thing that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holes {
    /// Stop: something that is wanted would be taken for garbage.
    Fail,
    /// Pass over what is not there: it was collected before.
    Collected,
    /// Pass over what is not there or cannot be read: nobody wants it.
    Any,
}

impl Collector {
    /// Marks what refs, the working copy and operations younger than the grace lead to.
    pub(super) fn mark_roots(
        &self,
        marked: &mut Marked,
        now: i64,
        progress: &dyn Progress,
    ) -> Result<(), RepoError> {
        let heads = self.repo.heads()?;
        let roots = heads.iter().filter_map(|(_, id)| id.map(commit_link)).collect();
        self.walk(&mut marked.live, roots, Holder::Refs, Holes::Fail, Some(progress))?;
        let roots = working_links(&self.repo.state()?);
        self.walk(&mut marked.live, roots, Holder::WorkingCopy, Holes::Fail, Some(progress))?;
        self.mark_operations(marked, now)
    }

    /// Marks the commits that operations led to and away from, newest first.
    fn mark_operations(&self, marked: &mut Marked, now: i64) -> Result<(), RepoError> {
        let oldest = now.saturating_sub(marked.grace);
        let mut before = None;
        loop {
            let page = self.repo.refs.operations(before, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.id);
            // One that ends the grace just now holds nothing any more: with none, none does.
            for operation in page.iter().filter(|operation| operation.time > oldest) {
                let values = operation.edits.iter().flat_map(|edit| [&edit.old, &edit.new]);
                let target = |value: &Option<RefValue>| value.as_ref()?.target;
                let roots = values.filter_map(target).map(commit_link).collect();
                let holder = Holder::Operations;
                if self.walk(&mut marked.live, roots, holder, Holes::Collected, None)? {
                    let until = operation.time.saturating_add(marked.grace);
                    marked.until = marked.until.max(Some(until));
                }
            }
        }
    }

    /// Marks manifests that files were bound to after the files were marked.
    pub(super) fn mark_rebound(&self, marked: &mut Marked) -> Result<(), RepoError> {
        let mut new = Vec::new();
        self.store().manifests(&mut |content, manifest| {
            if let Some(holder) = marked.live.file_holder(content)
                && marked.live.holder(Thing::Object(manifest)).is_none()
            {
                new.push((manifest, holder));
            }
            Ok(())
        })?;
        for (manifest, holder) in new {
            // A row may name a manifest that is gone, beside the one chunk that the file is kept as.
            if self.repo.objects.contains(&[manifest])? != [true] {
                continue;
            }
            let roots = vec![Link::Object(manifest, Kind::Manifest)];
            self.walk(&mut marked.live, roots, holder, Holes::Fail, None)?;
        }
        Ok(())
    }

    /// Marks what is not dropped yet though nothing holds it, with all it names: what is not in the
    /// trash, or came there after `due`.
    pub(super) fn mark_retained(&self, marked: &mut Marked, due: i64) -> Result<(), RepoError> {
        self.each_batch(&mut |batch| {
            let free = |held: &&Held| marked.live.holder(thing_of(held).0).is_none();
            let free: Vec<&Held> = batch.iter().filter(free).collect();
            let things: Vec<Thing> = free.iter().map(|held| thing_of(held).0).collect();
            let times = self.store().trash_times(&things)?;
            let stays = free.into_iter().zip(times);
            for (held, _) in stays.filter(|(_, since)| since.is_none_or(|since| since > due)) {
                match *held {
                    Held::Chunk { id, .. } => {
                        marked.live.insert_chunk(id, Holder::Trash);
                    }
                    Held::Object { id, kind, .. } => {
                        let roots = vec![Link::Object(id, kind)];
                        self.walk(&mut marked.live, roots, Holder::Trash, Holes::Any, None)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Marks what sessions asked about or stored.
    pub(super) fn mark_touched(
        &self,
        live: &mut Live,
        touched: &[ObjectId],
    ) -> Result<(), RepoError> {
        for id in touched {
            match self.repo.objects.get(*id) {
                Ok(object) => {
                    let roots = vec![Link::Object(*id, object.kind())];
                    self.walk(live, roots, Holder::Sessions, Holes::Any, None)?;
                }
                Err(error) if is_about_one_thing(&error) => {}
                Err(error) => return Err(error.into()),
            }
            // Also one that was asked for and is not there, or it would be looked for again.
            live.insert_object(*id, Holder::Sessions);
        }
        Ok(())
    }

    /// Follows links; says whether that led to anything new.
    fn walk(
        &self,
        live: &mut Live,
        mut waiting: Vec<Link>,
        holder: Holder,
        holes: Holes,
        progress: Option<&dyn Progress>,
    ) -> Result<bool, RepoError> {
        let mut grew = false;
        while let Some(link) = waiting.pop() {
            let new = match link {
                Link::Chunk(chunk) => {
                    grew |= live.insert_chunk(chunk.id, holder);
                    continue;
                }
                Link::File(content) => live.insert_file(content, holder),
                Link::Object(id, _) => live.insert_object(id, holder),
            };
            // Everyone knows the empty tree, and documents name nothing.
            let leaf =
                link == Link::tree(EMPTY_TREE) || matches!(link, Link::Object(_, Kind::Document));
            grew |= new;
            if !new || leaf {
                continue;
            }
            if let Some(progress) = progress {
                progress.report("marking", live.len() as u64, 0);
            }
            match self.follow(link) {
                Ok(links) => waiting.extend(links),
                Err(error) if passes(holes, &error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(grew)
    }

    /// Reads what a file or object names.
    fn follow(&self, link: Link) -> Result<Vec<Link>, RepoError> {
        let mut links = Vec::new();
        match link {
            Link::Chunk(_) => {}
            Link::File(content) => match content::kept_by(&*self.repo.objects, content)? {
                Some(KeptBy::Manifest(id)) => links.push(Link::Object(id, Kind::Manifest)),
                Some(KeptBy::Chunk(chunk)) => links.push(Link::Chunk(chunk)),
                None => return Err(ContentError::NoManifest { content }.into()),
            },
            Link::Object(id, _) => {
                Opened::of(&self.repo.objects.get(id)?)?.links(&mut links);
            }
        }
        Ok(links)
    }
}

/// Whether a hole of this kind is passed over.
fn passes(holes: Holes, error: &RepoError) -> bool {
    let missing = matches!(
        error,
        RepoError::Store(StoreError::NotFound { .. })
            | RepoError::Content(ContentError::NoManifest { .. })
    );
    match (holes, error) {
        (Holes::Fail, _) => false,
        (Holes::Collected, _) => missing,
        (Holes::Any, RepoError::Store(error)) => is_about_one_thing(error),
        (Holes::Any, RepoError::Object(_)) => true,
        (Holes::Any, _) => missing,
    }
}
