//! TLS towards endpoints: authorities, names, identities, ALPN.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::backend::*;
use super::http2_backend::*;
use crate::upstream::{EndpointSpec, Group, Pools, Protocol, UpstreamTls};

/// An authority, with files for what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a certificate for `name` and its key.
    fn sign(&self, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_file, key_file) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    /// What a backend called `name` accepts TLS with; with `clients`, only from those it signed.
    fn acceptor(&self, name: &str, alpn: &[&str], clients: bool) -> TlsAcceptor {
        let (cert, key) = self.sign(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }
}

#[test]
fn tls_settles_on_http2_and_verifies_the_name() {
    on_worker(|| async {
        let authority = Authority::new();
        let acceptor = authority.acceptor("localhost", &["h2", "http/1.1"], false);
        let backend = Http2Backend::start(Some(acceptor), |request| async move {
            assert_eq!(request.uri().scheme_str(), Some("https"));
            answer([data("ok")])
        })
        .await;
        let mut spec = backend.spec(true);
        spec.tls.ca = Some(authority.path("ca.pem"));
        let (trusting, pools) = (group(&spec), Pools::new());
        for _ in 0..3 {
            assert_eq!(
                ask(&trusting, &pools, get("/")).await,
                Ok((200, "ok".to_owned()))
            );
        }
        assert_eq!(backend.accepted.get(), 1);

        spec.tls.server_name = Some("other.example".to_owned());
        let error = ask(&group(&spec), &pools, get("/")).await.unwrap_err();
        assert!(
            error.cause() == "connect" && error.to_string().contains("TLS"),
            "{error}"
        );

        spec.tls = UpstreamTls::default();
        let error = ask(&group(&spec), &pools, get("/")).await.unwrap_err();
        assert_eq!(
            error.cause(),
            "connect",
            "the public authorities did not sign it"
        );
    });
}

#[test]
fn a_server_name_stands_in_for_an_address_and_an_identity_is_shown() {
    on_worker(|| async {
        let authority = Authority::new();
        let acceptor = authority.acceptor("backend.internal", &["h2"], true);
        let backend = Http2Backend::start(Some(acceptor), |_| async { answer([data("ok")]) }).await;
        let mut spec = backend.spec(true);
        spec.endpoints[0].host = "127.0.0.1".to_owned();
        spec.tls.ca = Some(authority.path("ca.pem"));
        spec.tls.server_name = Some("backend.internal".to_owned());
        let pools = Pools::new();
        assert!(ask(&group(&spec), &pools, get("/")).await.is_err());
        spec.tls.identity = Some(authority.sign("gateway"));
        let known = group(&spec);
        assert_eq!(
            ask(&known, &pools, get("/")).await,
            Ok((200, "ok".to_owned()))
        );

        // The same text, but another certificate in the file: the old connections are not used.
        assert!(Arc::ptr_eq(
            &known,
            &Group::build(&spec, Some(&known)).unwrap()
        ));
        authority.sign("gateway");
        let renewed = Group::build(&spec, Some(&known)).unwrap();
        assert!(!Arc::ptr_eq(&known, &renewed));
        let before = backend.accepted.get();
        assert_eq!(
            ask(&renewed, &pools, get("/")).await,
            Ok((200, "ok".to_owned()))
        );
        assert_eq!(backend.accepted.get(), before + 1);

        // A key that belongs to another certificate is found when the file is read.
        let (cert, _) = authority.sign("one");
        let (_, key) = authority.sign("two");
        spec.tls.identity = Some((cert, key));
        let error = Group::build(&spec, Some(&renewed)).unwrap_err().to_string();
        assert!(
            error.contains("two.key") && error.contains("one.pem"),
            "{error}"
        );
    });
}

#[test]
fn a_file_that_does_not_hold_what_it_should_is_named() {
    let authority = Authority::new();
    let (cert, key) = authority.sign("gateway");
    let nothing = authority.path("nothing.pem");
    std::fs::write(&nothing, "nothing here").unwrap();
    let missing = authority.path("missing.pem");
    for (ca, identity, expected) in [
        (Some(&missing), None, "missing.pem: cannot be read"),
        (Some(&nothing), None, "nothing.pem: holds no certificate"),
        (Some(&key), None, "gateway.key: holds no certificate"),
        (
            None,
            Some((&nothing, &key)),
            "nothing.pem: holds no certificate",
        ),
        (
            None,
            Some((&cert, &cert)),
            "gateway.pem: holds no private key",
        ),
    ] {
        let tls = UpstreamTls {
            ca: ca.cloned(),
            identity: identity.map(|(cert, key)| (cert.clone(), key.clone())),
            server_name: None,
        };
        let error = tls.load().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let tls = UpstreamTls {
        server_name: Some("not a name".to_owned()),
        ..UpstreamTls::default()
    };
    assert!(tls.load().unwrap_err().to_string().contains("not a name"));
}

#[test]
fn an_endpoint_without_alpn_is_spoken_to_in_http1() {
    on_worker(|| async {
        let authority = Authority::new();
        let acceptor = authority.acceptor("localhost", &[], false);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answer_over(acceptor.clone(), stream));
            }
        });
        let mut spec = spec(&[]);
        spec.endpoints = vec![EndpointSpec {
            tls: true,
            host: "localhost".to_owned(),
            port,
        }];
        spec.tls.ca = Some(authority.path("ca.pem"));
        let (auto, pools) = (group(&spec), Pools::new());
        for _ in 0..3 {
            assert_eq!(
                ask(&auto, &pools, get("/")).await,
                Ok((200, "ok".to_owned()))
            );
        }
        assert_eq!(auto.facts().endpoints[0].connects, 1);
        spec.protocol = Protocol::H2;
        let error = ask(&group(&spec), &pools, get("/")).await.unwrap_err();
        assert_eq!(error.cause(), "connect");
    });
}

/// Answers every request on one connection.
async fn answer_over(acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut read = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut read).await {
        if read.ends_with(b"\r\n\r\n") {
            read.clear();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream.flush().await.unwrap();
        }
    }
}
