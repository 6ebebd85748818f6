"""The table as a picture: how many times faster, or smaller, Kist is than each of the others."""

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.patches import Rectangle

mpl.use("svg")

from matplotlib import pyplot as plt

from bench.report import Result, number

COLOURS = {"docker": "#2496ed", "podman": "#892ca0", "runc": "#8a8f98", "crun": "#c2a83e"}


def draw(results: list[Result], path: Path) -> bool:
    """A bar for each peer in each row, on a logarithmic axis; False when nothing can be compared yet."""
    bars = [
        (f"{result.row.what}  ({number(medians['kist'])} {result.row.unit})", name, medians[name] / medians["kist"])
        for result in results
        for medians in [result.medians]
        if medians.get("kist", 0) > 0 and result.row.name != "log-memory"  # a difference has no ratio
        for name in COLOURS
        if medians.get(name, 0) > 0
    ]
    if not bars:
        return False
    rows = list(dict.fromkeys(what for what, _, _ in bars))
    figure, axes = plt.subplots(figsize=(9, 0.55 * len(rows) + 1.2), layout="constrained")
    for row, what in enumerate(rows):
        here = [(name, ratio) for label, name, ratio in bars if label == what]
        height = 0.8 / len(here)
        for place, (name, ratio) in enumerate(here):
            y = row - 0.4 + height * (place + 0.5)
            axes.barh(y, math.log10(ratio), height * 0.9, color=COLOURS[name])
            left = ratio < 1
            axes.annotate(
                f"{ratio:.1f}", (math.log10(ratio), y), ((-3 if left else 3), 0), textcoords="offset points",
                va="center", ha="right" if left else "left", fontsize=8,
            )  # fmt: skip
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    ticks = [0.25, 0.5, 1, 2, 5, 10, 20, 50]
    axes.set_xticks([math.log10(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.axvline(0, color="#333", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("times as much as Kist takes (its own figure in brackets)")
    used = dict.fromkeys(name for _, name, _ in bars)
    axes.legend([Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in used], list(used), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
