//! Text under construction: lines, paragraphs and fields, within a width, in colour or without.
//! It knows nothing of what it says.

use super::plain;

/// How text for people is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// How many columns there are.
    pub width: usize,
    /// Whether escape sequences make colours.
    pub color: bool,
    /// Whether there is more than ASCII.
    pub unicode: bool,
}

impl Format {
    /// For files, whoever reads them.
    pub const FILE: Self = Self {
        width: 100,
        color: false,
        unicode: true,
    };
}

/// What a piece of text is, apart from its words. The words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    /// A title.
    Bold,
    /// What is only looked up.
    Faint,
    Good,
    Warning,
    Bad,
}

impl Ink {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// How wide the labels of fields are.
const LABEL: usize = 10;

/// Text under construction.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) width: usize,
    format: Format,
}

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self {
            text: String::new(),
            width: format.width.clamp(40, 240),
            format,
        }
    }

    /// One line, never broken.
    pub(super) fn line(&mut self, indent: usize, line: &str) {
        self.inked(indent, Ink::Plain, line);
    }

    /// One line, never broken, that is all of one kind.
    pub(super) fn inked(&mut self, indent: usize, ink: Ink, line: &str) {
        self.pieces(indent, &[(ink, line)]);
    }

    /// One line of several pieces, never broken.
    pub(super) fn pieces(&mut self, indent: usize, pieces: &[(Ink, &str)]) {
        let mut pieces: Vec<(Ink, String)> = pieces
            .iter()
            .map(|(ink, text)| (*ink, plain(text).replace('\n', " ")))
            .collect();
        // No line ends in spaces.
        while let Some((_, last)) = pieces.last_mut() {
            last.truncate(last.trim_end().len());
            if !last.is_empty() {
                break;
            }
            pieces.pop();
        }
        if !pieces.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', indent));
        }
        for (ink, text) in &pieces {
            let code = ink.code().filter(|_| self.format.color);
            if let Some(code) = code {
                self.text.push_str(&format!("\u{1b}[{code}m"));
            }
            if self.format.unicode {
                self.text.push_str(text);
            } else {
                self.text.extend(text.chars().map(ascii));
            }
            if code.is_some() {
                self.text.push_str("\u{1b}[0m");
            }
        }
        self.text.push('\n');
    }

    /// An empty line, unless there is one already.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Text broken at spaces; its own lines and their indentation are kept.
    pub(super) fn paragraph(&mut self, indent: usize, ink: Ink, text: &str) {
        for line in plain(text).lines() {
            let own = indent + line.chars().take_while(|c| *c == ' ').count();
            for part in wrapped(line, self.width.saturating_sub(own)) {
                self.inked(own, ink, &part);
            }
        }
    }

    /// A label, and beside it text broken at spaces, whose own lines are kept.
    pub(super) fn field(&mut self, indent: usize, label: &str, ink: Ink, text: &str) {
        let mut label = format!("{label:LABEL$}");
        let text = plain(text);
        for line in text.trim_end().lines() {
            let own = line.chars().take_while(|c| *c == ' ').count();
            let free = self.width.saturating_sub(indent + LABEL + own);
            for part in wrapped(line, free) {
                let part = format!("{:own$}{part}", "");
                self.pieces(indent, &[(Ink::Faint, &label), (ink, &part)]);
                label = " ".repeat(LABEL);
            }
        }
    }

    /// A label and somebody else's text, whose lines are kept: below the label where there
    /// is more than one, so that they stay lined up.
    pub(super) fn verbatim(&mut self, indent: usize, label: &str, text: &str) {
        let text = plain(text);
        let text = text.trim_end();
        if !text.contains('\n') {
            self.line(indent, &format!("{label}{text}"));
            return;
        }
        self.line(indent, label);
        for line in text.lines() {
            self.line(indent + 2, line);
        }
    }

    /// One text at the left and one at the right, not so far away that the eye loses it.
    pub(super) fn sides(&mut self, indent: usize, left: &str, right: &str) {
        let used = indent + left.chars().count() + right.chars().count();
        let space = self.width.min(100).saturating_sub(used).max(2);
        let space = " ".repeat(space);
        self.pieces(
            indent,
            &[(Ink::Bold, left), (Ink::Plain, &space), (Ink::Faint, right)],
        );
    }

    /// How wide a chart may be that stands at an indent with words of so many columns behind it.
    pub(super) fn chart(&self, indent: usize, words: usize, widest: usize) -> usize {
        self.width.saturating_sub(indent + words).clamp(10, widest)
    }
}

/// A text's words in lines of at most `width`; a longer word has a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut free = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < free => {
                line.push(' ');
                line.push_str(word);
                free -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                free = width.saturating_sub(length);
            }
        }
    }
    lines
}

/// What stands for a character where there is only ASCII.
fn ascii(c: char) -> char {
    match c {
        '\u{2581}'..='\u{2588}' => {
            // From the lowest block, `1`, to the full one, `8`.
            char::from(b'1' + (u32::from(c) - 0x2581) as u8)
        }
        '━' => '=',
        'µ' | 'μ' => 'u',
        '×' => 'x',
        '–' | '—' => '-',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '\u{a0}' => ' ',
        c if c.is_ascii() => c,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize, color: bool, unicode: bool) -> Page {
        Page::new(Format {
            width,
            color,
            unicode,
        })
    }

    #[test]
    fn fields_hang_beside_their_labels() {
        let mut page = page(40, false, true);
        page.field(
            2,
            "actual:",
            Ink::Bad,
            "one two three four five six seven\n  left: 3",
        );
        assert_eq!(
            page.text,
            "  actual:   one two three four five six\n            seven\n              left: 3\n"
        );
    }

    #[test]
    fn what_others_wrote_makes_no_colours_and_ours_end_on_each_line() {
        let mut page = page(40, true, true);
        page.pieces(
            1,
            &[
                (Ink::Bad, "\u{1b}[32mok"),
                (Ink::Plain, " then "),
                (Ink::Good, " "),
            ],
        );
        assert_eq!(page.text, " \u{1b}[31mok\u{1b}[0m then\n");
    }

    #[test]
    fn ascii_is_all_there_is_where_there_is_no_more() {
        let mut page = page(40, false, false);
        page.line(0, "▁▄█ ━ 85 µs “ä”");
        assert_eq!(page.text, "148 = 85 us \"?\"\n");
    }
}
