//! `branch`, `tag`, `switch`: the names of editions, and which one is here.

use clap::{ArgGroup, Args};
use ottvc_merge::schema::Format;
use ottvc_refs::RefKind;
use ottvc_repo::branches::RefRow;
use serde_json::{Value as Json, json};

use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::screen::rest_of_line;
use crate::show::{self, DIM, GOOD, ID, NAME, paint};

/// List branches; with NAME, make one. A branch is an edition: class and territory describe it.
///
/// With a class, a territory or --inherit, the new edition inherits the documents of the one it starts from:
/// it gets a first commit of its own, and later changes with `ottvc propagate`. --describe changes what is said
/// of an edition that is there, and nothing else of it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("named").args(["name", "describe"]))]
#[command(group = ArgGroup::new("words").args(["class", "territory"]).multiple(true))]
pub(crate) struct Branch {
    /// The branch to make
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Where it starts [default: HEAD]
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// What kind of cut it is: director, regional, promo ...
    #[arg(long, value_name = "CLASS", requires = "named")]
    class: Option<String>,
    /// Where it is shown: a country or part of one (DE, GB-SCT), an area by its UN M49 number (419), or worldwide
    #[arg(long, value_name = "TERRITORY", requires = "named")]
    territory: Option<String>,
    /// Have it inherit from where it starts, as one with a class or territory does
    #[arg(long, requires = "name")]
    inherit: bool,
    /// Give a branch that is there the class or territory; '' takes one away
    #[arg(long, value_name = "NAME", requires = "words", conflicts_with_all = ["rev", "inherit", "delete", "rename"])]
    describe: Option<String>,
    /// Delete a branch; not a protected one, see `ottvc config set branch.protected`
    #[arg(short = 'd', long, value_name = "NAME", conflicts_with_all = ["name", "rename"])]
    delete: Option<String>,
    /// Rename a branch; the edition stays the same
    #[arg(short = 'm', long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "name")]
    rename: Option<Vec<String>>,
    /// Delete it although editions inherit from it, or commits would be reachable from nowhere
    #[arg(long, short = 'f')]
    force: bool,
}

pub(crate) fn branch(context: &Context, out: &mut Out, args: Branch) -> Result<Exit, CliError> {
    if let Some(name) = &args.delete {
        let repo = context.open(Need::Write("branch"))?.repo;
        let row = repo.remove_branch(name, args.force)?;
        removed(context, out, "branch", &row)?;
    } else if let Some([old, new]) = args.rename.as_deref() {
        let repo = context.open(Need::Write("branch"))?.repo;
        let row = repo.rename_branch(old, new)?;
        context.report(out, &row_json(&row), |out| {
            out.line(format!("branch {old} is now {}", paint(NAME, new)))
        })?;
    } else if let Some(name) = args.describe.as_deref().or(args.name.as_deref()) {
        let repo = context.open(Need::Write("branch"))?.repo;
        let said = |word: &&str| !word.is_empty();
        let unusual = [
            args.class.as_deref().filter(said).and_then(unusual_class),
            args.territory.as_deref().filter(said).and_then(unusual_territory),
        ];
        // As schemas spell it.
        let spelled = |given: String| Format::Territory.canonical(&given).unwrap_or(given);
        let territory = args.territory.map(spelled);
        let rev = args.rev.as_deref();
        if args.describe.is_some() {
            let row = repo.describe_edition(name, args.class, territory)?;
            context.report(out, &row_json(&row), |out| {
                let words = match edition_words(&row) {
                    words if words.is_empty() => "has no class or territory".to_owned(),
                    words => format!("is {words}"),
                };
                out.line(format!("branch {} {words}", paint(NAME, &row.name)))
            })?;
        } else {
            let row = match args.inherit || args.class.is_some() || territory.is_some() {
                true => repo.make_edition(name, rev, args.class, territory)?,
                false => repo.make_branch(name, rev, None, None)?,
            };
            made(context, out, "branch", &row)?;
        }
        for note in unusual.iter().flatten().filter(|_| !context.json) {
            context.note(note);
        }
    } else {
        let rows = context.open(Need::Read)?.repo.list_refs(RefKind::Branch)?;
        list(context, out, "branches", &rows)?;
    }
    Ok(Exit::Ok)
}

/// What EIDR calls the classes of edits. It adds to them, and other words are fine, too.
const EDIT_CLASSES: &[&str] = &[
    "Original",
    "Unrated",
    "Censored",
    "Sanitized",
    "Extended",
    "Shortened",
    "Director's Cut",
    "Colorized",
    "Restored",
    "Anniversary",
    "Rereleased",
    "Creative",
    "Technical",
    "Alternate Ending",
    "Recap",
    "Product Placement",
    "Dialog",
    "Music",
    "Sound Effects",
    "Credits",
    "Dubbing Credits",
    "Logos",
    "Overture",
    "Intermission",
    "Exit",
    "Content Break",
    "Interactive Platform",
    "Promotional",
    "Regionalized",
];

/// What to say of a class that EIDR has no word for, nor a longer one that begins so.
fn unusual_class(class: &str) -> Option<String> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let given = plain(class);
    if EDIT_CLASSES.iter().any(|known| given.len() >= 4 && plain(known).starts_with(&given)) {
        return None;
    }
    let far = |known: &str| {
        let known = plain(known);
        // A short form may be mistyped as well.
        let start: String = known.chars().take(given.chars().count()).collect();
        strsim::damerau_levenshtein(&known, &given).min(strsim::damerau_levenshtein(&start, &given))
    };
    let mut near: Vec<&str> = EDIT_CLASSES.to_vec();
    near.retain(|known| far(known) <= 2.min(given.chars().count() / 3));
    near.sort_by_key(|known| far(known));
    let near = match near.as_slice() {
        [] => EDIT_CLASSES.iter().take(8).copied().collect::<Vec<_>>().join(", ") + " ...",
        near => near.iter().take(3).copied().collect::<Vec<_>>().join(", "),
    };
    let class = show::plain(class);
    Some(format!(
        "note: EIDR has no edit class `{class}`, which is kept all the same; it has {near}"
    ))
}

/// The countries of ISO 3166-1 by their two letters.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO \
    BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG \
    EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID \
    IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA \
    MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA \
    PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST \
    SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE \
    YT ZA ZM ZW";

/// What to say of a territory that schemas would not take for one, or that no country has.
fn unusual_territory(territory: &str) -> Option<String> {
    let known = match Format::Territory.canonical(territory) {
        Some(code) => {
            let country = code.split('-').next().unwrap_or_default();
            country.starts_with(|c: char| c.is_ascii_digit())
                || COUNTRIES.split_whitespace().any(|known| known == country)
        }
        None => territory.eq_ignore_ascii_case("worldwide"),
    };
    let territory = show::plain(territory);
    (!known).then(|| {
        format!(
            "note: `{territory}` is no territory of ISO 3166 (DE, GB-SCT) or UN M49 (419), and is kept all \
             the same"
        )
    })
}

/// List tags; with NAME, make one. A tag stays where it is.
#[derive(Debug, Args)]
pub(crate) struct Tag {
    /// The tag to make
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// What it names [default: HEAD]
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// Delete a tag
    #[arg(short = 'd', long, value_name = "NAME", conflicts_with = "name")]
    delete: Option<String>,
}

pub(crate) fn tag(context: &Context, out: &mut Out, args: &Tag) -> Result<Exit, CliError> {
    if let Some(name) = &args.delete {
        let row = context.open(Need::Write("tag"))?.repo.remove_tag(name)?;
        removed(context, out, "tag", &row)?;
    } else if let Some(name) = &args.name {
        let row = context.open(Need::Write("tag"))?.repo.make_tag(name, args.rev.as_deref())?;
        made(context, out, "tag", &row)?;
    } else {
        let rows = context.open(Need::Read)?.repo.list_refs(RefKind::Tag)?;
        list(context, out, "tags", &rows)?;
    }
    Ok(Exit::Ok)
}

fn row_json(row: &RefRow) -> Json {
    let mut json = serde_json::to_value(row).unwrap_or_default();
    if let (Json::Object(object), Some(time)) = (&mut json, row.time) {
        object.insert("time".into(), Json::from(show::rfc3339(time)));
        object.insert("time_ms".into(), Json::from(time));
    }
    json
}

fn made(context: &Context, out: &mut Out, kind: &str, row: &RefRow) -> Result<(), CliError> {
    context.report(out, &row_json(row), |out| {
        let at = match &row.commit {
            Some(commit) => format!("at {}", paint(ID, show::short(commit))),
            None => "without a commit yet".into(),
        };
        out.line(format!("{kind} {} {at}", paint(NAME, &row.name)))
    })
}

fn removed(context: &Context, out: &mut Out, kind: &str, row: &RefRow) -> Result<(), CliError> {
    context.report(out, &row_json(row), |out| {
        let was = row.commit.as_deref().map(|commit| format!(" (was {})", show::short(commit)));
        let was = paint(DIM, was.unwrap_or_default());
        out.line(format!("deleted {kind} {}{was}; ottvc undo brings it back", row.name))
    })
}

/// What is said of an edition.
fn edition_words(row: &RefRow) -> String {
    let words: Vec<&str> = row.class.iter().chain(&row.territory).map(String::as_str).collect();
    words.join(", ")
}

fn list(context: &Context, out: &mut Out, member: &str, rows: &[RefRow]) -> Result<(), CliError> {
    let json: Vec<Json> = rows.iter().map(row_json).collect();
    context.answer(out, &json!({ member: json }), |out| {
        let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let kinds = rows.iter().map(|row| edition_words(row).chars().count()).max().unwrap_or(0);
        // The mark, the name and the commit, and what stands between.
        let before = 2 + width + 2 + 12 + if kinds > 0 { 2 + kinds } else { 0 } + 2;
        for row in rows {
            let name = show::pad(&row.name, width);
            let (mark, name) = match row.current {
                true => (paint(GOOD, "*"), paint(GOOD, name)),
                false => (" ".to_owned(), name),
            };
            let commit = row.commit.as_deref().map_or("no commit yet", show::short);
            let mut line = format!("{mark} {name}  {}", paint(ID, show::pad(commit, 12)));
            if kinds > 0 {
                line += &format!("  {}", show::pad(&edition_words(row), kinds));
            }
            if let Some(message) = &row.message {
                line += &format!("  {}", rest_of_line(&show::first_line(message), before));
            }
            out.line(line.trim_end())?;
        }
        Ok(())
    })
}

/// Move the working copy to a branch. Local changes are kept, or the switch is refused; they are
/// never lost.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The branch
    #[arg(value_name = "NAME")]
    name: String,
    /// Make the branch first, at HEAD
    #[arg(long, short = 'c')]
    create: bool,
    /// Go to a commit without a branch
    #[arg(long, conflicts_with = "create")]
    detach: bool,
}

pub(crate) fn switch(context: &Context, out: &mut Out, args: &Switch) -> Result<Exit, CliError> {
    let opened = context.open(Need::Write("switch"))?;
    let switched = {
        let progress = context.progress();
        opened.repo.switch(&args.name, args.create, args.detach, &progress)?
    };
    context.report(out, &switched, |out| {
        let place = match (&switched.branch, &switched.commit) {
            (Some(branch), Some(commit)) => {
                format!("On branch {} at {}", paint(NAME, branch), paint(ID, show::short(commit)))
            }
            (Some(branch), None) => format!("On branch {}, no commit yet", paint(NAME, branch)),
            (None, commit) => {
                let commit = commit.as_deref().unwrap_or_default();
                format!("On commit {}, no branch", paint(ID, show::short(commit)))
            }
        };
        let done = match (switched.written, switched.removed) {
            (0, 0) => String::new(),
            (written, 0) => format!("; {} written", show::count(written, "file", "files")),
            (0, removed) => format!("; {} removed", show::count(removed, "file", "files")),
            (written, removed) => format!(
                "; {} written, {} removed",
                show::count(written, "file", "files"),
                show::grouped(removed)
            ),
        };
        out.line(format!("{place}{done}"))
    })?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_nobody_knows_are_told_of() {
        for known in ["director", "Director's Cut", "regional", "promo", "CENSORED"] {
            assert_eq!(unusual_class(known), None, "{known}");
        }
        let near =
            |class| unusual_class(class).unwrap().split("it has ").last().unwrap().to_owned();
        assert_eq!(near("directr"), "Director's Cut");
        assert_eq!(near("restord"), "Restored");
        assert!(near("bogus").starts_with("Original, Unrated"));
        assert!(near("x").ends_with(" ..."));
    }

    #[test]
    fn territories_that_nobody_knows_are_told_of() {
        assert_eq!(COUNTRIES.split_whitespace().count(), 249);
        for known in ["DE", "de", "GB-SCT", "419", "worldwide", "Worldwide"] {
            assert_eq!(unusual_territory(known), None, "{known}");
        }
        for unknown in ["Germany", "DEU", "UK", "XX-1", "41", ""] {
            assert!(unusual_territory(unknown).is_some(), "{unknown}");
        }
    }
}
