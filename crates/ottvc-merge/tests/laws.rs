//! Laws of the merge, whatever the documents; numbers are those of docs/merge.md, Laws.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

#[path = "laws/census.rs"]
mod census;
#[path = "laws/documents.rs"]
mod documents;
#[path = "laws/draw.rs"]
mod draw;
#[path = "laws/marked.rs"]
mod marked;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use census::{Census, KINDS};
use documents::{Doc, clean, crossed, disputed, edited, merged, odd_terms, value};
use draw::{Draw, config, drawn};
use ottvc_merge::{
    Choice, MergeOptions, algebra, merge_values, resolve_document, same, same_conflict,
};
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Document, KeyedList, ListOrder, Value, ValueMap, diff, value_to_json};
use ottvc_object::{RepoPath, Storable};
use proptest::prelude::*;

fn alike(a: &Doc, b: &Doc) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn alike_at(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// M(b, o, t).
fn three(base: &Doc, ours: &Doc, theirs: &Doc) -> Doc {
    merged(vec![ours.clone(), base.clone(), theirs.clone()])
}

fn conflicts(doc: &Doc) -> Vec<(FieldPath, &Conflict<Value>)> {
    doc.as_ref().map(Value::conflicts).unwrap_or_default()
}

fn bytes(doc: &Doc) -> Option<Vec<u8>> {
    doc.as_ref().map(Value::canonical_bytes)
}

/// Base, ours, theirs and what they came to, as JSON.
fn shown(terms: &[Doc], result: &Doc) -> String {
    let line =
        |doc: &Doc| doc.as_ref().map_or("-".to_owned(), |doc| value_to_json(doc).to_string());
    terms.iter().chain([result]).map(|doc| format!("\n  {}", line(doc))).collect()
}

proptest! {
    #![proptest_config(config(file!(), 1000))]

    /// L1: nothing changed, nothing changes.
    #[test]
    fn identity(terms in drawn(|draw| disputed(draw, 1))) {
        prop_assert!(alike(&three(&terms[0], &terms[0], &terms[0]), &terms[0]));
    }

    /// L2: a side that changed nothing has no say.
    #[test]
    fn unit(terms in drawn(|draw| disputed(draw, 2))) {
        let (base, side) = (&terms[0], &terms[1]);
        prop_assert!(alike(&three(base, side, base), side));
        prop_assert!(alike(&three(base, base, side), side));
    }

    /// L3: what both sides say holds, whatever the base.
    #[test]
    fn agreement(terms in drawn(|draw| disputed(draw, 2))) {
        prop_assert!(alike(&three(&terms[0], &terms[1], &terms[1]), &terms[1]));
    }

    /// L4: ours and theirs are labels, not ranks.
    #[test]
    fn symmetry(terms in drawn(|draw| disputed(draw, 3))) {
        let there = three(&terms[0], &terms[1], &terms[2]);
        let back = three(&terms[0], &terms[2], &terms[1]);
        prop_assert!(alike(&there, &back), "{there:#?}\n{back:#?}");
        let at = |doc| conflicts(doc).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        prop_assert_eq!(at(&there), at(&back));
    }

    /// L4, over conflicts: the same core identities, and the labels swapped.
    #[test]
    fn swapping_swaps_labels(terms in drawn(|draw| clean(draw, 3))) {
        let there = three(&terms[0], &terms[1], &terms[2]);
        let back = three(&terms[0], &terms[2], &terms[1]);
        for ((_, one), (_, other)) in conflicts(&there).into_iter().zip(conflicts(&back)) {
            prop_assert_eq!(one.core_id(), other.core_id());
            prop_assert!(same_conflict(one, other));
            prop_assert!(one.terms.as_slice().iter().eq(other.terms.as_slice().iter().rev()));
        }
    }

    /// L4, of more sides: their order is irrelevant.
    #[test]
    fn symmetry_of_many(sides in drawn(|draw| disputed(draw, 4)), turn in 0..3_usize) {
        let octopus = |order: [usize; 3]| {
            let [a, b, c] = order.map(|at| sides[at].clone());
            merged(vec![a, sides[3].clone(), b, sides[3].clone(), c])
        };
        let other = [[2, 1, 0], [1, 2, 0], [0, 2, 1]][turn];
        prop_assert!(alike(&octopus([0, 1, 2]), &octopus(other)));
    }

    /// L1 to L4 where sides and bases hold conflicts such as no merge leaves.
    #[test]
    fn odd_conflicts_do_no_harm(terms in drawn(|draw| odd_terms(draw, 3))) {
        let (base, ours, theirs) = (&terms[0], &terms[1], &terms[2]);
        prop_assert!(alike(&three(base, ours, base), ours));
        prop_assert!(alike(&three(base, ours, ours), ours));
        let there = three(base, ours, theirs);
        prop_assert!(alike(&there, &three(base, theirs, ours)), "{}", shown(&terms, &there));
        for (at, (path, _)) in conflicts(&there).iter().enumerate() {
            let others = conflicts(&there).into_iter().skip(at + 1);
            prop_assert!(others.into_iter().all(|(other, _)| !other.starts_with(path)));
        }
    }

    /// L5: the same bytes in, the same bytes out, on any thread (tried now and then, as threads take
    /// longer than merges).
    #[test]
    fn determinism(terms in drawn(|draw| disputed(draw, 3)), turn in 0..256_usize) {
        let here = merged(terms.clone());
        let there = match turn {
            0 => std::thread::spawn(move || merged(terms.clone())).join().unwrap(),
            _ => merged(terms.clone()),
        };
        prop_assert_eq!(bytes(&here), bytes(&there));
    }

    /// L6: what a side changed is in the result, in a conflict, or included in a deletion.
    #[test]
    fn no_silent_loss(terms in drawn(|draw| clean(draw, 3))) {
        let [base, ours, theirs] = [0, 1, 2].map(|at| terms[at].as_ref());
        let result = three(&terms[0], &terms[1], &terms[2]);
        prop_assert!(kept(base, ours, theirs, result.as_ref()), "ours: {}", shown(&terms, &result));
        prop_assert!(kept(base, theirs, ours, result.as_ref()), "theirs: {}", shown(&terms, &result));
    }

    /// L6, with rules: what is neither in the result nor in a conflict is in the decisions.
    #[test]
    fn decisions_are_told(terms in drawn(|draw| clean(draw, 3))) {
        static THEIRS: LazyLock<[MergeOptions; 2]> = LazyLock::new(|| {
            let rules = vec!["/**=theirs".parse().unwrap()];
            [MergeOptions { rules, ..MergeOptions::default() }, MergeOptions::default()]
        });
        let file = RepoPath::new("x.meta.json").unwrap();
        let [base, ours, theirs] = [0, 1, 2].map(|at| terms[at].clone());
        let all = Terms::three(ours, base, theirs);
        let [ruled, plain] = [0, 1].map(|at| merge_values(&all, &THEIRS[at], &file).unwrap());
        let told: BTreeSet<FieldPath> = ruled.decisions.iter().map(|one| one.path.clone()).collect();
        prop_assert_eq!(told, plain.conflicts.into_iter().collect::<BTreeSet<_>>());
        prop_assert!(ruled.conflicts.is_empty());
    }

    /// L7: what is in the result is some side's, at its own place; conflicts hold what sides have.
    #[test]
    fn no_invention(terms in drawn(|draw| clean(draw, 3))) {
        let result = three(&terms[0], &terms[1], &terms[2]);
        let sides = [terms[1].as_ref(), terms[2].as_ref()];
        if let Some(result) = &result {
            prop_assert!(is_from(result, &sides, Some(terms[0].as_ref())), "{result:#?}");
        }
    }

    /// L8: where nobody changed anything, nothing changes.
    #[test]
    fn locality(terms in drawn(|draw| clean(draw, 3))) {
        let result = three(&terms[0], &terms[1], &terms[2]);
        let all = [0, 1, 2].map(|at| terms[at].as_ref());
        prop_assert!(untouched(&all, result.as_ref()), "{result:#?}");
    }

    /// L8: edits in different places never conflict, in maps and in lists.
    #[test]
    fn disjoint_edits_merge(
        both in drawn(|draw| [(); 2].map(|()| {
            let old = Value::map([("v", value(draw))]);
            (edited(&old, draw), old)
        })),
    ) {
        let [(new_left, left), (new_right, right)] = both;
        let map = |l: &Value, r: &Value| Some(Value::map([("l", l.clone()), ("r", r.clone())]));
        let items = |l: &Value, r: &Value| {
            let item = |id: &str, value: &Value| {
                let Value::Map(mut item) = value.clone() else { unreachable!() };
                item.insert("id".into(), id.into());
                item
            };
            let items = [item("l", l), item("r", r)];
            Some(Value::map([("list", Value::Keyed(KeyedList::new(vec!["id".into()], items).unwrap()))]))
        };
        for build in [&map as &dyn Fn(&Value, &Value) -> Doc, &items] {
            let merged = three(&build(&left, &right), &build(&new_left, &right), &build(&left, &new_right));
            prop_assert_eq!(merged, build(&new_left, &new_right));
        }
    }

    /// L9: a conflict is where both sides changed one unit, differently; none lies below another.
    #[test]
    fn minimality(terms in drawn(|draw| clean(draw, 3))) {
        let result = three(&terms[0], &terms[1], &terms[2]);
        let all = conflicts(&result);
        for (path, conflict) in &all {
            prop_assert_eq!(path, &conflict.path);
            let at = |term: usize| unit_at(terms[term].as_ref(), path);
            let (base, ours, theirs) = (at(0), at(1), at(2));
            prop_assert!(base != ours && base != theirs && ours != theirs, "{path}: {conflict:#?}");
            prop_assert!(is_needed(conflict), "{path}: {conflict:#?}");
        }
    }

    /// L9: also where sides and bases bring conflicts along.
    #[test]
    fn conflicts_are_an_antichain(terms in drawn(|draw| disputed(draw, 3))) {
        let file = RepoPath::new("x.meta.json").unwrap();
        let all = Terms::three(terms[1].clone(), terms[0].clone(), terms[2].clone());
        let result = merge_values(&all, &MergeOptions::default(), &file).unwrap();
        let paths = &result.conflicts;
        prop_assert!(paths.is_sorted_by(|a, b| a < b));
        for path in paths {
            prop_assert!(!paths.iter().any(|other| other != path && path.starts_with(other)));
        }
        for (path, conflict) in conflicts(&result.value) {
            prop_assert_eq!(&path, &conflict.path);
            prop_assert!(paths.contains(&path));
            let nested = |term: &&Term<Value>| term.contested().is_some();
            prop_assert!(!conflict.terms.adds().any(|term| nested(&term)));
            let contested = conflict.terms.removes().any(|term| nested(&term));
            prop_assert!(!contested || conflict.kind == ConflictKind::ContestedBase);
        }
    }

    /// L10: settling all conflicts by one side gives that side where there were conflicts.
    #[test]
    fn taking_a_side_gives_that_side(terms in drawn(|draw| clean(draw, 3)), theirs in any::<bool>()) {
        let result = three(&terms[0], &terms[1], &terms[2]);
        let (choice, side) = if theirs { (Choice::Theirs, &terms[2]) } else { (Choice::Ours, &terms[1]) };
        let settled = resolved(&result, &mut || choice.clone());
        for (path, conflict) in conflicts(&result) {
            let [now, had] = [&settled, side].map(|doc| unit_at(doc.as_ref(), &path));
            match (conflict.kind, now, had) {
                // An order has every key that is left; those the side lacks come at its end.
                (ConflictKind::Order, Some(Value::Array(now)), Some(Value::Array(had))) => {
                    let left: Vec<&Value> = had.iter().filter(|key| now.contains(key)).collect();
                    prop_assert!(now.iter().take(left.len()).eq(left), "{path}");
                }
                (_, now, had) => prop_assert!(alike(&now, &had), "{path}"),
            }
        }
        prop_assert!(conflicts(&settled).is_empty());
    }

    /// L10: once a merge is settled, however it was, its parents are its ancestors: each is the base of
    /// another merge of it, and that changes nothing, whichever side it is merged from.
    #[test]
    fn what_is_settled_stays_settled(
        terms in drawn(|draw| if draw.chance(1, 2) { clean(draw, 3) } else { disputed(draw, 3) }),
        choices in drawn(|draw| draw.bytes(16)),
    ) {
        let result = three(&terms[0], &terms[1], &terms[2]);
        let mut choices = choices.iter().cycle().copied();
        let settled = resolved(&result, &mut || choice_of(choices.next().unwrap_or(0)));
        prop_assert!(conflicts(&settled).is_empty());
        for parent in [&terms[1], &terms[2]] {
            prop_assert!(alike(&three(parent, &settled, parent), &settled));
            prop_assert!(alike(&three(parent, parent, &settled), &settled));
        }
        // Somebody who goes on from a parent, and merges what was settled, is asked nothing again.
        let [ours, theirs] = [&terms[1], &terms[2]];
        let merged = three(theirs, theirs, &settled);
        prop_assert!(alike(&three(ours, &merged, &settled), &settled));
    }

    /// Leaving a side's lines in the text of a document is taking that side.
    #[test]
    fn leaving_the_lines_of_a_side_takes_it(
        terms in drawn(|draw| match draw.below(8) {
            0..4 => clean(draw, 3),
            4..7 => disputed(draw, 3),
            _ => odd_terms(draw, 1),
        }),
        turn in 0..12_usize,
    ) {
        let document = match terms.as_slice() {
            [base, ours, theirs] => three(base, ours, theirs),
            other => other[0].clone(),
        };
        if let Some(document) = document {
            marked::settles_by_lines(&document, None, turn)?;
        }
    }

    /// L13: the order of crossed bases is irrelevant, and no ancestor's value comes back.
    #[test]
    fn criss_cross(crossed in drawn(|draw| crossed(draw, without_conflicts))) {
        let [here, there] = &crossed.bases;
        let [ours, theirs] = &crossed.heads;
        let result = three(here, ours, theirs);
        prop_assert!(alike(&result, &three(there, ours, theirs)));
        if let Some(result) = &result {
            prop_assert!(is_from(result, &[ours.as_ref(), theirs.as_ref()], None), "{result:#?}");
        }
    }

    /// L14: cancelling is idempotent, keeps the balance of every value, and does not change the sum.
    #[test]
    fn algebra_of_terms(half in prop::collection::vec(0_u8..4, 0..12), last in 0_u8..4) {
        let mut terms = half.clone();
        terms.extend(half.iter().rev().map(|n| (n * 7 + 1) % 4));
        terms.push(last);
        let terms = Terms::new(terms).unwrap();
        let simple = algebra::simplify(&terms).unwrap();
        prop_assert_eq!(algebra::simplify(&simple).unwrap(), simple.clone());
        let balance = |terms: &Terms<u8>, value: u8| {
            let count = |all: &mut dyn Iterator<Item = &u8>| all.filter(|n| **n == value).count();
            i64::try_from(count(&mut terms.adds())).unwrap()
                - i64::try_from(count(&mut terms.removes())).unwrap()
        };
        for value in 0..4 {
            prop_assert_eq!(balance(&terms, value), balance(&simple, value));
            prop_assert!(!simple.removes().any(|remove| simple.adds().any(|add| add == remove)));
        }
        prop_assert_eq!(algebra::settle(&terms), algebra::settle(&simple));
        // S3 by counting: one value left, or two of which one is positive.
        let left: Vec<(u8, i64)> =
            (0..4).map(|n| (n, balance(&terms, n))).filter(|(_, n)| *n != 0).collect();
        let positive: Vec<u8> = left.iter().filter(|(_, n)| *n > 0).map(|(n, _)| *n).collect();
        if left.len() <= 2 {
            prop_assert_eq!(algebra::settle(&terms), (positive.len() == 1).then(|| positive[0]));
        } else if positive.len() > 1 && terms.adds().any(|add| Some(add) != terms.adds().next()) {
            prop_assert_eq!(algebra::settle(&terms), None);
        }
    }

    /// L15: stored and read back, documents merge as they did, and the result can be stored.
    #[test]
    fn storage(terms in drawn(|draw| disputed(draw, 3))) {
        let stored = |doc: &Doc| {
            doc.as_ref().map(|value| {
                let object = Document::new(value.clone()).unwrap().to_object().unwrap();
                Document::from_object(&object).unwrap().into_value()
            })
        };
        let result = merged(terms.clone());
        let read: Vec<Doc> = terms.iter().map(stored).collect();
        prop_assert_eq!(bytes(&merged(read)), bytes(&result));
        prop_assert_eq!(bytes(&stored(&result)), bytes(&result));
    }
}

/// The laws are tried on every kind of value and of disagreement, and on merges that leave none.
#[test]
fn enough_of_everything_is_drawn() {
    let see = |census: &mut Census, terms: &[Doc], result: &Doc| {
        for doc in terms {
            match doc {
                Some(doc) => census.value(doc, 0),
                None => census.count("no document"),
            }
        }
        match conflicts(result).len() {
            0 => census.count("clean"),
            1 => census.count("one conflict"),
            _ => census.count("many conflicts"),
        }
        for (path, conflict) in conflicts(result) {
            census.count(conflict.kind.word());
            if conflict.terms.as_slice().len() > 3 {
                census.count("many terms");
            }
            match path.segments().len() {
                0 | 1 => {}
                2 => census.count("conflict further down"),
                _ => census.count("conflict far down"),
            }
        }
        let [base, ours, theirs] = [0, 1, 2].map(|at| terms[at].as_ref());
        if ours != theirs && base != ours && base != theirs {
            census.count("both changed");
        }
    };
    let of_three = |make: fn(&mut Draw<'_>) -> Vec<Doc>| {
        Census::of(4000, make, |census, terms| {
            see(census, &terms, &three(&terms[0], &terms[1], &terms[2]));
        })
    };
    let plain = of_three(|draw| clean(draw, 3));
    plain.expect(&[
        (400, &KINDS),
        (200, &["no document", "three deep", "conflict further down"]),
        (800, &["clean", "one conflict", "both changed"]),
        (50, &["many conflicts", "edit_edit", "add_add", "delete_edit", "type"]),
        (20, &["order", "conflict far down"]),
    ]);
    let conflicted = of_three(|draw| disputed(draw, 3));
    conflicted.expect(&[
        (400, &KINDS),
        (500, &["conflict", "clean", "one conflict"]),
        (100, &["contested_base", "conflict delete_edit", "conflict add_add"]),
        (100, &["many terms"]),
        (20, &["conflict order"]),
    ]);
    let kinds: Vec<String> =
        ConflictKind::ALL.iter().map(|kind| format!("conflict {}", kind.word())).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let odd = of_three(|draw| odd_terms(draw, 3));
    odd.expect(&[
        (800, &["conflict in a conflict", "conflict of many", "contested_base"]),
        (200, &kinds),
    ]);
}

/// Takes the first side everywhere.
fn without_conflicts(document: &Value) -> Value {
    let paths: Vec<FieldPath> = document.conflicts().into_iter().map(|(path, _)| path).collect();
    paths.iter().fold(document.clone(), |document, path| {
        resolve_document(&document, path, &Choice::Ours).unwrap().unwrap()
    })
}

/// Settles every conflict, each by the next choice, and what conflicts the value taken brings along; by
/// its first side where that choice cannot be taken, as a contested base cannot.
fn resolved(result: &Doc, choice: &mut dyn FnMut() -> Choice) -> Doc {
    let mut settled = result.clone();
    while let Some(document) = &settled
        && let Some((path, _)) = document.conflicts().first()
    {
        let next = resolve_document(document, path, &choice())
            .or_else(|_| resolve_document(document, path, &Choice::Ours));
        settled = next.unwrap();
    }
    settled
}

/// A way to settle a conflict: by a side, the base, a value that nobody has, or nothing.
fn choice_of(draw: u8) -> Choice {
    match draw % 5 {
        0 => Choice::Ours,
        1 => Choice::Theirs,
        2 => Choice::Base,
        3 => Choice::Value(Value::from("nobody's")),
        _ => Choice::Absent,
    }
}

/// The unit a conflict at `path` is about: a value, or the keys of a list in their order.
fn unit_at(document: Option<&Value>, path: &FieldPath) -> Option<Value> {
    let document = document?;
    match path.segments().split_last() {
        Some((Segment::Order, list)) => match document.get(&FieldPath(list.to_vec()))? {
            Value::Keyed(list) => Some(KeyedList::sequence_value(list.keys_in_order())),
            _ => None,
        },
        _ => document.get(path).cloned(),
    }
}

/// Whether the kind of `conflict` fits its terms, and no structural merge was possible.
fn is_needed(conflict: &Conflict<Value>) -> bool {
    let adds: Vec<Option<&Value>> = conflict.terms.adds().map(Term::value).collect();
    let removes: Vec<Option<&Value>> = conflict.terms.removes().map(Term::value).collect();
    let some_absent = adds.iter().any(Option::is_none);
    let kinds: BTreeSet<u8> =
        adds.iter().chain(&removes).flatten().map(|value| value.kind_number()).collect();
    let container = adds.iter().flatten().all(|value| {
        matches!(value, Value::Map(_) | Value::Localized(_) | Value::Set(_) | Value::Keyed(_))
    });
    match conflict.kind {
        ConflictKind::DeleteEdit => some_absent && adds.iter().any(Option::is_some),
        ConflictKind::AddAdd => {
            !some_absent && removes.iter().all(Option::is_none) && !(container && kinds.len() == 1)
        }
        ConflictKind::Type => !some_absent && kinds.len() > 1,
        ConflictKind::EditEdit => !some_absent && kinds.len() == 1 && !container,
        ConflictKind::Order => conflict.path.segments().last() == Some(&Segment::Order),
        _ => false,
    }
}

fn map_of(value: Option<&Value>) -> Option<&ValueMap> {
    match value {
        Some(Value::Map(map) | Value::Localized(map)) => Some(map),
        _ => None,
    }
}

fn list_of(value: Option<&Value>) -> Option<&KeyedList> {
    if let Some(Value::Keyed(list)) = value { Some(list) } else { None }
}

fn kind_of(value: Option<&Value>) -> Option<u8> {
    value.map(Value::kind_number)
}

/// L6 at one place: what `side` changed from `base` is found in `result`.
fn kept(
    base: Option<&Value>,
    side: Option<&Value>,
    other: Option<&Value>,
    result: Option<&Value>,
) -> bool {
    if alike_at(base, side) || alike_at(side, result) {
        return true;
    }
    match (side, result) {
        (_, Some(Value::Conflict(conflict))) => {
            conflict.terms.adds().any(|term| alike_at(term.value(), side))
        }
        // The other side's deletion includes what this one only removed.
        (Some(_), None) => {
            other.is_none() && diff(base, side).iter().all(|change| change.new.is_none())
        }
        (Some(Value::Set(new)), Some(Value::Set(merged))) => {
            let old = if let Some(Value::Set(old)) = base { Some(old) } else { None };
            let all = new.iter().chain(old.into_iter().flat_map(|old| old.iter()));
            all.into_iter().all(|element| {
                let was = old.is_some_and(|old| old.contains(element));
                new.contains(element) == was || merged.contains(element) == new.contains(element)
            })
        }
        (Some(Value::Keyed(new)), Some(Value::Keyed(merged)))
            if new.fields() == merged.fields() =>
        {
            let old = list_of(base).filter(|old| old.fields() == new.fields());
            let its = list_of(other).filter(|its| its.fields() == new.fields());
            let keys = new.items().keys().chain(old.into_iter().flat_map(|old| old.items().keys()));
            keys.into_iter().all(|key| {
                let [old, its] = [old, its].map(|list| list.and_then(|list| list.items().get(key)));
                kept(old, new.items().get(key), its, merged.items().get(key))
            }) && order_kept(old, new, its, merged)
        }
        (Some(new), Some(merged)) if kind_of(side) == kind_of(result) => {
            let (Some(new), Some(merged)) = (map_of(Some(new)), map_of(Some(merged))) else {
                return false;
            };
            let same_kind = |value: Option<&'_ Value>| kind_of(value) == kind_of(side);
            let old = map_of(base.filter(|_| same_kind(base)));
            let its = map_of(other.filter(|_| same_kind(other)));
            let keys = new.keys().chain(old.into_iter().flat_map(|old| old.keys()));
            keys.into_iter().all(|key| {
                let [old, its] = [old, its].map(|map| map.and_then(|map| map.get(key)));
                kept(old, new.get(key), its, merged.get(key))
            })
        }
        _ => false,
    }
}

/// Whether every pair of items that a side turned around is so in the result, or the order is
/// disputed. An item the other side lacks has no pairs: it follows its anchor.
fn order_kept(
    old: Option<&KeyedList>,
    new: &KeyedList,
    its: Option<&KeyedList>,
    merged: &KeyedList,
) -> bool {
    let ListOrder::Known(result) = merged.order() else { return true };
    let (Some(old), Some(its)) = (old, its) else { return true };
    let before = |list: &KeyedList| -> BTreeSet<_> {
        let keys: Vec<_> = list.keys_in_order().into_iter().cloned().collect();
        let pairs = keys.iter().enumerate();
        pairs.flat_map(|(at, a)| keys[at + 1..].iter().map(|b| (a.clone(), b.clone()))).collect()
    };
    let (old, new) = (before(old), before(new));
    let merged: BTreeSet<_> = before(merged);
    let there = |key| result.contains(key) && its.items().contains_key(key);
    new.iter().all(|(a, b)| {
        let turned = old.contains(&(b.clone(), a.clone()));
        !turned || !there(a) || !there(b) || merged.contains(&(a.clone(), b.clone()))
    })
}

/// L7 at one place: `result` is made of what `sides` have here, and its conflicts of that and `base`
/// (not looked at if there is none to compare).
fn is_from(result: &Value, sides: &[Option<&Value>], base: Option<Option<&Value>>) -> bool {
    let below = |result: &Value, step: &dyn for<'v> Fn(&'v Value) -> Option<&'v Value>| {
        let stepped: Vec<Option<&Value>> = sides.iter().map(|side| side.and_then(step)).collect();
        is_from(result, &stepped, base.map(|base| base.and_then(step)))
    };
    match result {
        Value::Conflict(conflict) => {
            conflict.terms.adds().all(|term| sides.iter().any(|side| alike_at(*side, term.value())))
                && base.is_none_or(|base| {
                    conflict.terms.removes().all(|term| alike_at(base, term.value()))
                })
        }
        Value::Map(map) | Value::Localized(map) => {
            sides.iter().any(|side| kind_of(*side) == Some(result.kind_number()))
                && map.iter().all(|(key, child)| {
                    below(child, &|side| {
                        let side = (side.kind_number() == result.kind_number()).then_some(side);
                        map_of(side).and_then(|map| map.get(key))
                    })
                })
        }
        Value::Keyed(list) => {
            sides.iter().any(|side| list_of(*side).is_some())
                && list.items().iter().all(|(key, item)| {
                    below(item, &|side| list_of(Some(side)).and_then(|l| l.items().get(key)))
                })
        }
        Value::Set(set) => set.iter().all(|element| {
            sides.iter().any(|side| {
                if let Some(Value::Set(side)) = side { side.contains(element) } else { false }
            })
        }),
        leaf => sides.contains(&Some(leaf)),
    }
}

/// L8 at one place: where all of `terms` (base and sides) are the same, so is `result`.
fn untouched(terms: &[Option<&Value>; 3], result: Option<&Value>) -> bool {
    if alike_at(terms[0], terms[1]) && alike_at(terms[0], terms[2]) {
        return alike_at(terms[0], result);
    }
    let kind = kind_of(result);
    let same_kind = |value: Option<&'_ Value>| kind_of(value) == kind;
    match result {
        Some(Value::Map(map) | Value::Localized(map)) => {
            let keys = terms.iter().filter_map(|term| map_of(*term)).flat_map(|map| map.keys());
            let mut keys = keys.chain(map.keys());
            keys.all(|key| {
                let below = terms.map(|term| {
                    map_of(term.filter(|_| same_kind(term))).and_then(|map| map.get(key))
                });
                untouched(&below, map.get(key))
            })
        }
        Some(Value::Keyed(list)) => {
            let keys =
                terms.iter().filter_map(|term| list_of(*term)).flat_map(|l| l.items().keys());
            let mut keys = keys.chain(list.items().keys());
            keys.all(|key| {
                let below = terms.map(|term| list_of(term).and_then(|list| list.items().get(key)));
                untouched(&below, list.items().get(key))
            })
        }
        _ => true,
    }
}
