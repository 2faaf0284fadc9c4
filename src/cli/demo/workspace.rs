//! Decides which file the demo serves, and gives it the ports it got.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::backends::Service;

/// The repository's own file, for a program that runs elsewhere.
const BUILT_IN: &str = include_str!("../../../routes.toml");

/// The listeners of that file.
const LISTENERS: [&str; 3] = ["127.0.0.1:8443", "127.0.0.1:8080", "127.0.0.1:9900"];

/// The file to serve, and the folder beside it for what the demo makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Workspace {
    pub(super) file: PathBuf,
    pub(super) certs: PathBuf,
}

/// Why there is no file to serve.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no port of 127.0.0.1 is free: {0}")]
    Port(#[from] std::io::Error),
}

impl Workspace {
    /// Serves `file` where it stands, so that an edit of it is an edit of what runs.
    pub(super) fn in_place(file: &Path) -> Self {
        Self {
            certs: folder_of(file).join("certs"),
            file: file.to_owned(),
        }
    }

    /// Serves a copy in `folder`: of `file`, or of the repository's where there is none. With
    /// `ports`, the copy listens on free ports and calls the services where they are.
    pub(super) fn copy(
        file: &Path,
        folder: &Path,
        ports: Option<&[(Service, SocketAddr)]>,
    ) -> Result<Self, WorkspaceError> {
        let mut text = if file.exists() {
            fs::read_to_string(file).map_err(|source| WorkspaceError::Read {
                path: file.to_owned(),
                source,
            })?
        } else {
            BUILT_IN.to_owned()
        };
        if let Some(ports) = ports {
            let listeners = free_addresses()?;
            text = with_ports(text, &listeners, ports);
        }
        let copy = folder.join("routes.toml");
        let write = |path: &Path, source| WorkspaceError::Write {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(|source| write(folder, source))?;
        fs::write(&copy, text).map_err(|source| write(&copy, source))?;
        Ok(Self::in_place(&copy))
    }
}

/// The folder that a path in the file is relative to.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new(""),
    }
}

/// As many free addresses as there are listeners. They are free when this returns; the gateway
/// takes them a moment later.
fn free_addresses() -> Result<Vec<SocketAddr>, std::io::Error> {
    let held: Vec<TcpListener> = LISTENERS
        .iter()
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}

fn with_ports(
    mut text: String,
    listeners: &[SocketAddr],
    ports: &[(Service, SocketAddr)],
) -> String {
    for (written, address) in LISTENERS.iter().zip(listeners) {
        text = text.replace(written, &address.to_string());
    }
    for (service, address) in ports {
        let written = format!("127.0.0.1:{}", service.port());
        text = text.replace(&written, &address.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_built_in_file_is_replaced() {
        let ports: Vec<(Service, SocketAddr)> = Service::ALL
            .into_iter()
            .map(|service| (service, SocketAddr::from(([127, 0, 0, 1], 40000))))
            .collect();
        let listeners = [SocketAddr::from(([127, 0, 0, 1], 40000)); 3];
        let text = with_ports(BUILT_IN.to_owned(), &listeners, &ports);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            for (at, host) in line.match_indices("127.0.0.1:") {
                let port = line.get(at + host.len()..).unwrap();
                assert!(port.starts_with("40000"), "not replaced: {line}");
            }
        }
    }

    #[test]
    fn certificates_stand_beside_the_file() {
        let workspace = Workspace::in_place(Path::new("routes.toml"));
        assert_eq!(workspace.certs, Path::new("certs"));
        let workspace = Workspace::in_place(Path::new("/etc/concertina/routes.toml"));
        assert_eq!(workspace.certs, Path::new("/etc/concertina/certs"));
    }
}
