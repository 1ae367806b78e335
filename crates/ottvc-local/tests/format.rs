//! Repositories as earlier releases left them: opened, read and checked, every byte and ref as it was.
//!
//! A frozen repository is a store's folder without its index, which is no part of the format and is
//! made again from packs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottvc_local::{Access, LocalRepo};
use ottvc_object::codec::Storable;
use ottvc_object::manifest::{ChunkList, Layout, Manifest};
use ottvc_object::tree::{self, Node, Nodes};
use ottvc_object::value::Document;
use ottvc_object::{ChunkId, Commit, CommitId, ContentId, Entry, Kind, RepoPath, TreeId};
use ottvc_store::pack::{Class, Encoder, GroupBuilder, PackHeader, PackId, RecordKind};
use ottvc_store::{Held, ObjectStore, Portion, StoreError};
use tempfile::TempDir;

const WRITE: Access<'static> = Access::Write { wait: Duration::ZERO, command: "a test" };

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// A copy of a frozen repository, to be opened.
fn thawed(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let frozen = fixture(name);
    fs::create_dir(dir.path().join("packs")).unwrap();
    for file in ["VERSION", "config.toml"] {
        fs::copy(frozen.join(file), dir.path().join(file)).unwrap();
    }
    for entry in fs::read_dir(frozen.join("packs")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join("packs").join(entry.file_name())).unwrap();
    }
    dir
}

fn put(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Nodes of a store.
struct Stored<'s>(&'s dyn ObjectStore);

impl Nodes for Stored<'_> {
    type Error = StoreError;
    fn node(&self, id: TreeId) -> Result<std::sync::Arc<Node>, StoreError> {
        Ok(Node::from_object(&self.0.get(id.into())?)?.into())
    }
}

/// The bytes of a file, put together from its chunks, and its length.
fn content(objects: &dyn ObjectStore, id: ContentId) -> Vec<u8> {
    let ids: Vec<_> = match objects.manifest_of(id).unwrap() {
        Some(manifest) => {
            let manifest = Manifest::from_object(&objects.get(manifest).unwrap()).unwrap();
            let Layout::Plain { chunks, .. } = manifest.layout else { panic!("tracks") };
            let ChunkList::Inline(chunks) = chunks else { panic!("a long file") };
            chunks.iter().map(|chunk| chunk.id).collect()
        }
        None => vec![ChunkId(id.0)],
    };
    let mut bytes = Vec::new();
    let read = objects.read_chunks(&ids, &mut |_, chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    });
    read.unwrap();
    bytes
}

/// All that a store says, one thing a line: refs, operations, objects and chunks, and every file of
/// every commit, its bytes put together and hashed.
fn told(repo: &LocalRepo) -> String {
    let mut lines = Vec::new();
    let (objects, refs) = (repo.objects(), repo.refs());
    for (name, value) in refs.list().unwrap() {
        let edition = value.edition.map(|edition| {
            let word = |word: Option<String>| word.unwrap_or_else(|| "-".into());
            format!("{} {} {}", edition.id, word(edition.class), word(edition.territory))
        });
        let target = value.target.map_or("-".into(), |target| target.to_string());
        lines.push(format!("ref {name} {target} {}", edition.unwrap_or_else(|| "-".into())));
    }
    for operation in refs.operations(None, 1000).unwrap().into_iter().rev() {
        let edits: Vec<_> = operation.edits.iter().map(|edit| edit.name.to_string()).collect();
        lines.push(format!(
            "operation {} {} {:?} {} {}",
            operation.id,
            operation.command,
            operation.summary,
            edits.join(" "),
            operation.time
        ));
    }
    let mut held = Vec::new();
    let scanned = objects.scan(&mut |thing| {
        held.push(match thing {
            Held::Object { id, kind, raw_len, .. } => format!("{} {id} {raw_len}", kind.word()),
            Held::Chunk { id, raw_len, .. } => format!("chunk {id} {raw_len}"),
        });
        Ok(())
    });
    scanned.unwrap();
    held.sort();
    let commits: Vec<CommitId> = held
        .iter()
        .filter_map(|line| line.strip_prefix("commit ")?.split(' ').next()?.parse().ok())
        .collect();
    lines.append(&mut held);
    for id in commits {
        commit_lines(&*objects, id, &mut lines);
    }
    lines.push(format!("workspace {} bytes", repo.workspace().load().unwrap().unwrap().len()));
    lines.join("\n") + "\n"
}

fn commit_lines(objects: &dyn ObjectStore, id: CommitId, lines: &mut Vec<String>) {
    let commit = Commit::from_object(&objects.get(id.into()).unwrap()).unwrap();
    let parents: Vec<_> = commit.parents.iter().map(|parent| parent.short()).collect();
    lines.push(format!(
        "{} by {}, on {}: {:?}",
        id.short(),
        commit.author.who,
        parents.join(" "),
        commit.message
    ));
    for place in &commit.conflicts {
        let field = place.field.as_ref().map(ToString::to_string).unwrap_or_default();
        lines.push(format!("{} conflict {}#{field}", id.short(), place.path));
    }
    let walked =
        tree::walk(&Stored(objects), commit.tree, &RepoPath::root(), &mut |path, entry| {
            let what = match entry.entry {
                Entry::File(file) => {
                    let bytes = content(objects, file.content);
                    assert_eq!(bytes.len() as u64, file.len, "{path}");
                    assert_eq!(ContentId::of(&bytes), file.content, "{path}");
                    format!("{:?} {} {}", file.mode, file.content.short(), file.len)
                }
                Entry::Document { id, .. } => {
                    let document = Document::from_object(&objects.get(id.into()).unwrap()).unwrap();
                    let words: Vec<_> =
                        document.to_json_pretty().split_whitespace().map(str::to_owned).collect();
                    format!("document {}", words.join(" "))
                }
                Entry::Tree { totals, .. } => format!("folder {totals:?}"),
                Entry::Conflict(id) => format!("conflict {}", id.short()),
            };
            let former: Vec<_> = entry.former.iter().map(|path| format!(", once {path}")).collect();
            lines.push(format!("{} {path} {what}{}", id.short(), former.concat()));
            Ok(true)
        });
    walked.unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that the repository says what it said when it was frozen.
fn assert_as_it_was(repo: &LocalRepo, name: &str) {
    let expected = fs::read_to_string(fixture(&format!("{name}.txt"))).unwrap();
    let told = told(repo);
    for (at, (told, expected)) in told.lines().zip(expected.lines()).enumerate() {
        assert_eq!(told, expected, "line {}", at + 1);
    }
    assert_eq!(told, expected);
}

#[test]
fn a_repository_of_version_1_is_read_as_it_was() {
    const NAME: &str = "repository-v1";
    for access in [Access::Read, WRITE] {
        let dir = thawed(NAME);
        let repo = LocalRepo::open(dir.path(), access).unwrap();
        let rebuilt = repo.rebuilt().unwrap();
        assert_eq!((rebuilt.packs, rebuilt.operations, rebuilt.refs), (2, 12, 4));
        assert!(rebuilt.damaged.is_empty(), "{:?}", rebuilt.damaged);
        assert_as_it_was(&repo, NAME);
        let checked = repo.objects().check(Portion::Everything, &mut |_, _| {}).unwrap();
        assert!(checked.damage.is_empty(), "{:?}", checked.damage);
        drop(repo);
        let again = LocalRepo::open(dir.path(), Access::Read).unwrap();
        assert!(again.rebuilt().is_none(), "the index is there now");
        assert_as_it_was(&again, NAME);
    }
}

#[test]
fn a_repository_of_version_1_is_written_on() {
    let dir = thawed("repository-v1");
    let repo = LocalRepo::open(dir.path(), WRITE).unwrap();
    let before = told(&repo);
    let document = Document::empty().to_object().unwrap();
    let objects = repo.objects();
    let mut writer = objects.writer().unwrap();
    assert!(writer.put(&document).unwrap());
    writer.finish().unwrap();
    objects.sync().unwrap();
    drop((objects, repo));
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let repo = LocalRepo::open(dir.path(), Access::Read).unwrap();
    assert_eq!(repo.objects().get(document.id()).unwrap().kind(), Kind::Document);
    assert!(repo.objects().check(Portion::Everything, &mut |_, _| {}).unwrap().damage.is_empty());
    let line = format!("document {} {}\n", document.id(), document.bytes().len());
    assert_eq!(told(&repo).replace(&line, ""), before);
    assert_eq!(names(&dir.path().join("packs")).len(), 2, "the packs there were are written on");
}

#[test]
fn a_later_version_is_refused_and_left_alone() {
    let dir = thawed("repository-v1");
    put(&dir.path().join("VERSION"), b"ottvc 2\n");
    let before = names(dir.path());
    for access in [Access::Read, WRITE] {
        let refused = LocalRepo::open(dir.path(), access).unwrap_err();
        assert!(matches!(refused, StoreError::TooNew { known: 1, .. }), "{refused}");
    }
    assert!(matches!(LocalRepo::init(dir.path()), Err(StoreError::TooNew { .. })));
    let rebuilt = LocalRepo::rebuild(dir.path(), Duration::ZERO, "a test");
    assert!(matches!(rebuilt, Err(StoreError::TooNew { .. })));
    assert_eq!(names(dir.path()), before);
}

/// The hash of a group vouches for its bytes, not for their sense.
#[test]
fn a_group_with_a_member_that_is_no_object_costs_that_member() {
    let id = PackId([3; 16]);
    let mut bytes = PackHeader { id, class: Class::Objects, order: 1 }.encode();
    let whole = Document::empty().to_object().unwrap();
    let mut group = GroupBuilder::default();
    assert!(group.add(RecordKind::Object, b"no object"));
    assert!(group.add(RecordKind::Object, whole.bytes()));
    let (raw, _) = group.encode();
    let name = RecordKind::Group.id_of(&raw).unwrap();
    let (header, stored) = Encoder::default().record(RecordKind::Group, name, &raw).unwrap();
    bytes.extend(header.encode(id, PackHeader::LEN));
    bytes.extend(&*stored);

    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("packs")).unwrap();
    put(&dir.path().join("packs").join(format!("{id}.pack")), &bytes);
    assert!(LocalRepo::init(dir.path()).unwrap());
    let rebuilt = LocalRepo::rebuild(dir.path(), Duration::ZERO, "a test").unwrap();
    assert_eq!((rebuilt.objects, rebuilt.damaged.len()), (1, 1), "{:?}", rebuilt.damaged);
    let repo = LocalRepo::open(dir.path(), WRITE).unwrap();
    assert_eq!(repo.objects().get(whole.id()).unwrap(), whole);
}
