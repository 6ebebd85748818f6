"""``python -m kist.cli``."""

from kist.cli import main

main()
