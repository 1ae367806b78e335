//! The rows of an audit: what stands for a branch, a title, a path, a commit, a type.

use std::collections::{BTreeMap, HashMap, HashSet};

use ottvc_object::path::PathKey;
use ottvc_object::tree::{Node, lookup_path, totals, walk};
use ottvc_object::value::{Document, Value};
use ottvc_object::{
    CommitId, ContentId, Entry, FileEntry, FileMode, Kind, NamedEntry, RepoPath, Storable, Totals,
    TreeId,
};
use ottvc_refs::RefKind;

use crate::audit::graph::{At, Fault, Graph, Steps, Thing, Watch, What};
use crate::audit::links::{Link, Opened, each_entry};
use crate::audit::marks::Seen;
use crate::audit::roots::NamedHead;
use crate::audit::sums::Holds;
use crate::content::ContentError;
use crate::{Progress, Repo, RepoError, record};

/// The document at the root of an edition that names its title.
const EDITION_DOCUMENT: &str = "edition.meta.json";

/// A row before its bytes are added up.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) commit: Option<CommitId>,
    pub(crate) detail: Option<String>,
    pub(crate) totals: Totals,
    pub(crate) holds: Holds,
}

impl Draft {
    fn new(name: impl Into<String>, kind: &'static str, roots: Vec<At>, steps: Steps) -> Self {
        let holds = Holds { roots, steps };
        let totals = Totals::default();
        Self { name: name.into(), kind, commit: None, detail: None, totals, holds }
    }
}

/// Watches a graph grow that must be whole, and notes by which extensions files are known.
pub(crate) struct Census<'p> {
    progress: &'p dyn Progress,
    read: u64,
    total: u64,
    /// Files by extension, and the length of each.
    pub(crate) types: Option<HashMap<String, HashMap<ContentId, u64>>>,
}

impl<'p> Census<'p> {
    /// Reports up to `total` things read; notes types where `types` is set.
    pub(crate) fn new(progress: &'p dyn Progress, total: usize, types: bool) -> Self {
        Self { progress, read: 0, total: total as u64, types: types.then(HashMap::new) }
    }

    fn note(&mut self, named: Option<&NamedEntry>, entry: &Entry) {
        if let (Some(types), Entry::File(file)) = (&mut self.types, entry) {
            let name = named.map(|named| named.name.as_str());
            types.entry(type_of(name, *file)).or_default().insert(file.content, file.len);
        }
    }
}

impl Watch for Census<'_> {
    fn fault(&mut self, thing: &Thing, fault: Fault) -> Result<(), RepoError> {
        // Sums over a store with holes would be wrong without saying so.
        Err(match fault {
            Fault::Missing if thing.what == What::File => {
                ContentError::NoManifest { content: ContentId(thing.id) }.into()
            }
            Fault::Missing => thing.absent().into(),
            Fault::Unreadable(error) => error.into(),
        })
    }

    fn opened(&mut self, _: &Graph, _: At, object: &Opened) {
        self.read += 1;
        self.progress.report("reading trees", self.read, self.total.max(self.read));
        match object {
            Opened::Tree(Node::Leaf { entries }) => {
                entries.iter().for_each(|named| self.note(Some(named), &named.entry));
            }
            Opened::Conflict(conflict) => {
                each_entry(conflict, &mut |entry| self.note(None, entry));
            }
            _ => {}
        }
    }
}

/// The row that a file belongs to by type: its extension in lower case, with the dot.
fn type_of(name: Option<&str>, file: FileEntry) -> String {
    let extension =
        name.and_then(|name| name.rsplit_once('.')).filter(|(stem, _)| !stem.is_empty());
    match (file.mode, name, extension) {
        (FileMode::Symlink, ..) => "(symbolic links)".into(),
        (_, None, _) => "(in conflicts)".into(),
        (_, _, Some((_, extension))) => format!(".{}", extension.to_lowercase()),
        (_, _, None) => "(no extension)".into(),
    }
}

impl Repo {
    /// One row for each branch and tag: its head, and all history behind it.
    pub(crate) fn rows_by_branch(
        &self,
        graph: &Graph,
        heads: &[NamedHead],
    ) -> Result<Vec<Draft>, RepoError> {
        let mut rows = Vec::new();
        for (name, target) in heads {
            let kind = match name.kind() {
                RefKind::Branch => "branch",
                RefKind::Tag => "tag",
            };
            let roots = target.and_then(|id| graph.find(&id.0)).into_iter().collect();
            let mut row = Draft::new(name.short(), kind, roots, Steps::All);
            if let Some(id) = target {
                row.totals = totals(&self.nodes, self.commit(*id)?.tree)?;
                row.commit = *target;
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// One row for each title: the branches and tags whose edition document names it.
    pub(crate) fn rows_by_title(
        &self,
        graph: &Graph,
        heads: &[NamedHead],
    ) -> Result<Vec<Draft>, RepoError> {
        let mut titles: BTreeMap<String, Draft> = BTreeMap::new();
        for (name, target) in heads {
            let Some(id) = *target else { continue };
            let tree = self.commit(id)?.tree;
            let title = self.title_of(tree)?.unwrap_or_else(|| "(no title)".into());
            let row = titles
                .entry(title.clone())
                .or_insert_with(|| Draft::new(title, "title", Vec::new(), Steps::All));
            row.holds.roots.extend(graph.find(&id.0));
            row.totals = row.totals.plus(totals(&self.nodes, tree)?);
            let detail = row.detail.get_or_insert_default();
            if !detail.is_empty() {
                detail.push_str(", ");
            }
            detail.push_str(name.short());
        }
        Ok(titles.into_values().collect())
    }

    /// The title that a tree's edition document gives; in English where it has several languages.
    fn title_of(&self, tree: TreeId) -> Result<Option<String>, RepoError> {
        let path = RepoPath::new(EDITION_DOCUMENT)?;
        let Some(NamedEntry { entry: Entry::Document { id, .. }, .. }) =
            lookup_path(&self.nodes, tree, &path)?
        else {
            return Ok(None);
        };
        let document = Document::from_object(&self.objects.get(id.into())?)?;
        let Value::Map(fields) = document.value() else { return Ok(None) };
        let text = |value: &Value| match value {
            Value::String(text) | Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        Ok(fields.get("title").or_else(|| fields.get("titles")).and_then(|title| match title {
            Value::Map(languages) | Value::Localized(languages) => {
                languages.get("en").and_then(text).or_else(|| languages.values().find_map(text))
            }
            other => text(other),
        }))
    }

    /// One row for each path at the head of a branch: everything that stands there on any branch.
    pub(crate) fn rows_by_path(
        &self,
        graph: &Graph,
        heads: &[NamedHead],
    ) -> Result<Vec<Draft>, RepoError> {
        let mut rows: BTreeMap<PathKey, Draft> = BTreeMap::new();
        // Most branches have most folders in common; one folder at one path is looked into once.
        let mut visited: HashSet<(RepoPath, TreeId)> = HashSet::new();
        for (name, target) in heads {
            let Some(id) = target.filter(|_| name.kind() == RefKind::Branch) else { continue };
            let tree = self.commit(id)?.tree;
            walk(&self.nodes, tree, &RepoPath::root(), &mut |path, named| {
                if let Entry::Tree { id, .. } = named.entry {
                    return Ok(visited.insert((path.clone(), id)));
                }
                let row = rows.entry(path.key()).or_insert_with(|| {
                    Draft::new(path.to_string(), "path", Vec::new(), Steps::All)
                });
                if let Some(at) = graph.target(Link::entry(&named.entry))
                    && !row.holds.roots.contains(&at)
                {
                    row.holds.roots.push(at);
                    row.totals = row.totals.plus(named.entry.totals());
                }
                Ok::<bool, RepoError>(true)
            })?;
        }
        Ok(rows.into_values().collect())
    }

    /// One row for each commit that a ref reaches, newest first: its own tree, not its parents'.
    pub(crate) fn rows_by_commit(
        &self,
        graph: &Graph,
        heads: &[NamedHead],
    ) -> Result<Vec<Draft>, RepoError> {
        let heads: Vec<CommitId> = heads.iter().filter_map(|(_, target)| *target).collect();
        let mut rows = Vec::new();
        self.walk_history(&heads, &mut |logged| {
            let roots = graph.find(&logged.id.0).into_iter().collect();
            let mut row = Draft::new(logged.id.short(), "commit", roots, Steps::OneCommit);
            row.commit = Some(logged.id);
            row.detail = Some(record::first_line(&logged.commit.message).to_owned());
            row.totals = totals(&self.nodes, logged.commit.tree)?;
            rows.push(row);
            Ok(true)
        })?;
        Ok(rows)
    }
}

/// One row for each extension of files, and one for each kind of object beside them, of what `roots`
/// reach.
pub(crate) fn rows_by_type(
    graph: &Graph,
    roots: &[At],
    types: HashMap<String, HashMap<ContentId, u64>>,
) -> Vec<Draft> {
    let mut rows = Vec::new();
    let types: BTreeMap<_, _> = types.into_iter().collect();
    for (name, files) in types {
        let mut row = Draft::new(name, "type", Vec::new(), Steps::All);
        for (content, len) in files {
            row.holds.roots.extend(graph.file(content));
            row.totals = row.totals.plus(Totals { files: 1, bytes: len, ..Totals::default() });
        }
        rows.push(row);
    }
    let mut kinds: BTreeMap<Kind, Vec<At>> = BTreeMap::new();
    let mut documents = Totals::default();
    graph.reach(roots, Steps::All, &mut Seen::none(graph), &mut |at, thing| match thing.what {
        // These belong to files.
        What::Object(Kind::Manifest | Kind::Page) | What::Chunk | What::File => {}
        What::Object(kind) => {
            kinds.entry(kind).or_default().push(at);
            if kind == Kind::Document {
                let bytes = u64::from(thing.raw);
                documents = documents.plus(Totals { documents: 1, bytes, ..Totals::default() });
            }
        }
    });
    for (kind, things) in kinds {
        let mut row = Draft::new(kind.word(), "type", things, Steps::None);
        if kind == Kind::Document {
            row.totals = documents;
        }
        rows.push(row);
    }
    rows
}
