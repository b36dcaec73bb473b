//! A row, or the key of a row, as a JSON object.
//!
//! The columns' names are escaped once, with everything that stands between two values, so that
//! writing a row is copying names and formatting cells.

use super::json::{self, Style};
use super::{BinaryForm, EncoderOptions, Numbers, Refusal, VariantForm};
use crate::change::RowRef;
use crate::source::value::{Column, DataType};

/// Some columns of a row, in order.
#[derive(Debug)]
pub(super) struct Image {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    column: usize,
    /// `{"NAME":` or `,"NAME":`.
    prefix: Box<[u8]>,
    style: Style,
}

impl Image {
    /// An image of the columns with these indices, of which there is at least one in a key.
    pub(super) fn new(options: &EncoderOptions, columns: &[Column], indices: &[usize]) -> Self {
        let field = |(place, &column): (usize, &usize)| {
            let mut prefix = vec![if place == 0 { b'{' } else { b',' }];
            json::string(&mut prefix, &columns[column].name);
            prefix.push(b':');
            let style = style(options, columns[column].ty);
            Field { column, prefix: prefix.into(), style }
        };
        Self { fields: indices.iter().enumerate().map(field).collect() }
    }

    /// Each column's index, its `"NAME":`, and how its cells are written.
    pub(super) fn fields(&self) -> impl Iterator<Item = (usize, &[u8], Style)> {
        self.fields.iter().map(|field| (field.column, field.prefix.get(1..).unwrap_or_default(), field.style))
    }

    pub(super) fn write(&self, row: &RowRef, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.fields.is_empty() {
            out.push(b'{');
        }
        for field in &self.fields {
            out.extend_from_slice(&field.prefix);
            json::value(out, row.value(field.column), field.style)
                .map_err(|reason| Refusal { column: field.column, reason })?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// How the cells of a column are written.
pub(super) fn style(options: &EncoderOptions, ty: DataType) -> Style {
    /// Digits that any 64-bit integer has room for.
    const LONG_DIGITS: u8 = 18;
    let number = match (options.numbers, ty) {
        (Numbers::Number, _) => true,
        (Numbers::Auto, DataType::Fixed { precision, scale: 0 }) => !options.inline_schema || precision <= LONG_DIGITS,
        (Numbers::Auto | Numbers::String, _) => false,
    };
    Style { number, raw_variant: options.variant == VariantForm::Json, hex: options.binary == BinaryForm::Hex }
}
