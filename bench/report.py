"""Results as values, as a table and as JSON."""

import json
import os
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.rows import Row

# Rows whose sides are no engines have a table of their own.
_OWN = "storage-"
COLUMNS = ("kist", "docker", "podman", "runc", "crun")


@dataclass(frozen=True)
class Result:
    """One row's measurements: for each side its samples in the row's unit, or why there are none."""

    row: Row
    samples: dict[str, list[float]]
    failures: dict[str, str]

    @property
    def medians(self) -> dict[str, float]:
        return {name: statistics.median(samples) for name, samples in self.samples.items() if samples}

    def verdicts(self) -> list[tuple[str, str, bool | None]]:
        """For each budget its text, what was measured, and whether it holds (None: not measured)."""
        found = []
        for budget in self.row.budgets:
            value = budget.measured(self.medians)
            if budget.against:
                text = f"<= 1/{1 / budget.limit:g} {budget.against}" if budget.limit < 1 else f"<= {budget.against}"
                shown = "" if value is None else f"1/{1 / value:.1f}" if value < 1 else f"{value:.2f}x"
            else:
                text = f"<= {budget.limit:g} {self.row.unit}"
                shown = "" if value is None else f"{value:.2f}"
            found.append((text, shown, None if value is None else value <= budget.limit))
        return found


def number(value: float) -> str:
    """Three figures at most."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(results: list[Result]) -> str:
    """Markdown that reads as tables in a terminal too."""
    own = [result for result in results if is_own(result)]
    others = [result for result in results if not is_own(result)]
    return "\n\n".join([*([_table(others)] if others else []), *([_own_table(own)] if own else [])])


def is_own(result: Result) -> bool:
    """Whether it stands in a table of its own."""
    return result.row.name.startswith(_OWN)


def _own_table(results: list[Result]) -> str:
    """A line for each side, a column for each row."""
    names = list(dict.fromkeys(name for result in results for name in (*result.samples, *result.failures)))
    lines = [["", *(f"{result.row.what}, {result.row.unit}" for result in results)]]
    lines.append(["---", *(["---:"] * len(results))])
    medians = [result.medians for result in results]
    lines += [[name, *(number(each[name]) if name in each else "!" for each in medians)] for name in names]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(_line(line, widths, range(1, len(widths))) for line in lines)


def _table(results: list[Result]) -> str:
    lines = [["what", "", *COLUMNS, "budget", "measured", ""]]
    lines.append(["---"] * 2 + ["---:"] * len(COLUMNS) + ["---"] * 3)
    for result in results:
        medians = result.medians
        first = [result.row.what, result.row.unit]
        first += [
            number(medians[name]) if name in medians else "!" if name in result.failures else "" for name in COLUMNS
        ]
        for text, shown, held in result.verdicts():
            lines.append([*first, text, shown, "" if held is None else "held" if held else "MISSED"])
            first = [""] * len(first)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(_line(line, widths, range(2, 2 + len(COLUMNS))) for line in lines)


def _line(cells: list[str], widths: list[int], figures: range) -> str:
    """``figures`` are the columns that stand to the right."""
    padded = (
        cell.rjust(width) if column in figures else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def as_json(results: list[Result], versions: dict[str, str]) -> str:
    """All samples, so that anybody can draw another conclusion from them."""
    return json.dumps(
        {
            "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
            "versions": versions,
            "rows": [
                {
                    "name": result.row.name,
                    "what": result.row.what,
                    "unit": result.row.unit,
                    "samples": result.samples,
                    "medians": result.medians,
                    "failures": result.failures,
                    "budgets": [
                        {"budget": text, "measured": shown, "held": held} for text, shown, held in result.verdicts()
                    ],
                }
                for result in results
            ],
        },
        indent=1,
    )


def write(directory: Path, results: list[Result], versions: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(as_json(results, versions) + "\n", encoding="utf-8")
    (directory / "results.md").write_text(table(results) + "\n", encoding="utf-8")
