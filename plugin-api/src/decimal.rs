//! Exact decimals: quantities and money. The same numbers as `convergence:host/math` of the contract.
//!
//! An operation either has an exact result or says that there is none: only what takes a [`Rounding`] rounds, and it
//! rounds once. The host's `math` and the SDK are compiled from this one file (see docs/adr).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Digits in all.
const MAX_DIGITS: u32 = 28;
/// Digits after the point.
pub const MAX_SCALE: u8 = 18;
/// The first magnitude that has too many digits.
const LIMIT: u128 = 10_u128.pow(MAX_DIGITS);

/// A number of at most 28 digits, at most 18 of them after the point. Always canonical: equal numbers are equal values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    /// The digits without the point; below [`LIMIT`] either side of zero.
    mantissa: i128,
    /// How many of them are after the point: as few as there can be.
    scale: u8,
}

/// What happens to digits that a result has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest; of two equally near to the one whose last digit is even.
    HalfEven,
    /// To the nearest; of two equally near to the one further from zero.
    HalfUp,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MathError {
    /// The exact result has too many digits.
    Overflow,
    /// The divisor is zero, or all weights are.
    DivisionByZero,
    /// An argument is out of its bounds.
    OutOfBounds(&'static str),
}

impl fmt::Display for MathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => "the result has more than 28 digits, or more than 18 after the point",
            Self::DivisionByZero => "division by zero",
            Self::OutOfBounds(what) => what,
        })
    }
}

impl std::error::Error for MathError {}

/// Text that is no decimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADecimal(
    /// The text, cut to 64 bytes.
    pub String,
);

impl fmt::Display for NotADecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.escape_debug();
        write!(
            f,
            "`{text}` is not a decimal: write digits, with a minus before them where it is negative and a point and 1 to 18 digits after them where it is not whole, at most 28 digits in all"
        )
    }
}

impl std::error::Error for NotADecimal {}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// The number `mantissa` / 10^`scale`, if it has few enough digits.
    fn new(mut mantissa: i128, mut scale: u32) -> Result<Self, MathError> {
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        match u8::try_from(scale) {
            Ok(scale) if scale <= MAX_SCALE && mantissa.unsigned_abs() < LIMIT => Ok(Self { mantissa, scale }),
            _ => Err(MathError::Overflow),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// How many digits are after the point.
    #[must_use]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// The same distance on the other side of zero.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }

    /// Its digits with `scale` of them after the point, or nothing where they do not fit 128 bits.
    fn mantissa_at(self, scale: u8) -> Option<i128> {
        self.mantissa.checked_mul(power(scale.checked_sub(self.scale)?).cast_signed())
    }

    /// Adds, exactly.
    pub fn checked_add(self, other: Self) -> Result<Self, MathError> {
        let scale = self.scale.max(other.scale);
        // What does not fit has more than 28 digits: the number with more of them after the point ends in none that is
        // zero, and keeps its last digit in the sum.
        let digits = self.mantissa_at(scale).zip(other.mantissa_at(scale)).and_then(|(a, b)| a.checked_add(b));
        Self::new(digits.ok_or(MathError::Overflow)?, u32::from(scale))
    }

    /// Subtracts, exactly.
    pub fn checked_sub(self, other: Self) -> Result<Self, MathError> {
        self.checked_add(other.negated())
    }

    /// Multiplies, exactly.
    pub fn checked_mul(self, other: Self) -> Result<Self, MathError> {
        let mut scale = u32::from(self.scale) + u32::from(other.scale);
        let (mut a, mut b) = (self.mantissa, other.mantissa);
        // Zeros at the end of the product are taken out before it is made, so that it fits wherever its digits do.
        while scale > 0 && a != 0 && b != 0 {
            let twos = a % 2 == 0 || b % 2 == 0;
            let fives = a % 5 == 0 || b % 5 == 0;
            if !(twos && fives) {
                break;
            }
            for factor in [2, 5] {
                let divided = if a % factor == 0 { &mut a } else { &mut b };
                *divided /= factor;
            }
            scale -= 1;
        }
        Self::new(a.checked_mul(b).ok_or(MathError::Overflow)?, scale)
    }

    /// Divides and rounds once, to `scale` digits after the point.
    pub fn checked_div(self, other: Self, scale: u8, mode: Rounding) -> Result<Self, MathError> {
        check_scale(scale)?;
        if other.is_zero() {
            return Err(MathError::DivisionByZero);
        }
        let divisor = other.mantissa.unsigned_abs();
        let mut long = LongDivision {
            quotient: self.mantissa.unsigned_abs() / divisor,
            rest: self.mantissa.unsigned_abs() % divisor,
            divisor,
        };
        // The quotient of the mantissas is 10^shift times the one that is wanted, or, below zero, must grow by that.
        let shift = i16::from(self.scale) - i16::from(other.scale);
        for _ in shift..0 {
            let whole = long.quotient.checked_mul(10).ok_or(MathError::Overflow)?;
            long.quotient = whole.checked_add(long.next_digit()).ok_or(MathError::Overflow)?;
        }
        let shift = u8::try_from(shift.max(0)).unwrap_or(0);
        let whole = long.quotient / power(shift);
        let mut fraction = long.quotient % power(shift);
        let tail = if scale >= shift {
            for _ in shift..scale {
                fraction = fraction * 10 + long.next_digit();
            }
            Tail::of(long.rest, long.divisor, false)
        } else {
            let unit = power(shift - scale);
            let tail = Tail::of(fraction % unit, unit, long.rest != 0);
            fraction /= unit;
            tail
        };
        // The last digit that stays is odd where this number is.
        let last = if scale == 0 { whole } else { fraction };
        if tail.rounds_away(last, mode) {
            fraction += 1;
        }
        let magnitude = whole
            .checked_add(fraction / power(scale))
            .and_then(|whole| compose(whole, fraction % power(scale), scale))
            .ok_or(MathError::Overflow)?;
        let negative = self.is_negative() != other.is_negative();
        Ok(if negative { magnitude.negated() } else { magnitude })
    }

    /// Rounds to at most `scale` digits after the point.
    pub fn rounded(self, scale: u8, mode: Rounding) -> Result<Self, MathError> {
        check_scale(scale)?;
        self.checked_div(Self::ONE, scale, mode)
    }

    /// Sums, exactly.
    pub fn checked_sum(values: impl IntoIterator<Item = Self>) -> Result<Self, MathError> {
        values.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// Splits the number by weights into parts of at most `scale` digits after the point that sum to it: each is rounded
    /// towards zero, and what is left over goes to the largest remainders, of equal ones to the first.
    pub fn allocate(self, weights: &[Self], scale: u8) -> Result<Vec<Self>, MathError> {
        check_scale(scale)?;
        if self.scale > scale {
            return Err(MathError::OutOfBounds("the total has more digits after the point than its parts may have"));
        }
        if weights.iter().any(|weight| weight.is_negative()) {
            return Err(MathError::OutOfBounds("a weight is negative"));
        }
        let total = self.mantissa_at(scale).ok_or(MathError::Overflow)?.unsigned_abs();
        let finest = weights.iter().map(|weight| weight.scale).max().unwrap_or(0);
        let mut counts = Vec::with_capacity(weights.len());
        let mut whole: u128 = 0;
        for weight in weights {
            let count = weight.mantissa_at(finest).ok_or(MathError::Overflow)?.unsigned_abs();
            whole = whole.checked_add(count).ok_or(MathError::Overflow)?;
            counts.push(count);
        }
        if whole == 0 {
            return Err(MathError::DivisionByZero);
        }
        let mut parts = Vec::with_capacity(counts.len());
        let mut left = total;
        for (at, count) in counts.into_iter().enumerate() {
            let product = total.checked_mul(count).ok_or(MathError::Overflow)?;
            left -= product / whole;
            parts.push((at, product / whole, product % whole));
        }
        // Stable, so that of equal remainders the first comes first.
        parts.sort_by_key(|part| std::cmp::Reverse(part.2));
        for (_, part, _) in &mut parts {
            if left == 0 {
                break;
            }
            *part += 1;
            left -= 1;
        }
        parts.sort_by_key(|(at, ..)| *at);
        let sign = if self.is_negative() { -1 } else { 1 };
        let signed = |units: u128| i128::try_from(units).map_err(|_| MathError::Overflow).map(|units| units * sign);
        parts.into_iter().map(|(_, part, _)| Self::new(signed(part)?, u32::from(scale))).collect()
    }
}

fn check_scale(scale: u8) -> Result<(), MathError> {
    if scale > MAX_SCALE { Err(MathError::OutOfBounds("`scale` is above 18")) } else { Ok(()) }
}

/// Ten to a power of at most 28.
fn power(exponent: u8) -> u128 {
    10_u128.pow(u32::from(exponent))
}

/// A whole part and `scale` digits after the point.
fn compose(whole: u128, fraction: u128, scale: u8) -> Option<Decimal> {
    let (mut fraction, mut scale) = (fraction, scale);
    while scale > 0 && fraction % 10 == 0 {
        fraction /= 10;
        scale -= 1;
    }
    let digits = whole.checked_mul(power(scale))?.checked_add(fraction)?;
    Decimal::new(i128::try_from(digits).ok()?, u32::from(scale)).ok()
}

/// Division as it is done on paper.
struct LongDivision {
    quotient: u128,
    /// Below the divisor, so that ten times it fits.
    rest: u128,
    divisor: u128,
}

impl LongDivision {
    fn next_digit(&mut self) -> u128 {
        let grown = self.rest * 10;
        self.rest = grown % self.divisor;
        grown / self.divisor
    }
}

/// What is cut off, as a part of the last digit that stays.
struct Tail {
    to_half: Ordering,
    is_zero: bool,
}

impl Tail {
    /// `part` of `unit`, and a trace more where `more`.
    fn of(part: u128, unit: u128, more: bool) -> Self {
        let to_half = part.cmp(&(unit - part)).then(if more { Ordering::Greater } else { Ordering::Equal });
        Self { to_half, is_zero: part == 0 && !more }
    }

    fn rounds_away(&self, last: u128, mode: Rounding) -> bool {
        match mode {
            Rounding::Down => false,
            Rounding::Up => !self.is_zero,
            Rounding::HalfUp => self.to_half != Ordering::Less,
            Rounding::HalfEven => match self.to_half {
                Ordering::Less => false,
                Ordering::Equal => last % 2 == 1,
                Ordering::Greater => true,
            },
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // Whole parts first, then fractions with equally many digits: both fit, and both carry the sign.
        let parts = |value: &Self| {
            let unit = power(value.scale).cast_signed();
            let fraction = value.mantissa % unit * power(MAX_SCALE - value.scale).cast_signed();
            (value.mantissa / unit, fraction)
        };
        parts(self).cmp(&parts(other))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u32> for Decimal {
    fn from(value: u32) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs();
        let sign = if self.is_negative() { "-" } else { "" };
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let unit = power(self.scale);
        write!(f, "{sign}{}.{:0width$}", digits / unit, digits % unit, width = usize::from(self.scale))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Decimal {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        read(text).ok_or_else(|| NotADecimal(text.get(..text.floor_char_boundary(64)).unwrap_or_default().to_owned()))
    }
}

fn read(text: &str) -> Option<Decimal> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let count = whole.len().checked_add(fraction.len())?;
    if whole.is_empty() || count > MAX_DIGITS as usize || fraction.len() > usize::from(MAX_SCALE) {
        return None;
    }
    let mut mantissa: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        mantissa = mantissa * 10 + i128::from(digit - b'0');
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    Decimal::new(mantissa, u32::try_from(fraction.len()).ok()?).ok()
}

impl TryFrom<String> for Decimal {
    type Error = NotADecimal;

    fn try_from(text: String) -> Result<Self, NotADecimal> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(value: Decimal) -> Self {
        value.to_string()
    }
}
