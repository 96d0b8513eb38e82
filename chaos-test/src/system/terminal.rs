//! What people are to see whatever the test harness captures.

use std::io::{IsTerminal, Write};

use crate::decide::terminal;

/// Writes a line to standard error itself. `eprintln!` would be captured together with the
/// output of a passing test, and a skip must be seen.
pub(crate) fn say(line: &str) {
    let mut text = String::with_capacity(line.len() + 1);
    text.push_str(line);
    text.push('\n');
    // One write, so that lines of parallel tests do not mix. Nobody can be told where
    // standard error itself is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// How wide text for people may be. Libtest captures what tests print, and shows it where
/// standard error goes, as a rule.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok();
    let real = size.map(|size| usize::from(size.ws_col));
    terminal::width(&variable, real.filter(|width| *width > 0))
}

/// Whether what a test prints is read in colours. Libtest shows it on standard output, and
/// without its capture it goes to standard error.
pub(crate) fn color() -> bool {
    let both = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    terminal::color(&variable, both)
}

/// Whether what a test prints is read in more than ASCII.
pub(crate) fn unicode() -> bool {
    terminal::unicode(&variable)
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
