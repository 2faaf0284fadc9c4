//! `concertina run`: serves a file until a signal says otherwise.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::{LogArguments, LogFormat, RunArguments};
use super::{Failure, output};
use crate::gateway::Gateway;
use crate::observe::log::{self, Format};

/// A second signal came before the requests had ended.
const CUT_SHORT: u8 = 3;

pub(super) fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    start_log(&arguments.log)?;
    serve(|| Ok(Gateway::start(&arguments.file)?), announce)
}

pub(super) fn start_log(arguments: &LogArguments) -> Result<(), Failure> {
    let format = match arguments.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    log::start(format, &arguments.log).map_err(Failure::Log)
}

fn announce(gateway: &Gateway) {
    for address in gateway.addresses() {
        output::complain(format_args!("listening on {address}"));
    }
    if let Some(address) = gateway.admin_address() {
        output::complain(format_args!("admin on http://{address}"));
    }
}

/// Starts a gateway, tells about it, and serves until it is told to end.
///
/// Signals are taken before the gateway starts, so that none falls between.
pub(super) fn serve(
    start: impl FnOnce() -> Result<Gateway, Failure>,
    tell: impl FnOnce(&Gateway),
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(Failure::Runtime)?;
    let mut signals = runtime
        .block_on(async { Signals::new() })
        .map_err(Failure::Runtime)?;
    let gateway = Arc::new(start()?);
    tell(&gateway);
    let code = runtime.block_on(async {
        signals.serve_until_end(&gateway).await;
        signals.drain(gateway).await
    });
    // A drain that was cut short must not be waited for.
    runtime.shutdown_background();
    Ok(code)
}

/// What the process can be told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reloads at every SIGHUP; returns at the first signal to end.
    async fn serve_until_end(&mut self, gateway: &Arc<Gateway>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
            let gateway = Arc::clone(gateway);
            // The gateway itself reports a file with mistakes: nothing is left to say here.
            drop(tokio::task::spawn_blocking(move || gateway.reload()).await);
        }
    }

    async fn drain(&mut self, gateway: Arc<Gateway>) -> ExitCode {
        output::complain("ending: no new connections, waiting for the requests at work");
        let drained = tokio::task::spawn_blocking(move || gateway.drain());
        tokio::select! {
            _ = drained => ExitCode::SUCCESS,
            () = self.end() => {
                output::complain("ended at once by a second signal");
                ExitCode::from(CUT_SHORT)
            }
        }
    }
}
