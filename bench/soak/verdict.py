"""Whether a soak was passed, from its samples and counts. Pure: no clock, no files, no processes."""

import statistics

# What a flat series may grow by in its second half: a share of its median, and an amount.
MEMORY_SHARE, MEMORY_BYTES = 0.03, 1 << 20
DESCRIPTORS_SHARE, DESCRIPTORS = 0.05, 4
# Descriptors that may be open beside the idle server connections once all clients have left: the sampler's and the
# catalog watcher's connections come and go.
DESCRIPTORS_LEFT = 4
SAMPLES_MIN = 12


def slope(points):
    """The median of the slopes between all pairs of (x, y) points (Theil 1950, Sen 1968): a few outliers, such as
    a burst of clients, do not move it."""
    slopes = [(y2 - y1) / (x2 - x1)
              for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1:] if x2 != x1]
    return statistics.median(slopes) if slopes else 0.0


def thin(points, count_max=400):
    """At most `count_max` of the points, evenly: all pairs of more would take long."""
    step = -(-len(points) // count_max)
    return points[::step] if step > 1 else points


def growth(samples, key):
    """What `key` grew by over the second half of the samples, by its slope; with the median there."""
    half = thin(samples[len(samples) // 2:])
    points = [(sample["seconds"], sample[key]) for sample in half]
    return slope(points) * (points[-1][0] - points[0][0]), statistics.median(y for _, y in points)


def flatness(samples, key, share, amount):
    if len(samples) < SAMPLES_MIN:
        return {"ok": False, "why": f"{len(samples)} samples are too few to judge by: {SAMPLES_MIN} at least"}
    grown, median = growth(samples, key)
    allowed = share * median + amount
    return {"ok": grown <= allowed, "grew_by": round(grown, 1), "allowed": round(allowed, 1), "median": median}


def judge(samples, load, disturbances, after):
    """`load`: photo_load's JSON; `disturbances`: counts by name, those of "unexpected" being failures; `after`: what was
    open when all clients had left, against `before_descriptors`."""
    checks = {
        "memory is flat": flatness(samples, "pss_bytes", MEMORY_SHARE, MEMORY_BYTES),
        "descriptors are flat": flatness(samples, "descriptors", DESCRIPTORS_SHARE, DESCRIPTORS),
    }
    expected = after["before_descriptors"] + after["servers"] + DESCRIPTORS_LEFT
    checks["descriptors are closed"] = {"ok": after["descriptors"] <= expected, "open": after["descriptors"],
                                        "allowed": expected}
    failed = {key: load[key] for key in ("errors", "lost", "wrong_answers")}
    checks["no statement of the load failed"] = {"ok": not any(failed.values()) and load["rate"]["completed"] > 0,
                                                 **failed, "completed": load["rate"]["completed"],
                                                 "examples": load["failures"]}
    unexpected = disturbances["unexpected"]
    checks["disturbances went as expected"] = {"ok": not unexpected, "unexpected": unexpected}
    idle = [name for name, count in disturbances["counts"].items() if count == 0]
    checks["every disturbance happened"] = {"ok": not idle, "missing": idle}
    return {"passed": all(check["ok"] for check in checks.values()), "checks": checks,
            "kept_up": load["rate"]["kept_up"]}
