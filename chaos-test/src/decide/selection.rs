//! Which tests a tag expression means: `network and not slow`. Pure.
//!
//! ```text
//! expression  = any { "," any }              a comma is an `or` that binds least
//! any         = all { "or" all }
//! all         = one { "and" one }
//! one         = { "not" } ( tag | "(" expression ")" )
//! ```

use std::fmt;

use super::nearest::nearest;

/// So many parentheses may be open at once; people write two or three.
const DEEPEST: usize = 50;
/// So much is shown of an expression on either side of a mistake, in characters.
const SHOWN: usize = 40;

/// A tag expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    text: String,
    expression: Expression,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Tag(String),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Selection {
    /// Reads an expression; `None` where there is nothing but space.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the place marked on a line of its own.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let tokens = tokens(text).map_err(|wrong| wrong.marked_in(text))?;
        let mut parser = Parser {
            tokens: &tokens,
            end: text.trim_end().chars().count(),
            open: 0,
        };
        let expression = parser.whole().map_err(|wrong| wrong.marked_in(text))?;
        Ok(Some(Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            expression,
        }))
    }

    /// Whether a test with these tags is meant.
    #[must_use]
    pub fn selects<T: AsRef<str>>(&self, tags: &[T]) -> bool {
        let has = |tag: &str| tags.iter().any(|it| it.as_ref() == tag);
        self.expression.is_true(&has)
    }

    /// What is to be said of each tag that is named and that no test has: which one was probably
    /// meant, where that can be guessed.
    pub fn unknown<'a>(&'a self, known: &'a [&str]) -> Vec<Unknown<'a>> {
        let mut named = Vec::new();
        self.expression.tags(&mut named);
        let unknown = named.into_iter().filter(|tag| !known.contains(tag));
        unknown
            .map(|tag| Unknown {
                tag,
                meant: nearest(tag, known.iter().copied()),
            })
            .collect()
    }
}

/// A tag that no test has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// As it was written.
    pub tag: &'a str,
    /// The tag that it was probably meant to be.
    pub meant: Option<&'a str>,
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tag `{}`", self.tag)?;
        match self.meant {
            Some(meant) => write!(f, ", did you mean `{meant}`?"),
            None => Ok(()),
        }
    }
}

impl Expression {
    fn is_true(&self, has: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Tag(tag) => has(tag),
            Self::Not(one) => !one.is_true(has),
            Self::All(all) => all.iter().all(|one| one.is_true(has)),
            Self::Any(any) => any.iter().any(|one| one.is_true(has)),
        }
    }

    /// The tags that it names, each once.
    fn tags<'a>(&'a self, named: &mut Vec<&'a str>) {
        match self {
            Self::Tag(tag) if named.contains(&tag.as_str()) => {}
            Self::Tag(tag) => named.push(tag),
            Self::Not(one) => one.tags(named),
            Self::All(several) | Self::Any(several) => {
                several.iter().for_each(|one| one.tags(named));
            }
        }
    }
}

/// A mistake, and where it is, in characters.
#[derive(Debug)]
struct Wrong {
    what: String,
    at: usize,
    length: usize,
}

impl Wrong {
    /// The mistake, the expression and a mark below it.
    fn marked_in(&self, text: &str) -> String {
        let first = self.at.saturating_sub(SHOWN);
        let cut = |is_cut: bool| if is_cut { ".." } else { "" };
        // A line break or a tab would move the mark.
        let shown = text.chars().skip(first).map(|c| match c {
            c if c.is_whitespace() || c.is_control() => ' ',
            c => c,
        });
        let shown: String = shown.take(self.at - first + SHOWN).collect();
        let whole = first + shown.chars().count() >= text.trim_end().chars().count();
        let before = cut(first > 0);
        let indent = before.len() + self.at - first;
        format!(
            "{}\n  {before}{}{}\n  {}{}",
            self.what,
            shown.trim_end(),
            cut(!whole),
            " ".repeat(indent),
            "^".repeat(self.length.clamp(1, SHOWN)),
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    Tag,
}

#[derive(Debug)]
struct Token {
    kind: Kind,
    text: String,
    at: usize,
}

impl Token {
    fn length(&self) -> usize {
        self.text.chars().count()
    }

    fn wrong(&self, what: String) -> Wrong {
        Wrong {
            what,
            at: self.at,
            length: self.length(),
        }
    }
}

/// The characters of a tag, as the macro has them.
fn is_of_a_tag(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().enumerate().peekable();
    while let Some((at, first)) = characters.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::from(first);
        if is_of_a_tag(first) {
            while let Some((_, next)) = characters.next_if(|(_, next)| is_of_a_tag(*next)) {
                word.push(next);
            }
        }
        let kind = match word.as_str() {
            "and" => Kind::And,
            "or" => Kind::Or,
            "not" => Kind::Not,
            "(" => Kind::Open,
            ")" => Kind::Close,
            "," => Kind::Comma,
            _ if is_of_a_tag(first) => Kind::Tag,
            _ => {
                let instead = match first {
                    '&' => "write `and`",
                    '|' => "write `or`",
                    '!' => "write `not`",
                    _ => "tags are made of letters, digits, `_`, `-` and `.`",
                };
                return Err(Wrong {
                    what: format!("`{first}` has no meaning in a tag expression: {instead}"),
                    at,
                    length: 1,
                });
            }
        };
        let text = word;
        tokens.push(Token { kind, text, at });
    }
    Ok(tokens)
}

struct Parser<'a> {
    /// What is left.
    tokens: &'a [Token],
    /// Where the text ends.
    end: usize,
    /// How many parentheses are open.
    open: usize,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Result<Expression, Wrong> {
        let expression = self.expression()?;
        match self.tokens.first() {
            None => Ok(expression),
            Some(token) if token.kind == Kind::Close => {
                Err(token.wrong("this `)` closes nothing".to_owned()))
            }
            Some(token) => Err(token.wrong(between(token))),
        }
    }

    fn expression(&mut self) -> Result<Expression, Wrong> {
        self.several(Kind::Comma, Expression::Any, |this| {
            this.several(Kind::Or, Expression::Any, |this| {
                this.several(Kind::And, Expression::All, Self::one)
            })
        })
    }

    fn several(
        &mut self,
        between: Kind,
        join: fn(Vec<Expression>) -> Expression,
        one: impl Fn(&mut Self) -> Result<Expression, Wrong>,
    ) -> Result<Expression, Wrong> {
        let first = one(self)?;
        if self.next_is(between).is_none() {
            return Ok(first);
        }
        let mut several = vec![first, one(self)?];
        while self.next_is(between).is_some() {
            several.push(one(self)?);
        }
        Ok(join(several))
    }

    fn one(&mut self) -> Result<Expression, Wrong> {
        let mut negated = false;
        while self.next_is(Kind::Not).is_some() {
            negated = !negated;
        }
        let one = self.tag_or_parentheses()?;
        Ok(if negated {
            Expression::Not(Box::new(one))
        } else {
            one
        })
    }

    fn tag_or_parentheses(&mut self) -> Result<Expression, Wrong> {
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err(Wrong {
                what: "a tag is missing at the end".to_owned(),
                at: self.end,
                length: 1,
            });
        };
        match token.kind {
            Kind::Tag => {
                self.tokens = rest;
                Ok(Expression::Tag(token.text.clone()))
            }
            Kind::Open if self.open == DEEPEST => {
                Err(token.wrong(format!("more than {DEEPEST} parentheses are open here")))
            }
            Kind::Open => {
                self.tokens = rest;
                self.open += 1;
                let inner = self.expression()?;
                self.open -= 1;
                if self.next_is(Kind::Close).is_none() {
                    return Err(match self.tokens.first() {
                        Some(next) => next.wrong(between(next)),
                        None => token.wrong("this `(` is never closed".to_owned()),
                    });
                }
                Ok(inner)
            }
            _ => Err(token.wrong(format!("a tag is missing before `{}`", token.text))),
        }
    }

    fn next_is(&mut self, kind: Kind) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        if first.kind != kind {
            return None;
        }
        self.tokens = rest;
        Some(first)
    }
}

/// What is missing before a token that begins something new.
fn between(token: &Token) -> String {
    let small = token.text.to_ascii_lowercase();
    if token.kind == Kind::Tag && matches!(small.as_str(), "and" | "or" | "not") {
        return format!("`{}` is a tag here: write `{small}`", token.text);
    }
    format!("`and` or `or` is missing before `{}`", token.text)
}

#[cfg(test)]
mod tests;
