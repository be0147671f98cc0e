"""Speed side by side with torch; a ratio above 1 means that Flambeau is faster.

python -m benchmarks                        start, memory and the table of rows
python -m benchmarks sweep [FAMILY ...]     families of operations over sizes
python -m benchmarks publish                everything, written to docs/ and README.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, memory, report, startup
from benchmarks.comparing import ROOT, Worker, compare, geometric_mean, in_units
from benchmarks.rows import GROUPS, TRAIN, families, is_drawn, table


class Session:
    """What one command measures with: the options and the two workers."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        names = options.module, options.other
        self.ours, self.theirs = (Worker(name, options.threads) for name in names)
        self.versions = f"{names[0]} {self.ours.version}, {names[1]} {self.theirs.version}"

    def header(self) -> None:
        """The first lines of the printed table."""
        print(f"{self.versions}, {self.options.threads} threads\n")
        titles = f"{self.options.module:>9s} {self.options.other:>9s}"
        rounds = f"(least to greatest of {self.options.rounds} rounds)"
        print(f"{'':8s} {'':32s} {titles}   ratio  {rounds}", flush=True)

    def rows_of(self, group: str, labels: list[str]) -> dict[str, Any]:
        """Measures and shows the rows of a group or family that were asked for."""
        results = {}
        budget = self.options.budget / (3 if is_drawn(group) else 1)  # they have many rows
        for label in labels:
            if re.search(self.options.only, f"{group} {label}"):
                options = self.options
                result = compare(self.ours, self.theirs, group, label, options.rounds, budget)
                results[label] = result
                show(group, label, result)
        return results

    def table(self) -> dict[str, dict[str, Any]]:
        """The groups of the table."""
        names = {group: [w.name for w in table() if w.group == group] for group in GROUPS}
        return {group: self.rows_of(group, labels) for group, labels in names.items()}

    def sweep(self, chosen: list[str]) -> dict[str, dict[str, Any]]:
        """The families; each in fresh processes, so that none inherits another's memory."""
        results = {}
        for family in chosen:
            results[family] = self.rows_of(family, self.ours.labels(family))
            for worker in (self.ours, self.theirs):
                worker.stop()
                worker.start()
        return results

    def startup(self) -> list[list[float]]:
        """Import time and memory, side by side."""
        pair = [startup.probe(name) for name in (self.options.module, self.options.other)]
        for (label, unit, scale), ours, theirs in zip(startup.LABELS, *pair):
            times = f"{ours * scale:5.0f} {unit:3s} {theirs * scale:5.0f} {unit:3s}"
            print(f"{'start':8s} {label:32s} {times} {theirs / ours:7.2f}", flush=True)
        return pair

    def memory(self) -> dict[str, list[memory.Peak]]:
        """The most memory that each training row takes, and what of it came with the import."""
        peaks = {}
        for name in [w.name for w in table() if w.group == TRAIN]:
            modules = self.options.module, self.options.other
            pair = [memory.of_training(module, name, self.options.threads) for module in modules]
            peaks[name] = pair
            most = " ".join(f"{peak.training:5.0f} MiB" for peak in pair)
            print(f"{'memory':8s} {name:32s} {most} {pair[1].training / pair[0].training:7.2f}")
        return peaks


def show(group: str, name: str, result: dict[str, Any]) -> None:
    """One line of the table."""
    head = f"{group:8s} {name:32s}"
    if "error" in result:
        print(f"{head} {result['error']}", flush=True)
        return
    span = f"({result['least']:.2f} to {result['greatest']:.2f})"
    times = f"{in_units(result['ours']):>9s} {in_units(result['theirs']):>9s}"
    print(f"{head} {times} {result['ratio']:7.2f}  {span}", flush=True)


def summarise(groups: dict[str, dict[str, Any]]) -> None:
    """The geometric mean of each group, and how many rows are behind."""
    print()
    for group, results in groups.items():
        ratios = report.ratios(results)
        if ratios:
            behind = sum(ratio < 1 for ratio in ratios)
            count = f"{len(ratios)} steady of {len(results)} rows"
            mean = geometric_mean(ratios)
            print(f"{group:8s} geometric mean {mean:.2f} over {count}, {behind} behind")


def everything(session: Session, command: str) -> dict[str, Any]:
    """All published figures."""
    options = session.options
    return {
        "date": datetime.date.today().isoformat(),
        "command": command,
        "versions": session.versions,
        "machine": machine.describe(),
        "threads": options.threads,
        "load": machine.load(),
        "ceilings": machine.ceilings(options.threads)._asdict(),
        "startup": session.startup(),
        "memory": session.memory(),
        "table": session.table(),
        "families": session.sweep([name for name in families() if not is_drawn(name)]),
        "drawn": session.sweep([name for name in families() if is_drawn(name)]),
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; without a command it is `table`."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--module", default="flambeau", help="what is measured")
    common.add_argument("--other", default="torch", help="what it is compared with")
    common.add_argument("--only", default="", metavar="REGEX", help="rows: 'group name' matches")
    common.add_argument("--rounds", type=int, default=3)
    common.add_argument("--budget", type=float, default=0.1, help="seconds a round and a side")
    common.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    common.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="task", required=True)
    commands.add_parser("table", parents=[common])
    commands.add_parser("sweep", parents=[common]).add_argument(
        "families", nargs="*", metavar="FAMILY", help=f"of {', '.join(families())}; default: all"
    )
    publish = commands.add_parser("publish", parents=[common])
    publish.add_argument("--output", type=Path, default=ROOT / "docs", metavar="FOLDER")
    if not arguments or arguments[0].startswith("--"):
        arguments = ["table", *arguments]
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    session = Session(options)
    session.header()
    if options.task == "publish":
        figures = everything(session, " ".join(["python -m benchmarks", *sys.argv[1:]]))
        in_place = options.output.resolve() == ROOT / "docs"
        report.write(figures, options.output, ROOT / "README.md" if in_place else None)
    elif options.task == "sweep":
        unknown = set(options.families) - set(families())
        if unknown:
            raise SystemExit(f"no family {', '.join(sorted(unknown))} under benchmarks/families")
        figures = {"families": session.sweep(options.families or families())}
    else:
        figures = {} if options.only else {"startup": session.startup()}
        figures["table"] = session.table()
    groups = {**figures.get("table", {}), **figures.get("families", {})}
    summarise(groups)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 1 if any("error" in row for rows in groups.values() for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
