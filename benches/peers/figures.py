"""Tables and plots of the measurements: Markdown, JSON, and SVG drawn by hand. Also their place in docs/performance.md."""

import json
import math
import statistics
from html import escape

import yardstick as y

PAGE = y.DOCS / "performance.md"
FOLDER = y.DOCS / "performance"

STYLE = """
  .back { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #1f2933 }
  .title { font-weight: 600; font-size: 13px } .small { font-size: 11px; fill: #52606d }
  .ours { fill: #d9480f } .theirs { fill: #9fb3c8 } .rule { stroke: #cbd2d9 } .bound { stroke: #1f2933; stroke-width: 2 }
  .line0 { stroke: #d9480f; fill: #d9480f } .line1 { stroke: #2b6cb0; fill: #2b6cb0 } .line2 { stroke: #2f855a; fill: #2f855a }
  .line { fill: none; stroke-width: 2 } .end { text-anchor: end } .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9da7b3 }
    .ours { fill: #ff7b3d } .theirs { fill: #4b6079 } .rule { stroke: #30363d } .bound { stroke: #e6edf3 }
    .line0 { stroke: #ff7b3d; fill: #ff7b3d } .line1 { stroke: #63b3ed; fill: #63b3ed } .line2 { stroke: #68d391; fill: #68d391 }
    .line { fill: none }
  }
"""


def svg(width, height, parts):
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        f'<style>{STYLE}</style>\n<rect class="back" width="100%" height="100%"/>\n{inside}\n</svg>\n'
    )


def text(x, at, words, kind=""):
    return f'<text x="{x:.1f}" y="{at:.1f}" class="{kind}">{escape(str(words))}</text>'


def as_json(results):
    """One row a line, so that a later run is a readable difference."""

    def short(value):
        return round(value, 3) if isinstance(value, float) else value

    rows = [json.dumps({name: short(it) for name, it in row.items()}) for row in results["rows"]]
    about = json.dumps(results["about"], indent=1)
    return '{"about": ' + about + ',\n"rows": [\n' + ",\n".join(rows) + "\n]}\n"


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, it)) + " |" for it in lines) + "\n"


# --- the comparison ----------------------------------------------------------


def of(rows, peer):
    return [it for it in rows if it["peer"] == peer]


def ratios(rows, peer, reference, key="us"):
    """A peer's figure over the reference's in the same round."""
    base = {it["round"]: it[key] for it in of(rows, reference)}
    return [it[key] / base[it["round"]] for it in of(rows, peer) if base.get(it["round"])]


def ratio(rows, peer, reference, key="us"):
    found = ratios(rows, peer, reference, key)
    return statistics.median(found) if found else None


def median(rows, peer, key):
    return statistics.median(it[key] for it in of(rows, peer))


def names_of(rows):
    return list(dict.fromkeys(it["peer"] for it in rows))


def verdict(value, must, aim):
    value = round(value, 2)  # as it is shown
    if aim is not None and value <= aim:
        return "aim reached"
    if must is None:
        return "aim not reached"
    return "kept" if value <= must else "**missed**"


def scenarios_of(results, scenarios):
    """Each scenario that was run, with its rows."""
    for name, scenario in scenarios.items():
        rows = [it for it in results["rows"] if it["scenario"] == name]
        if rows:
            yield name, scenario, rows


def summary(results, scenarios, idle_bounds):
    """How the gateway stands to its bounds, a line each."""
    lines = []
    for name, scenario, rows in scenarios_of(results, scenarios):
        if not of(rows, "concertina"):
            continue
        if scenario.load == "idle":
            own = rows_each(rows, "concertina")
            must, aim = idle_bounds[name]
            lines.append([name, scenario.what, f"{own:.1f} kB", "", "", f"{must} kB", f"{aim} kB", verdict(own, must, aim)])
            continue
        own = f"{median(rows, 'concertina', 'us'):.1f} us"
        if scenario.load == "steady":
            lines += steady_lines(name, scenario, rows, results["about"]["labels"])
            continue
        for against, must, aim in scenario.bounds:
            value = ratio(rows, "concertina", against)
            if value is not None:
                shown = "" if aim is None else f"{aim:.2f}"
                label = results["about"]["labels"][against]
                lines.append([name, scenario.what, own, f"{value:.2f}", label, f"{must:.2f}", shown, verdict(value, must, aim)])
    head = ["", "scenario", "Concertina", "ratio", "to", "must", "aim", ""]
    return markdown(head, lines) if lines else ""


def steady_lines(name, scenario, rows, labels):
    """Latency: a line for each percentile and each of those it is held to."""
    for key in ("p50", "p99"):
        own = f"{median(rows, 'concertina', key):.0f} us"
        for against, must, aim in scenario.bounds:
            value = ratio(rows, "concertina", against, key)
            if value is not None:
                shown = ["" if it is None else f"{it:.2f}" for it in (must, aim)]
                yield [name, f"{scenario.what}, {key}", own, f"{value:.2f}", labels[against], *shown, verdict(value, must, aim)]


def rows_each(rows, peer):
    return of(rows, peer)[0]["each"] / 1000


def comparison(results, scenarios, idle_bounds):
    about = results["about"]
    labels = about["labels"]
    out = [
        f"`{about['command']}`, {about['when']}: {about['minutes']} minutes; {about['machine']}; {about['places']}; "
        f"{about['workers']} {'worker' if about['workers'] == 1 else 'workers'}; at most {about['rounds']} rounds of {about['secs']} s; "
        f"{about['stolen']:.1%} of CPU time taken by the host; {sum(it['bad'] for it in results['rows'])} bad answers.\n",
        summary(results, scenarios, idle_bounds),
    ]
    for name, scenario, rows in scenarios_of(results, scenarios):
        out.append(f"**{name}**: {scenario.what}\n")
        if scenario.load == "idle":
            order = sorted(names_of(rows), key=lambda it: rows_each(rows, it))
            lines = [[labels[it], f"{rows_each(rows, it):.1f}", f"{of(rows, it)[0]['before'] / 1e6:.0f}", f"{of(rows, it)[0]['after'] / 1e6:.0f}"] for it in order]
            out.append(markdown(["", "kB per connection", "MB before", "MB with them"], lines))
            continue
        out.append(timed_table(rows, scenario, labels))
    return "\n".join(it for it in out if it)


def timed_table(rows, scenario, labels):
    lines = []
    steady = scenario.load == "steady"
    for peer in sorted(names_of(rows), key=lambda it: median(rows, it, "us")):
        own = [it["us"] for it in of(rows, peer)]
        value = ratio(rows, peer, scenario.reference)
        line = [labels[peer], f"{statistics.median(own):.1f}", f"{min(own):.1f} to {max(own):.1f}", f"{value:.2f}" if value else "", len(own)]
        if steady:
            line += [f"{median(rows, peer, key):.0f}" for key in ("p50", "p99")]
        else:
            line.append(f"{median(rows, peer, 'rate'):.0f}")
        lines.append(line)
    reference = labels.get(scenario.reference, scenario.reference)
    head = ["", "CPU us per request", "least to most", f"ratio to {reference}", "rounds"]
    return markdown(head + (["p50 us", "p99 us"] if steady else ["requests/s"]), lines)


def bars(results, scenarios):
    """A panel a scenario, two columns of them: shorter is better."""
    labels, columns, parts = results["about"]["labels"], [24, 24], []
    for name, scenario, rows in scenarios_of(results, scenarios):
        column = columns.index(min(columns))
        x, top = column * 500 + 16, columns[column]
        height, panel = bar_panel(name, scenario, rows, labels, x, top)
        parts += panel
        columns[column] += height
    return svg(1000, max(columns), parts)


def bar_panel(name, scenario, rows, labels, x, top):
    if scenario.load == "idle":
        values = {it: rows_each(rows, it) for it in names_of(rows)}
        unit = "kB per connection"
    elif scenario.load == "steady":
        values = {it: median(rows, it, "p99") for it in names_of(rows)}
        unit = "p99 in us"
    else:
        values = {it: ratio(rows, it, scenario.reference) or 0.0 for it in names_of(rows)}
        unit = "CPU per request, ratio to " + labels.get(scenario.reference, scenario.reference).split(",")[0]
    parts = [text(x, top, f"{name}  {scenario.what}", "title"), text(x, top + 15, unit, "small")]
    # A bar that is many times the gateway's is cut, so that the short ones can be told apart.
    ours = values.get("concertina") or min(values.values())
    widest = min(max(values.values()), max(4 * ours, 1.5 * sorted(values.values())[len(values) // 2])) or 1.0
    at = top + 24
    for peer, value in sorted(values.items(), key=lambda it: it[1]):
        width = 190 * min(value / widest, 1.0)
        label = labels[peer]
        label = label if len(label) < 34 else label[:32] + "…"
        parts.append(text(x + 208, at + 11, label, "end small"))
        kind = "ours" if peer == "concertina" else "theirs"
        parts.append(f'<rect x="{x + 216}" y="{at + 1:.1f}" width="{width:.1f}" height="13" class="{kind}"/>')
        cut = " »" if value > widest else ""
        digits = 0 if value >= 100 else 2 if scenario.load not in ("idle", "steady") else 1
        parts.append(text(x + 222 + width, at + 11.5, f"{value:.{digits}f}{cut}", "small"))
        at += 17
    bound = scenario.bounds[0][1] if scenario.bounds and scenario.load != "steady" else None
    if bound and bound <= widest:
        mark = x + 216 + 190 * bound / widest
        parts.append(f'<line x1="{mark:.1f}" x2="{mark:.1f}" y1="{top + 22}" y2="{at:.1f}" class="bound" stroke-dasharray="3 3"/>')
    return at - top + 26, parts


# --- growth ------------------------------------------------------------------


def lines(title, x_name, y_name, series, logarithmic=True, steep=False):
    """`series`: name -> [(x, y)]. The y axis begins at zero, so that growth looks as large as it is; a steep one is logarithmic."""
    left, right, top, bottom, width, height = 64, 44, 48, 64, 720, 320
    points = [it for line in series.values() for it in line]
    scale = (lambda it: math.log10(max(it, 1))) if logarithmic else float
    low, high = min(scale(it[0]) for it in points), max(scale(it[0]) for it in points)
    span = (high - low) or 1.0
    most = max(it[1] for it in points) * 1.12 or 1.0
    rise, steps = (lambda it: it / most), nice_steps(most)
    if steep:
        bounds = math.floor(math.log10(min(it[1] for it in points))), math.ceil(math.log10(most))
        rise = lambda it: (math.log10(it) - bounds[0]) / (bounds[1] - bounds[0])
        steps = [10**it for it in range(bounds[0], bounds[1] + 1)]

    def place(point):
        x = left + (width - left - right) * (scale(point[0]) - low) / span
        return x, height - bottom - (height - top - bottom) * rise(point[1])

    parts = [text(16, 22, title, "title"), text(16, 38, y_name, "small")]
    for step in steps:
        at = place((points[0][0], step))[1]
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}" class="rule"/>')
        parts.append(text(left - 8, at + 4, f"{step:g}", "end small"))
    for value in sorted({it[0] for it in points}):
        parts.append(text(place((value, most))[0], height - bottom + 17, f"{value:,}".replace(",", " "), "middle small"))
    parts.append(text((left + width - right) / 2, height - bottom + 36, x_name, "middle small"))
    for n, (name, line) in enumerate(series.items()):
        path = " ".join(f"{x:.1f},{at:.1f}" for x, at in map(place, line))
        parts.append(f'<polyline points="{path}" class="line{n % 3} line"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{at:.1f}" r="3.5" class="line{n % 3}"/>' for x, at in map(place, line)]
        key = left + n * 215
        parts.append(f'<rect x="{key}" y="{height - 18}" width="12" height="4" class="line{n % 3}"/>')
        parts.append(text(key + 18, height - 12, name, "small"))
    return svg(width, height, parts)


def nice_steps(most):
    rough = most / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * it for it in (1, 2, 5, 10) if size * it >= rough)
    return [step * n for n in range(int(most / step) + 1)]


def columns(title, y_name, values):
    """A few named values, side by side as bars: name -> value."""
    width, parts, at = 720, [text(16, 22, title, "title"), text(16, 38, y_name, "small")], 52
    most = max(values.values()) or 1.0
    for n, (name, value) in enumerate(values.items()):
        parts.append(text(268, at + 12, name, "end small"))
        parts.append(f'<rect x="276" y="{at}" width="{370 * value / most:.1f}" height="15" class="{"theirs" if n else "ours"}"/>')
        shown = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
        parts.append(text(284 + 370 * value / most, at + 12, shown, "small"))
        at += 21
    return svg(width, at + 12, parts)


# --- the page ----------------------------------------------------------------


def put(name, content):
    """Replaces what stands between the markers `<!-- NAME -->` and `<!-- end of NAME -->` of the page."""
    page = PAGE.read_text()
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if page.count(start) != 1 or page.count(end) != 1:
        raise y.Failure(f"docs/performance.md has no place for {name}")
    before, rest = page.split(start)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{start}\n\n{content.strip()}\n\n{end}{after}")


def publish_comparison(results, table, plot):
    several = results["about"]["workers"] > 1
    name = "peers, two workers" if several else "peers"
    file = "peers-2-workers" if several else "peers"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{file}.json").write_text(as_json(results))
    (FOLDER / f"{file}.svg").write_text(plot)
    put(name, f"![CPU per request beside others](performance/{file}.svg)\n\n{table}")


def publish_growth(results, sections, plots):
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "growth.json").write_text(as_json(results))
    for name, plot in plots.items():
        (FOLDER / f"growth-{name}.svg").write_text(plot)
    put("growth", "\n".join(sections))
