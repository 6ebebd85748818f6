"""What builds have in common with those before them."""

from kist.build.recent import _MOST, Recent, key_of
from kist.errors import NotFound


class Room:
    """Answers questions, and counts what is made of them."""

    def __init__(self) -> None:
        self.recent = Recent[str]()
        self.answers = {"a": "1", "b": "2"}
        self.asked: list[str] = []
        self.made = 0

    def ask(self, name: str) -> str:
        self.asked.append(name)
        if name not in self.answers:
            raise NotFound(name)
        return self.answers[name]

    def get(self, key: bytes = b"key", *names: str) -> str:
        def make(ask: object) -> str:
            assert callable(ask)
            self.made += 1
            found = []
            for name in names or ("a", "b"):
                try:
                    found.append(str(ask(name)))
                except NotFound:
                    found.append("none")
            return " ".join(found)

        self.asked.clear()
        return self.recent.get(key, (self.ask,), make)


def test_what_follows_from_the_same_is_made_once_and_asks_each_time() -> None:
    room = Room()
    assert [room.get(), room.get()] == ["1 2", "1 2"]
    assert (room.made, room.asked) == (1, ["a", "b"])


def test_another_answer_makes_it_anew() -> None:
    room = Room()
    room.get()
    room.answers["b"] = "3"
    assert (room.get(), room.made) == ("1 3", 2)
    room.answers["b"] = "2"
    assert (room.get(), room.made) == ("1 2", 3)


def test_an_answer_that_is_not_given_any_more_is_another_one() -> None:
    room = Room()
    room.get()
    del room.answers["a"]
    assert (room.get(), room.made) == ("none 2", 2)
    room.answers["a"] = "4"
    assert (room.get(), room.made) == ("4 2", 3)


def test_another_key_is_another_value_and_old_ones_go() -> None:
    room = Room()
    for number in range(_MOST + 1):
        room.get(b"%d" % number)
    assert room.made == _MOST + 1
    room.get(b"%d" % _MOST)
    assert room.made == _MOST + 1
    room.get(b"0")
    assert room.made == _MOST + 2


def test_what_is_large_is_not_kept() -> None:
    room = Room()
    room.answers["a"] = "x" * (1 << 18)
    assert room.get() == room.get()
    assert room.made == 2


def test_a_key_has_every_byte_of_a_line_and_no_other_one() -> None:
    lines = [("# caf\udce9",), ("# caf\udce8",), (r"# caf\udce9",), ("# caf\ufffd",), ("# caf", "\udce9")]
    assert len({key_of(line, 1) for line in lines}) == len(lines)
    assert key_of(lines[0], 1) == key_of(tuple(lines[0]), 1)


def test_a_value_of_any_bytes_is_kept() -> None:
    room = Room()
    room.answers["a"] = "caf\udce9"
    assert [room.get(), room.get(), str(room.made)] == ["caf\udce9 2", "caf\udce9 2", "1"]
