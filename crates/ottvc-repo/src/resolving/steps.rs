//! Several resolutions in one step: what a person or program decided elsewhere, all of it or nothing.

use std::collections::BTreeMap;

use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;
use ottvc_object::path::PathKey;
use ottvc_object::value::{parse_json, value_from_json};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::{Chosen, ConflictRow, Places, Resolved};
use crate::nodes::Batch;
use crate::record::place_text;
use crate::{Repo, RepoError};

/// How much of what cannot be read is quoted in an error.
const QUOTED_CHARS: usize = 80;
/// What is read.
const LIST: &str = "list of resolutions";

/// One of several resolutions.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The document, or the file.
    pub path: RepoPath,
    /// The field, for a conflict in a document.
    pub field: Option<FieldPath>,
    /// The id the conflict must have, as lists show it.
    pub id: Option<String>,
    /// The name its sides must have, as lists show it.
    pub sides: Option<String>,
    /// What to put there.
    pub choice: Choice,
    /// Why.
    pub reason: Option<String>,
}

/// A resolution as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    path: String,
    field: Option<String>,
    id: Option<String>,
    sides: Option<String>,
    /// A side by name, or a term by its number.
    take: Option<Json>,
    #[serde(default, deserialize_with = "there")]
    value: Option<Json>,
    #[serde(default)]
    absent: bool,
    order: Option<Vec<String>>,
    reason: Option<String>,
}

/// Null is a value, and not none.
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

impl Step {
    /// Reads resolutions: JSON objects one after the other, or one array of them (`docs/merge.md`, Several
    /// in one step).
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] naming the first that makes no sense, or if there is none.
    pub fn read_all(text: &str) -> Result<Vec<Self>, RepoError> {
        let bad = |text: &str, wanted: &'static str, why: String| RepoError::BadArgument {
            given: text.trim().chars().take(QUOTED_CHARS).collect(),
            wanted,
            why,
        };
        let mut values: Vec<Json> = Vec::new();
        // Found by one reader and read by another, which takes no key twice.
        let mut found = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
        let mut start = 0;
        while let Some(value) = found.next() {
            value.map_err(|error| bad(text, LIST, error.to_string()))?;
            let one = text.get(start..found.byte_offset()).unwrap_or_default();
            start = found.byte_offset();
            match parse_json(one.as_bytes()).map_err(|error| bad(one, LIST, error.to_string()))? {
                Json::Array(all) => values.extend(all),
                one => values.push(one),
            }
        }
        if values.is_empty() {
            return Err(bad(text, LIST, "it is empty".into()));
        }
        let read = |value: Json| {
            let given = value.to_string();
            Self::read(value).map_err(|why| bad(&given, "resolution", why))
        };
        values.into_iter().map(read).collect()
    }

    fn read(value: Json) -> Result<Self, String> {
        let written: Written = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let mut choices = Vec::new();
        if let Some(take) = written.take {
            let term = take.as_u64().and_then(|at| usize::try_from(at).ok()).map(Choice::Term);
            let side = || match take.as_str()? {
                "ours" => Some(Choice::Ours),
                "theirs" => Some(Choice::Theirs),
                "base" => Some(Choice::Base),
                "both" => Some(Choice::Both),
                _ => None,
            };
            let wanted = "take ours, theirs, base, both, or a term by its number";
            choices.push(term.or_else(side).ok_or(wanted)?);
        }
        if let Some(value) = written.value {
            let value = value_from_json(&value).map_err(|error| error.to_string())?;
            choices.push(Choice::Value(value));
        }
        choices.extend(written.absent.then_some(Choice::Absent));
        choices.extend(written.order.map(Choice::Order));
        let (Some(choice), true) = (choices.pop(), choices.is_empty()) else {
            return Err("it says one of take, value, absent and order".into());
        };
        let takes_side = matches!(choice, Choice::Ours | Choice::Theirs | Choice::Term(_));
        if takes_side && written.id.is_some() && written.sides.is_none() {
            return Err(
                "beside an id, the `sides` of `conflicts --json` say which side is which".into()
            );
        }
        let field = written.field.map(|field| field.parse::<FieldPath>()).transpose();
        let reason = written.reason.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(Self {
            path: RepoPath::new(&written.path).map_err(|error| error.to_string())?,
            field: field.map_err(|error| error.to_string())?,
            id: written.id,
            sides: written.sides,
            choice,
            reason: reason.filter(|reason| !reason.is_empty()),
        })
    }
}

impl Repo {
    /// Settles conflicts of what is staged, each as it says, all or none. With `dry`, says what would be
    /// settled and does nothing.
    ///
    /// # Errors
    /// [`RepoError::OtherConflict`] if one that has an id is not there, or another is;
    /// [`RepoError::NoConflict`] if one without is not there; [`RepoError::BadArgument`] for two of one place;
    /// otherwise as [`Repo::settle`].
    pub fn settle_steps(&self, steps: &[Step], dry: bool) -> Result<Resolved, RepoError> {
        let batch = Batch::new(&self.nodes);
        let (state, head, places) = self.open_places(&batch)?;
        let mut open: BTreeMap<(PathKey, Option<FieldPath>), _> = BTreeMap::new();
        for place in places {
            open.insert((place.path.key(), place.field.clone()), (place, false));
        }
        let mut at = Places::of(self, &batch, state.staged)?;
        let mut all = Vec::new();
        for step in steps {
            let text = match &step.field {
                Some(field) => format!("{}#{field}", step.path),
                None => step.path.to_string(),
            };
            let found = open.get_mut(&(step.path.key(), step.field.clone()));
            let Some((place, taken)) = found else {
                return Err(match step.id.as_ref().or(step.sides.as_ref()) {
                    Some(id) => RepoError::OtherConflict { place: text, id: id.clone() },
                    None => RepoError::NoConflict { place: text },
                });
            };
            if step.id.is_some() || step.sides.is_some() {
                let row = ConflictRow::read(&mut at, place)?;
                for (given, is) in [(&step.id, row.id), (&step.sides, row.sides)] {
                    if let Some(id) = given.clone().filter(|given| *given != is) {
                        return Err(RepoError::OtherConflict { place: place_text(place), id });
                    }
                }
            }
            if std::mem::replace(taken, true) {
                return Err(RepoError::BadArgument {
                    given: text,
                    wanted: "resolution",
                    why: "it is settled twice".into(),
                });
            }
            all.push(Chosen {
                place: place.clone(),
                choice: step.choice.clone(),
                taken: super::word_of(&step.choice),
                reason: step.reason.clone(),
            });
        }
        self.settle_chosen(&batch, state, head, all, dry)
    }
}
