"""What the engine loads of aiohttp."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kist.api

LOOK = """
import json, sys
import kist.api.http
first = sorted(name for name in sys.modules if name.split(".")[0] == "aiohttp")
import aiohttp
print(json.dumps([first, aiohttp.ClientSession.__name__, aiohttp.hdrs.HOST == "Host"]))
"""
NAMES = {
    "abc": ["AbstractStreamWriter"],
    "web_exceptions": ["HTTPException"],
    "web_protocol": ["RequestHandler", "RequestPayloadError"],
    "web_request": ["BaseRequest"],
    "web_response": ["Response", "StreamResponse"],
    "web_server": ["Server"],
}


def look(**environment: str) -> tuple[list[str], str, bool]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    first, client, header = json.loads(done.stdout)
    return first, client, header


def test_the_server_comes_without_the_client_and_who_wants_that_later_has_the_whole():
    loaded, client, header = look()
    assert "aiohttp.web_protocol" in loaded
    assert not {"aiohttp", "aiohttp.client", "aiohttp.connector"} & {*loaded}
    assert (client, header) == ("ClientSession", True)


def test_an_aiohttp_with_which_that_does_not_work_is_loaded_whole(tmp_path: Path):
    package = tmp_path / "aiohttp"
    package.mkdir()
    init = (
        "from types import SimpleNamespace\nNEEDED = 1\nhdrs = SimpleNamespace(HOST='Host')\nclass ClientSession: ...\n"
    )
    (package / "__init__.py").write_text(init, encoding="ascii")
    for module, names in NAMES.items():
        classes = "".join(f"class {name}: ...\n" for name in names)
        (package / f"{module}.py").write_text(f"from . import NEEDED\n{classes}", encoding="ascii")
    assert look(PYTHONPATH=str(tmp_path)) == (
        ["aiohttp", *(f"aiohttp.{each}" for each in NAMES)],
        "ClientSession",
        True,
    )


def test_nobody_else_in_the_package_imports_it():
    modules = Path(kist.api.__file__).parent.rglob("*.py")
    assert [path.name for path in modules if "from aiohttp" in path.read_text(encoding="utf-8")] == ["http.py"]
