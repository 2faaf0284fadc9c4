//! How many instructions a request costs the gateway, counted by callgrind and held to a record.
//!
//! Times differ from run to run on a shared machine; counts hardly do. So this is what CI judges:
//! the built program serves real sockets under callgrind, one request at a time, and each scenario's
//! instructions per request are compared with `benches/instructions.toml`.
//!
//! `cargo bench --bench instructions -- [--record] [--required] [--binary FILE] [--keep FOLDER]`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark tells its results"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// No wait of this file is longer. Everything is slow under callgrind.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a service thinks before it answers. With this, its answer is never there yet when the gateway
/// first looks for it, so that every run polls as often as the last one.
const THINKING: Duration = Duration::from_millis(1);

const CONNECTIONS: usize = 4;
const WARM_UP: usize = 200;
const COUNTED: usize = 400;

/// The figures are kept here, beside this file.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");

const SECRET: &str = "a secret that only this benchmark knows";

/// What browsers send beside what every client sends.
const BROWSER: &str = "\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,fr;q=0.7\r\n\
    Cache-Control: no-cache\r\n\
    Pragma: no-cache\r\n\
    DNT: 1\r\n\
    Origin: https://shop.example.com\r\n\
    Referer: https://shop.example.com/lamps/12345?from=home\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// One kind of request.
struct Scenario {
    name: &'static str,
    what: &'static str,
    path: &'static str,
    /// Header lines beside those of every request.
    headers: String,
    body: usize,
    logged: bool,
    http2: bool,
}

impl Scenario {
    fn new(name: &'static str, what: &'static str, path: &'static str) -> Self {
        Self {
            name,
            what,
            path,
            headers: String::new(),
            body: 0,
            logged: false,
            http2: false,
        }
    }

    fn request(&self) -> Vec<u8> {
        let method = if self.body == 0 { "GET" } else { "POST" };
        let mut head = format!(
            "{method} {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: instructions\r\nAccept: */*\r\n{}",
            self.path, self.headers
        );
        if self.body > 0 {
            let length = self.body;
            head = format!("{head}Content-Type: text/plain\r\nContent-Length: {length}\r\n");
        }
        let mut request = format!("{head}\r\n").into_bytes();
        request.resize(request.len() + self.body, b'x');
        request
    }
}

fn scenarios() -> Outcome<Vec<Scenario>> {
    let mut browser = Scenario::new("browser", "the same with twelve more headers", "/2k");
    BROWSER.clone_into(&mut browser.headers);
    let mut post = Scenario::new("post", "POST of 20 kB, answer of 200 bytes", "/200");
    post.body = 20_000;
    let mut token = Scenario::new("token", "a known JWT, a rate limit, 2 kB", "/mine/2k");
    token.headers = format!("Authorization: Bearer {}\r\n", signed()?);
    let mut logged = Scenario::new("logged", "GET of 2 kB, access log to a file", "/2k");
    logged.logged = true;
    let mut http2 = Scenario::new("http2", "GET of 2 kB over HTTP/2", "/2k");
    http2.http2 = true;
    Ok(vec![
        Scenario::new("proxy", "GET of 2 kB, proxied", "/2k"),
        browser,
        post,
        Scenario::new("flow", "three parts of 2 kB, nested", "/flow"),
        token,
        http2,
        logged,
    ])
}

fn signed() -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = serde_json::json!({"iss": "bench", "sub": "ada", "exp": now + 86_400});
    Ok(jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &claims,
        &jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes()),
    )?)
}

/// The file that is served: what is measured, among as many routes as people have.
fn routes(services: &[SocketAddr; 3], access_log: &str) -> String {
    let [a, b, c] = services;
    let mut text = format!(
        r#"
[server]
workers = 1
access_log = {access_log}

[[listen]]
address = "127.0.0.1:0"

[upstreams]
a = {{ endpoints = ["http://{a}"] }}
b = {{ endpoints = ["http://{b}"] }}
c = {{ endpoints = ["http://{c}"] }}

[auth.callers]
jwt = {{ issuer = "bench", algorithms = ["HS256"], secret = "{SECRET}", cache = "600s" }}

[limits.each]
rate = "1000000/s"
by = "caller.sub"

[[routes]]
path = "/{{rest...}}"
upstream = "a"

[[routes]]
path = "/mine/{{rest...}}"
auth = "callers"
limits = ["each"]
upstream = "a"

[[routes]]
path = "/flow"
methods = ["GET"]
steps.a = {{ call = "GET a:/2k" }}
steps.b = {{ call = "GET b:/2k" }}
steps.c = {{ call = "GET c:/2k" }}
"#
    );
    for n in 0..200 {
        let shop = n % 7;
        let _written = write!(
            text,
            "[[routes]]\npath = \"/v{shop}/shop{n}/{{id}}/items\"\nupstream = \"a\"\n"
        );
    }
    text
}

fn main() -> ExitCode {
    match Options::read().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Options {
    record: bool,
    required: bool,
    binary: PathBuf,
    keep: Option<PathBuf>,
}

impl Options {
    fn read() -> Outcome<Self> {
        let mut options = Self {
            record: false,
            required: false,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_concertina")),
            keep: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut file = || arguments.next().ok_or(format!("{argument} needs a name"));
            match argument.as_str() {
                "--bench" => (), // cargo's own
                "--record" => options.record = true,
                "--required" => options.required = true,
                "--binary" => options.binary = PathBuf::from(file()?),
                "--keep" => options.keep = Some(PathBuf::from(file()?)),
                _ => return Err(format!("there is no option {argument}").into()),
            }
        }
        Ok(options)
    }
}

/// Counts every scenario. False: something costs more than the record allows.
fn run(options: &Options) -> Outcome<bool> {
    if let Some(missing) = ["valgrind", "callgrind_control"]
        .into_iter()
        .find(|tool| !is_there(tool))
    {
        println!("instructions: not counted, since there is no {missing} (Debian: valgrind)");
        return Ok(!options.required);
    }
    let folder = tempfile::tempdir()?;
    let place = options.keep.as_deref().unwrap_or(folder.path());
    fs::create_dir_all(place)?;
    let services = [serve()?, serve()?, serve()?];
    let all = scenarios()?;
    let mut counts = Vec::new();
    for (access_log, logged) in [
        (r#""off""#, false),
        (r#"{ format = "json", file = "access.log" }"#, true),
    ] {
        let mut gateway = Gateway::start(place, &options.binary, &routes(&services, access_log))?;
        for scenario in all.iter().filter(|it| it.logged == logged) {
            counts.push((scenario, gateway.count(scenario)?));
        }
    }
    let counts: Vec<_> = counts.iter().map(|(it, count)| (*it, *count)).collect();
    if options.record {
        fs::write(RECORD, recorded(&counts))?;
        println!("{}recorded in {RECORD}", table(&counts, None));
        return Ok(true);
    }
    judge(&counts)
}

fn is_there(tool: &str) -> bool {
    let asked = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok()
}

/// What was counted before.
#[derive(Deserialize)]
struct Record {
    /// The processor that it holds for.
    processor: String,
    /// The share above which a count is a regression.
    tolerance: f64,
    instructions: std::collections::BTreeMap<String, u64>,
}

fn recorded(counts: &[(&Scenario, u64)]) -> String {
    let mut text = format!(
        "# Instructions of the gateway for each request, as `cargo bench --bench instructions -- --record` counted them.\n\
         # CI fails when a count is more than `tolerance` above its figure.\n\
         processor = \"{}\"\ntolerance = 0.05\n\n[instructions]\n",
        std::env::consts::ARCH
    );
    for (scenario, count) in counts {
        let _written = writeln!(text, "{} = {count} # {}", scenario.name, scenario.what);
    }
    text
}

/// Compares with the record, and tells.
fn judge(counts: &[(&Scenario, u64)]) -> Outcome<bool> {
    let record: Record = toml::from_str(&fs::read_to_string(RECORD)?)?;
    if record.processor != std::env::consts::ARCH || cfg!(debug_assertions) {
        println!("{}", table(counts, None));
        println!(
            "not judged: the record is of optimised code for {}",
            record.processor
        );
        return Ok(true);
    }
    println!("{}", table(counts, Some(&record)));
    let change = |(it, count): &(&Scenario, u64)| {
        let before = record.instructions.get(it.name)?;
        Some(share(*count, *before))
    };
    let shares: Vec<Option<f64>> = counts.iter().map(change).collect();
    if shares.iter().any(Option::is_none) {
        println!("A scenario has no figure in {RECORD}: record it with `-- --record`.");
        return Ok(false);
    }
    let worst = shares.iter().flatten().copied().fold(f64::MIN, f64::max);
    let best = shares.iter().flatten().copied().fold(f64::MAX, f64::min);
    if worst > record.tolerance {
        println!(
            "A request costs more than the record allows. Either the change can be made cheaper, or its\n\
             worth is said in the commit that records the new figures: `cargo bench --bench instructions -- --record`."
        );
    } else if best < -record.tolerance {
        println!(
            "Cheaper than the record: lower it, so that it holds, with `cargo bench --bench instructions -- --record`."
        );
    }
    Ok(worst <= record.tolerance)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(now: u64, before: u64) -> f64 {
    now as f64 / before.max(1) as f64 - 1.0
}

fn table(counts: &[(&Scenario, u64)], record: Option<&Record>) -> String {
    let mut text = String::from("instructions per request  recorded    change  what\n");
    for (scenario, count) in counts {
        let before = record.and_then(|it| it.instructions.get(scenario.name));
        let (figure, change) = match before {
            Some(before) => {
                let percent = share(*count, *before) * 100.0;
                (before.to_string(), format!("{percent:+.1} %"))
            }
            None => ("-".to_owned(), "-".to_owned()),
        };
        let _written = writeln!(
            text,
            "{:<10}{count:>14}{figure:>10}{change:>10}  {}",
            scenario.name, scenario.what
        );
    }
    text
}

/// A service that answers every request in the same way: 2 kB where the path ends so, else 200 bytes.
///
/// A thread for each connection; they end with the process.
fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || answer_all(client));
        }
    });
    Ok(address)
}

fn answer_all(client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut writer = client.try_clone()?;
    let mut reader = BufReader::new(client);
    let (small, large) = (document(200), document(2000));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let body = if line.contains("/2k ") {
            &large
        } else {
            &small
        };
        let length = skip_fields(&mut reader)?;
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        wait(THINKING);
        writer.write_all(body)?;
    }
}

/// Reads to the end of a head. Gives the length of what follows.
fn skip_fields(reader: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return Ok(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

/// A response with a JSON document of `length` bytes.
fn document(length: usize) -> Vec<u8> {
    let mut body = String::from(r#"{"id":12345,"items":["#);
    let mut n = 0;
    while body.len() + 80 < length {
        let quantity = n % 9;
        let _written = write!(
            body,
            r#"{{"sku":"A-{n:06}","quantity":{quantity},"price":{n}.50}},"#
        );
        n += 1;
    }
    let rest = length.saturating_sub(body.len() + 4);
    let _written = write!(body, "\"{}\"]}}", "p".repeat(rest));
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own that does nothing else"
)]
fn wait(time: Duration) {
    thread::sleep(time);
}

/// The program under callgrind. It does not outlive this value.
struct Gateway {
    child: Child,
    address: SocketAddr,
    counts: PathBuf,
    dumps: usize,
}

impl Gateway {
    fn start(folder: &Path, binary: &Path, text: &str) -> Outcome<Self> {
        let home = tempfile::tempdir_in(folder)?.keep();
        let file = home.join("routes.toml");
        fs::write(&file, text)?;
        let counts = home.join("counts");
        let mut child = Command::new("valgrind")
            .args(["--tool=callgrind", "--instr-atstart=no"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(binary.canonicalize()?)
            .arg("run")
            .arg(&file)
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = child.stderr.take();
        let mut gateway = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            counts,
            dumps: 0,
        };
        gateway.address = address_in(said.ok_or("no standard error")?)?;
        gateway.control("--instr=on")?;
        Ok(gateway)
    }

    /// Instructions per request, after a warm-up.
    fn count(&mut self, scenario: &Scenario) -> Outcome<u64> {
        let mut clients = if scenario.http2 {
            Clients::Http2(Http2::connect(self.address, scenario.path)?)
        } else {
            Clients::http1(self.address, scenario.request())?
        };
        clients.ask(WARM_UP)?;
        self.control("--zero")?;
        clients.ask(COUNTED)?;
        self.control(&format!("--dump={}", scenario.name))?;
        self.dumps += 1;
        let dump = self.counts.with_extension(self.dumps.to_string());
        let total = total(&fs::read_to_string(&dump)?).ok_or("callgrind wrote no total")?;
        Ok(total / COUNTED as u64)
    }

    fn control(&self, order: &str) -> Outcome<()> {
        let process = self.child.id().to_string();
        let done = Command::new("callgrind_control")
            .args([order, &process])
            .output()?;
        if done.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&done.stderr);
        Err(format!("callgrind_control {order} failed: {why}").into())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let process = self.child.id().to_string();
        // Valgrind leaves its pipes behind when it is killed, so it is asked first.
        drop(Command::new("kill").args(["-s", "TERM", &process]).status());
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            wait(Duration::from_millis(100));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads what the gateway says until it tells where it listens; then reads on, so that it is not held up.
fn address_in(said: impl Read + Send + 'static) -> Outcome<SocketAddr> {
    let (sender, found) = mpsc::channel();
    thread::spawn(move || {
        let mut before = String::new();
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("listening on ") {
                drop(sender.send(Ok(address.to_owned())));
            } else {
                before += &line;
                before.push('\n');
            }
        }
        drop(sender.send(Err(before)));
    });
    match found.recv_timeout(PATIENCE) {
        Ok(Ok(address)) => Ok(address.parse()?),
        Ok(Err(before)) => Err(format!("the gateway did not start:\n{before}").into()),
        Err(_) => Err("the gateway did not start in time".into()),
    }
}

/// Connections to the gateway.
enum Clients {
    Http1(Vec<BufReader<TcpStream>>, Vec<u8>),
    Http2(Http2),
}

impl Clients {
    fn http1(address: SocketAddr, request: Vec<u8>) -> Outcome<Self> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = TcpStream::connect(address)?;
            client.set_nodelay(true)?;
            client.set_read_timeout(Some(PATIENCE))?;
            clients.push(BufReader::new(client));
        }
        Ok(Self::Http1(clients, request))
    }

    /// Sends `count` requests over the connections in turn, one at a time.
    fn ask(&mut self, count: usize) -> Outcome<()> {
        match self {
            Self::Http1(clients, request) => ask(clients, request, count),
            Self::Http2(clients) => clients.ask(count),
        }
    }
}

/// HTTP/2 connections without TLS.
struct Http2 {
    runtime: tokio::runtime::Runtime,
    clients: Vec<h2::client::SendRequest<Bytes>>,
    uri: String,
}

impl Http2 {
    fn connect(address: SocketAddr, path: &str) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let opened = runtime.block_on(async {
                let stream = tokio::net::TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (client, connection) = h2::client::handshake(stream).await?;
                tokio::spawn(connection);
                Outcome::Ok(client)
            });
            clients.push(opened?);
        }
        Ok(Self {
            runtime,
            clients,
            uri: format!("http://localhost{path}"),
        })
    }

    fn ask(&mut self, count: usize) -> Outcome<()> {
        let (clients, uri) = (&self.clients, &self.uri);
        let all = async {
            for _ in 0..count.div_ceil(clients.len()) {
                for client in clients {
                    get(client.clone(), uri).await?;
                }
            }
            Ok(())
        };
        let bounded = async { tokio::time::timeout(PATIENCE, all).await };
        self.runtime.block_on(bounded)?
    }
}

/// One GET over HTTP/2, its answer read whole.
async fn get(client: h2::client::SendRequest<Bytes>, uri: &str) -> Outcome<()> {
    let request = http::Request::get(uri)
        .header("user-agent", "instructions")
        .header("accept", "*/*")
        .body(())?;
    let (response, _) = client.ready().await?.send_request(request, true)?;
    let response = response.await?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("answered {}", response.status()).into());
    }
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let count = piece?.len();
        length += count;
        body.flow_control().release_capacity(count)?;
    }
    if length < 200 {
        return Err(format!("an answer of {length} bytes").into());
    }
    Ok(())
}

/// Sends `count` requests over the connections in turn, one at a time.
fn ask(clients: &mut [BufReader<TcpStream>], request: &[u8], count: usize) -> Outcome<()> {
    for _ in 0..count.div_ceil(clients.len()) {
        for client in &mut *clients {
            client.get_mut().write_all(request)?;
            let mut status = String::new();
            client.read_line(&mut status)?;
            if !status.starts_with("HTTP/1.1 200 ") {
                return Err(format!("answered {status:?}").into());
            }
            let length = skip_fields(client)?;
            if length < 200 {
                return Err(format!("an answer of {length} bytes").into());
            }
            let got = io::copy(&mut client.by_ref().take(length), &mut io::sink())?;
            if got != length {
                return Err("an answer broke off".into());
            }
        }
    }
    Ok(())
}

/// The instructions of a dump: its `totals` line, or `summary` in dumps of one thread.
fn total(dump: &str) -> Option<u64> {
    let line = dump.lines().rev().find_map(|line| {
        line.strip_prefix("totals: ")
            .or_else(|| line.strip_prefix("summary: "))
    })?;
    line.trim().parse().ok()
}
