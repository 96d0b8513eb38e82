//! Files that are put into a container before it starts.

use std::path::Path;
use std::time::Duration;

use testcontainers::bollard::body_full;
use testcontainers::bollard::models::{ContainerCreateBody, MountType};
use testcontainers::bollard::query_parameters::UploadToContainerOptionsBuilder;
use tokio_tar::{Builder, Header};

use super::engine::{Engine, Refusal};
use super::parts::{Copy, CopySource};
use crate::error::{Error, Kind};

/// How long the engine may take to unpack what it was given.
const COPY_LIMIT: Duration = Duration::from_secs(120);

/// Refuses files that the container would never see: a file system in memory is empty at
/// each start, and lies above whatever was copied there.
pub(super) fn refuse_hidden(copies: &[Copy], body: &ContainerCreateBody) -> Result<(), Error> {
    let mounts = body.host_config.iter().flat_map(|host| &host.mounts);
    let in_memory: Vec<&str> = mounts
        .flatten()
        .filter(|mount| mount.typ == Some(MountType::TMPFS))
        .filter_map(|mount| mount.target.as_deref())
        .collect();
    for copy in copies {
        let target = Path::new("/").join(&copy.target);
        if let Some(mount) = in_memory.iter().find(|mount| target.starts_with(mount)) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "{} cannot be copied to {}: the file system in memory at {mount} would hide \
                     it",
                    named(copy),
                    copy.target
                ),
            )
            .help("copy it to another place, or mount a volume there instead"));
        }
    }
    Ok(())
}

/// Copies files and folders into a container that was made and not started.
pub(super) async fn copy(engine: &Engine, container: &str, copies: &[Copy]) -> Result<(), Refusal> {
    if copies.is_empty() {
        return Ok(());
    }
    let mut archive = Builder::new(Vec::new());
    for copy in copies {
        append(&mut archive, copy).await.map_err(|error| {
            Refusal::Answered(format!(
                "{} cannot be copied to {}: {error}",
                named(copy),
                copy.target
            ))
        })?;
    }
    let archive = archive.into_inner().await.map_err(|error| {
        Refusal::Answered(format!("the files to copy cannot be packed: {error}"))
    })?;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let docker = engine.docker();
    let asked = docker.upload_to_container(container, Some(options), body_full(archive.into()));
    engine
        .ask("copying files into the container", COPY_LIMIT, asked)
        .await
}

fn named(copy: &Copy) -> String {
    match &copy.source {
        CopySource::File(path) => path.display().to_string(),
        CopySource::Data(_) => format!("the content of {}", copy.target),
    }
}

async fn append(archive: &mut Builder<Vec<u8>>, copy: &Copy) -> std::io::Result<()> {
    let target = copy.target.trim_start_matches('/');
    match &copy.source {
        CopySource::Data(data) => {
            let mode = copy.mode.unwrap_or(0o644);
            append_file(archive, target, mode, data.len() as u64, data.as_slice()).await
        }
        CopySource::File(path) => append_path(archive, target, copy.mode, path).await,
    }
}

async fn append_path(
    archive: &mut Builder<Vec<u8>>,
    target: &str,
    mode: Option<u32>,
    path: &Path,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = tokio::fs::metadata(path).await?;
    if metadata.is_dir() {
        return archive.append_dir_all(target, path).await;
    }
    let mode = mode.unwrap_or_else(|| metadata.permissions().mode());
    let file = tokio::fs::File::open(path).await?;
    append_file(archive, target, mode, metadata.len(), file).await
}

async fn append_file(
    archive: &mut Builder<Vec<u8>>,
    target: &str,
    mode: u32,
    size: u64,
    content: impl tokio::io::AsyncRead + Unpin + Send,
) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_cksum();
    archive.append_data(&mut header, target, content).await
}
