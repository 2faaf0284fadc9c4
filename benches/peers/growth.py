#!/usr/bin/env python3
"""How the gateway's cost grows: with routes, steps, sizes, connections, keys, cores, the log; and what a reload costs.

    benches/peers/growth.py                         everything, about eight minutes
    benches/peers/growth.py --only routes,steps --rounds 2
    benches/peers/growth.py --write                 everything, into docs/performance.md

Needs what benches/peers/setup.sh installs. The same rules as for compare.py: alternating rounds, medians, loopback only.
"""

import argparse
import pathlib
import statistics
import sys
import threading
import time
import urllib.request

import figures
import yardstick as y

PLAIN = """
[server]
workers = {workers}
access_log = {log}

[[listen]]
address = "127.0.0.1:{port}"

[[listen]]
address = "127.0.0.1:{tls}"
tls = {{ certificates = [{{ cert = "{keys}/cert.pem", key = "{keys}/key.pem" }}] }}

[admin]
address = "127.0.0.1:{admin}"

[upstreams]
a = {{ endpoints = ["http://127.0.0.1:{service0}"] }}
b = {{ endpoints = ["http://127.0.0.1:{service1}"] }}
c = {{ endpoints = ["http://127.0.0.1:{service2}"] }}

[[routes]]
path = "/{{rest...}}"
upstream = "a"
"""

OFF = '"off"'


def many_routes(count, upstream="a"):
    return "".join(f'[[routes]]\npath = "/v{n % 7}/shop{n}/{{id}}/{{size}}"\nupstream = "{upstream}"\n' for n in range(count))


def flow(path, steps, size="2k", chained=False):
    """A flow of so many calls of the same size: at once, or each after the one before it."""
    text = f'[[routes]]\npath = "{path}"\nmethods = ["GET"]\npart_bytes = "2MiB"\n'
    for n in range(steps):
        after = f', after = ["s{n - 1}"]' if chained and n else ""
        text += f'steps.s{n} = {{ call = "GET {"abc"[n % 3]}:/{size}"{after} }}\n'
    return text


class Gateway:
    def __init__(self, bench, name, routes, workers=1, log=OFF, cpus=None):
        self.name, self.folder = name, y.fresh(y.WORK / "run" / f"growth-{name}")
        self.port, self.tls, self.admin = y.free_ports(3)
        values = {f"service{n}": port for n, port in enumerate(bench.services.ports)}
        values |= {"port": self.port, "tls": self.tls, "admin": self.admin, "keys": y.WORK / "keys"}
        self.head = PLAIN.format(workers=workers, log=log, **values)
        self.file = self.folder / "routes.toml"
        self.file.write_text(self.head + routes)
        self.process = y.Process(name, [bench.program, "run", self.file], cpus or bench.places.measured, self.folder)
        bench.gateways.append(self)
        self.process.wait_for_port(self.tls)
        self.process.wait_for_port(self.admin)

    def url(self, path, tls=False):
        return f"https://localhost:{self.tls}{path}" if tls else f"http://localhost:{self.port}{path}"


class Bench:
    """One gateway binary, its services and its load. Rows gather here."""

    def __init__(self, program, rounds, secs):
        self.program, self.rounds, self.secs = program, rounds, secs
        self.places = y.Places(1)
        self.load = y.Load(self.places.rest)
        self.services = y.Services(y.fresh(y.WORK / "run" / "services"), self.places.rest)
        self.gateways, self.rows = [], []

    def end_gateways(self):
        for it in self.gateways:
            it.process.end()
        self.gateways = []

    def end(self):
        self.end_gateways()
        self.services.end()

    def alternate(self, growth, cases):
        """`cases`: (series, point, gateway, work of so many seconds). Each is warmed up, then all take turns."""
        for _, _, _, work in cases:
            work(1)
        for turn in range(self.rounds):
            for series, point, gateway, work in cases:
                row = y.timed(gateway.process, lambda: work(self.secs))
                self.rows.append({"growth": growth, "series": series, "point": point, "round": turn} | row)
                print(f"{growth:12} {turn} {series:24} {point!s:>10} {row['us']:9.1f} us {row['rate']:9.0f}/s  bad {row['bad']}", file=sys.stderr, flush=True)

    def wrk(self, url, **options):
        return lambda seconds: self.load.wrk(url, seconds, **options)

    def medians(self, growth, series, key="us"):
        """[(point, median)] in the order of measurement."""
        found = {}
        for row in self.rows:
            if row["growth"] == growth and row["series"] == series:
                found.setdefault(row["point"], []).append(row[key])
        return [(point, statistics.median(it)) for point, it in found.items()]

    def change(self, growth, series, point, base, base_series=None):
        """The median ratio of one point to another, each within its round."""
        def by_round(name, at):
            return {it["round"]: it["us"] for it in self.rows if (it["growth"], it["series"], it["point"]) == (growth, name, at)}

        first = by_round(base_series or series, base)
        return statistics.median(it / first[turn] for turn, it in by_round(series, point).items())


def expect(url, body=None):
    status, answer = y.get(url)
    if status != 200 or (body is not None and answer != body):
        raise y.Failure(f"{url}: {status} {answer[:200]}")
    return answer


def percent(ratio):
    return f"{(ratio - 1) * 100:+.1f} %"


# --- what grows --------------------------------------------------------------
# Each gives its section for the page and its plot.


def routes(bench):
    counts, cases = (10, 100, 1000, 10_000), []
    for count in counts:
        gateway = Gateway(bench, f"routes-{count}", many_routes(count))
        # Many of them are asked for in turn, from all over the file, as in life.
        asked = [count * n // min(count, 500) for n in range(min(count, 500))]
        script = gateway.folder / "routes.lua"
        paths = ", ".join(f'"/v{n % 7}/shop{n}/42/2k"' for n in asked)
        script.write_text(f"local paths, n = {{ {paths} }}, 0\nrequest = function()\n  n = n % #paths + 1\n  return wrk.format(nil, paths[n])\nend\n")
        expect(gateway.url(f"/v{asked[-1] % 7}/shop{asked[-1]}/42/2k"), bench.services.body("2k"))
        cases.append(("proxied, 2 kB", count, gateway, bench.wrk(gateway.url("/2k"), script=script)))
    bench.alternate("routes", cases)
    found = bench.medians("routes", "proxied, 2 kB")
    sizes = {count: y.memory(it[2].process.pid) for count, it in zip(counts, cases)}
    rows = [[count, f"{us:.1f}", percent(bench.change("routes", "proxied, 2 kB", count, 10)), f"{sizes[count] / 1e6:.0f}"] for count, us in found]
    table = figures.markdown(["routes", "CPU us per request", "to 10 routes", "MB of memory"], rows)
    text = f"### Routes\n\nUp to 500 routes with a parameter each are asked for in turn, spread over the file. Bound: 10 000 cost at most 3 % more than 10.\n\n{table}"
    return text, figures.lines("Routes in the file", "routes", "CPU us per request", {"proxied, 2 kB": found})


def steps(bench):
    counts, cases = (1, 2, 3, 5, 8, 16), []
    text = "".join(flow(f"/at-once/{n}", n) + flow(f"/chain/{n}", n, chained=True) for n in counts)
    gateway = Gateway(bench, "steps", text)
    for series, path in (("at once", "at-once"), ("one after another", "chain")):
        for count in counts:
            expect(gateway.url(f"/{path}/{count}"))
            cases.append((series, count, gateway, bench.wrk(gateway.url(f"/{path}/{count}"))))
    bench.alternate("steps", cases)
    both = {it: bench.medians("steps", it) for it in ("at once", "one after another")}
    rows = [[count, f"{us:.1f}", f"{us / count:.1f}", f"{chain:.1f}", f"{chain / count:.1f}"] for (count, us), (_, chain) in zip(*both.values())]
    table = figures.markdown(["steps", "at once: CPU us per request", "per step", "one after another: CPU us", "per step"], rows)
    return f"### Steps of a flow\n\nEach step gets 2 kB of JSON; the answer nests all parts.\n\n{table}", figures.lines("Steps of a flow", "steps", "CPU us per request", both, False)


def parts(bench):
    sizes, cases = {200: "200", 2000: "2k", 20_000: "20k", 200_000: "200k", 1_000_000: "1m"}, []
    gateway = Gateway(bench, "parts", "".join(flow(f"/parts/{it}", 3, it) for it in sizes.values()))
    for size, name in sizes.items():
        connections = 64 if size < 100_000 else 8
        answer = expect(gateway.url(f"/parts/{name}"))
        if len(answer) < 3 * size:
            raise y.Failure(f"a flow of three parts of {size} bytes answered {len(answer)}")
        expect(gateway.url(f"/{name}"), bench.services.body(name))
        cases.append(("flow of three parts", size, gateway, bench.wrk(gateway.url(f"/parts/{name}"), connections=connections)))
        cases.append(("proxied", size, gateway, bench.wrk(gateway.url(f"/{name}"), connections=connections)))
    bench.alternate("part size", cases)
    both = {it: bench.medians("part size", it) for it in ("flow of three parts", "proxied")}
    rows = [[f"{size:,}".replace(",", " "), f"{us:.1f}", f"{3 * size / us:.0f}", f"{other:.1f}", f"{size / other:.0f}"] for (size, us), (_, other) in zip(*both.values())]
    head = ["bytes of a part", "flow of three: CPU us per request", "MB per CPU second", "proxied: CPU us per request", "MB per CPU second"]
    text = "### Part size\n\nThree parts, each checked to be JSON and moved as bytes, beside one answer of the same size that is proxied.\n\n"
    return text + figures.markdown(head, rows), figures.lines("Part size", "bytes of a part", "CPU us per request", both, steep=True)


def connections(bench):
    gateway = Gateway(bench, "connections", "")
    expect(gateway.url("/2k"), bench.services.body("2k"))
    counts = (1, 16, 64, 256, 1024)
    bench.alternate("connections", [("proxied, 2 kB", it, gateway, bench.wrk(gateway.url("/2k"), connections=it)) for it in counts])
    found = bench.medians("connections", "proxied, 2 kB")
    rates = dict(bench.medians("connections", "proxied, 2 kB", "rate"))
    rows = [[count, f"{us:.1f}", percent(bench.change("connections", "proxied, 2 kB", count, 64)), f"{rates[count]:.0f}"] for count, us in found]
    text = "### Connections\n\nEach connection has one request under way at a time. With one connection every request is a wake-up of its own.\n\n"
    return text + figures.markdown(["connections", "CPU us per request", "to 64", "requests/s"], rows), figures.lines("Connections", "connections", "CPU us per request", {"proxied, 2 kB": found})


def keys(bench):
    counts, cases, before, after = (1, 100, 10_000, 1_000_000), [], {}, {}
    # A key is kept for a minute after each request; the burst is such that none is refused.
    text = '[limits.each]\nrate = "60/h"\nburst = 10000000\nby = "headers[\'x-key\']"\n\n[[routes]]\npath = "/limited/{size}"\nlimits = ["each"]\nupstream = "a"\nrewrite = "/{path.size}"\n'
    for count in counts:
        gateway = Gateway(bench, f"keys-{count}", text)
        status, answer = y.get(gateway.url("/limited/2k"), ["X-Key: first"])
        if status != 200 or answer != bench.services.body("2k"):
            raise y.Failure(f"a route with a limit answered {status}: {answer[:200]}")
        before[count] = y.memory(gateway.process.pid)
        script = gateway.folder / "keys.lua"
        # A step that shares no factor with the count visits every key before it repeats one.
        script.write_text(f'local n = 0\nrequest = function()\n  n = (n + 611953) % {count}\n  return wrk.format(nil, nil, {{ ["X-Key"] = "customer-" .. n }})\nend\n')
        if count > 100_000:
            filled = fill_keys(bench, gateway, script, count)
        cases.append(("rate limit by a header", count, gateway, bench.wrk(gateway.url("/limited/2k"), script=script)))
    bench.alternate("keys", cases)
    for count, case in zip(counts, cases):
        after[count] = y.memory(case[2].process.pid)
    found = bench.medians("keys", "rate limit by a header")
    rows = [[f"{count:,}".replace(",", " "), f"{us:.1f}", percent(bench.change("keys", "rate limit by a header", count, 1)), f"{before[count] / 1e6:.0f}", f"{after[count] / 1e6:.0f}"] for count, us in found]
    table = figures.markdown(["keys", "CPU us per request", "to one key", "MB before", "MB after"], rows)
    known = f"{filled:,}".replace(",", " ")
    text = f"### Keys of a rate limit\n\nEvery request brings another key, until all were seen. Of the million, {known} were seen before the measurement.\n\n"
    return text + table, figures.lines("Keys of a rate limit", "keys", "CPU us per request", {"rate limit by a header": found})


def fill_keys(bench, gateway, script, count):
    """Requests until every key was seen, or as many as a minute allows."""
    seen, end = 0, time.monotonic() + 60
    fixed = gateway.folder / "fill.lua"
    while seen < count and time.monotonic() < end:
        # Each run of the load begins where the last one ended.
        fixed.write_text(script.read_text().replace("local n = 0", f"local n = {seen * 611953 % count}"))
        seen += bench.load.wrk(gateway.url("/limited/200"), 5, script=fixed)["good"]
    print(f"keys: {seen} requests with new keys", file=sys.stderr)
    return min(seen, count)


def cores(bench):
    both, cases = list(y.os.sched_getaffinity(0)), []
    kinds = {"HTTP/1.1, 2 kB": ("/2k", False), "TLS, 2 kB": ("/2k", True), "flow of three parts": ("/flow", False)}
    for workers in (1, 2):
        gateway = Gateway(bench, f"cores-{workers}", flow("/flow", 3) + many_routes(500), workers, cpus=both)
        for name, (path, tls) in kinds.items():
            expect(gateway.url(path, tls))
            # Nothing is pinned here: worker threads, load and services share all cores.
            load = y.Load(both)
            cases.append((name, workers, gateway, lambda seconds, load=load, url=gateway.url(path, tls): load.wrk(url, seconds)))
    cases.sort(key=lambda it: it[0])
    bench.alternate("cores", cases)
    lines, rows = {}, []
    for name in kinds:
        lines[name] = bench.medians("cores", name)
        rates = dict(bench.medians("cores", name, "rate"))
        (_, one), (_, two) = lines[name]
        rows.append([name, f"{one:.1f}", f"{two:.1f}", percent(bench.change("cores", name, 2, 1)), f"{rates[1]:.0f}", f"{rates[2]:.0f}"])
    head = ["", "one worker: CPU us per request", "two workers", "change", "one worker: requests/s", "two workers"]
    text = f"### Cores\n\nGateway, load and services share {len(both)} cores, pinned nowhere. Bound: a request costs two workers at most 5 % more than one.\n\n"
    return text + figures.markdown(head, rows), figures.lines("Cores", "workers", "CPU us per request", lines, False)


def log(bench):
    kinds = {"off": OFF, "JSON to a file": '{ format = "json", file = "access.log" }', "text to a file": '{ format = "text", file = "access.log" }'}
    cases = []
    for n, (name, value) in enumerate(kinds.items()):
        gateway = Gateway(bench, f"log-{n}", many_routes(500), log=value)
        expect(gateway.url("/2k"), bench.services.body("2k"))
        cases.append((name, 0, gateway, bench.wrk(gateway.url("/2k"))))
    bench.alternate("access log", cases)
    found = {name: bench.medians("access log", name)[0][1] for name in kinds}
    rows = [[name, f"{us:.1f}", percent(bench.change("access log", name, 0, 0, "off"))] for name, us in found.items()]
    for case in cases:
        case[2].folder.joinpath("access.log").unlink(missing_ok=True)
    text = "### Access log\n\nThe whole process is counted, with the thread that writes. Bound: JSON to a file costs at most 8 %.\n\n"
    return text + figures.markdown(["access log", "CPU us per request", "to none"], rows), figures.columns("Access log", "CPU us per request", found)


def reload(bench):
    cost = reload_cost(bench)
    rows = []
    for place, cpus in (("one core for the gateway", bench.places.measured), ("all cores", sorted(y.os.sched_getaffinity(0)))):
        gateway = Gateway(bench, f"reload-{len(rows)}", many_routes(5000), cpus=cpus)
        calm, busy = [], []
        latency = gateway.folder / "latency.tsv"
        bench.load.steady(gateway.url("/2k"), 1, latency)
        for turn in range(bench.rounds):
            calm.append(bench.load.steady(gateway.url("/2k"), 2, latency))
            reloading = Edits(gateway)
            busy.append(bench.load.steady(gateway.url("/2k"), 2, latency))
            reloading.end()
            for name, it in (("calm", calm[-1]), ("reloading", busy[-1])):
                row = {"growth": "reload", "series": f"{name}, {place}", "point": 5000, "round": turn} | it
                bench.rows.append(row)
                print(f"reload       {turn} {place}, {name}: p50 {it['p50']} p99 {it['p99']} us", file=sys.stderr, flush=True)
        middle = [statistics.median(it[key] for it in runs) for runs in (calm, busy) for key in ("p50", "p99")]
        rows.append([place, *(f"{it:.0f}" for it in middle), reloading.made])
    table = figures.markdown(["", "p50 us", "p99 us", "p50 us while reloading", "p99 us while reloading", "reloads in the last round"], rows)
    made = len(cost)
    text = (
        f"### Reload of 5000 routes\n\nOne route is changed, and the file loaded by `POST /reload`: **{statistics.median(cost):.0f} ms of CPU** "
        f"(median of {made}; {min(cost):.0f} to {max(cost):.0f}), with whatever the watcher of files does about the same change. Bound: 100 ms.\n\n"
        f"Beside it 2000 requests/s run over 16 connections, without and with three reloads a second.\n\n{table}"
    )
    shown = {}
    for place, _, calm_p99, _, busy_p99, _ in rows:
        shown |= {f"{place}: calm": float(calm_p99), f"{place}: reloading": float(busy_p99)}
    return text, figures.columns("Latency while 5000 routes are reloaded", "p99 in us at 2000 requests/s", shown)


class Edits:
    """Changes the file and has it loaded, three times a second, until told to end."""

    def __init__(self, gateway):
        self.gateway, self.made, self.stop = gateway, 0, threading.Event()
        self.thread = threading.Thread(target=self.go_on, daemon=True)
        self.thread.start()

    def go_on(self):
        while not self.stop.wait(0.33):
            edit(self.gateway, self.made)
            self.made += 1

    def end(self):
        self.stop.set()
        self.thread.join(30)


def edit(gateway, turn):
    """Another upstream for one route; then the gateway is told, and answers when the file is served."""
    following = gateway.folder / "routes.toml.next"
    changed = f'[[routes]]\npath = "/changing/{{rest...}}"\nupstream = "{"ab"[turn % 2]}"\n'
    following.write_text(gateway.head + many_routes(5000) + changed)
    following.replace(gateway.file)
    order = urllib.request.Request(f"http://127.0.0.1:{gateway.admin}/reload", data=b"", method="POST")
    try:
        urllib.request.urlopen(order, timeout=30).close()  # anything but 2xx is an error
    except OSError as error:
        raise y.Failure(f"a reload failed: {error}\n{gateway.process.said()}") from error


def reload_cost(bench):
    """Milliseconds of CPU of each reload of an idle gateway. Threads that have ended count too."""
    gateway = Gateway(bench, "reload-cost", many_routes(5000))
    hertz = y.os.sysconf("SC_CLK_TCK")
    costs = []

    def ticks():
        fields = pathlib.Path(f"/proc/{gateway.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    edit(gateway, 1)
    time.sleep(1.5)
    for turn in range(3):
        # Ticks are coarse, so several edits share a figure; the pause lets the watcher have its say.
        before = ticks()
        for each in range(5):
            edit(gateway, each)
            time.sleep(0.8)
        used = (ticks() - before) * 1000 / hertz / 5
        costs.append(used)
        bench.rows.append({"growth": "reload", "series": "CPU ms of a reload", "point": 5000, "round": turn, "ms": used})
        print(f"reload       {turn} {used:.1f} ms of CPU each", file=sys.stderr, flush=True)
    return costs


GROWTHS = {
    "routes": routes,
    "steps": steps,
    "parts": parts,
    "connections": connections,
    "keys": keys,
    "cores": cores,
    "log": log,
    "reload": reload,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", help="the binary; else the newest of target/dist and target/release")
    parser.add_argument("--only", default=",".join(GROWTHS), help="%(default)s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=int, default=1, help="seconds of load each, in every round")
    parser.add_argument("--out", type=pathlib.Path, help="results as NAME.json, NAME.md, NAME-*.svg; else below target/peers")
    parser.add_argument("--write", action="store_true", help="also into docs/performance.md and docs/performance/")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if unknown := [it for it in wanted if it not in GROWTHS]:
        raise y.Failure(f"there is no growth {', '.join(unknown)}")
    y.prepare()
    y.make_keys()
    started = time.monotonic()
    bench = Bench(y.gateway_program(arguments.gateway), arguments.rounds, arguments.secs)
    sections, plots = [], {}
    try:
        for name in wanted:
            section, plots[name] = GROWTHS[name](bench)
            sections.append(section.replace("\n\n", f"\n\n![{name}](performance/growth-{name}.svg)\n\n", 1))
            bench.end_gateways()
    finally:
        bench.end()
    about = {
        "when": time.strftime("%F"),
        "machine": y.about_machine(),
        "places": bench.places.text(),
        "command": y.command_line(),
        "rounds": arguments.rounds,
        "secs": arguments.secs,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    bad = sum(it.get("bad", 0) for it in bench.rows)
    sections.insert(
        0,
        f"`{about['command']}`, {about['when']}: {about['minutes']} minutes; {about['machine']}; {about['places']}; one worker where nothing else is said; "
        f"{about['rounds']} rounds of {about['secs']} s; {bad} bad answers.\n",
    )
    results = {"about": about, "rows": bench.rows}
    out = arguments.out or y.WORK / "results" / time.strftime("growth-%m%d-%H%M%S")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(figures.as_json(results))
    out.with_suffix(".md").write_text("\n".join(sections))
    for name, plot in plots.items():
        out.with_name(f"{out.name}-{name}.svg").write_text(plot)
    if arguments.write:
        figures.publish_growth(results, sections, plots)
    print("\n".join(sections))


if __name__ == "__main__":
    y.own_network()
    try:
        main()
    except y.Failure as failure:
        sys.exit(f"growth: {failure}")
