"""Writes a run as Markdown: verdicts first, then a table for each question, then how it was done. Pure: text out."""

from .comparison import METRICS, compare
from .peers_text import PEERS
from .questions import QUESTIONS
from .targets import judge

_LEGEND = ("Figures are medians over the rounds, with the lowest and highest in brackets. Contenders of one table ran in "
           "turn, A B A B ..., in the same run; ratios are medians of the ratios round by round. CPU is user and system "
           "time of the proxy's process with all its threads, over the window in which transactions were counted; logins "
           "lie before it. Client, proxy and servers share the machine's cores, so CPU per transaction and ratios say more "
           "than throughput.")
_MOVES_LEGEND = ("Figures are medians over the moves, with the lowest and highest in brackets; ratios are medians of the ratios "
                 "move by move. Clients, proxies and servers share the machine's cores, and the load leaves little of them: "
                 "what a move computes, it takes from the others.")


def write_report(results, plot_paths=(), old=None, heading="Benchmark report"):
    """The whole report. `plot_paths`: {scenario: [SVG file names]}; `old`: an earlier run to compare with."""
    lines = [f"# {heading}", "", f"{results.began}, suite `{results.suite}`, plan `{results.plan['name']}`, "
             f"{results.seconds:.0f} s.", "", _MOVES_LEGEND if results.suite == "moves" else _LEGEND, ""]
    lines += _targets(results)
    if old:
        lines += _changes(results, old)
    for question in QUESTIONS:
        points = results.select(question.scenario)
        if points:
            lines += _question(question, points, results, dict(plot_paths).get(question.scenario, ()))
    lines += _facts(results) + _peers(results) + _machine(results) + _commands(results)
    return "\n".join(lines) + "\n"


def table(headings, rows):
    """A Markdown table; numbers are strings already."""
    def line(cells):
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
    return [line(headings), "|" + " --- |" * len(headings), *map(line, rows), ""]


def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(point, column):
    """The median with its spread."""
    value = point.value(column.metric)
    if value is None:
        return "-"
    values = point.values(column.metric)
    shown = number(value, column.digits)
    if len(values) < 2 or number(min(values), column.digits) == number(max(values), column.digits):
        return shown
    return f"{shown} ({number(min(values), column.digits)}-{number(max(values), column.digits)})"


# --- Sections -------------------------------------------------------------------------------------------------------


def _targets(results):
    return ["## Targets", ""] + table(("what", "to reach", "result", "verdict"), [
        (verdict.line, verdict.target, verdict.result, verdict.verdict) for verdict in judge(results)])


def _changes(results, old):
    headings = [heading for _, heading in METRICS]
    rows = [(change.key, *(f"{change.ratios[heading]:.2f}" if heading in change.ratios else "-" for heading in headings))
            for change in compare(results, old)]
    lines = ["## Compared with an earlier run", "",
             f"Ratios of medians, this run to that of {old.began} ({old.versions.get('Mosaic', '?')}). The peers' ratios "
             "show what the machine itself did.", ""]
    return lines + (table(("point", *headings), rows) if rows else ["The two runs have no point in common.", ""])


def _question(question, points, results, plots):
    lines = [f"## {question.title}", "", question.text, ""]
    # One scenario may hold comparisons with different metrics; columns that nobody filled are left out.
    columns = [column for column in question.columns if any(point.value(column.metric) is not None for point in points)]
    labels = list(points[0].labels)
    headings = [*labels, "contender", *(column.heading for column in columns)]
    if question.baseline:
        headings.append(f"{question.ratio_metric.split('_')[0].upper()} to {question.baseline}")
    rows = []
    for point in points:
        row = [*point.labels.values(), point.peer]
        row += [cell(point, column) for column in columns]
        if question.baseline:
            other = next((other for other in points if other.labels == point.labels and other.peer == question.baseline),
                         None)
            ratio = results.ratio(question.ratio_metric, point, other)
            row.append(f"{ratio:.2f}" if ratio is not None else "-")
        rows.append(row)
    lines += table(headings, rows)
    lines += _system_calls(points)
    problems = {}
    for point in points:
        if point.problem:
            problems.setdefault(point.problem, []).append(point.key)
    lines += [f"No figures for {', '.join(keys)}: {problem}." for problem, keys in problems.items()]
    if problems:
        lines.append("")
    for plot in plots:
        lines += [f"![{question.title}]({plot})", ""]
    return lines


def _system_calls(points):
    prefix = "syscalls_"
    counted = [point for point in points if "syscalls" in point.once]
    names = list(dict.fromkeys(name for point in counted for name in sorted(point.once) if name.startswith(prefix)))
    if not counted:
        return []
    return ["System calls per transaction, those above one in twenty transactions:", ""] + table(
        [*counted[0].labels, "contender", "all", *(name[len(prefix):] for name in names)],
        [(*point.labels.values(), point.peer, number(point.once["syscalls"], 2),
          *(number(point.once[name], 2) if name in point.once else "-" for name in names)) for point in counted])


def _facts(results):
    if not results.facts:
        return []
    return ["## Other figures", ""] + table(("what", "value"), results.facts.items())


def _peers(results):
    present = {point.peer for point in results.points}
    rows = [(peer, does) for peer, does in PEERS.items() if peer in present]
    if not rows:
        return []
    lines = ["## What each contender does", ""] + table(("contender", "for each statement"), rows)
    for name, text in results.configs.items():
        lines += [f"<details><summary>Configuration of {name}</summary>", "", "```", text.strip(), "```", "", "</details>",
                  ""]
    return lines


def _machine(results):
    rows = [*results.machine.items(), *results.versions.items(), *((f"plan: {name}", value) for name, value
                                                                   in results.plan.items() if name != "name")]
    return ["## Machine, versions, plan", ""] + table(("what", "value"), rows)


def _commands(results):
    lines = ["## Commands", "", "The load generator's command line of each point, as it was in the last round.", "", "```"]
    lines += [f"{point.key}\n    {point.command}" for point in results.points if point.command]
    return lines + ["```", ""]
