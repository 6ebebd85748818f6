"""Words within messages."""

import json


def quoted(text: str) -> str:
    """In double quotes, as Go's ``%q`` has it."""
    return json.dumps(text, ensure_ascii=False)
