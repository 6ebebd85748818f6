"""Who has how many places at once."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.api.shares import OWNER, Caller, Shares

ADA, EVE, BOB = "user-1", "user-2", "socket-b"


@pytest.mark.parametrize(
    ("there", "caller", "limit"),
    [
        ((), OWNER, 12),
        ((ADA, EVE), OWNER, 12),
        ((), ADA, 6),
        ((OWNER,), ADA, 6),
        ((ADA,), ADA, 6),
        ((ADA,), EVE, 4),
        ((ADA, EVE), EVE, 4),
        ((ADA, EVE), BOB, 3),
    ],
)
def test_a_share_is_one_of_one_more_than_there_are(there: tuple[Caller, ...], caller: Caller, limit: int) -> None:
    async def run() -> int:
        shares = Shares(12)
        for each in there:
            await shares.take(each)
        return shares.limit(caller)

    assert asyncio.run(run()) == limit


def test_the_first_who_asks_is_the_first_who_has() -> None:
    async def run() -> list[int]:
        shares, order = Shares(2), []

        async def ask(number: int) -> None:
            await shares.take(ADA)
            order.append(number)
            shares.give_back(ADA)

        await shares.take(ADA)
        tasks = [asyncio.create_task(ask(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert (order, shares.waiting(ADA)) == ([], 5)
        shares.give_back(ADA)
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "give", "leave", "yield"]), st.sampled_from([OWNER, ADA, EVE, BOB])),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, most=st.integers(1, 6))
def test_places_are_neither_lost_nor_made(steps: list[tuple[str, Caller]], most: int) -> None:
    async def run() -> None:
        shares = Shares(most)
        held: Counter[Caller] = Counter()
        asking: list[tuple[Caller, asyncio.Task[None]]] = []

        async def ask(caller: Caller) -> None:
            await shares.take(caller)
            held[caller] += 1

        for step, caller in steps:
            if step == "take":
                asking.append((caller, asyncio.create_task(ask(caller))))
            elif step == "give" and held[caller]:
                held[caller] -= 1
                shares.give_back(caller)
            elif step == "leave":
                for who, task in asking:
                    if who == caller:
                        task.cancel()
            else:
                await asyncio.sleep(0)
            assert held[OWNER] <= most
            assert held.total() - held[OWNER] <= 2 * most
        while held.total() or any(not task.done() for _, task in asking):
            await asyncio.sleep(0)
            for caller in [each for each, count in held.items() if count]:
                held[caller] -= 1
                shares.give_back(caller)
        for caller in (OWNER, ADA, EVE, BOB):  # nothing is left of anybody
            assert shares.limit(caller) == (most if caller is OWNER else max(1, most // 2))
            assert not shares.waiting(caller)

    asyncio.run(asyncio.wait_for(run(), 5))
