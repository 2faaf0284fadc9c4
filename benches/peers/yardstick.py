"""What both measurements share: processes on their own CPUs, load, CPU time per request, keys, checks.

The figure is CPU time of a process tree (/proc/PID/schedstat of every thread) per good answer. All
processes of a comparison live at once and load goes to them in turn, so that noise hits all alike.
"""

import base64
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "peers"
DOCS = ROOT / "docs"

COMMON = ["User-Agent: Mozilla/5.0 (X11; Linux x86_64) yardstick", "Accept: application/json"]
BROWSER = [
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,fr;q=0.7",
    "Cache-Control: no-cache",
    "Pragma: no-cache",
    "DNT: 1",
    "Origin: https://shop.example.com",
    "Referer: https://shop.example.com/lamps/12345?from=home",
    "Sec-Fetch-Dest: empty",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Site: same-origin",
    "Cookie: session=" + "0123456789abcdef" * 20 + "; theme=dark; consent=yes",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
]


class Failure(Exception):
    """Something that ends the measurement, in words for whoever runs it."""


def own_network():
    """Runs this script again in a network namespace of its own, where the system allows it.

    No port clashes there, and loopback uses cubic: a system default of bbr paces large bodies.
    """
    if os.environ.get("YARDSTICK_NETWORK"):
        return
    os.environ["YARDSTICK_NETWORK"] = "shared"
    for flags in (["-n"], ["-r", "-n"]):
        try:
            if subprocess.run(["unshare", *flags, "true"], stderr=subprocess.DEVNULL).returncode != 0:
                continue
        except FileNotFoundError:
            return
        os.environ["YARDSTICK_NETWORK"] = "own"
        commands = (
            "ip link set lo up && "
            "{ ip route change local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic || true; } && "
            'exec "$@"'
        )
        os.execvp("unshare", ["unshare", *flags, "sh", "-c", commands, "sh", sys.executable, *sys.argv])


def prepare():
    """As many files as allowed; and whoever ends this script ends what it started, too."""

    def end(number, _):
        raise Failure(f"ended by {signal.Signals(number).name}")

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for it in sockets:
        it.bind(("127.0.0.1", 0))
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


class Places:
    """Which CPUs the measured process has, and which are left for load and services."""

    def __init__(self, workers):
        cpus = sorted(os.sched_getaffinity(0))
        apart = len(cpus) > workers
        self.measured = cpus[:workers] if apart else cpus
        self.rest = cpus[workers:] if apart else cpus

    def text(self):
        def names(cpus):
            return ", ".join(map(str, cpus))

        return f"gateways on CPU {names(self.measured)}; load and services on CPU {names(self.rest)}"


# --- processes ---------------------------------------------------------------


def tree(pid):
    """A process and all below it."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                todo += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except OSError:
            pass
    return found


def cpu_ns(pid):
    """Nanoseconds of CPU that the living threads of a process tree have used."""
    total = 0
    for process in tree(pid):
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                total += int(pathlib.Path(f"/proc/{process}/task/{task}/schedstat").read_text().split()[0])
        except OSError:
            pass
    return total


def memory(pid):
    """Bytes of memory of a process tree, shared pages by their share (PSS)."""
    total = 0
    for process in tree(pid):
        try:
            text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(it) for it in re.findall(r"^Pss:\s+(\d+) kB", text, re.M))
    return total * 1024


def machine_ticks():
    """All ticks of the machine, and those that its host took away."""
    fields = [int(it) for it in open("/proc/stat").readline().split()[1:9]]
    return sum(fields), fields[7]


class Process:
    """A program on given CPUs, with a folder of its own. Ended with all below it."""

    def __init__(self, name, command, cpus, folder, environment=None):
        self.name, self.folder = name, folder
        self.log = folder / "log"

        def place():
            os.sched_setaffinity(0, cpus)

        with open(self.log, "w") as log:
            self.child = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | (environment or {}),
                start_new_session=True,
                preexec_fn=place,
            )

    @property
    def pid(self):
        return self.child.pid

    def wait_for_port(self, port, patience=30):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.child.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failure(f"{self.name} did not start:\n{self.said()}")

    def said(self):
        return self.log.read_text(errors="replace")[-2000:]

    def end(self):
        below = tree(self.pid)
        self.child.terminate()
        try:
            self.child.wait(3)
        except subprocess.TimeoutExpired:
            pass
        for pid in below:
            if pid != self.pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Services:
    """Three ports of one light service: what stands behind every gateway."""

    def __init__(self, folder, cpus):
        program = WORK / "build" / "release" / "service"
        if not program.exists():
            raise Failure("the service is not built: run benches/peers/setup.sh")
        self.ports = free_ports(3)
        folder.mkdir(parents=True, exist_ok=True)
        self.process = Process("service", [program, *map(str, self.ports)], cpus, folder)
        self.process.wait_for_port(self.ports[-1])
        self.bodies = {}

    def body(self, size):
        """What the service answers to /SIZE."""
        if size not in self.bodies:
            url = f"http://127.0.0.1:{self.ports[0]}/{size}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                self.bodies[size] = answer.read()
        return self.bodies[size]

    def end(self):
        self.process.end()


def gateway_program(given):
    """The binary that was named, or the one that was built last for speed."""
    if given:
        return pathlib.Path(given).resolve(strict=True)
    built = [ROOT / "target" / profile / "concertina" for profile in ("dist", "release")]
    built = [it for it in built if it.exists()]
    if not built:
        raise Failure("there is no gateway: cargo build --profile dist, or name one with --gateway")
    return max(built, key=lambda it: it.stat().st_mtime)


def fill(text, values):
    """Replaces @names@. Values may hold names themselves."""
    for _ in range(3):
        text = re.sub(r"@(\w+)@", lambda it: str(values[it[1]]) if it[1] in values else it[0], text)
    return text


def version_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = done.stdout + done.stderr
    found = re.search(r"\d+\.\d+\.\d+", said) or re.search(r"\d+\.\d+", said)
    return found[0] if found else ""


def peers():
    return tomllib.loads((HERE / "peers.toml").read_text())


# --- keys --------------------------------------------------------------------


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    if done.returncode != 0:
        raise Failure(f"openssl {' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def fixed_width(der):
    """An ECDSA signature as JWTs want it: two numbers of 32 bytes (RFC 7518, section 3.4)."""
    first = der[3]
    numbers = der[4 : 4 + first], der[6 + first :]
    return b"".join(it.lstrip(b"\0").rjust(32, b"\0") for it in numbers)


def make_keys():
    """A certificate, two signing keys, their JWK set, and a token of each. Made once."""
    keys = WORK / "keys"
    if (keys / "es.jwt").exists():
        return keys
    keys.mkdir(parents=True, exist_ok=True)
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    key, certificate = keys / "key.pem", keys / "cert.pem"
    openssl("genpkey", *curve, "-out", str(key))
    openssl("req", "-x509", "-new", "-key", str(key), "-days", "3650", "-subj", "/CN=localhost", "-addext", names, "-out", str(certificate))
    (keys / "both.pem").write_text(certificate.read_text() + key.read_text())
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(keys / "rs.key"))
    openssl("genpkey", *curve, "-out", str(keys / "es.key"))
    for kind in ("rs", "es"):
        openssl("pkey", "-in", str(keys / f"{kind}.key"), "-pubout", "-out", str(keys / f"{kind}.pub.pem"))
    modulus = openssl("rsa", "-pubin", "-in", str(keys / "rs.pub.pem"), "-modulus", "-noout")
    point = openssl("pkey", "-pubin", "-in", str(keys / "es.pub.pem"), "-outform", "DER")[-64:]
    rsa = {"kty": "RSA", "kid": "rs", "alg": "RS256", "use": "sig", "e": "AQAB"}
    rsa["n"] = base64url(bytes.fromhex(modulus.decode().strip().split("=")[1]))
    ec = {"kty": "EC", "kid": "es", "alg": "ES256", "use": "sig", "crv": "P-256"}
    ec |= {"x": base64url(point[:32]), "y": base64url(point[32:])}
    (keys / "jwks.json").write_text(json.dumps({"keys": [rsa, ec]}))
    now = int(time.time())
    claims = {"iss": "bench", "sub": "u-1234567890", "scope": "read write", "roles": ["a", "b"], "iat": now, "exp": now + 3650 * 86_400}
    for kind, algorithm in (("rs", "RS256"), ("es", "ES256")):
        parts = {"alg": algorithm, "typ": "JWT", "kid": kind}, claims
        text = ".".join(base64url(json.dumps(it).encode()) for it in parts)
        signature = openssl("dgst", "-sha256", "-sign", str(keys / f"{kind}.key"), data=text.encode())
        if kind == "es":
            signature = fixed_width(signature)
        (keys / f"{kind}.jwt").write_text(f"{text}.{base64url(signature)}")
    return keys


def bearer(kind):
    return f"Authorization: Bearer {(WORK / 'keys' / f'{kind}.jwt').read_text()}"


# --- requests and load -------------------------------------------------------


def no_questions():
    """TLS for a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def get(url, headers=(), body=None, patience=10):
    """One request: its status and body. Status 0: it was not answered."""
    request = urllib.request.Request(url, data=body)
    for header in headers:
        name, value = header.split(": ", 1)
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=patience, context=no_questions()) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (OSError, ssl.SSLError) as error:
        return 0, str(error).encode()


class Load:
    """Load generators on their own CPUs. Each gives good and bad answers, and what else it saw."""

    def __init__(self, cpus):
        self.cpus = cpus

    def run(self, command, seconds):
        def place():
            os.sched_setaffinity(0, self.cpus)

        command = list(map(str, command))
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, preexec_fn=place)
        if done.returncode != 0:
            raise Failure(f"{command[0]} failed: {done.stderr[-500:]}{done.stdout[-500:]}")
        return done.stdout

    def wrk(self, url, seconds, connections=64, headers=(), script=None):
        command = ["wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "--timeout", "10s"]
        for header in [*COMMON, *headers]:
            command += ["-H", header]
        if script:
            command += ["-s", script]
        text = self.run([*command, url], seconds)
        total = int(re.search(r"(\d+) requests in", text)[1])
        wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        wrong = int(wrong[1]) if wrong else 0
        return {"good": total - wrong, "bad": wrong + sum(map(int, broken.groups()) if broken else [])}

    def http2(self, url, seconds, connections=10, streams=32):
        command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", seconds]
        for header in COMMON:
            command += ["-H", header]
        text = self.run([*command, url], seconds)
        counts = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
        return {"good": int(counts[1]), "bad": int(counts[3]) + int(counts[4])}

    def handshakes(self, port, path, seconds, threads=8):
        program = WORK / "build" / "release" / "handshakes"
        return json.loads(self.run([program, port, path, seconds, threads], seconds))

    def steady(self, url, seconds, log, connections=16, rate=2000):
        """A fixed number of requests a second; gives the median and the 99th percentile in microseconds."""
        log.unlink(missing_ok=True)
        each = rate // connections
        command = ["h2load", "--h1", "-t1", f"-c{connections}", "-m1", "--rps", each, "-n", rate * seconds, "--log-file", log]
        for header in COMMON:
            command += ["-H", header]
        self.run([*command, url], seconds)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
        times = sorted(int(row[2]) for row in rows if row[1] == "200")
        if not times:
            raise Failure(f"{url}: no answers at a steady rate")
        return {
            "good": len(times),
            "bad": len(rows) - len(times),
            "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100],
        }


def hold_open(process, port, count, secure):
    """Memory per idle connection: each has had one answer and waits for the next request."""
    context = no_questions() if secure else None
    before, held = memory(process.pid), []
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), 10)
            if context:
                client = context.wrap_socket(client, server_hostname="localhost")
            client.sendall(b"GET /200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                some = client.recv(4096)
                if not some:
                    raise Failure(f"{process.name} closed a connection that should be idle")
                answer += some
            held.append(client)
        time.sleep(1)
        after = memory(process.pid)
    finally:
        for client in held:
            client.close()
    return {"good": count, "bad": 0, "before": before, "after": after, "each": (after - before) / count}


def timed(process, work):
    """CPU microseconds of a process per good answer of some load."""
    started = time.monotonic()
    before = cpu_ns(process.pid)
    result = work()
    used = cpu_ns(process.pid) - before
    good = max(result["good"], 1)
    return result | {"us": used / 1000 / good, "rate": good / (time.monotonic() - started)}


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def about_machine():
    model = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} CPUs ({model[1].strip() if model else os.uname().machine}), Linux {os.uname().release}"


def command_line():
    """What to type to have the same again: without where this machine keeps its files."""
    words, kept = sys.argv[1:], []
    while words:
        word = words.pop(0)
        if word in ("--gateway", "--out"):
            words[:1] = []
        elif not word.startswith(("--gateway=", "--out=")):
            kept.append(word)
    return " ".join(["benches/peers/" + pathlib.Path(sys.argv[0]).name, *kept])
