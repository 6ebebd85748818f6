"""JSON objects of strangers."""

from typing import Any

from kist.errors import InvalidInput
from kist.inventory.failure import Unreadable
from kist.spec import json


def json_object(data: bytes) -> dict[str, Any]:
    """The object that ``data`` spells; a mark of the byte order at its start is none of it.

    Raises:
        Unreadable: it is no JSON object.
    """
    try:
        return json.decode(data.removeprefix(b"\xef\xbb\xbf"), dict[str, Any], what="JSON")
    except InvalidInput as error:
        raise Unreadable(error.message) from None
