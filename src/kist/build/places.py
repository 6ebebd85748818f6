"""Which line of the Dockerfile each layer of a build is of: the image does not say, so it is noted beside it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress

from kist.build.plan import Plan, Step
from kist.build.result import Result
from kist.spec.digest import Digest
from kist.store import Store


def line_of(plan: Plan) -> Iterator[Step]:
    """The steps that the image stands on, the last first: from its stage down to what that begins with."""
    steps = {step.id: step for step in plan.steps}
    step: Step | None = steps[plan.result]
    while step is not None:
        yield step
        step = steps[step.requires[0]] if step.requires else None


def layer_places(plan: Plan, results: Mapping[str, Result]) -> dict[int, str]:
    """The place of each layer that the build has made or found, by its number from 1; a base's layers have none."""
    found = {}
    for step in line_of(plan):
        if step.requires:
            own, below = len(results[step.id].layers), len(results[step.requires[0]].layers)
            if own > below:
                found[own] = step.place
    return found


def note_places(store: Store, image: Digest, plan: Plan, results: Mapping[str, Result]) -> None:
    """Note the places of an image that was built; no harm where it was removed just now."""
    if places := layer_places(plan, results):
        with suppress(sqlite3.IntegrityError):
            store.places.note(image, places)
