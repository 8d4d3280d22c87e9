//! From what a column holds to what it means. Nothing here panics: what a row holds may have been written by
//! another version or another hand.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, StoreError};

/// Names the row that a column belongs to, for errors.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) table: &'static str,
    pub(crate) id: &'a dyn Display,
}

impl At<'_> {
    pub(crate) fn corrupt(&self, column: &str, reason: impl Display) -> StoreError {
        StoreError::corrupt(self.table, self.id, format!("{column}: {reason}"))
    }

    /// Microseconds since 1970.
    pub(crate) fn time(&self, column: &str, micros: i64) -> Result<Timestamp> {
        Timestamp::from_microsecond(micros).map_err(|error| self.corrupt(column, error))
    }

    /// JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    /// Text with a form of its own, such as an id.
    pub(crate) fn parse<T>(&self, column: &str, text: &str) -> Result<T>
    where
        T: FromStr<Err: Display>,
    {
        text.parse().map_err(|error| self.corrupt(column, format_args!("{text:?}: {error}")))
    }

    /// One of a closed set of words.
    pub(crate) fn word<T>(&self, column: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T> {
        parse(text).ok_or_else(|| self.corrupt(column, format_args!("{text:?} is not a word this version knows")))
    }

    /// An integer narrower than the column.
    pub(crate) fn narrow<T: TryFrom<i64>>(&self, column: &str, value: i64) -> Result<T> {
        T::try_from(value).map_err(|_| self.corrupt(column, format_args!("{value} is out of range")))
    }
}

/// A value as JSON text.
///
/// # Errors
/// [`StoreError::Refused`] when it has no JSON form, which none of the model's nouns is.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.into()))
}
