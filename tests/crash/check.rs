//! What must be so of a repository that a crash left: the answer to "was anything lost?".

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottvc_local::{Access, LocalRepo};
use ottvc_object::manifest::CutRule;
use ottvc_object::{CommitId, RepoPath, TreeId};
use ottvc_refs::{FixedClock, Operation, RefName, RefValue};
use ottvc_repo::verify::Reading;
use ottvc_repo::workspace::Head;
use ottvc_repo::{Parts, Repo, Silent};
use ottvc_tests::story::{Chance, Story, Tree};

/// How a command may end that does not find what it expects: any status of the table in
/// `docs/errors.md`; a panic is 101, a signal none.
const STATUSES: std::ops::RangeInclusive<i32> = 0..=19;

type Checked<T> = Result<T, String>;

/// All that a repository has acknowledged.
#[derive(Clone, Debug, PartialEq)]
struct Facts {
    refs: Vec<(RefName, RefValue)>,
    operations: Vec<Operation>,
    head: Head,
    staged: TreeId,
    merging: Option<CommitId>,
}

/// What a command is for, whenever it runs: no times, and so no ids of commits.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    refs: Vec<(RefName, Option<TreeId>)>,
    branch: Option<RefName>,
    staged: TreeId,
    merging: bool,
}

/// What is known of a repository between two commands.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    facts: Facts,
    outcome: Outcome,
    /// The commit that it stands on.
    pub(crate) head: Option<CommitId>,
}

/// A command of a story: what was so before it and after it.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    pub(crate) arguments: &'a [String],
    /// How it ends where it does its work.
    pub(crate) status: i32,
    /// `None` before there is a repository.
    pub(crate) before: Option<&'a Known>,
    pub(crate) after: &'a Known,
    /// The working copy when it had ended.
    pub(crate) files: &'a Tree,
    /// What commits hold that were acknowledged by then.
    pub(crate) commits: &'a BTreeMap<CommitId, Tree>,
    /// Whether it has ended and said so.
    pub(crate) ended: bool,
    /// Whether `after` tells of this very run, and not of another of the same command.
    pub(crate) same: bool,
}

fn open(work: &Path, access: Access<'_>) -> Checked<Repo> {
    let store = LocalRepo::open(&work.join(".ottvc"), access).map_err(say("open"))?;
    Ok(Repo::new(Parts {
        objects: store.objects(),
        refs: store.refs(),
        workspace: store.workspace(),
        clock: Arc::new(FixedClock(1_800_000_000_000)),
        root: work.to_owned(),
        actor: "Ada <ada@example.org>".into(),
        rule: CutRule::default(),
        tracks: None,
        jobs: 1,
    }))
}

/// Puts an error with its causes into words.
fn say<E: std::error::Error>(doing: &str) -> impl Fn(E) -> String {
    move |error| {
        let mut text = format!("{doing}: {error}");
        let mut cause = error.source();
        while let Some(next) = cause {
            text += &format!(": {next}");
            cause = next.source();
        }
        text
    }
}

fn facts(repo: &Repo) -> Checked<Facts> {
    let state = repo.state().map_err(say("read the state"))?;
    Ok(Facts {
        refs: repo.refs().list().map_err(say("list refs"))?,
        operations: repo.refs().operations(None, usize::MAX).map_err(say("list operations"))?,
        head: state.head,
        staged: state.staged,
        merging: state.merging.map(|merging| merging.theirs),
    })
}

fn outcome(repo: &Repo, facts: &Facts) -> Checked<Outcome> {
    let tree =
        |id: CommitId| repo.commit(id).map(|commit| commit.tree).map_err(say("read a commit"));
    let refs = facts.refs.iter();
    let refs = refs.map(|(name, value)| Ok((name.clone(), value.target.map(tree).transpose()?)));
    Ok(Outcome {
        refs: refs.collect::<Checked<_>>()?,
        branch: match &facts.head {
            Head::Branch(name) => Some(name.clone()),
            Head::Detached(_) => None,
        },
        staged: facts.staged,
        merging: facts.merging.is_some(),
    })
}

/// What there is to know of the repository in `work`.
pub(crate) fn look(work: &Path) -> Checked<Known> {
    let repo = open(work, Access::Read)?;
    let facts = facts(&repo)?;
    let outcome = outcome(&repo, &facts)?;
    let state = repo.state().map_err(say("read the state"))?;
    let head = repo.head_commit_id(&state).map_err(say("read the head"))?;
    Ok(Known { facts, outcome, head })
}

fn must(holds: bool, what: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Checks what a crash left in `work` of `story`, then that the command works when it is given again.
pub(crate) fn check(story: &Story, command: &Command<'_>, chance: &mut Chance) -> Checked<()> {
    let work = story.root();
    let found = match command.before {
        // Not a repository yet, as long as it does not say that it is one.
        None if !command.ended && !work.join(".ottvc/VERSION").exists() => None,
        _ => Some(check_state(&work, command, chance)?),
    };
    let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
    let again = story.run(&arguments);
    let status = again.status.filter(|status| STATUSES.contains(status));
    must(status.is_some(), || format!("again: status {:?}, {}", again.status, again.stderr))?;
    if found != Some(true) {
        must(status == Some(command.status), || {
            format!("again: status {status:?}, {}", again.stderr)
        })?;
    }
    // What `rm` leaves when it dies is no file of the repository's any more.
    let left = found == Some(true) && arguments.first() == Some(&"rm");
    check_again(story, command, left)
}

/// Checks a repository that nobody has opened since the crash. Says whether the command happened.
fn check_state(work: &Path, command: &Command<'_>, chance: &mut Chance) -> Checked<bool> {
    let write = Access::Write { wait: Duration::ZERO, command: "a test" };
    let access = if chance.below(2) == 0 { Access::Read } else { write };
    let repo = open(work, access)?;
    let facts = facts(&repo)?;
    let after = command.after;
    let happened =
        facts == after.facts || (!command.same && outcome(&repo, &facts)? == after.outcome);
    let before = command.before.map(|known| &known.facts);
    // Of `init`, what is between is a repository without its first branch.
    let begun = before.is_none() && facts.refs.is_empty();
    let fits = happened || (!command.ended && (Some(&facts) == before || begun));
    must(fits, || {
        let after = &after.facts;
        format!(
            "neither as before nor as after: {facts:#?}\nbefore: {before:#?}\nafter: {after:#?}"
        )
    })?;
    must_be_sound(&repo)?;
    let targets = facts.refs.iter().filter_map(|(_, value)| value.target);
    must_read(&repo, targets, command.commits)?;
    Ok(happened)
}

fn must_be_sound(repo: &Repo) -> Checked<()> {
    let report = repo.verify(Reading::Everything, &Silent).map_err(say("verify"))?;
    // An index made again in the middle of a collection brings back commits that it had dropped, hollow:
    // no ref leads to them, and operations alone name them (`docs/gc.md`).
    let refs = repo.refs().list().map_err(say("list refs"))?;
    let heads: Vec<CommitId> = refs.iter().filter_map(|(_, value)| value.target).collect();
    let mut history = Vec::new();
    let walked = repo.walk_history(&heads, &mut |logged| {
        history.push(logged.id.to_string());
        Ok(true)
    });
    walked.map_err(say("walk"))?;
    let hollow = |place: &String| {
        let rev = place.split_once(':').map_or("", |(rev, _)| rev);
        is_id(rev) && !history.iter().any(|id| id.starts_with(rev))
    };
    let only_hollow = report.damaged.is_empty()
        && report.missing.iter().all(|it| !it.affects.is_empty() && it.affects.iter().all(hollow));
    must(report.clean || only_hollow, || format!("not clean: {report:#?}"))
}

fn is_id(rev: &str) -> bool {
    rev.len() == 12 && rev.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads every file of these commits back.
fn must_read(
    repo: &Repo,
    ids: impl Iterator<Item = CommitId>,
    commits: &BTreeMap<CommitId, Tree>,
) -> Checked<()> {
    for id in ids {
        let Some(expected) = commits.get(&id) else { continue };
        let rev = id.to_string();
        let mut paths = Vec::new();
        let listed = repo.list(&rev, &RepoPath::root(), true, &mut |entry| {
            paths.push(entry.path);
            Ok(())
        });
        listed.map_err(say("list"))?;
        must(paths.iter().eq(expected.keys()), || format!("{rev} lists {paths:?}"))?;
        for (path, bytes) in expected {
            let mut read = Vec::new();
            let at = RepoPath::new(path).map_err(say("parse"))?;
            repo.cat(&rev, &at, None, None, &mut read).map_err(say(path))?;
            must(read == *bytes, || format!("{rev}:{path} reads back as something else"))?;
        }
    }
    Ok(())
}

fn check_again(story: &Story, command: &Command<'_>, left: bool) -> Checked<()> {
    let work = story.root();
    let repo = open(&work, Access::Read)?;
    let now = outcome(&repo, &facts(&repo)?)?;
    let after = &command.after.outcome;
    must(now == *after, || format!("again: {now:#?}\nnot {after:#?}"))?;
    must_be_sound(&repo)?;
    let mut files = story.tree();
    files.retain(|path, _| {
        !path.contains(".ottvc-tmp-") && (!left || command.files.contains_key(path))
    });
    must(files == *command.files, || {
        format!("again: files {:?}, not {:?}", files.keys(), command.files.keys())
    })
}

/// Checks what a loss of power left in `work`: the branch at one of the commits `allowed`, everything
/// that it leads to whole, and a working copy that goes on.
pub(crate) fn check_survivor(
    work: &Path,
    allowed: &[CommitId],
    commits: &BTreeMap<CommitId, Tree>,
    reading: bool,
) -> Checked<()> {
    let write = Access::Write { wait: Duration::ZERO, command: "a test" };
    let repo = open(work, if reading { Access::Read } else { write })?;
    let facts = facts(&repo)?;
    let heads: Vec<CommitId> = facts.refs.iter().filter_map(|(_, value)| value.target).collect();
    must(heads.len() == 1 && heads.iter().all(|head| allowed.contains(head)), || {
        format!("heads {heads:?}, not one of {allowed:?}")
    })?;
    must_be_sound(&repo)?;
    must_read(&repo, heads.iter().copied(), commits)?;
    let mut history = Vec::new();
    let walked = repo.walk_history(&heads, &mut |logged| {
        history.push(logged.id);
        Ok(true)
    });
    walked.map_err(say("walk"))?;
    must_read(&repo, history.into_iter(), commits)?;
    drop(repo);
    let repo = open(work, write)?;
    let made = repo.make_branch("goes-on", None, None, None);
    made.map(drop).map_err(say("branch"))
}
