//! Looking into the trash, and taking things out of it.

use ottvc_object::{Commit, Kind, Storable};
use ottvc_store::collect::{Thing, Trashed};
use serde::Serialize;

use super::Collector;
use crate::audit::{Link, Opened, is_about_one_thing};
use crate::content::{KeptBy, kept_by};
use crate::record::first_line;
use crate::{Repo, RepoError};

/// How many things are taken out in one step.
const BATCH: usize = 1024;

/// One thing in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrashRow {
    /// Its id.
    pub id: String,
    /// `chunk`, or the kind of object.
    pub kind: &'static str,
    /// What it takes in packs, its record included.
    pub bytes: u64,
    /// Since when it is there, in UTC milliseconds since 1970.
    pub since: i64,
    /// First line of a commit's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Repo {
    /// Lists the trash, commits first, then other objects and chunks, each by id.
    pub fn trash(&self) -> Result<Vec<TrashRow>, RepoError> {
        let mut rows = Vec::new();
        for trashed in self.trashed()? {
            let (id, kind, detail) = match trashed.thing {
                Thing::Chunk(id) => (id.to_string(), "chunk", None),
                Thing::Object(id) => match self.objects.get(id) {
                    Ok(object) => {
                        let commit = match object.kind() {
                            Kind::Commit => Commit::from_object(&object).ok(),
                            _ => None,
                        };
                        let detail = commit.map(|it| first_line(&it.message).to_owned());
                        (id.to_string(), object.kind().word(), detail)
                    }
                    Err(error) if is_about_one_thing(&error) => (id.to_string(), "damaged", None),
                    Err(error) => return Err(error.into()),
                },
            };
            rows.push(TrashRow { id, kind, bytes: trashed.bytes, since: trashed.since, detail });
        }
        let rank = |row: &TrashRow| match row.kind {
            "commit" => 0,
            "chunk" => 2,
            _ => 1,
        };
        rows.sort_by(|a, b| (rank(a), a.kind, &a.id).cmp(&(rank(b), b.kind, &b.id)));
        Ok(rows)
    }

    fn trashed(&self) -> Result<Vec<Trashed>, RepoError> {
        let mut all = Vec::new();
        self.objects.collectable().trashed(&mut |trashed| {
            all.push(trashed);
            Ok(())
        })?;
        Ok(all)
    }
}

impl Collector {
    /// Takes things out of the trash, with all they name; everything, if none are given. Their grace
    /// starts anew. Returns how many things that were.
    ///
    /// # Errors
    /// [`RepoError::NotInTrash`] if an id, or the beginning of one, is nobody's there; nothing is
    /// taken out then.
    pub fn restore(&self, ids: &[String]) -> Result<u64, RepoError> {
        let all = self.repo.trashed()?;
        let mut wanted = Vec::new();
        for given in ids {
            let named = |thing: &Thing| match thing {
                Thing::Object(id) => id.to_string().starts_with(given.as_str()),
                Thing::Chunk(id) => id.to_string().starts_with(given.as_str()),
            };
            let before = wanted.len();
            wanted.extend(all.iter().map(|trashed| trashed.thing).filter(named));
            if wanted.len() == before || given.is_empty() {
                return Err(RepoError::NotInTrash { id: given.clone() });
            }
        }
        if ids.is_empty() {
            wanted = all.iter().map(|trashed| trashed.thing).collect();
        }
        let mut seen: std::collections::BTreeSet<Thing> = wanted.iter().copied().collect();
        while let Some(thing) = wanted.pop() {
            let Thing::Object(id) = thing else { continue };
            let mut links = Vec::new();
            match self.repo.objects.get(id) {
                Ok(object) => Opened::of(&object)?.links(&mut links),
                Err(error) if is_about_one_thing(&error) => {}
                Err(error) => return Err(error.into()),
            }
            for link in links {
                let named = match link {
                    Link::Chunk(chunk) => Thing::Chunk(chunk.id),
                    Link::Object(id, _) => Thing::Object(id),
                    Link::File(content) => match kept_by(&*self.repo.objects, content)? {
                        Some(KeptBy::Manifest(id)) => Thing::Object(id),
                        Some(KeptBy::Chunk(chunk)) => Thing::Chunk(chunk.id),
                        None => continue,
                    },
                };
                if seen.insert(named) {
                    wanted.push(named);
                }
            }
        }
        let things: Vec<Thing> = seen.into_iter().collect();
        let mut taken = 0;
        for some in things.chunks(BATCH) {
            taken += self.store().take_back(some)?;
        }
        Ok(taken)
    }
}
