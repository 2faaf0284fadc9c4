//! `pingora-peer WORKERS PORT TLS_PORT SERVICE CERTIFICATE KEY`: a plain and a TLS listener (HTTP/1.1, HTTP/2), one upstream.

use async_trait::async_trait;
use mimalloc::MiMalloc;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Forward(HttpPeer);

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workers, port, tls_port, service, certificate, key] = arguments.as_slice() else {
        panic!("usage: pingora-peer WORKERS PORT TLS_PORT SERVICE CERTIFICATE KEY");
    };
    let conf = ServerConf {
        threads: workers.parse().expect("a number of workers"),
        upstream_keepalive_pool_size: 1024,
        work_stealing: false, // cheaper for it here
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let forward = Forward(HttpPeer::new(service.as_str(), false, String::new()));
    let mut proxy = http_proxy_service(&server.configuration, forward);
    proxy.add_tcp(&format!("127.0.0.1:{port}"));
    let mut tls = TlsSettings::intermediate(certificate, key).expect("a certificate");
    tls.enable_h2();
    proxy.add_tls_with_settings(&format!("127.0.0.1:{tls_port}"), None, tls);
    server.add_service(proxy);
    server.run_forever();
}
