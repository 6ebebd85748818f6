"""Options of Docker's that are known and not there yet: they say so instead of being unknown."""

from kist.cli.option import Option
from kist.errors import Unsupported


def _format(_text: str) -> str:
    raise Unsupported("--format is not supported yet", hint="use -q for ids, or 'kist inspect' for all details as JSON")


def _filter(_text: str) -> str:
    raise Unsupported("--filter is not supported yet", hint="filter the table with grep")


FORMAT = Option("--format", "Go template of the output (not supported yet)", "TEMPLATE", parse=_format, hidden=True)
FILTER = Option("-f --filter", "Condition (not supported yet)", "NAME=VALUE", parse=_filter, hidden=True)
