//! Putting back what was kept aside: each remainder goes to the element that its field was written as.
//!
//! A remainder names the fields that its element said. Where one of them was written, that element is
//! its place, wherever the rules put it; where none was, the document says it no longer, and what was
//! left of it must not bring it back. A remainder that said nothing goes to an element that looks like
//! its own, else beside.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::FieldPath;

use crate::leftover::is_element;
use crate::out::Out;

/// Where a field was written: the way down from the root, by number of child.
pub(crate) type Places = BTreeMap<FieldPath, Vec<usize>>;

/// Where a remainder belongs.
enum Home {
    At(Vec<usize>),
    Beside,
    Nowhere,
}

/// Puts back all that was left below the root.
pub(crate) fn graft(root: &mut Out, left: Out, places: &Places) {
    Graft { places, used: BTreeSet::new(), ranked: 0 }.fill(root, Vec::new(), left);
}

struct Graft<'p> {
    places: &'p Places,
    used: BTreeSet<Vec<usize>>,
    ranked: usize,
}

impl Graft<'_> {
    fn fill(&mut self, root: &mut Out, at: Vec<usize>, left: Out) {
        let Some(into) = root.at(&at) else { return };
        for (name, value) in left.attributes {
            let valued = into.valued.contains(&name);
            match into.attributes.iter_mut().find(|(known, _)| *known == name) {
                // The word that was delivered, of those that mean the same.
                Some((_, before)) if !valued && !left.said.is_empty() => *before = value,
                Some(_) => {}
                None => into.attributes.push((name, value)),
            }
        }
        if into.text.is_none() {
            into.text = left.text;
        }
        let mut written: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, child) in into.children.iter().enumerate() {
            written.entry(child.name.clone()).or_default().push(number);
        }
        for child in left.children {
            let named = written.get(&child.name).map_or(&[][..], Vec::as_slice);
            match self.home(root, &at, named, &child) {
                Home::Nowhere => {}
                Home::At(place) => {
                    self.used.insert(place.clone());
                    if child.said.iter().all(is_element) {
                        self.rank(root, &place);
                    }
                    self.fill(root, place, child);
                }
                Home::Beside => self.beside(root, &at, child),
            }
        }
    }

    fn beside(&mut self, root: &mut Out, at: &[usize], child: Out) {
        let Some(into) = root.at(at) else { return };
        let emptied = !child.children.is_empty();
        let (attributes, text) = (child.attributes.clone(), child.text.clone());
        into.children.push(Out { attributes, text, ..Out::new(child.name.clone()) });
        let place: Vec<usize> = at.iter().copied().chain([into.children.len() - 1]).collect();
        self.rank(root, &place);
        self.fill(root, place.clone(), child);
        let bare =
            |it: &mut Out| it.attributes.is_empty() && it.text.is_none() && it.children.is_empty();
        if emptied && root.at(&place).is_some_and(bare) {
            // All that was left in it belongs elsewhere, or nowhere. It is still the last.
            root.at(at).and_then(|into| into.children.pop());
        }
    }

    fn rank(&mut self, root: &mut Out, place: &[usize]) {
        self.ranked += 1;
        if let Some(element) = root.at(place) {
            element.rank = self.ranked;
        }
    }

    fn home(&self, root: &mut Out, at: &[usize], named: &[usize], child: &Out) -> Home {
        if !child.said.is_empty() {
            let said: Vec<&FieldPath> =
                child.said.iter().filter(|field| self.places.contains_key(*field)).collect();
            let places: Vec<Vec<usize>> =
                said.iter().filter_map(|field| self.named(root, field, child)).collect();
            let here = places.iter().find(|place| parent(place) == at);
            return match here.or_else(|| places.first()) {
                Some(place) if here.is_some() || !said.iter().any(|it| is_element(it)) => {
                    Home::At(place.clone())
                }
                // A set is written in one place; each of those that said an element has its own.
                Some(_) => Home::Beside,
                None => Home::Nowhere,
            };
        }
        let mut near: Vec<Vec<usize>> = Vec::new();
        self.leads(child, &mut Vec::new(), &mut near);
        let near = near.into_iter().filter(|place| parent(place) == at);
        let like = named.iter().map(|number| at.iter().copied().chain([*number]).collect());
        for place in near.chain(like) {
            if !self.used.contains(&place) && root.at(&place).is_some_and(|it| alike(it, child)) {
                return Home::At(place);
            }
        }
        Home::Beside
    }

    /// The element of this name that a field was written as, or in.
    fn named(&self, root: &mut Out, field: &FieldPath, child: &Out) -> Option<Vec<usize>> {
        let mut place = self.places.get(field)?.clone();
        while !place.is_empty() {
            if root.at(&place).is_some_and(|it| it.name == child.name) {
                return Some(place);
            }
            place.pop();
        }
        None
    }

    /// Where an element that says nothing itself would be, by what those inside it said.
    fn leads(&self, child: &Out, above: &mut Vec<()>, found: &mut Vec<Vec<usize>>) {
        above.push(());
        for inside in &child.children {
            let places = inside.said.iter().filter_map(|field| self.places.get(field));
            found.extend(places.filter_map(|place| {
                let depth = place.len().checked_sub(above.len())?;
                place.get(..depth).map(<[usize]>::to_vec)
            }));
            self.leads(inside, above, found);
        }
        above.pop();
    }
}

fn parent(place: &[usize]) -> &[usize] {
    place.split_last().map_or(place, |(_, above)| above)
}

/// Whether a written element can be the one that something was left of: values aside, which may change.
fn alike(written: &Out, left: &Out) -> bool {
    let agrees = |(name, value): &(String, String)| match left.attribute(name) {
        None => written.valued.contains(name),
        left => left == Some(value),
    };
    written.name == left.name && written.text == left.text && written.attributes.iter().all(agrees)
}
