"""What was measured, as a value: points with their rounds, and how it is kept in report.json.

A point is one contender under one load. Its key names it across runs: scenario/labels/contender.
"""

from dataclasses import dataclass, field

from .measure import median, paired_ratio


@dataclass
class Point:
    scenario: str
    labels: dict           # what the load was, in the order of the report's columns: {"protocol": "simple", ...}
    peer: str              # the contender
    rounds: list = field(default_factory=list)  # one {metric: value} per round
    once: dict = field(default_factory=dict)    # metrics that were taken in one separate run
    command: str = ""
    problem: str = ""      # why there are no figures, for the reader

    @property
    def key(self):
        return "/".join([self.scenario, *map(str, self.labels.values()), self.peer])

    def values(self, metric):
        return [values[metric] for values in self.rounds if metric in values]

    def value(self, metric):
        """The median over the rounds; None when it was not measured."""
        values = self.values(metric)
        return median(values) if values else self.once.get(metric)

    def metrics(self):
        return sorted({metric for values in self.rounds for metric in values} | set(self.once))


@dataclass
class Results:
    suite: str
    plan: dict
    machine: dict
    versions: dict
    began: str
    points: list = field(default_factory=list)
    configs: dict = field(default_factory=dict)  # {contender: its configuration file}
    facts: dict = field(default_factory=dict)    # figures that are no point: {name: value}
    seconds: float = 0.0
    series: dict = field(default_factory=dict)   # what is drawn over time: {name: as its figure needs it}

    def select(self, scenario, peer=None, **labels):
        return [point for point in self.points
                if point.scenario == scenario and (peer is None or point.peer == peer)
                and all(point.labels.get(name) == value for name, value in labels.items())]

    def find(self, scenario, peer, **labels):
        found = self.select(scenario, peer, **labels)
        return found[0] if found else None

    def ratio(self, metric, one, other):
        """The median of round-by-round ratios of two points; None when either has no such figures."""
        if one is None or other is None:
            return None
        return paired_ratio(one.values(metric), other.values(metric))

    def as_json(self):
        return {
            "suite": self.suite, "began": self.began, "seconds": self.seconds, "plan": self.plan, "machine": self.machine,
            "versions": self.versions, "configs": self.configs, "facts": self.facts, "series": self.series,
            "points": [{"key": point.key, "scenario": point.scenario, "labels": point.labels, "peer": point.peer,
                        "median": {metric: point.value(metric) for metric in point.metrics()}, "rounds": point.rounds,
                        "once": point.once, "command": point.command, "problem": point.problem}
                       for point in self.points],
        }

    @classmethod
    def from_json(cls, document):
        results = cls(**{name: document[name] for name in ("suite", "plan", "machine", "versions", "began", "configs",
                                                           "facts", "seconds")})
        results.series = document.get("series", {})  # reports from before there were any
        for point in document["points"]:
            results.points.append(Point(**{name: point[name] for name in ("scenario", "labels", "peer", "rounds", "once",
                                                                          "command", "problem")}))
        return results
