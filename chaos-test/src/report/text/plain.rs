//! What others wrote, without what only a terminal understands.

/// Text as it reads on paper: without escape sequences, control characters and what is no
/// character at all, with `\n` as the only line end.
#[must_use]
pub fn plain(text: &str) -> String {
    // Whole lines at once: reports are megabytes, and tests are built without optimisation.
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_plain(line) {
            out.push_str(line);
        } else {
            push_plain(&mut out, line);
        }
    }
    out
}

/// Whether there is surely nothing to leave out: no control character, and no first byte of
/// those beyond ASCII or of U+FFFE and U+FFFF. A loop over bytes, because that is a third of
/// the time of an iterator where nothing is optimised.
fn is_plain(line: &str) -> bool {
    for &byte in line.as_bytes() {
        if (byte < b' ' && byte != b'\n') || matches!(byte, 0x7f | 0xc2 | 0xef) {
            return false;
        }
    }
    true
}

fn push_plain(out: &mut String, line: &str) {
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => skip_control_sequence(&mut chars),
                // These carry a text of their own, up to a terminator.
                Some(']' | 'P' | 'X' | '^' | '_') => skip_control_string(&mut chars),
                // A few bytes that choose something, and one that ends it.
                Some(' '..='/') => while matches!(chars.next(), Some(' '..='/')) {},
                _ => {}
            },
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\t' => out.push_str("    "),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() && c != '\n' => {}
            c => out.push(c),
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_control_sequence(chars: &mut Chars<'_>) {
    // What is not part of a sequence ends it, so that a torn one costs no text.
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

fn skip_control_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        if c == '\u{7}' {
            return;
        }
        if c == '\u{1b}' {
            chars.next_if_eq(&'\\');
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_left_of_terminal_output() {
        for (input, expected) in [
            ("a\u{1b}[1;31mb\u{1b}[0mc", "abc"),
            ("\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{1b}\\!", "link!"),
            ("\u{1b}(Bx\u{1b}7y\u{9b}2Jz", "xyz"),
            ("50 %\r100 %\r\n", "50 %\n100 %\n"),
            ("a\tb\0\u{8}c", "a    bc"),
            ("µ\u{fffe}\u{ffff}\u{feff}▁", "µ\u{feff}▁"),
            ("torn \u{1b}[31", "torn "),
            ("torn \u{1b}]0;title\nnext", "torn \nnext"),
            ("torn \u{1b}[3ä", "torn ä"),
        ] {
            assert_eq!(plain(input), expected, "{input:?}");
        }
    }
}
