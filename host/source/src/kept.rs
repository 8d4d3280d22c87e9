//! A source that is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use convergence_model::SourceDigest;
use convergence_model::build::SourceTar;
use convergence_model::plan::{self, Contents};
use ignore::gitignore::GitignoreBuilder;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Kind};

/// Bytes of one file that a template may read.
const FILE_MAX: u64 = 1 << 20;
/// Bytes of all files that a template may read.
const FILES_MAX: u64 = 4 << 20;

/// What stands behind the end of a tar, so that the two are one file and never of two uploads. The last eight bytes of the file say
/// how long the tar is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) digest: SourceDigest,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    pub(crate) entries: Vec<Entry>,
}

/// Bytes of the length of the tar.
const LENGTH: u64 = 8;

impl Index {
    /// Writes it behind the tar.
    pub(crate) fn append(&self, mut file: &File) -> io::Result<()> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut out = BufWriter::new(file);
        serde_json::to_writer(&mut out, self)?;
        out.write_all(&length.to_be_bytes())?;
        out.flush()
    }

    /// Reads it, and how long the tar is.
    fn read(file: &mut File) -> io::Result<(Self, u64)> {
        let end = file.metadata()?.len().checked_sub(LENGTH).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut length = [0; LENGTH as usize];
        file.seek(SeekFrom::Start(end))?;
        file.read_exact(&mut length)?;
        let tar = u64::from_be_bytes(length);
        let bytes = end.checked_sub(tar).ok_or(io::ErrorKind::InvalidData)?;
        file.seek(SeekFrom::Start(tar))?;
        Ok((serde_json::from_reader(BufReader::new(file.take(bytes)))?, tar))
    }
}

/// A file that is different in another source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Relative to the root of both.
    pub path: String,
    /// How it is different.
    pub what: Changed,
}

/// How a file is different in another source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is there only.
    Added,
    /// It is not there.
    Removed,
    /// Its contents, its mode, or where it leads to are others.
    Edited,
}

/// A source that is kept: what is in it, and where.
#[derive(Debug, Clone)]
pub struct KeptSource {
    digest: SourceDigest,
    bytes: u64,
    entries: BTreeMap<String, Kind>,
    tar: SourceTar,
}

impl KeptSource {
    pub(crate) fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let (Index { digest, bytes, entries }, length) = Index::read(&mut file)?;
        let entries = entries.into_iter().map(|entry| (entry.path, entry.kind)).collect();
        Ok(Some(Self { digest, bytes, entries, tar: SourceTar { path, bytes: length } }))
    }

    /// The hash of what is in it.
    pub fn digest(&self) -> &SourceDigest {
        &self.digest
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files are in it.
    pub fn files(&self) -> usize {
        self.entries.values().filter(|kind| matches!(kind, Kind::File { .. })).count()
    }

    /// The tar of it, whose entries lie in [`convergence_model::build::SOURCE_FOLDER`].
    pub fn tar(&self) -> &SourceTar {
        &self.tar
    }

    /// What is in it, in the order of paths.
    pub(crate) fn entries(&self) -> &BTreeMap<String, Kind> {
        &self.entries
    }

    /// Whether there is a file of this path.
    pub fn has_file(&self, path: &str) -> bool {
        matches!(self.entries.get(path), Some(Kind::File { .. }))
    }

    /// The text of one of its files; none where there is no such file, or it is too large or no text.
    ///
    /// # Errors
    /// The tar cannot be read.
    pub fn text(&self, path: &str) -> io::Result<Option<String>> {
        let Some(Kind::File { size, at, .. }) = self.entries.get(path) else { return Ok(None) };
        if *size > FILE_MAX {
            return Ok(None);
        }
        Ok(String::from_utf8(self.read(&mut File::open(&self.tar.path)?, *at, *size)?).ok())
    }

    /// The source as a template sees it, which wants the contents of files that these patterns match (gitignore syntax).
    /// Blocks on the disk. A pattern that is none matches nothing.
    ///
    /// # Errors
    /// The tar cannot be read.
    pub fn view(&self, wants: &[String]) -> io::Result<plan::Source> {
        let mut patterns = GitignoreBuilder::new("");
        for pattern in wants {
            patterns.add_line(None, pattern).ok();
        }
        let patterns = patterns.build().map_err(io::Error::other)?;
        let mut tar = File::open(&self.tar.path)?;
        let mut view = plan::Source::default();
        let mut left = FILES_MAX;
        for (path, kind) in &self.entries {
            let Kind::File { size, executable, at, .. } = kind else { continue };
            view.paths.push(path.clone());
            if *size <= FILE_MAX.min(left) && patterns.matched_path_or_any_parents(path, false).is_ignore() {
                left -= size;
                let contents = Contents(self.read(&mut tar, *at, *size)?);
                view.files.push(plan::File { path: path.clone(), contents, executable: *executable });
            }
        }
        Ok(view)
    }

    /// What is different in `other`: every path of a file or link, in order.
    pub fn changes(&self, other: &Self) -> Vec<FileChange> {
        let content = |kind: &Kind| match kind {
            Kind::File { executable, sha256, .. } => Some((*executable, sha256.clone())),
            Kind::Link { to } => Some((false, to.clone())),
            Kind::Folder => None,
        };
        let paths: BTreeSet<&String> = self.entries.keys().chain(other.entries.keys()).collect();
        let what = |path: &String| {
            let of = |source: &Self| source.entries.get(path).and_then(content);
            let what = match (of(self), of(other)) {
                (None, Some(_)) => Changed::Added,
                (Some(_), None) => Changed::Removed,
                (before, after) if before != after => Changed::Edited,
                _ => return None,
            };
            Some(FileChange { path: path.clone(), what })
        };
        paths.into_iter().filter_map(what).collect()
    }

    fn read(&self, tar: &mut File, at: u64, size: u64) -> io::Result<Vec<u8>> {
        tar.seek(SeekFrom::Start(at))?;
        let mut contents = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        tar.read_exact(&mut contents)?;
        Ok(contents)
    }
}
