import pytest

from kist.kernel.listeners import Listener, parse

TCP = """\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100
   1: 0100007F:1F91 0200007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20
"""
NOBODY6 = "00000000000000000000000000000000:0000"
UDP6 = f" 12: 00000000000000000000000001000000:0035 {NOBODY6} 07 00000000:00000000 00:00000000 00000000 0 0 99 2"


def test_what_listens_is_read_from_the_kernels_tables() -> None:
    assert list(parse("tcp", TCP.splitlines())) == [Listener("tcp", "127.0.0.1", 8080, 4711)]
    (found,) = parse("udp6", [UDP6])
    assert found == Listener("udp", "::1", 53, 99)


@pytest.mark.parametrize(
    ("own", "asked", "holds"),
    [
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::", "0.0.0.0", True),
        ("::1", "0.0.0.0", False),
        ("::1", "::", True),
    ],
)
def test_whose_port_it_is(own: str, asked: str, *, holds: bool) -> None:
    listener = Listener("tcp", own, 80, 1)
    assert listener.holds("tcp", asked, 80) is holds
    assert not listener.holds("udp", asked, 80)
    assert not listener.holds("tcp", asked, 81)
