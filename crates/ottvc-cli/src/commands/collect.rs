//! `gc` and `trash`: removing what nothing reaches any more, and taking it back in time.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use ottvc_repo::collect::{Collector, Sum, Swept, TrashRow};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, GOOD, ID, TITLE, paint};

/// How long the repository is left to others between two steps that hold it. Longer than those who
/// wait take to look again.
const LET_IN: Duration = Duration::from_millis(60);
/// How many commits in the trash people see; JSON has everything.
const SHOWN: usize = 30;

/// Remove what nothing reaches any more.
///
/// Reached is what branches, tags and the working copy lead to, and what `undo` could bring back within
/// the grace. The rest goes to the trash, where everything still finds it; what has been there for the
/// grace is dropped for good, and packs with much dead weight are written anew without it. Other
/// commands can run meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Change nothing; say what would go, and what keeps the rest
    #[arg(long)]
    dry_run: bool,
    /// How long things can be taken back, as 14d, 12h or 30m; 0 drops at once what only `undo` could
    /// bring back
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = parse_time)]
    grace: i64,
}

/// Reads a duration into milliseconds.
fn parse_time(text: &str) -> Result<i64, String> {
    let wrong = || "write a number and d, h, m or s, such as 14d; or 0".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: i64 = digits.parse().ok().filter(|number| *number >= 0).ok_or_else(wrong)?;
    let unit: i64 = match text.get(digits.len()..).unwrap_or_default() {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1000,
        "" if number == 0 => 0,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// What happened to packs.
#[derive(Debug, Default, Serialize)]
struct Packs {
    /// Written anew without their dead weight.
    rewritten: u64,
    /// Removed, since nothing in them was wanted.
    removed: u64,
    /// Left as they were: they changed meanwhile, or cannot be read in full.
    kept: u64,
    /// Bytes of records written anew.
    moved_bytes: u64,
}

/// Sizes of all packs and of the index, in bytes.
#[derive(Debug, Default, Serialize)]
struct Sizes {
    /// Packs when the command began.
    before: u64,
    /// Packs when it ended, those that wait for readers left out.
    after: u64,
    /// How much less that is.
    returned: u64,
    /// How much less it should be, as far as could be known before: dead weight of worn packs.
    expected: u64,
    /// Of what was returned, what is still on disk until commands that read now are done.
    waiting: u64,
    /// The index when the command ended; 0 if nothing was changed.
    index: u64,
}

pub(crate) fn gc(context: &Context, out: &mut Out, args: &Gc) -> Result<Exit, CliError> {
    let progress = context.progress();
    // Most of the reading is done before anybody is held up.
    let reader = context.collector(Need::Read)?;
    let before = reader.pack_bytes()?;
    let marked = reader.mark(args.grace, &progress)?;
    let mut packs = Packs::default();
    let mut sizes = Sizes { before, after: before, ..Sizes::default() };
    let swept = if args.dry_run {
        let swept = reader.sweep(marked, true, &progress)?;
        sizes.expected = swept.purged.bytes;
        swept
    } else {
        drop(reader);
        let collector = context.collector(Need::Write("gc"))?;
        let swept = collector.sweep(marked, false, &progress)?;
        drop(collector);
        rewrite(context, &mut packs, &mut sizes)?;
        let collector = context.collector(Need::Write("gc"))?;
        let settled = collector.settle(swept.purged.things(), args.grace)?;
        sizes.after = collector.pack_bytes()?;
        sizes.waiting = settled.waiting_bytes;
        sizes.index = settled.index_bytes;
        sizes.returned = sizes.before.saturating_sub(sizes.after);
        swept
    };
    drop(progress);
    let mut answer = serde_json::to_value(&swept).unwrap_or_default();
    if let Json::Object(object) = &mut answer {
        object.insert("packs".into(), json!(packs));
        object.insert("pack_bytes".into(), json!(sizes));
    }
    context.report(out, &answer, |out| print(out, &swept, &packs, &sizes))?;
    Ok(Exit::Ok)
}

/// Rewrites worn packs one by one, letting others in between.
fn rewrite(context: &Context, packs: &mut Packs, sizes: &mut Sizes) -> Result<(), CliError> {
    let mut tried = std::collections::BTreeSet::new();
    loop {
        let list = |collector: &Collector| collector.worn();
        let mut worn = list(&context.collector(Need::Read)?)?;
        worn.retain(|worn| tried.insert(worn.pack));
        if worn.is_empty() {
            return Ok(());
        }
        for one in worn {
            std::thread::sleep(LET_IN);
            let collector = context.collector(Need::Write("gc"))?;
            let done = collector.rewrite(&one)?;
            packs.moved_bytes += done.moved;
            match (done.gone, one.things.is_empty()) {
                (true, true) => packs.removed += 1,
                (true, false) => packs.rewritten += 1,
                (false, _) => packs.kept += 1,
            }
            if done.gone {
                sizes.expected += one.dead;
            }
        }
    }
}

fn sum(sum: Sum) -> String {
    let things = [
        (sum.objects, show::count(sum.objects, "object", "objects")),
        (sum.chunks, show::count(sum.chunks, "chunk", "chunks")),
    ];
    let words: Vec<String> =
        things.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    match words.is_empty() {
        true => "nothing".into(),
        false => format!("{}, {}", words.join(" and "), show::size(sum.bytes)),
    }
}

fn print(out: &mut Out, swept: &Swept, packs: &Packs, sizes: &Sizes) -> Result<(), CliError> {
    let would =
        |done: &str, would: &str| if swept.dry_run { would.to_owned() } else { done.into() };
    let line = |word: &str, sum_of: Sum| format!("{}{}", show::pad(word, 21), sum(sum_of));
    out.line(line(&would("to the trash:", "would go to trash:"), swept.trashed))?;
    out.line(line(&would("dropped for good:", "would be dropped:"), swept.purged))?;
    if swept.taken_back.things() > 0 {
        out.line(line("reached again:", swept.taken_back))?;
    }
    out.line(line("in the trash:", swept.in_trash))?;
    if swept.dry_run {
        for kept in &swept.kept {
            let until = kept.until.map(|until| format!(" until {}", show::local(until)));
            let by = format!("held by {}{}", kept.by, until.unwrap_or_default());
            out.line(paint(DIM, format!("{by}: {}", sum(kept.sum))))?;
        }
        let expected = paint(GOOD, show::size(sizes.expected));
        return out.line(format!("would free up to {expected} of {}", show::size(sizes.before)));
    }
    let words = [
        (packs.rewritten, "rewritten"),
        (packs.removed, "removed"),
        (packs.kept, "left as they are"),
    ];
    let words: Vec<String> = words
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", show::grouped(count)))
        .collect();
    if !words.is_empty() {
        out.line(format!("{}{}", show::pad("packs:", 18), words.join(", ")))?;
    }
    out.line(format!(
        "{} given back: packs take {} now, and took {}",
        paint(GOOD, show::size(sizes.returned)),
        show::size(sizes.after),
        show::size(sizes.before)
    ))?;
    if sizes.waiting > 0 {
        let waiting = show::size(sizes.waiting);
        out.line(paint(
            DIM,
            format!("{waiting} of it once commands that read now are done, at the next gc"),
        ))?;
    }
    Ok(())
}

/// What collection put aside: it is still found by everything, until the grace is over.
#[derive(Debug, Args)]
pub(crate) struct Trash {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What is in the trash, and since when
    List,
    /// Take things out of the trash, with all they name; their grace starts anew
    ///
    /// Only a branch, tag or staged file keeps them for good: `ottvc branch NAME COMMIT`.
    Restore {
        /// Ids of things, or the beginnings of them; everything if none is given
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
}

pub(crate) fn trash(context: &Context, out: &mut Out, args: Trash) -> Result<Exit, CliError> {
    match args.action {
        Action::List => {
            let rows = context.open(Need::Read)?.repo.trash()?;
            let json: Vec<Json> = rows.iter().map(row_json).collect();
            context.answer(out, &json!({ "trash": json }), |out| list(context, out, &rows))?;
        }
        Action::Restore { ids } => {
            let restored = context.collector(Need::Write("trash restore"))?.restore(&ids)?;
            context.report(out, &json!({ "restored": restored }), |out| {
                out.line(format!(
                    "took {} out of the trash",
                    show::count(restored, "thing", "things")
                ))
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn row_json(row: &TrashRow) -> Json {
    let mut json = serde_json::to_value(row).unwrap_or_default();
    if let Json::Object(object) = &mut json {
        object.insert("since".into(), Json::from(show::rfc3339(row.since)));
        object.insert("since_ms".into(), Json::from(row.since));
    }
    json
}

fn list(context: &Context, out: &mut Out, rows: &[TrashRow]) -> Result<(), CliError> {
    if rows.is_empty() {
        return out.line("the trash is empty");
    }
    let mut commits = 0;
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let (count, bytes) = kinds.entry(row.kind).or_default();
        *count += 1;
        *bytes += row.bytes;
        if let Some(detail) = &row.detail
            && commits < SHOWN
        {
            commits += 1;
            out.line(format!(
                "{}  {}  {}",
                paint(ID, show::short(&row.id)),
                paint(DIM, show::ago(row.since, context.now())),
                show::first_line(detail)
            ))?;
        }
    }
    for (kind, (count, bytes)) in kinds {
        let count = show::grouped(count);
        out.line(format!(
            "{}{count:>9}{:>11}",
            paint(TITLE, show::pad(kind, 9)),
            show::size(bytes)
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_time;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, ms) in
            [("14d", 1_209_600_000), ("12h", 43_200_000), ("3m", 180_000), ("9s", 9000), ("0", 0)]
        {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        assert_eq!(parse_time("0d"), Ok(0));
        for bad in ["", "d", "14", "-1d", "1w", "1dd", "1.5d", "99999999999999999d", "é", "1é"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
