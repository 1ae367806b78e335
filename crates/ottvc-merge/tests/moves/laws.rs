//! Laws over trees of lists whose items move, go, come and change.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_merge::schema::validate;
use ottvc_merge::{Choice, MergeOptions, Merged, resolve_value, same};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, Value, value_to_json};
use proptest::prelude::*;

use super::{conflicts, merge};

/// Where an item stands: in a list of the document, or inside another item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    Root(&'static str),
    In(String),
}

/// A document, as what its items say and where they stand.
#[derive(Clone, Debug, Default)]
struct Tree {
    titles: BTreeMap<String, (String, i64)>,
    lists: BTreeMap<Home, Vec<String>>,
}

/// Rules of a call, one row a draw.
const RULES: [&[&str]; 5] = [&[], &[], &["/a=ours"], &["/b=ours", "/a/**=theirs"], &["/**=theirs"]];
const ROOTS: [&str; 3] = ["a", "b", "c"];
const DEPTH: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Edit(usize),
    Number(usize, i64),
    Move(usize, usize, usize),
    Remove(usize),
    Add(usize, usize),
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let any = 0..1000_usize;
    let step = prop_oneof![
        2 => any.clone().prop_map(Step::Edit),
        1 => (any.clone(), 0..4_i64).prop_map(|(it, n)| Step::Number(it, n)),
        5 => (any.clone(), any.clone(), any.clone()).prop_map(|(it, to, at)| Step::Move(it, to, at)),
        1 => any.clone().prop_map(Step::Remove),
        1 => (any.clone(), any).prop_map(|(to, at)| Step::Add(to, at)),
    ];
    prop::collection::vec(step, 0..=most)
}

impl Tree {
    fn home(&self, id: &str) -> Option<&Home> {
        self.lists.iter().find(|(_, ids)| ids.iter().any(|it| it == id)).map(|(home, _)| home)
    }
    fn depth(&self, home: &Home) -> usize {
        match home {
            Home::Root(_) => 1,
            Home::In(id) => 1 + self.home(id).map_or(0, |home| self.depth(home)),
        }
    }
    fn height(&self, id: &str) -> usize {
        let inside = self.lists.get(&Home::In(id.into()));
        1 + inside.into_iter().flatten().map(|it| self.height(it)).max().unwrap_or(0)
    }
    fn homes(&self) -> Vec<Home> {
        let roots = ROOTS.map(Home::Root).into_iter();
        let items = self.titles.keys().filter(|id| self.home(id).is_some());
        roots.chain(items.map(|id| Home::In(id.clone()))).collect()
    }
    fn is_inside(&self, home: &Home, id: &str) -> bool {
        match home {
            Home::Root(_) => false,
            Home::In(around) if around == id => true,
            Home::In(around) => self.home(around).is_some_and(|home| self.is_inside(home, id)),
        }
    }
    fn put(&mut self, id: &str, home: Home, at: usize) {
        let list = self.lists.entry(home).or_default();
        list.insert(at % (list.len() + 1), id.into());
    }
    fn take(&mut self, id: &str) {
        for list in self.lists.values_mut() {
            list.retain(|it| it != id);
        }
    }
    fn drop_all(&mut self, id: &str) {
        for inside in self.lists.get(&Home::In(id.into())).cloned().unwrap_or_default() {
            self.drop_all(&inside);
        }
        self.take(id);
        self.lists.remove(&Home::In(id.into()));
        self.titles.remove(id);
    }
    fn after(mut self, steps: &[Step], side: &str) -> Self {
        for (number, step) in steps.iter().enumerate() {
            let ids: Vec<String> = self.titles.keys().cloned().collect();
            let pick = |at: usize| ids.get(at % ids.len().max(1)).cloned();
            match step {
                Step::Edit(it) => {
                    if let Some(title) = pick(*it).and_then(|id| self.titles.get_mut(&id)) {
                        title.0 = format!("{side}{number}.");
                    }
                }
                Step::Number(it, n) => {
                    if let Some(title) = pick(*it).and_then(|id| self.titles.get_mut(&id)) {
                        title.1 = *n;
                    }
                }
                Step::Move(it, to, at) => {
                    let Some(id) = pick(*it) else { continue };
                    let homes = self.homes();
                    let home = homes[to % homes.len()].clone();
                    let fits = self.depth(&home) + self.height(&id) <= DEPTH + 1;
                    if fits && !self.is_inside(&home, &id) {
                        self.take(&id);
                        self.put(&id, home, *at);
                    }
                }
                Step::Remove(it) => {
                    if let Some(id) = pick(*it) {
                        self.drop_all(&id);
                    }
                }
                Step::Add(to, at) => {
                    let homes = self.homes();
                    let home = homes[to % homes.len()].clone();
                    if self.depth(&home) <= DEPTH {
                        let id = format!("{side}{number}");
                        self.titles.insert(id.clone(), (format!("new {id}."), 0));
                        self.put(&id, home, *at);
                    }
                }
            }
        }
        self
    }
    fn list(&self, home: &Home) -> Value {
        let ids = self.lists.get(home).cloned().unwrap_or_default();
        let items = ids.iter().map(|id| {
            let (title, n) = &self.titles[id];
            let mut map = BTreeMap::from([
                ("$id".to_owned(), Value::from(id.as_str())),
                ("title".to_owned(), Value::from(title.as_str())),
                ("n".to_owned(), Value::from(*n)),
            ]);
            if self.depth(home) <= DEPTH {
                map.insert("in".into(), self.list(&Home::In(id.clone())));
            }
            map
        });
        Value::Keyed(KeyedList::new(vec!["$id".into()], items).unwrap())
    }
    fn document(&self) -> Value {
        let map = Value::map(ROOTS.map(|root| (root, self.list(&Home::Root(root)))));
        // Where the schema computes an order, documents have it.
        super::schema().convert(&map)
    }
}

/// Trees of lists in the names of one base and two sides.
fn trees() -> impl Strategy<Value = [Tree; 3]> {
    (prop::collection::vec((0..1000_usize, 0..1000_usize), 2..8), steps(4), steps(4)).prop_map(
        |(adds, ours, theirs)| {
            let adds: Vec<Step> = adds.into_iter().map(|(to, at)| Step::Add(to, at)).collect();
            let base = Tree::default().after(&adds, "b");
            let (ours, theirs) = (base.clone().after(&ours, "o"), base.clone().after(&theirs, "t"));
            [ours, base, theirs]
        },
    )
}

/// How often items stand outside of conflicts, with their titles and the items around them.
fn standing(value: &Value) -> BTreeMap<String, Vec<(Option<String>, String)>> {
    fn look(
        value: &Value,
        around: Option<&String>,
        found: &mut BTreeMap<String, Vec<(Option<String>, String)>>,
    ) {
        match value {
            Value::Keyed(list) => {
                for (key, item) in list.items() {
                    let Value::Map(map) = item else { continue };
                    let Some(Value::String(id)) = key.parts().first() else { continue };
                    let title = match map.get("title") {
                        Some(Value::String(title)) => title.clone(),
                        _ => String::new(),
                    };
                    found.entry(id.clone()).or_default().push((around.cloned(), title));
                    map.values().for_each(|child| look(child, Some(id), found));
                }
            }
            Value::Map(map) => {
                for (name, child) in map {
                    look(child, Some(name), found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    look(value, None, &mut found);
    found
}

fn json_of(merged: &Merged) -> String {
    merged.value.as_ref().map(value_to_json).unwrap_or_default().to_string()
}

/// Settles everything for one choice, whatever can be settled first.
fn settle_all(mut document: Value, choice: &Choice) -> Result<Value, TestCaseError> {
    loop {
        let open: Vec<FieldPath> = document.conflicts().into_iter().map(|(at, _)| at).collect();
        if open.is_empty() {
            return Ok(document);
        }
        let mut settled = open.iter().filter_map(|at| resolve_value(&document, at, choice).ok());
        let next = settled.next();
        prop_assert!(next.is_some(), "none of {open:?} can be settled: {document:?}");
        document = next.unwrap_or(document);
    }
}

/// Whether a path is that of the item with this id.
fn ends_in(path: &FieldPath, id: &str) -> bool {
    match path.0.last() {
        Some(Segment::Item(parts)) => parts.iter().any(|(_, part)| *part == Value::from(id)),
        _ => false,
    }
}

/// A text of all that a merge came to names every item that no side removed, and every new title.
fn tells_all(text: &str, [ours, base, theirs]: [&Tree; 3]) -> Result<(), TestCaseError> {
    for (side, other) in [(ours, theirs), (theirs, ours)] {
        for (id, (title, _)) in &side.titles {
            let was = base.titles.get(id);
            if other.titles.contains_key(id) || was.is_none() {
                let there = text.contains(&format!("{:?}", Value::from(id.as_str())));
                prop_assert!(there, "{} is lost: {}", id, text);
            }
            if was.is_none_or(|was| was.0 != *title) {
                prop_assert!(text.contains(title.as_str()), "{:?} is lost: {}", title, text);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(super::draw::config(file!(), 256))]

    #[test]
    fn unit_agreement_and_symmetry([ours, base, theirs] in trees()) {
        let [ours, base, theirs] = [ours, base, theirs].map(|tree| tree.document());
        prop_assert_eq!(merge(&base, &base, &theirs).value, Some(theirs.clone()));
        prop_assert_eq!(merge(&ours, &base, &base).value, Some(ours.clone()));
        prop_assert_eq!(merge(&ours, &base, &ours).value, Some(ours.clone()));
        let (there, back) = (merge(&ours, &base, &theirs), merge(&theirs, &base, &ours));
        let (there_json, back_json) = (json_of(&there), json_of(&back));
        prop_assert!(same(&there.value.unwrap(), &back.value.unwrap()), "{there_json}\n{back_json}");
        prop_assert_eq!(there.conflicts, back.conflicts);
    }

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice([ours, base, theirs] in trees()) {
        let merged = merge(&ours.document(), &base.document(), &theirs.document());
        let document = merged.value.clone().unwrap();
        let (text, standing) = (format!("{document:?}"), standing(&document));
        for (id, found) in &standing {
            prop_assert_eq!(found.len(), 1, "{} stands twice: {:?}", id, document);
            let known = |tree: &Tree| tree.titles.get(id).is_some_and(|it| it.0 == found[0].1);
            let any = [&ours, &base, &theirs].into_iter().any(known);
            let disputed = found[0].1.is_empty();
            prop_assert!(any || disputed, "{} is called {:?}", id, found);
        }
        tells_all(&text, [&ours, &base, &theirs])?;
        let mut places = merged.conflicts.clone();
        places.sort();
        for pair in places.windows(2) {
            prop_assert!(!pair[1].starts_with(&pair[0]), "{} lies in {}", pair[1], pair[0]);
        }
    }

    /// Also where a list that an item went to, or was in, is taken whole.
    #[test]
    fn nothing_is_lost_to_limits_rules_and_lists_that_go(
        [ours, base, theirs] in trees(),
        bare in 0..8_usize,
        rule in 0..RULES.len(),
    ) {
        let document = |tree: &Tree, side: usize| {
            let mut document = tree.document();
            for root in ROOTS {
                let empty = tree.lists.get(&Home::Root(root)).is_none_or(Vec::is_empty);
                if empty && bare >> side & 1 == 1 {
                    document.set(&FieldPath::root().key(root), None).unwrap();
                }
            }
            document
        };
        let [mine, was, its] = [document(&ours, 0), document(&base, 1), document(&theirs, 2)];
        let rules = RULES[rule].iter().map(|rule| rule.parse().unwrap()).collect();
        let options = MergeOptions { rules, ..super::options(&super::harsh()) };
        for [one, other] in [[&mine, &its], [&its, &mine]] {
            let merged = super::merge_with(&options, one, &was, other);
            let text = format!("{:?} {:?}", merged.value, merged.decisions);
            prop_assert!(!text.contains("$move_domain"), "a stub is left: {}", text);
            tells_all(&text, [&ours, &base, &theirs])?;
        }
    }

    #[test]
    fn one_place_is_the_one_that_a_side_gave([ours, base, theirs] in trees()) {
        let merged = merge(&ours.document(), &base.document(), &theirs.document());
        if merged.conflicts.is_empty() {
            let homes = |tree: &Tree| standing(&tree.document());
            let (a, b, c) = (homes(&ours), homes(&base), homes(&theirs));
            for (id, found) in standing(&merged.value.unwrap()) {
                let home = |homes: &BTreeMap<String, Vec<(Option<String>, String)>>| {
                    homes.get(&id).map(|found| found[0].0.clone())
                };
                let (mine, was, its) = (home(&a), home(&b), home(&c));
                let wanted = if mine == was { its.or(mine) } else { mine.or(its) };
                prop_assert_eq!(Some(found[0].0.clone()), wanted, "{}", id);
            }
        }
    }

    #[test]
    fn any_side_can_be_taken([ours, base, theirs] in trees()) {
        let merged = merge(&ours.document(), &base.document(), &theirs.document());
        let apart: BTreeSet<String> = conflicts(&merged).into_iter()
            .filter(|(_, kind)| matches!(kind.word(), "rename_rename" | "move_cycle"))
            .map(|(at, _)| at).collect();
        let document = merged.value.unwrap();
        for (choice, side) in [(Choice::Ours, &ours), (Choice::Theirs, &theirs)] {
            let settled = settle_all(document.clone(), &choice)?;
            let (found, own) = (standing(&settled), standing(&side.document()));
            // Twice only where no move was followed: then where sides have it, and it is told.
            let sides = [&ours, &theirs].map(|side| standing(&side.document()));
            let told = validate(&settled, &super::schema());
            for (id, found) in &found {
                let given = |around: &Option<String>| {
                    sides.iter().any(|side| side.get(id).is_some_and(|it| it[0].0 == *around))
                };
                let all_given = found.iter().all(|(around, _)| given(around));
                prop_assert!(found.len() == 1 || all_given, "{} stands twice: {:?}", id, settled);
                let its = told.iter().filter(|it| it.rule == "move_domain" && ends_in(&it.path, id));
                prop_assert_eq!(its.count(), found.len() - 1, "{}: {:?}", id, told);
            }
            for at in &apart {
                let at: FieldPath = at.parse().unwrap();
                let Some(Segment::Item(parts)) = at.0.last() else { continue };
                let key = Key::new(vec![parts[0].1.clone()]).unwrap();
                let Some(Value::String(id)) = key.parts().first() else { continue };
                let home = |all: &BTreeMap<String, Vec<(Option<String>, String)>>| {
                    all.get(id).map(|found| found[0].0.clone())
                };
                // Or where the dispute stands, if the list it went to is not there.
                let around = at.0[..at.0.len() - 1].iter().rev().find_map(|segment| match segment {
                    Segment::Item(parts) => match &parts[0].1 {
                        Value::String(id) => Some(id.clone()),
                        _ => None,
                    },
                    _ => None,
                });
                let here = around.or_else(|| match at.0.first() {
                    Some(Segment::Key(root)) => Some(root.clone()),
                    _ => None,
                });
                let stands = home(&found);
                prop_assert!(stands == home(&own) || stands == Some(here), "{}", id);
            }
        }
    }

    #[test]
    fn a_clean_merge_has_taken_both_sides_in([ours, base, theirs] in trees()) {
        let [ours, base, theirs] = [ours, base, theirs].map(|tree| tree.document());
        let merged = merge(&ours, &base, &theirs);
        if merged.conflicts.is_empty() {
            let result = merged.value.unwrap();
            for side in [&ours, &theirs] {
                let again = merge(&result, &base, side);
                prop_assert_eq!(standing(&again.value.unwrap()), standing(&result));
            }
        }
    }
}
