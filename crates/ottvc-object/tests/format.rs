//! The bytes of every kind of object but documents, as a second reading of `docs/format.md` has them
//! (`fixtures/golden.py`): written to the byte, and read back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottvc_object::codec;
use ottvc_object::commit::{ConflictPlace, MergeRecord, Pin, Provenance};
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::manifest::tracks::{
    Container, Role, Stream, TrackLayout, TrackRule, TrackStream, Units,
};
use ottvc_object::manifest::{ChunkList, ChunkRef, CutRule, Layout, ListBuilder, Manifest};
use ottvc_object::tree::sequence::Page;
use ottvc_object::tree::{self, EMPTY_TREE, Node, Nodes};
use ottvc_object::value::{Document, Value};
use ottvc_object::{
    ChunkId, Commit, ContentId, EditionId, Entry, FieldPath, FileEntry, FileMode, Kind, Name,
    NamedEntry, Object, ObjectError, RepoPath, Signature, Storable, TreeId,
};

/// What this crate makes of the values that the second reading wrote down, by the names it gave.
#[derive(Default)]
struct Made {
    objects: BTreeMap<&'static str, Object>,
}

impl Made {
    fn add(&mut self, name: &'static str, value: &impl Storable) -> Object {
        let object = value.to_object().unwrap();
        self.objects.insert(name, object.clone());
        object
    }
}

/// Nodes of trees made here.
#[derive(Default)]
struct Built(HashMap<TreeId, Arc<Node>>);

impl Nodes for Built {
    type Error = ObjectError;
    fn node(&self, id: TreeId) -> Result<Arc<Node>, ObjectError> {
        let missing = || ObjectError::BadId { text: id.to_string() };
        self.0.get(&id).cloned().ok_or_else(missing)
    }
}

impl Built {
    /// The root of the folder with these entries.
    fn tree(&mut self, entries: Vec<NamedEntry>) -> Object {
        let edits = entries.into_iter().map(|entry| (entry.name.key(), Some(entry)));
        let edits: BTreeMap<_, _> = edits.collect();
        let mut written = Vec::new();
        let root = tree::edit(self, EMPTY_TREE, &edits, &mut |object: Object| {
            written.push(object);
            Ok::<(), ObjectError>(())
        });
        let (root, _) = root.unwrap();
        for object in written {
            let node = Node::from_object(&object).unwrap();
            self.0.insert(object.id().into(), Arc::new(node));
        }
        self.node(root).unwrap().to_object().unwrap()
    }
}

fn file(content: &[u8], len: u64, mode: FileMode) -> Entry {
    Entry::File(FileEntry { content: ContentId::of(content), len, mode })
}

fn named(name: &str, entry: Entry, former: &[&str]) -> NamedEntry {
    let former = former.iter().map(|path| RepoPath::new(path).unwrap()).collect();
    NamedEntry { name: Name::new(name).unwrap(), entry, former }
}

fn signature(who: &str, time: i64) -> Signature {
    Signature { who: who.into(), time }
}

fn bytes<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first + u8::try_from(at).unwrap())
}

/// A folder of entries of every kind, and a conflict in it.
fn add_trees(made: &mut Made, built: &mut Built) -> (Object, Object) {
    let film = || file(b"film", 4, FileMode::Regular);
    let poster = || file(b"poster", 6, FileMode::Regular);
    let document = Document::new(Value::map([("title", "Dune")].map(|(k, v)| (k, Value::from(v)))));
    let document = made.add("document", &document.unwrap());
    let meta = Entry::Document { id: document.id().into(), len: document.bytes().len() as u64 };
    let over =
        |kind, terms| Conflict { kind, path: FieldPath::root(), policy: "entry".into(), terms };
    let sides = Terms::three(Term::Value(film()), Term::Absent, Term::Value(poster()));
    let nested = Term::Contested(Box::new(over(ConflictKind::AddAdd, sides)));
    let terms = Terms::three(Term::Value(meta), nested, Term::Absent);
    let conflict = made.add("conflict", &over(ConflictKind::DeleteEdit, terms));

    made.add("tree empty", &Node::empty());
    let art = built.tree(vec![named("poster.jpg", poster(), &[])]);
    let totals = Node::from_object(&art).unwrap().totals();
    let entries = vec![
        named("edition.meta.json", meta, &[]),
        named("Film.mov", film(), &["Rohschnitt.mov", "alt/Film.mov"]),
        named("latest", file(b"Film.mov", 8, FileMode::Symlink), &[]),
        named("Straße.mov", file(b"film", 1 << 40, FileMode::Regular), &[]),
        named("Ärger.mov", Entry::Conflict(conflict.id().into()), &[]),
        named("art", Entry::Tree { id: art.id().into(), totals }, &[]),
        named("play.sh", file(b"#!", 2, FileMode::Executable), &[]),
    ];
    let root = built.tree(entries);
    let clip = |n: u64| {
        let entry = file(n.to_string().as_bytes(), n, FileMode::Regular);
        named(&format!("clip-{n:04}.mov"), entry, &[])
    };
    let large = built.tree((0..300).map(clip).collect());
    made.objects.insert("tree", root.clone());
    made.objects.insert("tree inner", large.clone());
    (root, large)
}

fn add_commits(made: &mut Made, root: &Object, large: &Object) {
    let first = Commit {
        tree: root.id().into(),
        parents: vec![],
        generation: 1,
        author: signature("Ana <ana@example.com>", 1_700_000_000_000),
        committer: signature("Ana <ana@example.com>", -1),
        message: "First cut".into(),
        edition: EditionId(bytes(0)),
        own: None,
        pin: None,
        conflicts: vec![],
        merge: None,
        provenance: None,
    };
    let id = made.add("commit first", &first).id();
    let place = |path: &str, field: Option<&str>| ConflictPlace {
        path: RepoPath::new(path).unwrap(),
        field: field.map(|field| field.parse().unwrap()),
    };
    made.add(
        "commit merge",
        &Commit {
            parents: vec![id.into(), large.id().into()],
            generation: 1000,
            author: signature("Ana", 1),
            committer: signature("Ben", 2),
            message: "Merge\n\nwords".into(),
            own: Some(made.objects["document"].id().into()),
            pin: Some(Pin { edition: EditionId(bytes(16)), commit: id.into() }),
            conflicts: vec![
                place("edition.meta.json", Some("/titles/@fr-FR")),
                place("Ärger.mov", None),
            ],
            merge: Some(MergeRecord {
                bases: vec![id.into()],
                rules: vec!["/ratings/**=theirs".into(), "*=ours".into()],
                engine: 1,
            }),
            provenance: Some(Provenance { tool: "tool 1.0".into(), model: Some("model 2".into()) }),
            ..first
        },
    );
}

fn add_manifests(made: &mut Made) {
    let mut manifest = |name, content: &[u8], chunks: Vec<ChunkRef>| -> (Manifest, Vec<Object>) {
        let (mut builder, mut pages) = (ListBuilder::new(), Vec::new());
        let mut put = |page| {
            pages.push(page);
            Ok::<(), ObjectError>(())
        };
        chunks.into_iter().try_for_each(|chunk| builder.push(chunk, &mut put)).unwrap();
        let content = ContentId::of(content);
        let manifest = builder.finish(content, CutRule::DEFAULT, None, &mut put).unwrap();
        made.add(name, &manifest);
        (manifest, pages)
    };
    manifest("manifest empty", b"", vec![]);
    let chunk = |raw: &[u8], len| ChunkRef { id: ChunkId::of(raw), len };
    let (inline, _) = manifest("manifest inline", b"film", vec![chunk(b"film", 4)]);
    let run = (0..300_u32).map(|n| chunk(format!("chunk {n}").as_bytes(), 1000 + n)).collect();
    let (paged, pages) = manifest("manifest paged", b"run", run);
    // sha256sum of the four bytes `film`.
    let sha256 = "d0607f7ad2628b2af9158dfba06ce87166e66b15bf68f8f358f9aa27ccb7c321";
    let sha256 = sha256.parse::<ContentId>().unwrap().0;
    made.add("manifest tracks", &tracked(b"takes", 449_000, &paged, ts_layout));
    made.add("manifest tracks inline", &tracked(b"take", 7, &inline, text_layout));
    let untracked =
        |chunks| Layout::Untracked { why: "glue".into(), rule: CutRule::DEFAULT, chunks };
    let Layout::Plain { chunks, .. } = inline.layout.clone() else { panic!("not plain") };
    made.add("manifest untracked", &Manifest { layout: untracked(chunks), ..inline.clone() });
    made.add("manifest sha256", &Manifest { sha256: Some(sha256), ..inline });
    made.objects.insert("page", pages[0].clone());
    made.objects.insert("page inner", pages.last().unwrap().clone());
}

/// A manifest of a file of `len` bytes over the chunks of another.
fn tracked(
    content: &[u8],
    len: u64,
    of: &Manifest,
    layout: fn(ChunkList) -> TrackLayout,
) -> Manifest {
    let layout = Layout::Tracks(layout(of.layout.chunks().clone()));
    Manifest { content: ContentId::of(content), len, layout, ..of.clone() }
}

fn track(role: Role, units: Units, words: [&str; 2], rate: (u32, u32), len: u64) -> TrackStream {
    let [codec, language] = words.map(str::to_owned);
    TrackStream { stream: Stream { role, units, codec, language, rate }, len }
}

fn ts_layout(chunks: ChunkList) -> TrackLayout {
    TrackLayout {
        rule: TrackRule::DEFAULT,
        container: Container::Ts { packet: 188 },
        streams: vec![
            track(Role::Video, Units::Marked, ["h264", ""], (90_000, 1), 300_000),
            track(Role::Audio, Units::Marked, ["aac", "deu"], (48_000, 1), 44_850),
            track(Role::Side, Units::Raw, ["", ""], (30_000, 1001), 0),
        ],
        glue: 0,
        map: 0,
        index: 0,
        chunks,
    }
}

fn text_layout(chunks: ChunkList) -> TrackLayout {
    let text = track(Role::Text, Units::Raw, ["tx3g", "en-GB"], (1000, 1), 1);
    let (rule, container) = (TrackRule::DEFAULT, Container::Mp4);
    TrackLayout { rule, container, streams: vec![text], glue: 1, map: 1, index: 1, chunks }
}

fn golden() -> serde_json::Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden-objects.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Reads an object and writes it again.
fn rewritten(object: &Object) -> Object {
    fn again<T: Storable>(object: &Object) -> Object {
        T::from_object(object).unwrap().to_object().unwrap()
    }
    match object.kind() {
        Kind::Document => again::<Document>(object),
        Kind::Tree => again::<Node>(object),
        Kind::Commit => again::<Commit>(object),
        Kind::Conflict => again::<Conflict<Entry>>(object),
        Kind::Manifest => again::<Manifest>(object),
        Kind::Page => again::<Page>(object),
    }
}

#[test]
fn objects_are_what_the_pages_say() {
    let (mut made, mut built) = (Made::default(), Built::default());
    let (root, large) = add_trees(&mut made, &mut built);
    add_commits(&mut made, &root, &large);
    add_manifests(&mut made);
    let golden = golden();
    let cases = golden["objects"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let object = &made.objects[name];
        let bytes = unhex(case["bytes"].as_str().unwrap());
        assert_eq!(object.bytes(), bytes, "{name}");
        assert_eq!(object.id().to_string(), case["id"].as_str().unwrap(), "{name}");
        let read = Object::from_bytes(bytes).unwrap();
        assert_eq!(&read, object, "{name}");
        assert_eq!(&rewritten(&read), object, "{name}");
    }
    assert_eq!(cases.len(), made.objects.len());
    let kinds = made.objects.values().map(|object| object.kind() as u8);
    assert!(kinds.collect::<std::collections::BTreeSet<u8>>().into_iter().eq(1..7));
}

#[test]
fn core_identities_are_what_the_pages_say() {
    let over = |kind, terms| Conflict {
        kind,
        path: "/tagline".parse().unwrap(),
        policy: "atomic".into(),
        terms,
    };
    let text = |text: &str| Term::Value(Value::from(text));
    let side = || text("He who controls the spice");
    let terms = Terms::three(side(), text("Fear is the mind-killer"), Term::Absent);
    let deleted = over(ConflictKind::DeleteEdit, terms);
    let terms = Terms::three(side(), Term::Contested(Box::new(deleted.clone())), Term::Absent);
    let contested = over(ConflictKind::ContestedBase, terms);
    let golden = golden();
    let core = |name: &str| golden["cores"][name].as_str().unwrap().to_owned();
    assert_eq!(deleted.core_id().to_string(), core("delete_edit"));
    assert_eq!(contested.core_id().to_string(), core("contested"));
}

/// A later release's object is said to be one, not taken for damage.
#[test]
fn other_layouts_and_kinds_are_refused() {
    for kind in Kind::ALL {
        for layout in [0, 2, 255] {
            let refused = Object::from_bytes(vec![kind as u8, layout, 0]).unwrap_err();
            assert!(
                matches!(refused, ObjectError::UnknownLayout { layout: found, .. } if found == layout)
            );
        }
    }
    for kind in [0, 7, 255] {
        assert!(Object::from_bytes(vec![kind, 1, 0]).is_err());
    }
}

#[test]
fn a_path_from_bytes_is_no_deeper_than_one_from_text() {
    let path = |depth: usize| {
        let mut bytes = vec![u8::try_from(depth).unwrap()];
        bytes.extend([1, b'a'].repeat(depth));
        codec::decode_body::<RepoPath>(&bytes, "path")
    };
    assert_eq!(path(64).unwrap().to_string(), ["a"; 64].join("/"));
    assert!(path(65).is_err() && RepoPath::new(&["a"; 65].join("/")).is_err());
}
