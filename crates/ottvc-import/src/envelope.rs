//! Which element of a file is the document: what may stand around it, and what may come without it.

use crate::mapping::Mapping;
use crate::tree::{Content, Element, split};

impl Mapping {
    /// The name of an element, its namespace bound to a prefix.
    fn bound_name(&self, element: &Element) -> Option<String> {
        let Some((space, local)) = split(&element.name) else { return Some(element.name.clone()) };
        Some(match self.prefix(space)?.as_str() {
            "" => local.to_owned(),
            prefix => format!("{prefix}:{local}"),
        })
    }

    /// Whether a file that begins with this element is of its format.
    pub(crate) fn begins_with(&self, root: &Element) -> bool {
        let name = self.bound_name(root);
        name.is_some_and(|name| {
            self.roots.contains(&name)
                || self.inside.iter().any(|(part, _)| *part == name)
                || self.wrapping(&name).next().is_some()
        })
    }

    /// The wrappers that begin with this name, each as steps down from there.
    fn wrapping<'m>(&'m self, name: &'m str) -> impl Iterator<Item = Vec<&'m str>> {
        self.wrappers.iter().filter_map(move |wrapper| {
            let mut steps = wrapper.split('/');
            (steps.next() == Some(name)).then(|| steps.collect())
        })
    }

    /// The way down through what stands around a root; empty where that is all there is.
    fn way_down<'m>(&'m self, root: &Element, name: &'m str) -> Option<Vec<&'m str>> {
        let named = |step: &str| {
            root.children().any(|it| self.bound_name(it).is_some_and(|name| name == step))
        };
        let leads = |steps: &Vec<&str>| steps.first().is_none_or(|step| named(step));
        self.wrapping(name).find(leads).or_else(|| self.wrapping(name).next())
    }

    /// Takes off what stands around a root; an error says why it cannot be.
    pub(crate) fn unwrapped(&self, mut root: Element) -> Result<Element, String> {
        while let Some(name) = self.bound_name(&root)
            && let Some(steps) = self.way_down(&root, &name)
        {
            let enveloped = !steps.is_empty();
            for step in steps {
                let named = |it: &Element| self.bound_name(it).is_some_and(|name| name == step);
                root = only(root, named)?;
            }
            if !enveloped && root.attributes.iter().any(|it| !it.name.ends_with("}schemaLocation"))
            {
                return Err(format!("`{name}` says something of its own, which no document has"));
            }
            root = only(root, |_| true)?;
        }
        let part = self.bound_name(&root);
        let inside = self.inside.iter().find(|(name, _)| part.as_ref() == Some(name));
        if let (Some((_, part)), Some(whole)) = (inside, self.roots.first()) {
            let spaced = |name: &str| match split(&root.name) {
                Some((space, _)) => format!("{{{space}}}{name}"),
                None => name.to_owned(),
            };
            let mut around = Element::new(spaced(whole), root.line);
            root.name = spaced(part);
            root.attributes.retain(|it| !it.name.ends_with("}schemaLocation"));
            around.content.push(Content::Element(root));
            return Ok(around);
        }
        Ok(root)
    }
}

/// The one child that `fits`.
fn only(root: Element, fits: impl Fn(&Element) -> bool) -> Result<Element, String> {
    let elements = root.content.into_iter().filter_map(|content| match content {
        Content::Element(element) => Some(element).filter(|element| fits(element)),
        Content::Text(_) => None,
    });
    let mut elements: Vec<Element> = elements.collect();
    match (elements.pop(), elements.len()) {
        (Some(only), 0) => Ok(only),
        (last, others) => {
            let many = others + usize::from(last.is_some());
            Err(format!("{many} documents in one file: deliver each by itself"))
        }
    }
}
