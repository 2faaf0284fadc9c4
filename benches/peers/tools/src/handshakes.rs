//! `handshakes PORT PATH SECONDS THREADS`: one request per connection, each with a full TLS handshake; prints counts as JSON.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, Stream};

/// Takes any certificate: what is measured is the server, and the client should cost little.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, path, seconds, threads] = arguments.as_slice() else {
        return Err("usage: handshakes PORT PATH SECONDS THREADS".into());
    };
    let port: u16 = port.parse()?;
    let end = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    // One key share, the same for every server.
    let mut provider = ring::default_provider();
    provider.kx_groups = vec![ring::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let threads: Vec<_> = (0..threads.parse()?)
        .map(|_| {
            let (config, request) = (Arc::clone(&config), request.clone());
            thread::spawn(move || {
                let (mut good, mut bad) = (0_u64, 0_u64);
                while Instant::now() < end {
                    match ask(port, &request, &config) {
                        Ok(true) => good += 1,
                        _ => bad += 1,
                    }
                }
                (good, bad)
            })
        })
        .collect();
    let (mut good, mut bad) = (0, 0);
    for thread in threads {
        let (more_good, more_bad) = thread.join().map_err(|_| "a thread failed")?;
        good += more_good;
        bad += more_bad;
    }
    println!("{{\"good\": {good}, \"bad\": {bad}}}");
    Ok(())
}

fn ask(port: u16, request: &str, config: &Arc<ClientConfig>) -> Result<bool, Box<dyn Error>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let name = ServerName::try_from("localhost")?;
    let mut connection = ClientConnection::new(Arc::clone(config), name)?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Some servers close without TLS's own goodbye; what came counts.
    drop(stream.read_to_end(&mut answer));
    Ok(answer.starts_with(b"HTTP/1.1 200") && answer.len() > 200)
}
