//! A gateway in this process, on free ports, from the text of a file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use concertina::admin::ReloadOutcome;
use concertina::gateway::Gateway;
use tempfile::TempDir;

use super::Client;
use super::message::Reply;

/// A running gateway and the folder it was started in.
pub struct TestGateway {
    pub gateway: Gateway,
    folder: TempDir,
}

/// A plain listener and an admin listener on free ports; logs are not written.
pub const LISTENERS: &str = r#"
[[listen]]
address = "127.0.0.1:0"

[admin]
address = "127.0.0.1:0"

[server]
workers = 2
access_log = "off"
"#;

impl TestGateway {
    /// Starts with [`LISTENERS`] and `text`.
    #[track_caller]
    pub fn start(text: &str) -> Self {
        Self::start_exactly(tempfile::tempdir().unwrap(), &format!("{LISTENERS}{text}"))
    }

    /// Starts with `text` alone, in a folder that may hold what it names.
    #[track_caller]
    pub fn start_exactly(folder: TempDir, text: &str) -> Self {
        let file = folder.path().join("routes.toml");
        fs::write(&file, text).unwrap();
        let gateway = Gateway::start(&file).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Self { gateway, folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("routes.toml")
    }

    /// Writes [`LISTENERS`] and `text` in the file's place, as editors do: whole or not at all.
    pub fn write(&self, text: &str) {
        let next = self.folder.path().join("routes.toml.next");
        fs::write(&next, format!("{LISTENERS}{text}")).unwrap();
        fs::rename(next, self.file()).unwrap();
    }

    /// Writes the text and has it read at once.
    #[track_caller]
    pub fn reload_with(&self, text: &str) {
        self.write(text);
        let report = self.gateway.reload();
        // The watcher may have been faster.
        assert_ne!(
            report.outcome,
            ReloadOutcome::Refused,
            "{:?}",
            report.mistakes
        );
    }

    /// The first listener.
    pub fn address(&self) -> SocketAddr {
        self.gateway.addresses()[0]
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Reply {
        self.client().get(path)
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.client().ask(method, path, headers, body)
    }

    pub fn admin(&self) -> Client {
        Client::connect(self.gateway.admin_address().unwrap())
    }
}
