//! Field patterns: field paths with `*` for any one step and a final `**` for any rest, also none.
//!
//! Rules of a call and fields of a schema are attached to them.

use ottvc_object::field_path::{FieldPath, Segment};

/// One step of a field pattern; a literal weighs more than `*`, and that more than `**`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Any rest, also none.
    Rest,
    /// Any one segment.
    Any,
    /// This segment.
    Literal(Segment),
}

impl Step {
    /// Whether it stands for this one segment.
    pub(crate) fn matches(&self, segment: &Segment) -> bool {
        match self {
            Self::Rest | Self::Any => true,
            Self::Literal(Segment::Item(wanted)) => match segment {
                Segment::Item(parts) => {
                    wanted.len() == parts.len() && wanted.iter().all(|part| parts.contains(part))
                }
                _ => false,
            },
            Self::Literal(wanted) => wanted == segment,
        }
    }
}

/// Reads a parsed field path as a pattern; the error is the rule it breaks.
pub(crate) fn steps_of(path: FieldPath) -> Result<Vec<Step>, &'static str> {
    let step = |segment| match segment {
        Segment::Key(key) if key == "*" => Step::Any,
        Segment::Key(key) if key == "**" => Step::Rest,
        literal => Step::Literal(literal),
    };
    let steps: Vec<Step> = path.0.into_iter().map(step).collect();
    match steps.iter().position(|step| *step == Step::Rest) {
        Some(at) if at + 1 != steps.len() => Err("`**` may only come last"),
        _ => Ok(steps),
    }
}

/// Whether `steps` match all of `field`.
pub(crate) fn matches_field(steps: &[Step], field: &[Segment]) -> bool {
    match (steps, field) {
        ([], []) | ([Step::Rest], _) => true,
        ([step, steps @ ..], [segment, field @ ..]) => {
            step.matches(segment) && matches_field(steps, field)
        }
        _ => false,
    }
}
