//! Progress of long commands on stderr: a bar on a terminal, JSON lines where asked for, or nothing.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ottvc_repo::Progress;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A bar, if stderr is a terminal
    Auto,
    /// One JSON object a line
    Json,
    /// Nothing
    Never,
}

/// A command must run this long before a bar appears: most are done sooner.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often JSON lines are written at most.
const LINE_EVERY: Duration = Duration::from_millis(200);
/// Steps that count bytes; the others count files or objects.
const COUNTS_BYTES: [&str; 4] = ["adding", "writing", "reading every byte", "rebuilding files"];

/// Shows the progress of one command.
pub(crate) struct Meter {
    mode: Mode,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    step: &'static str,
    /// The last line, whether written or not, and when one was written.
    last: Option<(u64, u64)>,
    written: Option<(Instant, u64)>,
}

impl Meter {
    /// Starts; `Auto` shows nothing where stderr is no terminal.
    pub(crate) fn start(mode: Mode, quiet: bool) -> Self {
        let mode = match mode {
            Mode::Auto if quiet || !std::io::stderr().is_terminal() => Mode::Never,
            other => other,
        };
        Self { mode, started: Instant::now(), state: Mutex::default() }
    }

    fn bar(&self, state: &mut State, step: &'static str, done: u64, total: u64) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        if state.step != step
            && let Some(bar) = state.bar.take()
        {
            bar.finish_and_clear();
        }
        let bar = state.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style(step, total > 0));
            bar.set_message(step);
            bar
        });
        if total > 0 {
            // A scan knows the whole only after a while.
            if bar.length().is_none() {
                bar.set_style(style(step, true));
            }
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn line(state: &mut State, step: &'static str, done: u64, total: u64) {
        let soon = |(at, _): (Instant, u64)| at.elapsed() < LINE_EVERY;
        let same_step = state.step == step;
        if !same_step {
            Self::last_line(state);
        }
        state.last = Some((done, total));
        if same_step && state.written.is_some_and(soon) {
            return;
        }
        state.written = Some((Instant::now(), done));
        write_line(step, done, total);
    }

    /// Writes how far a step came, if its last line said less.
    fn last_line(state: &mut State) {
        if let Some((done, total)) = state.last.take()
            && state.written.take().is_none_or(|(_, written)| written != done)
        {
            write_line(state.step, done, total);
        }
    }
}

/// Writes one JSON line; if stderr is gone, nobody misses it.
fn write_line(step: &str, done: u64, total: u64) {
    let line = serde_json::json!({ "step": step, "done": done, "total": total });
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn style(step: &'static str, known: bool) -> ProgressStyle {
    let template = match (known, COUNTS_BYTES.contains(&step)) {
        (true, true) => {
            "{msg} {bar:24} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
        (true, false) => "{msg} {bar:24} {human_pos} of {human_len}",
        (false, true) => "{spinner} {msg} {binary_bytes}, {binary_bytes_per_sec}",
        (false, false) => "{spinner} {msg} {human_pos}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━╌")
}

impl Progress for Meter {
    fn report(&self, step: &'static str, done: u64, total: u64) {
        if self.mode == Mode::Never {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.mode {
            Mode::Json => Self::line(&mut state, step, done, total),
            _ => self.bar(&mut state, step, done, total),
        }
        state.step = step;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        if self.mode == Mode::Json {
            Self::last_line(state);
        }
    }
}
