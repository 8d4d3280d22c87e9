//! The checker: honest answers pass whatever the numbers are, and each rule finds what breaks it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use convergence_model::decimal::{Decimal, Rounding};
use convergence_model::plan::Attribute;
use convergence_model::rating::*;
use proptest::prelude::*;

use crate::{Broken, Rule, check, check_limits, facts, terms};

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn interval(start: &str, end: &str) -> Interval {
    Interval { start: start.parse().unwrap(), end: end.parse().unwrap() }
}

fn january() -> Interval {
    interval("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
}

fn route(value: &str) -> Vec<Attribute> {
    vec![Attribute { key: "route".to_owned(), value: value.to_owned() }]
}

fn the_terms() -> RatingTerms {
    RatingTerms {
        currencies: vec!["EUR".to_owned(), "USD".to_owned()],
        rounding: Rounding::HalfEven,
        needs: vec![
            Need {
                id: "requests".to_owned(),
                meter: "api.requests".to_owned(),
                aggregation: Aggregation::Sum,
                group_by: vec!["route".to_owned()],
                bucketing: Bucketing::Day,
            },
            Need {
                id: "memory".to_owned(),
                meter: "memory".to_owned(),
                aggregation: Aggregation::Max,
                group_by: vec![],
                bucketing: Bucketing::Segment,
            },
        ],
    }
}

fn series(need: &str, meter: &str, unit: &str, dimensions: Vec<Attribute>, quantity: Decimal) -> Series {
    Series {
        need: need.to_owned(),
        meter: meter.to_owned(),
        unit: unit.to_owned(),
        dimensions,
        quantity,
        already_invoiced: Decimal::ZERO,
        buckets: vec![Bucket { span: january(), quantity }],
    }
}

fn balance(id: &str, unit: &str, available: &str) -> Balance {
    Balance {
        id: id.to_owned(),
        kind: "prepaid".to_owned(),
        unit: unit.to_owned(),
        available: d(available),
        expires: None,
    }
}

fn the_input() -> RatingInput {
    RatingInput {
        organization: "1".to_owned(),
        subscription: "s-1".to_owned(),
        currency: "EUR".to_owned(),
        minor_digits: 2,
        timezone: "Europe/Vienna".to_owned(),
        period: january(),
        as_of: january().end,
        segments: vec![Segment { span: january(), config: None, seats: d("1"), days: vec![] }],
        usage: vec![
            series("memory", "memory", "byte", vec![], d("100")),
            series("requests", "api.requests", "request", route("/a"), d("1000")),
            series("requests", "api.requests", "request", route("/b"), d("10")),
        ],
        billed: vec![],
        balances: vec![balance("cash", "EUR", "3.00"), balance("pack", "request", "500")],
        adjustments: vec![],
        rates: vec![],
        carry_in: vec![],
        config: "{}".to_owned(),
        extra: vec![],
    }
}

fn step(kind: &str, quantity: Option<Decimal>, unit_price: Option<Decimal>, amount: Decimal) -> Step {
    Step {
        kind: kind.to_owned(),
        rule: "prices[0]".to_owned(),
        text: "a step".to_owned(),
        quantity,
        low: None,
        high: None,
        unit_price,
        amount,
    }
}

fn usage_line(key: &str, of: &Series, quantity: Decimal, price: Decimal) -> Line {
    let amount = quantity.checked_mul(price).unwrap();
    Line {
        key: key.to_owned(),
        kind: "usage".to_owned(),
        parent: None,
        title: "Requests".to_owned(),
        need: Some(of.need.clone()),
        dimensions: of.dimensions.clone(),
        span: january(),
        quantity,
        unit: of.unit.clone(),
        amount,
        tax_code: None,
        steps: vec![step("unit", Some(quantity), Some(price), amount)],
        extra: vec![],
    }
}

/// An answer to [`the_input`] that breaks nothing: requests to `/a` are billed in two lines, one of them with a credit,
/// and the rest is waived.
fn the_output() -> RatingOutput {
    let input = the_input();
    let requests = &input.usage[1];
    let first = usage_line("requests:/a", requests, d("600"), d("0.0125"));
    let mut second = usage_line("requests:/a:more", requests, d("400"), d("0.005"));
    second.parent = Some(first.key.clone());
    second.steps.push(step("credit", None, None, d("-1.5")));
    second.amount = d("0.5");
    let waive = |of: &Series| Waiver {
        need: of.need.clone(),
        dimensions: of.dimensions.clone(),
        quantity: of.quantity,
        reason: "included".to_owned(),
    };
    let draw = |balance: &str, line: &str, amount: &str| Draw {
        balance: balance.to_owned(),
        line: line.to_owned(),
        amount: d(amount),
    };
    RatingOutput {
        lines: vec![first, second],
        draws: vec![draw("cash", "requests:/a:more", "1.50"), draw("pack", "requests:/a", "500")],
        waived: vec![waive(&input.usage[0]), waive(&input.usage[2])],
        carry_out: vec![],
        extra: vec![],
    }
}

#[test]
fn an_honest_answer_is_rounded_line_by_line() {
    let rated = check(&the_terms(), &the_input(), the_output()).unwrap();
    let rounded: Vec<String> = rated.lines.iter().map(|line| line.rounded.to_string()).collect();
    assert_eq!((rounded, rated.total), (vec!["7.5".to_owned(), "0.5".to_owned()], d("8")));

    // Three lines of a third of a cent more each: rounded one by one, not as a sum.
    let mut input = the_input();
    input.usage = vec![series("requests", "api.requests", "request", route("/a"), d("3"))];
    let mut output = RatingOutput::default();
    for index in 0..3 {
        output.lines.push(usage_line(&format!("r{index}"), &input.usage[0], d("1"), d("0.014")));
    }
    let rated = check(&the_terms(), &input, output.clone()).unwrap();
    assert_eq!(rated.total, d("0.03"), "the sum of amounts, 0.042, would be 0.04");
    let up = RatingTerms { rounding: Rounding::Up, ..the_terms() };
    assert_eq!(check(&up, &input, output).unwrap().total, d("0.06"));
}

/// Breaks one thing and says which rules find it, each with the place.
fn broken(change: impl FnOnce(&mut RatingInput, &mut RatingOutput)) -> Vec<(Rule, String)> {
    let (mut input, mut output) = (the_input(), the_output());
    change(&mut input, &mut output);
    let found = check(&the_terms(), &input, output).expect_err("it should be refused");
    found.into_iter().map(|Broken { rule, place, .. }| (rule, place)).collect()
}

#[test]
fn each_rule_finds_what_breaks_it() {
    type Change = fn(&mut RatingInput, &mut RatingOutput);
    let first = "line requests:/a";
    let second = "line requests:/a:more";
    let open = "series requests{route=/a}";
    let cases: &[(&str, Rule, &str, Change)] = &[
        ("amount off by the smallest digit", Rule::StepsSum, first, |_, o| {
            o.lines[0].amount = d("7.500000000000000001");
        }),
        ("step left out", Rule::StepsSum, second, |_, o| o.lines[1].steps[0].amount = d("2.01")),
        ("price and product", Rule::StepProduct, "line requests:/a, step 0", |_, o| {
            o.lines[0].steps[0].unit_price = Some(d("0.0126"));
        }),
        ("key twice", Rule::UniqueKeys, first, |_, o| o.lines[1].key = "requests:/a".to_owned()),
        ("key of spaces", Rule::Bounds, "line a b", |_, o| {
            o.lines[0].key = "a b".to_owned();
            o.draws.clear();
            o.lines[1].parent = None;
            o.lines[1].steps.pop();
            o.lines[1].amount = d("2");
        }),
        ("title of two lines", Rule::Bounds, first, |_, o| o.lines[0].title = "a\nb".to_owned()),
        ("no steps", Rule::Bounds, first, |_, o| o.lines[0].steps.clear()),
        ("too many steps", Rule::Bounds, first, |_, o| {
            let step = step("free", None, None, Decimal::ZERO);
            o.lines[0].steps.extend(vec![step; 64]);
        }),
        ("unknown line kind", Rule::Kinds, second, |_, o| o.lines[1].kind = "correction!".to_owned()),
        ("unknown step kind", Rule::Kinds, "line requests:/a, step 0", |_, o| {
            o.lines[0].steps[0].kind = "magic".to_owned();
        }),
        ("a unit too few", Rule::Coverage, open, |_, o| {
            o.lines[0] = usage_line("requests:/a", &the_input().usage[1], d("599.999"), d("0.0125"));
        }),
        ("billed and waived", Rule::Coverage, open, |_, o| {
            let twice = Waiver { dimensions: route("/a"), quantity: d("1"), ..o.waived[1].clone() };
            o.waived.push(twice);
        }),
        ("not billed at all", Rule::Coverage, "series memory", |_, o| drop(o.waived.remove(0))),
        ("invoiced before", Rule::Coverage, open, |i, _| i.usage[1].already_invoiced = d("1")),
        ("negative waiver to hide", Rule::Coverage, "waiver 2", |_, o| {
            let waiver = o.waived[1].clone();
            o.waived.push(Waiver { quantity: d("-1"), ..waiver.clone() });
            o.waived.push(Waiver { quantity: d("1"), ..waiver });
        }),
        ("series nobody gave", Rule::Series, "waiver 1", |_, o| o.waived[1].dimensions = route("/c")),
        ("another unit", Rule::Series, first, |_, o| o.lines[0].unit = "token".to_owned()),
        ("usage without a need", Rule::Series, first, |_, o| o.lines[0].need = None),
        ("recurring with a need", Rule::Series, first, |_, o| o.lines[0].kind = "recurring".to_owned()),
        ("empty interval", Rule::Intervals, first, |_, o| o.lines[0].span.end = o.lines[0].span.start),
        ("a second late", Rule::Intervals, first, |_, o| {
            o.lines[0].span.end = "2026-02-01T00:00:01Z".parse().unwrap();
        }),
        ("absent parent", Rule::Parents, second, |_, o| o.lines[1].parent = Some("nowhere".to_owned())),
        ("its own parent", Rule::Parents, first, |_, o| {
            o.lines[0].parent = Some("requests:/a".to_owned());
            o.lines[1].parent = None;
        }),
        ("more than the balance", Rule::Draws, "balance cash", |i, _| i.balances[0].available = d("1.49")),
        ("more than the balance in two draws", Rule::Draws, "balance pack", |_, o| {
            let again = Draw { amount: d("0.5"), ..o.draws[1].clone() };
            o.draws.push(again);
        }),
        ("unknown balance", Rule::Draws, "draw 1", |_, o| o.draws[1].balance = "other".to_owned()),
        ("unknown line", Rule::Draws, "draw 1", |_, o| o.draws[1].line = "other".to_owned()),
        ("nothing drawn", Rule::Draws, "draw 1", |_, o| o.draws[1].amount = Decimal::ZERO),
        ("expired", Rule::Draws, "draw 1", |i, _| i.balances[1].expires = Some(january().start)),
        ("parts of a cent", Rule::Draws, "draw 0", |_, o| {
            o.draws[0].amount = d("1.495");
            o.lines[1].steps[1].amount = d("-1.495");
            o.lines[1].amount = d("0.505");
        }),
        ("units of something else", Rule::Draws, "draw 1", |i, _| i.balances[1].unit = "token".to_owned()),
        ("more units than billed", Rule::Draws, first, |i, o| {
            i.balances[1].available = d("601");
            o.draws[1].amount = d("601");
        }),
        ("credit without a draw", Rule::Credits, second, |_, o| drop(o.draws.remove(0))),
        ("draw without a credit", Rule::Credits, second, |_, o| {
            o.lines[1].steps[1].kind = "discount".to_owned();
        }),
        ("carried twice", Rule::UniqueKeys, "carry-out", |_, o| o.carry_out = [route("/"), route("/")].concat()),
        ("carried too long", Rule::Bounds, "carry-out", |_, o| o.carry_out = route(&"x".repeat(1025))),
        ("beyond 28 digits", Rule::Overflow, first, |_, o| {
            let most = d("9999999999999999999999999999");
            o.lines[0].steps = vec![step("flat", None, None, most), step("flat", None, None, d("1"))];
        }),
    ];
    for (what, rule, place, change) in cases {
        let found = broken(change);
        assert!(found.contains(&(*rule, (*place).to_owned())), "{what}: {found:?}");
    }
}

#[test]
fn a_message_has_the_rule_the_place_and_the_numbers() {
    let mut output = the_output();
    output.lines[0].amount = d("7.51");
    let found = check(&the_terms(), &the_input(), output).unwrap_err();
    assert_eq!(found[0].to_string(), "line requests:/a: its steps sum to 7.5, and it says 7.51 [steps-sum]");
    let mut output = the_output();
    output.waived.remove(1);
    let found = check(&the_terms(), &the_input(), output).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "series requests{route=/b}: 10 request are open (10 less 0 invoiced before), and the answer bills 0 and waives 0 \
         [coverage]"
    );
}

#[test]
fn a_correction_takes_units_back() {
    let mut input = the_input();
    input.usage = vec![Series {
        already_invoiced: d("12"),
        ..series("requests", "api.requests", "request", route("/a"), d("10"))
    }];
    let mut line = usage_line("requests:/a", &input.usage[0], d("-2"), d("0.5"));
    line.kind = "correction".to_owned();
    let output = RatingOutput { lines: vec![line.clone()], ..RatingOutput::default() };
    assert_eq!(check(&the_terms(), &input, output).unwrap().total, d("-1"));
    let billed_again = RatingOutput {
        lines: vec![usage_line("requests:/a", &input.usage[0], d("2"), d("0.5"))],
        ..RatingOutput::default()
    };
    assert!(check(&the_terms(), &input, billed_again).is_err());
}

#[test]
fn an_answer_of_garbage_is_described_and_not_repeated_at_length() {
    let mut output = the_output();
    let line = Line { kind: "\u{1b}[31m".to_owned(), key: "\0".to_owned(), ..output.lines[0].clone() };
    output.lines = vec![line; 10_000];
    let found = check(&the_terms(), &the_input(), output).unwrap_err();
    assert_eq!(found.len(), 50);
    assert!(found[49].message.contains("more problems"), "{}", found[49]);
    assert!(found.iter().all(|broken| !broken.to_string().chars().any(char::is_control)));
    let flood = RatingOutput { lines: vec![the_output().lines[0].clone(); 10_001], ..RatingOutput::default() };
    let found = check(&the_terms(), &the_input(), flood).unwrap_err();
    assert_eq!((found.len(), found[0].rule), (1, Rule::Bounds));
}

#[test]
fn facts_that_do_not_fit_the_terms_are_named() {
    type Change = fn(&mut RatingInput);
    facts::check(&the_terms(), &the_input()).unwrap();
    let cases: &[(&str, Rule, Change)] = &[
        ("a currency that is not offered", Rule::Currency, |i| i.currency = "JPY".to_owned()),
        ("no currency", Rule::Currency, |i| i.currency = "euro".to_owned()),
        ("a need without an answer", Rule::Needs, |i| drop(i.usage.remove(0))),
        ("an answer without a need", Rule::Needs, |i| i.usage[0].need = "disk".to_owned()),
        ("another meter", Rule::Needs, |i| i.usage[0].meter = "disk".to_owned()),
        ("dimensions not asked for", Rule::Needs, |i| i.usage[0].dimensions = route("/")),
        ("a series twice", Rule::UniqueKeys, |i| i.usage[2].dimensions = route("/a")),
        ("no segments", Rule::Period, |i| i.segments.clear()),
        ("a gap", Rule::Period, |i| i.segments[0].span.start = "2026-01-02T00:00:00Z".parse().unwrap()),
        ("a segment too long", Rule::Period, |i| i.segments[0].span.end = "2026-02-02T00:00:00Z".parse().unwrap()),
        ("known before it began", Rule::Period, |i| i.as_of = "2025-12-31T23:59:59Z".parse().unwrap()),
        ("a bucket outside", Rule::Period, |i| {
            i.usage[0].buckets[0].span = interval("2026-01-31T00:00:00Z", "2026-02-02T00:00:00Z");
        }),
        ("overlapping buckets", Rule::Period, |i| {
            let bucket = Bucket { quantity: Decimal::ZERO, ..i.usage[1].buckets[0].clone() };
            i.usage[1].buckets.push(bucket);
        }),
        ("buckets that do not add up", Rule::Facts, |i| i.usage[1].quantity = d("1001")),
        ("a negative balance", Rule::Facts, |i| i.balances[0].available = d("-1")),
        ("a balance twice", Rule::UniqueKeys, |i| i.balances[1].id = "cash".to_owned()),
        ("a coupon of both kinds", Rule::Facts, |i| {
            let both = Adjustment { id: "x".to_owned(), percent: Some(d("1")), amount: Some(d("1")), scope: vec![] };
            i.adjustments.push(both);
        }),
    ];
    for (what, rule, change) in cases {
        let mut input = the_input();
        change(&mut input);
        let found = facts::check(&the_terms(), &input).expect_err(what);
        assert!(found.iter().any(|broken| broken.rule == *rule), "{what}: {found:?}");
    }
}

#[test]
fn terms_that_cannot_be_served_are_named() {
    type Change = fn(&mut RatingTerms);
    terms::check(&the_terms()).unwrap();
    let cases: &[(&str, Change)] = &[
        ("unknown aggregation", |t| t.needs[0].aggregation = Aggregation::Other("median".to_owned())),
        ("percentile", |t| t.needs[0].aggregation = Aggregation::Percentile(10_000)),
        ("short buckets", |t| t.needs[0].bucketing = Bucketing::Seconds(1)),
        ("id", |t| t.needs[0].id = "Requests".to_owned()),
        ("id twice", |t| t.needs[1].id = "requests".to_owned()),
        ("meter", |t| t.needs[0].meter = "api..requests".to_owned()),
        ("dimension twice", |t| t.needs[0].group_by.push("route".to_owned())),
        ("currency", |t| t.currencies.push("eur".to_owned())),
        ("many", |t| t.needs = vec![t.needs[0].clone(); 65]),
    ];
    for (what, change) in cases {
        let mut terms = the_terms();
        change(&mut terms);
        assert!(terms::check(&terms).is_err(), "{what}");
    }
    // What two configurations of a period agree on.
    let mut joined = the_terms();
    let mut other = RatingTerms { currencies: vec!["USD".to_owned()], ..the_terms() };
    other.needs.remove(0);
    terms::join(&mut joined, other).unwrap();
    assert_eq!((joined.currencies, joined.needs.len()), (vec!["USD".to_owned()], 2));
    let mut other = the_terms();
    other.needs[0].aggregation = Aggregation::Max;
    assert!(terms::join(&mut the_terms(), other).is_err(), "one name, two meanings");
    let other = RatingTerms { currencies: vec!["JPY".to_owned()], ..the_terms() };
    assert!(terms::join(&mut the_terms(), other).is_err(), "no currency in common");
}

#[test]
fn limits_are_about_needs() {
    type Change = fn(&mut UsageLimit);
    let limit = UsageLimit {
        need: "requests".to_owned(),
        dimensions: route("/a"),
        window_seconds: 3600,
        maximum: d("100"),
        alerts: vec![d("0.8"), d("1")],
        action: "throttle".to_owned(),
    };
    check_limits(&the_terms(), std::slice::from_ref(&limit)).unwrap();
    let cases: &[(&str, Change)] = &[
        ("need", |l| l.need = "disk".to_owned()),
        ("dimension", |l| l.dimensions[0].key = "model".to_owned()),
        ("window", |l| l.window_seconds = 31_622_401),
        ("maximum", |l| l.maximum = d("-1")),
        ("action", |l| l.action = "explode".to_owned()),
        ("falling alerts", |l| l.alerts.reverse()),
        ("alert of nothing", |l| l.alerts = vec![Decimal::ZERO]),
    ];
    for (what, change) in cases {
        let mut limit = limit.clone();
        change(&mut limit);
        assert!(check_limits(&the_terms(), &[limit]).is_err(), "{what}");
    }
}

#[test]
fn the_order_of_facts_does_not_matter() {
    let mut sorted = the_input();
    sorted.sort();
    let mut shuffled = the_input();
    shuffled.usage.reverse();
    shuffled.balances.reverse();
    shuffled.sort();
    assert_eq!(serde_json::to_string(&sorted).unwrap(), serde_json::to_string(&shuffled).unwrap());
    // What is lost first is used first.
    let mut input = the_input();
    input.balances =
        vec![balance("a", "EUR", "1"), Balance { expires: Some(january().end), ..balance("b", "EUR", "1") }];
    input.sort();
    assert_eq!(input.balances[0].id, "b");
}

prop_compose! {
    /// Thousandths of a unit: quantities need not be whole.
    fn quantity()(thousandths in 0_i64..10_000_000_000) -> Decimal {
        Decimal::from(thousandths).checked_div(Decimal::from(1000_u32), 3, Rounding::Down).unwrap()
    }
}

prop_compose! {
    fn price()(millionths in 0_i64..10_000_000) -> Decimal {
        Decimal::from(millionths).checked_div(Decimal::from(1_000_000_u32), 6, Rounding::Down).unwrap()
    }
}

proptest! {
    /// Whatever the numbers: an answer that splits the units over lines and a waiver passes, its total is the sum of
    /// rounded lines and within half a cent a line of the exact amount; and one unit moved anywhere is found.
    #[test]
    fn honest_answers_pass_and_a_moved_digit_is_found(
        parts in prop::collection::vec((quantity(), price()), 1..8),
        waived in quantity(),
        moved in any::<prop::sample::Index>(),
    ) {
        let billed = Decimal::checked_sum(parts.iter().map(|(quantity, _)| *quantity)).unwrap();
        let mut input = the_input();
        let total = billed.checked_add(waived).unwrap();
        input.usage = vec![series("requests", "api.requests", "request", route("/"), total)];
        let lines: Vec<Line> = parts.iter().enumerate()
            .map(|(index, (quantity, price))| usage_line(&format!("l{index}"), &input.usage[0], *quantity, *price))
            .collect();
        let exact = Decimal::checked_sum(lines.iter().map(|line| line.amount)).unwrap();
        let waiver = Waiver {
            need: "requests".to_owned(), dimensions: route("/"), quantity: waived, reason: "free".to_owned(),
        };
        let output = RatingOutput { lines, waived: vec![waiver], ..RatingOutput::default() };
        let rated = check(&the_terms(), &input, output.clone()).unwrap();
        prop_assert_eq!(Decimal::checked_sum(rated.lines.iter().map(|line| line.rounded)).unwrap(), rated.total);
        let off = rated.total.checked_sub(exact).unwrap();
        let bound = d("0.005").checked_mul(Decimal::from(u32::try_from(parts.len()).unwrap())).unwrap();
        prop_assert!(off <= bound && off.negated() <= bound, "{} against {}", rated.total, exact);

        let index = moved.index(parts.len());
        let mut more_units = output.clone();
        more_units.lines[index].quantity = more_units.lines[index].quantity.checked_add(d("0.001")).unwrap();
        let found = check(&the_terms(), &input, more_units).unwrap_err();
        prop_assert!(found.iter().any(|broken| broken.rule == Rule::Coverage));
        let mut more_money = output;
        more_money.lines[index].amount = more_money.lines[index].amount.checked_add(d("0.000001")).unwrap();
        let found = check(&the_terms(), &input, more_money).unwrap_err();
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].rule, Rule::StepsSum);
    }
}
