"""Draws a run's answers as SVG: groups of bars, one bar per contender, with the spread over rounds."""

import os

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the choice of backend)

from .questions import QUESTIONS  # noqa: E402

_COLOURS = {"mosaic": "#1f4e9c", "mosaic, as configured": "#4a7ac4", "mosaic, unsharded": "#7ea6e0",
            "pgbouncer": "#d9822b", "pgbouncer, extended": "#d9822b", "pgbouncer, three nodes": "#edb97d",
            "pgbouncer, three nodes, extended": "#edb97d", "haproxy": "#6b8f3a",
            "forwarder": "#9a9a9a", "direct": "#d0d0d0",
            "a move, copying and indexing": "#1f4e9c", "pg_dump -Fc | pg_restore": "#d9822b"}


def draw(results, folder):
    """Writes the figures of every question that was measured; returns {scenario: [file names]}."""
    # Without these, two runs over the same figures would differ in ids and dates.
    matplotlib.rcParams["svg.hashsalt"] = "mosaic"
    drawn = {}
    for question in QUESTIONS:
        for plot in question.plots:
            points = [point for point in results.select(question.scenario) if point.value(plot.metric) is not None]
            if not points:
                continue
            name = f"{question.scenario}_{plot.metric}.svg"
            _bars(points, plot, os.path.join(folder, name))
            drawn.setdefault(question.scenario, []).append(name)
    return drawn


def _bars(points, plot, path):
    groups = list(dict.fromkeys(_group(point) for point in points))
    peers = list(dict.fromkeys(point.peer for point in points))
    by_place = {(_group(point), point.peer): point for point in points}
    figure, axes = pyplot.subplots(figsize=(max(6.0, 1.0 + 0.22 * len(groups) * (len(peers) + 1)), 3.6))
    width = 0.8 / len(peers)
    for index, peer in enumerate(peers):
        places, heights, below, above = [], [], [], []
        for place, group in enumerate(groups):
            point = by_place.get((group, peer))
            if point is None:
                continue
            value, values = point.value(plot.metric), point.values(plot.metric)
            places.append(place + (index - (len(peers) - 1) / 2) * width)
            heights.append(value)
            below.append(value - min(values) if values else 0)
            above.append(max(values) - value if values else 0)
        axes.bar(places, heights, width * 0.92, label=peer, color=_COLOURS.get(peer), yerr=[below, above], ecolor="#444",
                 error_kw={"elinewidth": 0.8})
    axes.set_xticks(range(len(groups)), groups, fontsize=8)
    axes.set_ylabel(plot.axis)
    axes.set_title(plot.title, fontsize=10)
    if plot.metric == "p99_ms" and len(groups) > 1:
        axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _group(point):
    return "\n".join(str(value) for value in point.labels.values())
