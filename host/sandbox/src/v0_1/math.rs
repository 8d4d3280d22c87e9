//! `convergence:host/math`: exact decimals for billing policies.
//!
//! What goes wrong is an answer, never a trap. A call is paid for in fuel like instructions of the guest's own, by the
//! length of what it was given, so that no guest gets more of the host's time than its fuel is worth and the point
//! where fuel runs out is the same on every machine.

use convergence_model::decimal::{self, Decimal, NotADecimal};
use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, Trap};

use super::bindings::billing::convergence::host::math::{MathError, Rounding};
use crate::call::CallState;

/// Fuel of a call: about what the way to the host and back costs.
const CALL: u64 = 500;
/// Fuel of a decimal in it: reading it, and the longest division.
const DECIMAL: u64 = 500;
/// The most values that `sum` takes.
const MAX_VALUES: usize = 100_000;
/// The most weights that `allocate` takes.
const MAX_WEIGHTS: usize = 10_000;

const INTERFACE: &str = "convergence:host/math@0.1.0";

type Store<'a> = StoreContextMut<'a, CallState>;
/// What a function of the interface returns: the results of the contract are a tuple of one.
type Answer<T> = wasmtime::Result<(Result<T, MathError>,)>;

/// Takes fuel for `decimals`, and for every byte of them: text of any length comes across before it is looked at.
fn pay<'a>(mut store: Store<'_>, decimals: impl IntoIterator<Item = &'a String>) -> wasmtime::Result<()> {
    let mut price = CALL;
    for decimal in decimals {
        price = price.saturating_add(DECIMAL).saturating_add(u64::try_from(decimal.len()).unwrap_or(u64::MAX));
    }
    let left = store.get_fuel()?;
    match left.checked_sub(price) {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}

fn read(text: &str) -> Result<Decimal, MathError> {
    text.parse().map_err(|NotADecimal(text)| MathError::NotADecimal(text))
}

fn error(error: decimal::MathError) -> MathError {
    match error {
        decimal::MathError::Overflow => MathError::Overflow,
        decimal::MathError::DivisionByZero => MathError::DivisionByZero,
        decimal::MathError::OutOfBounds(what) => MathError::OutOfBounds(what.to_owned()),
    }
}

/// Reads both, and writes what comes of them.
fn both(
    a: &str,
    b: &str,
    operation: impl FnOnce(Decimal, Decimal) -> Result<Decimal, decimal::MathError>,
) -> Result<String, MathError> {
    let result = operation(read(a)?, read(b)?).map_err(error)?;
    Ok(result.to_string())
}

fn read_all(texts: &[String], most: usize) -> Result<Vec<Decimal>, MathError> {
    if texts.len() > most {
        return Err(MathError::OutOfBounds(format!("{} values were given, and {most} are allowed", texts.len())));
    }
    texts.iter().map(|text| read(text)).collect()
}

pub(super) fn rounding(from: Rounding) -> decimal::Rounding {
    match from {
        Rounding::HalfEven => decimal::Rounding::HalfEven,
        Rounding::HalfUp => decimal::Rounding::HalfUp,
        Rounding::Down => decimal::Rounding::Down,
        Rounding::Up => decimal::Rounding::Up,
    }
}

/// Links the functions.
pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut math = linker.instance(INTERFACE)?;
    for (name, operation) in
        [("add", Decimal::checked_add as Operation), ("sub", Decimal::checked_sub), ("mul", Decimal::checked_mul)]
    {
        math.func_wrap(name, move |store: Store<'_>, (a, b): (String, String)| -> Answer<String> {
            pay(store, [&a, &b])?;
            Ok((both(&a, &b, operation),))
        })?;
    }
    math.func_wrap("div", |store: Store<'_>, (a, b, scale, mode): (String, String, u8, Rounding)| -> Answer<String> {
        pay(store, [&a, &b])?;
        Ok((both(&a, &b, |a, b| a.checked_div(b, scale, rounding(mode))),))
    })?;
    math.func_wrap("sum", |store: Store<'_>, (values,): (Vec<String>,)| -> Answer<String> {
        pay(store, &values)?;
        let sum = read_all(&values, MAX_VALUES).and_then(|values| Decimal::checked_sum(values).map_err(error));
        Ok((sum.map(|sum| sum.to_string()),))
    })?;
    math.func_wrap("round", |store: Store<'_>, (a, scale, mode): (String, u8, Rounding)| -> Answer<String> {
        pay(store, [&a])?;
        let rounded = read(&a).and_then(|a| a.rounded(scale, rounding(mode)).map_err(error));
        Ok((rounded.map(|rounded| rounded.to_string()),))
    })?;
    math.func_wrap("compare", |store: Store<'_>, (a, b): (String, String)| -> Answer<i8> {
        pay(store, [&a, &b])?;
        Ok((read(&a).and_then(|a| Ok(a.cmp(&read(&b)?) as i8)),))
    })?;
    math.func_wrap(
        "allocate",
        |store: Store<'_>, (total, weights, scale): (String, Vec<String>, u8)| -> Answer<Vec<String>> {
            pay(store, weights.iter().chain([&total]))?;
            let parts = read(&total).and_then(|total| {
                let weights = read_all(&weights, MAX_WEIGHTS)?;
                total.allocate(&weights, scale).map_err(error)
            });
            Ok((parts.map(|parts| parts.iter().map(Decimal::to_string).collect()),))
        },
    )?;
    Ok(())
}

type Operation = fn(Decimal, Decimal) -> Result<Decimal, decimal::MathError>;
