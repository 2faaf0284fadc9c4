//! Parses tokens into a syntax tree: the grammar of CEL, by recursive descent with a depth cap.

use std::ops::Range;

use super::error::Mistake;
use super::syntax::{Item, Operator, Pair, Syntax, SyntaxKind};
use super::token::{Lexer, Token, TokenKind};
use super::value::Value;

/// Longer expressions are refused, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024;

/// How deep an expression may nest, brackets and chains of operators alike. Parsing, compiling,
/// evaluating and dropping recurse this deep at most.
const DEPTH_MAX: usize = 100;

/// Cannot be names of variables; CEL keeps them for the languages it lives in.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "void",
    "while",
];

/// Parses the part `at` of `text` as one expression.
pub(super) fn parse(text: &str, at: Range<usize>) -> Result<Syntax, Mistake> {
    if at.len() > TEXT_BYTES_MAX {
        return Err(Mistake::new(
            at,
            format!("the expression is longer than {TEXT_BYTES_MAX} bytes"),
        ));
    }
    let end = at.end;
    let mut lexer = Lexer::new(text.get(..end).unwrap_or_default(), at.start);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let done = token.kind == TokenKind::End;
        tokens.push(token);
        if done {
            break;
        }
    }
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        end,
    };
    if parser.peek() == &TokenKind::End {
        return Err(Mistake::new(at, "an expression is missing here"));
    }
    let syntax = parser.expression()?;
    if parser.peek() != &TokenKind::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(syntax)
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    depth: usize,
    end: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &TokenKind<'a> {
        self.tokens
            .get(self.next)
            .map_or(&TokenKind::End, |token| &token.kind)
    }

    fn place(&self) -> Range<usize> {
        self.tokens
            .get(self.next)
            .map_or(self.end..self.end, |token| token.at.clone())
    }

    /// Where the token before the next one ended.
    fn past(&self) -> usize {
        self.next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(0, |token| token.at.end)
    }

    fn advance(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), TokenKind::Symbol(found) if *found == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str, opened: &Range<usize>) -> Result<(), Mistake> {
        if self.eat(symbol) {
            return Ok(());
        }
        if self.peek() == &TokenKind::End {
            return Err(Mistake::new(
                opened.clone(),
                format!("this is not closed: `{symbol}` is missing"),
            ));
        }
        Err(self.unexpected(&format!("`{symbol}`")))
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let Some(found) = self.peek().described() else {
            return Mistake::new(
                self.place(),
                format!("the expression ends where {wanted} should be"),
            );
        };
        let mistake = Mistake::new(
            self.place(),
            format!("found {found} where {wanted} should be"),
        );
        match self.peek() {
            TokenKind::Name("and") => mistake.help("write `&&`"),
            TokenKind::Name("or") => mistake.help("write `||`"),
            TokenKind::Name("not") => mistake.help("write `!`"),
            _ => mistake,
        }
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        if self.depth >= DEPTH_MAX {
            return Err(too_deep(self.place()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn node(&self, kind: SyntaxKind, start: usize) -> Result<Syntax, Mistake> {
        let at = start..self.past();
        let syntax = kind.at(at.clone());
        if syntax.depth > DEPTH_MAX {
            return Err(too_deep(at));
        }
        Ok(syntax)
    }

    fn expression(&mut self) -> Result<Syntax, Mistake> {
        self.deeper(|parser| {
            let condition = parser.or()?;
            if !parser.is("?") {
                return Ok(condition);
            }
            let start = condition.at.start;
            let question = parser.place();
            parser.next += 1;
            let then = parser.or()?;
            parser.expect(":", &question)?;
            let otherwise = parser.expression()?;
            parser.node(
                SyntaxKind::Conditional(Box::new([condition, then, otherwise])),
                start,
            )
        })
    }

    fn or(&mut self) -> Result<Syntax, Mistake> {
        self.chain("||", Self::and, SyntaxKind::Or)
    }

    fn and(&mut self) -> Result<Syntax, Mistake> {
        self.chain("&&", |parser| parser.binary(0), SyntaxKind::And)
    }

    /// Operands joined by one associative operator, as one node.
    fn chain(
        &mut self,
        symbol: &str,
        operand: impl Fn(&mut Self) -> Result<Syntax, Mistake>,
        kind: impl FnOnce(Vec<Syntax>) -> SyntaxKind,
    ) -> Result<Syntax, Mistake> {
        let first = operand(self)?;
        if !self.is(symbol) {
            return Ok(first);
        }
        let start = first.at.start;
        let mut operands = vec![first];
        while self.eat(symbol) {
            operands.push(operand(self)?);
        }
        self.node(kind(operands), start)
    }

    /// Operators that bind at least as tightly as `level`: comparisons, sums, products.
    fn binary(&mut self, level: u8) -> Result<Syntax, Mistake> {
        let mut left = self.unary()?;
        while let Some((operator, binds)) = self.operator()
            && binds >= level
        {
            self.next += 1;
            let right = self.binary(binds + 1)?;
            let start = left.at.start;
            left = self.node(
                SyntaxKind::Binary(operator, Box::new(left), Box::new(right)),
                start,
            )?;
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        Some(match self.peek() {
            TokenKind::Name("in") => (Operator::In, 0),
            TokenKind::Symbol(symbol) => match *symbol {
                "==" => (Operator::Equal, 0),
                "!=" => (Operator::NotEqual, 0),
                "<" => (Operator::Less, 0),
                "<=" => (Operator::LessOrEqual, 0),
                ">" => (Operator::Greater, 0),
                ">=" => (Operator::GreaterOrEqual, 0),
                "+" => (Operator::Add, 1),
                "-" => (Operator::Subtract, 1),
                "*" => (Operator::Multiply, 2),
                "/" => (Operator::Divide, 2),
                "%" => (Operator::Remainder, 2),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Syntax, Mistake> {
        let start = self.place().start;
        if self.eat("!") {
            let operand = self.deeper(Self::unary)?;
            return self.node(SyntaxKind::Not(Box::new(operand)), start);
        }
        if self.is("-") {
            self.next += 1;
            if let Some(literal) = self.negative() {
                let literal = self.node(SyntaxKind::Literal(literal?), start)?;
                return self.members(literal);
            }
            let operand = self.deeper(Self::unary)?;
            return self.node(SyntaxKind::Negate(Box::new(operand)), start);
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    /// The number after a minus sign, where one follows.
    fn negative(&mut self) -> Option<Result<Value, Mistake>> {
        let at = self.place();
        let value = match *self.peek() {
            TokenKind::Int(magnitude) => 0_i64
                .checked_sub_unsigned(magnitude)
                .map(Value::Int)
                .ok_or_else(|| Mistake::new(at, "the number does not fit in 64 bits")),
            TokenKind::Double(number) => Ok(Value::Double(-number)),
            _ => return None,
        };
        self.next += 1;
        Some(value)
    }

    fn members(&mut self, mut operand: Syntax) -> Result<Syntax, Mistake> {
        loop {
            let start = operand.at.start;
            let opened = self.place();
            if self.eat(".") {
                operand = self.member(operand)?;
            } else if self.eat("[") {
                let optional = self.eat("?");
                let index = self.expression()?;
                self.expect("]", &opened)?;
                let kind = SyntaxKind::Index {
                    operand: Box::new(operand),
                    index: Box::new(index),
                    optional,
                };
                operand = self.node(kind, start)?;
            } else if self.is("{") && is_dotted_name(&operand) {
                return Err(
                    Mistake::new(start..opened.end, "messages cannot be made here")
                        .help("write a map: `{'field': value}`"),
                );
            } else {
                return Ok(operand);
            }
        }
    }

    /// What follows a dot: a field or a method.
    fn member(&mut self, operand: Syntax) -> Result<Syntax, Mistake> {
        let start = operand.at.start;
        let optional = self.eat("?");
        let place = self.place();
        let field = match self.peek() {
            TokenKind::Name(name) | TokenKind::QuotedName(name) => (*name).to_owned(),
            _ => return Err(self.unexpected("a name")),
        };
        let quoted = matches!(self.peek(), TokenKind::QuotedName(_));
        if !quoted && field == "in" {
            return Err(self.unexpected("a name"));
        }
        self.next += 1;
        if self.is("(") && !optional && !quoted {
            let arguments = self.arguments()?;
            let kind = SyntaxKind::Call {
                receiver: Some(Box::new(operand)),
                name: field,
                name_at: place,
                arguments,
            };
            return self.node(kind, start);
        }
        let kind = SyntaxKind::Select {
            operand: Box::new(operand),
            field,
            optional,
        };
        self.node(kind, start)
    }

    fn arguments(&mut self) -> Result<Vec<Syntax>, Mistake> {
        self.list_until(")", Self::expression, false)
    }

    /// What stands between an opening bracket, which is next, and `close`, separated by commas.
    fn list_until<T>(
        &mut self,
        close: &str,
        mut element: impl FnMut(&mut Self) -> Result<T, Mistake>,
        trailing_comma: bool,
    ) -> Result<Vec<T>, Mistake> {
        let opened = self.place();
        self.next += 1;
        let mut elements = Vec::new();
        if self.eat(close) {
            return Ok(elements);
        }
        loop {
            elements.push(element(self)?);
            if !self.eat(",") {
                self.expect(close, &opened)?;
                return Ok(elements);
            }
            if trailing_comma && self.eat(close) {
                return Ok(elements);
            }
        }
    }

    fn primary(&mut self) -> Result<Syntax, Mistake> {
        let at = self.place();
        let start = at.start;
        match self.peek() {
            TokenKind::Symbol("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")", &at)?;
                Ok(Syntax {
                    at: start..self.past(),
                    ..inner
                })
            }
            TokenKind::Symbol("[") => {
                let items = self.list_until("]", Self::item, true)?;
                self.node(SyntaxKind::List(items), start)
            }
            TokenKind::Symbol("{") => {
                let pairs = self.list_until("}", Self::pair, true)?;
                self.node(SyntaxKind::Map(pairs), start)
            }
            TokenKind::Symbol(".") => {
                self.next += 1;
                self.name(start)
            }
            TokenKind::Name(_) => self.name(start),
            TokenKind::Symbol(_) | TokenKind::QuotedName(_) | TokenKind::End => {
                Err(self.unexpected("a value"))
            }
            _ => self.literal(start),
        }
    }

    fn literal(&mut self, start: usize) -> Result<Syntax, Mistake> {
        let place = self.place();
        let value = match self.advance().map(|token| token.kind) {
            Some(TokenKind::Int(magnitude)) => {
                i64::try_from(magnitude).map(Value::Int).map_err(|_| {
                    Mistake::new(place, "the number does not fit in 64 bits")
                        .help("write `u` behind it for an unsigned number")
                })?
            }
            Some(TokenKind::Uint(number)) => Value::Uint(number),
            Some(TokenKind::Double(number)) => Value::Double(number),
            Some(TokenKind::Text(text)) => Value::from(text),
            Some(TokenKind::Bytes(bytes)) => Value::Bytes(bytes.into()),
            _ => return Err(Mistake::new(place, "a value should be here")),
        };
        self.node(SyntaxKind::Literal(value), start)
    }

    /// A variable, a call or one of the words that are values.
    fn name(&mut self, start: usize) -> Result<Syntax, Mistake> {
        let place = self.place();
        let TokenKind::Name(name) = *self.peek() else {
            return Err(self.unexpected("a name"));
        };
        if name == "in" {
            return Err(self.unexpected("a value"));
        }
        self.next += 1;
        let kind = match name {
            "true" => SyntaxKind::Literal(Value::Bool(true)),
            "false" => SyntaxKind::Literal(Value::Bool(false)),
            "null" => SyntaxKind::Literal(Value::Null),
            _ if RESERVED.contains(&name) => {
                return Err(Mistake::new(place, format!("`{name}` is a reserved word")));
            }
            _ if self.is("(") => SyntaxKind::Call {
                receiver: None,
                name: name.to_owned(),
                name_at: place,
                arguments: self.arguments()?,
            },
            _ => SyntaxKind::Name(name.to_owned()),
        };
        self.node(kind, start)
    }

    fn item(&mut self) -> Result<Item, Mistake> {
        let optional = self.eat("?");
        let value = self.expression()?;
        Ok(Item { optional, value })
    }

    fn pair(&mut self) -> Result<Pair, Mistake> {
        let optional = self.eat("?");
        let key = self.expression()?;
        if !self.is(":") {
            let mistake = self.unexpected("`:`");
            return Err(match &key.kind {
                SyntaxKind::Name(name) => {
                    mistake.help(format!("an entry is written `'{name}': value`"))
                }
                _ => mistake.help("an entry is written `'key': value`"),
            });
        }
        self.next += 1;
        let value = self.expression()?;
        Ok(Pair {
            optional,
            key,
            value,
        })
    }
}

fn too_deep(at: Range<usize>) -> Mistake {
    Mistake::new(at, "the expression is nested too deeply").help(format!(
        "at most {DEPTH_MAX} levels; split it into `value` steps"
    ))
}

fn is_dotted_name(syntax: &Syntax) -> bool {
    match &syntax.kind {
        SyntaxKind::Name(_) => true,
        SyntaxKind::Select { operand, .. } => is_dotted_name(operand),
        _ => false,
    }
}
