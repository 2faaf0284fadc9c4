#!/usr/bin/env python3
"""The gateway beside others: CPU time per request, in alternation, every answer checked first.

    benches/peers/setup.sh                              once: installs the others, builds the tools
    benches/peers/compare.py                            everything, about ten minutes
    benches/peers/compare.py --scenarios S1b,S7 --peers concertina,nginx,nginx-lua --rounds 3
    benches/peers/compare.py --workers 2 --scenarios S1b,S2,S3
    benches/peers/compare.py --write                    everything, into docs/performance.md

Only Linux (it reads /proc), only loopback. Ends what it started, and nothing else.
"""

import argparse
import json
import pathlib
import sys
import time

import envoy
import figures
import yardstick as y

# `bounds` are those that the project sets itself: (against whom, must, aim), in the same rounds.
NGINX = "nginx"


class Scenario:
    def __init__(self, what, load, path, need="http", bounds=(), **options):
        self.what, self.load, self.path, self.need = what, load, path, need
        self.bounds, self.options = bounds, options
        self.reference = bounds[0][0] if bounds else NGINX

    @property
    def secure(self):
        return self.need in ("tls", "h2")


SCENARIOS = {
    "S1b": Scenario("HTTP/1.1, 2 kB", "wrk", "/2k", bounds=[(NGINX, 0.90, 0.80)]),
    "S1c": Scenario("HTTP/1.1, 2 kB, twelve browser headers", "wrk", "/2k", bounds=[(NGINX, 0.92, 0.80)], headers=y.BROWSER),
    "S2": Scenario("TLS, HTTP/1.1, 2 kB", "wrk", "/2k", "tls", [(NGINX, 0.78, 0.68)]),
    "S3": Scenario("TLS, HTTP/2, 2 kB, 10 connections of 32 streams", "http2", "/2k", "h2", [(NGINX, 0.75, 0.66)]),
    "S4": Scenario("a full TLS handshake per request", "handshakes", "/200", "tls", [(NGINX, 0.50, 0.43)]),
    "S5": Scenario("1 MB answers", "wrk", "/1m", bounds=[(NGINX, 0.95, 0.90)], connections=8),
    "S5t": Scenario("1 MB answers over TLS", "wrk", "/1m", "tls", [(NGINX, 0.65, 0.58)], connections=8),
    "S6": Scenario("POST of 20 kB", "wrk", "/200", bounds=[(NGINX, 0.90, 0.75)], body=20_000),
    "S7": Scenario(
        "one request, three calls of 2 kB, one answer",
        "wrk",
        "/flow",
        "flow",
        [("nginx-lua", 0.95, 0.70), ("nginx-lua-json", 0.20, None), ("node", 0.16, None)],
    ),
    "S8r": Scenario(
        "JWT (RS256) verified each time, rate limit",
        "wrk",
        "/each/2k",
        "token",
        [("haproxy-token", 1.0, 0.85)],
        token="rs",
    ),
    "S8e": Scenario("JWT (ES256) verified each time, rate limit", "wrk", "/each/2k", "token", [("haproxy-token", 1.0, 0.85)], token="es"),
    "S8c": Scenario("JWT seen before, rate limit", "wrk", "/known/2k", "known-token", [("envoy-token", 0.35, 0.27)], token="rs"),
    "S9": Scenario("5000 idle connections", "idle", "/200", count=5000),
    "S9t": Scenario("2000 idle TLS connections", "idle", "/200", "tls", count=2000),
    "L1": Scenario("2000 requests/s over 16 connections: latency", "steady", "/2k", bounds=[(NGINX, 1.0, None), ("haproxy", None, 1.0)]),
}

# kB per idle connection: must, aim.
IDLE_BOUNDS = {"S9": (8, 5), "S9t": (18, 14)}

# After so many rounds, who needs this many times the reference is measured well enough.
SETTLED_ROUNDS, SETTLED_RATIO = 3, 1.5


def envoy_program():
    found = sorted(y.WORK.glob("venv/lib/python3*/site-packages/envoy/_bin/envoy"))
    return found[0] if found else "envoy"


def label_of(spec, arguments):
    """Its name with its version: `Node 20.1.0, fastify ...`."""
    given = {"gateway": arguments.gateway, "here": y.HERE, "work": y.WORK, "envoy": envoy_program()}
    version = y.version_of([y.fill(it, given) for it in spec["version"]])
    name, gap, rest = spec["label"].partition(" ")
    comma = "," if name.endswith(",") else ""
    return f"{name.rstrip(',')} {version}{comma}{gap}{rest}".strip()


class Peer:
    """One of peers.toml, running."""

    def __init__(self, name, spec, services, places, arguments):
        self.name, self.spec = name, spec
        self.folder = y.WORK / "run" / name
        self.port, self.tls = y.free_ports(2)
        shops = range(500)
        self.values = spec.get("fill", {}) | {
            "port": self.port,
            "tls": self.tls,
            "workers": arguments.workers,
            "run": self.folder,
            "here": y.HERE,
            "work": y.WORK,
            "keys": y.WORK / "keys",
            "gateway": arguments.gateway,
            "envoy": envoy_program(),
            "user": pathlib.Path("/proc/self").owner(),
            "multiarch": y.os.uname().machine + "-linux-gnu",
            "many": "\n".join(f'[[routes]]\npath = "/v{n % 7}/shop{n}/{{id}}/items"\nupstream = "a"' for n in shops),
        }
        self.values |= {f"service{n}": port for n, port in enumerate(services.ports)}
        self.cpus = places.measured
        self.process = None

    def fill(self, text):
        return y.fill(text, self.values)

    def start(self):
        y.fresh(self.folder)
        for name in self.spec.get("files", []):
            text = (y.HERE / "conf" / name).read_text()
            (self.folder / name).write_text(self.fill(text))
        if kind := self.spec.get("envoy"):
            (self.folder / "envoy.json").write_text(envoy.configuration(kind, self.values))
        command = [self.fill(it) for it in self.spec["command"]]
        environment = {name: self.fill(it) for name, it in self.spec.get("environment", {}).items()}
        self.process = y.Process(self.name, command, self.cpus, self.folder, environment)
        self.process.wait_for_port(self.port)
        if "tls" in self.spec["does"]:
            self.process.wait_for_port(self.tls)

    def end(self):
        if self.process:
            self.process.end()
            self.process = None

    def url(self, scenario):
        return f"https://localhost:{self.tls}{scenario.path}" if scenario.secure else f"http://localhost:{self.port}{scenario.path}"


def check(peer, scenario, services):
    """The answer must be right before it is timed."""
    url, options = peer.url(scenario), scenario.options
    body = b"x" * options["body"] if "body" in options else None
    headers = [y.bearer(options["token"])] if "token" in options else []
    for _ in range(100):  # some listen before they are ready
        status, answer = y.get(url, headers, body)
        if status == 200:
            break
        time.sleep(0.1)
    if status != 200:
        raise y.Failure(f"{peer.name}: {status} for {url}: {answer[:200]}\n{peer.process.said()}")
    if scenario.path == "/flow":
        right = json.loads(answer) == dict.fromkeys("abc", json.loads(services.body("2k")))
    else:
        right = answer == services.body(scenario.path.rsplit("/", 1)[1])
    if not right:
        raise y.Failure(f"{peer.name}: another body than the service's for {url}")
    if headers and y.get(url)[0] != 401:
        raise y.Failure(f"{peer.name}: a request without a token must be 401")


def run_load(peer, scenario, load, seconds):
    url, options = peer.url(scenario), scenario.options
    if scenario.load == "wrk":
        headers = list(options.get("headers", []))
        if "token" in options:
            headers.append(y.bearer(options["token"]))
        script = None
        if "body" in options:
            script = peer.folder / "post.lua"
            script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {options["body"]})\nwrk.headers["Content-Type"] = "text/plain"\n')
        return load.wrk(url, seconds, options.get("connections", 64), headers, script)
    if scenario.load == "http2":
        return load.http2(url, seconds)
    if scenario.load == "handshakes":
        return load.handshakes(peer.tls, scenario.path, seconds)
    return load.steady(url, seconds, peer.folder / "latency.tsv")


def measure_idle(name, scenario, peers):
    rows = []
    for peer in peers:
        peer.end()  # memory of a process that has done nothing else
        peer.start()
        port = peer.tls if scenario.secure else peer.port
        y.get(f"http{'s' * scenario.secure}://localhost:{port}/200")
        try:
            row = y.hold_open(peer.process, port, scenario.options["count"], scenario.secure)
        except OSError as error:  # one who cannot hold them is left out; the others are measured
            print(f"{name:4} {peer.name:16} {error}", file=sys.stderr, flush=True)
            continue
        finally:
            peer.end()
        rows.append({"scenario": name, "peer": peer.name, "round": 0} | row)
        print(f"{name:4} {peer.name:16} {row['each'] / 1000:8.1f} kB per connection", file=sys.stderr, flush=True)
    return rows


def settled(rows, scenario, peer):
    """Far behind the reference in every round so far, so that further rounds tell nothing."""
    if scenario.load == "steady":
        return False  # percentiles need every round
    ratios = figures.ratios(rows, peer.name, scenario.reference)
    return len(ratios) >= SETTLED_ROUNDS and min(ratios) > SETTLED_RATIO


def measure(name, scenario, peers, load, services, arguments):
    for peer in peers:
        if not peer.process:
            peer.start()
        check(peer, scenario, services)
        run_load(peer, scenario, load, 1)
    rows = []
    # Longer where there are few requests, and where each round begins with handshakes that are not meant.
    longer = scenario.load in ("steady", "http2") or name == "S2"
    seconds = arguments.secs * (2 if longer else 1)
    for turn in range(arguments.rounds):
        # Decided before the round, so that all of one round meet the same machine.
        for peer in [it for it in peers if not settled(rows, scenario, it)]:
            row = y.timed(peer.process, lambda: run_load(peer, scenario, load, seconds))
            rows.append({"scenario": name, "peer": peer.name, "round": turn} | row)
            latency = f"  p50 {row['p50']} p99 {row['p99']}" if "p50" in row else ""
            print(f"{name:4} {turn} {peer.name:16} {row['us']:8.1f} us {row['rate']:9.0f}/s  bad {row['bad']}{latency}", file=sys.stderr, flush=True)
    return rows


def measure_all(arguments, services, places, specs):
    load = y.Load(places.rest)
    peers = [Peer(name, spec, services, places, arguments) for name, spec in specs.items()]
    rows, names = [], arguments.scenarios.split(",")
    try:
        for position, name in enumerate(names):
            scenario = SCENARIOS[name]
            able = [it for it in peers if scenario.need in it.spec["does"]]
            if scenario.load == "idle":
                rows += measure_idle(name, scenario, able)
            else:
                rows += measure(name, scenario, able, load, services, arguments)
            later = {SCENARIOS[it].need for it in names[position + 1 :]}
            for peer in peers:
                if not later & set(peer.spec["does"]):
                    peer.end()
    finally:
        for peer in peers:
            peer.end()
    return rows


def arguments_given():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", help="the binary; else the newest of target/dist and target/release")
    parser.add_argument("--peers", default="all", help="names of peers.toml, with commas")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="%(default)s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=int, default=1, help="seconds of load each, in every round")
    parser.add_argument("--workers", type=int, default=1, help="threads that each may use")
    parser.add_argument("--out", type=pathlib.Path, help="results as NAME.json, NAME.md, NAME.svg; else below target/peers")
    parser.add_argument("--write", action="store_true", help="also into docs/performance.md and docs/performance/")
    return parser.parse_args()


def main():
    arguments = arguments_given()
    arguments.gateway = y.gateway_program(arguments.gateway)
    unknown = [it for it in arguments.scenarios.split(",") if it not in SCENARIOS]
    if unknown:
        raise y.Failure(f"there is no scenario {', '.join(unknown)}")
    specs = y.peers()
    if arguments.peers != "all":
        wanted = arguments.peers.split(",")
        if missing := [it for it in wanted if it not in specs]:
            raise y.Failure(f"peers.toml has no {', '.join(missing)}")
        specs = {name: specs[name] for name in wanted}
    y.prepare()
    y.make_keys()
    places = y.Places(arguments.workers)
    started, before = time.monotonic(), y.machine_ticks()
    services = y.Services(y.fresh(y.WORK / "run" / "services"), places.rest)
    try:
        rows = measure_all(arguments, services, places, specs)
    finally:
        services.end()
    after = y.machine_ticks()
    labels = {name: label_of(spec, arguments) for name, spec in specs.items()}
    about = {
        "when": time.strftime("%F"),
        "machine": y.about_machine(),
        "places": places.text(),
        "command": y.command_line(),
        "workers": arguments.workers,
        "rounds": arguments.rounds,
        "secs": arguments.secs,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "stolen": round((after[1] - before[1]) / max(after[0] - before[0], 1), 4),
        "labels": labels,
    }
    results = {"about": about, "rows": rows}
    table = figures.comparison(results, SCENARIOS, IDLE_BOUNDS)
    plot = figures.bars(results, SCENARIOS)
    out = arguments.out or y.WORK / "results" / time.strftime("compare-%m%d-%H%M%S")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(figures.as_json(results))
    out.with_suffix(".md").write_text(table)
    out.with_suffix(".svg").write_text(plot)
    if arguments.write:
        figures.publish_comparison(results, table, plot)
    print(table)


if __name__ == "__main__":
    y.own_network()
    try:
        main()
    except y.Failure as failure:
        sys.exit(f"compare: {failure}")
