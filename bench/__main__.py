"""``python -m bench``: measure the rows, print the table, write JSON and a picture to ``bench/results``."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench import report, rows
from bench.engines import Engine, find
from bench.measure import CommandError
from bench.report import Result
from bench.room import run_in_room
from bench.stage import Stage
from bench.things import Things

HERE = Path(__file__).parent


def measure(row: rows.Row, stage: Stage) -> Result:
    """Interleaved, so that a busy minute of the machine falls on all sides alike."""
    samples: dict[str, list[float]] = {}
    failures: dict[str, str] = {}
    rounds = min(row.rounds, 3) if stage.quick else row.rounds
    with row.sides(stage) as sides:
        for turn in range(-1 if row.warm else 0, rounds):
            for side in sides:
                if side.name in failures:
                    continue
                try:
                    value = side.sample()
                except (CommandError, OSError) as error:
                    failures[side.name] = str(error)
                    print(f"  {side.name}: {error}", file=sys.stderr)
                    continue
                if turn >= 0:
                    samples.setdefault(side.name, []).append(value)
    return Result(row, samples, failures)


def start(engines: list[Engine], things: Things) -> list[Engine]:
    """Those that come up and hold the small image."""
    up = []
    for engine in engines:
        try:
            engine.start()
            engine.import_tar(things.busybox)
            up.append(engine)
        except (CommandError, OSError) as error:
            print(f"{engine.name} left out: {error}", file=sys.stderr)
    return up


def bench(options: argparse.Namespace, work: Path, things: Things) -> int:
    found, missing = find(options.peers, work)
    for line in missing:
        print(line, file=sys.stderr)
    engines = start(found, things)
    stage = Stage(engines, things, options.quick, "kist" in options.peers)
    results = []
    try:
        for row in rows.chosen(options.rows):
            print(f"{row.what} …", file=sys.stderr, flush=True)
            try:
                results.append(measure(row, stage))
            except (CommandError, OSError) as error:
                print(f"  the row failed: {error}", file=sys.stderr)
                results.append(Result(row, {}, {"row": str(error)}))
    finally:
        for engine in engines:
            engine.stop()
    report.write(options.output, results, {engine.name: engine.version for engine in engines})
    print(report.table(results))
    picture(results, options.output / "results.svg")
    return 1 if any(held is False for result in results for _, _, held in result.verdicts()) else 0


def picture(results: list[Result], path: Path) -> None:
    """Draw it where the means are there."""
    try:
        from bench.picture import draw  # noqa: PLC0415 - the figures do not need matplotlib
    except ImportError as error:
        print(f"no picture: {error} (script/setup --bench)", file=sys.stderr)
        return
    if draw([result for result in results if not report.is_own(result)], path):
        print(f"picture: {path}")
    from bench import storage_picture  # noqa: PLC0415 - as above

    if storage_picture.draw([result for result in results if report.is_own(result)], path.with_name("storages.svg")):
        print(f"picture: {path.with_name('storages.svg')}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description="Measure Kist beside Docker and Podman.")
    parser.add_argument(
        "--rows",
        nargs="*",
        default=[],
        metavar="ROW",
        help="only these rows: " + ", ".join(row.name for row in rows.ROWS),
    )
    peers = ["kist", "docker", "podman"]
    parser.add_argument("--peers", nargs="*", default=peers, choices=peers, help="only these engines")
    parser.add_argument("--quick", action="store_true", help="few rounds: minutes become seconds")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="directory of the results")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="where the engines' data goes meanwhile")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.exit(2, "script/bench measures the engines as root: run it with sudo\n")
    work = Path(tempfile.mkdtemp(prefix="kist-bench-", dir=options.work))
    try:
        things = Things.make(work, HERE / "results" / "cache")
        return run_in_room(lambda: bench(options, work, things))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
