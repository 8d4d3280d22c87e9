//! Archives of every kind, good and bad.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::convert::Infallible;
use std::io::{Cursor, Write};

use bytes::Bytes;
use convergence_model::build::SOURCE_FOLDER;
use futures_util::stream;
use tar::{EntryType, Header};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use crate::{Received, SourceError, SourceLimits, Sources};

fn sources(limits: SourceLimits) -> (TempDir, Sources) {
    let folder = TempDir::new().unwrap();
    let sources = Sources::open(folder.path().join("sources"), limits).unwrap();
    (folder, sources)
}

/// A tar of entries: kind, path, contents or target, mode.
fn tar_of(entries: &[(EntryType, &str, &str, u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, path, text, mode) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(if *kind == EntryType::Regular { text.len() as u64 } else { 0 });
        // Past what the library would refuse to write.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name_literal(text).unwrap();
        }
        if let (EntryType::GNUSparse, Some(sparse)) = (*kind, header.as_gnu_mut()) {
            sparse.realsize = *b"00000000000\0";
        }
        header.set_cksum();
        let contents = if *kind == EntryType::Regular { text.as_bytes() } else { &[] };
        tar.append(&header, contents).unwrap();
    }
    tar.into_inner().unwrap()
}

fn files(files: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<_> = files.iter().map(|(path, text)| (EntryType::Regular, *path, *text, 0o644)).collect();
    tar_of(&entries)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in files {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

async fn receive(sources: &Sources, bytes: Vec<u8>) -> Result<Received, SourceError> {
    // In pieces, as a network has it.
    let pieces: Vec<_> = bytes.chunks(100).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    sources.receive(stream::iter(pieces), None).await
}

async fn refusal(archive: Vec<u8>) -> String {
    let (_folder, sources) = sources(SourceLimits { entries: 100, unpacked_bytes: 1 << 20, ..SourceLimits::default() });
    let error = receive(&sources, archive).await.unwrap_err().to_string();
    let left = std::fs::read_dir(sources.folder().join("incoming")).unwrap().count();
    assert_eq!(left, 0, "nothing is left of it: {error}");
    assert_eq!(std::fs::read_dir(sources.folder()).unwrap().count(), 1, "nothing is kept: {error}");
    error
}

#[tokio::test]
async fn the_same_files_are_the_same_source_however_they_are_packed() {
    let (_folder, sources) = sources(SourceLimits::default());
    let app = [("package.json", "{}"), ("src/[slug].js", "hello")];
    let tar = files(&app);
    let zstd = ruzstd::encoding::compress_to_vec(Cursor::new(&tar), ruzstd::encoding::CompressionLevel::Fastest);
    let first = receive(&sources, tar.clone()).await.unwrap();
    assert_eq!((first.files, first.bytes, first.known), (2, 7, false));
    let turned: Vec<_> = app.iter().rev().copied().collect();
    for archive in [gzip(&tar), zstd, zip_of(&app), files(&turned)] {
        let again = receive(&sources, archive).await.unwrap();
        assert_eq!((again.digest, again.known), (first.digest.clone(), true));
    }
    let other = tar_of(&[
        (EntryType::Regular, "package.json", "{}", 0o755),
        (EntryType::Regular, "src/[slug].js", "hello", 0o644),
    ]);
    assert_ne!(receive(&sources, other).await.unwrap().digest, first.digest, "what may be run is part of a source");

    let kept = sources.get(&first.digest).await.unwrap().unwrap();
    let view = kept.view(&["/package.json".to_owned(), "*.js".to_owned()]).unwrap();
    assert_eq!(view.paths, ["package.json", "src/[slug].js"]);
    assert_eq!(view.files[1].contents.0, b"hello");
    assert_eq!(kept.text("package.json").unwrap().as_deref(), Some("{}"));
    assert_eq!(kept.text("nothing").unwrap(), None);

    // What a build gets.
    let bytes = std::fs::read(&kept.tar().path).unwrap();
    let bytes = &bytes[..usize::try_from(kept.tar().bytes).unwrap()];
    let mut archive = tar::Archive::new(bytes);
    let paths: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert!(paths.iter().all(|path| path.starts_with(SOURCE_FOLDER)), "{paths:?}");
    assert!(paths.iter().any(|path| path.ends_with("src/[slug].js")), "{paths:?}");

    sources.remove(&first.digest).await.unwrap();
    assert!(sources.get(&first.digest).await.unwrap().is_none());
    sources.remove(&first.digest).await.unwrap();
}

#[tokio::test]
async fn a_folder_around_everything_is_not_part_of_the_source_and_neither_is_history() {
    let (_folder, sources) = sources(SourceLimits::default());
    let plain = receive(&sources, files(&[("a", "1"), ("b/c", "2")])).await.unwrap();
    let around = files(&[("app-1.0/a", "1"), ("app-1.0/b/c", "2"), ("app-1.0/.git/HEAD", "x")]);
    let around = receive(&sources, around).await.unwrap();
    assert_eq!(around.digest, plain.digest);
    assert_eq!(around.notes.len(), 2, "{:?}", around.notes);
    let links = tar_of(&[
        (EntryType::Regular, "x/a", "1", 0o644),
        (EntryType::Symlink, "x/l", "a", 0o777),
        (EntryType::Directory, "x/empty/", "", 0o755),
    ]);
    assert!(receive(&sources, links).await.is_ok());
}

#[tokio::test]
async fn what_no_source_may_have_is_refused_by_name() {
    let regular = |path: &'static str| (EntryType::Regular, path, "x", 0o644);
    for (archive, says) in [
        (tar_of(&[regular("../etc/passwd")]), "`..`"),
        (tar_of(&[regular("a/../../b")]), "`..`"),
        (tar_of(&[regular("/etc/passwd")]), "absolute"),
        (tar_of(&[(EntryType::Symlink, "l", "../../etc/passwd", 0o777)]), "outside"),
        (tar_of(&[(EntryType::Symlink, "l", "/etc/passwd", 0o777)]), "not relative"),
        (tar_of(&[regular("a"), (EntryType::Link, "b", "a", 0o644)]), "hard link"),
        (tar_of(&[(EntryType::Char, "tty", "", 0o644)]), "device"),
        (tar_of(&[(EntryType::Block, "sda", "", 0o644)]), "device"),
        (tar_of(&[(EntryType::Fifo, "pipe", "", 0o644)]), "named pipe"),
        (tar_of(&[(EntryType::GNUSparse, "sparse", "", 0o644)]), "sparse"),
        (tar_of(&[regular("a"), regular("a")]), "twice"),
        (tar_of(&[regular("README"), regular("readme")]), "case"),
        (tar_of(&[regular("a"), regular("a/b")]), "both as a file and as a folder"),
        (files(&[]), "no files"),
        (tar_of(&[(EntryType::Directory, "a/", "", 0o755)]), "no files"),
        (Vec::new(), "empty"),
        (b"<html></html>".to_vec(), "neither a tar"),
        (b"BZh91AY&SY".to_vec(), "bzip2"),
        (zip_of(&[("../x", "x")]), "`..`"),
    ] {
        let told = refusal(archive).await;
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_it_is_written() {
    let many: Vec<String> = (0..101).map(|n| format!("f{n}")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), "x")).collect();
    assert!(refusal(files(&many)).await.contains("more than 100 files"));
    let zeros = "\0".repeat((1 << 20) + 1);
    for bomb in [gzip(&files(&[("zeros", &zeros)])), zip_of(&[("zeros", &zeros)])] {
        assert!(bomb.len() < 100_000);
        assert!(refusal(bomb).await.contains("more than 1 MiB"));
    }
    // A header that lies about a size that nobody would send.
    let mut lie = files(&[("huge", "x")]);
    let mut header = Header::from_byte_slice(&lie[..512]).clone();
    header.set_size(1 << 40);
    header.set_cksum();
    lie[..512].copy_from_slice(header.as_bytes());
    assert!(refusal(lie).await.contains("more than 1 MiB"));
    let (_folder, sources) = sources(SourceLimits { archive_bytes: 1000, ..SourceLimits::default() });
    assert!(matches!(receive(&sources, files(&[("a", "x")])).await, Err(SourceError::TooLarge(_))));
}

#[tokio::test]
async fn what_unpacks_to_more_than_it_says_fills_neither_memory_nor_time() {
    let of_kind = |kind: EntryType, path: &str, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        header.set_mode(0o644);
        header.set_size(size as u64);
        header.set_cksum();
        [header.as_bytes().as_slice(), &vec![b'x'; size.next_multiple_of(512)]].concat()
    };
    let end = vec![0; 1024];
    // A name of a mebibyte, and what says of the next entry how it is called.
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let bomb = [of_kind(kind, "long", 1 << 20), files(&[("a", "x")])].concat();
        assert!(refusal(gzip(&bomb)).await.contains("its names are"), "{kind:?}");
    }
    // What is left out is read all the same.
    let history: Vec<u8> = (0..4).flat_map(|n| of_kind(EntryType::Regular, &format!(".git/{n}"), 1 << 20)).collect();
    let told = refusal(gzip(&[history, end.clone()].concat())).await;
    assert!(told.contains("more than 1 MiB") && told.contains("`.git`"), "{told}");
    let again: Vec<u8> = (0..1001).flat_map(|_| of_kind(EntryType::Directory, "a/", 0)).collect();
    assert!(refusal(gzip(&[again, end].concat())).await.contains("more than 100 files"));
    let many: Vec<String> = (0..101).map(|n| format!("f{n}")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), "x")).collect();
    assert!(refusal(zip_of(&many)).await.contains("the zip has more than 100 files"));
}

#[tokio::test]
async fn an_archive_that_is_cut_off_or_damaged_is_told() {
    let app = files(&[("a", &"text ".repeat(1000)), ("b", "x")]);
    for whole in [app.clone(), gzip(&app), zip_of(&[("a", &"text ".repeat(1000))])] {
        let told = refusal(whole[..whole.len() / 2].to_vec()).await;
        assert!(told.contains("cannot be read") || told.contains("cut off"), "{told}");
    }
    // Between two files, and with a checksum that is wrong.
    assert!(refusal(files(&[("a", "x"), ("b", "y")])[..1024].to_vec()).await.contains("its end is missing"));
    let mut packed = gzip(&app);
    let at = packed.len() - 6;
    packed[at] ^= 1;
    assert!(refusal(packed).await.contains("cannot be read"));
    // A zip that calls a file one thing in front of it and another in its directory.
    let mut zip = zip_of(&[("safe.js", "x")]);
    let at = zip.windows(7).position(|window| window == b"safe.js").unwrap();
    zip[at..at + 7].copy_from_slice(b"evil.js");
    let told = refusal(zip).await;
    assert!(told.contains("inconsistency"), "{told}");
    // One whose file is longer than its directory says.
    let mut zip = zip_of(&[("a", &"long ".repeat(100))]);
    let at = zip.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    zip[at + 24..at + 28].copy_from_slice(&3_u32.to_le_bytes());
    let told = refusal(zip).await;
    assert!(told.contains("inconsistency"), "{told}");
}

#[tokio::test]
async fn what_arrives_is_what_was_sent() {
    let (_folder, sources) = sources(SourceLimits::default());
    let archive = files(&[("a", "x")]);
    let body = || stream::iter([Ok::<_, Infallible>(Bytes::from(archive.clone()))]);
    let sum = <sha2::Sha256 as sha2::Digest>::digest(&archive).into();
    assert!(sources.receive(body(), Some(sum)).await.is_ok());
    assert!(matches!(sources.receive(body(), Some([0; 32])).await, Err(SourceError::Checksum { .. })));
    let cut = stream::iter([Ok(Bytes::from_static(b"half")), Err("connection reset")]);
    let told = sources.receive(cut, None).await.unwrap_err().to_string();
    assert!(told.contains("after 4 bytes") && told.contains("connection reset"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_too_slow_or_one_too_many_is_told() {
    let (_folder, sources) = sources(SourceLimits { at_once: 1, ..SourceLimits::default() });
    let trickle = stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
    });
    let slow = sources.receive(trickle, None);
    let second = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        receive(&sources, files(&[("a", "x")])).await
    };
    let (slow, second) = tokio::join!(slow, second);
    assert!(matches!(slow, Err(SourceError::TooSlow(_))), "{slow:?}");
    assert!(matches!(second, Err(SourceError::Busy { at_once: 1, .. })), "{second:?}");
    assert!(receive(&sources, files(&[("a", "x")])).await.is_ok(), "the place is free again");
}

#[tokio::test]
async fn two_sources_are_compared_file_by_file() {
    let (_folder, sources) = sources(SourceLimits::default());
    let before = receive(&sources, files(&[("a", "1"), ("b", "2"), ("c", "3")])).await.unwrap();
    let after = receive(&sources, files(&[("a", "1"), ("b", "x"), ("d", "3")])).await.unwrap();
    let before = sources.get(&before.digest).await.unwrap().unwrap();
    let after = sources.get(&after.digest).await.unwrap().unwrap();
    let changes: Vec<_> = before.changes(&after).into_iter().map(|change| (change.path, change.what)).collect();
    let expected = [("b", crate::Changed::Edited), ("c", crate::Changed::Removed), ("d", crate::Changed::Added)];
    assert_eq!(changes, expected.map(|(path, what)| (path.to_owned(), what)));
    assert!(after.changes(&after).is_empty());
}

/// Rewrites the end of a zip so that it says how many files it has as a large zip does, in a record of its own.
fn with_large_directory(zip: &[u8], files: u64) -> Vec<u8> {
    let end = zip.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let word = |at: usize| u64::from(u32::from_le_bytes(zip[at..at + 4].try_into().unwrap()));
    let (size, start) = (word(end + 12), word(end + 16));
    let mut large = zip[..end].to_vec();
    // APPNOTE 4.3.14 and 4.3.15: the record, and where it is.
    large.extend(b"PK\x06\x06");
    large.extend(44_u64.to_le_bytes());
    large.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [files, files, size, start] {
        large.extend(number.to_le_bytes());
    }
    large.extend(b"PK\x06\x07\0\0\0\0");
    large.extend((end as u64).to_le_bytes());
    large.extend(1_u32.to_le_bytes());
    let mut last = zip[end..].to_vec();
    // Says that the other record counts.
    last[8..20].fill(0xff);
    large.extend(last);
    large
}

#[tokio::test]
async fn what_a_zip_says_of_its_directory_is_not_believed() {
    let zip = zip_of(&[("a", "x")]);
    let (_folder, sources) = sources(SourceLimits::default());
    assert_eq!(receive(&sources, with_large_directory(&zip, 1)).await.unwrap().files, 1);
    for files in [20_001, 1 << 20, 1 << 40, u64::MAX] {
        let told = refusal(with_large_directory(&zip, files)).await;
        assert!(told.contains("more than 100 files") || told.contains("cannot be read as zip"), "{files}: {told}");
    }
}

#[tokio::test]
async fn two_uploads_of_the_same_files_leave_one_source_that_is_whole() {
    let (_folder, sources) = sources(SourceLimits { at_once: 8, ..SourceLimits::default() });
    let (a, b) = ("a".repeat(5000), "b".repeat(700));
    for _ in 0..20 {
        // The same files in another order are the same source, and lie elsewhere in the tar.
        let uploads = (0..4).map(|n| {
            let archive = match n % 2 {
                0 => files(&[("a", &a), ("b", &b)]),
                _ => files(&[("b", &b), ("a", &a)]),
            };
            receive(&sources, archive)
        });
        let received = futures_util::future::join_all(uploads).await;
        let digest = &received[0].as_ref().unwrap().digest;
        let kept = sources.get(digest).await.unwrap().unwrap();
        assert_eq!((kept.text("a").unwrap(), kept.text("b").unwrap()), (Some(a.clone()), Some(b.clone())));
        sources.remove(digest).await.unwrap();
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_left_alone() {
    let (folder, sources) = sources(SourceLimits { reserve: u64::MAX, ..SourceLimits::default() });
    let full = receive(&sources, files(&[("a", "x")])).await;
    assert!(matches!(full, Err(SourceError::Full(_))), "{full:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("sources/incoming")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_context_of_an_own_dockerfile_has_the_source_at_its_root_without_what_is_ignored() {
    let (_folder, sources) = sources(SourceLimits::default());
    let archive = tar_of(&[
        (EntryType::Directory, "bin/", "", 0o755),
        (EntryType::Directory, "secrets/", "", 0o755),
        (EntryType::Regular, "secrets/key", "secret", 0o644),
        (EntryType::Regular, ".dockerignore", "secrets\n*.md\n!README.md\n", 0o644),
        (EntryType::Regular, "notes.md", "secret", 0o644),
        (EntryType::Regular, "README.md", "read", 0o644),
        (EntryType::Regular, "bin/start", "hello", 0o755),
        (EntryType::Symlink, "start", "bin/start", 0o777),
        (EntryType::Regular, ".convergence/Dockerfile", "FROM evil", 0o644),
        (EntryType::Regular, ".convergence/source/x", "evil", 0o644),
    ]);
    let received = receive(&sources, archive).await.unwrap();
    let kept = sources.get(&received.digest).await.unwrap().unwrap();
    let context = sources.context(&kept).await.unwrap();
    let bytes = std::fs::read(&context.tar().path).unwrap();
    assert_eq!(bytes.len() as u64, context.tar().bytes);
    let mut tar = tar::Archive::new(&bytes[..]);
    let seen = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let link = entry.link_name().unwrap().map(|target| target.to_string_lossy().into_owned());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        (path, entry.header().mode().unwrap(), link.unwrap_or(text))
    });
    let expected = [
        (".dockerignore", 0o644, "secrets\n*.md\n!README.md\n"),
        ("README.md", 0o644, "read"),
        ("bin/", 0o755, ""),
        ("bin/start", 0o755, "hello"),
        ("start", 0o777, "bin/start"),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned())));
    drop(context);
    assert_eq!(std::fs::read_dir(sources.incoming()).unwrap().count(), 0, "nothing is left behind");
}
