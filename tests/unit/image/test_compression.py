import bz2
import gzip
import io
import lzma

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import Corrupt
from kist.image.compression import detect, plain

COMPRESSORS = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_the_kind_is_told_by_the_first_bytes(kind):
    assert detect(COMPRESSORS[kind](b"hello" * 100)) == kind


@pytest.mark.parametrize("kind", COMPRESSORS)
@given(data=st.binary(max_size=5000), step=st.integers(1, 3000))
def test_plain_bytes_come_out(kind, data, step):
    stream = plain(io.BytesIO(COMPRESSORS[kind](b"start" + data)))
    found = b""
    while chunk := stream.read(step):
        assert len(chunk) <= step
        found += chunk
    assert found == b"start" + data


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compressed_parts_in_a_row_are_one_stream(kind):
    pack = COMPRESSORS[kind]
    assert plain(io.BytesIO(pack(b"one ") + pack(b"two"))).read() == b"one two"


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damage_is_corrupt(kind, damage):
    data = bytearray(COMPRESSORS[kind](bytes(range(256)) * 50))
    if damage == "cut":
        del data[-9:]
    else:
        data[len(data) // 2] ^= 0xFF
    stream = plain(io.BytesIO(bytes(data)))
    with pytest.raises(Corrupt, match=kind):
        stream.read()


def test_a_short_stream_is_plain():
    assert plain(io.BytesIO(b"BZ")).read() == b"BZ"
