"""What each storage costs, as a picture: a panel for each row, a bar for each storage."""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from bench.report import Result, number

COLOURS = {"overlay": "#2a6f97", "btrfs": "#d1822b", "copy": "#8a8f98", "loop": "#5b8c5a", "docker": "#2496ed"}


def draw(results: list[Result], path: Path) -> bool:
    """Medians on axes of their own, for the units differ; False when nothing was measured."""
    told = [result for result in results if result.medians]
    if not told:
        return False
    height = 0.26 * max(len(result.medians) for result in told) + 0.9
    figure, panels = plt.subplots(
        (len(told) + 1) // 2, 2, figsize=(10, height * ((len(told) + 1) // 2)), layout="constrained", squeeze=False
    )
    for axes in list(panels.flat)[len(told) :]:
        axes.set_visible(False)
    for axes, result in zip(panels.flat, told, strict=False):
        medians = result.medians
        names = list(medians)
        longest = max(medians.values())
        for place, name in enumerate(names):
            axes.barh(place, medians[name], 0.75, color=COLOURS[name.partition(",")[0]])
            axes.annotate(
                number(medians[name]),
                (medians[name], place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.tick_params(axis="both", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, longest * 1.15)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.set_title(f"{result.row.what}, {result.row.unit}", fontsize=9, loc="left")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
