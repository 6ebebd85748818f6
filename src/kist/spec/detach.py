"""The keys that detach from a container, found in what is typed."""

_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}
DEFAULT_KEYS = b"\x10\x11"  # ctrl-p ctrl-q


def parse_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` as the bytes that a terminal sends; empty text for no such keys.

    Raises:
        ValueError: names what is allowed.
    """
    return bytes(_key(word) for word in text.split(",")) if text else b""


def _key(word: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    if word == "DEL":
        return 127
    letter = word.removeprefix("ctrl-")
    if letter != word and len(letter) == 1:
        if letter.isalpha() and letter.isascii():
            return ord(letter.lower()) - ord("a") + 1
        if letter in _CONTROL:
            return _CONTROL[letter]
    raise ValueError("keys are single characters or ctrl-x, with commas between: ctrl-p,ctrl-q")


class DetachKeys:
    """Watches input for the key sequence. A sequence that begins and does not go on is passed through late."""

    __slots__ = ("_keys", "_matched", "detached")

    def __init__(self, keys: bytes = DEFAULT_KEYS) -> None:
        self._keys = keys
        self._matched = 0
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """What of ``data`` (and of a sequence that broke off) goes to the container; ``detached`` ends it."""
        if not self._keys:
            return data
        out = bytearray()
        for byte in data:
            while self._matched and byte != self._keys[self._matched]:
                self._fall_back(out)
            if byte != self._keys[self._matched]:
                out.append(byte)
                continue
            self._matched += 1
            if self._matched == len(self._keys):
                self.detached = True
                break
        return bytes(out)

    def _fall_back(self, out: bytearray) -> None:
        """Let go of the first held key, and keep the longest rest that can still begin the sequence."""
        held = self._keys[: self._matched]
        for drop in range(1, len(held) + 1):
            if self._keys.startswith(held[drop:]):
                out += held[:drop]
                self._matched = len(held) - drop
                return
