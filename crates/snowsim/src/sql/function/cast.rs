//! CAST, `::` and TRY_CAST: `snow$cast(x, 'TYPE')` and `snow$try_cast(x, 'TYPE')`.
//!
//! Promises: the result's field carries the full type asked for. Leaves to others: the rules (`types`).

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::SqlError;
use crate::types::SnowType;
use crate::types::convert::{OnFailure, canonical, convert};

/// The engine's name of CAST.
pub(crate) const CAST: &str = "snow$cast";
/// The engine's name of TRY_CAST.
pub(crate) const TRY_CAST: &str = "snow$try_cast";

/// One of the two, by name.
pub(super) fn find(name: &str) -> Option<Arc<ScalarUDF>> {
    let on_failure = match name {
        CAST => OnFailure::Fail,
        TRY_CAST => OnFailure::Null,
        _ => return None,
    };
    Some(function(on_failure))
}

/// CAST or TRY_CAST as a function of the engine.
#[must_use]
pub(crate) fn function(on_failure: OnFailure) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Cast {
        try_cast: on_failure == OnFailure::Null,
        signature: Signature::variadic_any(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cast {
    try_cast: bool,
    signature: Signature,
}

fn target(value: Option<&ScalarValue>) -> Result<SnowType, SqlError> {
    value
        .and_then(|value| value.try_as_str().flatten())
        .and_then(SnowType::parse)
        .ok_or_else(|| SqlError::internal("a cast without a type"))
}

impl ScalarUDFImpl for Cast {
    fn name(&self) -> &str {
        if self.try_cast { TRY_CAST } else { CAST }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> EngineResult<DataType> {
        Err(DataFusionError::Internal("a cast needs its arguments".to_owned()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let to = target(args.scalar_arguments.get(1).copied().flatten())?;
        let nullable = self.try_cast || args.arg_fields.first().is_none_or(|field| field.is_nullable());
        // A VARIANT that is not NULL may hold a JSON null, which becomes NULL.
        let from_json = args.arg_fields.first().is_some_and(|field| field.data_type() == &DataType::LargeUtf8);
        Ok(Arc::new(to.field("cast", nullable || from_json)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let ([value, ty], [field, _]) = (args.args.as_slice(), args.arg_fields.as_slice()) else {
            return Err(SqlError::internal("a cast of other than one value").into());
        };
        let to = match ty {
            ColumnarValue::Scalar(scalar) => target(Some(scalar))?,
            ColumnarValue::Array(array) => target(Some(&ScalarValue::try_from_array(array, 0)?))?,
        };
        let on_failure = if self.try_cast { OnFailure::Null } else { OnFailure::Fail };
        let scalar = matches!(value, ColumnarValue::Scalar(_));
        let rows = if scalar { 1 } else { args.number_rows };
        let (array, from) = canonical(&value.to_array(rows)?, field)?;
        let array = convert(&array, from, to, on_failure)?;
        Ok(match scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}
