//! Encrypted connections: which certificate, which protocol, and what happens to the rest.

use std::fs;

use crate::support::certs::Authority;
use crate::support::client::tls_config;
use crate::support::h2::{H2Client, grpc_upstream};
use crate::support::{Client, TestGateway, eventually};

const TWO_NAMES: &str = r#"
    [server]
    workers = 2
    access_log = "off"
    [[listen]]
    address = "127.0.0.1:0"
    tls = { certificates = [{ cert = "one.pem", key = "one.key" }, { cert = "two.pem", key = "two.key" }] }
    [[listen]]
    address = "127.0.0.2:0"
    redirect = "https"
    [[routes]]
    path = "/{rest...}"
    respond = { body = "request.scheme" }
"#;

fn gateway(authority: &Authority) -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), "one", &["one.test", "localhost"]);
    authority.write(folder.path(), "two", &["*.two.test"]);
    TestGateway::start_exactly(folder, TWO_NAMES)
}

#[test]
fn the_server_name_picks_the_certificate() {
    let authority = Authority::new();
    let gateway = gateway(&authority);
    let config = tls_config(authority.roots());
    for name in ["one.test", "a.two.test"] {
        let mut client = Client::connect_tls(gateway.address(), &config, name).unwrap();
        assert_eq!(client.get("/").expect(200).text(), r#""https""#, "{name}");
    }
    assert!(Client::connect_tls(gateway.address(), &config, "three.test").is_err());
}

#[test]
fn both_versions_of_tls_are_spoken_and_no_older_one_can_be_configured() {
    let authority = Authority::new();
    let gateway = gateway(&authority);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let mut client =
            Client::connect_tls(gateway.address(), &std::sync::Arc::new(config), "one.test")
                .unwrap();
        client.get("/").expect(200);
        assert_eq!(client.tls().protocol_version(), Some(version.version));
    }
}

#[test]
fn http2_is_agreed_on_and_its_streams_are_independent() {
    let authority = Authority::new();
    let gateway = gateway(&authority);
    let mut client = H2Client::connect(
        gateway.address(),
        &tls_config(authority.roots()),
        "one.test",
    );
    let asked: Vec<_> = (0..50)
        .map(|_| ("GET", "https://one.test/", &[][..], &b""[..]))
        .collect();
    for reply in client.all(&asked) {
        assert_eq!(reply.expect(200).text(), r#""https""#);
    }
}

#[test]
fn a_plain_listener_redirects_to_https() {
    let authority = Authority::new();
    let gateway = gateway(&authority);
    let mut client = Client::connect(gateway.gateway.addresses()[1]);
    let reply = client.ask("GET", "/a?b=c", &[("host", "one.test:80")], b"");
    assert!(matches!(reply.status, 301 | 307 | 308), "{}", reply.status);
    let location = reply.header("location").unwrap();
    assert!(location.starts_with("https://one.test"), "{location}");
    assert!(location.ends_with("/a?b=c"), "{location}");
}

#[test]
fn a_certificate_replaced_on_disk_is_served_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let gateway = gateway(&old);
    let trusts_new = tls_config(new.roots());
    assert!(Client::connect_tls(gateway.address(), &trusts_new, "one.test").is_err());
    new.write(gateway.folder(), "one", &["one.test"]);
    eventually("the new certificate is served", || {
        Client::connect_tls(gateway.address(), &trusts_new, "one.test").is_ok()
    });
    let trusts_old = tls_config(old.roots());
    Client::connect_tls(gateway.address(), &trusts_old, "a.two.test").unwrap();
}

#[test]
fn clients_without_the_certificate_that_is_demanded_are_turned_away() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), "one", &["one.test"]);
    fs::write(folder.path().join("clients.pem"), authority.pem()).unwrap();
    let gateway = TestGateway::start_exactly(
        folder,
        r#"
        [server]
        access_log = "off"
        [[listen]]
        address = "127.0.0.1:0"
        tls = { certificates = [{ cert = "one.pem", key = "one.key" }], client_ca = "clients.pem" }
        [[routes]]
        path = "/"
        respond = { text = "ok" }
        "#,
    );
    let config = tls_config(authority.roots());
    // In TLS 1.3 the client learns of it only after its own side of the handshake.
    let refused = match Client::connect_tls(gateway.address(), &config, "one.test") {
        Err(_) => true,
        Ok(mut client) => {
            client
                .try_send("GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
                .is_err()
                || !matches!(client.try_reply(), Ok(Some(_)))
        }
    };
    assert!(refused);
}

#[test]
fn an_upstream_is_called_over_tls_with_an_authority_of_one_s_own() {
    let backend_authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    backend_authority.write(folder.path(), "one", &["localhost"]);
    // The backend is another gateway: it speaks TLS.
    let backend = TestGateway::start_exactly(
        folder,
        r#"
        [server]
        access_log = "off"
        [[listen]]
        address = "127.0.0.1:0"
        tls = { certificates = [{ cert = "one.pem", key = "one.key" }] }
        [[routes]]
        path = "/"
        respond = { body = "request.scheme" }
        "#,
    );
    let front = |ca: &Authority, protocol: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let text = format!(
            "{}\n[upstreams.u]\nendpoints = [\"https://{}\"]\nprotocol = \"{protocol}\"\n\
             tls = {{ ca = \"ca.pem\", server_name = \"localhost\" }}\n\
             [[routes]]\npath = \"/\"\nupstream = \"u\"\n",
            crate::support::gateway::LISTENERS,
            backend.address()
        );
        TestGateway::start_exactly(folder, &text)
    };
    for protocol in ["auto", "h1", "h2"] {
        let reply = front(&backend_authority, protocol).get("/").expect(200);
        assert_eq!(reply.text(), r#""https""#, "{protocol}");
    }
    front(&Authority::new(), "auto").get("/").expect(502);
}

#[test]
fn a_handshake_that_is_none_does_not_disturb_the_others() {
    let authority = Authority::new();
    let gateway = gateway(&authority);
    let mut stranger = Client::connect(gateway.address());
    stranger.send("GET / HTTP/1.1\r\nHost: one.test\r\n\r\n");
    stranger.rest();
    let config = tls_config(authority.roots());
    let mut client = Client::connect_tls(gateway.address(), &config, "one.test").unwrap();
    client.get("/").expect(200);
}

#[test]
fn grpc_passes_with_its_trailers() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), "one", &["one.test"]);
    let gateway = TestGateway::start_exactly(
        folder,
        &format!(
            r#"
            [server]
            access_log = "off"
            [[listen]]
            address = "127.0.0.1:0"
            tls = {{ certificates = [{{ cert = "one.pem", key = "one.key" }}] }}
            [upstreams.grpc]
            endpoints = ["http://{}"]
            protocol = "h2"
            [[routes]]
            path = "/shop.Orders/{{method}}"
            methods = ["POST"]
            upstream = "grpc"
            "#,
            grpc_upstream()
        ),
    );
    let mut client = H2Client::connect(
        gateway.address(),
        &tls_config(authority.roots()),
        "one.test",
    );
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    let frame = b"\0\0\0\0\x03abc";
    let reply = client
        .ask("POST", "https://one.test/shop.Orders/List", &fields, frame)
        .expect(200);
    assert_eq!(reply.body, frame);
    assert_eq!(reply.header("content-type"), Some("application/grpc"));
    let trailer = |name: &str| {
        let found = reply.trailers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(trailer("grpc-status"), Some("0"));
    assert_eq!(trailer("seen-te"), Some("trailers"));
}
