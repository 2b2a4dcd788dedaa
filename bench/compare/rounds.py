"""Runs contenders in turn, A B A B ..., so that what disturbs the machine disturbs all of them.

Prints one line per round and point. A contender that fails keeps its point, with the reason in place of figures.
"""

import sys
import time
from dataclasses import dataclass
from typing import Callable

from .generator_output import LoadFailed
from .results import Point


@dataclass
class Contender:
    """`run` puts the load on once and returns {metric: value}, or raises LoadFailed."""

    peer: str
    labels: dict
    run: Callable[[], dict]
    problem: str = ""  # known beforehand: it is not run, and this is why


class Rounds:
    def __init__(self, results, plan, load):
        self.results = results
        self.plan = plan
        self.load = load
        self.began_s = time.monotonic()
        self.failed = []  # keys of points that should have had figures

    def measure(self, scenario, contenders, rounds=None):
        """Measures all contenders of one comparison; their points are appended to the results."""
        points = [Point(scenario, contender.labels, contender.peer, problem=contender.problem)
                  for contender in contenders]
        self.results.points += points
        for number in range(1, (rounds or self.plan.rounds) + 1):
            for point, contender in zip(points, contenders):
                if point.problem:
                    continue
                try:
                    point.rounds.append(contender.run())
                    point.command = self.load.last_command
                except LoadFailed as failure:
                    point.problem = str(failure)
                    self.failed.append(point.key)
                    point.rounds.clear()  # one round of several would be compared with nothing
                self._tell(number, point)
        return points

    def say(self, text):
        print(f"{time.monotonic() - self.began_s:6.0f} s  {text}", file=sys.stderr, flush=True)

    def _tell(self, number, point):
        figures = point.problem
        if point.rounds:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in list(point.rounds[-1].items())[:6])
        self.say(f"round {number}  {point.key:<44} {figures}")
