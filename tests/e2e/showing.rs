//! What takes long is shown while it goes on: the bytes that a terminal gets, and what is on it
//! afterwards; and the lines that anything else gets.

use std::process::Command;
use std::time::Duration;

use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, is_told, until_told};
use rustix::process::{Pid, Signal as Raw, getpid, kill_process};

use crate::victims::{inventory, watch};

/// Breaks inventory so that chaos happens, once it was looked at for so long.
async fn look(chaos: &ChaosContext, inventory: &Service, length: Duration) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.baseline(length).await?;
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    Ok(())
}

/// Looks for four seconds, after two of which something would be shown.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_looks_for_long(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    look(chaos, inventory, secs(4)).await
}

/// Looks for longer than anybody lets it.
#[chaos_test(timeout = "120s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_looks_for_longer(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    look(chaos, inventory, secs(100)).await
}

/// Does nothing that takes long.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_is_short(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    look(chaos, inventory, ms(100)).await
}

/// Waits until its parent has seen enough.
#[chaos_test(timeout = "120s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_waits(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    chaos
        .eventually("enough was seen", async || is_told("enough"))
        .within(secs(100))
        .await?;
    look(chaos, inventory, ms(50)).await
}

/// No chaos test: libtest says that it passed while the other one is still shown.
#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_passes_meanwhile() {
    until_told("now");
}

#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_aborts_meanwhile() {
    until_told("now");
    std::process::abort();
}

#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_asks_the_process_to_end_meanwhile() {
    until_told("now");
    let _ = kill_process(getpid(), Raw::TERM);
    std::thread::sleep(secs(60));
}

/// As with Ctrl-Z.
#[test]
#[ignore = "another test runs it as a child"]
fn an_ordinary_one_stops_the_process_meanwhile() {
    until_told("now");
    let _ = kill_process(getpid(), Raw::TSTP);
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

/// What [`it_waits`] is shown with, before its seconds.
const WAITS: &str = "chaos-test: showing::it_waits: waiting until: enough was seen, ";

fn is_progress(line: &str) -> bool {
    line.contains(WAITS)
}

/// The seconds of a line that is whole.
fn seconds(line: &str, before: &str) -> Option<u64> {
    line.strip_prefix(before)?.strip_suffix(" s")?.parse().ok()
}

/// Runs a child with [`it_waits`] and an ordinary test beside it, which does what it does once a
/// line is there. The child may end once there is a line behind what it prints then.
fn meanwhile(child: Rerun, ordinary: &str, prints: &str) -> Ended {
    let mut child = child
        .beside(&format!("showing::an_ordinary_one_{ordinary}_meanwhile"))
        .beside("--test-threads=2")
        .start();
    child.until_printed(WAITS);
    child.tell("now");
    child.until_so(&format!("showed a line after `{prints}`"), |output| {
        let after = output.split_once(prints).map(|(_, after)| after);
        after.is_some_and(is_progress)
    });
    child.tell("enough");
    child.wait()
}

#[test]
fn a_line_on_a_terminal_changes_and_never_mixes_with_others() {
    // It passed while the line was there.
    let passed = "passes_meanwhile ... ";
    let ended = meanwhile(on_a_terminal("it_waits"), "passes", passed);
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let terminal = Terminal::after(&output);
    let lines = terminal.apart.iter();
    let shown: Vec<u64> = lines.filter_map(|line| seconds(line, WAITS)).collect();
    assert!(shown.first().is_some_and(|first| *first >= 2), "{shown:?}");
    assert!(shown.len() >= 2 && shown.is_sorted(), "{shown:?}");
    terminal.is_given_back();
    let lines = terminal.lines();
    for text in [
        "running 2 tests",
        "test showing::an_ordinary_one_passes_meanwhile ... ok",
        "test showing::it_waits ... ok",
    ] {
        assert!(
            lines.iter().any(|line| line == text),
            "`{text}`: {lines:#?}"
        );
    }
}

#[test]
fn a_line_goes_whatever_ends_the_process() {
    for end in ["aborts", "asks_the_process_to_end"] {
        let mut child = on_a_terminal("it_waits")
            .beside(&format!("showing::an_ordinary_one_{end}_meanwhile"))
            .beside("--test-threads=2")
            .start();
        child.until_printed(WAITS);
        child.tell("now");
        let ended = child.wait();
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
    let stopped = "the shell has it";
    let script = format!("set -m; $*; echo {stopped}; fg");
    let child = on_a_terminal_of("it_waits", &script);
    let ended = meanwhile(child, "stops_the_process", stopped);
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let (before, _) = output.split_once(stopped).expect("it was seen");
    assert!(
        Terminal::after(before)
            .apart
            .iter()
            .any(|line| is_progress(line)),
        "{output}"
    );
    Terminal::after(before).is_given_back();
    Terminal::after(&output).is_given_back();
}

/// Whether a child took too short for anything to be shown, as libtest says. A starved machine
/// makes what is short long.
fn was_short(output: &str) -> bool {
    let took = output.rsplit_once("finished in ");
    let took = took.and_then(|(_, rest)| rest.split_once('s'));
    took.is_some_and(|(took, _)| took.parse().is_ok_and(|took: f64| took < 2.0))
}

#[test]
fn nothing_moves_the_cursor_where_nobody_wants_it() {
    let quiet = on_a_terminal("it_looks_for_long").env("CHAOS_PROGRESS", "off");
    let ci = on_a_terminal("it_looks_for_long").env("CI", "true");
    let mut outputs: Vec<_> = [quiet, ci].map(Rerun::run).into();
    let short = std::iter::repeat_with(|| on_a_terminal("it_is_short").run());
    outputs.extend(short.take(10).find(|ended| was_short(&ended.output())));
    assert_eq!(outputs.len(), 3, "what is short took long ten times");
    for ended in outputs {
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
    let mut child = Rerun::of("showing::it_looks_for_longer").start();
    let before = "chaos-test: showing::it_looks_for_longer: baseline of inventory/stock/42, ";
    child.until_so("said a whole line", |output| {
        output
            .split_once(before)
            .is_some_and(|(_, rest)| rest.contains('\n'))
    });
    let pid = i32::try_from(child.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("it has a number"), Raw::TERM).expect("it can be asked to end");
    let ended = child.wait();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let said: Vec<_> = output
        .lines()
        .filter_map(|line| seconds(line, before))
        .collect();
    // A starved machine may say it late, and be asked to end late.
    assert!(said.first().is_some_and(|first| *first >= 10), "{output}");
    let apart = said.windows(2).all(|two| two[1] >= two[0] + 10);
    assert!(apart, "{said:?}: {output}");
    assert!(!output.contains('\u{1b}'), "{output}");
}
