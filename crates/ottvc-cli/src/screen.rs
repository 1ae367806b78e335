//! How wide the screen is and whether it has colour, and texts made to fit: shortened, or laid out over
//! lines with what went and what came marked.
//!
//! Nothing is ever cut inside of what a reader takes for one character.

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use ottvc_merge::Run;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::show::{self, BAD, DIM, GOOD, paint};

/// Columns where nothing says how many there are.
const USUAL_WIDTH: usize = 80;
/// Fewer columns than these are not taken at their word: paths alone need more.
const LEAST_WIDTH: usize = 20;
/// The most lines that one text is given.
const MOST_LINES: usize = 12;
/// What was cut.
const CUT: &str = "…";

/// What a person sees the output on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Columns.
    pub(crate) width: usize,
    /// Whether colour tells what went from what came; marks do otherwise.
    pub(crate) color: bool,
}

impl Screen {
    /// That of standard output.
    pub(crate) fn of_output() -> Self {
        let stdout = std::io::stdout();
        let color = AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { width: width(terminal_size::terminal_size_of(&stdout)), color }
    }

    /// That of standard error.
    pub(crate) fn of_errors() -> Self {
        let stderr = std::io::stderr();
        let color = AutoStream::choice(&stderr) != ColorChoice::Never;
        Self { width: width(terminal_size::terminal_size_of(&stderr)), color }
    }

    /// How many columns are left behind `indent`.
    pub(crate) fn room(&self, indent: usize) -> usize {
        self.width.saturating_sub(indent).max(LEAST_WIDTH / 2)
    }

    /// The columns that marks around a changed run take.
    fn marks(&self, kind: Kind) -> usize {
        if self.color || kind == Kind::Kept { 0 } else { 4 }
    }
}

/// `COLUMNS` where it is set, else what the terminal has.
fn width(terminal: Option<(terminal_size::Width, terminal_size::Height)>) -> usize {
    told(terminal).unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
}

fn told(terminal: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let has = terminal.map(|(terminal_size::Width(columns), _)| usize::from(columns));
    set.or(has).filter(|width| *width > 0)
}

/// The end of a line of standard output behind `indent` columns, cut where something says how wide that is: what
/// goes into a pipe stays whole.
pub(crate) fn rest_of_line(text: &str, indent: usize) -> String {
    let Some(width) = told(terminal_size::terminal_size_of(std::io::stdout())) else {
        return text.to_owned();
    };
    let room = width.max(LEAST_WIDTH).saturating_sub(indent).max(LEAST_WIDTH / 2);
    if columns(text) <= room { text.to_owned() } else { cut_to(text, CUT, room) }
}

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// A text on one line of so many columns; what does not fit is cut, and how long it was is told where
/// there is room for that.
pub(crate) fn shortened(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    cut_to(text, &cut_end(text, room), room)
}

/// What stands behind a text that is cut.
fn cut_end(text: &str, room: usize) -> String {
    let told = format!("{CUT} ({} characters)", show::grouped(text.graphemes(true).count() as u64));
    if columns(&told) <= room / 2 { told } else { CUT.to_owned() }
}

/// As [`shortened`], of one of several texts: where the part that fits would be the same for another of them,
/// it begins a little before they part.
pub(crate) fn told_apart(text: &str, others: &[&str], room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let end = cut_end(text, room);
    let shared = |other: &&str| {
        let both = text.graphemes(true).zip(other.graphemes(true));
        both.take_while(|(a, b)| a == b).map(|(a, _)| a.len()).sum::<usize>()
    };
    let alike = others.iter().filter(|other| **other != text).map(shared).max().unwrap_or(0);
    let (same, differs) = text.split_at_checked(alike).unwrap_or((text, ""));
    let seen = room.saturating_sub(columns(&end));
    if columns(same) + seen / 4 <= seen {
        return cut_to(text, &end, room);
    }
    let mut back = seen / 4;
    let near = same.graphemes(true).rev().take_while(|grapheme| {
        let fits = columns(grapheme) <= back;
        back = back.saturating_sub(columns(grapheme));
        fits
    });
    let near: usize = near.map(str::len).sum();
    let near = same.split_at_checked(same.len().saturating_sub(near)).map_or("", |(_, it)| it);
    let rest = format!("{CUT}{near}{differs}");
    let long = format!("{rest}{}", end.trim_start_matches(CUT));
    if columns(&long) <= room { long } else { cut_to(&rest, &end, room) }
}

/// The beginning of a text, and `end`, in so many columns.
fn cut_to(text: &str, end: &str, room: usize) -> String {
    let mut left = room.saturating_sub(columns(end));
    let start = text.graphemes(true).take_while(|grapheme| {
        let fits = columns(grapheme) <= left;
        left = left.saturating_sub(columns(grapheme));
        fits
    });
    start.collect::<String>() + end
}

/// Lays out a line over as many as it needs, broken between words: each part in its style, the first line behind
/// `indent` columns, the others behind `hang`. A word that is too wide for any line is not cut.
pub(crate) fn folded(
    parts: &[(Style, &str)],
    [indent, hang]: [usize; 2],
    screen: &Screen,
) -> Vec<String> {
    let blank = |columns: usize| " ".repeat(columns);
    let (mut done, mut line, mut taken) = (Vec::new(), blank(indent), indent);
    let (mut gap, mut empty) = (String::new(), true);
    for (style, part) in parts {
        for piece in part.split_inclusive(' ') {
            let word = piece.trim_end_matches(' ');
            if !word.is_empty() {
                if !empty && taken + gap.len() + columns(word) > screen.width {
                    done.push(std::mem::replace(&mut line, blank(hang)));
                    taken = hang;
                } else {
                    line += &gap;
                    taken += gap.len();
                }
                line += &if *style == Style::new() { word.to_owned() } else { paint(*style, word) };
                taken += columns(word);
                (gap, empty) = (String::new(), false);
            }
            gap += piece.get(word.len()..).unwrap_or_default();
        }
    }
    done.push(line);
    done
}

/// Whether a piece of a text was there and stays, went or came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kept,
    Removed,
    Added,
}

/// One word, space or mark.
#[derive(Clone, Debug)]
struct Piece {
    kind: Kind,
    text: String,
}

/// Lays out how one text became another, over lines of so many columns: around each change some words
/// that stayed, what lies between left out.
pub(crate) fn changed_text(runs: &[Run<'_>], room: usize, screen: &Screen) -> Vec<String> {
    let mut lines = Lines { room, screen, done: Vec::new(), line: Vec::new(), taken: 0 };
    for piece in pieces(runs, (room / 10).max(3)) {
        lines.put(piece);
    }
    lines.end();
    let mut shown: Vec<String> = lines.done.iter().map(|line| painted(line, screen)).collect();
    if let Some(more) = shown.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        shown.truncate(MOST_LINES);
        let more = show::count(more as u64, "more line", "more lines");
        shown.push(paint(DIM, shortened(&format!("{CUT} {more}"), room)));
    }
    shown
}

/// Cuts runs into pieces; of what was kept, `near` words at each change.
fn pieces(runs: &[Run<'_>], near: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let (kind, text) = match run {
            Run::Kept(text) => (Kind::Kept, show::plain(text)),
            // A line that went or came is seen as such.
            Run::Removed(text) => (Kind::Removed, show::plain(text).replace('\n', "⏎")),
            Run::Added(text) => (Kind::Added, show::plain(text).replace('\n', "⏎")),
        };
        let words: Vec<&str> = text.split_word_bounds().collect();
        let of = |text: &str| Piece { kind, text: text.to_owned() };
        let first = if at == 0 || kind != Kind::Kept { 0 } else { near };
        let last = if at + 1 == runs.len() || kind != Kind::Kept { 0 } else { near };
        let (ends, starts) = (after_words(&words, first), before_words(&words, last));
        if kind != Kind::Kept || starts <= ends + 2 {
            pieces.extend(words.into_iter().map(of));
        } else {
            pieces.extend(words.iter().take(ends).copied().map(of));
            let cut = match (first, last) {
                (0, _) => format!("{CUT} "),
                (_, 0) => format!(" {CUT}"),
                _ => format!(" {CUT} "),
            };
            pieces.extend(cut.split_word_bounds().map(of));
            pieces.extend(words.iter().skip(starts).copied().map(of));
        }
    }
    pieces
}

fn is_space(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// Where the first `count` words end.
fn after_words(words: &[&str], count: usize) -> usize {
    let mut left = count;
    let taken = words.iter().take_while(|word| {
        let fits = left > 0;
        left -= usize::from(fits && !is_space(word));
        fits
    });
    taken.count()
}

/// Where the last `count` words begin.
fn before_words(words: &[&str], count: usize) -> usize {
    let back: Vec<&str> = words.iter().rev().copied().collect();
    words.len() - after_words(&back, count)
}

/// Lines being filled.
struct Lines<'s> {
    room: usize,
    screen: &'s Screen,
    done: Vec<Vec<Piece>>,
    line: Vec<Piece>,
    taken: usize,
}

impl Lines<'_> {
    fn put(&mut self, piece: Piece) {
        if piece.kind == Kind::Kept && piece.text.contains('\n') {
            return self.end();
        }
        if self.fits(&piece) {
            return self.take(piece);
        }
        if is_space(&piece.text) && piece.kind == Kind::Kept {
            return self.end();
        }
        self.end();
        if self.fits(&piece) {
            return self.take(piece);
        }
        // No line has room for it, so it is cut between characters.
        for grapheme in piece.text.graphemes(true) {
            let part = Piece { kind: piece.kind, text: grapheme.to_owned() };
            if !self.fits(&part) {
                self.end();
            }
            self.take(part);
        }
    }

    /// The columns that a piece would take at the end of this line.
    fn cost(&self, piece: &Piece) -> usize {
        let goes_on = self.line.last().is_some_and(|last| last.kind == piece.kind);
        columns(&piece.text) + if goes_on { 0 } else { self.screen.marks(piece.kind) }
    }

    fn fits(&self, piece: &Piece) -> bool {
        self.taken + self.cost(piece) <= self.room
    }

    fn take(&mut self, piece: Piece) {
        // Space at a line's beginning says nothing, unless it is what changed.
        if self.line.is_empty() && piece.kind == Kind::Kept && is_space(&piece.text) {
            return;
        }
        self.taken += self.cost(&piece);
        self.line.push(piece);
    }

    fn end(&mut self) {
        while self.line.last().is_some_and(|it| it.kind == Kind::Kept && is_space(&it.text)) {
            self.line.pop();
        }
        if !self.line.is_empty() {
            self.done.push(std::mem::take(&mut self.line));
        }
        self.taken = 0;
    }
}

fn painted(line: &[Piece], screen: &Screen) -> String {
    let mut text = String::new();
    for run in line.chunk_by(|a, b| a.kind == b.kind) {
        let words: String = run.iter().map(|piece| piece.text.as_str()).collect();
        text += &match run.first().map_or(Kind::Kept, |piece| piece.kind) {
            Kind::Kept => words,
            Kind::Removed => removed(&words, screen),
            Kind::Added => added(&words, screen),
        };
    }
    text
}

fn marked(text: &str, style: Style, marks: [&str; 2], screen: &Screen) -> String {
    let [open, close] = marks;
    if screen.color { paint(style, text) } else { format!("{open}{text}{close}") }
}

/// What went, in colour or between marks.
fn removed(text: &str, screen: &Screen) -> String {
    marked(text, BAD, ["[-", "-]"], screen)
}

/// What came, in colour or between marks.
fn added(text: &str, screen: &Screen) -> String {
    marked(text, GOOD, ["{+", "+}"], screen)
}

#[cfg(test)]
mod tests {
    use ottvc_merge::word_runs;

    use super::*;

    const OLD: &str = "A young hero leaves home. She finds a map, and with it a friend who has been \
                       waiting for her all along, at the far end of the valley, where nobody goes.";
    const NEW: &str = "A young pilot leaves home. She finds a map, and with it a friend who has been \
                       waiting for her all along, at the far end of the valley, where the light is.";

    fn plain(width: usize) -> Screen {
        Screen { width, color: false }
    }

    fn laid(old: &str, new: &str, screen: &Screen) -> String {
        changed_text(&word_runs(old, new).unwrap(), screen.width, screen).join("\n")
    }

    #[test]
    fn texts_that_begin_alike_are_told_apart_at_any_width() {
        let [one, two] =
            ["one", "two"].map(|it| format!("{}{it}{}", "語".repeat(50), "y".repeat(50)));
        for room in 8..200 {
            let a = told_apart(&one, &[&one, &two], room);
            let b = told_apart(&two, &[&one, &two], room);
            assert!(columns(&a) <= room && columns(&b) <= room, "{a} {b}");
            assert_ne!(a, b, "{room}");
        }
        assert_eq!(told_apart(&one, &[&one], 40), shortened(&one, 40), "nothing to tell it from");
        assert_eq!(told_apart("short", &["shore"], 10), "short");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("short", 10), "short");
        assert_eq!(shortened("rather long", 6), "rathe…");
        assert_eq!(
            shortened(&"x".repeat(1200), 44),
            format!("{}… (1,200 characters)", "x".repeat(24))
        );
        // Two columns each, and one character of several code points.
        assert_eq!(shortened("日本語の字幕", 6), "日本…");
        assert_eq!(shortened("ab👩‍👩‍👧cd", 4), "ab…");
        assert_eq!(shortened("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        for room in 1..30 {
            let text = "e\u{301}👩‍👩‍👧日本 of a text";
            assert!(columns(&shortened(text, room)) <= room, "{room}");
        }
    }

    #[test]
    fn changes_of_a_text_are_marked_word_by_word() {
        insta::assert_snapshot!(laid(OLD, NEW, &plain(40)), @"
        A young [-hero-]{+pilot+} leaves home.
        She … the valley, where [-nobody goes-]
        {+the light is+}.
        ");
        insta::assert_snapshot!(laid(OLD, NEW, &plain(80)), @"
        A young [-hero-]{+pilot+} leaves home. She finds a map, … the far end of the
        valley, where [-nobody goes-]{+the light is+}.
        ");
        insta::assert_snapshot!(laid(OLD, NEW, &plain(160)), @"
        A young [-hero-]{+pilot+} leaves home. She finds a map, and with it a friend who has been waiting for her all along, at the far end of the valley, where
        [-nobody goes-]{+the light is+}.
        ");
    }

    #[test]
    fn with_colour_there_are_no_marks() {
        let screen = Screen { width: 40, color: true };
        let laid = laid(OLD, NEW, &screen);
        insta::assert_snapshot!(laid.replace('\u{1b}', "^"), @"
        A young ^[1m^[31mhero^[0m^[32mpilot^[0m leaves home. She … the
        valley, where ^[1m^[31mnobody goes^[0m^[32mthe light is^[0m.
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let texts = [
            (OLD, NEW),
            ("日本語の字幕が付いています", "日本語の音声が付いています"),
            ("https://example.com/a/very/long/address/that/has/no/space", "none"),
            ("👩‍👩‍👧 one\ntwo\nthree", "👩‍👩‍👧 one\n2\nthree four"),
            (OLD, ""),
        ];
        for (old, new) in texts {
            for width in [20, 40, 80, 160] {
                for color in [false, true] {
                    let screen = Screen { width, color };
                    for line in laid(old, new, &screen).lines() {
                        let seen = anstream::adapter::strip_str(line).to_string();
                        assert!(columns(&seen) <= width, "{width}: {seen}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_is_folded_between_words() {
        let parts = [(DIM, "regional/de  "), (Style::new(), "1 flowed, 2 shadowed")];
        let at = |width| folded(&parts[1..], [2, 4], &plain(width));
        assert_eq!(at(80), ["  1 flowed, 2 shadowed"]);
        assert_eq!(at(20), ["  1 flowed, 2", "    shadowed"]);
        let lines = folded(&parts, [2, 4], &plain(30));
        let dim = paint(DIM, "regional/de");
        assert_eq!(lines, [format!("  {dim}  1 flowed, 2"), "    shadowed".to_owned()]);
        let path = [(Style::new(), "a/very/long/path/that/nobody/cuts is here")];
        assert_eq!(
            folded(&path, [0, 2], &plain(20)),
            ["a/very/long/path/that/nobody/cuts", "  is here"]
        );
    }

    #[test]
    fn a_long_text_is_told_in_part() {
        let old: Vec<String> = (0..400).map(|n| format!("word{n}")).collect();
        let new: Vec<String> =
            (0..400).map(|n| format!("{}{n}", if n % 20 == 0 { "new" } else { "word" })).collect();
        let laid = laid(&old.join(" "), &new.join(" "), &plain(40));
        assert_eq!(laid.lines().count(), MOST_LINES + 1);
        assert!(laid.ends_with("more lines\u{1b}[0m"), "{laid}");
    }
}
