//! `concertina certs`: a development certificate, never over an existing one.

use super::arguments::CertsArguments;
use super::{Failure, output};
use crate::tls::development::{self, Ensured, Files};

pub(super) fn certs(arguments: &CertsArguments) -> Result<(), Failure> {
    let names = if arguments.names.is_empty() {
        development::NAMES.map(str::to_owned).to_vec()
    } else {
        arguments.names.clone()
    };
    let files = Files::of(&arguments.folder);
    match development::ensure(&arguments.folder, &names)? {
        Ensured::Kept => output::line(format_args!(
            "{} is there already; nothing was changed.",
            files.cert.display()
        )),
        Ensured::Made => output::line(format_args!(
            "Made for {}:\n  {}   for clients to trust (curl --cacert)\n  {}   and\n  {}   for a listener:\n\n\
             tls = {{ certificates = [{{ cert = {:?}, key = {:?} }}] }}",
            names.join(", "),
            files.authority.display(),
            files.cert.display(),
            files.key.display(),
            files.cert.display().to_string(),
            files.key.display().to_string(),
        )),
    }
    Ok(())
}
