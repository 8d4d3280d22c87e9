//! Decimals: against what people expect, and against rust_decimal where that one is exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use crate::decimal::{Decimal, MAX_SCALE, MathError, Rounding};

/// The first magnitude that has too many digits.
const LIMIT: i128 = 10_i128.pow(28);

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn text_is_read_and_written_canonically() {
    for (text, canonical) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("007", "7"),
        ("1.50", "1.5"),
        ("-0.05", "-0.05"),
        ("1000", "1000"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("9999999999999999999999999999", "9999999999999999999999999999"),
        ("-9999999999.999999999999999999", "-9999999999.999999999999999999"),
    ] {
        assert_eq!(d(text).to_string(), canonical);
    }
    for text in [
        "",
        "-",
        ".",
        "1.",
        ".5",
        "+1",
        "1e5",
        " 1",
        "1 ",
        "1,5",
        "1.2.3",
        "--1",
        "NaN",
        "٣",
        "0.0000000000000000001",
        "10000000000000000000000000000",
        "99999999999.999999999999999999",
    ] {
        assert!(text.parse::<Decimal>().is_err(), "{text}");
    }
    assert_eq!("é".repeat(100).parse::<Decimal>().unwrap_err().0, "é".repeat(32));
}

#[test]
fn a_result_is_exact_or_there_is_none() {
    let most = d("9999999999999999999999999999");
    let least = d("0.000000000000000001");
    assert_eq!(most.checked_add(Decimal::ONE), Err(MathError::Overflow));
    assert_eq!(most.checked_add(least), Err(MathError::Overflow), "it would need 46 digits");
    assert_eq!(most.checked_sub(most), Ok(Decimal::ZERO));
    assert_eq!(least.checked_mul(d("0.1")), Err(MathError::Overflow));
    assert_eq!(d("0.5").checked_mul(least), Err(MathError::Overflow));
    assert_eq!(d("1000000000000000000").checked_mul(least), Ok(Decimal::ONE));
    // 2^40 and 5^40 hundredth-billionths: digits beyond 128 bits before the zeros at the end are taken out.
    assert_eq!(d("1099511.627776").checked_mul(d("9094947017.729282379150390625")), Ok(d("10000000000000000")),);
}

#[test]
fn rounding_is_done_once_and_as_asked() {
    use Rounding::{Down, HalfEven, HalfUp, Up};
    for (value, scale, [even, half_up, down, up]) in [
        ("0.125", 2, ["0.12", "0.13", "0.12", "0.13"]),
        ("0.135", 2, ["0.14", "0.14", "0.13", "0.14"]),
        ("-0.125", 2, ["-0.12", "-0.13", "-0.12", "-0.13"]),
        ("1.05", 1, ["1", "1.1", "1", "1.1"]),
        ("2.5", 0, ["2", "3", "2", "3"]),
        ("3.5", 0, ["4", "4", "3", "4"]),
        ("0.5", 0, ["0", "1", "0", "1"]),
        ("-0.4", 0, ["0", "0", "0", "-1"]),
        ("0.5000000001", 0, ["1", "1", "0", "1"]),
        ("9.99", 1, ["10", "10", "9.9", "10"]),
        ("7", 5, ["7", "7", "7", "7"]),
    ] {
        let found = [HalfEven, HalfUp, Down, Up].map(|mode| d(value).rounded(scale, mode).unwrap().to_string());
        assert_eq!(found, [even, half_up, down, up], "{value}");
    }
    assert_eq!(d("1").checked_div(d("3"), 18, HalfEven), Ok(d("0.333333333333333333")));
    assert_eq!(d("2").checked_div(d("3"), 2, Down), Ok(d("0.66")));
    assert_eq!(d("-2").checked_div(d("3"), 2, HalfUp), Ok(d("-0.67")));
    // A half only in appearance: the quotient goes on after 28 digits of zeros.
    let nearly = d("1").checked_div(d("1.999999999999999999999999999".get(..20).unwrap()), 0, HalfEven);
    assert_eq!(nearly, Ok(d("1")), "a little more than a half");
    assert_eq!(d("9999999999999999999999999999").checked_div(d("0.1"), 0, Down), Err(MathError::Overflow));
    assert_eq!(d("100000000000000000000").checked_div(d("1"), 18, Up), Ok(d("100000000000000000000")));
    assert_eq!(d("0.000000000000000001").checked_div(d("9999999999999999999999999999"), 0, Up), Ok(d("1")));
    assert_eq!(d("1").checked_div(d("0"), 2, Down), Err(MathError::DivisionByZero));
    assert!(matches!(d("1").checked_div(d("3"), 19, Down), Err(MathError::OutOfBounds(_))));
}

#[test]
fn parts_sum_to_the_whole() {
    let parts = |total: &str, weights: &[&str], scale| {
        let weights: Vec<Decimal> = weights.iter().map(|weight| d(weight)).collect();
        d(total).allocate(&weights, scale).map(|parts| parts.iter().map(Decimal::to_string).collect::<Vec<_>>())
    };
    assert_eq!(parts("100", &["1", "1", "1"], 2).unwrap(), ["33.34", "33.33", "33.33"]);
    assert_eq!(parts("-100", &["1", "1", "1"], 2).unwrap(), ["-33.34", "-33.33", "-33.33"]);
    assert_eq!(parts("0.05", &["0.7", "0.3"], 2).unwrap(), ["0.04", "0.01"], "the larger remainder, not the first");
    assert_eq!(parts("1", &["0", "5", "0"], 2).unwrap(), ["0", "1", "0"]);
    assert_eq!(parts("1", &["0", "0"], 2), Err(MathError::DivisionByZero));
    assert_eq!(parts("1", &[], 2), Err(MathError::DivisionByZero));
    assert!(matches!(parts("0.001", &["1"], 2), Err(MathError::OutOfBounds(_))));
    assert!(matches!(parts("1", &["-1", "2"], 2), Err(MathError::OutOfBounds(_))));
}

#[test]
fn order_does_not_depend_on_how_many_digits_there_are() {
    let mut values: Vec<Decimal> =
        ["1", "-1.2", "0.9", "-0.5", "0", "9999999999999999999999999999", "0.000000000000000001"].map(d).to_vec();
    values.sort();
    let texts: Vec<String> = values.iter().map(Decimal::to_string).collect();
    assert_eq!(texts, ["-1.2", "-0.5", "0", "0.000000000000000001", "0.9", "1", "9999999999999999999999999999"]);
}

#[test]
fn json_holds_text() {
    assert_eq!(serde_json::to_string(&d("1.50")).unwrap(), r#""1.5""#);
    assert!(serde_json::from_str::<Decimal>("1.5").is_err(), "a float of JSON is no decimal");
}

/// `mantissa` / 10^`scale`, where it is one.
fn number(mantissa: i128, scale: u32) -> Option<Decimal> {
    rust_decimal::Decimal::from_i128_with_scale(mantissa, scale).to_string().parse().ok()
}

/// Any decimal, of any size.
fn any() -> impl Strategy<Value = Decimal> {
    (0_u32..=28, any_mantissa(), 0_u32..=18)
        .prop_filter_map("too long", |(digits, mantissa, scale)| number(mantissa % 10_i128.pow(digits), scale))
}

fn any_mantissa() -> impl Strategy<Value = i128> {
    -(LIMIT - 1)..LIMIT
}

fn modes() -> impl Strategy<Value = Rounding> {
    prop::sample::select(vec![Rounding::HalfEven, Rounding::HalfUp, Rounding::Down, Rounding::Up])
}

fn peer(value: Decimal) -> rust_decimal::Decimal {
    value.to_string().parse().unwrap()
}

proptest! {
    #[test]
    fn text_comes_back(value in any()) {
        prop_assert_eq!(value.to_string().parse::<Decimal>().unwrap(), value);
    }

    #[test]
    fn sums_and_products_agree_with_a_peer_that_kept_every_digit(a in any(), b in any()) {
        // rust_decimal rounds without a word when digits run out; its scale shows that it did.
        if let Ok(sum) = a.checked_add(b) {
            let found = peer(a).checked_add(peer(b)).unwrap();
            if found.scale() >= u32::from(a.scale().max(b.scale())) {
                prop_assert_eq!(peer(sum), found);
            }
            prop_assert_eq!(sum.checked_sub(b).unwrap(), a);
        }
        if let Ok(product) = a.checked_mul(b) {
            let found = peer(a).checked_mul(peer(b)).unwrap();
            if found.scale() == u32::from(a.scale()) + u32::from(b.scale()) {
                prop_assert_eq!(peer(product), found);
            }
            if !b.is_zero() {
                prop_assert_eq!(product.checked_div(b, MAX_SCALE, Rounding::Down).unwrap(), a);
            }
        }
        prop_assert_eq!(a.cmp(&b), peer(a).cmp(&peer(b)));
    }

    #[test]
    fn a_quotient_is_within_one_digit_and_on_the_right_side(
        a in 0_i128..10_i128.pow(15), b in 1_i128..10_i128.pow(12), scale in 0_u8..=6, mode in modes(),
    ) {
        let (a, b) = (number(a, 4).unwrap(), number(b, 3).unwrap());
        let quotient = a.checked_div(b, scale, mode).unwrap();
        // 2 * (q*b - a) against b * 10^-scale, all exact.
        let error = quotient.checked_mul(b).unwrap().checked_sub(a).unwrap();
        let unit = b.checked_mul(number(1, u32::from(scale)).unwrap()).unwrap();
        let twice = error.checked_add(error).unwrap();
        match mode {
            Rounding::Down => prop_assert!(error <= Decimal::ZERO && error.negated() < unit),
            Rounding::Up => prop_assert!(error >= Decimal::ZERO && error < unit),
            Rounding::HalfEven => prop_assert!(twice <= unit && twice.negated() <= unit),
            Rounding::HalfUp => prop_assert!(twice <= unit && twice.negated() < unit),
        }
    }

    #[test]
    fn rounding_agrees_with_a_peer(value in any(), scale in 0_u8..=18, mode in modes()) {
        use rust_decimal::RoundingStrategy as Peer;
        let strategy = match mode {
            Rounding::HalfEven => Peer::MidpointNearestEven,
            Rounding::HalfUp => Peer::MidpointAwayFromZero,
            Rounding::Down => Peer::ToZero,
            Rounding::Up => Peer::AwayFromZero,
        };
        let expected = peer(value).round_dp_with_strategy(u32::from(scale), strategy);
        match value.rounded(scale, mode) {
            Ok(found) => prop_assert_eq!(peer(found), expected),
            Err(error) => prop_assert_eq!((error, expected.trunc().mantissa().abs()), (MathError::Overflow, LIMIT)),
        }
    }

    #[test]
    fn parts_sum_and_are_off_by_less_than_a_unit(
        total in -1_000_000_i64..1_000_000, weights in prop::collection::vec(0_u32..1000, 1..20),
    ) {
        let total = number(i128::from(total), 2).unwrap();
        let weights: Vec<Decimal> = weights.into_iter().map(Decimal::from).collect();
        let whole = Decimal::checked_sum(weights.iter().copied()).unwrap();
        prop_assume!(!whole.is_zero());
        let parts = total.allocate(&weights, 2).unwrap();
        prop_assert_eq!(Decimal::checked_sum(parts.iter().copied()).unwrap(), total);
        for (part, weight) in parts.iter().zip(&weights) {
            // |part * whole - total * weight| < whole / 100
            let off = part.checked_mul(whole).unwrap().checked_sub(total.checked_mul(*weight).unwrap()).unwrap();
            let unit = whole.checked_mul(d("0.01")).unwrap();
            prop_assert!(off < unit && off.negated() < unit);
        }
    }
}
