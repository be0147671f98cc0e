"""Writes what was measured: the generated parts of documents, between markers.

    write(figures, Path("docs"))     # performance.md, performance.svg, and the table of README.md

Everything outside the markers is written by hand and kept:

    <!-- begin: figures -->
    <!-- end: figures -->
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.comparing import geometric_mean, in_units
from benchmarks.plot import draw
from benchmarks.rows import COMPILED, GROUPS, table
from benchmarks.startup import LABELS

WORST = 5  # rows of a family that its line names
# A row is steady when the ratios of its rounds lie within this factor; only steady rows count.
STEADY = 2.5


def write(figures: dict[str, Any], folder: Path, readme: Path | None = None) -> None:
    """Writes performance.md (its generated part), performance.svg and performance.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "performance.json").write_text(json.dumps(figures, indent=1) + "\n")
    draw(figures["families"], folder / "performance.svg", is_steady)
    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8") if page.exists() else empty_page("figures")
    page.write_text(replaced(text, "figures", whole(figures)), encoding="utf-8")
    if readme:
        text = readme.read_text(encoding="utf-8")
        readme.write_text(replaced(text, "speed", "\n".join(summary(figures))), encoding="utf-8")


def empty_page(part: str) -> str:
    """A document with nothing but a generated part."""
    return f"# Performance\n\n<!-- begin: {part} -->\n<!-- end: {part} -->\n"


def replaced(text: str, part: str, content: str) -> str:
    """`text` with another content between the markers of a part.

    >>> replaced("a <!-- begin: x --> old <!-- end: x --> b", "x", "new").splitlines()
    ['a <!-- begin: x -->', 'new', '<!-- end: x --> b']
    """
    pattern = rf"(<!-- begin: {part} -->).*?(<!-- end: {part} -->)"
    if not re.search(pattern, text, re.S):
        raise ValueError(f"the document has no part {part!r}: <!-- begin: {part} --> ...")
    return re.sub(pattern, lambda match: f"{match[1]}\n{content}\n{match[2]}", text, flags=re.S)


def lines_of(header: list[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table in Markdown; the columns after the first stand right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]


def whole(figures: dict[str, Any]) -> str:
    """The generated part of performance.md."""
    sections = [
        conditions(figures),
        ["## Summary", "", *summary(figures)],
        ["## Start and memory", "", *startup(figures), "", *memory(figures)],
        *(section for group in GROUPS for section in table_section(figures, group)),
        ["## Sweep over sizes", "", "![Ratios by family and size](performance.svg)", ""]
        + family_lines(figures["families"]),
        *(family_section(*item) for item in figures["families"].items()),
        drawn(figures["drawn"]),
    ]
    return "\n\n".join("\n".join(section) for section in sections)


def conditions(figures: dict[str, Any]) -> list[str]:
    """On what, with what and how it was measured."""
    ceilings = figures["ceilings"]
    return [
        f"Measured on {figures['date']} with {figures['versions']}, on {figures['machine']}, "
        f"{figures['threads']} threads. A large copy moves {ceilings['copy'] / 1e9:.1f} GB/s there "
        f"(bytes read and written), a large float32 matrix product runs at "
        f"{ceilings['multiply'] / 1e9:.0f} GFLOP/s. The machine's load was {figures['load']} "
        "processes for its processors, the measurement among them.",
        "",
        f"Command: `{figures['command']}`",
    ]


def is_steady(result: dict[str, Any]) -> bool:
    """Whether both sides could run the row, undisturbed enough for the figure to mean something."""
    return "ratio" in result and result["greatest"] <= STEADY * result["least"]


def ratios(results: dict[str, Any]) -> list[float]:
    """The ratios of the steady rows."""
    return [result["ratio"] for result in results.values() if is_steady(result)]


def summary(figures: dict[str, Any]) -> list[str]:
    """A line per group: how many rows, the mean, how many behind."""
    meanings = {
        "tiny": "single calls on small tensors",
        "train": "training steps of small models",
        "compiled": "the same steps, both under `torch.compile`",
        "large": "operations bound by memory or arithmetic",
    }
    rows = []
    groups = [(meanings[group], figures["table"].get(group, {})) for group in GROUPS]
    for part, meaning in (
        ("families", f"sweep over {len(figures['families'])} families"),
        ("drawn", "operations on shapes drawn at random"),
    ):
        swept = {f"{f} {n}": r for f, rows in figures[part].items() for n, r in rows.items()}
        groups.append((meaning, swept))
    for name, results in groups:
        found = ratios(results)
        if found:
            behind = sum(ratio < 1 for ratio in found)
            counts = str(len(found)), str(behind), str(len(results) - len(found))
            rows.append([name, f"{geometric_mean(found):.2f}", *counts])
    for (label, _, _), ours, theirs in zip(LABELS, *figures["startup"]):
        rows.append([label, f"{theirs / ours:.1f}", "1", str(int(theirs < ours)), "0"])
    header = ["work", "times better than torch", "rows", "of them behind", "too disturbed to count"]
    return lines_of(header, rows)


def startup(figures: dict[str, Any]) -> list[str]:
    """Import time and memory."""
    rows = [
        [
            label,
            f"{ours * scale:.0f} {unit}",
            f"{theirs * scale:.0f} {unit}",
            f"{theirs / ours:.1f}",
        ]
        for (label, unit, scale), ours, theirs in zip(LABELS, *figures["startup"])
    ]
    return lines_of(["start", "Flambeau", "torch", "ratio"], rows)


def memory(figures: dict[str, Any]) -> list[str]:
    """The most memory that training took."""
    rows = []
    for name, (ours, theirs) in figures["memory"].items():
        pair = f"{ours[1]:.0f} MiB", f"{theirs[1]:.0f} MiB"
        grown = f"{ours[1] - ours[0]:.0f} MiB", f"{theirs[1] - theirs[0]:.0f} MiB"
        rows.append([name, *pair, f"{theirs[1] / ours[1]:.2f}", *grown])
    head = ["peak memory of training", "Flambeau", "torch", "ratio"]
    return lines_of([*head, "Flambeau, after import", "torch, after import"], rows)


def table_section(figures: dict[str, Any], group: str) -> list[list[str]]:
    """The rows of one group of the table."""
    results = figures["table"].get(group)
    if not results:
        return []
    least = {w.name: (w.moves, w.computes) for w in table() if w.group == group}
    header = ["row", "Flambeau", "torch", "ratio", "least to greatest"]
    limited = any(any(pair) for pair in least.values())
    header += ["share of ceiling"] if limited else []
    header += ["first step, Flambeau", "torch"] if group == COMPILED else []
    rows = []
    for name, result in results.items():
        cells = row_cells(name, result)
        if "ratio" in result and limited:
            cells.append(share(figures["ceilings"], *least[name], result["ours"]))
        if "ratio" in result and group == COMPILED:
            cells += [in_units(result["ours_first"]), in_units(result["theirs_first"])]
        rows.append(cells + [""] * (len(header) - len(cells)))
    return [[f"## {group.capitalize()}", "", *lines_of(header, rows)]]


def share(ceilings: dict[str, float], moves: int, computes: int, seconds: float) -> str:
    """How much of the machine's ceiling a row reaches."""
    if not moves and not computes:
        return ""
    least = max(moves / ceilings["copy"], computes / ceilings["multiply"])
    return f"{100 * least / seconds:.0f} %"


def row_cells(name: str, result: dict[str, Any]) -> list[str]:
    """The cells of one row."""
    if "error" in result:
        return [name, result["error"].replace("|", "\\|")]
    span = f"{result['least']:.2f} to {result['greatest']:.2f}"
    times = in_units(result["ours"]), in_units(result["theirs"])
    shown = f"{result['ratio']:.2f}" if is_steady(result) else f"({result['ratio']:.2f})"
    return [name, *times, shown, span]


def family_lines(families: dict[str, dict[str, Any]]) -> list[str]:
    """A line per family, with its worst rows."""
    rows = []
    for family, results in families.items():
        found = ratios(results)
        if not found:
            continue
        ranked = sorted((r["ratio"], name) for name, r in results.items() if is_steady(r))
        worst = ", ".join(f"{name} {ratio:.2f}" for ratio, name in ranked[:WORST])
        behind = sum(ratio < 1 for ratio in found)
        counts = str(behind), str(len(results) - len(found))
        rows.append([family, worst, str(len(found)), f"{geometric_mean(found):.2f}", *counts])
    header = ["family", "least ratios", "rows", "geometric mean", "behind", "disturbed"]
    return lines_of(header, rows)


def drawn(families: dict[str, dict[str, Any]]) -> list[str]:
    """The families of shapes drawn at random: how many rows are ahead, and the others by name."""
    behind = {
        f"{family} {name}": result
        for family, results in families.items()
        for name, result in results.items()
        if is_steady(result) and result["ratio"] < 1
    }
    ranked = sorted(behind.items(), key=lambda item: item[1]["ratio"])
    header = ["row", "Flambeau", "torch", "ratio", "least to greatest"]
    return [
        "## Shapes drawn at random",
        "",
        *family_lines(families),
        "",
        "<details><summary>The rows that are behind</summary>",
        "",
        *lines_of(header, [row_cells(name, result) for name, result in ranked]),
        "",
        "</details>",
    ]


def family_section(family: str, results: dict[str, Any]) -> list[str]:
    """All rows of one family, folded."""
    header = ["row", "Flambeau", "torch", "ratio", "least to greatest"]
    rows = [row_cells(name, result) for name, result in results.items()]
    rows = [cells + [""] * (len(header) - len(cells)) for cells in rows]
    summary_line = f"<details><summary>{family}: all rows</summary>"
    return [summary_line, "", *lines_of(header, rows), "", "</details>"]
