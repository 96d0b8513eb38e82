//! What people are to see whatever the test harness captures.

use std::io::Write;

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

/// How wide text for people may be: the terminal's width, `COLUMNS`, or 100.
pub(crate) fn width() -> usize {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let real = || {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    };
    set.or_else(real).unwrap_or(100).clamp(40, 240)
}
