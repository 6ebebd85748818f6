"""Events of a job on their way from its thread to the answer."""

import asyncio
import threading
import time

import pytest

from kist.api import jobs
from kist.errors import Unavailable
from kist.spec.progress import Event, OutputData, StepOutput


def output(number: int) -> StepOutput:
    return StepOutput(str(number), "stdout", "x")


async def read(progress: jobs._Progress) -> list[list[Event]]:
    pieces = []
    while piece := await progress.next():
        pieces.append(piece)
    return pieces


def test_every_event_comes_once_and_in_order() -> None:
    count = 5000

    async def follow() -> list[list[Event]]:
        loop = asyncio.get_running_loop()
        progress = jobs._Progress(loop)

        def work() -> None:
            for number in range(count):
                progress(output(number))
            loop.call_soon_threadsafe(progress.end)

        job = threading.Thread(target=work)
        job.start()
        pieces = await read(progress)
        job.join()
        return pieces

    pieces = asyncio.run(asyncio.wait_for(follow(), 60))
    assert [event for piece in pieces for event in piece] == [output(number) for number in range(count)]
    assert max(map(len, pieces)) <= jobs._MANY


def test_what_follows_shortly_goes_together() -> None:
    async def follow() -> list[list[Event]]:
        progress = jobs._Progress(asyncio.get_running_loop())
        pieces = []
        for first, last in ((0, 5), (5, 25)):
            for number in range(first, last):
                progress(output(number))
                await asyncio.sleep(0)
            pieces.append(await progress.next())
        progress.end()
        return [*pieces, *await read(progress)]

    assert [len(piece) for piece in asyncio.run(follow())] == [5, 20]


def test_what_a_short_job_tells_is_one_piece_and_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_PAUSE", 3600.0)

    async def follow() -> tuple[list[list[Event]], int]:
        loop = asyncio.get_running_loop()
        woken = 0

        def called(*arguments: object) -> None:
            nonlocal woken
            woken += 1
            call(*arguments)

        call = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", called)
        progress = jobs._Progress(loop)
        for number in range(20):
            progress(output(number))
        progress.end()
        pieces = [await progress.next()]
        assert progress.is_over
        return [*pieces, *await read(progress)], woken

    pieces, woken = asyncio.run(follow())
    assert [len(piece) for piece in pieces] == [20]
    assert woken == 0


def test_what_comes_after_a_while_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def follow() -> list[Event]:
        progress = jobs._Progress(asyncio.get_running_loop())
        await asyncio.sleep(2 * jobs._PAUSE)  # the first look has found nothing
        monkeypatch.setattr(jobs, "_PAUSE", 3600.0)
        progress(output(0))
        return await progress.next()

    assert asyncio.run(asyncio.wait_for(follow(), 60)) == [output(0)]


def test_what_is_sent_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_PAUSE", 3600.0)

    async def follow() -> list[list[Event]]:
        progress = jobs._Progress(asyncio.get_running_loop())
        progress(output(0))
        progress(OutputData(0, b"x"))
        pieces = [await progress.next()]
        for number in range(jobs._MANY):
            progress(output(number))
        pieces.append(await progress.next())
        assert not progress.is_over
        progress(output(1))
        progress.end()
        return [*pieces, *await read(progress)]

    began = time.monotonic()
    assert [len(piece) for piece in asyncio.run(follow())] == [2, jobs._MANY, 1]
    assert time.monotonic() - began < 60


def test_a_job_whose_client_has_gone_fails_at_its_next_event_also_when_it_waits_for_room() -> None:
    async def follow() -> BaseException | None:
        progress = jobs._Progress(asyncio.get_running_loop())
        failed: list[BaseException] = []
        full = threading.Event()

        def work() -> None:
            try:
                for number in range(10_000):
                    if number == jobs._MOST_PENDING:
                        full.set()
                    progress(output(number))
            except Unavailable as error:
                failed.append(error)

        job = threading.Thread(target=work)
        job.start()
        full.wait()
        progress.cancel("the client has gone")
        await asyncio.to_thread(job.join)
        return failed[0] if failed else None

    assert "the client has gone" in str(asyncio.run(follow()))
