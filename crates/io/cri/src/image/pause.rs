//! The sandbox image, made on the spot: one program of ours that waits, reaps and ends (images/pause).
//!
//! It is compiled by this crate's build script and carried inside `km`, so no registry is ever asked for it.

use crate::image::layout::{Content, Entry, ImageConfig, ImageSpec, PackError, pack};

/// The name under which containerd is told to find the sandbox image. The version is that of the upstream image
/// whose behaviour it has.
pub const REFERENCE: &str = "localhost/pause:3.10";

/// The program: a static executable of a few KiB.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// Returns the pause image as an OCI layout tar.
///
/// # Errors
/// None in practice: the paths are fixed.
pub fn archive() -> Result<Vec<u8>, PackError> {
    pack(&ImageSpec {
        references: vec![REFERENCE.to_owned()],
        layers: vec![vec![Entry { path: "pause".to_owned(), mode: 0o755, content: Content::File(PROGRAM.to_vec()) }]],
        config: ImageConfig { entrypoint: vec!["/pause".to_owned()], ..ImageConfig::default() },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn program_is_small_and_static() {
        assert!(PROGRAM.len() < 50 << 10, "{} bytes", PROGRAM.len());
        assert!(PROGRAM.starts_with(b"\x7fELF"));
        assert!(!PROGRAM.windows(9).any(|part| part == b"ld-linux-"), "asks for a dynamic linker");
    }

    #[test]
    fn program_ends_on_sigterm_with_success() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        std::fs::write(&path, PROGRAM).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut pause = Command::new(&path).spawn().unwrap();
        // It sleeps in one place only: where it waits for signals, which are blocked from its first act on.
        let status = format!("/proc/{}/status", pause.id());
        while !std::fs::read_to_string(&status).unwrap().contains("State:\tS") {
            std::thread::yield_now();
        }
        let killed = Command::new("kill").arg("-TERM").arg(pause.id().to_string()).status().unwrap();
        assert!(killed.success());
        let ended = pause.wait().unwrap();
        assert_eq!((ended.code(), ended.signal()), (Some(0), None));
    }
}
