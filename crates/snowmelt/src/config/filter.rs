//! `tables[].filter`: which rows of a table are captured.
//!
//! The filter is SQL that a person writes and the publisher puts into its own statement, in parentheses. Promises:
//! what passes here stays inside them (no statement ends, no comment begins, no parenthesis is closed that was not
//! opened) and looks at nothing but the row itself. That is what makes a filtered table's changes follow from the
//! table's: a filter that went by the clock, the session or another table would let rows come and go without any
//! change of theirs, and no stream would tell. So functions are taken from a list of those that always give equal
//! results for equal arguments. Whether the columns exist and the types fit is for Snowflake to say, which `check` asks.

use super::problem::Refusal;

/// A condition on one row, in Snowflake's SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

/// Functions that go by their arguments alone.
const FUNCTIONS: &[&str] = &[
    "ABS",
    "ARRAY_CONTAINS",
    "ARRAY_SIZE",
    "ASCII",
    "BITAND",
    "BITOR",
    "BITXOR",
    "BOOLAND",
    "BOOLNOT",
    "BOOLOR",
    "BOOLXOR",
    "CAST",
    "CEIL",
    "CEILING",
    "CHARINDEX",
    "CHAR_LENGTH",
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "CONTAINS",
    "DATEADD",
    "DATEDIFF",
    "DATE_FROM_PARTS",
    "DATE_PART",
    "DATE_TRUNC",
    "DAY",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "DECODE",
    "DIV0",
    "DIV0NULL",
    "EDITDISTANCE",
    "ENDSWITH",
    "EQUAL_NULL",
    "FLOOR",
    "GET",
    "GET_PATH",
    "GREATEST",
    "HEX_ENCODE",
    "HOUR",
    "IFF",
    "IFNULL",
    "ILIKE",
    "INSERT",
    "IS_NULL_VALUE",
    "LAST_DAY",
    "LEAST",
    "LEFT",
    "LEN",
    "LENGTH",
    "LIKE",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MD5",
    "MINUTE",
    "MOD",
    "MONTH",
    "NULLIF",
    "NVL",
    "NVL2",
    "OCTET_LENGTH",
    "PARSE_JSON",
    "POSITION",
    "POWER",
    "QUARTER",
    "REGEXP",
    "REGEXP_COUNT",
    "REGEXP_INSTR",
    "REGEXP_LIKE",
    "REGEXP_REPLACE",
    "REGEXP_SUBSTR",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "RLIKE",
    "ROUND",
    "RPAD",
    "RTRIM",
    "SECOND",
    "SHA1",
    "SHA2",
    "SIGN",
    "SPLIT",
    "SPLIT_PART",
    "SQRT",
    "SQUARE",
    "STARTSWITH",
    "STRTOK",
    "SUBSTR",
    "SUBSTRING",
    "TIMESTAMP_FROM_PARTS",
    "TIME_FROM_PARTS",
    "TO_BOOLEAN",
    "TO_CHAR",
    "TO_DATE",
    "TO_DECIMAL",
    "TO_DOUBLE",
    "TO_NUMBER",
    "TO_NUMERIC",
    "TO_TIME",
    "TO_TIMESTAMP",
    "TO_TIMESTAMP_LTZ",
    "TO_TIMESTAMP_NTZ",
    "TO_TIMESTAMP_TZ",
    "TO_VARCHAR",
    "TRANSLATE",
    "TRIM",
    "TRUNC",
    "TRUNCATE",
    "TRY_CAST",
    "TRY_PARSE_JSON",
    "TRY_TO_BOOLEAN",
    "TRY_TO_DATE",
    "TRY_TO_DECIMAL",
    "TRY_TO_DOUBLE",
    "TRY_TO_NUMBER",
    "TRY_TO_NUMERIC",
    "TRY_TO_TIME",
    "TRY_TO_TIMESTAMP",
    "TYPEOF",
    "UPPER",
    "WEEK",
    "YEAR",
    "ZEROIFNULL",
];

/// Words that may stand before a parenthesis without being a function's name.
const BEFORE_PARENTHESES: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "BETWEEN",
    "BINARY",
    "CASE",
    "CHAR",
    "DECIMAL",
    "ELSE",
    "ESCAPE",
    "FROM",
    "IN",
    "IS",
    "NOT",
    "NUMBER",
    "NUMERIC",
    "OR",
    "STRING",
    "TEXT",
    "THEN",
    "TIME",
    "TIMESTAMP_LTZ",
    "TIMESTAMP_NTZ",
    "TIMESTAMP_TZ",
    "VARCHAR",
    "WHEN",
];

/// Words that reach beyond the row.
const BEYOND_THE_ROW: &[&str] = &[
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "EXISTS",
    "JOIN",
    "LATERAL",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NEXTVAL",
    "OVER",
    "QUALIFY",
    "SELECT",
    "SYSDATE",
    "SYSTIMESTAMP",
    "TABLE",
    "UNION",
    "WITH",
];

const ROW_ALONE: &str = "write a condition on the row's own columns, with functions that give equal results for equal \
                         arguments; what depends on time belongs into a column";

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// It could leave its parentheses, or looks at more than the row.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Refusal::new("is empty", "write a condition such as \"REGION = 'EU'\", or remove it"));
        }
        Scan { rest: text, open: Vec::new(), word: None, joined: false }.run()?;
        Ok(Self(text.to_owned()))
    }

    /// The condition as it is put into parentheses.
    pub fn as_sql(&self) -> &str {
        &self.0
    }
}

/// A pass over the text, token by token, as Snowflake splits it.
struct Scan<'t> {
    rest: &'t str,
    /// Closers that are due.
    open: Vec<char>,
    /// The unquoted word right before, in upper case.
    word: Option<String>,
    /// Whether what comes directly before ends a value, so that a `:` can be a path into it.
    joined: bool,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Refusal> {
        const NO_COMMENTS: &str = "remove the comment: it could hide what follows it in the publisher's statement";
        while let Some(c) = self.rest.chars().next() {
            if let Some(comment) = ["--", "//", "/*", "*/"].iter().find(|mark| self.rest.starts_with(**mark)) {
                return Err(Refusal::new(format!("has a comment in it ({comment})"), NO_COMMENTS));
            }
            match c {
                '\'' => self.literal()?,
                '"' => self.quoted()?,
                c if c.is_ascii_alphabetic() || c == '_' => self.unquoted()?,
                c if c.is_ascii_digit() => {
                    let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
                    self.step(end.unwrap_or(self.rest.len()), true);
                }
                c if c.is_whitespace() => {
                    self.rest = &self.rest[c.len_utf8()..];
                    self.joined = false;
                }
                '(' | '[' => self.opened(c)?,
                ')' | ']' => {
                    if self.open.pop() != Some(c) {
                        return Err(Refusal::new(
                            format!("closes a {c:?} that it did not open"),
                            "balance the parentheses inside the filter",
                        ));
                    }
                    self.step(1, true);
                }
                ':' if self.rest.starts_with("::") => self.step(2, false),
                ':' if self.joined => self.step(1, false),
                '=' | '<' | '>' | '!' | '+' | '-' | '*' | '/' | '%' | '|' | ',' | '.' => self.step(1, false),
                ';' => {
                    return Err(Refusal::new(
                        "has a \";\" in it, which ends a statement",
                        "write one condition, without \";\"",
                    ));
                }
                c => {
                    return Err(Refusal::new(
                        format!("has {c:?} in it, which a condition on a row does not need"),
                        ROW_ALONE,
                    ));
                }
            }
        }
        if let Some(wanted) = self.open.pop() {
            return Err(Refusal::new(format!("lacks a {wanted:?}"), "balance the parentheses inside the filter"));
        }
        if self.word.as_deref().is_some_and(|word| ["AND", "OR", "NOT"].contains(&word)) {
            return Err(Refusal::new("ends in the middle of a condition", "complete it"));
        }
        Ok(())
    }

    fn step(&mut self, bytes: usize, joined: bool) {
        self.rest = &self.rest[bytes..];
        (self.word, self.joined) = (None, joined);
    }

    /// A text literal: both a doubled quote and a backslash keep it open.
    fn literal(&mut self) -> Result<(), Refusal> {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '\'' if chars.next_if(|(_, next)| *next == '\'').is_none() => {
                    self.step(at + 1, true);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Refusal::new("has a text that is not closed", "close it with '"))
    }

    fn quoted(&mut self) -> Result<(), Refusal> {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '"' && chars.next_if(|(_, next)| *next == '"').is_none() {
                own_column(&self.rest[1..at])?;
                self.step(at + 1, true);
                // A quoted name before a parenthesis is a function of somebody's own.
                self.word = self.rest.trim_start().starts_with('(').then(String::new);
                return Ok(());
            }
        }
        Err(Refusal::new("has a quoted name that is not closed", "close it with a double quote"))
    }

    fn unquoted(&mut self) -> Result<(), Refusal> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$')));
        let end = end.unwrap_or(self.rest.len());
        let word = self.rest[..end].to_ascii_uppercase();
        own_column(&word)?;
        if BEYOND_THE_ROW.contains(&word.as_str()) {
            return Err(Refusal::new(format!("has {word} in it, which is more than the row"), ROW_ALONE));
        }
        self.step(end, true);
        self.word = Some(word);
        Ok(())
    }

    fn opened(&mut self, c: char) -> Result<(), Refusal> {
        if c == '('
            && let Some(word) = &self.word
            && !FUNCTIONS.contains(&word.as_str())
            && !BEFORE_PARENTHESES.contains(&word.as_str())
        {
            let what = if word.is_empty() { "a function with a quoted name" } else { word };
            return Err(Refusal::new(
                format!("calls {what}, which is not among the functions that are known to go by their arguments alone"),
                ROW_ALONE,
            ));
        }
        self.open.push(if c == '(' { ')' } else { ']' });
        self.step(1, false);
        Ok(())
    }
}

/// The stream's and the staging table's own columns say how a row is read, not what it is.
fn own_column(name: &str) -> Result<(), Refusal> {
    let upper = name.to_ascii_uppercase();
    if upper.starts_with("METADATA$") || upper.starts_with("SNOWMELT$") {
        return Err(Refusal::new(
            format!("goes by {upper}, which belongs to the stream and not to the row"),
            "use the table's own columns",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_on_the_row_is_taken_as_it_stands() {
        for text in [
            "REGION = 'EU'",
            "REGION IN ('EU', 'it''s', 'back\\'slash') AND NOT (TEST OR \"odd \"\" name\" IS NULL)",
            "doc:a.b[0]::number > 1.5e3 AND doc['x']:y IS NOT DISTINCT FROM NULL",
            "CASE WHEN A >= 1 THEN TRUE ELSE COALESCE(B, FALSE) END",
            "NAME LIKE ANY ('a%', 'b%') AND LENGTH(TRIM(NAME)) BETWEEN (1) AND 9 AND CAST(N AS NUMBER(9,2)) <> -1",
            "PLACED >= '2024-01-01'::TIMESTAMP_NTZ(9) AND DATE_TRUNC('MONTH', PLACED) != TO_DATE('2024-02-01')",
            "NOTE = '; -- /* SELECT CURRENT_TIMESTAMP() METADATA$ACTION ('",
            "A$B = 1 AND \"SELECT\" = 2",
        ] {
            assert_eq!(Filter::parse(text).map(|filter| filter.as_sql().to_owned()).as_deref(), Ok(text), "{text}");
        }
        assert_eq!(Filter::parse("\n  A = 1 ").unwrap().as_sql(), "A = 1");
    }

    #[test]
    fn what_leaves_its_parentheses_or_the_row_is_refused() {
        for (text, reason) in [
            ("", "is empty"),
            ("A = 1; DROP TABLE T", "has a \";\""),
            ("A = 1) OR (1 = 1", "closes a ')' that it did not open"),
            ("A = [1)", "closes a ')'"),
            ("(A = 1", "lacks a ')'"),
            ("A = 1 -- x", "has a comment in it (--)"),
            ("A = 1 // x", "has a comment in it (//)"),
            ("A = 1 /* x", "has a comment in it (/*)"),
            ("A = 'x", "has a text that is not closed"),
            // To a reader that does not know the backslash this text ends one quote earlier.
            ("A = 'x\\' OR B = ' ) OR (1=1", "closes a ')'"),
            ("A = 'x\\'", "has a text that is not closed"),
            ("\"A = 1", "has a quoted name that is not closed"),
            ("METADATA$ACTION = 'INSERT'", "goes by METADATA$ACTION"),
            ("\"METADATA$ISUPDATE\"", "goes by METADATA$ISUPDATE"),
            ("t.metadata$row_id = 'x'", "goes by METADATA$ROW_ID"),
            ("SNOWMELT$PHASE = 1", "goes by SNOWMELT$PHASE"),
            ("SEEN > CURRENT_TIMESTAMP()", "has CURRENT_TIMESTAMP in it"),
            ("SEEN > current_date", "has CURRENT_DATE in it"),
            ("SEEN > GETDATE()", "calls GETDATE"),
            ("RANDOM() > 0", "calls RANDOM"),
            ("UUID_STRING() = A", "calls UUID_STRING"),
            ("MY.OWN_FUNCTION(A)", "calls OWN_FUNCTION"),
            ("\"Own\" (A)", "calls a function with a quoted name"),
            ("COUNT(*) > 1", "calls COUNT"),
            ("A IN (SELECT A FROM B)", "has SELECT in it"),
            ("EXISTS (B)", "has EXISTS in it"),
            ("A > S.NEXTVAL", "has NEXTVAL in it"),
            ("SUM(A) OVER () > 1", "calls SUM"),
            ("A = $session_variable", "has '$' in it"),
            ("A = $$text$$", "has '$' in it"),
            ("A = ?", "has '?' in it"),
            ("A = :bind", "has ':' in it"),
            ("A = 1 AND", "ends in the middle"),
            ("A = `x`", "has '`' in it"),
            ("A = @stage", "has '@' in it"),
            ("Ä = 1", "has 'Ä' in it"),
        ] {
            let refused = Filter::parse(text).unwrap_err();
            assert!(refused.reason.starts_with(reason), "{text}: {refused:?}");
            assert!(!refused.remedy.is_empty());
        }
    }
}
