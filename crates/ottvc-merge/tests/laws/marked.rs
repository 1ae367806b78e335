//! The law of documents as texts that conflicts are settled in: leaving one side's lines is taking that
//! side, and leaving all lines is leaving the conflict.

use std::collections::BTreeSet;

use ottvc_merge::{Choice, Marked, MergeError, Schema, SideNames, resolve_document};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

fn mark(line: &str) -> Option<char> {
    ['<', '|', '=', '>'].into_iter().find(|mark| line.starts_with(&mark.to_string().repeat(7)))
}

/// A text as somebody leaves it who takes a side in the first `many` of its conflicts.
fn take(text: &str, choice: &Choice, many: usize) -> String {
    let mut kept: Vec<&str> = Vec::new();
    // The conflict we are in, by its number, and its sides so far.
    let mut sides: Option<Vec<(char, Vec<&str>)>> = None;
    let mut seen = 0;
    for line in text.lines() {
        if seen >= many && sides.is_none() {
            kept.push(line);
            continue;
        }
        match (mark(line), &mut sides) {
            (Some('<'), _) => sides = Some(vec![('<', Vec::new())]),
            (Some('>'), Some(all)) => {
                let side = match choice {
                    Choice::Ours => all.first(),
                    Choice::Theirs => all.last(),
                    _ => all.iter().find(|(mark, _)| *mark == '|'),
                };
                kept.extend(side.map(|(_, lines)| lines.as_slice()).unwrap_or_default());
                seen += 1;
                sides = None;
            }
            (Some(mark), Some(all)) => all.push((mark, Vec::new())),
            (_, Some(all)) => all.last_mut().unwrap().1.push(line),
            (_, None) => kept.push(line),
        }
    }
    kept.join("\n")
}

/// Holds a document against the law; what is read is compared as its schema has it. Of the choices
/// and of the marks that somebody forgets, `turn` says which is tried.
pub(crate) fn settles_by_lines(
    document: &Value,
    schema: Option<&Schema>,
    turn: usize,
) -> TestCaseResult {
    let under = |value: &Value| schema.map_or(value.clone(), |schema| schema.convert(value));
    let under_it = |read: Option<Document>| read.map(|read| under(read.value()));
    let names = SideNames { ours: Some("main".into()), theirs: Some("regional/de".into()) };
    let marked = Marked::new(document, schema, &names);
    let text = marked.text();
    let whole = Some(under(document));
    prop_assert_eq!(&under_it(marked.read(text).unwrap()), &whole, "{}", text);
    // Other systems end lines otherwise, and editors leave spaces.
    if turn.is_multiple_of(4) {
        let other = text.replace('\n', " \r\n");
        prop_assert_eq!(&under_it(marked.read(&other).unwrap()), &whole, "{}", text);
    }

    // In the order of the text; an order stands behind the items of its list.
    let starts = text.lines().filter(|line| mark(line) == Some('<'));
    let place = |line: &str| line.split_once(" at ").unwrap().1.parse::<FieldPath>().unwrap();
    let conflicts: Vec<FieldPath> = starts.map(place).collect();
    let there: BTreeSet<FieldPath> = document.conflicts().into_iter().map(|it| it.0).collect();
    prop_assert_eq!(conflicts.iter().cloned().collect::<BTreeSet<_>>(), there);
    let choice = [Choice::Ours, Choice::Base, Choice::Theirs][turn % 3].clone();
    let many = if turn.is_multiple_of(2) { 1 } else { conflicts.len() };
    let settled = conflicts.iter().take(many).try_fold(Some(document.clone()), |settled, path| {
        settled.map_or(Ok(None), |settled| resolve_document(&settled, path, &choice))
    });
    if let Ok(settled) = settled {
        let taken = take(text, &choice, many);
        let read = marked.read(&taken);
        prop_assert!(read.is_ok(), "{:?} of {}\n{}\n{:?}", choice, text, taken, read);
        let settled = settled.as_ref().map(under);
        prop_assert_eq!(under_it(read.unwrap()), settled, "{:?} of {}", choice, text);
    }

    let lines: Vec<&str> = text.lines().collect();
    let marks: Vec<usize> = (0..lines.len()).filter(|at| mark(lines[*at]).is_some()).collect();
    if let Some(at) = marks.get(turn % marks.len().max(1)) {
        let left = lines.iter().enumerate().filter(|(n, _)| n != at).map(|(_, line)| *line);
        let left = left.collect::<Vec<_>>().join("\n");
        let half = marked.read(&left);
        let told = matches!(half, Err(MergeError::HalfSettled { line, .. })
            if left.lines().nth(line - 1).is_some_and(|line| mark(line).is_some()));
        prop_assert!(told, "without {}: {:?}", lines[*at], half);
    }
    Ok(())
}
