"""The soak: a cluster, four fifths of the rate that it can bear, disturbances beside it, a sample every few seconds,
and in the end a verdict. bench/soak.sh builds what it needs and calls it; bench/LOAD.md is the manual."""

import argparse
import json
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "end_to_end"))

import process_sampler  # noqa: E402  (the harness's folder must be known first)
import verdict  # noqa: E402
from disturbances import Disturbances  # noqa: E402
from plot import draw  # noqa: E402

SHARE_OF_MAXIMUM = 0.8
PROBE_SECONDS = 6
PROBE_RATE = 500_000  # more than anything bears: what is achieved is the maximum
WARM_UP_SECONDS = 5
USERS = 2000
TRIALS_MAX = 4
EXIT_TOO_SLOW = 3


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="of the load (default: 20)")
    parser.add_argument("--rate", type=float, help="operations per second, instead of a probe")
    parser.add_argument("--connections", type=int, default=64, help="of the load (default: 64)")
    parser.add_argument("--sample-seconds", type=float, default=2, help="between samples (default: 2)")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "soak"), help="folder for soak.json and soak.svg")
    parser.add_argument("--binaries", default=os.path.join(ROOT, "build", "release"), help="the build's folder")
    arguments = parser.parse_args()
    if arguments.minutes * 60 / arguments.sample_seconds < verdict.SAMPLES_MIN:
        parser.error(f"{arguments.minutes:g} minutes give fewer than {verdict.SAMPLES_MIN} samples: more minutes, or a "
                     "smaller --sample-seconds")
    return arguments


def load_command(binaries, cluster, *options):
    return [os.path.join(binaries, "bench", "photo_load"), "--conninfo",
            f"host=127.0.0.1 port={cluster.port} dbname=photos user=app password=app", "--users", str(USERS), *options]


def read_json(path):
    with open(path) as file:
        return json.load(file)


def run_briefly(binaries, cluster, connections, rate):
    path = os.path.join(cluster.folder, "probe.json")
    done = subprocess.run(
        load_command(binaries, cluster, "--rate", f"{rate:.1f}", "--duration", str(PROBE_SECONDS), "--warm-up", "2",
                     "--connections", str(connections), "--json", path),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode not in (0, EXIT_TOO_SLOW):
        raise RuntimeError(f"the probe exited {done.returncode}\n{done.stdout}{done.stderr}")
    return read_json(path)["rate"]


def find_rate(binaries, cluster, connections):
    """Four fifths of what the cluster does when all clients are always busy; less, when it does not keep up with that
    because the machine has other work too."""
    maximum = run_briefly(binaries, cluster, connections, PROBE_RATE)["achieved"]
    print(f"probe: {maximum:.0f} operations/s at most", flush=True)
    rate = SHARE_OF_MAXIMUM * maximum
    for _ in range(TRIALS_MAX):
        if run_briefly(binaries, cluster, connections, rate)["kept_up"]:
            break
        print(f"probe: {rate:.0f} operations/s are too many now", flush=True)
        rate *= SHARE_OF_MAXIMUM
    return rate


class Soak:
    def __init__(self, arguments, cluster):
        self.arguments = arguments
        self.cluster = cluster
        self.samples = []

    def servers(self):
        return len([row for row in self.cluster.console("SHOW SERVERS") if row["database"] == "photos"])

    def clients(self):
        return len([row for row in self.cluster.console("SHOW CLIENTS") if row["database"] == "photos"])

    def take_sample(self, seconds):
        sample = {"seconds": seconds, "servers": self.servers(), **process_sampler.sample(self.cluster.mosaic.pid)}
        last = self.samples[-1] if self.samples else sample
        passed = seconds - last["seconds"]
        sample["cpu_percent"] = 100 * (sample["cpu_seconds"] - last["cpu_seconds"]) / passed if passed else 0.0
        self.samples.append(sample)
        if sys.stderr.isatty() or len(self.samples) % 15 == 1:
            print(f"{seconds:7.0f} s  PSS {sample['pss_bytes'] / (1 << 20):6.1f} MiB  {sample['descriptors']} "
                  f"descriptors  {sample['servers']} servers  CPU {sample['cpu_percent']:.0f} %", flush=True)

    def run_load(self, rate):
        """Runs the load to its end, sampling; returns its JSON with each interval's offset to the samples' clock."""
        path = os.path.join(self.cluster.folder, "load.json")
        seconds = self.arguments.minutes * 60
        command = load_command(self.arguments.binaries, self.cluster, "--rate", f"{rate:.1f}", "--duration",
                               f"{seconds:g}", "--warm-up", str(WARM_UP_SECONDS), "--connections",
                               str(self.arguments.connections), "--label", "soak", "--json", path)
        begin = time.monotonic()
        with open(os.path.join(self.cluster.folder, "load.log"), "w") as log:
            load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while load.poll() is None:
                self.cluster.mosaic.assert_alive()
                self.take_sample(time.monotonic() - begin)
                try:
                    load.wait(timeout=self.arguments.sample_seconds)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            if load.poll() is None:
                load.terminate()
                load.wait(timeout=30)
        if not os.path.exists(path):
            with open(os.path.join(self.cluster.folder, "load.log")) as log:
                raise RuntimeError(f"photo_load exited {load.returncode}\n{log.read()[-4000:]}")
        report = read_json(path)
        offset = time.monotonic() - begin - sum(interval["seconds"] for interval in report["intervals"])
        for interval in report["intervals"]:
            interval["offset_s"] = offset
        return report

    def descriptors_after(self, before):
        """Once all clients have left: what is open, beside the server connections that stay for the next ones."""
        from harness.processes import wait_until
        wait_until(lambda: self.clients() == 0, "all clients to leave SHOW CLIENTS", deadline_s=60)
        allowed = before + verdict.DESCRIPTORS_LEFT
        deadline = time.monotonic() + 30
        while True:
            servers = self.servers()
            found = process_sampler.sample(self.cluster.mosaic.pid)["descriptors"]
            if found <= allowed + servers or time.monotonic() > deadline:
                return {"before_descriptors": before, "descriptors": found, "servers": servers}
            time.sleep(0.2)

    def run(self):
        arguments = self.arguments
        before = process_sampler.sample(self.cluster.mosaic.pid)["descriptors"] - self.servers()
        disturbances = Disturbances(self.cluster)
        disturbances.start()
        try:
            rate = arguments.rate or find_rate(arguments.binaries, self.cluster, arguments.connections)
            print(f"load: {rate:.0f} operations/s for {arguments.minutes:g} minutes", flush=True)
            load = self.run_load(rate)
        finally:
            disturbed = disturbances.stop()
        after = self.descriptors_after(before)
        return {"minutes": arguments.minutes, "verdict": verdict.judge(self.samples, load, disturbed, after),
                "disturbances": disturbed, "after": after, "samples": self.samples, "load": load}


def print_verdict(result, out):
    load = result["load"]
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in result["disturbances"]["counts"].items())
    print(f"\n{load['rate']['completed']} operations, {load['rate']['achieved']:.0f}/s of {load['rate']['wanted']:.0f}/s "
          f"wanted; p50 {load['latency']['p50_ms']:.2f} ms, p99 {load['latency']['p99_ms']:.2f} ms; {counts}")
    if not result["verdict"]["kept_up"]:
        print("The target did not keep up all the time: latencies are lower bounds.")
    for name, check in result["verdict"]["checks"].items():
        details = ", ".join(f"{key} {value}" for key, value in check.items() if key != "ok" and value not in ([], ""))
        print(f"{'ok    ' if check['ok'] else 'FAILED'} {name}: {details}")
    print(f"{out}/soak.json, {out}/soak.svg")
    print("PASSED" if result["verdict"]["passed"] else "FAILED")


def main():
    arguments = parse_arguments()
    arguments.binaries = os.path.abspath(arguments.binaries)
    os.environ["MOSAIC_BINARY"] = os.path.join(arguments.binaries, "mosaic")
    from harness.cluster import Cluster  # reads MOSAIC_BINARY
    os.makedirs(arguments.out, exist_ok=True)
    cluster = Cluster(node_count=2, shards=16)
    try:
        cluster.start()
        with open(os.path.join(ROOT, "conf", "photos_countries.sql")) as countries:
            text = countries.read()
        for node in cluster.nodes:
            node.query(text)
        result = Soak(arguments, cluster).run()
    finally:
        cluster.stop()
    with open(os.path.join(arguments.out, "soak.json"), "w") as file:
        json.dump(result, file, indent=1)
    draw(os.path.join(arguments.out, "soak.svg"), result["samples"], result["load"]["intervals"],
         f"{arguments.minutes:g} minutes at {result['load']['rate']['wanted']:.0f} operations/s: "
         f"{'passed' if result['verdict']['passed'] else 'FAILED'}")
    print_verdict(result, arguments.out)
    return 0 if result["verdict"]["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
