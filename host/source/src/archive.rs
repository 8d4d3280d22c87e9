//! Reading archives: tar, plain or compressed by gzip or zstd, and zip. What a file is called says nothing; its first
//! bytes do.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use tar::EntryType;
use zip::ZipReadOptions;
use zip::read::Config;
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

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
    let archive = BufReader::with_capacity(128 << 10, archive);
    match format {
        Format::Tar => tar("tar", archive, limits, visit),
        Format::TarGzip => tar("tar.gz", MultiGzDecoder::new(archive), limits, visit),
        Format::TarZstd => {
            let decoder = StreamingDecoder::new(archive).map_err(|error| unreadable("tar.zst", error))?;
            tar("tar.zst", decoder, limits, visit)
        }
        Format::Zip => zip(archive, limits, visit),
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
    let headers = (limits.entries as u64).saturating_mul(4096);
    let meter = Meter::new(limits.unpacked_bytes.saturating_add(headers).saturating_add(PADDING_MAX));
    let bad = |error: io::Error| match meter.is_spent() {
        true => SourceError::TooLarge(format!(
            "the archive unpacks to more than {} MiB; leave out what is installed or generated, and `.git`",
            limits.unpacked_bytes >> 20
        )),
        false => SourceError::unreadable(format, &error),
    };
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
    // To its real end, so that a checksum of gzip behind it is looked at.
    meter.allow(PADDING_MAX);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(bad)
}

/// A zip says twice what its files are: before each, and in the directory at its end. Programs differ in which one they
/// believe, so both have to say the same. The directory is read entry by entry, and never held in memory: how many entries it
/// has is the sender's word.
fn zip(archive: BufReader<File>, limits: &SourceLimits, visit: Visit<'_>) -> Result<(), SourceError> {
    let bad = |error: ZipError| SourceError::unreadable("zip", &io::Error::other(error));
    let mut archive = ZipIterable::try_new(archive, Config::default()).map_err(bad)?.enforce_header_consistency(true);
    if archive.len() > limits.entries {
        return Err(SourceError::TooLarge(format!(
            "the zip has more than {} files and folders; leave out what is installed or generated, such as node_modules",
            limits.entries
        )));
    }
    let entries = archive.files().map_err(bad)?;
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(bad)?;
        if entry.encrypted() {
            return Err(SourceError::Refused("the zip is encrypted; pack it without a password".to_owned()));
        }
        let mut entry = entry.with_reader(entries.reader_mut(), ZipReadOptions::new()).map_err(bad)?;
        let path = entry.name_raw().to_vec();
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
