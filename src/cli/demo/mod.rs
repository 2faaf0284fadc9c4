//! `concertina demo`: real backends, the gateway in front of them, and what to try.

mod answers;
mod backends;
mod identity;
mod workspace;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::backends::Service;
use self::identity::{Identity, IdentityError};
use self::workspace::{Workspace, WorkspaceError};
use super::arguments::DemoArguments;
use super::run::{serve, start_log};
use super::{Failure, output};
use crate::gateway::Gateway;

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(
        "the demo's `{service}` service needs 127.0.0.1:{port}: {source}\n\
         help: is a demo running already? `concertina demo --any-port` takes any free ports"
    )]
    Port {
        service: &'static str,
        port: u16,
        source: io::Error,
    },
    #[error("cannot start the demo's services: {0}")]
    Services(io::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error("cannot write {}: {source}", .path.display())]
    Token { path: PathBuf, source: io::Error },
}

pub(super) fn demo(arguments: &DemoArguments) -> Result<ExitCode, Failure> {
    start_log(&arguments.log)?;
    let bound =
        backends::bind(arguments.any_port).map_err(|(service, port, source)| DemoError::Port {
            service: service.name(),
            port,
            source,
        })?;
    let ports: Vec<(Service, SocketAddr)> = bound
        .iter()
        .map(|bound| (bound.service, bound.address))
        .collect();
    let (workspace, copied) = workspace(arguments, &ports)?;
    let identity = Identity::new().map_err(DemoError::from)?;
    let token = workspace.certs.join("demo.token");
    write_token(&token, &identity)?;
    backends::serve(bound, identity.jwks()).map_err(DemoError::Services)?;
    let code = serve(
        || Ok(Gateway::start(&workspace.file)?),
        |gateway| tell(gateway, &workspace, &ports),
    );
    drop(fs::remove_file(&token));
    if let Some(folder) = copied {
        drop(fs::remove_dir_all(folder));
    }
    code
}

/// Which file is served; beside it the folder of a copy, to be removed at the end.
fn workspace(
    arguments: &DemoArguments,
    ports: &[(Service, SocketAddr)],
) -> Result<(Workspace, Option<PathBuf>), DemoError> {
    if arguments.file.exists() && !arguments.any_port {
        return Ok((Workspace::in_place(&arguments.file), None));
    }
    let folder = std::env::temp_dir().join(format!("concertina-demo-{}", std::process::id()));
    let ports = arguments.any_port.then_some(ports);
    let workspace = Workspace::copy(&arguments.file, &folder, ports)?;
    Ok((workspace, Some(folder)))
}

/// Ada's token, for her and root only.
fn write_token(path: &Path, identity: &Identity) -> Result<(), DemoError> {
    let failed = |source| DemoError::Token {
        path: path.to_owned(),
        source,
    };
    let token = identity.token("ada", &[])?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(token.as_bytes()).map_err(failed)
}

/// Says where everything is and what to try first.
fn tell(gateway: &Gateway, workspace: &Workspace, ports: &[(Service, SocketAddr)]) {
    let certs = workspace.certs.display();
    output::line(format_args!(
        "Concertina serves {}",
        workspace.file.display()
    ));
    let names = ["gateway (TLS)", "gateway (redirects)"];
    for (name, address) in names.iter().zip(gateway.addresses()) {
        output::line(format_args!("  {name:<20} {address}"));
    }
    if let Some(address) = gateway.admin_address() {
        output::line(format_args!("  {:<20} {address}", "admin"));
    }
    for (service, address) in ports {
        output::line(format_args!("  {:<20} {address}", service.name()));
    }
    let Some(gateway) = gateway.addresses().first().map(SocketAddr::port) else {
        return;
    };
    let orders = ports
        .iter()
        .find(|(service, _)| *service == Service::Orders)
        .map_or(0, |(_, address)| address.port());
    output::line(format_args!(
        "\nTry, in another terminal:\n
  TOKEN=$(cat {certs}/demo.token)
  curl --cacert {certs}/ca.pem https://localhost:{gateway}/hello
  curl --cacert {certs}/ca.pem -H \"Authorization: Bearer $TOKEN\" https://localhost:{gateway}/api/dashboard/ada

Make one of the three services fail, and ask again:

  curl -X POST http://127.0.0.1:{orders}/demo/fail       (or /demo/slow, /demo/lie; /demo/heal)

Then edit {}: it is read again as you save. README.md goes on from here.
Ctrl-C ends the demo.",
        workspace.file.display(),
    ));
}
