//! Two texts word by word, for people: what was kept, what went, what came.

use std::collections::BTreeMap;

use unicode_segmentation::UnicodeSegmentation;

use crate::diff3::{MAX_TEXT, MAX_TOKENS, difference};

/// A run of one or both of two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<'t> {
    /// Both texts have it.
    Kept(&'t str),
    /// Only the old text has it.
    Removed(&'t str),
    /// Only the new text has it.
    Added(&'t str),
}

/// Returns the words, spaces and marks of `old` and `new` as runs in their order, what was removed at a
/// place before what was added there; `None` past the limits of texts that are merged (`docs/merge.md`,
/// Text). None is empty, and words that changed on both sides of a space are one run with it.
pub fn word_runs<'t>(old: &'t str, new: &'t str) -> Option<Vec<Run<'t>>> {
    let (old, new) = (Tokens::of(old)?, Tokens::of(new)?);
    // Numbers compare faster than words, and each word is compared with few others.
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for &word in old.words.iter().chain(&new.words) {
        let next = numbers.len();
        numbers.entry(word).or_insert(next);
    }
    let numbered = |tokens: &Tokens<'t>| -> Vec<usize> {
        tokens.words.iter().filter_map(|word| numbers.get(word).copied()).collect()
    };
    let mut hunks = difference(&numbered(&old), &numbered(&new))?;
    hunks.dedup_by(|later, earlier| {
        let between = old.words.get(earlier.to..later.from).unwrap_or_default();
        let joins = between.iter().all(|word| word.chars().all(|c| c.is_whitespace() && c != '\n'));
        if joins {
            earlier.to = later.to;
            earlier.new.end = later.new.end;
        }
        joins
    });
    let mut runs = Vec::new();
    let mut done = 0;
    for hunk in hunks {
        runs.push(Run::Kept(old.run(done, hunk.from)?));
        runs.push(Run::Removed(old.run(hunk.from, hunk.to)?));
        runs.push(Run::Added(new.run(hunk.new.start, hunk.new.end)?));
        done = hunk.to;
    }
    runs.push(Run::Kept(old.run(done, old.words.len())?));
    runs.retain(|(Run::Kept(run) | Run::Removed(run) | Run::Added(run))| !run.is_empty());
    Some(runs)
}

/// A text with its words, spaces and marks.
struct Tokens<'t> {
    text: &'t str,
    words: Vec<&'t str>,
    /// Where each begins, and the end.
    starts: Vec<usize>,
}

impl<'t> Tokens<'t> {
    fn of(text: &'t str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (mut starts, words): (Vec<usize>, Vec<&str>) =
            text.split_word_bound_indices().take(MAX_TOKENS + 1).unzip();
        starts.push(text.len());
        (words.len() <= MAX_TOKENS).then_some(Self { text, words, starts })
    }

    /// The text from one token to before another.
    fn run(&self, from: usize, to: usize) -> Option<&'t str> {
        self.text.get(*self.starts.get(from)?..*self.starts.get(to)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(old: &str, new: &str) -> String {
        let runs = word_runs(old, new).unwrap();
        let shown = runs.iter().map(|run| match run {
            Run::Kept(run) => (*run).to_owned(),
            Run::Removed(run) => format!("[-{run}-]"),
            Run::Added(run) => format!("{{+{run}+}}"),
        });
        shown.collect()
    }

    #[test]
    fn words_that_changed_are_runs() {
        let old = "A young hero leaves home. She finds a map.";
        let new = "A young pilot leaves home at last. She finds a star map.";
        assert_eq!(
            marked(old, new),
            "A young [-hero-]{+pilot+} leaves home{+ at last+}. She finds a{+ star+} map."
        );
        assert_eq!(marked("one two three", "four five three"), "[-one two-]{+four five+} three");
        assert_eq!(marked("", "new"), "{+new+}");
        assert_eq!(marked("old", ""), "[-old-]");
        assert_eq!(marked("same", "same"), "same");
        assert_eq!(marked("a\nb", "x\ny"), "[-a-]{+x+}\n[-b-]{+y+}", "lines stay apart");
    }

    #[test]
    fn runs_give_both_texts_back() {
        let texts = ["", "a b", "b a", "a  b c", "c b\na", "e\u{301}tude 👩‍🚀 b", "a b c d e"];
        for old in texts {
            for new in texts {
                let runs = word_runs(old, new).unwrap();
                let before = runs.iter().filter_map(|run| match run {
                    Run::Kept(run) | Run::Removed(run) => Some(*run),
                    Run::Added(_) => None,
                });
                assert_eq!(before.collect::<String>(), old);
                let after = runs.iter().filter_map(|run| match run {
                    Run::Kept(run) | Run::Added(run) => Some(*run),
                    Run::Removed(_) => None,
                });
                // A run that joins words keeps the space of the old text between them.
                assert_eq!(
                    after.collect::<String>().split_whitespace().collect::<Vec<_>>(),
                    new.split_whitespace().collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn past_the_limits_there_are_none() {
        assert_eq!(word_runs(&"x".repeat(MAX_TEXT + 1), ""), None);
        assert_eq!(word_runs("", &"x ".repeat(MAX_TOKENS)), None);
        let (old, new) = ("a ".repeat(3_000), "b ".repeat(3_000));
        assert_eq!(word_runs(&old, &new), None, "too many differ");
    }
}
