//! Reading a statement word by word.
//!
//! Promises: unquoted words are upper case and no longer differ from quoted names; every refusal
//! names the word it stopped at.
//! Leaves to others: expressions and queries, which the SQL parser underneath reads.

use datafusion::sql::sqlparser::ast::{Expr, Query};
use datafusion::sql::sqlparser::dialect::SnowflakeDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use super::{Path, Point};
use crate::error::SqlError;

static DIALECT: SnowflakeDialect = SnowflakeDialect;

/// A statement being read.
pub(crate) struct Cursor {
    /// The parser underneath.
    pub(crate) parser: Parser<'static>,
}

impl Cursor {
    /// Starts at the first word of a statement.
    pub(crate) fn new(sql: &str) -> Result<Self, SqlError> {
        let tokens = Tokenizer::new(&DIALECT, sql).tokenize_with_location().map_err(SqlError::syntax)?;
        let mut placeholders = 0_usize;
        let mut operand = false;
        // Inside a path into JSON (`v:key.other[0]`) names keep their case.
        let mut path = false;
        let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
        for mut token in tokens {
            if matches!(token.token, Token::SemiColon | Token::EOF) {
                continue;
            }
            match &mut token.token {
                // Snowflake folds unquoted names to upper case; folding every word at once spares
                // every later reader the question.
                Token::Word(word) if word.quote_style.is_none() => {
                    let inside = read.last().map(|last| &last.token);
                    path &= matches!(inside, Some(Token::Colon | Token::Period));
                    if !path {
                        word.value = word.value.to_uppercase();
                    }
                }
                Token::Colon => path = operand,
                Token::Placeholder(mark) if mark == "?" => {
                    placeholders += 1;
                    *mark = format!("?{placeholders}");
                }
                Token::Number(number, _) => {
                    // `:1` is the first bind, unless the colon follows a value (a path into it).
                    if let Some(TokenWithSpan { token: Token::Colon, .. }) = read.last()
                        && !operand
                    {
                        let mark = format!("?{number}");
                        read.pop();
                        token.token = Token::Placeholder(mark);
                    }
                }
                _ => {}
            }
            if !matches!(token.token, Token::Whitespace(_) | Token::Colon) {
                operand = matches!(
                    &token.token,
                    Token::Word(Word { keyword: Keyword::NoKeyword, .. }) | Token::RParen | Token::RBracket
                ) || matches!(&token.token, Token::Word(word) if word.quote_style.is_some() || word.value == "VALUE");
            }
            read.push(token);
        }
        Ok(Self { parser: Parser::new(&DIALECT).with_tokens_with_locations(read) })
    }

    /// Whether everything was read.
    pub(crate) fn at_end(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::EOF)
    }

    /// Refuses what follows, if anything does.
    pub(crate) fn end(&mut self) -> Result<(), SqlError> {
        match self.at_end() {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// The error that names the next word.
    #[must_use]
    pub(crate) fn unexpected(&self) -> SqlError {
        let token = self.parser.peek_token_ref();
        let shown = match &token.token {
            Token::EOF => "<EOF>".to_owned(),
            other => other.to_string(),
        };
        SqlError::syntax(format!(
            "line {} at position {} unexpected '{shown}'",
            token.span.start.line,
            token.span.start.column.saturating_sub(1)
        ))
    }

    fn peek_is(&self, ahead: usize, text: &str) -> bool {
        match &self.parser.peek_nth_token_ref(ahead).token {
            Token::Word(word) => word.quote_style.is_none() && word.value == text,
            _ => false,
        }
    }

    /// Whether the next words are these.
    pub(crate) fn peek(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.peek_is(ahead, word))
    }

    /// Takes the next words if they are these.
    pub(crate) fn take(&mut self, words: &[&str]) -> bool {
        let found = self.peek(words);
        if found {
            for _ in words {
                self.parser.next_token();
            }
        }
        found
    }

    /// Takes the next word if it is one of these.
    pub(crate) fn take_any<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        words.iter().copied().find(|word| self.take(&[word]))
    }

    /// Takes these words or refuses.
    pub(crate) fn expect(&mut self, words: &[&str]) -> Result<(), SqlError> {
        match self.take(words) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// Takes a symbol if it comes next.
    pub(crate) fn symbol(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Takes a symbol or refuses.
    pub(crate) fn expect_symbol(&mut self, token: &Token) -> Result<(), SqlError> {
        match self.symbol(token) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// A name of one part.
    pub(crate) fn name(&mut self) -> Result<String, SqlError> {
        match &self.parser.peek_token_ref().token {
            Token::Word(word) => {
                let name = word.value.clone();
                self.parser.next_token();
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A name of up to three parts.
    pub(crate) fn path(&mut self) -> Result<Path, SqlError> {
        if self.peek(&["IDENTIFIER"]) && self.parser.peek_nth_token_ref(1).token == Token::LParen {
            self.parser.next_token();
            self.parser.next_token();
            let text = self.text()?;
            self.expect_symbol(&Token::RParen)?;
            return Cursor::new(&text)?.path();
        }
        let mut path = vec![self.name()?];
        while self.symbol(&Token::Period) {
            // `DB..T` is table T in DB.PUBLIC.
            if self.parser.peek_token_ref().token == Token::Period {
                path.push("PUBLIC".to_owned());
            } else {
                path.push(self.name()?);
            }
        }
        match path.len() {
            1..=3 => Ok(path),
            _ => Err(self.unexpected()),
        }
    }

    /// A string literal.
    pub(crate) fn text(&mut self) -> Result<String, SqlError> {
        match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
                let text = text.clone();
                self.parser.next_token();
                Ok(text)
            }
            Token::DollarQuotedString(text) => {
                let text = text.value.clone();
                self.parser.next_token();
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A whole number, perhaps negative.
    pub(crate) fn integer(&mut self) -> Result<i64, SqlError> {
        let negative = self.symbol(&Token::Minus);
        match &self.parser.peek_token_ref().token {
            Token::Number(digits, _) => {
                let number: i64 = digits.parse().map_err(|_| self.unexpected())?;
                self.parser.next_token();
                Ok(if negative { -number } else { number })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `[=] value`: a word, a string, a number or a list in parentheses, as text.
    pub(crate) fn option_value(&mut self) -> Result<String, SqlError> {
        self.symbol(&Token::Eq);
        let token = self.parser.next_token().token;
        match token {
            Token::Word(word) => Ok(word.value),
            Token::SingleQuotedString(text) => Ok(text),
            Token::DollarQuotedString(text) => Ok(text.value),
            Token::Number(digits, _) => Ok(digits),
            Token::Minus => Ok(format!("-{}", self.parser.next_token().token)),
            Token::LParen => {
                let mut text = String::new();
                loop {
                    match self.parser.next_token().token {
                        Token::RParen => return Ok(text),
                        Token::EOF => return Err(self.unexpected()),
                        other => text.push_str(&other.to_string()),
                    }
                }
            }
            _ => {
                self.parser.prev_token();
                Err(self.unexpected())
            }
        }
    }

    /// `NAME = value` pairs up to the end, commas between them allowed.
    pub(crate) fn options(&mut self) -> Result<Vec<(String, String)>, SqlError> {
        let mut options = Vec::new();
        while !self.at_end() {
            if self.symbol(&Token::Comma) {
                continue;
            }
            let name = self.name()?;
            options.push((name, self.option_value()?));
        }
        Ok(options)
    }

    /// IF NOT EXISTS.
    pub(crate) fn if_not_exists(&mut self) -> bool {
        self.take(&["IF", "NOT", "EXISTS"])
    }

    /// IF EXISTS.
    pub(crate) fn if_exists(&mut self) -> bool {
        self.take(&["IF", "EXISTS"])
    }

    /// `( name, … )`.
    pub(crate) fn names(&mut self) -> Result<Vec<String>, SqlError> {
        self.expect_symbol(&Token::LParen)?;
        let mut names = vec![self.name()?];
        while self.symbol(&Token::Comma) {
            names.push(self.name()?);
        }
        self.expect_symbol(&Token::RParen)?;
        Ok(names)
    }

    /// `AT|BEFORE ( kind => expression )`, if it comes next.
    pub(crate) fn point(&mut self) -> Result<Option<Point>, SqlError> {
        let Some(word) = self.take_any(&["AT", "BEFORE"]) else {
            return Ok(None);
        };
        self.expect_symbol(&Token::LParen)?;
        let kind = self.name()?;
        self.expect_symbol(&Token::RArrow)?;
        let value = self.expr()?;
        self.expect_symbol(&Token::RParen)?;
        Ok(Some(Point { before: word == "BEFORE", kind, value }))
    }

    /// An expression.
    pub(crate) fn expr(&mut self) -> Result<Expr, SqlError> {
        self.parser.parse_expr().map_err(SqlError::syntax)
    }

    /// A query, parentheses around it allowed.
    pub(crate) fn query(&mut self) -> Result<Box<Query>, SqlError> {
        self.parser.parse_query().map_err(SqlError::syntax)
    }
}
