"""The parameter ``platform`` of requests for images: text as people write it, or the JSON of an OCI platform."""

from kist.spec.json import decode
from kist.spec.platform import Platform


def read_platform(text: str) -> Platform | None:
    """The platform that a parameter names; None for an empty one.

    Raises:
        InvalidInput: it names none.
    """
    if not text:
        return None
    return decode(text.encode(), Platform, what="platform") if text.startswith("{") else Platform.parse(text)
