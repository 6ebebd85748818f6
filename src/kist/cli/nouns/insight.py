"""What is in images, as ``kist sbom`` and ``kist image referrers`` list it, from the values of Kist's own paths."""

from kist.cli.listing import Noun
from kist.cli.table import one_line, shorten
from kist.cli.units import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.listing import Row, View

_BY_WIDTH = 60


def step_text(step: "dict[str, Any]") -> str:
    """A layer by what made it: the line of the Dockerfile where it is known, and the step."""
    by = one_line(str(step.get("created_by", ""))).removeprefix("/bin/sh -c #(nop) ").strip()
    return "  ".join(filter(None, (str(step.get("place", "")), by))) or "(nothing says what made it)"


def _by(row: "Row", view: "View") -> str:
    return step_text(row["step"]) if view.whole_text else shorten(step_text(row["step"]), _BY_WIDTH)


def _of(name: str) -> "Any":
    return lambda row, _view: one_line(str(row["package"].get(name, "")))


PACKAGE = Noun(
    "a package",
    {
        "Type": ("TYPE", _of("type")),
        "Name": ("NAME", _of("name")),
        "Version": ("VERSION", _of("version")),
        "Architecture": ("ARCHITECTURE", _of("architecture")),
        "Source": ("SOURCE", _of("source")),
        "Licence": ("LICENCE", _of("licence")),
        "Path": ("PATH", _of("path")),
        "Size": ("SIZE", lambda row, _view: size(row["package"]["size"]) if row["package"].get("size") else ""),
        "Layer": ("LAYER", lambda row, _view: str(row["layer"])),
        "CreatedBy": ("CREATED BY", _by),
        "PURL": ("PURL", lambda row, _view: str(row["purl"])),
    },
    ("Type", "Name", "Version", "Layer", "CreatedBy"),
    identity="PURL",
)


def _digest(row: "Row", view: "View") -> str:
    text = str(row["digest"])
    return text if view.whole_text else text.removeprefix("sha256:")[:12]


REFERRER = Noun(
    "a referrer",
    {
        "Digest": ("DIGEST", _digest),
        "ArtifactType": ("TYPE", lambda row, _view: one_line(str(row["artifact_type"]))),
        "Size": ("SIZE", lambda row, _view: size(row["content_size"])),
        "Title": ("TITLE", lambda row, _view: one_line(row.get("annotations", {}).get(_TITLE, ""))),
        "Content": ("CONTENT", lambda row, _view: str(row["content"])),
    },
    ("Digest", "ArtifactType", "Size", "Title"),
    identity="Digest",
)
_TITLE = "org.opencontainers.image.title"
