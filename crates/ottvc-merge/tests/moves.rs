//! Items that move between the lists of one `move_domain`: cases, and laws over trees of such lists.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::sync::Arc;

use ottvc_merge::schema::validate;
use ottvc_merge::{
    Choice, Marked, MergeOptions, Merged, Schema, SideNames, merge_values, resolve_value, same,
};
use ottvc_object::RepoPath;
use ottvc_object::conflict::{ConflictKind, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value};
use serde_json::{Value as Json, json};

#[path = "laws/draw.rs"]
mod draw;
#[path = "moves/laws.rs"]
mod laws;

const FIELDS: &str = "
  /a: {type: keyed, keys: [$id], move_domain: rows}
  /b: {type: keyed, keys: [$id], move_domain: rows}
  /c: {type: keyed, keys: [$id], move_domain: rows, order: field(n)}
  /*/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in/*/in/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in/*/in/*/in/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in/*/in/*/in/*/in/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in/*/in/*/in/*/in/*/in/*/in/*/in/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /once: {type: keyed, keys: [$id]}
  /wins: {type: keyed, keys: [$id], move_domain: rows, delete: edit_wins}
";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(&format!("schema: t/1\nfields:{FIELDS}")).unwrap())
}

/// The same fields, with limits and what they do where a list is removed.
fn harsh() -> Arc<Schema> {
    let fields = FIELDS
        .replacen("move_domain: rows}", "move_domain: rows, delete: edit_wins}", 1)
        .replacen("move_domain: rows}", "move_domain: rows, max_items: 2, on_conflict: ours}", 1)
        .replacen("order: field(n)}", "order: field(n), min_items: 1, max_items: 3}", 1);
    Arc::new(Schema::parse(&format!("schema: t/2\nfields:{fields}")).unwrap())
}

fn options(schema: &Arc<Schema>) -> MergeOptions {
    MergeOptions { schema: Some(schema.clone()), ..MergeOptions::default() }
}

fn merge(ours: &Value, base: &Value, theirs: &Value) -> Merged {
    merge_with(&options(&schema()), ours, base, theirs)
}

fn merge_with(options: &MergeOptions, ours: &Value, base: &Value, theirs: &Value) -> Merged {
    let terms = Terms::three(Some(ours.clone()), Some(base.clone()), Some(theirs.clone()));
    let merged = merge_values(&terms, options, &RepoPath::root()).unwrap();
    // What a merge gives can be stored.
    Document::new(merged.value.clone().unwrap()).unwrap();
    merged
}

fn plain(json: &Json) -> Value {
    schema().read_plain(json).unwrap()
}

/// Merges both ways round, and checks that the order of the sides is all the same.
fn merged(base: &Json, ours: &Json, theirs: &Json) -> Merged {
    let (ours, base, theirs) = (plain(ours), plain(base), plain(theirs));
    let (there, back) = (merge(&ours, &base, &theirs), merge(&theirs, &base, &ours));
    assert!(
        same(there.value.as_ref().unwrap(), back.value.as_ref().unwrap()),
        "the same both ways"
    );
    there
}

fn shown(document: &Value) -> Json {
    schema().to_plain(document)
}

fn clean(base: &Json, ours: &Json, theirs: &Json) -> Json {
    let merged = merged(base, ours, theirs);
    assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
    shown(&merged.value.unwrap())
}

fn conflicts(merged: &Merged) -> Vec<(String, ConflictKind)> {
    let document = merged.value.as_ref().unwrap();
    let plainly = |at: &FieldPath| at.to_string().replace('\\', "");
    document.conflicts().into_iter().map(|(at, it)| (plainly(&at), it.kind)).collect()
}

fn settled(merged: &Merged, at: &str, choice: &Choice) -> Json {
    let document = merged.value.as_ref().unwrap();
    shown(&resolve_value(document, &at.parse().unwrap(), choice).unwrap())
}

fn item(id: &str, title: &str) -> Json {
    json!({ "$id": id, "title": title })
}

#[test]
fn what_one_side_moves_and_the_other_edits_is_one_item() {
    let base =
        json!({ "a": [item("x", "old"), item("y", "")], "b": [item("p", ""), item("q", "")] });
    let ours =
        json!({ "a": [item("y", "")], "b": [item("p", ""), item("x", "old"), item("q", "")] });
    let theirs =
        json!({ "a": [item("x", "new"), item("y", "")], "b": [item("p", ""), item("q", "")] });
    let wanted =
        json!({ "a": [item("y", "")], "b": [item("p", ""), item("x", "new"), item("q", "")] });
    assert_eq!(clean(&base, &ours, &theirs), wanted);
}

#[test]
fn both_may_edit_what_one_moves() {
    let with = |title: &str, n: i64| json!({ "$id": "x", "title": title, "n": n });
    let base = json!({ "a": [with("old", 1)], "c": [{ "$id": "p", "n": 5 }] });
    let ours = json!({ "a": [], "c": [{ "$id": "p", "n": 5 }, with("old", 7)] });
    let theirs =
        json!({ "a": [with("new", 1)], "c": [{ "$id": "p", "n": 5 }, { "$id": "q", "n": 6 }] });
    let wanted = json!({
        "a": [], "c": [{ "$id": "p", "n": 5 }, { "$id": "q", "n": 6 }, with("new", 7)],
    });
    assert_eq!(clean(&base, &ours, &theirs), wanted, "and the list keeps its order");

    let theirs = json!({ "a": [with("new", 8)], "c": [{ "$id": "p", "n": 5 }] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/c/[$id=x]/n".to_owned(), ConflictKind::EditEdit)]);
    let document = disputed.value.unwrap();
    assert_eq!(document.conflicts()[0].1.path, disputed.conflicts[0], "it names its place");
}

#[test]
fn both_move_it_to_one_list() {
    let base = json!({ "a": [item("x", "old")], "b": [item("p", ""), item("q", "")] });
    let ours = json!({ "a": [], "b": [item("p", ""), item("x", "new"), item("q", "")] });
    let theirs = json!({ "a": [], "b": [item("p", ""), item("x", "old"), item("q", "")] });
    assert_eq!(clean(&base, &ours, &theirs), ours);
    let theirs = json!({ "a": [], "b": [item("p", ""), item("q", ""), item("x", "old")] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/b/$order".to_owned(), ConflictKind::Order)]);
    assert_eq!(settled(&disputed, "/b/$order", &Choice::Ours), ours);
}

#[test]
fn moved_apart_is_one_conflict_that_a_choice_puts_in_its_place() {
    let base = json!({ "a": [item("w", ""), item("x", "old"), item("y", "")], "b": [item("p", ""), item("q", "")], "c": [] });
    let ours = json!({ "a": [item("w", ""), item("y", "")], "b": [item("p", ""), item("x", "new"), item("q", "")], "c": [] });
    let theirs = json!({ "a": [item("w", ""), item("y", "")], "b": [item("p", ""), item("q", "")],
        "c": [{ "$id": "x", "title": "old", "n": 3 }] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/a/[$id=x]".to_owned(), ConflictKind::RenameRename)]);
    let x = json!({ "$id": "x", "title": "new", "n": 3 });
    let taken = |choice| settled(&disputed, "/a/[$id=x]", &choice);
    let wanted = json!({ "a": [item("w", ""), item("y", "")], "b": [item("p", ""), x, item("q", "")], "c": [] });
    assert_eq!(taken(Choice::Ours), wanted, "merged, where that side has it");
    let wanted = json!({ "a": [item("w", ""), item("y", "")], "b": base["b"], "c": [x] });
    assert_eq!(taken(Choice::Theirs), wanted);
    assert_eq!(taken(Choice::Base), base);
    let none = json!({ "a": [item("w", ""), item("y", "")], "b": base["b"], "c": [] });
    assert_eq!(taken(Choice::Absent), none);
    let wanted =
        json!({ "a": [item("w", ""), item("x", "mine"), item("y", "")], "b": base["b"], "c": [] });
    assert_eq!(taken(Choice::Value(plain(&item("x", "mine")))), wanted, "an item stays");
}

#[test]
fn a_dispute_over_a_place_goes_on_and_comes_to_an_end() {
    let base = json!({ "a": [item("x", "old")], "b": [], "c": [] });
    let ours = json!({ "a": [], "b": [item("x", "old")], "c": [] });
    let theirs = json!({ "a": [], "b": [], "c": [item("x", "old")] });
    let disputed = merged(&base, &ours, &theirs).value.unwrap();
    // The other branch has changed another thing meanwhile, and then the item itself.
    let (theirs, later) =
        (plain(&theirs), json!({ "a": [], "b": [item("z", "")], "c": [item("x", "old")] }));
    let again = merge(&disputed, &theirs, &plain(&later));
    assert_eq!(conflicts(&again), [("/a/[$id=x]".to_owned(), ConflictKind::RenameRename)]);
    let base = plain(&base);
    let edited = plain(&json!({ "a": [item("x", "new")], "b": [], "c": [] }));
    let again = merge(&disputed, &base, &edited);
    assert_eq!(conflicts(&again), [("/a/[$id=x]".to_owned(), ConflictKind::RenameRename)]);
    assert!(same(&merge(&disputed, &base, &base).value.unwrap(), &disputed));
}

#[test]
fn moved_and_removed_is_a_conflict_where_it_went() {
    let base = json!({ "a": [item("x", "old")], "b": [], "wins": [] });
    let ours = json!({ "a": [], "b": [item("x", "old")], "wins": [] });
    let theirs = json!({ "a": [], "b": [], "wins": [] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/b/[$id=x]".to_owned(), ConflictKind::DeleteEdit)]);
    assert_eq!(settled(&disputed, "/b/[$id=x]", &Choice::Ours), ours);
    assert_eq!(settled(&disputed, "/b/[$id=x]", &Choice::Theirs), theirs);
    let ours = json!({ "a": [], "b": [], "wins": [item("x", "old")] });
    let decided = merged(&base, &ours, &theirs);
    assert_eq!(shown(decided.value.as_ref().unwrap()), ours, "the list's own rule decides");
    assert_eq!(decided.decisions[0].path, "/wins/[$id=x]".parse().unwrap());
}

#[test]
fn an_item_moves_out_of_what_the_other_side_removes() {
    let base = json!({ "a": [{ "$id": "s", "in": [item("x", "old"), item("y", "")] }], "b": [] });
    let ours = json!({ "a": [{ "$id": "s", "in": [item("y", "")] }], "b": [item("x", "old")] });
    let theirs = json!({ "a": [], "b": [] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/b/[$id=x]".to_owned(), ConflictKind::DeleteEdit)]);
}

#[test]
fn an_item_moves_into_what_the_other_side_removes() {
    let base = json!({ "a": [item("x", "old")], "b": [{ "$id": "s", "in": [] }] });
    let ours = json!({ "a": [], "b": [{ "$id": "s", "in": [item("x", "old")] }] });
    let theirs = json!({ "a": [item("x", "new")], "b": [] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/b/[$id=s]".to_owned(), ConflictKind::DeleteEdit)]);
    let kept = json!({ "a": [], "b": [{ "$id": "s", "in": [item("x", "new")] }] });
    assert_eq!(settled(&disputed, "/b/[$id=s]", &Choice::Ours), kept, "the edit is with it");
}

#[test]
fn items_move_inside_items_that_move() {
    let base =
        json!({ "a": [{ "$id": "s", "in": [item("x", "old"), item("y", "old")] }], "b": [] });
    let ours =
        json!({ "a": [], "b": [{ "$id": "s", "in": [item("x", "old"), item("y", "old")] }] });
    let theirs =
        json!({ "a": [{ "$id": "s", "in": [item("y", "new")] }, item("x", "new")], "b": [] });
    let wanted =
        json!({ "a": [item("x", "new")], "b": [{ "$id": "s", "in": [item("y", "new")] }] });
    assert_eq!(clean(&base, &ours, &theirs), wanted);
    // One side turns what lies inside what.
    let ours = json!({ "a": [{ "$id": "x", "title": "old", "in": [{ "$id": "s", "in": [item("y", "old")] }] }], "b": [] });
    let theirs = json!({ "a": [{ "$id": "s", "n": 1, "in": [item("x", "new"), item("y", "old")] }], "b": [] });
    let wanted = json!({ "a": [{ "$id": "x", "title": "new", "in": [{ "$id": "s", "n": 1, "in": [item("y", "old")] }] }], "b": [] });
    assert_eq!(clean(&base, &ours, &theirs), wanted);
}

#[test]
fn what_sides_move_into_each_other_is_one_conflict_with_all_of_it() {
    let with =
        |id: &str, title: &str, inside: Json| json!({ "$id": id, "title": title, "in": inside });
    let base = json!({ "a": [with("x", "old", json!([]))], "b": [with("y", "old", json!([item("z", "")]))] });
    let ours = json!({ "a": [], "b": [with("y", "old", json!([item("z", ""), with("x", "new", json!([]))]))] });
    let theirs = json!({ "a": [with("x", "old", json!([with("y", "new", json!([item("z", "")]))]))], "b": [] });
    let disputed = merged(&base, &ours, &theirs);
    assert_eq!(conflicts(&disputed), [("/a/[$id=x]".to_owned(), ConflictKind::MoveCycle)]);
    let taken = |choice| settled(&disputed, "/a/[$id=x]", &choice);
    let inner = with("x", "new", json!([]));
    let wanted = json!({ "a": [], "b": [with("y", "new", json!([item("z", ""), inner]))] });
    assert_eq!(taken(Choice::Ours), wanted);
    let inner = with("y", "new", json!([item("z", "")]));
    let wanted = json!({ "a": [with("x", "new", json!([inner]))], "b": [] });
    assert_eq!(taken(Choice::Theirs), wanted);
    assert_eq!(taken(Choice::Base), base);
}

#[test]
fn what_stands_twice_is_no_move() {
    let base = json!({ "a": [item("x", "old")], "b": [], "c": [] });
    let ours = json!({ "a": [], "b": [item("x", "old")], "c": [item("x", "old")] });
    let theirs = json!({ "a": [item("x", "new")], "b": [], "c": [] });
    let found = conflicts(&merged(&base, &ours, &theirs));
    assert_eq!(found, [("/a/[$id=x]".to_owned(), ConflictKind::DeleteEdit)]);
    let findings = validate(&plain(&ours), &schema());
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].rule, findings[0].path.clone()),
        ("move_domain", "/c/[$id=x]".parse().unwrap())
    );
    assert!(findings[0].why.contains(r"/b/[\$id=x]"), "{}", findings[0].why);
    assert_eq!(validate(&plain(&base), &schema()), []);
}

#[test]
fn lists_of_no_domain_exchange_nothing() {
    let base = json!({ "a": [item("x", "old")], "once": [] });
    let ours = json!({ "a": [], "once": [item("x", "old")] });
    let theirs = json!({ "a": [item("x", "new")], "once": [] });
    let found = conflicts(&merged(&base, &ours, &theirs));
    assert_eq!(found, [("/a/[$id=x]".to_owned(), ConflictKind::DeleteEdit)]);
}

#[test]
fn a_place_can_be_chosen_in_a_text() {
    let with =
        |id: &str, title: &str, inside: Json| json!({ "$id": id, "title": title, "in": inside });
    let base = json!({ "a": [with("x", "old", json!([]))], "b": [with("y", "old", json!([]))], "c": [item("v", "")] });
    let apart = [
        json!({ "a": [], "b": [with("y", "old", json!([with("x", "new", json!([]))]))], "c": [item("v", "")] }),
        json!({ "a": [], "b": [with("y", "old", json!([]))], "c": [item("v", ""), with("x", "old", json!([]))] }),
    ];
    let circle = [
        apart[0].clone(),
        json!({ "a": [with("x", "old", json!([with("y", "old", json!([]))]))], "b": [], "c": [item("v", "")] }),
    ];
    for [ours, theirs] in [apart, circle] {
        let disputed = merged(&base, &ours, &theirs);
        let (document, at) = (disputed.value.clone().unwrap(), "/a/[$id=x]");
        let marked = Marked::new(&document, Some(&schema()), &SideNames::default());
        let lines: Vec<&str> = marked.text().lines().collect();
        let find = |mark: &str| lines.iter().position(|line| line.starts_with(mark)).unwrap();
        let marks = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"].map(find);
        for (side, choice) in [Choice::Ours, Choice::Base, Choice::Theirs].iter().enumerate() {
            let kept = |at: &usize| {
                let own = marks[side] < *at && *at < marks[side + 1];
                *at < marks[0] || own || *at > marks[3]
            };
            let text: Vec<&str> = (0..lines.len()).filter(kept).map(|at| lines[at]).collect();
            let read = marked.read(&text.join("\n")).unwrap().unwrap();
            let read = shown(&schema().convert(read.value()));
            assert_eq!(read, settled(&disputed, at, choice), "{}", text.join("\n"));
        }
        assert_eq!(
            schema().convert(marked.read(marked.text()).unwrap().unwrap().value()),
            document
        );
    }
}

#[test]
fn many_items_move_in_time_proportional_to_them() {
    let many = |range: std::ops::Range<usize>, title: &str| -> Vec<Json> {
        range.map(|n| item(&format!("x{n}"), title)).collect()
    };
    let base = json!({ "a": many(0..20_000, "old"), "b": [] });
    let ours = json!({ "a": many(0..10_000, "old"), "b": many(10_000..20_000, "old") });
    let theirs = json!({ "a": many(0..20_000, "new"), "b": [] });
    let wanted = json!({ "a": many(0..10_000, "new"), "b": many(10_000..20_000, "new") });
    let (ours, base, theirs) = (plain(&ours), plain(&base), plain(&theirs));
    let started = std::time::Instant::now();
    assert_eq!(shown(&merge(&ours, &base, &theirs).value.unwrap()), wanted);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn what_a_limit_gives_back_keeps_the_item() {
    let list = |items: &[(&str, &str)]| -> Vec<Json> {
        items.iter().map(|(id, title)| item(id, title)).collect()
    };
    let doc = |a: &[(&str, &str)], b: &[(&str, &str)]| json!({ "a": list(a), "b": list(b) });
    let base = doc(&[("x", "old")], &[("p", "")]);
    let ours = doc(&[], &[("p", ""), ("x", "old")]);
    let theirs = doc(&[("x", "new")], &[("p", ""), ("q", "")]);
    let limited = FIELDS.replacen(
        "/b: {type: keyed, keys: [$id],",
        "/b: {type: keyed, keys: [$id], max_items: 2,",
        1,
    );
    let schema = Arc::new(Schema::parse(&format!("schema: t/3\nfields:{limited}")).unwrap());
    for (rules, fallback) in [(&[][..], false), (&["/b=ours"][..], false), (&[][..], true)] {
        let schema = match fallback {
            true => harsh(),
            false => schema.clone(),
        };
        let rules = rules.iter().map(|rule: &&str| rule.parse().unwrap()).collect();
        let options = MergeOptions { rules, ..options(&schema) };
        for [ours, theirs] in [[&ours, &theirs], [&theirs, &ours]] {
            let merged = merge_with(&options, &plain(ours), &plain(&base), &plain(theirs));
            let text = format!("{:?} {:?}", merged.value, merged.decisions);
            assert!(text.contains("new") && !text.contains("$move_domain"), "{text}");
        }
    }
}

#[test]
fn thousands_of_items_may_be_moved_apart() {
    let all: Vec<Json> = (0..2000).map(|n| item(&format!("x{n}"), "t")).collect();
    let base = plain(&json!({ "a": all, "b": [], "c": [] }));
    let ours = plain(&json!({ "a": [], "b": all, "c": [] }));
    let theirs = plain(&json!({ "a": [], "b": [], "c": all }));
    let merged = merge(&ours, &base, &theirs);
    assert_eq!(merged.conflicts.len(), 2000);
}
