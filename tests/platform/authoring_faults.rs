//! What authors meet when their code is wrong, in the languages that have an interpreter: each fault names what was raised,
//! where, and with which value. And whole numbers at the edges of their types arrive and return as they are, in every language.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::authoring::{document, plugin, text};

/// A project with its source changed, and no cases but `cases`.
fn project(folder: &Path, kind: &str, language: &str, source: &str, change: (&str, &str), cases: &[Value]) {
    document(&plugin(folder, &["new", "--kind", kind, "--lang", language, "--dir", ".", "wrong"]));
    let source = folder.join(source);
    let original = fs::read_to_string(&source).unwrap();
    assert!(original.contains(change.0), "{} has no `{}`", source.display(), change.0);
    fs::write(&source, original.replacen(change.0, change.1, 1)).unwrap();
    let examples = folder.join("cases");
    for (number, case) in cases.iter().enumerate() {
        fs::write(examples.join(format!("fault-{number}.json")), case.to_string()).unwrap();
    }
}

/// A rating whose organization says what is to go wrong.
fn rating(fault: &str) -> Value {
    let span = json!({ "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z" });
    json!({ "name": fault, "input": {
        "organization": fault, "subscription": "s-1", "currency": "EUR", "minorDigits": 2, "timezone": "UTC",
        "period": span, "asOf": "2026-02-01T00:00:00Z", "segments": [{ "span": span, "seats": "1" }], "usage": [],
    }})
}

/// Each fault by the name of its organization, with what the author must be told.
fn faults_are_told(language: &str, source: &str, change: (&str, &str), faults: &[(&str, &[&str])]) {
    let folder = TempDir::new().unwrap();
    let cases: Vec<Value> = faults.iter().map(|(fault, _)| rating(fault)).collect();
    project(folder.path(), "billing", language, source, change, &cases);
    let tested = plugin(folder.path(), &["test"]);
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested.stderr));
    let tested: Value = serde_json::from_slice(&tested.stdout).unwrap();
    let cases = tested["cases"].as_array().unwrap();
    for (fault, told) in faults {
        let case = cases.iter().find(|case| case["name"] == *fault).unwrap_or_else(|| panic!("{fault}: {tested:#}"));
        let said = case.to_string();
        for told in *told {
            assert!(said.contains(told), "{language}, {fault}: `{told}` is not in {case:#}");
        }
    }
}

#[test]
fn a_fault_in_python_is_told_with_its_traceback_and_values() {
    let faults = r#"
        if input.organization == "raise":
            raise ValueError("boom " + str(6 * 7))
        if input.organization == "key":
            return {}["no-such-key"]
        if input.organization == "math":
            return math.div("1", "0", 2, math.Rounding.HALF_EVEN)
        if input.organization == "decimal":
            return math.add("1,5", "1")
        if input.organization == "recursion":
            return self.rate(input)
        if input.organization == "exit":
            raise SystemExit(3)
"#;
    let line = "        \"\"\"The same input must give the same answer: invoices are replayed.\"\"\"\n";
    faults_are_told(
        "python",
        "src/plugin.py",
        (line, &format!("{line}{faults}")),
        &[
            ("raise", &["ValueError: boom 42", "plugin.py", "in Rater.rate", "raise ValueError"]),
            ("key", &["KeyError: 'no-such-key'", "in Rater.rate"]),
            ("math", &["MathError_DivisionByZero", "in Rater.rate", "math.div"]),
            ("decimal", &["MathError_NotADecimal", "1,5"]),
            ("recursion", &["RecursionError"]),
            ("exit", &["SystemExit: 3"]),
        ],
    );
}

#[test]
fn a_fault_in_javascript_is_told_with_its_stack_and_values() {
    let faults = r"rate(input) {
    if (input.organization === 'raise') throw new RangeError(`boom ${6 * 7}`);
    if (input.organization === 'type') return undefined.lines;
    if (input.organization === 'math') return mul('9'.repeat(20), '9'.repeat(20));
    if (input.organization === 'decimal') return sub('1,5', '1');
    if (input.organization === 'value') throw { code: 17, reason: 'no reason' };
    if (input.organization === 'recursion') return this.rate(input);
";
    faults_are_told(
        "javascript",
        "src/plugin.js",
        ("rate(input) {\n", faults),
        &[
            ("raise", &["RangeError: boom 42", "plugin.js", "rate"]),
            ("type", &["TypeError", "undefined", "plugin.js"]),
            ("math", &["overflow", "plugin.js"]),
            ("decimal", &["not-a-decimal", "1,5"]),
            ("value", &["no reason", "17"]),
            ("recursion", &["call stack exhausted"]),
        ],
    );
}

#[test]
fn what_javascript_cannot_read_is_told_without_what_builds_it() {
    let folder = TempDir::new().unwrap();
    project(
        folder.path(),
        "policy",
        "javascript",
        "src/plugin.js",
        ("export const metadata = {", "export const = {"),
        &[],
    );
    let built = plugin(folder.path(), &["build"]);
    let said = text(&built.stderr) + &text(&built.stdout);
    assert!(!built.status.success() && said.contains("plugin.js"), "{said}");
    assert!(!said.contains("createRequire"), "{said}");
}

/// A policy that asks for the limits it was given, so that each of them crosses both ways.
fn numbers_cross_as_they_are(language: &str, source: &str, change: (&str, &str)) {
    let review = |number: u32| {
        let limits =
            json!({ "cpuMillis": number, "memoryMb": number, "diskMb": number, "replicas": number, "pids": number });
        json!({
            "name": number.to_string(),
            "input": {
                "action": "spawn", "actorRole": "admin", "tenantName": "echo", "language": "node", "source": "starter",
                "organization": {
                    "id": "1", "name": "Example", "plan": "",
                    "usage": { "tenants": number, "cpuMillis": number, "memoryMb": number, "diskMb": number },
                },
                "limits": limits,
            },
            "expect": { "violations": [], "tightened": limits },
        })
    };
    let edges = [0, 1, i32::MAX as u32, 1 << 31, (1 << 31) + 1, u32::MAX - 1, u32::MAX];
    let folder = TempDir::new().unwrap();
    project(folder.path(), "policy", language, source, change, &edges.map(review));
    let tested = document(&plugin(folder.path(), &["test"]));
    assert_eq!(tested["cases"].as_array().unwrap().len(), edges.len() + 3, "{tested:#}");
}

#[test]
fn numbers_cross_as_they_are_in_javascript() {
    numbers_cross_as_they_are(
        "javascript",
        "src/plugin.js",
        (
            "evaluate(review) {\n",
            "evaluate(review) {\n    if (review.tenantName === 'echo') return Object.freeze({ violations: [], tightened: Object.freeze(review.limits) });\n",
        ),
    );
}

#[test]
fn numbers_cross_as_they_are_in_python() {
    let function = "    def evaluate(self, review: Review) -> Verdict:\n";
    let echo = "        if review.tenant_name == \"echo\":\n            return Verdict(violations=[], tightened=review.limits)\n";
    numbers_cross_as_they_are("python", "src/plugin.py", (function, &format!("{function}{echo}")));
}

#[test]
fn numbers_cross_as_they_are_in_c() {
    let reset = "  *verdict = (policy_verdict_t){0};\n";
    let echo = "  if (text_is(review->tenant_name, \"echo\")) {\n    verdict->tightened.is_some = true;\n    verdict->tightened.val = review->limits;\n    return true;\n  }\n";
    numbers_cross_as_they_are("c", "src/policy.c", (reset, &format!("{reset}{echo}")));
}
