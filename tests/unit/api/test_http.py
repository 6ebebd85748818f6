"""What the engine loads of aiohttp."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import json, sys
import kist.api.http
first = sorted(name for name in sys.modules if name.split(".")[0] == "aiohttp")
import aiohttp
print(json.dumps([first, aiohttp.ClientSession.__name__, aiohttp.hdrs.HOST == "Host"]))
"""
NAMES = {
    "abc": ["AbstractStreamWriter"],
    "http_exceptions": ["LineTooLong"],
    "http_writer": ["HttpVersion11"],
    "streams": ["EMPTY_PAYLOAD", "StreamReader"],
    "web_exceptions": ["HTTPException"],
    "web_protocol": ["RequestHandler", "RequestPayloadError", "_ErrInfo"],
    "web_request": ["BaseRequest"],
    "web_response": ["Response", "StreamResponse"],
    "web_server": ["Server"],
    "web_ws": ["WSMsgType", "WebSocketResponse"],
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


@pytest.mark.parametrize("asks", ["from . import NEEDED", "import aiohttp\naiohttp.NEEDED"])
def test_an_aiohttp_that_cannot_be_taken_apart_is_loaded_whole(tmp_path: Path, asks: str):
    package = tmp_path / "aiohttp"
    package.mkdir()
    init = (
        "from types import SimpleNamespace\nNEEDED = 1\nhdrs = SimpleNamespace(HOST='Host')\nclass ClientSession: ...\n"
    )
    (package / "__init__.py").write_text(init, encoding="ascii")
    for module, names in NAMES.items():
        classes = "".join(f"class {name}: ...\n" for name in names)
        (package / f"{module}.py").write_text(f"{asks}\n{classes}", encoding="ascii")
    loaded, client, header = look(PYTHONPATH=str(tmp_path))
    assert {*loaded} == {"aiohttp", *(f"aiohttp.{each}" for each in NAMES)}
    assert (client, header) == ("ClientSession", True)


def test_an_engine_that_has_not_been_asked_for_downloads_is_without_the_client():
    code = "import sys, kist.engine, kist.api.app, kist.api.server; kist.engine.Engine; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
