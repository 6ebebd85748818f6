"""What is hashed beside the work: the digest is that of all bytes in order, and little of it waits."""

import hashlib
import threading

import pytest

from kist.store import hashing
from kist.store.hashing import Hasher


@pytest.mark.parametrize("size", [1, 1000, hashing._WORTH_A_THREAD, 3 * hashing._MOST_WAITING])
@pytest.mark.parametrize("chunk", [100, 64 << 10, 5 << 20])
def test_the_digest_is_that_of_all_bytes_in_order(size: int, chunk: int) -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(0, size, 4))
    hasher = Hasher()
    for begin in range(0, len(data), max(chunk, len(data) // 500)):
        hasher.update(memoryview(data)[begin : begin + max(chunk, len(data) // 500)])
    assert hasher.digest() == "sha256:" + hashlib.sha256(data).hexdigest()


def test_what_is_given_faster_than_it_is_hashed_waits_in_bounds() -> None:
    chunks = hashing._Chunks(hashing._MOST_WAITING)
    given: list[int] = []

    def give() -> None:
        for number in range(100):
            chunks.put(bytes(1 << 20))
            given.append(number)
        chunks.put(None)

    giver = threading.Thread(target=give)
    giver.start()
    while len(given) < hashing._MOST_WAITING >> 20:
        giver.join(0.01)
    most, taken = 0, 0
    while chunks.get() is not None:
        taken += 1
        most = max(most, len(given) - taken)
    giver.join()
    assert taken == 100
    # Those that wait, and the one that the giver has just put beside the one that was taken meanwhile.
    assert most <= (hashing._MOST_WAITING >> 20) + 1


def test_the_smallest_chunks_count_too_and_the_end_is_one() -> None:
    chunks = hashing._Chunks(hashing._MOST_WAITING)
    for item in (b"", None, b"x"):
        chunks.put(item)
    assert chunks.qsize() == 3 * hashing._EACH
    assert [chunks.get() for _ in range(3)] == [b"", None, b"x"]
    assert chunks.empty()
