"""Progress events in Docker's own JSON stream (Engine API, ImageBuild; one object per line)."""

from typing import Any

from kist.spec.json import to_builtins
from kist.spec.progress import (
    CacheKept,
    Event,
    Failed,
    Finished,
    LockRenewed,
    OutputData,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRuns,
    StepStarted,
    Verified,
    Warned,
)
from kist.spec.reference import Reference
from kist.spec.verdict import verdict

EVENTS_TYPE = "application/vnd.kist.events+jsonl"


def write_build_event(event: Event) -> list[dict[str, Any]]:
    """What the classic builder prints for an event: nothing, one object, or several."""
    match event:
        case StepStarted(title=title, number=number, total=total):
            head = f"Step {number}/{total} : " if number else ""
            return [{"stream": f"{head}{title}\n"}]
        case StepOutput(text=text):
            return [{"stream": text}]
        case StepRuns(container=container):
            return [{"stream": f" ---> Running in {_short(container)}\n"}]
        case StepProgress() | CacheKept() | LockRenewed() | OutputData():
            return []
        case Verified():
            return [{"stream": f"{line}\n"} for line in verdict(to_builtins(event))]
        case StepFinished():
            return _write_step_finished(event)
        case Warned(text=text, rule=rule):  # the classic builder has no rules
            return [] if rule else [{"stream": f"[Warning] {text}\n"}]
        case Finished():
            return _write_finished(event)
        case Failed():
            return [write_stream_error(event)]


def _write_step_finished(event: StepFinished) -> list[dict[str, Any]]:
    told = (
        (event.container and not event.error, f"Removed intermediate container {_short(event.container)}"),
        (event.cached and not event.base, "Using cache"),
        (event.result, _short(event.result)),
    )
    return [{"stream": f" ---> {text}\n"} for wanted, text in told if wanted]


def _write_finished(event: Finished) -> list[dict[str, Any]]:
    if not event.image_id:
        return []
    tags = [{"stream": f"Successfully tagged {Reference.parse(name).familiar}\n"} for name in event.references]
    built = {"stream": f"Successfully built {_short(event.image_id)}\n"}
    return [{"aux": {"ID": event.image_id}}, built, *tags]


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12] or digest[:12]


def write_stream_error(event: Failed) -> dict[str, Any]:
    """A failure after the answer's headers were sent; ``code`` is what the client exits with.

    What a command that failed is told by is Docker's sentence and nothing else: clients take it apart.
    """
    message = f"{event.message}\n{event.hint}" if event.hint and event.error != "StepFailed" else event.message
    return {"errorDetail": {"code": event.exit_code, "message": message}, "error": message}


def write_load_event(event: Event) -> list[dict[str, Any]]:
    """An event of a load: how far its layers are, and what was loaded."""
    match event:
        case StepProgress(id=identity, done=done, total=total):
            return [{"status": "Loading layer", "progressDetail": {"current": done, "total": total}, "id": identity}]
        case StepOutput(text=text):
            return [{"stream": text}]
        case Failed():
            return [write_stream_error(event)]
        case _:
            return []


def write_pull_event(event: Event) -> list[dict[str, Any]]:
    """An event of a long verb that makes an image without steps (load, import, bootstrap), in the style of a pull."""
    match event:
        case StepStarted(id=identity, title=title):
            return [{"status": title, "id": identity}]
        case StepProgress(id=identity, done=done, total=total):
            return [{"status": "Working", "progressDetail": {"current": done, "total": total}, "id": identity}]
        case StepFinished(id=identity):
            return [{"status": "Complete", "progressDetail": {}, "id": identity}]
        case StepRuns() | CacheKept() | LockRenewed() | OutputData() | Verified():
            return []
        case StepOutput(text=text) | Warned(text=text):
            return [{"status": text.rstrip("\n")}]
        case Finished(image_id=image_id):
            return [{"status": image_id}]
        case Failed():
            return [write_stream_error(event)]
