"""The figures of moves that are no bars: pauses against size, and one move over time."""

import os

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot, ticker  # noqa: E402  (after the choice of backend)

_BLUE, _ORANGE, _GREY = "#1f4e9c", "#d9822b", "#9a9a9a"
_SIZE_TICKS = [2 ** power for power in range(11)]  # MB


def draw(results, folder):
    """Writes those that there are figures for; returns {scenario: [file names]}."""
    matplotlib.rcParams["svg.hashsalt"] = "mosaic"
    names = []
    moves = [metrics for point in results.select("moves") for metrics in point.rounds]
    if moves:
        names.append("moves_pauses.svg")
        _pauses(moves, os.path.join(folder, names[-1]))
    if "moves_timeline" in results.series:
        names.append("moves_timeline.svg")
        _timeline(results.series["moves_timeline"], os.path.join(folder, names[-1]))
    return {"moves": names} if names else {}


def _pauses(moves, path):
    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    sizes = [move["size_mb"] for move in moves]
    for metric, label, colour, marker in (("quiet_gap_ms", "longest gap, as long without a move", _GREY, "x"),
                                          ("gap_ms", "longest gap between acknowledged writes", _ORANGE, "^"),
                                          ("write_pause_ms", "write pause, as the mover measures it", _BLUE, "o")):
        axes.scatter(sizes, [move[metric] for move in moves], s=18, label=label, color=colour, marker=marker, alpha=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.4, max(sizes) * 1.4)
    axes.set_xticks([size for size in _SIZE_TICKS if min(sizes) / 1.4 <= size <= max(sizes) * 1.4])
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel("MB of the shard, with its indexes")
    axes.set_ylabel("ms")
    axes.set_ylim(0, 1.35 * max(move[metric] for move in moves for metric in ("quiet_gap_ms", "gap_ms", "write_pause_ms")))
    axes.set_title("Writes to a shard that moves, by its size", fontsize=10)
    _finish(figure, [axes], path)


def _timeline(timeline, path):
    figure, (whole, switch) = pyplot.subplots(2, 1, figsize=(7, 6))
    times, rates, latencies = zip(*timeline["load"])
    whole.plot(times, rates, color=_BLUE, label="operations per second, all shards")
    whole.set_ylim(0, 1.4 * max(rates))
    whole.set_ylabel("operations per second")
    whole.set_xlabel("seconds since the move began")
    whole.axvspan(timeline["begin_s"], timeline["end_s"], color=_GREY, alpha=0.15, label="the move")
    whole.axvline(timeline["switch_s"], color="#444", linewidth=0.8, label="the switch")
    beside = whole.twinx()
    beside.plot(times, latencies, color=_ORANGE, linewidth=0.9)
    beside.set_ylim(0, 1.4 * max(latencies))
    beside.set_ylabel("p99, ms", color=_ORANGE)
    beside.spines["top"].set_visible(False)
    whole.set_title(f"The application while a shard of {timeline['size_mb']:.0f} MB moves", fontsize=10)
    bin_s = timeline["bin_s"]
    for name, label, colour in (("others", "a shard that stays", _GREY), ("moved", "the shard that moves", _BLUE)):
        places = [(timeline["first_s"] + (number + 0.5) * bin_s) * 1e3 for number in range(len(timeline[name]))]
        switch.step(places, timeline[name], where="mid", color=colour, label=label, linewidth=0.9)
    switch.set_ylim(0, 1.3 * max(timeline["moved"] + timeline["others"]))
    switch.set_ylabel("writes per second")
    switch.set_xlabel("ms around the switch")
    switch.set_title(f"Probing writers in bins of {bin_s * 1e3:.0f} ms (write pause {timeline['write_pause_ms']:.1f} ms)",
                     fontsize=10)
    _finish(figure, [whole, switch], path)


def _finish(figure, all_axes, path):
    for axes in all_axes:
        axes.spines["top"].set_visible(False)
        axes.legend(fontsize=7, frameon=False, loc="upper left")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
