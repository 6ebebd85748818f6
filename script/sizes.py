"""Sizes of files and functions beside the ceilings that CONTRIBUTING names: a smell detector, not a law."""

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Ceilings:
    """What a list of sizes is held beside: its median, its ninth decile, its largest; in lines."""

    what: str
    median: int
    most: int
    ceiling: int


FILES = Ceilings("files", 150, 400, 600)
FUNCTIONS = Ceilings("functions", 8, 35, 80)


@dataclass(frozen=True)
class Size:
    """A file or function and its number of lines."""

    lines: int
    name: str


def functions(path: Path, text: str) -> Iterator[Size]:
    """Every function and method: lines from ``def`` to its end, without its docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node, clean=False) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield Size(lines, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")


def report(ceilings: Ceilings, sizes: list[Size]) -> list[str]:
    """Three figures and what is over the ceiling."""
    if not sizes:
        return []
    lines = sorted(size.lines for size in sizes)
    median, most = int(statistics.median(lines)), lines[min(len(lines) - 1, len(lines) * 9 // 10)]
    verdicts = [
        f"{word} {value}{f' (over {limit})' if value > limit else ''}"
        for word, value, limit in (
            ("median", median, ceilings.median),
            ("nine in ten under", most + 1, ceilings.most + 1),
            ("largest", lines[-1], ceilings.ceiling),
        )
    ]
    over = sorted((size for size in sizes if size.lines > ceilings.ceiling), key=lambda size: -size.lines)
    return [
        f"sizes: {len(lines)} {ceilings.what}, lines: {', '.join(verdicts)}",
        *(f"  over {ceilings.ceiling}: {size.name} ({size.lines})" for size in over),
    ]


def main() -> int:
    files: list[Size] = []
    parts: list[Size] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 1:  # an empty __init__.py would make the median look good
            files.append(Size(text.count("\n"), str(path.relative_to(ROOT))))
            parts += functions(path, text)
    print("\n".join([*report(FILES, files), *report(FUNCTIONS, parts)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
