//! Tells a story under the tracer, and explores what crashes may leave of it.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use ottvc_object::CommitId;
use ottvc_tests::disk::{Disk, Found, Loss, Op};
use ottvc_tests::recorder::{Recorder, Recording};
use ottvc_tests::story::{Chance, Story, Tree, assert_well_but_for_room};

use crate::check::{Command, Known, check, look};
use crate::folder;

/// Random states that are drawn after each step, and after the last of a command.
const DRAWS: (usize, usize) = (4, 24);
/// Steps that are shown of a state that breaks a promise.
const STEPS_SHOWN: usize = 60;

/// A story being told.
pub(crate) struct Telling {
    pub(crate) story: Story,
    pub(crate) recorder: Recorder,
    told: Vec<Told>,
    first: Option<Known>,
}

/// What was so after a command.
struct Told {
    status: i32,
    known: Known,
    files: Tree,
    /// The commit that it left the working copy on, where that holds what the files hold.
    commit: Option<CommitId>,
}

/// A story that was told.
pub(crate) struct Tale {
    name: &'static str,
    pub(crate) recording: Recording,
    /// The steps after which crashes come.
    pub(crate) within: Range<usize>,
    told: Vec<Told>,
    first: Option<Known>,
}

/// What exploring found.
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// Out of how many that differ.
    of: usize,
    pub(crate) failures: Vec<Failure>,
}

/// A state that breaks a promise, and which one.
pub(crate) struct Failure {
    found: Found,
    why: String,
    /// The last steps before the crash.
    steps: String,
}

impl Failure {
    /// Keeps the state for whoever wants to look at it, and says where.
    fn keep(&self) -> String {
        let kept = tempfile::Builder::new().prefix("ottvc-crash-").tempdir().unwrap().keep();
        self.found.write(&kept.join("work"));
        let Self { why, steps, .. } = self;
        format!("{why}\nthe state is kept in {}; the steps before it:\n{steps}", kept.display())
    }
}

/// A state worth looking at: after which step of which command, what was lost, and by which draw.
struct Candidate {
    command: usize,
    step: usize,
    loss: Loss,
    draw: u64,
    /// Whether the command has said that it is done.
    ended: bool,
}

pub(crate) fn known(found: &Found) -> Known {
    let dir = folder();
    found.write(&dir.path().join("work"));
    look(&dir.path().join("work")).unwrap()
}

impl Telling {
    /// Goes on with this working copy, which may have a repository.
    pub(crate) fn of(story: Story) -> Self {
        let recorder = Recorder::new(&story);
        let first = story.store().exists().then(|| known(&recorder.now()));
        Self { story, recorder, told: Vec::new(), first }
    }

    /// Runs a command, which must succeed.
    pub(crate) fn run(&mut self, arguments: &[&str]) {
        self.run_to(arguments, 0);
    }

    /// Runs a command that does its work and ends with this status.
    pub(crate) fn run_to(&mut self, arguments: &[&str], status: i32) {
        let output = self.recorder.run(&self.story, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        self.tell(arguments, status);
    }

    /// Makes the index again, after which nothing but little room may be found amiss.
    pub(crate) fn repair(&mut self) {
        let arguments = ["doctor", "--repair", "--json"];
        let output = self.recorder.run(&self.story, &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let answer = serde_json::from_slice(&output.stdout);
        let answer = answer.unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_well_but_for_room(output.status.code(), &answer);
        self.tell(&arguments, output.status.code().unwrap());
    }

    fn tell(&mut self, arguments: &[&str], status: i32) {
        let (known, files) = (known(&self.recorder.now()), self.story.tree());
        let committed = matches!(arguments, ["commit" | "merge" | "switch", ..]);
        let commit = known.head.filter(|_| committed && status == 0);
        self.told.push(Told { status, known, files, commit });
    }

    pub(crate) fn end(self, name: &'static str) -> Tale {
        Tale {
            name,
            within: 0..usize::MAX,
            recording: self.recorder.finish(),
            told: self.told,
            first: self.first,
        }
    }
}

/// The seed: `OTTVC_SEED`, or one by chance.
pub(crate) fn seed() -> u64 {
    match std::env::var("OTTVC_SEED") {
        Ok(text) => text.parse().unwrap(),
        // Keys that the system draws for each process.
        Err(_) => std::hash::RandomState::new().build_hasher().finish() >> 32,
    }
}

impl Tale {
    /// Asserts that none of so many states of the story breaks a promise (`OTTVC_CRASH_STATES` says how
    /// many instead); prints what was looked at.
    pub(crate) fn assert_survives(&self, wanted: usize) {
        let started = Instant::now();
        let seed = seed();
        let limit = std::env::var("OTTVC_CRASH_STATES");
        let limit = limit.map_or(wanted, |text| text.parse().unwrap());
        let explored = self.explore(seed, limit, usize::MAX);
        let Explored { states, of, failures } = &explored;
        eprintln!(
            "{}: {states} crash states of {of} that differ, over {} commands and {} steps in {:.0?}, {} of them broke a \
             promise; to draw the same again: OTTVC_SEED={seed}",
            self.name,
            self.recording.commands.len(),
            self.recording.steps.len(),
            started.elapsed(),
            failures.len(),
        );
        let shown: Vec<String> = failures.iter().take(5).map(Failure::keep).collect();
        assert!(failures.is_empty(), "{}", shown.join("\n\n"));
        // How many there are varies with what the disk held back when: some hundreds, not an exact number.
        assert!(*states >= limit.min(wanted) * 3 / 4, "too few to prove anything");
    }

    /// Looks at `limit` different states at most, and stops after `enough` that break a promise.
    pub(crate) fn explore(&self, seed: u64, limit: usize, enough: usize) -> Explored {
        let (chosen, of) = self.choose(seed, limit);
        let mut explored = Explored { states: 0, of, failures: Vec::new() };
        let mut disk = Replay::new(&self.recording);
        for candidate in chosen {
            disk.up_to(candidate.step);
            let found = disk.crash(&candidate);
            explored.states += 1;
            if let Err(why) = self.look_at(&found, &candidate) {
                let why = self.describe(&candidate, &why);
                let steps = self.steps_before(candidate.step);
                explored.failures.push(Failure { found, why, steps });
                if explored.failures.len() >= enough {
                    break;
                }
            }
        }
        explored
    }

    /// What was done up to a step, a line each, as far back as may matter.
    fn steps_before(&self, step: usize) -> String {
        let mut disk = self.recording.base.clone();
        let mut lines = Vec::new();
        for (number, op) in self.recording.steps.iter().enumerate().take(step + 1) {
            disk.apply(number, op);
            let line = match op {
                Op::Make { node, .. } => format!("make {}", disk.path(*node)),
                Op::Write { node, at, bytes } => {
                    format!("write {} at {at}, {} bytes", disk.path(*node), bytes.len())
                }
                Op::Cut { node, len } => format!("cut {} to {len}", disk.path(*node)),
                Op::Link { node, name, .. } => format!("link {} as {name}", disk.path(*node)),
                Op::Unlink { folder, name } => format!("unlink {name} in {}", disk.path(*folder)),
                Op::Rename { from, to, .. } => {
                    let ((from, old), (to, new)) = (from, to);
                    format!("rename {}/{old} to {}/{new}", disk.path(*from), disk.path(*to))
                }
                Op::Sync { node, covers } => format!("sync {} up to {covers}", disk.path(*node)),
            };
            lines.push(format!("{number} {line}"));
        }
        let kept = lines.len().saturating_sub(STEPS_SHOWN);
        lines.split_off(kept).join("\n")
    }

    /// Some states in which anything may be lost of what a command was writing.
    pub(crate) fn torn(&self, seed: u64, count: usize) -> Vec<Found> {
        let (mut all, _) = self.choose(seed, usize::MAX);
        all.retain(|candidate| candidate.loss == Loss::Any && !candidate.ended);
        let apart = (all.len() / count).max(1);
        let mut disk = Replay::new(&self.recording);
        let chosen = all.iter().step_by(apart).take(count);
        chosen
            .map(|candidate| {
                disk.up_to(candidate.step);
                disk.crash(candidate)
            })
            .collect()
    }

    /// Lists states after each step that differ from each other, then keeps as many as asked for. The
    /// last step of each command has most of them: what it acknowledged must be there in all.
    fn choose(&self, seed: u64, limit: usize) -> (Vec<Candidate>, usize) {
        let mut chance = Chance::new(seed);
        let mut disk = Replay::new(&self.recording);
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for (command, recorded) in self.recording.commands.iter().enumerate() {
            for step in recorded.first..recorded.end {
                if !self.within.contains(&step) {
                    continue;
                }
                disk.up_to(step);
                let ended = step + 1 == recorded.end;
                let fixed = [Loss::Nothing, Loss::All, Loss::Bytes].into_iter();
                let drawn = [Loss::Any, Loss::Later].into_iter().cycle();
                let draws = if ended { DRAWS.1 } else { DRAWS.0 };
                for loss in fixed.chain(drawn.take(draws)) {
                    let draw = chance.draw();
                    let candidate = Candidate { command, step, loss, draw, ended };
                    if seen.insert((command, ended, disk.crash(&candidate).digest())) {
                        all.push(candidate);
                    }
                }
            }
        }
        let of = all.len();
        let mut left = of;
        let mut wanted = limit;
        all.retain(|_| {
            let keep = chance.below(left as u64) < wanted as u64;
            left -= 1;
            wanted -= usize::from(keep);
            keep
        });
        (all, of)
    }

    fn look_at(&self, found: &Found, candidate: &Candidate) -> Result<(), String> {
        let dir = folder();
        found.write(&dir.path().join("work"));
        let story = Story::within(dir);
        let told = |command: usize| self.told.get(command).ok_or("a command that was not told");
        let now = told(candidate.command)?;
        let before = match candidate.command.checked_sub(1) {
            Some(last) => Some(&told(last)?.known),
            None => self.first.as_ref(),
        };
        let commits: BTreeMap<CommitId, Tree> =
            self.told.iter().filter_map(|told| Some((told.commit?, told.files.clone()))).collect();
        let recorded = self.recording.commands.get(candidate.command).ok_or("no such command")?;
        let command = Command {
            arguments: &recorded.arguments,
            status: now.status,
            before,
            after: &now.known,
            files: &now.files,
            commits: &commits,
            ended: candidate.ended,
            same: true,
        };
        let mut chance = Chance::new(candidate.draw);
        let checked = catch_unwind(AssertUnwindSafe(|| check(&story, &command, &mut chance)));
        checked.unwrap_or_else(|_| Err("it panicked".into()))
    }

    /// Says what went wrong where.
    fn describe(&self, candidate: &Candidate, why: &str) -> String {
        let Candidate { command, step, loss, ended, .. } = candidate;
        let recorded = &self.recording.commands[*command];
        format!(
            "{}, {:?}, {}step {} of {}, loss {loss:?}: {why}\nlast step: {}",
            self.name,
            recorded.arguments.join(" "),
            if *ended { "which was acknowledged, " } else { "" },
            step - recorded.first + 1,
            recorded.end - recorded.first,
            self.recording.explain(*step),
        )
    }
}

/// The steps of a recording, taken one after the other.
struct Replay<'a> {
    recording: &'a Recording,
    disk: Disk,
    taken: usize,
}

impl<'a> Replay<'a> {
    fn new(recording: &'a Recording) -> Self {
        Self { recording, disk: recording.base.clone(), taken: 0 }
    }

    fn up_to(&mut self, step: usize) {
        while self.taken <= step {
            self.disk.apply(self.taken, &self.recording.steps[self.taken]);
            self.taken += 1;
        }
    }

    fn crash(&self, candidate: &Candidate) -> Found {
        let mut chance = Chance::new(candidate.draw);
        self.disk.after_crash(candidate.step, candidate.loss, &mut chance)
    }
}
