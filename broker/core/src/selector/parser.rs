//! From a selector's text to its tree, by recursive descent.
//!
//! ```text
//! or         = and { OR and }
//! and        = not { AND not }
//! not        = NOT not | comparison
//! comparison = sum { ( "=" | "<>" | "<" | "<=" | ">" | ">=" ) sum
//!                  | [ NOT ] BETWEEN sum AND sum
//!                  | [ NOT ] IN "(" text { "," text } ")"
//!                  | [ NOT ] LIKE text [ ESCAPE text ]
//!                  | IS [ NOT ] NULL }
//! sum        = product { ( "+" | "-" ) product }
//! product    = unary { ( "*" | "/" | "%" ) unary }
//! unary      = ( "+" | "-" ) unary | primary
//! primary    = number | text | TRUE | FALSE | identifier | "(" or ")"
//! ```

use std::sync::Arc;

use super::{
    MAX_DEPTH, SelectorError,
    expression::{Arithmetic, Comparison, Expression, Identifier, Kind, Literal},
    lexer::{Lexer, Token},
    like::Pattern,
};

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The next word, and the byte at which it begins.
    token: Token<'a>,
    at: usize,
    /// How many calls of this parser enclose what is being read.
    depth: u32,
}

/// A part of the tree.
struct Node {
    expression: Expression,
    /// The byte at which it begins.
    at: usize,
    /// Of the tree.
    height: u32,
}

type Parsed<T> = Result<T, SelectorError>;

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, start: usize) -> Parsed<Self> {
        let mut lexer = Lexer::new(text, start);
        let (at, token) = lexer.next()?;
        Ok(Self { lexer, token, at, depth: 0 })
    }

    /// All of the text.
    pub(super) fn condition(mut self) -> Parsed<Expression> {
        let node = self.or()?;
        if self.token != Token::End {
            return Err(self.expected("an operator or the end"));
        }
        Ok(self.truth(node)?.expression)
    }

    fn or(&mut self) -> Parsed<Node> {
        self.chain("OR", Self::and, Expression::Or)
    }

    fn and(&mut self) -> Parsed<Node> {
        self.chain("AND", Self::not, Expression::And)
    }

    fn chain(
        &mut self,
        keyword: &'static str,
        part: impl Fn(&mut Self) -> Parsed<Node>,
        of: impl Fn(Vec<Expression>) -> Expression,
    ) -> Parsed<Node> {
        let first = part(self)?;
        if self.token != Token::Keyword(keyword) {
            return Ok(first);
        }
        let Node { expression, at, mut height } = self.truth(first)?;
        let mut all = vec![expression];
        while self.take(&Token::Keyword(keyword))? {
            let next = part(self)?;
            let next = self.truth(next)?;
            height = height.max(next.height);
            all.push(next.expression);
        }
        self.node(of(all), at, height)
    }

    fn not(&mut self) -> Parsed<Node> {
        let at = self.at;
        if !self.take(&Token::Keyword("NOT"))? {
            return self.comparison();
        }
        let inner = self.nested(Self::not)?;
        let inner = self.truth(inner)?;
        self.node(Expression::Not(inner.expression.into()), at, inner.height)
    }

    fn comparison(&mut self) -> Parsed<Node> {
        let mut left = self.sum()?;
        loop {
            if let Some(how) = self.take_comparison()? {
                left = self.compared(left, how)?;
            } else if self.take(&Token::Keyword("IS"))? {
                left = self.null(left)?;
            } else {
                let is = !self.take(&Token::Keyword("NOT"))?;
                if self.take(&Token::Keyword("BETWEEN"))? {
                    left = self.between(is, left)?;
                } else if self.take(&Token::Keyword("IN"))? {
                    left = self.listed(is, left)?;
                } else if self.take(&Token::Keyword("LIKE"))? {
                    left = self.like(is, left)?;
                } else if is {
                    return Ok(left);
                } else {
                    return Err(self.expected("`BETWEEN`, `IN` or `LIKE` after `NOT`"));
                }
            }
        }
    }

    fn compared(&mut self, left: Node, how: Comparison) -> Parsed<Node> {
        let right = self.sum()?;
        if !matches!(how, Comparison::Equal | Comparison::NotEqual) {
            self.check_number(&left)?;
            self.check_number(&right)?;
        }
        let height = left.height.max(right.height);
        let sides = Box::new([left.expression, right.expression]);
        self.node(Expression::Comparison { how, sides }, left.at, height)
    }

    fn null(&mut self, left: Node) -> Parsed<Node> {
        let is = !self.take(&Token::Keyword("NOT"))?;
        self.expect(&Token::Keyword("NULL"), "`NULL` or `NOT NULL`")?;
        let what = self.identifier(&left, "an identifier before `IS`")?;
        self.node(Expression::Null { is, what }, left.at, 0)
    }

    fn listed(&mut self, is: bool, left: Node) -> Parsed<Node> {
        let what = self.identifier(&left, "an identifier before `IN`")?;
        let texts = self.texts()?;
        self.node(Expression::In { is, what, texts }, left.at, 0)
    }

    fn like(&mut self, is: bool, left: Node) -> Parsed<Node> {
        let what = self.identifier(&left, "an identifier before `LIKE`")?;
        let pattern = self.pattern()?;
        self.node(Expression::Like { is, what, pattern }, left.at, 0)
    }

    fn take_comparison(&mut self) -> Parsed<Option<Comparison>> {
        let how = match self.token {
            Token::Symbol("=") => Comparison::Equal,
            Token::Symbol("<>") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(how))
    }

    fn between(&mut self, is: bool, what: Node) -> Parsed<Node> {
        let low = self.sum()?;
        self.expect(&Token::Keyword("AND"), "`AND` between the bounds of `BETWEEN`")?;
        let high = self.sum()?;
        for part in [&what, &low, &high] {
            self.check_number(part)?;
        }
        let height = what.height.max(low.height).max(high.height);
        let parts = Box::new([what.expression, low.expression, high.expression]);
        self.node(Expression::Between { is, parts }, what.at, height)
    }

    fn texts(&mut self) -> Parsed<Box<[Arc<str>]>> {
        self.expect(&Token::Symbol("("), "`(` after `IN`")?;
        let mut texts = vec![self.text()?];
        while self.take(&Token::Symbol(","))? {
            texts.push(self.text()?);
        }
        self.expect(&Token::Symbol(")"), "`,` or `)`")?;
        Ok(texts.into())
    }

    fn pattern(&mut self) -> Parsed<Box<Pattern>> {
        let text = self.text()?;
        if !self.take(&Token::Keyword("ESCAPE"))? {
            return Ok(Pattern::new(text, None).into());
        }
        let (at, escape) = (self.at, self.text()?);
        let mut characters = escape.chars();
        match (characters.next(), characters.next()) {
            (Some(escape), None) => Ok(Pattern::new(text, Some(escape)).into()),
            _ => {
                let expected = "a text of one character after `ESCAPE`";
                Err(self.lexer.unexpected(at, expected, format!("'{escape}'")))
            }
        }
    }

    fn text(&mut self) -> Parsed<Arc<str>> {
        let Token::Text(text) = &self.token else { return Err(self.expected("a text in `'`")) };
        let text = text.clone();
        self.advance()?;
        Ok(text)
    }

    fn sum(&mut self) -> Parsed<Node> {
        let of = |token: &Token<'_>| match token {
            Token::Symbol("+") => Some(Arithmetic::Add),
            Token::Symbol("-") => Some(Arithmetic::Subtract),
            _ => None,
        };
        self.arithmetic(of, Self::product)
    }

    fn product(&mut self) -> Parsed<Node> {
        let of = |token: &Token<'_>| match token {
            Token::Symbol("*") => Some(Arithmetic::Multiply),
            Token::Symbol("/") => Some(Arithmetic::Divide),
            Token::Symbol("%") => Some(Arithmetic::Remainder),
            _ => None,
        };
        self.arithmetic(of, Self::unary)
    }

    fn arithmetic(
        &mut self,
        of: impl Fn(&Token<'_>) -> Option<Arithmetic>,
        part: impl Fn(&mut Self) -> Parsed<Node>,
    ) -> Parsed<Node> {
        let mut left = part(self)?;
        while let Some(how) = of(&self.token) {
            self.advance()?;
            let right = part(self)?;
            self.check_number(&left)?;
            self.check_number(&right)?;
            let height = left.height.max(right.height);
            let sides = Box::new([left.expression, right.expression]);
            left = self.node(Expression::Arithmetic { how, sides }, left.at, height)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Node> {
        let at = self.at;
        if self.take(&Token::Symbol("+"))? {
            let inner = self.nested(Self::unary)?;
            self.check_number(&inner)?;
            return Ok(Node { at, ..inner });
        }
        if !self.take(&Token::Symbol("-"))? {
            return self.primary();
        }
        // The least number has no positive one beside it.
        if let Token::Int(size) = self.token
            && let Some(number) = 0_i64.checked_sub_unsigned(size)
        {
            self.advance()?;
            return self.node(Expression::Literal(Literal::Int(number)), at, 0);
        }
        if let Token::Double(number) = self.token {
            self.advance()?;
            return self.node(Expression::Literal(Literal::Double(-number)), at, 0);
        }
        let inner = self.nested(Self::unary)?;
        self.check_number(&inner)?;
        self.node(Expression::Negative(inner.expression.into()), at, inner.height)
    }

    fn primary(&mut self) -> Parsed<Node> {
        let at = self.at;
        if self.take(&Token::Symbol("("))? {
            let inner = self.nested(Self::or)?;
            self.expect(&Token::Symbol(")"), "an operator or `)`")?;
            return Ok(Node { at, ..inner });
        }
        let literal = match &self.token {
            Token::Name(name) => {
                let name = *name;
                let expected = "an identifier that can be selected by";
                if name == "JMSDestination" {
                    return Err(self.expected(expected));
                }
                self.advance()?;
                return self.node(Expression::Identifier(Identifier::new(name)), at, 0);
            }
            Token::Int(size) => match i64::try_from(*size) {
                Ok(number) => Literal::Int(number),
                Err(_) => return Err(self.expected("a number that fits into 64 bits")),
            },
            Token::Double(number) => Literal::Double(*number),
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Keyword("TRUE") => Literal::Bool(true),
            Token::Keyword("FALSE") => Literal::Bool(false),
            _ => return Err(self.expected("a literal, an identifier or `(`")),
        };
        self.advance()?;
        self.node(Expression::Literal(literal), at, 0)
    }

    // ---- what is checked ------------------------------------------------------------------------

    fn truth(&self, node: Node) -> Parsed<Node> {
        self.check(&node, Kind::Truth, "a condition")?;
        Ok(node)
    }

    fn check_number(&self, node: &Node) -> Parsed<()> {
        self.check(node, Kind::Number, "a number or an identifier")
    }

    fn check(&self, node: &Node, wanted: Kind, expected: &'static str) -> Parsed<()> {
        match node.expression.kind() {
            Kind::Any => Ok(()),
            kind if kind == wanted => Ok(()),
            Kind::Number => Err(self.lexer.unexpected(node.at, expected, "a number".into())),
            Kind::Text => Err(self.lexer.unexpected(node.at, expected, "a text".into())),
            Kind::Truth => Err(self.lexer.unexpected(node.at, expected, "a condition".into())),
        }
    }

    fn identifier(&self, node: &Node, expected: &'static str) -> Parsed<Identifier> {
        match &node.expression {
            Expression::Identifier(identifier) => Ok(identifier.clone()),
            other => Err(self.lexer.unexpected(node.at, expected, format!("`{other}`"))),
        }
    }

    /// A node above one of that height.
    fn node(&self, expression: Expression, at: usize, height: u32) -> Parsed<Node> {
        if height >= MAX_DEPTH {
            return Err(SelectorError::TooDeep { column: self.lexer.column(at) });
        }
        Ok(Node { expression, at, height: height + 1 })
    }

    fn nested(&mut self, part: impl Fn(&mut Self) -> Parsed<Node>) -> Parsed<Node> {
        if self.depth >= MAX_DEPTH {
            return Err(SelectorError::TooDeep { column: self.lexer.column(self.at) });
        }
        self.depth += 1;
        let node = part(self);
        self.depth -= 1;
        node
    }

    // ---- words ----------------------------------------------------------------------------------

    fn advance(&mut self) -> Parsed<()> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    /// Passes over a word if it is the next. Whether it was.
    fn take(&mut self, token: &Token<'_>) -> Parsed<bool> {
        let is_next = self.token == *token;
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expect(&mut self, token: &Token<'_>, expected: &'static str) -> Parsed<()> {
        if self.take(token)? { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        self.lexer.unexpected(self.at, expected, self.token.describe())
    }
}
