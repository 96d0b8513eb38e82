//! The log of one service: where each start begins in it, and what was printed since.
//!
//! It never holds more than a piece of the log in memory, however long that is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;
/// How much is looked at by one call: a program that prints without end must not hold us.
const ENOUGH: u64 = 16 * 1024 * 1024;

/// What was printed since a start, as far as it was looked at.
#[derive(Debug, Default)]
pub(crate) struct SinceStart {
    /// Where the output of this start begins, behind its mark.
    start: u64,
    /// Up to where it was looked at.
    looked: u64,
    /// The end of what was looked at, for a text that was printed in two pieces.
    tail: Vec<u8>,
    /// Whether the text was there; it stays true, because the service stays ready.
    found: bool,
}

impl SinceStart {
    /// Writes the line that marks a start, and opens the log for what follows it.
    pub(in crate::system) fn mark(path: &Path, mark: &str) -> io::Result<(File, Self)> {
        let mut log = OpenOptions::new().create(true).append(true).open(path)?;
        // The process before may have ended in the middle of a line.
        let end = if ends_a_line(path)? { "" } else { "\n" };
        log.write_all(format!("{end}{mark}\n").as_bytes())?;
        let start = log.stream_position()?;
        let since = Self {
            start,
            looked: start,
            ..Self::default()
        };
        Ok((log, since))
    }

    /// What is printed from now on.
    pub(in crate::system) fn from_now(path: &Path) -> io::Result<Self> {
        let start = std::fs::metadata(path)?.len();
        Ok(Self {
            start,
            looked: start,
            ..Self::default()
        })
    }

    /// Whether this text was printed since the start. What was looked at is not read
    /// again, so always ask for the same text.
    pub(in crate::system) fn holds(&mut self, path: &Path, text: &str) -> io::Result<bool> {
        if self.found {
            return Ok(true);
        }
        let text = text.as_bytes();
        let mut log = File::open(path)?;
        let length = log.metadata()?.len();
        if length < self.looked {
            // Somebody emptied it; everything in it is newer than the start.
            (self.start, self.looked) = (0, 0);
            self.tail.clear();
        }
        log.seek(SeekFrom::Start(self.looked))?;
        let mut left = log.take((length - self.looked).min(ENOUGH));
        let mut piece = vec![0; PIECE];
        loop {
            let count = left.read(&mut piece)?;
            if count == 0 {
                return Ok(false);
            }
            self.looked += count as u64;
            self.tail.extend_from_slice(&piece[..count]);
            if text.is_empty() || self.tail.windows(text.len()).any(|part| part == text) {
                self.found = true;
                self.tail = Vec::new();
                return Ok(true);
            }
            let keep = (text.len() - 1).min(self.tail.len());
            self.tail.drain(..self.tail.len() - keep);
        }
    }

    /// Whether anything that was looked at was printed since the start.
    pub(in crate::system) fn is_silent(&self) -> bool {
        self.looked == self.start
    }
}

/// Begins the lines that we write into logs ourselves.
const OUR_MARK: &str = "--- chaos-test:";
/// Up to how much of a line that has no end yet is kept.
const LONGEST_LINE: usize = 64 * 1024;

/// Reads what is printed into a log, line by line, and goes on where it was.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    /// Up to where it was read.
    read: u64,
    /// The beginning of a line whose end was not printed yet.
    begun: Vec<u8>,
    /// How many lines it has seen.
    pub(crate) count: usize,
    /// The latest of them.
    pub(crate) last: String,
}

impl Lines {
    /// From the beginning of the log, or from what is printed from now on.
    pub(crate) fn new(path: &Path, from_now: bool) -> Self {
        let length = || path.metadata().map_or(0, |log| log.len());
        Self {
            read: if from_now { length() } else { 0 },
            begun: Vec::new(),
            count: 0,
            last: String::new(),
        }
    }

    /// The next line with a text, of those that were not looked at yet. A line that is not
    /// complete counts, too, because a program may never end it.
    pub(crate) fn find(&mut self, path: &Path, text: &str) -> io::Result<Option<String>> {
        let mut log = File::open(path)?;
        let length = log.metadata()?.len();
        if length < self.read {
            // Somebody emptied it; everything in it is new.
            self.read = 0;
            self.begun.clear();
        }
        log.seek(SeekFrom::Start(self.read))?;
        let mut left = log.take((length - self.read).min(ENOUGH));
        let mut piece = vec![0; PIECE];
        loop {
            let count = left.read(&mut piece)?;
            if count == 0 {
                return Ok(self.holds(text));
            }
            for part in piece[..count].split_inclusive(|byte| *byte == b'\n') {
                self.read += part.len() as u64;
                self.begun.extend_from_slice(part);
                let found = if part.ends_with(b"\n") {
                    self.end_line(text)
                } else {
                    self.shorten_line(text)
                };
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
    }

    /// All lines that were not looked at yet and are complete, but for our own.
    pub(crate) fn whole(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let mut log = File::open(path)?;
        let length = log.metadata()?.len();
        if length < self.read {
            // Somebody emptied it; everything in it is new.
            self.read = 0;
            self.begun.clear();
        }
        log.seek(SeekFrom::Start(self.read))?;
        let mut left = log.take((length - self.read).min(ENOUGH));
        let (mut piece, mut whole) = (vec![0; PIECE], Vec::new());
        loop {
            let count = left.read(&mut piece)?;
            if count == 0 {
                return Ok(whole);
            }
            for part in piece[..count].split_inclusive(|byte| *byte == b'\n') {
                self.read += part.len() as u64;
                self.begun.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    whole.extend(self.end_line(""));
                } else {
                    self.shorten_line("");
                }
            }
        }
    }

    /// The line that was begun, where it has the text and is none of ours.
    fn holds(&self, text: &str) -> Option<String> {
        let line = String::from_utf8_lossy(&self.begun);
        let wanted = !line.starts_with(OUR_MARK) && line.contains(text);
        wanted.then(|| line.trim_end().to_owned())
    }

    fn end_line(&mut self, text: &str) -> Option<String> {
        let found = self.holds(text);
        let line = String::from_utf8_lossy(&self.begun);
        if !line.starts_with(OUR_MARK) {
            self.count += 1;
            self.last = line.trim_end().to_owned();
        }
        self.begun.clear();
        found
    }

    /// A program that prints without ever ending a line must not fill our memory.
    fn shorten_line(&mut self, text: &str) -> Option<String> {
        if self.begun.len() <= LONGEST_LINE {
            return None;
        }
        let found = self.holds(text);
        let keep = text.len().saturating_sub(1).min(self.begun.len());
        self.begun.drain(..self.begun.len() - keep);
        found
    }
}

fn ends_a_line(path: &Path) -> io::Result<bool> {
    let mut log = File::open(path)?;
    if log.metadata()?.len() == 0 {
        return Ok(true);
    }
    log.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    log.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// The last lines of a log, without reading all of a long one.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    const LONG: u64 = 16 * 1024;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LONG)))?;
        let mut bytes = Vec::new();
        file.take(LONG).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        (folder, path)
    }

    #[test]
    fn a_text_is_found_however_much_follows_it() {
        let (_folder, path) = log();
        let (mut file, mut since) = SinceStart::mark(&path, "start 1").unwrap();
        assert!(!since.holds(&path, "ready").unwrap());
        assert!(since.is_silent());
        file.write_all(b"ready\n").unwrap();
        file.write_all("noise\n".repeat(100_000).as_bytes())
            .unwrap();
        assert!(since.holds(&path, "ready").unwrap());
        assert!(since.holds(&path, "ready").unwrap(), "it was asked again");
    }

    #[test]
    fn a_text_that_is_printed_in_pieces_is_found() {
        let (_folder, path) = log();
        let (mut file, mut since) = SinceStart::mark(&path, "start 1").unwrap();
        for piece in ["x".repeat(PIECE - 2).as_str(), "re", "a", "d"] {
            file.write_all(piece.as_bytes()).unwrap();
            assert!(!since.holds(&path, "ready").unwrap());
        }
        assert!(!since.is_silent());
        assert!(since.tail.len() < "ready".len(), "only an end is kept");
        file.write_all(b"y").unwrap();
        assert!(since.holds(&path, "ready").unwrap());
    }

    #[test]
    fn what_an_earlier_process_printed_does_not_count() {
        let (_folder, path) = log();
        let (mut file, _) = SinceStart::mark(&path, "start 1").unwrap();
        file.write_all(b"ready\npartial").unwrap();
        let (_, mut since) = SinceStart::mark(&path, "start 2").unwrap();
        assert!(!since.holds(&path, "ready").unwrap());
        assert!(!since.holds(&path, "start").unwrap(), "our mark counts");
        assert_eq!(
            last_lines(&path, 9),
            ["start 1", "ready", "partial", "start 2"]
        );
    }

    #[test]
    fn lines_are_read_once_and_only_as_far_as_they_are_there() {
        let (_folder, path) = log();
        let (mut file, _) = SinceStart::mark(&path, "--- chaos-test: start 1 of `x` ---").unwrap();
        file.write_all(b"warming up\nALERT one\nALERT two\nall ")
            .unwrap();
        let mut lines = Lines::new(&path, false);
        let mut find = |text: &str| lines.find(&path, text).unwrap();
        assert_eq!(find("ALERT").as_deref(), Some("ALERT one"));
        assert_eq!(find("ALERT").as_deref(), Some("ALERT two"));
        assert_eq!(find("ALERT"), None);
        assert_eq!(find("all").as_deref(), Some("all"), "a line without an end");
        file.write_all(b"clear\n").unwrap();
        assert_eq!(find("all clear").as_deref(), Some("all clear"));
        assert_eq!((lines.count, lines.last.as_str()), (4, "all clear"));
    }

    #[test]
    fn whole_lines_are_read_once_and_never_in_part() {
        let (_folder, path) = log();
        let (mut file, _) = SinceStart::mark(&path, "--- chaos-test: start 1 of `x` ---").unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        let mut lines = Lines::new(&path, false);
        assert_eq!(lines.whole(&path).unwrap(), ["one", "two"]);
        assert_eq!(lines.whole(&path).unwrap(), Vec::<String>::new());
        file.write_all(b"ee\n").unwrap();
        assert_eq!(lines.whole(&path).unwrap(), ["three"]);
    }

    #[test]
    fn neither_our_own_lines_count_nor_those_from_before() {
        let (_folder, path) = log();
        let (mut file, _) = SinceStart::mark(&path, "--- chaos-test: start 1 of `x` ---").unwrap();
        let mut all = Lines::new(&path, false);
        assert_eq!(all.find(&path, "start").unwrap(), None);
        assert_eq!(all.count, 0);
        file.write_all(b"ALERT old\n").unwrap();
        let mut new = Lines::new(&path, true);
        assert_eq!(new.find(&path, "ALERT").unwrap(), None);
        file.write_all(b"ALERT new\n").unwrap();
        assert_eq!(
            new.find(&path, "ALERT").unwrap().as_deref(),
            Some("ALERT new")
        );
        assert_eq!(
            all.find(&path, "ALERT").unwrap().as_deref(),
            Some("ALERT old")
        );
        // Emptied by somebody who rotates logs.
        std::fs::write(&path, "ALERT\n").unwrap();
        assert_eq!(new.find(&path, "ALERT").unwrap().as_deref(), Some("ALERT"));
    }

    #[test]
    fn a_line_without_end_fills_no_memory_and_its_text_is_found() {
        let (_folder, path) = log();
        let (mut file, _) = SinceStart::mark(&path, "start 1").unwrap();
        let mut lines = Lines::new(&path, true);
        for piece in [".".repeat(3 * LONGEST_LINE).as_str(), "re", "ad"] {
            file.write_all(piece.as_bytes()).unwrap();
            assert_eq!(lines.find(&path, "ready").unwrap(), None);
        }
        assert!(
            lines.begun.len() <= LONGEST_LINE + PIECE,
            "{}",
            lines.begun.len()
        );
        file.write_all(b"y").unwrap();
        assert!(lines.find(&path, "ready").unwrap().is_some());
    }
}
