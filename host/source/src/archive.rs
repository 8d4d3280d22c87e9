//! Reading archives: tar, plain or compressed by gzip or zstd, and zip. What a file is called says nothing; its first
//! bytes do.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use tar::EntryType;
use zip::ZipArchive;

use crate::SourceError;

/// Bytes of a link's target in a zip.
const TARGET_MAX: u64 = 4096;

/// Something in an archive, as it is written there.
pub(crate) struct Raw<'a> {
    /// Where it says it belongs.
    pub(crate) path: &'a [u8],
    /// What it is.
    pub(crate) what: What<'a>,
}

/// What is in an archive.
pub(crate) enum What<'a> {
    /// A regular file, said to be of this size.
    File { size: u64, executable: bool, contents: &'a mut dyn Read },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link { to: &'a [u8] },
    /// Something no source has.
    Other(&'static str),
}

/// What is done with each entry.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Raw<'_>) -> Result<(), SourceError>;

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Tar,
    TarGzip,
    TarZstd,
    Zip,
}

impl Format {
    /// By the first bytes of the archive.
    fn of(first: &[u8]) -> Result<Self, SourceError> {
        let other = |name: &str| {
            Err(SourceError::Unreadable(format!("the archive is {name}; send a tar, tar.gz, tar.zst or zip instead")))
        };
        match first {
            [] => Err(SourceError::Unreadable("the archive is empty; send a tar, tar.gz, tar.zst or zip".to_owned())),
            [0x1f, 0x8b, ..] => Ok(Self::TarGzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::TarZstd),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(Self::Zip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => other("compressed by xz"),
            [b'B', b'Z', b'h', ..] => other("compressed by bzip2"),
            [b'7', b'z', 0xbc, 0xaf, ..] => other("a 7z file"),
            [b'R', b'a', b'r', b'!', ..] => other("a rar file"),
            _ if first.get(257..262) == Some(b"ustar") => Ok(Self::Tar),
            // A tar that ends at once.
            _ if first.len() >= 512 && first.iter().all(|byte| *byte == 0) => Ok(Self::Tar),
            _ => other("neither a tar (tar.gz, tar.zst) nor a zip"),
        }
    }
}

/// Visits every entry of an archive, in its order.
///
/// # Errors
/// The archive cannot be read; what `visit` answers.
pub(crate) fn each(mut archive: File, visit: Visit<'_>) -> Result<(), SourceError> {
    let mut first = Vec::with_capacity(512);
    archive.by_ref().take(512).read_to_end(&mut first)?;
    archive.seek(SeekFrom::Start(0))?;
    let format = Format::of(&first)?;
    let archive = BufReader::with_capacity(128 << 10, archive);
    match format {
        Format::Tar => tar("tar", archive, visit),
        Format::TarGzip => tar("tar.gz", MultiGzDecoder::new(archive), visit),
        Format::TarZstd => {
            let decoder = StreamingDecoder::new(archive).map_err(|error| unreadable("tar.zst", error))?;
            tar("tar.zst", decoder, visit)
        }
        Format::Zip => zip(archive, visit),
    }
}

fn unreadable(format: &str, error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::unreadable(format, &io::Error::other(error))
}

fn tar(format: &str, archive: impl Read, visit: Visit<'_>) -> Result<(), SourceError> {
    let bad = |error: io::Error| SourceError::unreadable(format, &error);
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let header = entry.header();
        let (kind, size) = (header.entry_type(), entry.size());
        let executable = header.mode().map_err(bad)? & 0o111 != 0;
        let path = entry.path_bytes().into_owned();
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let what = match kind {
            EntryType::Regular | EntryType::Continuous => What::File { size, executable, contents: &mut entry },
            EntryType::Directory => What::Folder,
            EntryType::Symlink => What::Link { to: &target },
            // Says something of the entries that follow.
            EntryType::XGlobalHeader => continue,
            EntryType::Link => What::Other("a hard link"),
            EntryType::GNUSparse => What::Other("a sparse file"),
            EntryType::Char | EntryType::Block => What::Other("a device"),
            EntryType::Fifo => What::Other("a named pipe"),
            _ => What::Other("an entry of unknown kind"),
        };
        visit(Raw { path: &path, what })?;
    }
    Ok(())
}

fn zip(archive: BufReader<File>, visit: Visit<'_>) -> Result<(), SourceError> {
    let mut raw = archive.get_ref().try_clone()?;
    let mut archive = ZipArchive::new(archive).map_err(|error| unreadable("zip", error))?;
    for index in 0..archive.len() {
        let encrypted = archive.by_index_raw(index).is_ok_and(|entry| entry.encrypted());
        if encrypted {
            return Err(SourceError::Refused("the zip is encrypted; pack it without a password".to_owned()));
        }
        let mut entry = archive.by_index(index).map_err(|error| unreadable("zip", error))?;
        let path = entry.name_raw().to_vec();
        agree(&mut raw, entry.header_start(), &path)?;
        // The upper half of the attributes, where the archive was made on Unix.
        let mode = entry.unix_mode().unwrap_or(0o644);
        let size = entry.size();
        let mut target = Vec::new();
        let what = if entry.is_dir() {
            What::Folder
        } else {
            match mode & 0o170_000 {
                0o120_000 => {
                    let read = entry.by_ref().take(TARGET_MAX).read_to_end(&mut target);
                    read.map_err(|error| SourceError::unreadable("zip", &error))?;
                    What::Link { to: &target }
                }
                0 | 0o100_000 => What::File { size, executable: mode & 0o111 != 0, contents: &mut entry },
                _ => What::Other("neither a file, a folder nor a link"),
            }
        };
        visit(Raw { path: &path, what })?;
    }
    Ok(())
}

/// Bytes of the fixed part of what stands before each file of a zip (APPNOTE 4.3.7).
const LOCAL_HEADER: usize = 30;

/// A zip says twice what its files are called: before each, and in the directory at its end. Programs differ in which one
/// they believe, so both have to say the same.
fn agree(archive: &mut File, header_at: u64, listed: &[u8]) -> Result<(), SourceError> {
    let mut header = [0; LOCAL_HEADER];
    let bad = |error: io::Error| SourceError::unreadable("zip", &error);
    // The clone shares its place with the reader of the archive, so it is put back.
    let place = archive.stream_position()?;
    archive.seek(SeekFrom::Start(header_at))?;
    archive.read_exact(&mut header).map_err(bad)?;
    let [.., low, high, _, _] = header;
    let mut name = vec![0; usize::from(u16::from_le_bytes([low, high]))];
    archive.read_exact(&mut name).map_err(bad)?;
    archive.seek(SeekFrom::Start(place))?;
    if name == listed {
        return Ok(());
    }
    let (name, listed) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(listed));
    Err(SourceError::Refused(format!(
        "the zip calls a file {name:?} in front of it and {listed:?} in its directory; pack it again"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_it_is_not_is_told() {
        let says = |first: &[u8]| Format::of(first).unwrap_err().to_string();
        assert!(says(b"").contains("empty"));
        assert!(says(b"BZh91AY").contains("bzip2"));
        assert!(says(b"\xfd7zXZ\0\0").contains("xz"));
        assert!(says(b"<html>").contains("neither a tar"));
    }
}
