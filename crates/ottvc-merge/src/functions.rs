//! Functions that a schema may name: hooks, which decide about one place, and functions that derive a
//! field after the merge.
//!
//! All are pure and bounded. A hook is handed sides and bases sorted by their bytes, so that it cannot
//! tell ours from theirs; what a function answers is checked before it is used.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

/// The most bytes a hook is handed, and a function may answer, in canonical form.
pub const MAX_FUNCTION_BYTES: usize = 1 << 20;

/// What a hook is asked about: sides and bases that are there, sorted by canonical bytes.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What the sides have.
    pub sides: Vec<&'a Value>,
    /// What the bases have.
    pub bases: Vec<&'a Value>,
}

/// What a hook answers: a value, `None` for a conflict, or why it could not tell.
pub type Answer = Result<Option<Value>, String>;

type Hook = Arc<dyn Fn(&Question<'_>) -> Answer + Send + Sync>;
type Derive = Arc<dyn Fn(&Value, &FieldPath) -> Option<Value> + Send + Sync>;

/// The functions a merge knows.
#[derive(Clone)]
pub struct Functions {
    hooks: BTreeMap<String, Hook>,
    derived: BTreeMap<String, Derive>,
}

impl fmt::Debug for Functions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.hooks.keys().chain(self.derived.keys());
        out.debug_set().entries(names).finish()
    }
}

impl Default for Functions {
    /// The built-in hooks: `longest@1`, the longest string or text; `greatest@1`, the last string in
    /// byte order. No field is derived.
    fn default() -> Self {
        Self { hooks: BTreeMap::new(), derived: BTreeMap::new() }
            .with_hook("longest@1", |question| only_greatest(question, |text| text.chars().count()))
            .with_hook("greatest@1", |question| only_greatest(question, str::to_owned))
    }
}

impl Functions {
    /// Adds a hook, named `NAME@VERSION` as the schema names it.
    #[must_use]
    pub fn with_hook(
        mut self,
        name: &str,
        hook: impl Fn(&Question<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.hooks.insert(name.to_owned(), Arc::new(hook));
        self
    }

    /// Adds a function that makes a field of the merged document, handed without the fields that are
    /// still to be derived, and the field's path. It answers `None` if it cannot.
    #[must_use]
    pub fn with_derived(
        mut self,
        name: &str,
        function: impl Fn(&Value, &FieldPath) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        self.derived.insert(name.to_owned(), Arc::new(function));
        self
    }

    /// Asks a hook; an answer that may not stand in a document is none.
    pub(crate) fn ask(&self, name: &str, mut question: Question<'_>) -> Answer {
        let hook = self.hooks.get(name).ok_or_else(|| format!("there is no hook `{name}`"))?;
        question.sides.sort();
        question.bases.sort();
        let all = question.sides.iter().chain(&question.bases);
        if all.map(|value| value.canonical_bytes().len()).sum::<usize>() > MAX_FUNCTION_BYTES {
            return Err(format!("more than {MAX_FUNCTION_BYTES} bytes to look at"));
        }
        match hook(&question)? {
            Some(value) if !may_stand(&value) => Err("the answer may not stand here".to_owned()),
            answer => Ok(answer),
        }
    }

    /// Derives the field at `path`; `None` if there is no such function, or it cannot.
    pub(crate) fn derive(&self, name: &str, document: &Value, path: &FieldPath) -> Option<Value> {
        let function = self.derived.get(name)?;
        function(document, path).filter(may_stand)
    }
}

fn may_stand(value: &Value) -> bool {
    !value.has_conflict() && value.canonical_bytes().len() <= MAX_FUNCTION_BYTES
}

/// The side whose text measures most, if only one does.
fn only_greatest<M: Ord>(question: &Question<'_>, measure: impl Fn(&str) -> M) -> Answer {
    let mut measured = Vec::new();
    for side in &question.sides {
        match side {
            Value::String(text) | Value::Text(text) => measured.push((measure(text), *side)),
            _ => return Ok(None),
        }
    }
    let most = measured.iter().map(|(measure, _)| measure).max();
    let mut greatest = measured.iter().filter(|(measure, _)| Some(measure) == most);
    match (greatest.next(), greatest.next()) {
        (Some((_, side)), None) => Ok(Some((*side).clone())),
        _ => Ok(None),
    }
}
