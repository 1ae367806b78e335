//! The merge of places in a tree: contents by id, everything beside the content on its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::{
    Change, EntryMerge, EntryTerm, MergeError, MergeOptions, Move, Rename, Side, entry_conflict,
    find_renames, merge_entries, pair_moves,
};
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::{
    ConflictId, ContentId, DocumentId, Entry, FileEntry, FileMode, Name, NamedEntry, RepoPath,
    Totals, TreeId,
};

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

fn file(content: u8, mode: FileMode) -> Entry {
    Entry::File(FileEntry { content: ContentId([content; 32]), len: 1, mode })
}

fn media(content: u8) -> Entry {
    file(content, FileMode::Regular)
}

fn document(id: u8) -> Entry {
    Entry::Document { id: DocumentId([id; 32]), len: 9 }
}

fn folder(id: u8) -> Entry {
    Entry::Tree { id: TreeId([id; 32]), totals: Totals::default() }
}

fn named(name: &str, entry: Entry) -> NamedEntry {
    NamedEntry { name: Name::new(name).unwrap(), entry, former: Vec::new() }
}

fn term(entry: Option<Entry>) -> EntryTerm {
    entry.map_or(EntryTerm::Absent, |entry| EntryTerm::Entry(named("a.mp4", entry)))
}

fn three(ours: Option<Entry>, base: Option<Entry>, theirs: Option<Entry>) -> EntryMerge {
    let options = MergeOptions::default();
    let merge = |a, b, c| {
        let terms = Terms::three(term(a), term(b), term(c));
        merge_entries(&terms, &options, &path("x/a.mp4")).unwrap().0
    };
    let (there, back) = (merge(ours, base, theirs), merge(theirs, base, ours));
    // The sides are labels: swapped, the same is taken, or the same conflict is left.
    match (&there, &back) {
        (
            EntryMerge::Conflict { conflict: one, .. },
            EntryMerge::Conflict { conflict: two, .. },
        ) => {
            assert_eq!(one.core_id(), two.core_id());
            assert!(one.terms.as_slice().iter().eq(two.terms.as_slice().iter().rev()));
        }
        (EntryMerge::Take(_), _) => assert_eq!(there, back),
        _ => assert_eq!(std::mem::discriminant(&there), std::mem::discriminant(&back)),
    }
    there
}

fn taken(merge: EntryMerge) -> Option<Entry> {
    match merge {
        EntryMerge::Take(entry) => entry.map(|named| named.entry),
        other => panic!("not settled: {other:?}"),
    }
}

fn conflict(merge: EntryMerge) -> Conflict<Entry> {
    match merge {
        EntryMerge::Conflict { conflict, .. } => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

#[test]
fn one_sided_and_equal_changes_are_taken() {
    let (a, b) = (Some(media(1)), Some(media(2)));
    assert_eq!(taken(three(b, a, a)), b);
    assert_eq!(taken(three(b, a, b)), b);
    assert_eq!(taken(three(None, a, a)), None);
    assert_eq!(taken(three(b, None, b)), b);
    assert_eq!(taken(three(Some(folder(1)), a, a)), Some(folder(1)));
}

#[test]
fn what_both_changed_is_a_conflict_of_its_kind() {
    let (a, b, c) = (Some(media(1)), Some(media(2)), Some(media(3)));
    let kind = |ours, base, theirs| conflict(three(ours, base, theirs)).kind;
    assert_eq!(kind(b, a, c), ConflictKind::EditEdit);
    assert_eq!(kind(b, None, c), ConflictKind::AddAdd);
    assert_eq!(kind(None, a, c), ConflictKind::DeleteEdit);
    assert_eq!(kind(Some(document(1)), a, c), ConflictKind::Type);
    assert_eq!(kind(Some(folder(1)), a, c), ConflictKind::Type);
    assert_eq!(kind(Some(file(2, FileMode::Symlink)), a, c), ConflictKind::Type);
    assert_eq!(kind(None, Some(folder(1)), Some(document(2))), ConflictKind::DeleteEdit);
    let terms = conflict(three(b, a, c)).terms;
    assert_eq!(terms, Terms::three(b, a, c).map(|entry| Term::from(*entry)));
}

#[test]
fn the_executable_bit_merges_apart_from_the_content() {
    let (run, plain) = (FileMode::Executable, FileMode::Regular);
    let at = |content, mode| Some(file(content, mode));
    assert_eq!(taken(three(at(1, run), at(1, plain), at(2, plain))), at(2, run));
    assert_eq!(taken(three(at(1, plain), at(1, run), at(2, run))), at(2, plain));
    assert_eq!(taken(three(at(1, run), None, at(1, plain))), at(1, run));
    let edit = three(None, at(1, plain), at(1, run));
    assert_eq!(conflict(edit).kind, ConflictKind::DeleteEdit, "chmod is a change, too");
}

#[test]
fn documents_and_folders_are_handed_back() {
    let ids = |ours, base, theirs| match three(ours, base, theirs) {
        EntryMerge::Documents { terms, .. } => terms.map(|id| id.map(|id| id.0[0])).into_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        ids(Some(document(2)), Some(document(1)), Some(document(3))),
        [Some(2), Some(1), Some(3)]
    );
    assert_eq!(ids(Some(document(2)), None, Some(document(3))), [Some(2), None, Some(3)]);
    assert_eq!(ids(None, Some(document(1)), Some(document(3))), [None, Some(1), Some(3)]);
    match three(Some(folder(2)), None, Some(folder(3))) {
        EntryMerge::Folders { terms, .. } => {
            assert_eq!(terms.as_slice(), [Some(TreeId([2; 32])), None, Some(TreeId([3; 32]))]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_files_may_be_merged_by_structure() {
    let at = |content| EntryTerm::Entry(named("notes.json", media(content)));
    let options = MergeOptions::default();
    let terms = Terms::three(at(2), at(1), at(3));
    let merge = merge_entries(&terms, &options, &path("notes.json")).unwrap().0;
    let EntryMerge::Structured { terms, mode, otherwise, place } = merge else {
        panic!("{merge:?}")
    };
    assert_eq!(terms.as_slice().iter().flatten().count(), 3);
    assert_eq!((mode, place.name.as_str()), (FileMode::Regular, "notes.json"));
    assert_eq!(conflict(otherwise.0).kind, ConflictKind::EditEdit);
    let terms = Terms::three(EntryTerm::Absent, at(1), at(3));
    let merge = merge_entries(&terms, &options, &path("notes.json")).unwrap().0;
    assert_eq!(conflict(merge).kind, ConflictKind::DeleteEdit);
}

#[test]
fn rules_decide_and_are_told() {
    let (a, b, c) = (Some(media(1)), Some(media(2)), Some(media(3)));
    let merge = |rule: &str, decisions, ours, theirs| {
        let options = MergeOptions {
            rules: vec![rule.parse().unwrap()],
            decisions,
            ..MergeOptions::default()
        };
        let terms = Terms::three(term(ours), term(a), term(theirs));
        merge_entries(&terms, &options, &path("x/a.mp4")).unwrap()
    };
    let (merged, decisions) = merge("x/*=theirs", true, b, c);
    assert_eq!(taken(merged), c);
    assert_eq!((decisions[0].rule.as_str(), decisions[0].chosen), ("x/*=theirs", Side::Theirs));
    assert_eq!(decisions[0].terms.as_slice(), [b, a, c]);
    assert_eq!(taken(merge("*=ours", true, None, c).0), None);
    assert_eq!(taken(merge("*=base", true, b, c).0), a);
    assert_eq!(taken(merge("*=base", true, b, a).0), b, "a rule never overrules one side");
    for (rule, decisions) in [("y/*=theirs", true), ("/**=theirs", true), ("*=ours", false)] {
        assert_eq!(conflict(merge(rule, decisions, b, c).0).kind, ConflictKind::EditEdit);
    }
}

/// A conflict as a term.
fn disputed(kind: ConflictKind, ours: Entry, base: Entry, theirs: Entry) -> EntryTerm {
    let conflict = entry_conflict(kind, &Terms::three(Some(ours), Some(base), Some(theirs)));
    EntryTerm::Conflict(named("a.mp4", Entry::Conflict(ConflictId([9; 32]))), conflict)
}

#[test]
fn conflicts_are_terms_like_any_other() {
    let options = MergeOptions::default();
    let merge = |ours: &EntryTerm, base: &EntryTerm, theirs: &EntryTerm| {
        let terms = Terms::three(ours.clone(), base.clone(), theirs.clone());
        merge_entries(&terms, &options, &path("a.mp4")).unwrap().0
    };
    let [o, b, t, n, r] = [1, 2, 3, 4, 5].map(media);
    let open = disputed(ConflictKind::EditEdit, o, b, t);
    let turned = disputed(ConflictKind::EditEdit, t, b, o);
    let at = |entry| term(Some(entry));
    // Cases 54 to 57, with files.
    let contested = conflict(merge(&at(o), &open, &at(t)));
    assert_eq!(contested.kind, ConflictKind::ContestedBase);
    assert!(contested.terms.removes().all(|base| base.contested().is_some()));
    assert_eq!(taken(merge(&at(r), &open, &at(r))), Some(r));
    assert_eq!(taken(merge(&open, &turned, &at(r))), Some(r), "the same core identity");
    let moved_on = conflict(merge(&open, &at(o), &at(n)));
    assert_eq!(moved_on.terms, Terms::three(n, b, t).map(|entry| Term::Value(*entry)));
    // Nobody settled it: the entry that names it stays.
    assert_eq!(taken(merge(&open, &at(o), &open)), Some(Entry::Conflict(ConflictId([9; 32]))));
    // A conflict between documents is taken apart, then documents are merged.
    let open = disputed(ConflictKind::EditEdit, document(1), document(2), document(3));
    match merge(&open, &at(document(1)), &at(document(4))) {
        EntryMerge::Documents { terms, .. } => {
            assert_eq!(terms.as_slice(), [4, 2, 3].map(|id| Some(DocumentId([id; 32]))));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_conflict_by_id_alone_is_refused() {
    let terms = Terms::three(
        term(Some(Entry::Conflict(ConflictId([9; 32])))),
        term(Some(media(1))),
        term(Some(media(2))),
    );
    let error = merge_entries(&terms, &MergeOptions::default(), &path("a")).unwrap_err();
    assert!(matches!(error, MergeError::UnreadConflict { .. }));
    assert_eq!(error.code(), "merge.unread_conflict");
}

#[test]
fn spelling_and_history_merge_apart_from_the_content() {
    let at = |name: &str, content, former: &[&str]| {
        let former = former.iter().map(|former| path(former)).collect();
        EntryTerm::Entry(NamedEntry { former, ..named(name, media(content)) })
    };
    let merge = |ours, base, theirs| {
        let terms = Terms::three(ours, base, theirs);
        merge_entries(&terms, &MergeOptions::default(), &path("cut")).unwrap()
    };
    let (merged, decisions) =
        merge(at("Cut", 1, &["b"]), at("cut", 1, &["a"]), at("cut", 2, &["a", "c"]));
    let EntryMerge::Take(Some(entry)) = merged else { panic!("{merged:?}") };
    assert_eq!((entry.name.as_str(), entry.entry), ("Cut", media(2)));
    assert_eq!(entry.former, [path("b"), path("c")]);
    assert!(decisions.is_empty());
    let (merged, decisions) = merge(at("Cut", 1, &[]), at("cut", 1, &[]), at("CUT", 1, &[]));
    let EntryMerge::Take(Some(entry)) = merged else { panic!("{merged:?}") };
    assert_eq!(entry.name.as_str(), "CUT");
    assert_eq!((decisions[0].rule.as_str(), decisions[0].chosen), ("name", Side::Theirs));
}

fn change(at: &str, old: Option<u8>, new: Option<(u8, &[&str])>) -> Change {
    let name = at.rsplit('/').next().unwrap();
    Change {
        path: path(at),
        old: old.map(|content| named(name, media(content))),
        new: new.map(|(content, former)| NamedEntry {
            former: former.iter().map(|former| path(former)).collect(),
            ..named(name, media(content))
        }),
    }
}

#[test]
fn renames_are_told_by_former_paths_alone() {
    let rename = |from: &str, to: &str| Rename { from: path(from), to: path(to) };
    let moved = [change("a", Some(1), None), change("x/b", None, Some((2, &["a"])))];
    assert_eq!(find_renames(&moved), [rename("a", "x/b")]);
    let alike = [change("a", Some(1), None), change("b", None, Some((1, &[])))];
    assert_eq!(find_renames(&alike), [], "the same content is no evidence");
    let copied = [change("b", None, Some((1, &["a"])))];
    assert_eq!(find_renames(&copied), [], "the old path is still there");
    let twice = [
        change("a", Some(1), None),
        change("c", None, Some((1, &["a"]))),
        change("b", None, Some((1, &["a"]))),
    ];
    assert_eq!(find_renames(&twice), [rename("a", "b")]);
    let mut old_news = [change("a", Some(1), None), change("b", Some(2), Some((3, &["a"])))];
    old_news[1].old.as_mut().unwrap().former = vec![path("a")];
    assert_eq!(find_renames(&old_news), [], "the base knew that already");
}

#[test]
fn moves_of_both_sides_are_paired() {
    let gone = |at| change(at, Some(1), None);
    let came = |at, from| change(at, None, Some((1, from)));
    let a_to_b = [gone("a"), came("b", &["a"])];
    let edit = [change("a", Some(1), Some((2, &[])))];
    assert_eq!(
        pair_moves(&a_to_b, &edit),
        [Move::Follow { to: path("b"), ours: path("b"), base: path("a"), theirs: path("a") }]
    );
    assert_eq!(
        pair_moves(&edit, &a_to_b),
        [Move::Follow { to: path("b"), ours: path("a"), base: path("a"), theirs: path("b") }]
    );
    assert_eq!(
        pair_moves(&a_to_b, &a_to_b),
        [Move::Follow { to: path("b"), ours: path("b"), base: path("a"), theirs: path("b") }]
    );
    assert_eq!(
        pair_moves(&a_to_b, &[gone("a"), came("c", &["a"])]),
        [Move::Apart { base: path("a"), ours: path("b"), theirs: path("c") }]
    );
    assert_eq!(
        pair_moves(&[gone("a")], &a_to_b),
        [Move::Removed { base: path("a"), to: path("b"), by: Side::Theirs }]
    );
    assert_eq!(
        pair_moves(&a_to_b, &[came("B", &[])]),
        [Move::Collision { at: path("b"), ours: Some(path("a")), theirs: None }]
    );
    assert_eq!(
        pair_moves(&a_to_b, &[gone("c"), came("b", &["c"])]),
        [Move::Collision { at: path("b"), ours: Some(path("a")), theirs: Some(path("c")) }]
    );
    assert_eq!(pair_moves(&edit, &[change("c", None, Some((1, &[])))]), []);
}

/// What is counted in documents is counted where both sides changed them alike, too.
#[test]
fn equal_documents_are_looked_into_where_a_schema_counts() {
    let counting = "schema: t/1\nfields:\n  /plays: {type: int, merge: counter}\n";
    let plain = "schema: t/1\nfields:\n  /plays: {type: int, merge: max}\n";
    let merge = |schema: &str, ours, base, theirs| {
        let schema = ottvc_merge::Schema::parse(schema).unwrap();
        let options = MergeOptions { schema: Some(schema.into()), ..MergeOptions::default() };
        let terms = Terms::three(term(ours), term(base), term(theirs));
        merge_entries(&terms, &options, &path("x/a.mp4")).unwrap().0
    };
    let (one, two) = (Some(document(1)), Some(document(2)));
    let id = |n| Some(DocumentId([n; 32]));
    match merge(counting, two, one, two) {
        EntryMerge::Documents { terms, .. } => {
            assert_eq!(terms, Terms::three(id(2), id(1), id(2)));
        }
        other => panic!("{other:?}"),
    }
    match merge(counting, two, None, two) {
        EntryMerge::Documents { terms, .. } => assert_eq!(terms, Terms::three(id(2), None, id(2))),
        other => panic!("{other:?}"),
    }
    for settled in [
        merge(plain, two, one, two),
        merge(counting, two, one, one),
        merge(counting, one, one, one),
        merge(counting, None, one, None),
        merge(counting, Some(media(1)), one, Some(media(1))),
    ] {
        assert!(matches!(settled, EntryMerge::Take(_)), "{settled:?}");
    }
}
