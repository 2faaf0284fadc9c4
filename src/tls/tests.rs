//! Tests of TLS as clients meet it: the certificate shown, what is refused, what a reload changes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsConnector, client, server};

use super::*;
use crate::exchange::TlsFacts;
use crate::listen::Protocols;

const BOTH: Protocols = Protocols { h1: true, h2: true };
const PATIENCE: Duration = Duration::from_secs(10);

/// A certificate authority and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for `names` into `file`.pem and `file`.key.
    fn sign(&self, file: &str, names: &[&str]) -> CertificateSpec {
        self.sign_until(file, names, 2100)
    }

    fn sign_until(&self, file: &str, names: &[&str], year: i32) -> CertificateSpec {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let spec = CertificateSpec {
            cert: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}.key")),
        };
        fs::write(&spec.cert, signed.pem()).unwrap();
        fs::write(&spec.key, key.serialize_pem()).unwrap();
        spec
    }

    /// The authority's own certificate as a file.
    fn write_ca(&self) -> PathBuf {
        let path = self.path("ca.pem");
        fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    fn client(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        builder
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }
}

fn spec(certificates: Vec<CertificateSpec>) -> TlsSpec {
    TlsSpec {
        certificates,
        client_ca: None,
        min_version: MinVersion::Tls12,
        development: false,
    }
}

struct Met {
    client: client::TlsStream<DuplexStream>,
    /// Kept open until the test is over.
    _server: server::TlsStream<DuplexStream>,
    facts: TlsFacts,
    alpn: Alpn,
}

impl Met {
    fn resumed(&self) -> bool {
        self.client.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn shown(&self) -> CertificateDer<'static> {
        self.client.get_ref().1.peer_certificates().unwrap()[0].clone()
    }
}

/// Connects a client to `tls`, both in memory, and sends it a byte, so that it has read the session
/// ticket before.
async fn meet(
    tls: &ServerTls,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Met, HandshakeError> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connecting = async {
        let mut stream = TlsConnector::from(Arc::clone(client))
            .connect(name, near)
            .await
            .ok()?;
        stream.read_u8().await.ok()?;
        Some(stream)
    };
    let accepting = async {
        let (mut stream, facts, alpn) = handshake(tls, far, PATIENCE).await?;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        Ok::<_, HandshakeError>((stream, facts, alpn))
    };
    let (client, accepted) = tokio::join!(connecting, accepting);
    let (server, facts, alpn) = accepted?;
    Ok(Met {
        client: client.expect("the server was content, so the client is"),
        _server: server,
        facts,
        alpn,
    })
}

fn leaf(spec: &CertificateSpec) -> CertificateDer<'static> {
    certs::read_chain(&spec.cert).unwrap().remove(0)
}

#[tokio::test]
async fn the_server_name_picks_the_certificate() {
    let authority = Authority::new();
    let first = authority.sign("first", &["first.example"]);
    let second = authority.sign("second", &["Second.example", "api.third.example"]);
    let third = authority.sign("third", &["*.third.example"]);
    let tls = spec(vec![first.clone(), second.clone(), third.clone()]);
    let tls = ServerTls::build(&tls, BOTH).unwrap();
    let client = Arc::new(authority.client());
    for (name, expected) in [
        ("first.example", &first),
        ("SECOND.example", &second),
        ("api.third.example", &second),
        ("other.third.example", &third),
    ] {
        let met = meet(&tls, &client, name).await.unwrap();
        assert_eq!(met.shown(), leaf(expected), "{name}");
        let lower = name.to_ascii_lowercase();
        assert_eq!(met.facts.server_name.as_deref(), Some(&*lower));
    }
}

#[tokio::test]
async fn the_first_certificate_serves_those_that_ask_for_no_known_name() {
    let authority = Authority::new();
    let first = authority.sign("first", &["first.example", "127.0.0.1"]);
    let second = authority.sign("second", &["*.example"]);
    let tls = ServerTls::build(&spec(vec![first.clone(), second]), BOTH).unwrap();
    // An address is no server name (RFC 6066, 3), so the client sends none.
    let client = Arc::new(authority.client());
    let met = meet(&tls, &client, "127.0.0.1").await.unwrap();
    assert_eq!(met.shown(), leaf(&first));
    assert_eq!(met.facts.server_name, None);
    // A wildcard stands for one label: this name is nobody's, and the client sees through it.
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("a.b.example").unwrap();
    let connector = TlsConnector::from(client);
    let (refused, failed) = tokio::join!(
        connector.connect(name, near),
        handshake(&tls, far, PATIENCE)
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("first.example"), "{refused}");
    assert_eq!(failed.unwrap_err().cause(), "refused");
}

#[test]
fn a_key_of_another_certificate_is_refused_with_both_files() {
    let authority = Authority::new();
    let mut pair = authority.sign("one", &["a.example"]);
    pair.key = authority.sign("two", &["b.example"]).key;
    let error = certs::load(&pair).unwrap_err();
    assert!(
        error.contains("one.pem") && error.contains("two.key"),
        "{error}"
    );
    assert!(error.contains("does not belong"), "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason() {
    let authority = Authority::new();
    let good = authority.sign("good", &["a.example"]);
    let text = authority.path("text.pem");
    fs::write(&text, "no certificate here").unwrap();
    let broken = authority.path("broken.pem");
    let end = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&broken, end).unwrap();
    for (cert, key, said) in [
        (authority.path("none.pem"), good.key.clone(), "cannot read"),
        (
            authority.folder.path().to_owned(),
            good.key.clone(),
            "not a file",
        ),
        (text.clone(), good.key.clone(), "holds no certificate"),
        (broken.clone(), good.key.clone(), "malformed"),
        (good.cert.clone(), text.clone(), "holds no private key"),
        (good.cert.clone(), authority.path("none.key"), "cannot read"),
    ] {
        let blamed = if cert == good.cert { &key } else { &cert };
        let blamed = blamed.display().to_string();
        let error = certs::load(&CertificateSpec { cert, key }).unwrap_err();
        assert!(error.contains(said) && error.contains(&blamed), "{error}");
    }
}

#[test]
fn a_certificate_that_has_ended_is_a_warning() {
    let authority = Authority::new();
    let ended = certs::load(&authority.sign_until("old", &["a.example"], 2001)).unwrap();
    let warning = ended.warning().unwrap();
    assert!(
        warning.contains("old.pem") && warning.contains("2001-01-01"),
        "{warning}"
    );
    let good = certs::load(&authority.sign("good", &["a.example"])).unwrap();
    assert_eq!(good.warning(), None);
    assert_eq!(good.names, ["a.example"]);
}

#[tokio::test]
async fn a_replaced_certificate_is_served_and_sessions_go_on() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let tls_spec = spec(vec![pair.clone()]);
    let tls = ServerTls::build(&tls_spec, BOTH).unwrap();
    let client = Arc::new(authority.client());
    let before = meet(&tls, &client, "api.example").await.unwrap();
    assert_eq!((before.shown(), before.resumed()), (leaf(&pair), false));

    authority.sign("api", &["api.example"]);
    tls.apply(Prepared::new(&tls_spec, BOTH).unwrap());

    let again = meet(&tls, &client, "api.example").await.unwrap();
    assert!(again.resumed());
    let stranger = Arc::new(authority.client());
    let after = meet(&tls, &stranger, "api.example").await.unwrap();
    assert_eq!(after.shown(), leaf(&pair));
    assert_ne!(after.shown(), before.shown());
}

#[tokio::test]
async fn other_settings_end_resumption() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let tls = ServerTls::build(&spec(vec![pair.clone()]), BOTH).unwrap();
    let client = Arc::new(authority.client());
    meet(&tls, &client, "api.example").await.unwrap();
    let stricter = TlsSpec {
        min_version: MinVersion::Tls13,
        ..spec(vec![pair])
    };
    tls.apply(Prepared::new(&stricter, BOTH).unwrap());
    let again = meet(&tls, &client, "api.example").await.unwrap();
    assert!(!again.resumed());
}

#[tokio::test]
async fn a_client_without_a_trusted_certificate_is_refused() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let tls_spec = TlsSpec {
        client_ca: Some(authority.write_ca()),
        ..spec(vec![pair])
    };
    let tls = ServerTls::build(&tls_spec, BOTH).unwrap();

    let nobody = Arc::new(authority.client());
    let error = meet(&tls, &nobody, "api.example").await.err().unwrap();
    assert_eq!(error.cause(), "client-certificate");

    let shown = authority.sign("client", &["client.example"]);
    let known = with_certificate(&authority, &shown);
    let met = meet(&tls, &known, "api.example").await.unwrap();
    let seen = met.facts.client_certificate.unwrap();
    assert_eq!(*seen, *leaf(&shown).as_ref());

    let other = Authority::new();
    let stranger = with_certificate(&authority, &other.sign("client", &["client.example"]));
    let error = meet(&tls, &stranger, "api.example").await.err().unwrap();
    assert_eq!(error.cause(), "client-certificate");
}

fn with_certificate(authority: &Authority, shown: &CertificateSpec) -> Arc<ClientConfig> {
    let key = PrivateKeyDer::from_pem_file(&shown.key).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_client_auth_cert(certs::read_chain(&shown.cert).unwrap(), key)
        .unwrap();
    Arc::new(config)
}

#[tokio::test]
async fn protocols_are_settled_by_alpn() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let tls_spec = spec(vec![pair]);
    let h2_alone = Protocols {
        h1: false,
        h2: true,
    };
    for (protocols, offered, expected) in [
        (BOTH, &["h2", "http/1.1"][..], Ok(Alpn::H2)),
        (BOTH, &["http/1.1"], Ok(Alpn::Http11)),
        (BOTH, &[], Ok(Alpn::Http11)),
        (BOTH, &["spdy/3"], Err("refused")),
        (h2_alone, &["h2"], Ok(Alpn::H2)),
        (h2_alone, &["http/1.1"], Err("refused")),
    ] {
        let tls = ServerTls::build(&tls_spec, protocols).unwrap();
        let mut client = authority.client();
        client.alpn_protocols = offered.iter().map(|id| id.as_bytes().to_vec()).collect();
        let met = meet(&tls, &Arc::new(client), "api.example").await;
        let settled = met.map(|met| met.alpn).map_err(|error| error.cause());
        assert_eq!(settled, expected, "{offered:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_http2_is_refused_where_it_is_all_there_is() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let h2_alone = Protocols {
        h1: false,
        h2: true,
    };
    let tls = ServerTls::build(&spec(vec![pair]), h2_alone).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("api.example").unwrap();
    let connector = TlsConnector::from(Arc::new(authority.client()));
    let (_client, refused) = tokio::join!(
        connector.connect(name, near),
        handshake(&tls, far, PATIENCE)
    );
    assert_eq!(refused.unwrap_err().cause(), "no-protocol");
}

#[tokio::test]
async fn an_old_version_is_refused_where_the_file_says_so() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let old = Arc::new(old);
    let tls = ServerTls::build(&spec(vec![pair.clone()]), BOTH).unwrap();
    let first = meet(&tls, &old, "api.example").await.unwrap();
    let again = meet(&tls, &old, "api.example").await.unwrap();
    assert_eq!((first.resumed(), again.resumed()), (false, true));
    let strict = TlsSpec {
        min_version: MinVersion::Tls13,
        ..spec(vec![pair])
    };
    let tls = ServerTls::build(&strict, BOTH).unwrap();
    let error = meet(&tls, &old, "api.example").await.err().unwrap();
    assert_eq!(error.cause(), "refused");
}

#[tokio::test]
async fn silence_noise_and_leaving_each_end_a_handshake() {
    let authority = Authority::new();
    let pair = authority.sign("api", &["api.example"]);
    let tls = ServerTls::build(&spec(vec![pair]), BOTH).unwrap();

    let (_silent, far) = tokio::io::duplex(1024);
    let silence = handshake(&tls, far, Duration::from_millis(10)).await;
    assert_eq!(silence.unwrap_err().cause(), "timeout");

    let (mut noisy, far) = tokio::io::duplex(1024);
    noisy.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let noise = handshake(&tls, far, PATIENCE).await;
    assert_eq!(noise.unwrap_err().cause(), "refused");

    let (gone, far) = tokio::io::duplex(1024);
    drop(gone);
    let left = handshake(&tls, far, PATIENCE).await;
    assert_eq!(left.unwrap_err().cause(), "closed");
}
