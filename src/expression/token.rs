//! Cuts expression text into tokens.

use std::ops::Range;

use super::error::Mistake;
use super::literal;

/// One token and where it stands in the whole text.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind<'a> {
    /// Magnitude only; the sign is an operator.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Name(&'a str),
    /// A field name in backticks.
    QuotedName(&'a str),
    Symbol(&'static str),
    End,
}

impl TokenKind<'_> {
    /// For a mistake that says what was found; none at the end.
    pub(super) fn described(&self) -> Option<String> {
        Some(match self {
            Self::End => return None,
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::Name(name) | Self::QuotedName(name) => format!("`{name}`"),
            Self::Text(_) => "a string".to_owned(),
            Self::Bytes(_) => "bytes".to_owned(),
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => "a number".to_owned(),
        })
    }
}

/// Longest first, so that the first that fits is the right one.
const SYMBOLS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}", "=",
];

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Reads `text` from byte `at` on; places are counted from the start of `text`.
    pub(super) const fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.at + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The next token; [`TokenKind::End`] at the end, again and again.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Mistake> {
        self.skip();
        let start = self.at;
        let kind = match self.byte(0) {
            _ if self.rest().is_empty() => TokenKind::End,
            b'0'..=b'9' => self.number()?,
            b'.' if self.byte(1).is_ascii_digit() => self.number()?,
            b'"' | b'\'' => self.string(0)?,
            b'`' => self.quoted_name()?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => match self.string_prefix() {
                Some(prefix) => self.string(prefix)?,
                None => TokenKind::Name(self.name()),
            },
            _ => self.symbol()?,
        };
        Ok(Token {
            kind,
            at: start..self.at,
        })
    }

    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let len = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn symbol(&mut self) -> Result<TokenKind<'a>, Mistake> {
        let rest = self.rest();
        for symbol in SYMBOLS {
            if rest.starts_with(symbol) {
                if symbol == "=" {
                    return Err(Mistake::new(self.at..self.at + 1, "`=` is not an operator")
                        .help("write `==` to compare"));
                }
                self.at += symbol.len();
                return Ok(TokenKind::Symbol(symbol));
            }
        }
        let odd = rest.chars().next().unwrap_or_default();
        let mistake = Mistake::new(
            self.at..self.at + odd.len_utf8(),
            format!("`{}` has no meaning here", odd.escape_debug()),
        );
        Err(match odd {
            '&' => mistake.help("write `&&` for and"),
            '|' => mistake.help("write `||` for or"),
            '$' => mistake.help("names stand without `$`"),
            _ => mistake,
        })
    }

    /// How many letters stand before the quote of a string: `r`, `b` or both.
    fn string_prefix(&self) -> Option<usize> {
        let quote = |ahead: usize| matches!(self.byte(ahead), b'"' | b'\'');
        match (
            self.byte(0).to_ascii_lowercase(),
            self.byte(1).to_ascii_lowercase(),
        ) {
            (b'r' | b'b', _) if quote(1) => Some(1),
            (b'r', b'b') | (b'b', b'r') if quote(2) => Some(2),
            _ => None,
        }
    }

    fn string(&mut self, prefix: usize) -> Result<TokenKind<'a>, Mistake> {
        let start = self.at;
        let letters = self
            .rest()
            .get(..prefix)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (raw, bytes) = (letters.contains('r'), letters.contains('b'));
        self.at += prefix;
        let rest = self.rest();
        let quote = ["\"\"\"", "'''", "\"", "'"]
            .into_iter()
            .find(|quote| rest.starts_with(quote))
            .unwrap_or("\"");
        let body = rest.get(quote.len()..).unwrap_or_default();
        let Some(len) = closing_quote(body, quote, raw) else {
            return Err(
                Mistake::new(start..self.text.len(), "the string does not end")
                    .help(format!("close it with {quote}")),
            );
        };
        let inner = body.get(..len).unwrap_or_default();
        let inner_at = self.at + quote.len();
        self.at = inner_at + len + quote.len();
        if bytes {
            literal::bytes(inner, inner_at, raw).map(TokenKind::Bytes)
        } else {
            literal::text(inner, inner_at, raw).map(TokenKind::Text)
        }
    }

    fn quoted_name(&mut self) -> Result<TokenKind<'a>, Mistake> {
        let start = self.at;
        let body = self.rest().get(1..).unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' ');
        let len = body.find(|c| !fits(c)).unwrap_or(body.len());
        if len == 0 || !body.get(len..).unwrap_or_default().starts_with('`') {
            return Err(Mistake::new(
                start..start + 1 + len,
                "a name in backticks holds letters, digits, `_`, `.`, `-`, `/` and spaces, and ends with a backtick",
            ));
        }
        self.at += len + 2;
        Ok(TokenKind::QuotedName(body.get(..len).unwrap_or_default()))
    }

    fn number(&mut self) -> Result<TokenKind<'a>, Mistake> {
        let start = self.at;
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') {
            self.at += 2;
            let digits = self.take(|byte| byte.is_ascii_hexdigit());
            return self.whole(start, digits, 16);
        }
        let digits = self.take(|byte| byte.is_ascii_digit());
        let mut double = false;
        if self.byte(0) == b'.' && self.byte(1).is_ascii_digit() {
            double = true;
            self.at += 1;
            self.take(|byte| byte.is_ascii_digit());
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if self.byte(1 + sign).is_ascii_digit() {
                double = true;
                self.at += 1 + sign;
                self.take(|byte| byte.is_ascii_digit());
            }
        }
        if !double {
            return self.whole(start, digits, 10);
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match text.parse() {
            Ok(number) => self.end_number(start, TokenKind::Double(number)),
            Err(_) => Err(Mistake::new(start..self.at, "not a number")),
        }
    }

    fn take(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while fits(self.byte(0)) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn whole(&mut self, start: usize, digits: &str, radix: u32) -> Result<TokenKind<'a>, Mistake> {
        let unsigned = matches!(self.byte(0), b'u' | b'U');
        self.at += usize::from(unsigned);
        let Ok(number) = u64::from_str_radix(digits, radix) else {
            let message = if digits.is_empty() {
                "`0x` without digits"
            } else {
                "the number does not fit in 64 bits"
            };
            return Err(Mistake::new(start..self.at, message));
        };
        let kind = if unsigned {
            TokenKind::Uint(number)
        } else {
            TokenKind::Int(number)
        };
        self.end_number(start, kind)
    }

    fn end_number(&mut self, start: usize, kind: TokenKind<'a>) -> Result<TokenKind<'a>, Mistake> {
        if self.byte(0).is_ascii_alphanumeric() || self.byte(0) == b'_' {
            self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return Err(Mistake::new(start..self.at, "not a number, and not a name")
                .help("a text stands in quotes"));
        }
        Ok(kind)
    }
}

/// Where the quote that ends the string is; a backslash guards what follows it, even in a raw
/// string of which it stays a part only when it guards nothing.
fn closing_quote(body: &str, quote: &str, raw: bool) -> Option<usize> {
    let short = quote.len() == 1;
    let mut guarded = false;
    for (at, c) in body.char_indices() {
        if guarded {
            guarded = false;
        } else if c == '\\' && !raw {
            guarded = true;
        } else if body.get(at..).unwrap_or_default().starts_with(quote) {
            return Some(at);
        } else if short && matches!(c, '\n' | '\r') {
            return None;
        }
    }
    None
}
