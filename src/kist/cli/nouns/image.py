"""Images as ``kist images`` and ``kist history`` list them, from the JSON of ``GET /images/json`` and ``…/history``."""

from kist.cli.listing import Noun
from kist.cli.nouns.container import label
from kist.cli.table import one_line, shorten
from kist.cli.units import ago, moment, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.listing import Row, View

NONE = "<none>"
_STEP_WIDTH = 45


def rows(image: "dict[str, Any]", *, digests: bool) -> "Iterator[dict[str, Any]]":
    """One row for each name of an image: its JSON with ``repository``, ``tag`` and (when they are shown) ``digest``."""
    known: dict[str, str] = dict(text.partition("@")[::2] for text in image.get("RepoDigests") or ())
    tagged = [text.rpartition(":")[::2] for text in image.get("RepoTags") or ()]
    if not tagged:
        tagged = [(name, NONE) for name in known] if digests and known else [(NONE, NONE)]
    for repository, tag in tagged:
        yield {**image, "repository": repository, "tag": tag, "digest": known.get(repository, NONE)}


def _id(row: "Row", view: "View") -> str:
    identity = str(row["Id"])
    return identity if view.whole_text or identity.startswith("<") else identity.removeprefix("sha256:")[:12]


def _since(row: "Row", view: "View") -> str:
    return ago(view.now - row["Created"]) if row["Created"] > 0 else "N/A"


def _at(row: "Row", _view: "View") -> str:
    return moment(row["Created"]) if row["Created"] > 0 else "N/A"


def _size(row: "Row", _view: "View") -> str:
    return size(row["Size"])


def _counted(name: str, *, bytes_: bool) -> "Any":
    """A number that the engine may have left uncounted (-1)."""

    def show(row: "Row", _view: "View") -> str:
        value = row.get(name, -1)
        return "N/A" if value < 0 else size(value) if bytes_ else str(value)

    return show


def _unique(row: "Row", _view: "View") -> str:
    shared = row.get("SharedSize", -1)
    return "N/A" if shared < 0 else size(row["Size"] - shared)


IMAGE = Noun(
    "an image",
    {
        "ID": ("IMAGE ID", _id),
        "Repository": ("REPOSITORY", lambda row, _view: row["repository"]),
        "Tag": ("TAG", lambda row, _view: row["tag"]),
        "Digest": ("DIGEST", lambda row, _view: row["digest"]),
        "CreatedSince": ("CREATED", _since),
        "CreatedAt": ("CREATED AT", _at),
        "Size": ("SIZE", _size),
        "Containers": ("CONTAINERS", _counted("Containers", bytes_=False)),
        "SharedSize": ("SHARED SIZE", _counted("SharedSize", bytes_=True)),
        "UniqueSize": ("UNIQUE SIZE", _unique),
    },
    ("Repository", "Tag", "ID", "CreatedSince", "Size"),
    methods={"Label": label},
    setting="imagesFormat",
)
WITH_DIGESTS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")


def _by(row: "Row", view: "View") -> str:
    text = one_line(row["CreatedBy"])
    return text if view.whole_text else shorten(text, _STEP_WIDTH)


STEP = Noun(
    "a step of an image",
    {
        "ID": ("IMAGE", _id),
        "CreatedSince": ("CREATED", _since),
        "CreatedAt": ("CREATED AT", _at),
        "CreatedBy": ("CREATED BY", _by),
        "Size": ("SIZE", _size),
        "Comment": ("COMMENT", lambda row, _view: one_line(row.get("Comment") or "")),
    },
    ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
)
# With --human=false.
_EXACT = {
    "CreatedSince": ("CREATED AT", lambda row, _view: _rfc3339(row["Created"])),
    "Size": ("SIZE", lambda row, _view: str(row["Size"])),
}
EXACT_STEP = Noun("a step of an image", {**STEP.fields, **_EXACT}, STEP.columns)


def _rfc3339(seconds: int) -> str:
    import time  # noqa: PLC0415 - few ask for it

    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))
    return text[:-2] + ":" + text[-2:] if not text.endswith("+0000") else text[:-5] + "Z"
