"""Keeps a report in the tree: bench/results/<name>/, and the verdicts of the latest in bench/README.md."""

import os
import shutil

from .report import table
from .targets import judge

BEGIN, END = "<!-- the latest report begins: written by run.sh --publish -->", "<!-- the latest report ends -->"
# Where what a suite of its own says goes: what begins it, what ends it, the figures that are shown there.
_PLACES = {"moves": ("<!-- the latest moves begin: written by run.sh --publish -->", "<!-- the latest moves end -->",
                     {"Pauses by size": "moves_pauses.svg", "One move over time": "moves_timeline.svg"})}


def without_paths(value, names):
    """A JSON value in which each path that only this machine has stands as its name: {path: name}."""
    if isinstance(value, str):
        for path, name in names.items():
            value = value.replace(path, name)
        return value
    if isinstance(value, dict):
        return {key: without_paths(entry, names) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_paths(entry, names) for entry in value]
    return value


def publish(results, report_folder, bench_folder):
    """Copies the report; returns the folder that it is in now."""
    name = f"{results.began[:10]}-{results.suite}-{results.plan['name']}"
    folder = os.path.join(bench_folder, "results", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for entry in sorted(os.listdir(report_folder)):
        if entry.endswith((".md", ".json", ".svg")):
            shutil.copy(os.path.join(report_folder, entry), folder)
    readme = os.path.join(bench_folder, "README.md")
    with open(readme) as file:
        text = file.read()
    with open(readme, "w") as file:
        file.write(with_latest(text, results, f"results/{name}"))
    return folder


def with_latest(readme, results, link):
    """The README's text with its generated part replaced."""
    begin, end, figures = _PLACES.get(results.suite, (BEGIN, END, {}))
    before, rest = readme.split(begin)
    _, after = rest.split(end)
    lines = [begin, "", f"**[{results.began}, suite `{results.suite}`, plan `{results.plan['name']}`]({link}/report.md)**, "
             f"{results.machine.get('processor', '?')}, {results.machine.get('cores', '?')} cores, load before the run "
             f"{results.machine.get('load before', '?')}, commit {results.versions.get('commit', '?')}.", ""]
    lines += table(("what", "to reach", "result", "verdict"),
                   [(verdict.line, verdict.target, verdict.result, verdict.verdict) for verdict in judge(results)])
    for title, figure in figures.items():
        lines += [f"![{title}]({link}/{figure})", ""]
    return before + "\n".join(lines) + end + after
