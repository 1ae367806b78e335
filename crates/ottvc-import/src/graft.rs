//! Putting back what was kept aside: each remainder goes to the element that its field was written as.
//!
//! A remainder names the fields that its element said. Where one of them was written, that element is
//! its place, wherever the rules put it; where none was, the document says it no longer, and what was
//! left of it must not bring it back. A remainder that said nothing goes to an element that looks like
//! its own, else beside.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::FieldPath;

use crate::ImportError;
use crate::leftover::is_element;
use crate::out::Out;
use crate::tree::{MAX_ATTRIBUTES, Steps};

/// Where a field was written: the way down from the root, by number of child.
pub(crate) type Places = BTreeMap<FieldPath, Vec<usize>>;

/// Where a remainder belongs.
enum Home {
    At(Vec<usize>),
    Beside,
    Nowhere,
}

/// Children that rules wrote, by name and text: their numbers, but of those something was put back into.
type Unused = BTreeMap<String, BTreeMap<Option<String>, BTreeSet<usize>>>;

/// Puts back all that was left below the root.
///
/// # Errors
/// [`ImportError::TooLarge`] where too many parts look at too many others.
pub(crate) fn graft(
    root: &mut Out,
    left: Out,
    places: &Places,
    steps: &Steps,
) -> Result<(), ImportError> {
    let (used, unused) = (BTreeSet::new(), BTreeMap::new());
    Graft { places, steps, used, unused, ranked: 0 }.fill(root, Vec::new(), left)
}

struct Graft<'p> {
    places: &'p Places,
    steps: &'p Steps,
    used: BTreeSet<Vec<usize>>,
    /// Of each place that was come to: made once, as thousands of remainders may belong there.
    unused: BTreeMap<Vec<usize>, Unused>,
    ranked: usize,
}

impl Graft<'_> {
    fn fill(&mut self, root: &mut Out, at: Vec<usize>, left: Out) -> Result<(), ImportError> {
        self.steps.take(1 + left.attributes.len(), 0)?;
        let Some(into) = root.at(&at) else { return Ok(()) };
        for (name, value) in left.attributes {
            let valued = into.valued.contains(&name);
            match into.attributes.iter_mut().find(|(known, _)| *known == name) {
                // The word that was delivered, of those that mean the same.
                Some((_, before)) if !valued && !left.said.is_empty() => *before = value,
                Some(_) => {}
                None => into.attributes.push((name, value)),
            }
        }
        into.attributes.truncate(MAX_ATTRIBUTES);
        if into.text.is_none() {
            into.text = left.text;
        }
        if left.children.is_empty() {
            return Ok(());
        }
        if !self.unused.contains_key(&at) {
            let mut unused = Unused::new();
            for (number, child) in into.children.iter().enumerate() {
                let texts = unused.entry(child.name.clone()).or_default();
                texts.entry(child.text.clone()).or_default().insert(number);
            }
            self.unused.insert(at.clone(), unused);
        }
        for child in left.children {
            match self.home(root, &at, &child)? {
                Home::Nowhere => {}
                Home::At(place) => {
                    self.used.insert(place.clone());
                    if child.said.iter().all(is_element) {
                        self.rank(root, &place);
                    }
                    self.fill(root, place, child)?;
                }
                Home::Beside => self.beside(root, &at, child)?,
            }
        }
        Ok(())
    }

    fn beside(&mut self, root: &mut Out, at: &[usize], mut child: Out) -> Result<(), ImportError> {
        let Some(into) = root.at(at) else { return Ok(()) };
        let emptied = !child.children.is_empty();
        let (attributes, text) = (std::mem::take(&mut child.attributes), child.text.take());
        into.children.push(Out { attributes, text, ..Out::new(child.name.clone()) });
        let place: Vec<usize> = at.iter().copied().chain([into.children.len() - 1]).collect();
        self.rank(root, &place);
        self.fill(root, place.clone(), child)?;
        let bare =
            |it: &mut Out| it.attributes.is_empty() && it.text.is_none() && it.children.is_empty();
        if emptied && root.at(&place).is_some_and(bare) {
            // All that was left in it belongs elsewhere, or nowhere. It is still the last.
            root.at(at).and_then(|into| into.children.pop());
        }
        Ok(())
    }

    fn rank(&mut self, root: &mut Out, place: &[usize]) {
        self.ranked += 1;
        if let Some(element) = root.at(place) {
            element.rank = self.ranked;
        }
    }

    fn home(&mut self, root: &mut Out, at: &[usize], child: &Out) -> Result<Home, ImportError> {
        self.steps.take(child.said.len(), 0)?;
        if !child.said.is_empty() {
            let said: Vec<&FieldPath> =
                child.said.iter().filter(|field| self.places.contains_key(*field)).collect();
            let places: Vec<Vec<usize>> =
                said.iter().filter_map(|field| self.named(root, field, child)).collect();
            let here = places.iter().find(|place| parent(place) == at);
            return Ok(match here.or_else(|| places.first()) {
                Some(place) if here.is_some() || !said.iter().any(|it| is_element(it)) => {
                    Home::At(place.clone())
                }
                // A set is written in one place; each of those that said an element has its own.
                Some(_) => Home::Beside,
                None => Home::Nowhere,
            });
        }
        let mut near: Vec<Vec<usize>> = Vec::new();
        self.leads(child, 1, &mut near);
        for place in near.into_iter().filter(|place| parent(place) == at) {
            let Some(written) = root.at(&place) else { continue };
            if !self.used.contains(&place) && alike(written, child, self.steps)? {
                return Ok(Home::At(place));
            }
        }
        Ok(self.like(root, at, child)?.map_or(Home::Beside, Home::At))
    }

    /// The first element here that looks like it, and that nothing was put back into.
    fn like(
        &mut self,
        root: &mut Out,
        at: &[usize],
        child: &Out,
    ) -> Result<Option<Vec<usize>>, ImportError> {
        let names = self.unused.get_mut(at).and_then(|names| names.get_mut(&child.name));
        let Some(unused) = names.and_then(|texts| texts.get_mut(&child.text)) else {
            return Ok(None);
        };
        let Some(into) = root.at(at) else { return Ok(None) };
        let mut gone = Vec::new();
        let mut found = None;
        for number in unused.iter() {
            let place: Vec<usize> = at.iter().copied().chain([*number]).collect();
            if self.used.contains(&place) {
                gone.push(*number);
                continue;
            }
            let Some(written) = into.children.get(*number) else { continue };
            if alike(written, child, self.steps)? {
                gone.push(*number);
                found = Some(place);
                break;
            }
        }
        for number in gone {
            unused.remove(&number);
        }
        Ok(found)
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
    fn leads(&self, child: &Out, above: usize, found: &mut Vec<Vec<usize>>) {
        for inside in &child.children {
            let places = inside.said.iter().filter_map(|field| self.places.get(field));
            found.extend(places.filter_map(|place| {
                let depth = place.len().checked_sub(above)?;
                place.get(..depth).map(<[usize]>::to_vec)
            }));
            self.leads(inside, above + 1, found);
        }
    }
}

fn parent(place: &[usize]) -> &[usize] {
    place.split_last().map_or(place, |(_, above)| above)
}

/// Whether a written element can be the one that something was left of: values aside, which may change.
fn alike(written: &Out, left: &Out, steps: &Steps) -> Result<bool, ImportError> {
    // A name is looked for among a few others; among many that is more than a step.
    steps.take(1 + written.attributes.len() * left.attributes.len() / 16, 0)?;
    let agrees = |(name, value): &(String, String)| match left.attribute(name) {
        None => written.valued.contains(name),
        left => left == Some(value),
    };
    let same = written.name == left.name && written.text == left.text;
    Ok(same && written.attributes.iter().all(agrees))
}
