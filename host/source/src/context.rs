//! The context of a build from an application's own Dockerfile: the source with its entries at the root, without what its
//! `.dockerignore` excludes. The engine does not look at that file where a context is sent to it as a tar.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use convergence_model::build::{OWN_FOLDER, SourceTar};
use tar::{Builder, EntryType};
use tempfile::TempPath;

use crate::dockerignore::DockerIgnore;
use crate::entry::Kind;
use crate::room::Room;
use crate::writer::{Counting, append, header};
use crate::{KeptSource, Sources};

/// A tar that is on the disk for as long as this is kept.
#[derive(Debug)]
pub struct BuildContext {
    tar: SourceTar,
    _path: TempPath,
}

impl BuildContext {
    /// Where it is.
    pub fn tar(&self) -> &SourceTar {
        &self.tar
    }
}

impl Sources {
    /// Writes the context of a build from a source. The folder that is the platform's own in every context is left out: of two
    /// entries with one path the engine takes the later one.
    ///
    /// # Errors
    /// The source cannot be read; the disk is full, or nearly.
    pub async fn context(&self, source: &KeptSource) -> io::Result<BuildContext> {
        let (folder, reserve, source) = (self.incoming(), self.limits.reserve, source.clone());
        let write = move || {
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            let room = Room::new(folder, reserve);
            let bytes = write(&source, file.as_file_mut(), room)?;
            let path = file.into_temp_path();
            Ok(BuildContext { tar: SourceTar { path: path.to_path_buf(), bytes }, _path: path })
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }
}

fn write(source: &KeptSource, file: &mut File, room: Room) -> io::Result<u64> {
    let ignore = source.text(DockerIgnore::FILE)?.unwrap_or_default();
    let ignore = DockerIgnore::parse(&ignore).map_err(io::Error::other)?;
    let mut kept = File::open(&source.tar().path)?;
    let mut tar = Builder::new(Counting::new(BufWriter::with_capacity(256 << 10, &mut *file), room));
    for (path, kind) in source.entries() {
        let is_ours = Path::new(path).starts_with(OWN_FOLDER);
        if is_ours || ignore.excludes(Path::new(path)) {
            continue;
        }
        match kind {
            Kind::Folder => append(&mut tar, EntryType::Directory, &format!("{path}/"), 0o755, 0, &mut io::empty())?,
            Kind::Link { to } => tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, to)?,
            Kind::File { size, executable, at, .. } => {
                kept.seek(SeekFrom::Start(*at))?;
                let mode = if *executable { 0o755 } else { 0o644 };
                append(&mut tar, EntryType::Regular, path, mode, *size, &mut (&mut kept).take(*size))?;
            }
        }
    }
    tar.into_inner()?.flush()?;
    file.stream_position()
}
