"""``python -m bench.stopwatch``: times command lines as whoever it runs as: JSON in, a line each; seconds out."""

import json
import sys

from bench.measure import CommandError, seconds


def main() -> None:
    for line in sys.stdin:
        try:
            answer: float | str = seconds(json.loads(line))
        except (CommandError, OSError) as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
