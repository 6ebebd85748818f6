"""Threads of the API: what hangs holds up nobody else."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator

import pytest

from harness import until
from kist.api.shares import OWNER, Caller
from kist.api.workers import Workers

ADA, EVE = "user-1000", "user-1001"
Scene = Callable[[Workers], Awaitable[None]]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def play(scene: Scene, gate: threading.Event, most: int = 8) -> None:
    async def run() -> None:
        workers = Workers(most)
        try:
            async with asyncio.timeout(20):
                await scene(workers)
        finally:
            gate.set()
            workers.close(5)

    asyncio.run(run())


class Hanging:
    """Calls that end when a gate opens, and how many of them have a thread."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate
        self._changed = threading.Condition()
        self.begun = 0

    def __call__(self) -> str:
        with self._changed:
            self.begun += 1
            self._changed.notify_all()
        self._gate.wait()
        return "ended"

    async def come_to(self, count: int) -> None:
        await asyncio.to_thread(self._await, count)

    def _await(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun == count, 10)


def test_short_calls_that_hang_hold_no_other_up(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        hanging = Hanging(gate)
        tasks = [asyncio.create_task(workers.run(hanging)) for _ in range(50)]
        await hanging.come_to(50)
        assert await workers.run(lambda: "at once") == "at once"
        gate.set()
        assert await asyncio.gather(*tasks) == ["ended"] * 50

    play(scene, gate)


def test_a_short_call_whose_caller_has_gone_is_not_begun(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        hanging, called = Hanging(gate), threading.Event()
        tasks = [asyncio.create_task(workers.run(hanging)) for _ in range(8)]
        await hanging.come_to(8)
        waits = asyncio.create_task(workers.run(called.set))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait((waits,))
        await asyncio.sleep(0)  # the loop passes the cancellation on in its next turn
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await workers.run(lambda: "after") == "after"
        assert not called.is_set()

    play(scene, gate)


def test_errors_are_raised_where_the_result_is_awaited(gate: threading.Event) -> None:
    def fail() -> None:
        raise ValueError("why")

    async def scene(workers: Workers) -> None:
        for run in (workers.run(fail), workers.run_long(fail), workers.run_for(ADA, fail)):
            with pytest.raises(ValueError, match="why"):
                await run

    play(scene, gate)


def test_one_callers_hanging_calls_leave_room_for_the_others_and_for_the_owner(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        hanging = Hanging(gate)
        of_ada = [asyncio.create_task(workers.run_for(ADA, hanging)) for _ in range(100)]
        await hanging.come_to(4)
        for caller in (EVE, OWNER):
            assert await workers.run_for(caller, lambda: "at once") == "at once"
        assert await workers.run(lambda: "at once") == "at once"
        assert hanging.begun == 4
        gate.set()
        assert await asyncio.gather(*of_ada) == ["ended"] * 100

    play(scene, gate)


def test_a_thread_whose_caller_has_gone_still_takes_its_place(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        hanging = Hanging(gate)
        gone = [asyncio.create_task(workers.run_for(ADA, hanging)) for _ in range(10)]
        await hanging.come_to(4)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        waits = asyncio.create_task(workers.run_for(ADA, lambda: "its turn"))
        assert not (await asyncio.wait((waits,), timeout=0.05))[0]
        gate.set()
        assert await waits == "its turn"
        assert hanging.begun == 4  # those who had gone before their turn were not begun

    play(scene, gate)


def test_a_call_costs_little(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        before = threading.active_count()
        for _ in range(200):
            await workers.run(time.monotonic)
        assert threading.active_count() <= before + 8

    play(scene, gate)


def test_long_calls_one_after_the_other_have_one_thread(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        assert len({await workers.run_long(threading.get_ident) for _ in range(50)}) == 1

    play(scene, gate)


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "api"]


def test_of_many_threads_a_few_stay_and_these_end_with_the_workers(gate: threading.Event) -> None:
    others = set(threads())

    async def scene(workers: Workers) -> None:
        hanging = Hanging(gate)
        tasks = [asyncio.create_task(workers.run_long(hanging)) for _ in range(50)]
        await hanging.come_to(50)
        gate.set()
        await asyncio.gather(*tasks)
        until(lambda: len(set(threads()) - others) == 8)
        assert await workers.run_long(lambda: "again") == "again"

    play(scene, gate)
    until(lambda: not set(threads()) - others)


def test_nothing_of_a_long_call_stays_with_its_thread(gate: threading.Event) -> None:
    class Thing:
        pass

    async def scene(workers: Workers) -> None:
        kept = weakref.WeakSet[Thing]()

        def give() -> Thing:
            made = Thing()
            kept.add(made)
            return made

        def fail(thing: Thing) -> None:
            raise ValueError(thing)

        await workers.run_long(give)
        with pytest.raises(ValueError, match="Thing"):
            await workers.run_long(fail, give())
        while kept:  # until the time is over that a scene may take
            await asyncio.sleep(0.001)  # what the loop itself is at work with has the results yet
            gc.collect()

    play(scene, gate)


def numbered(count: int) -> list[Caller]:
    return [f"user-{1000 + number}" for number in range(count)]


def test_many_users_have_no_more_threads_than_twice_the_places(gate: threading.Event) -> None:
    async def scene(workers: Workers) -> None:
        hanging = Hanging(gate)
        tasks = [asyncio.create_task(workers.run_for(each, hanging)) for each in numbered(100) for _ in range(4)]
        await hanging.come_to(16)
        assert not (await asyncio.wait(tasks, timeout=0.05, return_when=asyncio.FIRST_COMPLETED))[0]
        assert hanging.begun == 16
        gate.set()
        assert await asyncio.gather(*tasks) == ["ended"] * 400

    play(scene, gate)
