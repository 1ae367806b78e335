//! Which items moved between the lists of a domain, and where each of them goes.
//!
//! Lists of one `move_domain` are keyed by `$id`, so an item is the same wherever it stands, and where it
//! stands is something of its own that sides may change. A list is known by the item of a domain around
//! it and the way from there: a list that is carried along inside an item stays the same list.
//! Only what differs is looked at.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, Value};

use crate::placed::{ID, item_step};
use crate::schema::Cursor;
use crate::slot::Slot;

/// An item of a domain.
pub(super) type Node<'o> = (&'o str, Key);

/// Where one term has an item.
#[derive(Clone, Debug)]
pub(super) struct Spot<'o> {
    /// The path of its list.
    pub(super) list: FieldPath,
    /// The items of domains around that list, from the outermost, each with the length of its path.
    around: Vec<(Node<'o>, usize)>,
}

impl<'o> Spot<'o> {
    /// The path of the item.
    pub(super) fn item(&self, node: &Node<'o>) -> FieldPath {
        self.list.join(item_step(id_of(node)))
    }
    /// What the list is known by.
    fn list_id(&self) -> (Option<&Node<'o>>, &[Segment]) {
        match self.around.last() {
            Some((owner, len)) => (Some(owner), self.list.0.get(*len..).unwrap_or_default()),
            None => (None, &self.list.0),
        }
    }
}

/// The `$id` of an item.
pub(super) fn id_of<'n>(node: &'n Node<'_>) -> &'n Value {
    node.1.parts().first().unwrap_or(&Value::Null)
}

/// What becomes of the place of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes where this term has it.
    Goes(usize),
    /// The sides moved it to different lists.
    Apart,
    /// It would come to lie inside itself, or might: the number of the circle.
    Circle(usize),
}

/// An item that a side moved.
#[derive(Clone, Debug)]
pub(super) struct Moved<'o> {
    /// Where ours, the base and theirs have it.
    pub(super) spots: [Option<Spot<'o>>; 3],
    /// What becomes of it.
    pub(super) fate: Fate,
}

impl Moved<'_> {
    /// Whether this side moved it.
    pub(super) fn by(&self, side: usize) -> bool {
        match (self.spots.get(side), self.spots.get(1)) {
            (Some(Some(own)), Some(Some(base))) => own.list_id() != base.list_id(),
            _ => false,
        }
    }
}

/// All items that a side moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves<'o> {
    /// By domain and key.
    pub(super) nodes: BTreeMap<Node<'o>, Moved<'o>>,
    /// Items that the sides moved into each other.
    pub(super) circles: Vec<Vec<Node<'o>>>,
    /// What goes into lists of an item, or of none that moved, by the way to them: sorted.
    into: BTreeMap<Option<Node<'o>>, Vec<(FieldPath, Node<'o>)>>,
    domains: BTreeSet<&'o str>,
}

impl<'o> Moves<'o> {
    /// Finds what `terms` moved, between one base and two sides that both changed it, without what is
    /// in `plain`. `None` if that is nothing.
    pub(super) fn find(
        terms: [&Value; 3],
        at: &Cursor<'o>,
        plain: &BTreeSet<Node<'o>>,
    ) -> Option<Self> {
        let [ours, base, theirs] = terms;
        if !at.exchanges() || ours == base || theirs == base {
            return None;
        }
        let mut scan = Scan::default();
        scan.look(terms.map(Some), at);
        let mut moves = Self::default();
        for (node, spots) in scan.found {
            if scan.odd.contains(&node) || plain.contains(&node) {
                continue;
            }
            let [ours, base, theirs] = &spots;
            let ([_] | []) = ours.as_slice() else { continue };
            let ([_] | []) = theirs.as_slice() else { continue };
            let [from] = base.as_slice() else { continue };
            let list =
                |spots: &'_ [Spot<'o>]| spots.first().map(|spot| spot.list_id() == from.list_id());
            let fate = match (list(ours), list(theirs)) {
                (Some(false), Some(true) | None) => Fate::Goes(0),
                (Some(true) | None, Some(false)) => Fate::Goes(2),
                (Some(false), Some(false)) => {
                    let same = ours.first().map(Spot::list_id) == theirs.first().map(Spot::list_id);
                    if same { Fate::Goes(0) } else { Fate::Apart }
                }
                _ => continue,
            };
            let spots = spots.map(|spots| spots.into_iter().next());
            moves.nodes.insert(node, Moved { spots, fate });
        }
        if moves.nodes.is_empty() {
            return None;
        }
        // What stands twice in a document is not one item.
        for term in terms {
            let mut times = BTreeMap::new();
            count(term, at, &moves.nodes, &mut times);
            moves.nodes.retain(|node, _| times.get(node).is_none_or(|times| *times < 2));
        }
        moves.find_circles();
        moves.domains = moves.nodes.keys().map(|(domain, _)| *domain).collect();
        for (node, moved) in &moves.nodes {
            if let Some((owner, way)) = moves.goes(moved) {
                moves.into.entry(owner).or_default().push((way, node.clone()));
            }
        }
        moves.into.values_mut().for_each(|all| all.sort());
        (!moves.nodes.is_empty()).then_some(moves)
    }

    /// The moved item a list is in, and the way from there; lists outside of them lie where they always
    /// did.
    pub(super) fn address(&self, spot: &Spot<'o>) -> (Option<Node<'o>>, FieldPath) {
        let owner = spot.around.iter().rfind(|(node, _)| self.nodes.contains_key(node));
        match owner {
            Some((node, len)) => {
                let way = spot.list.0.get(*len..).unwrap_or_default();
                (Some(node.clone()), FieldPath(way.to_vec()))
            }
            None => (None, spot.list.clone()),
        }
    }

    /// What goes into lists of `owner`, by the way to them.
    pub(super) fn into(&self, owner: Option<&Node<'o>>) -> &[(FieldPath, Node<'o>)] {
        self.into.get(&owner.cloned()).map_or(&[], Vec::as_slice)
    }

    /// The moved item of this domain and key.
    pub(super) fn named(&self, domain: &str, key: Key) -> Option<&Node<'o>> {
        let domain = self.domains.get(domain)?;
        self.nodes.get_key_value(&(*domain, key)).map(|(node, _)| node)
    }

    fn goes(&self, moved: &Moved<'o>) -> Option<(Option<Node<'o>>, FieldPath)> {
        let Fate::Goes(term) = moved.fate else { return None };
        moved.spots.get(term)?.as_ref().map(|spot| self.address(spot))
    }

    /// The items this one may come to lie in: where it goes, or where any side has it.
    fn owners(&self, moved: &Moved<'o>) -> Vec<Node<'o>> {
        let spots = moved.spots.iter().enumerate().filter(|(term, _)| match moved.fate {
            Fate::Goes(into) => *term == into,
            _ => true,
        });
        spots.filter_map(|(_, spot)| self.address(spot.as_ref()?).0).collect()
    }

    /// Finds the items that would come to lie inside themselves, or might by a choice of someone who
    /// settles a place: each circle whole, as its places can only be chosen together.
    ///
    /// # Reference
    /// Strongly connected components after Kosaraju and Sharir.
    fn find_circles(&mut self) {
        let owners: BTreeMap<Node<'o>, Vec<Node<'o>>> =
            self.nodes.iter().map(|(node, moved)| (node.clone(), self.owners(moved))).collect();
        let mut inside: BTreeMap<&Node<'o>, Vec<&Node<'o>>> = BTreeMap::new();
        for (node, owners) in &owners {
            for owner in owners {
                inside.entry(owner).or_default().push(node);
            }
        }
        let mut seen = BTreeSet::new();
        let mut left = Vec::new();
        for start in owners.keys() {
            let mut way: Vec<(&Node<'o>, usize)> = Vec::new();
            if seen.insert(start) {
                way.push((start, 0));
            }
            while let Some((node, next)) = way.last_mut() {
                match owners.get(*node).and_then(|owners| owners.get(*next)) {
                    Some(owner) => {
                        *next += 1;
                        if seen.insert(owner) {
                            way.push((owner, 0));
                        }
                    }
                    None => {
                        left.push(*node);
                        way.pop();
                    }
                }
            }
        }
        let mut circles: Vec<Vec<Node<'o>>> = Vec::new();
        let mut seen = BTreeSet::new();
        for start in left.into_iter().rev() {
            let mut circle = Vec::new();
            let mut next = vec![start];
            while let Some(node) = next.pop() {
                if seen.insert(node) {
                    circle.push(node.clone());
                    next.extend(inside.get(node).into_iter().flatten());
                }
            }
            if circle.len() > 1 {
                circle.sort();
                circles.push(circle);
            }
        }
        circles.sort();
        for (number, circle) in circles.iter().enumerate() {
            for node in circle {
                if let Some(moved) = self.nodes.get_mut(node) {
                    moved.fate = Fate::Circle(number);
                }
            }
        }
        self.circles = circles;
    }
}

/// A walk over three documents at once, wherever they differ.
#[derive(Default)]
struct Scan<'o> {
    /// Where each term has the items that not all of them have in one place.
    found: BTreeMap<Node<'o>, [Vec<Spot<'o>>; 3]>,
    /// Items in conflict: they are taken apart as anywhere, and followed nowhere.
    odd: BTreeSet<Node<'o>>,
    path: FieldPath,
    around: Vec<(Node<'o>, usize)>,
}

impl<'o> Scan<'o> {
    fn look(&mut self, values: [Option<&Value>; 3], at: &Cursor<'o>) {
        let [ours, base, theirs] = values;
        if !at.exchanges() || (ours == base && base == theirs) {
            return;
        }
        let maps = values.map(|value| match value {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        });
        let keys: BTreeSet<&String> = maps.iter().flatten().flat_map(|map| map.keys()).collect();
        for key in keys.into_iter().filter(|key| !at.groups().iter().flatten().any(|it| it == *key))
        {
            self.path.0.push(Segment::Key(key.clone()));
            let below = at.step(&Segment::Key(key.clone()));
            self.look(maps.map(|map| map?.get(key)), &below);
            self.path.0.pop();
        }
        let lists = values.map(|value| match value {
            Some(Value::Keyed(list)) => Some(list),
            _ => None,
        });
        let Some(any) = lists.iter().flatten().next() else { return };
        if lists.iter().flatten().all(|list| list.fields() == any.fields()) {
            self.look_in(any, lists, at);
        }
    }

    fn look_in(&mut self, any: &KeyedList, lists: [Option<&KeyedList>; 3], at: &Cursor<'o>) {
        let domain = at.domain().filter(|_| any.fields() == [ID]);
        let keys: BTreeSet<&Key> =
            lists.iter().flatten().flat_map(|list| list.items().keys()).collect();
        for key in keys {
            let items = lists.map(|list| list?.items().get(key));
            let segment = any.segment(key);
            let below = at.step(&segment);
            let list = self.path.clone();
            self.path.0.push(segment);
            if let Some(domain) = domain {
                let node = (domain, key.clone());
                let is_odd = |item: &&Value| !matches!(item, Value::Map(_));
                if items.iter().flatten().any(is_odd) {
                    self.odd.insert(node.clone());
                } else if items.iter().any(Option::is_none) {
                    let spots = self.found.entry(node.clone()).or_default();
                    for (spots, _) in spots.iter_mut().zip(items).filter(|(_, it)| it.is_some()) {
                        spots.push(Spot { list: list.clone(), around: self.around.clone() });
                    }
                }
                self.around.push((node, self.path.0.len()));
            }
            self.look(items, &below);
            if domain.is_some() {
                self.around.pop();
            }
            self.path.0.pop();
        }
    }
}

/// Counts how often a document has each of `nodes`.
fn count<'o>(
    value: &Value,
    at: &Cursor<'o>,
    nodes: &BTreeMap<Node<'o>, Moved<'o>>,
    times: &mut BTreeMap<Node<'o>, usize>,
) {
    if !at.exchanges() {
        return;
    }
    match value {
        Value::Map(map) => {
            for (key, child) in map.iter().filter(|(_, child)| !child.is_scalar()) {
                count(child, &at.step(&Segment::Key(key.clone())), nodes, times);
            }
        }
        Value::Keyed(list) => {
            if let Some(domain) = at.domain().filter(|_| list.fields() == [ID]) {
                for key in list.items().keys() {
                    if let Some((node, _)) = nodes.get_key_value(&(domain, key.clone())) {
                        *times.entry(node.clone()).or_default() += 1;
                    }
                }
            }
            for (key, item) in list.items() {
                count(item, &at.step(&list.segment(key)), nodes, times);
            }
        }
        _ => {}
    }
}

/// The documents of a merge of one base and two sides, where each of them is a map.
pub(super) fn three_maps<'a>(terms: &[Slot<'a>]) -> Option<[&'a Value; 3]> {
    let [Slot::Value(ours), Slot::Value(base), Slot::Value(theirs)] = terms else { return None };
    let all = [*ours, *base, *theirs];
    all.iter().all(|value| matches!(value, Value::Map(_))).then_some(all)
}
