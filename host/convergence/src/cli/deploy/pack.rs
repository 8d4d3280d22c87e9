//! Packing a folder: what its ignore files leave, as a tar.gz that is the same for the same files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use convergence_source::{DockerIgnore, SourceLimits, Sources};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;
use ignore::WalkBuilder;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};
use tempfile::{NamedTempFile, TempDir};
use tokio_util::io::ReaderStream;

use super::remembered::FOLDER;
use crate::cli::exit::Failure;

/// What never travels: history, what is installed anew, and our own notes.
const NEVER: [&str; 3] = [".git", "node_modules", FOLDER];
/// Entries that are shown because they are the largest.
const LARGEST: usize = 3;
/// From this size on, a file is worth a word.
const LARGE: u64 = 1 << 20;

/// A folder, packed.
pub(super) struct Pack {
    archive: NamedTempFile,
    /// Bytes of the archive.
    pub(super) archive_bytes: u64,
    /// Its `Content-Digest`.
    pub(super) checksum: String,
    /// What the server will call the source.
    pub(super) digest: String,
    files: usize,
    bytes: u64,
    /// The largest files, the largest one first.
    largest: Vec<(u64, String)>,
}

impl Pack {
    /// Packs a folder. Blocks on the disk.
    ///
    /// # Errors
    /// A file cannot be read; there is nothing to pack; the source would be refused.
    pub(super) fn of(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Failed(format!("cannot pack {}: {error}", folder.display()));
        let archive = NamedTempFile::new().map_err(failed)?;
        let hashing =
            Hashing { inner: BufWriter::new(archive.reopen().map_err(failed)?), hash: Sha256::new(), bytes: 0 };
        let mut tar = tar::Builder::new(GzEncoder::new(hashing, Compression::fast()));
        let mut pack = Self {
            archive,
            archive_bytes: 0,
            checksum: String::new(),
            digest: String::new(),
            files: 0,
            bytes: 0,
            largest: Vec::new(),
        };
        let excluded = DockerIgnore::of(folder).map_err(failed)?;
        for entry in walk(folder) {
            let entry = entry.map_err(|error| Failure::Failed(format!("cannot pack {}: {error}", folder.display())))?;
            let Ok(path) = entry.path().strip_prefix(folder) else { continue };
            // A folder may hold what is not excluded; that brings the folder along.
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if path.as_os_str().is_empty() || excluded.excludes(path) || (is_folder && excluded.excludes_anything()) {
                continue;
            }
            let told = |error: io::Error| Failure::Failed(format!("cannot pack {}: {error}", entry.path().display()));
            pack.add(&mut tar, entry.path(), path).map_err(told)?;
        }
        if pack.files == 0 {
            return Err(Failure::Usage(format!(
                "{} has no files to deploy, or its ignore files leave none",
                folder.display()
            )));
        }
        let mut hashing = tar.into_inner().and_then(GzEncoder::finish).map_err(failed)?;
        hashing.inner.flush().map_err(failed)?;
        pack.archive_bytes = hashing.bytes;
        pack.checksum = format!("sha-256=:{}:", data_encoding::BASE64.encode(&hashing.hash.finalize()));
        pack.digest = pack.digest_of()?;
        Ok(pack)
    }

    fn add(&mut self, tar: &mut tar::Builder<impl Write>, full: &Path, path: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(full)?;
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_mode(0o644);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            return tar.append_data(&mut header, path, io::empty());
        }
        if metadata.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            return tar.append_link(&mut header, path, fs::read_link(full)?);
        }
        if !metadata.is_file() {
            // A socket or a pipe is nothing that a build could use.
            return Ok(());
        }
        let size = metadata.len();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        if metadata.permissions().mode() & 0o111 != 0 {
            header.set_mode(0o755);
        }
        // No more than was announced, also where the file grows meanwhile.
        tar.append_data(&mut header, path, File::open(full)?.take(size))?;
        self.files += 1;
        self.bytes += size;
        self.largest.push((size, path.to_string_lossy().into_owned()));
        self.largest.sort_unstable_by(|a, b| b.cmp(a));
        self.largest.truncate(LARGEST);
        Ok(())
    }

    /// What the server makes of the archive: the same code, run here, so that what it has already need not be sent.
    fn digest_of(&self) -> Result<String, Failure> {
        let failed = |error: io::Error| Failure::Failed(format!("cannot look at the packed folder: {error}"));
        let scratch = TempDir::new().map_err(failed)?;
        // The server's limits are its own to say.
        let limits = SourceLimits {
            archive_bytes: u64::MAX,
            unpacked_bytes: u64::MAX,
            entries: usize::MAX,
            reserve: 0,
            ..SourceLimits::default()
        };
        let sources = Sources::open(PathBuf::from(scratch.path()), limits).map_err(failed)?;
        let received = sources.check(self.archive.path()).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(received.digest.to_string())
    }

    /// What is about to be sent, human-readable.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines = vec![format!("packed {} files, {}", self.files, size(self.bytes))];
        let large = self.largest.iter().filter(|(bytes, _)| *bytes >= LARGE);
        lines.extend(large.map(|(bytes, path)| format!("  {:>8}  {path}", size(*bytes))));
        lines
    }

    /// The archive as the body of a request, which tells how much of it was sent.
    pub(super) async fn body(&self, sent: impl Fn(u64) + Send + 'static) -> Result<reqwest::Body, Failure> {
        let file = tokio::fs::File::open(self.archive.path()).await;
        let file = file.map_err(|error| Failure::Failed(format!("cannot read the packed folder: {error}")))?;
        let pieces = ReaderStream::with_capacity(file, 256 << 10);
        Ok(reqwest::Body::wrap_stream(pieces.inspect_ok(move |piece| sent(piece.len() as u64))))
    }
}

/// Everything below a folder that its ignore files leave, in the order of names.
fn walk(folder: &Path) -> ignore::Walk {
    // The ignore files of folders above count as they do for git: in a repository, and nowhere else.
    let in_repository = folder.ancestors().any(|above| above.join(".git").exists());
    WalkBuilder::new(folder)
        .hidden(false)
        .parents(in_repository)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .follow_links(false)
        .sort_by_file_name(std::cmp::Ord::cmp)
        .filter_entry(|entry| entry.depth() == 0 || !NEVER.iter().any(|never| entry.file_name() == *never))
        .build()
}

/// Bytes, human-readable.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Hashes and counts what is written.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn paths(pack: &Pack) -> Vec<String> {
        let archive = flate2::read::GzDecoder::new(pack.archive.reopen().unwrap());
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_ignore_files_name_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for path in ["app.js", ".env.example", "src/[slug].js", "secret.txt", "big.log", "dist/out.js", "keep.log"] {
            write(at, path, "x");
        }
        for path in [".git/HEAD", "node_modules/a/index.js", "src/node_modules/b.js", ".convergence/tenants.json"] {
            write(at, path, "x");
        }
        write(at, ".gitignore", "*.log\n!keep.log\n/dist\n");
        write(at, ".dockerignore", "secret.txt\n");
        let pack = Pack::of(at).unwrap();
        let expected = [".dockerignore", ".env.example", ".gitignore", "app.js", "keep.log", "src/[slug].js"];
        assert_eq!(paths(&pack), expected);
        let again = Pack::of(at).unwrap();
        assert_eq!((&again.digest, &again.checksum), (&pack.digest, &pack.checksum));
        write(at, "app.js", "y");
        assert_ne!(Pack::of(at).unwrap().digest, pack.digest);
    }

    #[test]
    fn ignore_files_of_folders_above_count_in_a_repository_only() {
        let above = tempfile::tempdir().unwrap();
        write(above.path(), ".gitignore", "*.js\n");
        write(above.path(), "app/main.js", "x");
        let app = above.path().join("app");
        assert_eq!(paths(&Pack::of(&app).unwrap()), ["main.js"]);
        write(above.path(), ".git/HEAD", "x");
        assert!(matches!(Pack::of(&app), Err(Failure::Usage(text)) if text.contains("no files")));
    }

    #[test]
    fn a_folder_without_files_and_a_link_that_leads_out_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Pack::of(folder.path()), Err(Failure::Usage(text)) if text.contains("no files")));
        write(folder.path(), "a", "x");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        assert!(matches!(Pack::of(folder.path()), Err(Failure::Usage(text)) if text.contains("link")));
    }

    #[test]
    fn sizes_are_told_in_units() {
        assert_eq!([0, 1023, 2048, 5 << 20].map(size), ["0 B", "1023 B", "2.0 KiB", "5.0 MiB"]);
    }
}
