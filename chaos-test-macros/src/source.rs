//! Writes tokens as a person would have: what reports show of an argument.
//!
//! The compiler hands on no text for more than one token, so the spaces are found anew.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// The operators of more than one character, longest first.
const OPERATORS: &[&str] = &[
    "..=", "...", "<<=", ">>=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "..", "+=",
    "-=", "*=", "/=", "%=", "^=", "&=", "|=", "<<", ">>",
];

/// The words after which an expression begins, as after an operator.
const WORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "else", "if", "in", "let", "loop", "match", "move",
    "mut", "ref", "return", "unsafe", "while",
];

/// An expression on one line.
pub(crate) fn source(expression: impl ToTokens) -> String {
    let mut line = Line::default();
    line.stream(expression.to_token_stream());
    line.text
}

/// What stands to the left of the next token.
#[derive(Default, Clone, Copy, PartialEq)]
enum Left {
    /// Nothing, or something after which there is no space.
    #[default]
    Open,
    /// An operand: a name, a literal, a closing bracket.
    Operand,
    /// A word or an operator that an expression follows.
    Operator,
}

#[derive(Default)]
struct Line {
    text: String,
    left: Left,
    /// How many `::<` are open.
    generics: usize,
    /// Whether the parameters of a closure are.
    closure: bool,
}

impl Line {
    fn stream(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => self.group(group.delimiter(), group.stream()),
                TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                    self.space();
                    self.text.push('\'');
                    self.left = Left::Open;
                }
                TokenTree::Punct(sign) => {
                    let mut operator = sign.as_char().to_string();
                    while let Some(TokenTree::Punct(next)) = tokens.peek() {
                        let longer = format!("{operator}{}", next.as_char());
                        // `..=` comes by way of `..`, and each of the others in one step.
                        if !OPERATORS.contains(&longer.as_str()) {
                            break;
                        }
                        operator = longer;
                        tokens.next();
                    }
                    self.operator(&operator);
                }
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    self.space();
                    self.text += &word;
                    self.left = match WORDS.contains(&word.as_str()) {
                        true => Left::Operator,
                        false => Left::Operand,
                    };
                }
                TokenTree::Literal(literal) => {
                    self.space();
                    // The text of a literal may go over several lines.
                    let literal = literal.to_string();
                    self.text += &literal.split_whitespace().collect::<Vec<_>>().join(" ");
                    self.left = Left::Operand;
                }
            }
        }
    }

    fn group(&mut self, delimiter: Delimiter, stream: TokenStream) {
        let (open, close) = match delimiter {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{ ", " }"),
            Delimiter::None => return self.stream(stream),
        };
        if delimiter == Delimiter::Brace && stream.is_empty() {
            self.space();
            self.text += "{}";
            self.left = Left::Operand;
            return;
        }
        if self.left == Left::Operator || delimiter == Delimiter::Brace {
            self.space();
        }
        self.text += open;
        self.left = Left::Open;
        let generics = std::mem::take(&mut self.generics);
        let closure = std::mem::take(&mut self.closure);
        self.stream(stream);
        (self.generics, self.closure) = (generics, closure);
        self.text += close;
        self.left = Left::Operand;
    }

    fn operator(&mut self, operator: &str) {
        let unary = self.left != Left::Operand;
        let (before, after) = match operator {
            "," | ";" => (false, Left::Operator),
            ":" => (false, Left::Operator),
            "?" => (false, Left::Operand),
            "." | "::" | ".." | "..=" => (unary && self.left == Left::Operator, Left::Open),
            "!" if !unary => (false, Left::Open),
            "&" | "&&" | "-" | "*" | "!" | "#" if unary => (true, Left::Open),
            "<" if self.text.ends_with("::") => {
                self.generics += 1;
                (false, Left::Open)
            }
            ">" if self.generics > 0 => {
                self.generics -= 1;
                (false, Left::Operand)
            }
            "|" if self.closure => {
                self.closure = false;
                (false, Left::Operator)
            }
            "|" if unary => {
                self.closure = true;
                (true, Left::Open)
            }
            _ => (true, Left::Operator),
        };
        if before {
            self.space();
        }
        self.text += operator;
        self.left = after;
    }

    /// A space, where one belongs before the next token.
    fn space(&mut self) {
        if self.left != Left::Open {
            self.text.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn expressions_are_shown_as_people_write_them() {
        for text in [
            "ms(50)",
            "Duration::from_secs(1) * 2",
            "-1.5",
            "&[1, 2]",
            "!flag && other",
            "Vec::<u8>::new()",
            "vec![1, -2]",
            "a < b || c >= d",
            "0..=9",
            "|x, y| x + y",
            "Shape { width: 1, height: -2 }",
            "\"two words\".to_owned()",
            "if quick { ms(1) } else { ms(2) }",
            "x as u8",
            "(1, 'c')",
            "match x { Some(_) => &1, None => &*two }",
            "f(&a, b.c?.d())",
            "|| 3",
            "Box::new(move |_| {})",
        ] {
            let tokens: proc_macro2::TokenStream = text.parse().unwrap();
            assert_eq!(source(tokens), text);
        }
    }
}
