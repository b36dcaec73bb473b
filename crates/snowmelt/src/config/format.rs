//! `[format]`: how an event looks.
//!
//! Promises: no combination in which a delete would leave no trace. Leaves the
//! bytes to the encoder.

use super::choice::choice;
use super::reading::Section;

choice! {
    /// The shape of a record's value.
    Envelope {
        Debezium = "debezium", "`before`, `after`, `source`, `op`, `ts_ms`";
        Plain = "plain", "the row alone; what happened is in the headers, and a delete is a tombstone";
    }
}

choice! {
    /// How fixed-point numbers are written.
    Numbers {
        Auto = "auto", "whole numbers as JSON numbers with all digits, others as strings with exactly their scale";
        Number = "number", "all as JSON numbers with all digits";
        String = "string", "all as strings";
    }
}

choice! {
    /// How VARIANT, OBJECT and ARRAY are written.
    VariantForm {
        String = "string", "as a JSON string, so that SQL NULL and JSON null differ";
        Json = "json", "as JSON in place";
    }
}

choice! {
    /// How BINARY is written.
    BinaryForm {
        Base64 = "base64", "standard alphabet, padded";
        Hex = "hex", "upper-case hexadecimal";
    }
}

/// `[format]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Default `debezium`.
    pub envelope: Envelope,
    /// Whether each key and value carries its schema; default false.
    pub schema: bool,
    /// Whether a delete is followed by a record of the key without a value;
    /// default true.
    pub tombstones: bool,
    /// Default `auto`.
    pub numbers: Numbers,
    /// Default `string`.
    pub variant: VariantForm,
    /// Default `base64`.
    pub binary: BinaryForm,
}

impl Format {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        let envelope = section.get::<Envelope>("envelope");
        let tombstones = section.get::<bool>("tombstones");
        if (envelope, tombstones) == (Some(Envelope::Plain), Some(false)) {
            section.refuse(
                "tombstones",
                "false with envelope \"plain\" would lose every delete".to_owned(),
                "set tombstones = true, or envelope = \"debezium\"".to_owned(),
            );
        }
        let schema = section.get::<bool>("schema");
        if (schema, section.get::<VariantForm>("variant")) == (Some(true), Some(VariantForm::Json)) {
            section.refuse(
                "schema",
                "true cannot describe variant = \"json\", which may hold any shape".to_owned(),
                "set variant = \"string\", or schema = false".to_owned(),
            );
        }
        Some(Self {
            envelope: envelope?,
            schema: schema?,
            tombstones: tombstones?,
            numbers: section.get("numbers")?,
            variant: section.get("variant")?,
            binary: section.get("binary")?,
        })
    }
}
