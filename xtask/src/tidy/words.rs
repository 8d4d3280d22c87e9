//! Words and phrases that a reader has to look up, and the plain ones to write instead. The whole guide is longer; these are
//! the worst.

use std::path::Path;

use super::Complaint;

/// Each word, and what to write for it.
const WORDS: [(&str, &str); 9] = [
    ("whoever", "the caller, the server, everybody who"),
    ("whomever", "the caller, the server, everybody who"),
    ("thrice", "three times"),
    ("hereby", "nothing at all"),
    ("stranger", "untrusted, unknown"),
    ("strangers", "untrusted, unknown"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mending", "fixing"),
];

/// Each phrase, in lower case, and what to write for it. Looked for in single lines.
const PHRASES: [(&str, &str); 10] = [
    ("take it back", "cancel, revoke"),
    ("taken back", "cancelled, revoked"),
    ("takes back", "cancels, revokes"),
    ("hold it against", "run its test cases"),
    ("give up watching", "stop waiting"),
    ("what is done to tenants", "operations"),
    ("was at fault", "failed recently"),
    ("were at fault", "failed recently"),
    ("taken-out", "removed"),
    ("for people", "human-readable"),
];

/// What is not ours to write, or has to name the words.
const EXEMPT: [&str; 3] = ["LICENSE", "host/provision/tests/fixtures", "xtask/src/tidy/words.rs"];

/// Every line that has one of the words or phrases.
pub(super) fn check(path: &Path, text: &str) -> Vec<Complaint> {
    if EXEMPT.iter().any(|exempt| path.starts_with(exempt)) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (phrase, plain) in PHRASES.iter().filter(|(phrase, _)| lower.contains(phrase)) {
            let place = format!("{}:{}", path.display(), number + 1);
            complaints.push(Complaint::new(place, format!("`{phrase}` is not plain English: write {plain}")));
        }
        let of_line = line.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        for word in of_line {
            if let Some((word, plain)) = WORDS.iter().find(|(quaint, _)| *quaint == word) {
                let place = format!("{}:{}", path.display(), number + 1);
                complaints.push(Complaint::new(place, format!("`{word}` is not plain English: write {plain}")));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quaint_word_is_found_where_it_stands_and_only_as_a_word_of_its_own() {
        let text = "Recommended.\nAsk Whoever\nlet to_mend = 1;\n";
        let found = check(Path::new("docs/x.md"), text);
        let places: Vec<_> = found.iter().map(|complaint| complaint.place.as_str()).collect();
        assert_eq!(places, ["docs/x.md:2", "docs/x.md:3"]);
        assert!(found[0].what.contains("the caller"), "{}", found[0]);
        assert!(check(Path::new("LICENSE"), text).is_empty());
    }

    #[test]
    fn a_quaint_phrase_is_found() {
        let found = check(Path::new("docs/x.md"), "A key is revoked.\nKeys that were Taken Back.\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "docs/x.md:2");
    }
}
