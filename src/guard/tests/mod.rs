//! What a guard does, seen from a request: with real keys, and issuers on loopback.

mod admit;
mod attacks;
mod expressions;
mod issuers;
mod keys;
mod limits;
mod passwords;
mod properties;
mod reload;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::remote::Pace;
use super::*;
use crate::exchange::{CanonicalPath, Exchange, Headers, Peer, RequestId, TraceContext, Version};
use crate::fetch::Client;
use crate::route::{Entry, Params, PathPattern, Table};

/// The wall clock of every request here, in seconds since 1970.
const NOW: u64 = 2_000_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A request: `GET /path?query`, then a field a line.
fn request(text: &str) -> Exchange {
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut headers = Headers::new();
    for line in lines {
        let (name, value) = line.trim().split_once(": ").unwrap();
        headers.append(name, value.as_bytes());
    }
    Exchange {
        id: RequestId::given(b"id-1"),
        method: method.parse().unwrap(),
        path: CanonicalPath::new(path.to_owned()).unwrap(),
        query,
        host: "api.example.com".to_owned(),
        authority: "API.example.com:8443".to_owned(),
        version: Version::Http11,
        headers,
        upgrade: None,
        peer: Arc::new(Peer::new(
            "192.0.2.1:1000".parse().unwrap(),
            "192.0.2.2:443".parse().unwrap(),
            None,
            1000,
        )),
        peer_trusted: false,
        client: "192.0.2.1".parse().unwrap(),
        scheme: "https",
        trace: TraceContext::of(None),
        started: tokio::time::Instant::now(),
        time: (SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)).into(),
    }
}

fn from(address: &str) -> Exchange {
    let mut exchange = request("GET /");
    exchange.client = address.parse::<IpAddr>().unwrap();
    exchange
}

fn bearer(token: &str) -> Exchange {
    request(&format!("GET /\nauthorization: Bearer {token}"))
}

/// The parameters of `exchange` under `pattern`.
fn params(pattern: &str, exchange: &Exchange) -> Params {
    let entry = Entry {
        pattern: PathPattern::parse(pattern).unwrap(),
        hosts: Vec::new(),
        methods: Vec::new(),
        conditional: false,
        priority: 0,
    };
    let table = Table::build(vec![entry]).unwrap();
    let found = table.find("", &exchange.method, &exchange.path, |_, _| true);
    found.unwrap().1
}

/// A specification of a token authenticator that most tests bend.
fn jwt_spec(algorithms: &[Algorithm], keys: KeySource) -> JwtSpec {
    JwtSpec {
        issuer: Some("https://issuer.example".to_owned()),
        audience: vec!["shop".to_owned()],
        algorithms: algorithms.to_vec(),
        keys,
        leeway: Duration::from_secs(30),
        place: TokenPlace::Authorization,
        required: vec!["exp".to_owned()],
        cache: Duration::from_mins(1),
    }
}

fn jwt(spec: JwtSpec) -> AuthenticatorSpec {
    AuthenticatorSpec {
        name: "customers".to_owned(),
        kind: AuthenticatorKind::Jwt(spec),
        pass_credential: false,
    }
}

fn secret() -> KeySource {
    KeySource::Secret(SECRET.into())
}

/// Short times, so that tests are.
fn pace() -> Pace {
    Pace {
        floor: Duration::from_mins(10),
        wait: Duration::from_secs(5),
        usual: Duration::from_mins(10),
        shortest: Duration::ZERO,
        longest: Duration::from_mins(10),
        retry: Duration::from_millis(1),
        retry_longest: Duration::from_millis(5),
    }
}

fn build(specs: &[AuthenticatorSpec], previous: Option<&Authenticators>) -> Authenticators {
    let errand = (Client::new(&[]).unwrap(), pace());
    Authenticators::build_with(specs, previous, &Handle::current(), errand).unwrap()
}

/// A guard that admits by any of `authenticators`.
fn guard_of(authenticators: &Authenticators, count: usize) -> Guard {
    let spec = GuardSpec {
        authenticators: (0..count).collect(),
        ..GuardSpec::default()
    };
    Guard::build(&spec, authenticators, &Limits::default()).unwrap()
}

fn guard(specs: &[AuthenticatorSpec]) -> Guard {
    guard_of(&build(specs, None), specs.len())
}

async fn admit(guard: &Guard, exchange: &mut Exchange) -> Result<Admission, Refusal> {
    guard.admit(exchange, &Params::default()).await
}

/// The name of who is admitted with `token`, or why nobody is.
async fn name(guard: &Guard, token: &str) -> Result<String, Denial> {
    match admit(guard, &mut bearer(token)).await {
        Ok(admission) => Ok(admission.caller.unwrap().name.to_string()),
        Err(Refusal::Unauthenticated { denial, .. }) => Err(denial),
        Err(other) => panic!("{other:?}"),
    }
}

/// Claims that are fine.
fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "shop", "sub": "alice",
        "exp": NOW + 300, "nbf": NOW - 300, "roles": ["support"],
    })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

/// Signs tokens.
enum Signer {
    Secret(hmac::Algorithm, Vec<u8>),
    Rsa(&'static RsaKeyPair, &'static dyn signature::RsaEncoding),
    P256(&'static EcdsaKeyPair),
    Ed25519(&'static Ed25519KeyPair),
    Nobody,
}

impl Signer {
    fn hs256() -> Self {
        Self::Secret(hmac::HMAC_SHA256, SECRET.to_vec())
    }

    fn rs256() -> Self {
        Self::Rsa(&RSA, &signature::RSA_PKCS1_SHA256)
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(algorithm, secret) => {
                let key = hmac::Key::new(*algorithm, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Rsa(key, padding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Nobody => Vec::new(),
        }
    }

    /// A token with this header and these claims.
    fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw(&header.to_string(), &claims.to_string())
    }

    fn raw(&self, header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn hs256(claims: &Value) -> String {
    Signer::hs256().token(&json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn rs256(kid: &str, claims: &Value) -> String {
    Signer::rs256().token(&json!({"alg": "RS256", "kid": kid}), claims)
}

static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// The public half of `key` as PEM.
fn rsa_pem(key: &RsaKeyPair) -> String {
    pem(&AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap())
}

fn pem(der: &PublicKeyX509Der<'_>) -> String {
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

fn rsa_jwk(kid: &str) -> Value {
    let key: &rsa::PublicKey = RSA.public_key();
    // RSAPublicKey of RFC 8017, A.1.1: the modulus stands behind nine bytes, then the exponent.
    let der = key.as_ref();
    json!({
        "kty": "RSA", "use": "sig", "kid": kid,
        "n": URL_SAFE_NO_PAD.encode(&der[9..265]),
        "e": URL_SAFE_NO_PAD.encode(&der[267..]),
    })
}

fn p256_jwk(kid: &str) -> Value {
    let point = P256.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid,
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
        "y": URL_SAFE_NO_PAD.encode(&point[33..]),
    })
}

fn ed25519_jwk(kid: &str) -> Value {
    let x = URL_SAFE_NO_PAD.encode(ED25519.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
}

/// A file with `text`, which goes with the returned value.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// A server on loopback that answers every path with one text.
struct Issuer {
    address: String,
    asked: Arc<AtomicUsize>,
    answers: Arc<Mutex<Answers>>,
    _task: JoinSet<()>,
}

/// Texts by path; a path without one is answered by closing the connection.
type Answers = Vec<(&'static str, String)>;

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, answers) = (Arc::default(), Arc::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, Arc::clone(&asked), Arc::clone(&answers)));
        Self {
            address,
            asked,
            answers,
            _task: task,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn jwks(&self) -> KeySource {
        KeySource::Jwks(self.url("/jwks"))
    }

    fn answers(&self, path: &'static str, text: impl std::fmt::Display) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, _)| *known != path);
        answers.push((path, text.to_string()));
    }

    fn publishes(&self, keys: &[Value]) {
        self.answers("/jwks", json!({ "keys": keys }));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, asked: Arc<AtomicUsize>, answers: Arc<Mutex<Answers>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = {
            let answers = answers.lock().unwrap();
            answers
                .iter()
                .find(|(known, _)| *known == path)
                .map(|(_, text)| text.clone())
        };
        if let Some(text) = answer {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
            // The client may leave before it has read everything.
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.write_all(text.as_bytes()).await);
        }
    }
}
