"""The soak as a picture: memory, file descriptors and connections, latency and CPU over time. Needs matplotlib."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the choice of the backend)


def draw(path, samples, intervals, title):
    minutes = [sample["seconds"] / 60 for sample in samples]
    figure, (memory, open_files, latency) = pyplot.subplots(3, 1, figsize=(9, 9), sharex=True)
    figure.suptitle(title)
    for key, label in (("rss_bytes", "RSS"), ("pss_bytes", "PSS")):
        memory.plot(minutes, [sample[key] / (1 << 20) for sample in samples], label=label)
    memory.set_ylabel("memory, MiB")
    memory.set_ylim(bottom=0)
    for key, label in (("descriptors", "file descriptors"), ("servers", "server connections"), ("threads", "threads")):
        open_files.plot(minutes, [sample[key] for sample in samples], label=label)
    open_files.set_ylim(bottom=0)
    open_files.set_ylabel("open")
    at = [(interval["begin_s"] + interval["offset_s"]) / 60 for interval in intervals]
    latency.plot(at, [interval["p50_ms"] for interval in intervals], label="p50 of operations", linewidth=0.8)
    latency.plot(at, [interval["p99_ms"] for interval in intervals], label="p99", linewidth=0.8)
    latency.set_yscale("log")
    latency.set_ylabel("milliseconds")
    cpu = latency.twinx()
    cpu.plot(minutes, [sample["cpu_percent"] for sample in samples], color="grey", linewidth=0.8, label="CPU")
    cpu.set_ylabel("CPU of mosaic, % of one core")
    cpu.set_ylim(bottom=0)
    latency.set_xlabel("minutes")
    for axes in (memory, open_files, latency):
        axes.legend(loc="upper left")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
