//! What a commit names and does not hold: submodules, and files in Git LFS. A source without them would build something else
//! than its author means, so they are refused by name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::ops::RangeInclusive;
use std::process::Stdio;

use super::GitError;
use super::run::Wall;
use crate::SourceError;

/// Bytes that git may write of a tree, or of small files.
const MOST: u64 = 64 << 20;
/// Bytes of one entry of a list: a path that is longer is refused for that.
const ENTRY_MAX: u64 = 4096;
/// Paths that an error names.
const NAMED: usize = 5;
/// Characters of a path that are shown.
const SHOWN: usize = 200;
/// Bytes of a file that stands for one in Git LFS, as its specification has it.
const POINTER: RangeInclusive<u64> = 100..=1024;
/// Bytes of a file of attributes that is read.
const ATTRIBUTES: RangeInclusive<u64> = 1..=64 << 10;

/// A file of the commit.
struct Blob {
    hash: String,
    size: u64,
    path: Vec<u8>,
}

/// The first paths of a kind, and how many there are besides.
#[derive(Default)]
struct Paths {
    first: Vec<String>,
    more: usize,
}

impl Paths {
    fn add(&mut self, path: &[u8]) {
        if self.first.len() < NAMED {
            self.first.push(String::from_utf8_lossy(path).chars().take(SHOWN).collect());
        } else {
            self.more += 1;
        }
    }
}

/// Refuses a commit that does not hold all of its files.
pub(super) fn check(wall: &Wall, commit: &str) -> Result<(), GitError> {
    let list = ["ls-tree", "-r", "-z", "-l", "--full-tree", commit];
    let mut list = BufReader::new(wall.local(&list, Stdio::null(), MOST)?.success()?);
    let (mut submodules, mut attributes, mut small) = (Paths::default(), Vec::new(), Vec::new());
    while let Some((mode, blob)) = entry(&mut list)? {
        match mode.as_str() {
            "160000" => submodules.add(&blob.path),
            // Git follows no link to attributes either.
            "120000" => {}
            _ if blob.path.split(|byte| *byte == b'/').next_back() == Some(b".gitattributes") => attributes.push(blob),
            _ if POINTER.contains(&blob.size) => small.push(blob),
            _ => {}
        }
    }
    if !submodules.first.is_empty() {
        return Err(GitError::Submodules { paths: submodules.first, more: submodules.more });
    }
    // A text that looks like a pointer is one where the repository says so. Most say nothing, and nothing else is read then.
    let mut has_lfs = attributes.iter().any(|blob| blob.size > *ATTRIBUTES.end());
    attributes.retain(|blob| ATTRIBUTES.contains(&blob.size));
    each(wall, &attributes, |_, text| has_lfs |= text.windows(10).any(|part| part == b"filter=lfs"))?;
    let mut pointers = Paths::default();
    if has_lfs {
        each(wall, &small, |path, text| {
            let has_hash = text.windows(5).any(|part| part == b"\noid ");
            if has_hash && text.starts_with(b"version https://git-lfs.github.com/spec/") {
                pointers.add(path);
            }
        })?;
    }
    match pointers {
        Paths { first, .. } if first.is_empty() => Ok(()),
        Paths { first: paths, more } => Err(GitError::Lfs { paths, more }),
    }
}

/// The next entry of a list of `git ls-tree`: its mode, and what it is. A submodule has no size.
fn entry(list: &mut BufReader<File>) -> Result<Option<(String, Blob)>, GitError> {
    let mut record = Vec::new();
    list.take(ENTRY_MAX).read_until(0, &mut record)?;
    if record.is_empty() {
        return Ok(None);
    }
    if record.pop() != Some(0) {
        let shown: String = String::from_utf8_lossy(&record).chars().take(SHOWN).collect();
        let what = format!("the repository has a path that is longer than 1024 bytes, at {shown:?}; rename the file");
        return Err(SourceError::Refused(what).into());
    }
    let odd = || GitError::Failed("git lists the files in a form that is not known".to_owned());
    let tab = record.iter().position(|byte| *byte == b'\t').ok_or_else(odd)?;
    let (about, path) = record.split_at(tab);
    let about = str::from_utf8(about).map_err(|_| odd())?;
    let mut words = about.split_ascii_whitespace();
    let (Some(mode), Some(_), Some(hash), Some(size)) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(odd());
    };
    let path = path.get(1..).unwrap_or_default().to_owned();
    Ok(Some((mode.to_owned(), Blob { hash: hash.to_owned(), size: size.parse().unwrap_or(0), path })))
}

/// Reads small files of the commit.
fn each(wall: &Wall, blobs: &[Blob], mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), GitError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let asked = wall.path("asked");
    let mut hashes = BufWriter::new(File::create(&asked)?);
    for blob in blobs {
        writeln!(hashes, "{}", blob.hash)?;
    }
    hashes.into_inner().map_err(io::IntoInnerError::into_error)?;
    let input = Stdio::from(File::open(asked)?);
    let mut answer = BufReader::new(wall.local(&["cat-file", "--batch", "--buffer"], input, MOST)?.success()?);
    let mut text = Vec::new();
    for blob in blobs {
        // The hash, `blob`, and the size, which is known.
        answer.by_ref().take(ENTRY_MAX).read_until(b'\n', &mut Vec::new())?;
        text.resize(usize::try_from(blob.size).map_err(io::Error::other)?, 0);
        answer.read_exact(&mut text)?;
        answer.read_exact(&mut [0])?;
        visit(&blob.path, &text);
    }
    Ok(())
}
