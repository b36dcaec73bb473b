//! From Snowflake's SQL to the engine's: names resolved, special forms spelled out.
//!
//! Promises: after it a query holds no name the engine has to look up except columns, CTEs and the
//! relations its host registered; every cast is the simulator's own; every column has the name
//! Snowflake gives it.
//! Leaves to others: what relations are (its [`Host`]), planning (`plan`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, JsonPathElem, ObjectName, ObjectNamePart, Query, Select,
    SelectItem, TableFactor, TableVersion, Value, VisitMut, VisitorMut,
};

use super::function::cast::{CAST, TRY_CAST};
use super::function::random::SEQUENCE;
use super::{Path, snow_type};
use crate::error::SqlError;

/// What a query's surroundings know.
pub(crate) trait Host {
    /// Registers the relation of a name and gives the name to use instead.
    fn relation(&mut self, path: &Path, version: Option<&TableVersion>) -> Result<Path, SqlError>;
    /// Registers a source of that many empty rows.
    fn generator(&mut self, rows: u64) -> Path;
    /// The value of a function of the session (CURRENT_ROLE …) or of the account (SYSTEM$…).
    fn session_function(&mut self, name: &str, arguments: &[Expr]) -> Result<Option<Expr>, SqlError>;
    /// The value of the bind of that number, from 1.
    fn bind(&self, number: usize) -> Result<Expr, SqlError>;
    /// The value of a session variable.
    fn variable(&self, name: &str) -> Result<Expr, SqlError>;
}

/// Rewrites a query (or any part of a statement) in place.
pub(crate) fn rewrite<T: VisitMut>(tree: &mut T, host: &mut dyn Host) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { host, ctes: Vec::new() };
    match tree.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewriter<'a> {
    host: &'a mut dyn Host,
    ctes: Vec<String>,
}

fn flow(result: Result<(), SqlError>) -> ControlFlow<SqlError> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        name_columns(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        flow(self.table_factor(factor))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        flow(self.before(expr))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        flow(self.after(expr))
    }
}

/// Marks a column whose name another column of the same list has already: the engine insists on different names,
/// Snowflake does not. A result shows the name up to the mark.
pub(crate) const AGAIN: char = '\u{1}';

/// Gives columns that have no alias the name Snowflake shows: their text in upper case. Of columns
/// with the same name the later ones get a mark (dropped again from the result) that makes them
/// differ for the engine.
fn name_columns(select: &mut Select) {
    let mut seen: Vec<String> = Vec::new();
    for item in &mut select.projection {
        let (expr, name) = match &*item {
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Value(value) => value.to_string(),
                    Expr::Identifier(name) => name.value.clone(),
                    Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()).unwrap_or_default(),
                    other => other.to_string().to_uppercase(),
                };
                (expr.clone(), name)
            }
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.value.clone()),
            _ => continue,
        };
        let repeated = seen.iter().filter(|earlier| **earlier == name).count();
        let column = matches!(&*item, SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        let alias = match repeated {
            0 => name.clone(),
            _ => format!("{name}{AGAIN}{repeated}"),
        };
        seen.push(name);
        if repeated > 0 || !column {
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
        }
    }
}

/// A call of a function.
#[must_use]
pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A text literal.
#[must_use]
pub(crate) fn text(text: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.into()).into())
}

/// `CAST(expr AS ty)`.
#[must_use]
pub(crate) fn cast(expr: Expr, ty: impl std::fmt::Display) -> Expr {
    call(CAST, vec![expr, text(ty.to_string())])
}

/// A name as the parser holds it.
#[must_use]
pub(crate) fn object_name(path: &[String]) -> ObjectName {
    let part = |name: &String| ObjectNamePart::Identifier(Ident::with_quote('"', name));
    ObjectName(path.iter().map(part).collect())
}

/// The parts of a parsed name.
pub(crate) fn path_of(name: &ObjectName) -> Result<Path, SqlError> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) if ident.value.is_empty() => Ok("PUBLIC".to_owned()),
            ObjectNamePart::Identifier(ident) => Ok(ident.value.clone()),
            ObjectNamePart::Function(function) => Err(SqlError::unsupported(&function.name)),
        })
        .collect()
}

fn case(whens: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: whens.into_iter().map(|(condition, result)| CaseWhen { condition, result }).collect(),
        else_result: otherwise.map(Box::new),
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

fn boxed(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

impl Rewriter<'_> {
    fn table_factor(&mut self, factor: &mut TableFactor) -> Result<(), SqlError> {
        match factor {
            TableFactor::Table { name, version, args, .. } => {
                if args.is_some() {
                    return Err(SqlError::unknown_function(name));
                }
                let path = path_of(name)?;
                if let [only] = path.as_slice()
                    && self.ctes.contains(only)
                {
                    return Ok(());
                }
                *name = object_name(&self.host.relation(&path, version.as_ref())?);
                *version = None;
                Ok(())
            }
            TableFactor::TableFunction { expr, alias } => {
                let rows = generator_rows(expr)?;
                let alias = alias.clone();
                let mut table = TableFactor::Table {
                    name: object_name(&self.host.generator(rows)),
                    alias: None,
                    args: None,
                    with_hints: Vec::new(),
                    version: None,
                    with_ordinality: false,
                    partitions: Vec::new(),
                    json_path: None,
                    sample: None,
                    index_hints: Vec::new(),
                };
                if let TableFactor::Table { alias: place, .. } = &mut table {
                    *place = alias;
                }
                *factor = table;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What must be seen before the arguments are.
    fn before(&mut self, expr: &mut Expr) -> Result<(), SqlError> {
        match expr {
            // A number with an exponent is a FLOAT.
            Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits.contains(['e', 'E'])) => {
                *expr = cast(text(value.to_string()), "FLOAT");
            }
            Expr::Value(value) => {
                if let Value::Placeholder(mark) = &value.value {
                    *expr = match mark.strip_prefix('?') {
                        Some(number) => {
                            let number = number.parse().map_err(|_| SqlError::unexpected(mark))?;
                            self.host.bind(number)?
                        }
                        None => self.host.variable(mark.trim_start_matches('$'))?,
                    };
                }
            }
            Expr::Function(function) => {
                let name = path_of(&function.name)?.join(".");
                let lower = name.to_lowercase();
                // DATEADD's unit is a bare word, not a column.
                if ["dateadd", "timestampadd", "datediff", "timestampdiff", "date_trunc", "date_part"]
                    .contains(&lower.as_str())
                    && let FunctionArguments::List(list) = &mut function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut()
                    && let Expr::Identifier(word) = first
                {
                    *first = text(word.value.to_lowercase());
                }
                let arguments = arguments(function)?;
                if let Some(value) = self.host.session_function(&name, &arguments)? {
                    *expr = value;
                }
            }
            // Words that are functions without parentheses.
            Expr::Identifier(word) if word.quote_style.is_none() => {
                let words = ["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "CURRENT_ROLE"];
                if words.contains(&word.value.as_str())
                    && let Some(value) = self.host.session_function(&word.value.clone(), &[])?
                {
                    *expr = value;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, expr: &mut Expr) -> Result<(), SqlError> {
        let replacement = match expr {
            Expr::Cast { kind, expr: inner, data_type, .. } => {
                let ty = snow_type(data_type)?;
                let name = match kind {
                    CastKind::TryCast | CastKind::SafeCast => TRY_CAST,
                    CastKind::Cast | CastKind::DoubleColon => CAST,
                };
                call(name, vec![boxed(inner), text(ty.to_string())])
            }
            Expr::TypedString(typed) => {
                let value = Expr::Value(typed.value.clone());
                cast(value, snow_type(&typed.data_type)?)
            }
            Expr::Between { expr: inner, negated, low, high } => {
                let value = inner.as_ref().clone();
                let (low, high) = (boxed(low), boxed(high));
                if *negated {
                    let below = binary(value.clone(), BinaryOperator::Lt, low);
                    binary(below, BinaryOperator::Or, binary(value, BinaryOperator::Gt, high))
                } else {
                    let above = binary(value.clone(), BinaryOperator::GtEq, low);
                    binary(above, BinaryOperator::And, binary(value, BinaryOperator::LtEq, high))
                }
            }
            Expr::JsonAccess { value, path } => {
                let mut arguments = vec![boxed(value)];
                for step in &path.path {
                    arguments.push(match step {
                        JsonPathElem::Dot { key, .. } => text(key.clone()),
                        JsonPathElem::Bracket { key } => match key {
                            Expr::Value(value) => text(value.to_string().trim_matches('\'').to_owned()),
                            other => other.clone(),
                        },
                        other => return Err(SqlError::unsupported(format!("{other:?} in a path"))),
                    });
                }
                call("snow$path", arguments)
            }
            Expr::Ceil { expr: inner, field } | Expr::Floor { expr: inner, field } => {
                let mut arguments = vec![boxed(inner)];
                match field {
                    CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {}
                    CeilFloorKind::Scale(scale) => arguments.push(Expr::Value(scale.clone())),
                    CeilFloorKind::DateTimeField(other) => return Err(SqlError::unsupported(other)),
                }
                let name = if matches!(expr, Expr::Ceil { .. }) { "ceil" } else { "floor" };
                call(name, arguments)
            }
            Expr::Substring { expr: inner, substring_from, substring_for, .. } => {
                let mut arguments = vec![boxed(inner)];
                arguments.extend(substring_from.iter_mut().chain(substring_for.iter_mut()).map(|part| boxed(part)));
                call("substr", arguments)
            }
            Expr::Trim { expr: inner, trim_what, trim_characters, trim_where, .. } => {
                use datafusion::sql::sqlparser::ast::TrimWhereField;
                let mut arguments = vec![boxed(inner)];
                arguments.extend(trim_what.iter_mut().map(|part| boxed(part)));
                arguments.extend(trim_characters.iter().flatten().cloned());
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "trim",
                };
                call(name, arguments)
            }
            Expr::Position { expr: what, r#in } => call("charindex", vec![boxed(what), boxed(r#in)]),
            Expr::Extract { field, expr: inner, .. } => {
                call("date_part", vec![text(field.to_string().to_lowercase()), boxed(inner)])
            }
            Expr::Function(function) => match self.function(function)? {
                Some(replacement) => replacement,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        *expr = replacement;
        Ok(())
    }

    fn function(&mut self, function: &mut Function) -> Result<Option<Expr>, SqlError> {
        let name = path_of(&function.name)?.join(".").to_lowercase();
        if function.over.is_some() {
            return Ok(None);
        }
        let mut a = arguments(function)?;
        let wrong =
            || SqlError::compilation(format!("wrong number of arguments for function [{}]", name.to_uppercase()));
        let mut take = |index: usize| a.get_mut(index).map(boxed).ok_or_else(wrong);
        let null = || Expr::Value(Value::Null.into());
        Ok(Some(match name.as_str() {
            "iff" => case(vec![(take(0)?, take(1)?)], Some(take(2)?)),
            "nvl" | "ifnull" => call("coalesce", vec![take(0)?, take(1)?]),
            "nvl2" => {
                let present = Expr::IsNotNull(Box::new(take(0)?));
                case(vec![(present, take(1)?)], Some(take(2)?))
            }
            "zeroifnull" => call("coalesce", vec![take(0)?, Expr::Value(Value::Number("0".to_owned(), false).into())]),
            "nullifzero" => call("nullif", vec![take(0)?, Expr::Value(Value::Number("0".to_owned(), false).into())]),
            "equal_null" => Expr::Nested(Box::new(Expr::IsNotDistinctFrom(Box::new(take(0)?), Box::new(take(1)?)))),
            "decode" => {
                let value = take(0)?;
                let mut whens = Vec::new();
                let mut at = 1;
                while a.len() > at + 1 {
                    let same = Expr::IsNotDistinctFrom(Box::new(value.clone()), Box::new(boxed(&mut a[at])));
                    whens.push((Expr::Nested(Box::new(same)), boxed(&mut a[at + 1])));
                    at += 2;
                }
                let otherwise = a.get_mut(at).map(boxed);
                case(whens, otherwise.or_else(|| Some(null())))
            }
            "timestampadd" => call("dateadd", a),
            "timestampdiff" => call("datediff", a),
            "year" | "month" | "day" | "hour" | "minute" | "second" | "quarter" | "dayofweek" | "dayofyear"
            | "dayofmonth" => call("date_part", vec![text(name.clone()), take(0)?]),
            "get_path" => {
                let value = take(0)?;
                let path = match take(1)? {
                    Expr::Value(path) => path.to_string(),
                    other => return Err(SqlError::unsupported(format!("GET_PATH with a computed path {other}"))),
                };
                let steps = path.trim_matches('\'').replace(['[', ']'], ".");
                let steps = steps.split('.').filter(|step| !step.is_empty()).map(text);
                call("snow$path", std::iter::once(value).chain(steps).collect())
            }
            "ceiling" => call("ceil", a),
            "truncate" => call("trunc", a),
            "pow" => call("power", a),
            "position" => call("charindex", a),
            "concat" => {
                let mut joined = take(0)?;
                for part in a.iter_mut().skip(1) {
                    joined = call("snow$concat", vec![joined, boxed(part)]);
                }
                joined
            }
            "seq1" | "seq2" | "seq4" | "seq8" => call(SEQUENCE, Vec::new()),
            "count_if" => {
                call("count", vec![call("nullif", vec![take(0)?, Expr::Value(Value::Boolean(false).into())])])
            }
            "to_char" | "to_varchar" => match a.len() {
                2 => call("snow$formatted", a),
                _ => return conversion(&name, &mut a),
            },
            _ => match conversion(&name, &mut a)? {
                Some(cast) => cast,
                None => return Ok(None),
            },
        }))
    }
}

/// TO_x and TRY_TO_x as casts.
fn conversion(name: &str, a: &mut [Expr]) -> Result<Option<Expr>, SqlError> {
    let (function, rest) = match name.strip_prefix("try_") {
        Some(rest) => (TRY_CAST, rest),
        None => (CAST, name),
    };
    let number = |expr: &Expr| match expr {
        Expr::Value(value) => value.to_string().parse::<u32>().ok(),
        _ => None,
    };
    let extra: Vec<Option<u32>> = a.iter().skip(1).map(number).collect();
    let ty = match (rest, extra.as_slice()) {
        ("to_number" | "to_decimal" | "to_numeric", []) => "NUMBER(38,0)".to_owned(),
        ("to_number" | "to_decimal" | "to_numeric", [Some(p)]) => format!("NUMBER({p},0)"),
        ("to_number" | "to_decimal" | "to_numeric", [Some(p), Some(s)]) => format!("NUMBER({p},{s})"),
        ("to_double", []) => "FLOAT".to_owned(),
        ("to_boolean", []) => "BOOLEAN".to_owned(),
        ("to_char" | "to_varchar", []) => "VARCHAR".to_owned(),
        ("to_date" | "date", []) => "DATE".to_owned(),
        ("to_time" | "time", []) => "TIME".to_owned(),
        ("to_timestamp" | "to_timestamp_ntz", []) => "TIMESTAMP_NTZ".to_owned(),
        ("to_timestamp_ltz", []) => "TIMESTAMP_LTZ".to_owned(),
        ("to_timestamp_tz", []) => "TIMESTAMP_TZ".to_owned(),
        ("to_timestamp" | "to_timestamp_ntz" | "to_timestamp_ltz" | "to_timestamp_tz", [Some(scale @ 0..=9)]) => {
            // A number of 10^-scale seconds.
            let unit = 10_u64.pow(*scale).to_string();
            let unit = cast(text(unit), "NUMBER(38,0)");
            let value = cast(boxed(&mut a[0]), "NUMBER(38,9)");
            a[0] = call("snow$divide", vec![value, unit]);
            match rest {
                "to_timestamp_ltz" => "TIMESTAMP_LTZ".to_owned(),
                "to_timestamp_tz" => "TIMESTAMP_TZ".to_owned(),
                _ => "TIMESTAMP_NTZ".to_owned(),
            }
        }
        ("to_variant", []) => "VARIANT".to_owned(),
        ("to_object", []) => "OBJECT".to_owned(),
        ("to_array", []) => "ARRAY".to_owned(),
        ("to_geography", []) => "GEOGRAPHY".to_owned(),
        ("to_geometry", []) => "GEOMETRY".to_owned(),
        (
            "to_number" | "to_decimal" | "to_numeric" | "to_char" | "to_varchar" | "to_date" | "to_time"
            | "to_timestamp" | "to_timestamp_ntz" | "to_timestamp_ltz" | "to_timestamp_tz",
            [_, ..],
        ) => {
            return Err(SqlError::unsupported(format!("{} with a format", name.to_uppercase())));
        }
        _ => return Ok(None),
    };
    match a.first_mut() {
        Some(value) => Ok(Some(call(function, vec![boxed(value), text(ty)]))),
        None => Err(SqlError::compilation(format!("wrong number of arguments for function [{}]", name.to_uppercase()))),
    }
}

/// A call's plain arguments; `*` and subqueries give none.
fn arguments(function: &Function) -> Result<Vec<Expr>, SqlError> {
    let FunctionArguments::List(list) = &function.args else {
        return Ok(Vec::new());
    };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(Ok(expr.clone())),
            FunctionArg::Unnamed(_) => None,
            FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. } => Some(Ok(expr.clone())),
            other => Some(Err(SqlError::unsupported(other))),
        })
        .collect()
}

/// The row count of `GENERATOR(ROWCOUNT => n)`.
fn generator_rows(expr: &Expr) -> Result<u64, SqlError> {
    let refuse = || SqlError::unsupported(format!("TABLE({expr})"));
    let Expr::Function(function) = expr else {
        return Err(refuse());
    };
    if !function.name.to_string().eq_ignore_ascii_case("generator") {
        return Err(SqlError::unknown_function(&function.name));
    }
    let FunctionArguments::List(list) = &function.args else {
        return Err(refuse());
    };
    match list.args.as_slice() {
        [FunctionArg::Named { name, arg: FunctionArgExpr::Expr(rows), .. }] if name.value == "ROWCOUNT" => {
            rows.to_string().parse().map_err(|_| refuse())
        }
        [FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(rows), .. }] if name.to_string() == "ROWCOUNT" => {
            rows.to_string().parse().map_err(|_| refuse())
        }
        _ => Err(refuse()),
    }
}
