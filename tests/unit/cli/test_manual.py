"""Manual pages: one for each verb, that roff renders without a warning, with every option."""

import shutil
import subprocess

import pytest

from kist.cli.dispatch import load
from kist.cli.manual import pages
from kist.cli.verbs import NAMES, VERBS

PAGES = pages("1.2.3")


def test_every_verb_has_a_page() -> None:
    assert set(PAGES) == {"kist.1", *(f"kist-{verb.replace(' ', '-')}.1" for verb in VERBS)}


def rendered(text: str) -> str:
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    # As man does it; -ww has every warning told.
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=100n", "-P-c", "-P-b", "-P-u", "-P-o"],
        input=text.encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_page_renders_and_is_whole(verb: str) -> None:
    text = " ".join(rendered(PAGES[f"kist-{verb.replace(' ', '-')}.1"]).replace("\u2212", "-").split())
    command = load(verb)
    assert "Kist 1.2.3" in text
    for name in NAMES[verb].names:
        assert f"kist {name}" in text
    for option in command.options:
        if not option.hidden:
            assert all(name in text for name in option.names)
            assert " ".join(option.help.split()) in text
    for line in command.examples:
        assert " ".join(line.split()) in text


def test_the_programs_page_renders() -> None:
    text = rendered(PAGES["kist.1"])
    assert "--host" in text.replace("\u2212", "-")
    for verb in VERBS:
        assert f"kist-{verb.replace(' ', '-')}(1)" in text.replace("\u2212", "-")


def test_man_shows_a_page(tmp_path: "object") -> None:
    if shutil.which("man") is None:
        pytest.skip("needs man")
    page = f"{tmp_path}/kist-run.1"
    with open(page, "w", encoding="utf-8") as file:
        file.write(PAGES["kist-run.1"])
    done = subprocess.run(["man", "--warnings=w", "-l", page], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "SYNOPSIS" in done.stdout
