//! The process, its listeners and the admin listener.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Lowering;
use crate::config::reader::Reader;
use crate::config::scalars;
use crate::config::source::Place;
use crate::config::spec::{AdminSpec, ServerSpec};
use crate::config::written::{Text, Value};
use crate::listen::{ConnectionLimits, ListenerSpec, Protocols};
use crate::observe::{AccessLogSpec, LogFormat};
use crate::tls::development::Files;
use crate::tls::{self, CertificateSpec, MinVersion, TlsSpec};

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

impl<'a> Lowering<'a> {
    pub(super) fn server(&mut self, server: Reader<'a>) -> ServerSpec {
        ServerSpec {
            workers: server.count("workers").unwrap_or_default(),
            drain: server.duration("drain").unwrap_or_default(),
            trusted_proxies: Self::networks(server, "trusted_proxies"),
            max_connections: server.count("max_connections").unwrap_or_default(),
            access_log: self.access_log(server),
        }
    }

    fn access_log(&self, server: Reader<'a>) -> AccessLogSpec {
        let node = server.node("access_log");
        let (format, file) = match node.map(|node| &node.value) {
            Some(Value::Table(_)) => {
                let log = server.section("access_log");
                (
                    log.word("format"),
                    log.node("file").map(|node| self.path(node)),
                )
            }
            _ => (server.word("access_log"), None),
        };
        let format = match format {
            "text" => LogFormat::Text,
            "off" => LogFormat::Off,
            _ => LogFormat::Json,
        };
        AccessLogSpec { format, file }
    }

    /// The networks that a key lists.
    pub(super) fn networks(reader: Reader<'a>, key: &str) -> Vec<ipnet::IpNet> {
        reader
            .words(key)
            .into_iter()
            .filter_map(|text| scalars::network(text).ok())
            .collect()
    }

    pub(super) fn listeners(&mut self, tables: &[Reader<'a>]) -> Vec<(ListenerSpec, Place)> {
        let mut listeners: Vec<(ListenerSpec, Place)> = Vec::new();
        for &table in tables {
            let Some(listener) = self.listener(table) else {
                continue;
            };
            let place = table.place_of("address");
            self.must_be_free(listener.address, place, &listeners);
            listeners.push((listener, place));
        }
        listeners
    }

    fn listener(&mut self, table: Reader<'a>) -> Option<ListenerSpec> {
        let address = scalars::address(table.word("address")).ok();
        let tls = table.given("tls").map(|tls| self.tls(tls, address));
        if let (Some(redirect), true) = (table.entry("redirect"), tls.is_some()) {
            self.mistake(
                redirect.key_place,
                "a listener with `tls` cannot redirect to `https`: it would redirect to itself",
            )
            .help("remove `redirect` here, and add a listener for plain HTTP with it");
        }
        let protocols = table.words("protocols");
        Some(ListenerSpec {
            address: address?,
            tls,
            redirect_https: table.word("redirect") == "https",
            protocols: Protocols {
                h1: protocols.contains(&"h1"),
                h2: protocols.contains(&"h2"),
            },
            limits: Self::connection_limits(table.section("limits")),
        })
    }

    fn connection_limits(limits: Reader<'a>) -> ConnectionLimits {
        ConnectionLimits {
            header_bytes: limits.size("header_bytes").unwrap_or_default() as usize,
            headers: limits.count("headers").unwrap_or_default(),
            header_time: limits.duration("header_time").unwrap_or_default(),
            body_bytes: limits.size("body_bytes").unwrap_or_default(),
            body_time: limits.duration("body_time").unwrap_or_default(),
            idle: limits.duration("idle").unwrap_or_default(),
            streams: limits.count("streams").unwrap_or_default(),
        }
    }

    /// Two listeners on one address, or one on every address and one on a single one.
    fn must_be_free(
        &mut self,
        address: SocketAddr,
        place: Place,
        others: &[(ListenerSpec, Place)],
    ) {
        let overlaps = |other: SocketAddr| {
            other.port() == address.port()
                && address.port() != 0
                && (other.ip() == address.ip()
                    || other.is_ipv4() == address.is_ipv4()
                        && (other.ip().is_unspecified() || address.ip().is_unspecified()))
        };
        let taken = others.iter().find(|(other, _)| overlaps(other.address));
        if let Some(&(_, other)) = taken {
            self.mistake(place, format!("two listeners want `{address}`"))
                .related(other, "the other")
                .help("give one of them another port, or remove it");
        }
    }

    fn tls(&mut self, tls: Reader<'a>, address: Option<SocketAddr>) -> TlsSpec {
        let development = tls.boolean("development");
        let certificates = if development {
            self.development(tls, address)
        } else {
            self.certificates(tls)
        };
        let client_ca = self.file(tls, "client_ca");
        if let Some(path) = &client_ca
            && let Err(error) = tls::certs::load_authorities(path)
        {
            self.mistake(tls.place_of("client_ca"), error);
        }
        TlsSpec {
            certificates,
            client_ca,
            min_version: match tls.word("min_version") {
                "1.3" => MinVersion::Tls13,
                _ => MinVersion::Tls12,
            },
            development,
        }
    }

    fn certificates(&mut self, tls: Reader<'a>) -> Vec<CertificateSpec> {
        let mut certificates: Vec<CertificateSpec> = Vec::new();
        for pair in tls.tables("certificates") {
            let (Some(cert), Some(key)) = (self.file(pair, "cert"), self.file(pair, "key")) else {
                continue;
            };
            let spec = CertificateSpec { cert, key };
            if let Err(error) = tls::certs::load(&spec) {
                self.bad_pair(pair, &spec, error);
            }
            if certificates.contains(&spec) {
                self.mistake(pair.place(), "this certificate stands twice")
                    .help("remove one of them");
            }
            certificates.push(spec);
        }
        certificates
    }

    /// Places a mistake of a certificate and its key at the one that it speaks of.
    fn bad_pair(&mut self, pair: Reader<'a>, spec: &CertificateSpec, error: String) {
        let names = |path: &PathBuf| error.contains(&*path.to_string_lossy());
        let place = match (names(&spec.cert), names(&spec.key)) {
            (true, false) => pair.place_of("cert"),
            (false, true) => pair.place_of("key"),
            _ => pair.place(),
        };
        let missing = !spec.cert.exists() && !spec.key.exists();
        let help = missing.then(|| {
            "for development, `tls = { development = true }` makes a certificate for `localhost`"
                .to_owned()
        });
        self.mistake(place, error).maybe_help(help);
    }

    /// The certificate in `certs/` that is made where there is none: on loopback alone.
    fn development(
        &mut self,
        tls: Reader<'a>,
        address: Option<SocketAddr>,
    ) -> Vec<CertificateSpec> {
        if address.is_some_and(|address| !address.ip().is_loopback()) {
            self.mistake(
                tls.place_of("development"),
                "a development certificate is served on loopback addresses only",
            )
            .help("listen on `127.0.0.1`, or name a certificate: `certificates = [{ cert = ..., key = ... }]`");
        }
        let files = Files::of(&self.base(tls.place()).join("certs"));
        let there = [&files.authority, &files.cert, &files.key].map(|path| path.exists());
        let spec = CertificateSpec {
            cert: files.cert,
            key: files.key,
        };
        let help = "move away what is in `certs/`, and it is made anew";
        let place = tls.place_of("development");
        if there.contains(&true) && there.contains(&false) {
            self.mistake(
                place,
                "some of `ca.pem`, `server.pem` and `server.key` are in `certs/`, not all",
            )
            .help(help);
        } else if there.contains(&true)
            && let Err(error) = tls::certs::load(&spec)
        {
            self.mistake(place, error).help(help);
        }
        self.files.extend([spec.cert.clone(), spec.key.clone()]);
        vec![spec]
    }

    pub(super) fn admin(
        &mut self,
        admin: Reader<'a>,
        listeners: &[(ListenerSpec, Place)],
    ) -> Option<AdminSpec> {
        let address = scalars::address(admin.word("address")).ok()?;
        self.must_be_free(address, admin.place_of("address"), listeners);
        let token = admin.text("token").map(Text::as_str);
        match token {
            None if !address.ip().is_loopback() => {
                self.mistake(
                    admin.place_of("address"),
                    "the admin listener needs a `token` on any address but loopback",
                )
                .help("add `token = \"${file:/run/secrets/admin}\"`, or listen on `127.0.0.1`");
            }
            Some(token) if token.len() < TOKEN_BYTES_MIN => {
                self.mistake(
                    admin.place_of("token"),
                    format!("the token is shorter than {TOKEN_BYTES_MIN} characters"),
                )
                .secret()
                .help("make one: `openssl rand -hex 32`");
            }
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                self.mistake(
                    admin.place_of("token"),
                    "the token holds spaces or characters that no header can carry",
                )
                .secret()
                .help("make one: `openssl rand -hex 32`");
            }
            _ => {}
        }
        Some(AdminSpec {
            address,
            token: token.map(str::to_owned),
        })
    }
}
