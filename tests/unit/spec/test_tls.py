"""Two ends of TLS, without a network between them: what ends a stream, and what only ends the network."""

import ssl
from pathlib import Path

import pytest

import certificates
from kist.spec.tls import CutOff, TlsEnd


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def ends(files: Path, request: pytest.FixtureRequest) -> tuple[TlsEnd, TlsEnd]:
    """A client's and a server's, before the handshake."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(files / "server-cert.pem", files / "server-key.pem")
    ours = ssl.create_default_context(cafile=str(files / "ca.pem"))
    ours.maximum_version = request.param
    return TlsEnd(ours, server=False, name="localhost"), TlsEnd(theirs, server=True)


def carry(one: TlsEnd, other: TlsEnd) -> None:
    if data := one.leaving():
        other.arrived(data)


def shake(one: TlsEnd, other: TlsEnd) -> None:
    done = [False, False]
    while not all(done):
        done[0] = one.shake()
        carry(one, other)
        done[1] = other.shake()
        carry(other, one)


def test_a_direction_ends_where_the_other_end_says_so(ends: tuple[TlsEnd, TlsEnd]) -> None:
    one, other = ends
    shake(one, other)
    other.write(b"all")
    other.say_end()
    carry(other, one)
    one.arrived(b"")
    assert [one.read(), one.read()] == [b"all", b""]


def test_the_networks_end_alone_is_none(ends: tuple[TlsEnd, TlsEnd]) -> None:
    one, other = ends
    shake(one, other)
    other.write(b"a part")
    carry(other, one)
    one.arrived(b"")
    assert one.read() == b"a part"
    with pytest.raises(CutOff):
        one.read()


def test_it_is_no_handshake_either(ends: tuple[TlsEnd, TlsEnd]) -> None:
    for one in ends:
        assert not one.shake()
        one.arrived(b"")
        with pytest.raises(CutOff):
            one.shake()
