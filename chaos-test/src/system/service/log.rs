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
}
