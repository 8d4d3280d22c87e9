//! Reading archives: tar, plain or compressed by gzip or zstd, and zip. What a file is called says nothing; its first
//! bytes do.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use tar::EntryType;
use zip::ZipArchive;

use crate::meter::{Meter, Metered};
use crate::{SourceError, SourceLimits};

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
    /// Something that is no entry of its own.
    Nothing,
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
pub(crate) fn each(mut archive: File, limits: &SourceLimits, visit: Visit<'_>) -> Result<(), SourceError> {
    let mut first = Vec::with_capacity(512);
    archive.by_ref().take(512).read_to_end(&mut first)?;
    archive.seek(SeekFrom::Start(0))?;
    let format = Format::of(&first)?;
    if format == Format::Zip {
        refuse_large_directory(&mut archive, limits)?;
    }
    let archive = BufReader::with_capacity(128 << 10, archive);
    match format {
        Format::Tar => tar("tar", archive, limits, visit),
        Format::TarGzip => tar("tar.gz", MultiGzDecoder::new(archive), limits, visit),
        Format::TarZstd => {
            let decoder = StreamingDecoder::new(archive).map_err(|error| unreadable("tar.zst", error))?;
            tar("tar.zst", decoder, limits, visit)
        }
        Format::Zip => zip(archive, visit),
    }
}

fn unreadable(format: &str, error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::unreadable(format, &io::Error::other(error))
}

/// Bytes of everything about an entry that is not its contents: headers, a long name, the target of a link.
const HEADERS_MAX: u64 = 64 << 10;
/// Bytes that programs write behind the end of a tar, to fill up a block of theirs.
const PADDING_MAX: u64 = 1 << 20;

fn tar(format: &str, archive: impl Read, limits: &SourceLimits, visit: Visit<'_>) -> Result<(), SourceError> {
    let bad = |error: io::Error| SourceError::unreadable(format, &error);
    let headers = (limits.entries as u64).saturating_mul(4096);
    let meter = Meter::new(limits.unpacked_bytes.saturating_add(headers).saturating_add(PADDING_MAX));
    let mut archive = tar::Archive::new(Metered::new(archive, &meter));
    let mut entries = archive.entries().map_err(bad)?;
    let mut unread = 0_u64;
    loop {
        meter.allow(unread.saturating_add(HEADERS_MAX));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(bad)?;
        let header = entry.header();
        let (kind, size) = (header.entry_type(), entry.size());
        let executable = header.mode().map_err(bad)? & 0o111 != 0;
        let path = entry.path_bytes().into_owned();
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let before = meter.read();
        meter.allow(size);
        let what = match kind {
            EntryType::Regular | EntryType::Continuous => What::File { size, executable, contents: &mut entry },
            EntryType::Directory => What::Folder,
            EntryType::Symlink => What::Link { to: &target },
            // Says something of the entries that follow.
            EntryType::XGlobalHeader => What::Nothing,
            EntryType::Link => What::Other("a hard link"),
            EntryType::GNUSparse => What::Other("a sparse file"),
            EntryType::Char | EntryType::Block => What::Other("a device"),
            EntryType::Fifo => What::Other("a named pipe"),
            _ => What::Other("an entry of unknown kind"),
        };
        visit(Raw { path: &path, what })?;
        unread = size.saturating_sub(meter.read() - before);
    }
    // A tar ends with a block of zeros. One that just stops was cut off, perhaps between two files.
    if meter.has_ended() {
        let error = io::Error::other("its end is missing, so that files may be as well");
        return Err(bad(error));
    }
    // To its real end, so that a checksum behind it is looked at.
    meter.allow(PADDING_MAX);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(bad)
}

/// The end record of a zip is the last thing in it, but for a comment (APPNOTE 4.3.16).
const END_RECORD: usize = 22;
/// Bytes of a zip's directory for each entry. A name has at most 1024.
const DIRECTORY_ENTRY: u64 = 2048;

/// A zip's directory is read into memory before anything can be looked at, so it is looked at here how long it says it is.
fn refuse_large_directory(archive: &mut File, limits: &SourceLimits) -> Result<(), SourceError> {
    let length = archive.seek(SeekFrom::End(0))?;
    let tail = length.min(END_RECORD as u64 + u64::from(u16::MAX));
    archive.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    archive.by_ref().take(tail).read_to_end(&mut bytes)?;
    archive.seek(SeekFrom::Start(0))?;
    // What has no end record, the reader refuses.
    for window in bytes.windows(END_RECORD).filter(|window| window.starts_with(b"PK\x05\x06")) {
        let [.., low, high, a, b, c, d, _, _, _, _, _, _] = window else { continue };
        let entries = usize::from(u16::from_le_bytes([*low, *high]));
        let directory = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        if entries > limits.entries || directory > (limits.entries as u64).saturating_mul(DIRECTORY_ENTRY) {
            return Err(SourceError::TooLarge(format!(
                "the zip has more than {} files and folders; leave out what is installed or generated, such as node_modules",
                limits.entries
            )));
        }
    }
    Ok(())
}

fn zip(archive: BufReader<File>, visit: Visit<'_>) -> Result<(), SourceError> {
    let mut raw = archive.get_ref().try_clone()?;
    let mut archive = ZipArchive::new(archive).map_err(|error| unreadable("zip", error))?;
    if archive.has_duplicate_names() {
        return Err(SourceError::Refused("the zip has a file twice; pack it again".to_owned()));
    }
    for index in 0..archive.len() {
        let encrypted = archive.by_index_raw(index).is_ok_and(|entry| entry.encrypted());
        if encrypted {
            return Err(SourceError::Refused("the zip is encrypted; pack it without a password".to_owned()));
        }
        let mut entry = archive.by_index(index).map_err(|error| unreadable("zip", error))?;
        let path = entry.name_raw().to_vec();
        if !has_unicode_name(&entry.extra_data().unwrap_or_default()) {
            agree(&mut raw, entry.header_start(), &path)?;
        }
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

/// Whether a file has its name in Unicode beside the one in its headers, as Info-ZIP writes it (APPNOTE 4.6.9).
fn has_unicode_name(mut extra: &[u8]) -> bool {
    while let [a, b, c, d, rest @ ..] = extra {
        if u16::from_le_bytes([*a, *b]) == 0x7075 {
            return true;
        }
        extra = rest.get(usize::from(u16::from_le_bytes([*c, *d]))..).unwrap_or_default();
    }
    false
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
