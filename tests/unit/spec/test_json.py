"""JSON of names of files, which may be any bytes."""

import json
import os
import subprocess
import sys

import pytest

from kist.spec.files import Change, ChangeKind
from kist.spec.json import decode, encode, encode_escaped, encode_replaced

NAME = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("write", [encode_escaped, encode_replaced])
def test_what_is_unicode_is_written_as_ever(write: object) -> None:
    value = [{"Path": "/café", "Kind": 1}]
    assert write(value) == encode(value)  # type: ignore[operator]


def test_a_name_that_is_none_comes_through() -> None:
    assert json.loads(encode_escaped([{"Path": NAME}])) == [{"Path": NAME}]
    change = Change("/" + NAME, ChangeKind.ADDED)
    assert decode(encode_replaced((change,)), tuple[Change, ...]) == (Change("/caf�", ChangeKind.ADDED),)


CROWD = """
import sys, threading
sys.setswitchinterval(1e-6)
from kist.spec import json
from kist.spec.container import Container
image = "sha256:" + "0" * 64
text = '{"id":"a","name":"n","image_id":"%s","created_at":0,"options":{"image":"x"},"config":{},"argv":[]}' % image
together = threading.Barrier(8)
def read():
    together.wait()
    json.decode(text, Container)
    json.convert({"image": "x"}, type(json.decode(text, Container).options))
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_many_threads_meet_a_class_at_once() -> None:
    """msgspec 0.22 crashes where two threads decode a class that neither has met before."""
    done = [subprocess.run([sys.executable, "-c", CROWD], capture_output=True, check=False) for _ in range(5)]
    assert [(each.returncode, each.stderr) for each in done] == [(0, b"")] * 5
