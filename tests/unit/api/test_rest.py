"""An engine at rest."""

import asyncio

from kist.api.rest import Rest, Spaced

QUIET = 0.15


class Engine:
    """Notes how long it had been quiet, each time that something is done about it."""

    def __init__(self) -> None:
        self.rest = Rest(self.settle, QUIET)
        self.stirred = 0.0
        self.quiet: list[float] = []
        self.settled = asyncio.Event()

    async def settle(self) -> None:
        self.quiet.append(asyncio.get_running_loop().time() - self.stirred)
        self.settled.set()

    def stir(self) -> None:
        self.stirred = asyncio.get_running_loop().time()
        self.rest.stir()


def test_after_each_time_of_work_and_not_in_it_something_is_done_once():
    async def live() -> None:
        engine = Engine()
        for _ in range(2):
            for _ in range(5):
                engine.stir()
                await asyncio.sleep(QUIET / 15)
            engine.settled.clear()
            engine.stir()
            await asyncio.wait_for(engine.settled.wait(), 10)
            times = len(engine.quiet)
            await asyncio.sleep(3 * QUIET)
            assert len(engine.quiet) == times, "nobody has asked for anything"
        assert min(engine.quiet) >= QUIET

    asyncio.run(live())


def test_there_is_no_rest_after_the_end():
    async def live() -> None:
        engine = Engine()
        engine.stir()
        engine.rest.close()
        await asyncio.sleep(3 * QUIET)
        assert engine.quiet == []

    asyncio.run(live())


def test_what_is_asked_for_often_is_done_once_in_a_while():
    async def live() -> None:
        done: list[bool] = []
        spaced = Spaced(done.append, 3 * QUIET)
        for _ in range(5):
            spaced.soon(at_once=False)
        assert done == [False], "the first time it is done now"
        await asyncio.sleep(5 * QUIET)
        assert done == [False, False], "the others have it done once, later"
        spaced.soon(at_once=False)
        spaced.soon(at_once=True)
        assert done == [False, False, True]
        await asyncio.sleep(5 * QUIET)
        assert done == [False, False, True], "that was for who had asked before, too"

    asyncio.run(live())


def test_nothing_is_done_after_the_end():
    async def live() -> None:
        done: list[bool] = []
        spaced = Spaced(done.append, QUIET)
        spaced.soon(at_once=True)
        spaced.soon(at_once=False)
        spaced.close()
        spaced.soon(at_once=True)
        await asyncio.sleep(3 * QUIET)
        assert done == [True]

    asyncio.run(live())
