//! What is read of a Dockerfile, what is written again, and what is refused.

#![allow(clippy::unwrap_used)]

use super::*;

fn parse(text: &str) -> Result<OwnDockerfile, Vec<Violation>> {
    OwnDockerfile::parse("Dockerfile", text, &BTreeMap::new())
}

/// What is written, with `<…>` around images.
fn written(text: &str) -> String {
    let pieces = parse(text).unwrap().pieces.into_iter();
    pieces
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Image { asked, .. } => format!("<{asked}>"),
        })
        .collect()
}

fn refusal(text: &str) -> String {
    let wrong = parse(text).unwrap_err();
    wrong.iter().map(|violation| format!("{} {}", violation.path, violation.message)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_image_is_found_and_stages_are_left() {
    let text = "\
# syntax=docker/dockerfile:1
ARG VERSION=22 \\
    FLAVOUR=\"slim\"
FROM --platform=linux/amd64 node:${VERSION}-$FLAVOUR AS Build
RUN --mount=type=cache,target=/root/.npm --mount=type=bind,from=tools:1,source=/,target=/t npm ci \\
  # a comment in between

  && npm run build
from scratch
COPY --from=build --chown=1:1 /app /app
COPY --from=0 /a /b
COPY --from=busybox:1 /bin/sh /sh
FROM build
CMD [\"node\", \"server.js\"]
";
    assert_eq!(
        written(text),
        "ARG VERSION=22     FLAVOUR=\"slim\"\n\
         FROM --platform=linux/amd64 <node:22-slim> AS Build\n\
         RUN --mount=type=cache,target=/root/.npm --mount=type=bind,from=<tools:1>,source=/,target=/t npm ci   && npm run build\n\
         FROM scratch\n\
         COPY --from=build --chown=1:1 /app /app\n\
         COPY --from=0 /a /b\n\
         COPY --from=<busybox:1> /bin/sh /sh\n\
         FROM build\n\
         CMD [\"node\", \"server.js\"]\n"
    );
    let parsed = parse(text).unwrap();
    assert_eq!(
        parsed.images().into_iter().collect::<Vec<_>>(),
        [("busybox:1", 12), ("node:22-slim", 4), ("tools:1", 5)]
    );
}

#[test]
fn arguments_of_the_build_are_stronger_than_those_of_the_file() {
    let args = BTreeMap::from([("VERSION".to_owned(), "24".to_owned())]);
    let parsed = OwnDockerfile::parse("Dockerfile", "ARG VERSION=22\nFROM node:$VERSION\n", &args).unwrap();
    assert_eq!(parsed.images().into_keys().collect::<Vec<_>>(), ["node:24"]);
    let parsed =
        OwnDockerfile::parse("Dockerfile", "ARG A\nARG B=${A:-x}\nFROM i:${B:+y}\n", &BTreeMap::new()).unwrap();
    assert_eq!(parsed.images().into_keys().collect::<Vec<_>>(), ["i:y"]);
}

#[test]
fn what_cannot_be_read_with_certainty_is_refused_by_its_line() {
    for (text, line, words) in [
        ("", 1, "no FROM"),
        ("RUN x\n", 1, "before the first FROM"),
        ("FROM a\nRUM x\n", 2, "\"RUM\" is not an instruction"),
        ("FROM a\nRUN\n", 2, "needs something"),
        ("FROM a\nRUN x \\\\\nFROM evil\n", 2, "two backslashes"),
        ("# escape=`\nFROM a\n", 1, "escape directive"),
        ("#check=skip=all\n# ESCAPE = `\nFROM a\n", 2, "escape directive"),
        ("FROM a\nRUN <<EOF\nFROM evil\nEOF\n", 2, "here-documents"),
        ("FROM a\nCOPY <<-'X' /y\nX\n", 2, "here-documents"),
        ("FROM a:$TAG\n", 1, "\"TAG\""),
        ("ARG T\nFROM a:${T}\n", 2, "ARG T="),
        ("FROM a:${T?x}\n", 1, "not supported"),
        ("FROM \"a\"\n", 1, "not the name of an image"),
        ("FROM a b\n", 1, "FROM image AS name"),
        ("FROM a AS 0\n", 1, "name of a stage"),
        ("FROM a\nCOPY --from=$X / /\n", 2, "without quotes and variables"),
        ("FROM a\nRUN --mount=\"type=bind,from=evil\" x\n", 2, "without"),
        ("FROM a\nRUN --mount=type=bind,from=$E x\n", 2, "without"),
        ("FROM a\nRUN --network=host x\n", 2, "not allowed"),
        ("FROM a\nRUN --security=insecure x\n", 2, "not allowed"),
        ("FROM a\nADD https://example.com/x /x\n", 2, "download in a RUN"),
        ("FROM a\nADD [\"\\u0068ttps:\\/\\/x\", \"/x\"]\n", 2, "download in a RUN"),
        ("FROM a\nADD git@example.com:x /x\n", 2, "download in a RUN"),
        ("FROM a\nVOLUME /data\n", 2, "/tmp"),
        ("FROM a\nONBUILD RUN x\n", 2, "ONBUILD"),
        ("FROM a\nRUN a\u{b}b\n", 2, "control characters"),
        ("FROM a\nRUN x \\\u{a0}\nFROM b AS c\n", 2, "blanks other than"),
        ("FROM a\nRUN x\\ \\\n \\\n\n", 2, "ends with a backslash"),
        ("FROM a\nCOPY --\"from\"=evil/x:1 / /\n", 2, "quotes"),
        ("FROM a\nCOPY --fro\\m=evil/x:1 / /\n", 2, "backslashes"),
        ("FROM a\nCOPY --chown=\"1 /a\" --from=evil/x:1 / /\n", 2, "quotes"),
        ("FROM a\nRUN --mount=type=cache,target=/xà--mount=from=evil/x:1,target=/y cmd\n", 2, "beyond ASCII"),
        ("FROM a\nADD --chown=1àhttps://x /y /z\n", 2, "beyond ASCII"),
        ("FROM a\nADD --keep-git-dir=true x /z\n", 2, "not allowed"),
        ("FROM a\nADD --from=evil/x:1 x /z\n", 2, "not allowed"),
        ("FROM a\nRUN -- --mount=from=x y\n", 2, "option"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with(&format!("Dockerfile:{line} ")) && refusal.contains(words), "{text:?}: {refusal}");
    }
}

#[test]
fn one_answer_names_everything_that_is_wrong() {
    assert_eq!(refusal("FROM a\nVOLUME /x\nONBUILD RUN x\nRUN y\n").lines().count(), 2);
}

/// The builder looks for what a mount is from by name only.
#[test]
fn a_number_is_a_stage_for_copies_only() {
    assert_eq!(written("FROM a\nCOPY --from=0 / /\nRUN --mount=from=0,target=/x y\n").matches('<').count(), 2);
}

#[test]
fn a_number_larger_than_the_stages_is_an_image_and_a_name_of_a_later_stage_too() {
    assert_eq!(written("FROM a AS x\nCOPY --from=1 / /\nCOPY --from=y / /\nFROM b AS y\n").matches('<').count(), 4);
}
