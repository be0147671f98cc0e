"""Draws the sweep: a panel per family, a point per row.

    draw(figures["families"], Path("docs/performance.svg"), is_steady)

Across: how long torch takes for the row, which is its size in the unit that matters. Upwards: how
many times faster Flambeau is. Points below the line at 1 are behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

AHEAD, BEHIND = "#2a6f97", "#c1440e"


def draw(
    families: dict[str, dict[str, Any]], target: Path, steady: Callable[[dict[str, Any]], bool]
) -> None:
    """Writes the picture of the steady rows; its format follows from the name."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"svg.hashsalt": "flambeau", "svg.fonttype": "none"})
    columns = min(3, len(families))
    lines = math.ceil(len(families) / columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(4 * columns, 2.6 * lines), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(families) :]:
        panel.set_visible(False)
    for panel, (family, results) in zip(panels.flat, families.items()):
        points = [(r["theirs"] * 1e6, r["ratio"]) for r in results.values() if steady(r)]
        panel.axhline(1.0, color="0.5", linewidth=1)
        colors = [AHEAD if ratio >= 1 else BEHIND for _, ratio in points]
        panel.scatter([x for x, _ in points], [y for _, y in points], s=14, c=colors)
        panel.set(xscale="log", yscale="log", title=family)
        ratios = [y for _, y in points] or [1.0]
        panel.set_ylim(min(0.5, 0.8 * min(ratios)), max(2.0, 1.25 * max(ratios)))
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.grid(which="both", color="0.92")
    figure.supxlabel("time in torch, microseconds")
    figure.supylabel("times faster than torch")
    metadata = {"Date": None} if target.suffix == ".svg" else {}
    figure.savefig(target, dpi=120, metadata=metadata)
    plt.close(figure)
