//! `km image`: images as files. What is imported lies in the data folder, where the artifact server offers it to
//! every executor, today's and tomorrow's.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail};
use km_cri::image::archive;
use km_cri::image::layout::{Content, Entry, ImageConfig, ImageSpec, pack};

use crate::cli::{DataOptions, ImageCommand, ImageOptions, PackOptions};
use crate::layout::Layout;

/// Runs a command of `km image`.
pub(crate) fn run(options: &ImageOptions) -> anyhow::Result<()> {
    match &options.command {
        ImageCommand::Import { data, file } => import(data, file),
        ImageCommand::Pack(options) => pack_files(options),
        ImageCommand::List(data) => list(data),
    }
}

fn import(data: &DataOptions, file: &Path) -> anyhow::Result<()> {
    let images = names(file)?;
    let folder = Layout::new(&data.data_dir)?.images();
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let bytes = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    // Named by its contents: the same image twice is one file, and a half-copied one never has its name.
    let name = format!("{}.tar", km_cri::image::sha256_hex(&bytes));
    let half = folder.join(format!(".{name}.tmp"));
    std::fs::write(&half, &bytes).with_context(|| format!("failed to write {}", half.display()))?;
    retire(&folder, &name, &images)?;
    std::fs::rename(&half, folder.join(&name)).with_context(|| format!("failed to keep {name}"))?;
    for image in images {
        println!("imported {image}");
    }
    Ok(())
}

/// Removes files whose every name the new one takes over.
fn retire(folder: &Path, new: &str, images: &[String]) -> anyhow::Result<()> {
    for file in tars(folder)? {
        let replaced = file.file_name().is_some_and(|n| n != new) && names(&file)?.iter().all(|n| images.contains(n));
        if replaced {
            std::fs::remove_file(&file).with_context(|| format!("failed to remove {}", file.display()))?;
        }
    }
    Ok(())
}

fn names(file: &Path) -> anyhow::Result<Vec<String>> {
    let reader = File::open(file).with_context(|| format!("failed to open {}", file.display()))?;
    let images = archive::references(std::io::BufReader::new(reader)).with_context(|| {
        format!("{} is not an image: expected a tar of an OCI layout or of 'docker save'", file.display())
    })?;
    let names: Vec<String> = images.into_iter().map(|i| i.reference).collect();
    if names.is_empty() {
        bail!("{} names no image: give it a name when you save it", file.display())
    } else {
        Ok(names)
    }
}

fn tars(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error).with_context(|| format!("failed to list {}", folder.display())),
    };
    let mut files: Vec<_> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("failed to list {}", folder.display()))?;
    files.retain(|f| f.extension().is_some_and(|e| e == "tar"));
    files.sort();
    Ok(files)
}

fn list(data: &DataOptions) -> anyhow::Result<()> {
    for file in tars(&Layout::new(&data.data_dir)?.images())? {
        for name in names(&file)? {
            println!("{name}");
        }
    }
    Ok(())
}

fn pack_files(options: &PackOptions) -> anyhow::Result<()> {
    let mut layer = Vec::new();
    for file in &options.files {
        let (inside, outside) = file.split_once('=').with_context(|| format!("--file {file:?} is not PATH=FILE"))?;
        let content = std::fs::read(outside).with_context(|| format!("failed to read {outside}"))?;
        let path = inside.trim_start_matches('/').to_owned();
        layer.push(Entry { path, mode: 0o755, content: Content::File(content) });
    }
    let config = ImageConfig {
        entrypoint: options.entrypoint.clone(),
        env: options.env.clone(),
        exposed_ports: options.expose.clone(),
        ..ImageConfig::default()
    };
    let image = ImageSpec { references: vec![options.reference.clone()], layers: vec![layer], config };
    let bytes = pack(&image).context("failed to pack the image")?;
    std::fs::write(&options.output, bytes).with_context(|| format!("failed to write {}", options.output.display()))
}
