//! Makes certificates for development: an authority to trust, and one certificate signed by it.
//!
//! The authority's key is thrown away as soon as it has signed. Whoever tells a browser or a
//! system to trust `ca.pem` therefore trusts this one certificate and nothing else, ever.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::TlsSpec;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// What a development certificate is good for where nobody says otherwise.
pub const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Days for which a development certificate is good.
const VALID_DAYS: u32 = 365;

/// The three files in a folder of development certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The authority, for clients to trust: PEM.
    pub authority: PathBuf,
    /// The server's certificate, for a listener: PEM.
    pub cert: PathBuf,
    /// Its key, for a listener: PEM, PKCS#8.
    pub key: PathBuf,
}

impl Files {
    /// The files of `folder`, there or not.
    pub fn of(folder: &Path) -> Self {
        Self {
            authority: folder.join("ca.pem"),
            cert: folder.join("server.pem"),
            key: folder.join("server.key"),
        }
    }

    fn present(&self) -> Vec<&Path> {
        [&self.authority, &self.cert, &self.key]
            .into_iter()
            .map(PathBuf::as_path)
            .filter(|path| path.exists())
            .collect()
    }
}

/// Whether files were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    Made,
    /// All were there; they were left as they are.
    Kept,
}

/// Why there are no development certificates.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentError {
    #[error(
        "{} is there, but not all of {}: move away what is there, and all are made anew",
        .present.display(),
        .folder.join("{ca.pem,server.pem,server.key}").display()
    )]
    Partial { folder: PathBuf, present: PathBuf },
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate for {names}: {source}")]
    Make {
        names: String,
        source: Box<rcgen::Error>,
    },
}

/// Makes the three files in `folder` when none of them is there. Never writes over a file.
pub fn ensure(folder: &Path, names: &[String]) -> Result<Ensured, DevelopmentError> {
    let files = Files::of(folder);
    match files.present().as_slice() {
        [] => {}
        [_, _, _] => return Ok(Ensured::Kept),
        [present, ..] => {
            return Err(DevelopmentError::Partial {
                folder: folder.to_owned(),
                present: (*present).to_owned(),
            });
        }
    }
    let made = make(names).map_err(|source| DevelopmentError::Make {
        names: names.join(", "),
        source: Box::new(source),
    })?;
    fs::create_dir_all(folder).map_err(|source| DevelopmentError::Write {
        path: folder.to_owned(),
        source,
    })?;
    write_new(&files.key, &made.key, 0o600)?;
    write_new(&files.authority, &made.authority, 0o644)?;
    write_new(&files.cert, &made.cert, 0o644)?;
    Ok(Ensured::Made)
}

/// Makes the certificate of a listener that says `development = true`, where there is none.
pub fn provide(tls: &TlsSpec) -> Result<(), String> {
    let folder = tls.certificates.first().and_then(|pair| pair.cert.parent());
    match folder {
        Some(folder) if tls.development => ensure(folder, &NAMES.map(str::to_owned))
            .map(drop)
            .map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

/// The texts of the three files.
struct Made {
    authority: String,
    cert: String,
    key: String,
}

fn make(names: &[String]) -> Result<Made, rcgen::Error> {
    let (from, until) = validity();
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    (authority.not_before, authority.not_after) = (from.into(), until.into());
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "Concertina development authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(names)?;
    (server.not_before, server.not_after) = (from.into(), until.into());
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server
        .distinguished_name
        .push(DnType::CommonName, "Concertina development");
    let cert = server.signed_by(&key, &authority)?;
    Ok(Made {
        authority: authority.pem(),
        cert: cert.pem(),
        key: key.serialize_pem(),
    })
}

/// From yesterday, for clocks that are behind, on.
fn validity() -> (SystemTime, SystemTime) {
    const DAY: Duration = Duration::from_hours(24);
    let now = SystemTime::now();
    (now - DAY, now + VALID_DAYS * DAY)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), DevelopmentError> {
    let failed = |source| DevelopmentError::Write {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::sign::CertifiedKey;

    use super::*;

    fn names() -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    #[test]
    fn certificate_and_key_belong_together_and_the_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let ensured = ensure(folder.path(), &names()).unwrap();
        assert_eq!(ensured, Ensured::Made);
        let files = Files::of(folder.path());
        let cert = CertificateDer::from_pem_file(&files.cert).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(vec![cert], key, &provider).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&files.key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        ensure(folder.path(), &names()).unwrap();
        let files = Files::of(folder.path());
        let before = fs::read(&files.cert).unwrap();
        let ensured = ensure(folder.path(), &names()).unwrap();
        assert_eq!(ensured, Ensured::Kept);
        assert_eq!(fs::read(&files.cert).unwrap(), before);
    }

    #[test]
    fn half_a_set_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::of(folder.path());
        fs::write(&files.cert, "mine").unwrap();
        let error = ensure(folder.path(), &names()).unwrap_err().to_string();
        assert!(error.contains("server.pem"), "{error}");
        assert_eq!(fs::read(&files.cert).unwrap(), b"mine");
        assert!(!files.key.exists());
    }
}
