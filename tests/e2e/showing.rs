//! What takes long is shown while it goes on: the bytes that a terminal gets, and what is on it
//! afterwards; and the lines that anything else gets.

use std::process::Command;
use std::time::Duration;

use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::{Folder, Rerun};

use crate::victims::{inventory, watch};

/// Breaks inventory so that chaos happens, once it was looked at for so long.
async fn look(chaos: &ChaosContext, inventory: &Service, length: Duration) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.baseline(length).await?;
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    Ok(())
}

/// Looks for four seconds.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_looks_for_long(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    look(chaos, inventory, secs(4)).await
}

/// Looks for eleven seconds.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_looks_for_longer(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    look(chaos, inventory, secs(11)).await
}

/// Does nothing that takes long.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_is_short(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    look(chaos, inventory, ms(100)).await
}

/// No chaos test: libtest says that it passed while the other one is still shown.
#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_passes_meanwhile() {
    // The instant itself is what is tried.
    std::thread::sleep(ms(3_000));
}

#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_aborts_meanwhile() {
    std::thread::sleep(ms(3_500));
    std::process::abort();
}

#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_asks_the_process_to_end_meanwhile() {
    std::thread::sleep(ms(3_500));
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::TERM);
    std::thread::sleep(secs(60));
}

/// As with Ctrl-Z.
#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_stops_the_process_meanwhile() {
    std::thread::sleep(ms(2_500));
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::TSTP);
}

const COLUMNS: usize = 100;
const ROWS: usize = 24;

/// A child whose standard streams are a terminal of its own.
fn on_a_terminal(test: &str) -> Rerun {
    on_a_terminal_of(test, "$*")
}

/// As [`on_a_terminal`], with a shell script that has the child's command as `$*`.
fn on_a_terminal_of(test: &str, script: &str) -> Rerun {
    let mut shell = Command::new("sh");
    let script = format!("stty rows {ROWS} cols {COLUMNS}; {script}");
    shell.args([
        "-c",
        &format!("exec script -qec \"{script}\" /dev/null"),
        "sh",
    ]);
    let child = Rerun::by(shell, &format!("showing::{test}"), Folder::default());
    let child = child.env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    ["CHAOS_PROGRESS", "CI", "GITHUB_ACTIONS", "COLUMNS"]
        .iter()
        .fold(child, |child, name| child.env_remove(name))
}

/// A terminal, as far as it takes to see what is on it.
struct Terminal {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    kept: (usize, usize),
    /// The rows that scroll: the first one, and the one behind the last.
    scrolls: (usize, usize),
    gone: Vec<String>,
    /// Every text that was in the last row while it was set apart.
    apart: Vec<String>,
}

impl Terminal {
    fn after(output: &str) -> Self {
        let mut terminal = Self {
            rows: vec![vec![' '; COLUMNS]; ROWS],
            at: (0, 0),
            kept: (0, 0),
            scrolls: (0, ROWS),
            gone: Vec::new(),
            apart: Vec::new(),
        };
        let mut chars = output.chars();
        while let Some(c) = chars.next() {
            match c {
                '\r' => terminal.at.1 = 0,
                '\n' => terminal.down(),
                '\u{1b}' => terminal.obey(&mut chars),
                c => terminal.print(c),
            }
            if terminal.scrolls.1 < ROWS {
                let row = terminal.row(ROWS - 1);
                if terminal.apart.last() != Some(&row) {
                    terminal.apart.push(row);
                }
            }
        }
        terminal
    }

    fn print(&mut self, c: char) {
        if self.at.1 == COLUMNS {
            self.at.1 = 0;
            self.down();
        }
        self.rows[self.at.0][self.at.1] = c;
        self.at.1 += 1;
    }

    fn down(&mut self) {
        if self.at.0 + 1 == self.scrolls.1 {
            let gone = self.rows.remove(self.scrolls.0);
            self.gone.push(gone.into_iter().collect());
            self.rows.insert(self.scrolls.1 - 1, vec![' '; COLUMNS]);
        } else if self.at.0 + 1 < ROWS {
            self.at.0 += 1;
        }
    }

    fn obey(&mut self, chars: &mut std::str::Chars<'_>) {
        match chars.next() {
            Some('7') => self.kept = self.at,
            Some('8') => self.at = self.kept,
            Some('D') => self.down(),
            // A character set, which is always the same one here.
            Some('(') => {
                chars.next();
            }
            Some('M') => self.at.0 = self.at.0.saturating_sub(1),
            Some('[') => {
                let mut text = String::new();
                let end = loop {
                    match chars.next() {
                        Some(c) if c.is_ascii_alphabetic() => break c,
                        Some(c) => text.push(c),
                        None => return,
                    }
                };
                let mut numbers = text.split(';').map(|number| number.parse().ok());
                let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
                match end {
                    'r' => {
                        self.scrolls = (first.unwrap_or(1) - 1, second.unwrap_or(ROWS));
                        self.at = (0, 0);
                    }
                    'H' => {
                        let row = first.unwrap_or(1).min(ROWS);
                        self.at = (row - 1, second.unwrap_or(1).min(COLUMNS) - 1);
                    }
                    'K' => self.rows[self.at.0] = vec![' '; COLUMNS],
                    'm' => {}
                    other => panic!("CSI {text}{other} is not known here"),
                }
            }
            other => panic!("ESC {other:?} is not known here"),
        }
    }

    fn row(&self, row: usize) -> String {
        let row: String = self.rows[row].iter().collect();
        row.trim_end().to_owned()
    }

    /// All lines that there ever were, from the first to the last one that can be seen.
    fn lines(&self) -> Vec<String> {
        let gone = self.gone.iter().map(|line| line.trim_end().to_owned());
        gone.chain((0..ROWS).map(|row| self.row(row))).collect()
    }

    /// As it was before anything was shown: no row is set apart, and no line is left.
    #[track_caller]
    fn is_given_back(&self) {
        assert_eq!(self.scrolls, (0, ROWS), "{:#?}", self.lines());
        let left: Vec<_> = self
            .lines()
            .into_iter()
            .filter(|line| is_progress(line))
            .collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

fn is_progress(line: &str) -> bool {
    line.contains("baseline of inventory")
}

#[test]
fn a_line_on_a_terminal_changes_and_never_mixes_with_others() {
    let child = on_a_terminal("it_looks_for_long");
    let ended = child
        .beside("showing::an_ordinary_one_passes_meanwhile")
        .run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let terminal = Terminal::after(&output);
    let line = |seconds: u64| {
        format!(
            "chaos-test: showing::it_looks_for_long: baseline of inventory/stock/42, {seconds} s"
        )
    };
    for seconds in [2, 3] {
        let line = line(seconds);
        assert!(
            terminal.apart.contains(&line),
            "`{line}`: {:#?}",
            terminal.apart
        );
    }
    assert!(!output.contains(&line(1)), "{output}");
    terminal.is_given_back();
    let lines = terminal.lines();
    for text in [
        "running 2 tests",
        "test showing::an_ordinary_one_passes_meanwhile ... ok",
        "test showing::it_looks_for_long ... ok",
    ] {
        assert!(
            lines.iter().any(|line| line == text),
            "`{text}`: {lines:#?}"
        );
    }
    // It passed while the line was there.
    let passed = output.find("passes_meanwhile ... ").expect("it passed");
    let shown = output.rfind("baseline of").expect("it is shown");
    assert!(output.find(&line(2)).is_some_and(|first| first < passed) && passed < shown);
}

#[test]
fn a_line_goes_whatever_ends_the_process() {
    for end in ["aborts", "asks_the_process_to_end"] {
        let child = on_a_terminal("it_looks_for_longer");
        let ended = child
            .beside(&format!("showing::an_ordinary_one_{end}_meanwhile"))
            .run();
        let terminal = Terminal::after(&ended.output());
        assert!(!ended.status.success(), "{}", ended.output());
        assert!(
            terminal.apart.iter().any(|line| is_progress(line)),
            "{}",
            ended.output()
        );
        terminal.is_given_back();
    }
}

#[test]
fn a_line_goes_while_the_process_is_stopped_and_comes_back() {
    let script = "set -m; $*; echo the shell has it; fg";
    let child = on_a_terminal_of("it_looks_for_long", script);
    let ended = child
        .beside("showing::an_ordinary_one_stops_the_process_meanwhile")
        .run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let (before, after) = output
        .split_once("the shell has it")
        .unwrap_or_else(|| panic!("it was never stopped:\n{output}"));
    assert!(
        Terminal::after(before)
            .apart
            .iter()
            .any(|line| is_progress(line)),
        "{output}"
    );
    Terminal::after(before).is_given_back();
    assert!(is_progress(after), "{output}");
    Terminal::after(&output).is_given_back();
}

#[test]
fn nothing_moves_the_cursor_where_nobody_wants_it() {
    let quiet = on_a_terminal("it_looks_for_long").env("CHAOS_PROGRESS", "off");
    let ci = on_a_terminal("it_looks_for_long").env("CI", "true");
    for child in [quiet, ci, on_a_terminal("it_is_short")] {
        let ended = child.run();
        let output = ended.output();
        assert!(
            ended.status.success() && output.contains("running 1 test"),
            "{output}"
        );
        for text in ["\u{1b}7", "\u{1b}[1;", "baseline of"] {
            assert!(!output.contains(text), "{output}");
        }
    }
}

#[test]
fn anything_else_gets_a_line_every_ten_seconds() {
    let ended = Rerun::of("showing::it_looks_for_longer").run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let lines: Vec<_> = output.lines().filter(|line| is_progress(line)).collect();
    assert_eq!(
        lines,
        ["chaos-test: showing::it_looks_for_longer: baseline of inventory/stock/42, 10 s"],
        "{output}"
    );
    assert!(!output.contains('\u{1b}'), "{output}");
}
