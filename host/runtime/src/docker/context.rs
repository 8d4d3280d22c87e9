//! The context of a build: a tar made in memory, and after it the tar of the application's source as it lies on the disk.
//! Nothing is unpacked there, so no link can matter.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use convergence_model::build::{DOCKERFILE_PATH, ImageBuild};
use futures_util::{StreamExt, TryStreamExt, future, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tar::{Builder, EntryType, Header};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// What marks the end of a tar.
const END: usize = 1024;

/// A context as it is sent.
pub(super) struct Context {
    /// Bytes in all.
    pub(super) length: u64,
    /// The bytes.
    pub(super) body: BoxBody<Bytes, io::Error>,
}

/// Opens the context of a build.
pub(super) async fn context(build: &ImageBuild) -> io::Result<Context> {
    let mut head = archive(build)?;
    let Some(source) = &build.source else {
        let length = head.len() as u64;
        return Ok(Context { length, body: Full::new(Bytes::from(head)).map_err(|never| match never {}).boxed() });
    };
    let file = tokio::fs::File::open(&source.path).await?.take(source.bytes);
    // The source's tar continues this one, and has an end of its own.
    head.truncate(head.len().saturating_sub(END));
    let length = head.len() as u64 + source.bytes;
    let rest = ReaderStream::with_capacity(file, PIECE).map_ok(Frame::data);
    let first = stream::once(future::ok(Frame::data(Bytes::from(head))));
    Ok(Context { length, body: BodyExt::boxed(StreamBody::new(first.chain(rest))) })
}

/// Bytes of the source that are sent at once.
const PIECE: usize = 256 << 10;

/// The tar of a build: folders, and regular files of root with mode 0644 or 0755, dated 1970, so that equal
/// contexts are equal bytes and an identical build finds its cache.
pub(super) fn archive(build: &ImageBuild) -> io::Result<Vec<u8>> {
    let size: usize = build.context.iter().map(|file| file.contents.0.len().saturating_add(1024)).sum();
    let mut tar = Builder::new(Vec::with_capacity(size.saturating_add(build.dockerfile.len())));
    let mut folders = BTreeSet::new();
    append_file(&mut tar, &mut folders, DOCKERFILE_PATH, build.dockerfile.as_bytes(), false)?;
    for file in &build.context {
        append_file(&mut tar, &mut folders, &file.path, &file.contents.0, file.executable)?;
    }
    tar.into_inner()
}

fn append_file(
    tar: &mut Builder<Vec<u8>>,
    folders: &mut BTreeSet<String>,
    path: &str,
    contents: &[u8],
    executable: bool,
) -> io::Result<()> {
    for (end, _) in path.match_indices('/') {
        let folder = path.get(..end).unwrap_or_default();
        if !folder.is_empty() && folders.insert(folder.to_owned()) {
            append(tar, EntryType::Directory, &format!("{folder}/"), 0o755, &[])?;
        }
    }
    append(tar, EntryType::Regular, path, if executable { 0o755 } else { 0o644 }, contents)
}

fn append(tar: &mut Builder<Vec<u8>>, kind: EntryType, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(contents.len() as u64);
    // Refuses absolute paths and `..`, as the guard already has.
    tar.append_data(&mut header, path, contents)
}

#[cfg(test)]
mod tests {
    //! What ends up in a context.
    #![allow(clippy::unwrap_used)]

    use convergence_model::build::SourceTar;
    use convergence_model::plan::{Contents, File};

    use super::*;

    fn build(paths: &[&str]) -> ImageBuild {
        ImageBuild {
            tag: "a:b".to_owned(),
            dockerfile: "FROM scratch\n".to_owned(),
            context: paths
                .iter()
                .map(|path| File {
                    path: (*path).to_owned(),
                    contents: Contents(b"x".to_vec()),
                    executable: path.ends_with(".sh"),
                })
                .collect(),
            source: None,
            args: Default::default(),
            labels: Default::default(),
            cache_namespace: "n".to_owned(),
        }
    }

    #[test]
    fn holds_regular_files_of_root_without_a_date() {
        let long = format!("a/{}/run.sh", "b".repeat(180));
        let bytes = archive(&build(&["a/plain", &long])).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
            seen.push((entry.path().unwrap().to_string_lossy().into_owned(), header.mode().unwrap()));
        }
        let folder = format!("a/{}/", "b".repeat(180));
        let expected = [
            (".convergence/", 0o755),
            (DOCKERFILE_PATH, 0o644),
            ("a/", 0o755),
            ("a/plain", 0o644),
            (folder.as_str(), 0o755),
            (long.as_str(), 0o755),
        ];
        assert_eq!(seen, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[tokio::test]
    async fn a_source_follows_the_context_in_one_tar() {
        let mut source = tar::Builder::new(Vec::new());
        append(&mut source, EntryType::Regular, ".convergence/source/[slug].js", 0o644, b"hello").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = source.into_inner().unwrap();
        std::fs::write(file.path(), [&source, b"what stands behind it".as_slice()].concat()).unwrap();
        let source = SourceTar { path: file.path().to_owned(), bytes: source.len() as u64 };
        let build = ImageBuild { source: Some(source), ..build(&["a"]) };
        let Context { length, body } = context(&build).await.unwrap();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len() as u64, length);
        let mut archive = tar::Archive::new(&bytes[..]);
        let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
        let paths: Vec<_> = paths.map(|path| path.to_string_lossy().into_owned()).collect();
        assert_eq!(paths, [".convergence/", DOCKERFILE_PATH, "a", ".convergence/source/[slug].js"]);
    }

    #[test]
    fn refuses_to_leave_the_context() {
        assert!(archive(&build(&["../etc/passwd"])).is_err());
    }
}
