"""What the engine has of aiohttp: its server, without its client.

``import aiohttp`` brings the client, which reads the machine's certificate authorities while it is imported: half of
what an engine's start took, and 6 MB of its memory. So the server's modules are imported while an empty package stands
in for aiohttp's own. With an aiohttp that cannot be taken apart so, all of it is imported here.

Who imports ``aiohttp`` later (the downloads of ``kist bootstrap``) gets the client too, and names what is in a module
by ``from aiohttp.module import``: the package does not know of the modules that came before it.
"""

import importlib.util
import sys
from types import ModuleType

_PACKAGE = "aiohttp"


def _import_server() -> None:
    spec = importlib.util.find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or spec is None or not spec.submodule_search_locations:
        return
    package = ModuleType(_PACKAGE)
    package.__path__ = spec.submodule_search_locations
    package.__version__ = ""  # type: ignore[attr-defined] # for a header that kist.api.call.HEADERS replaces
    sys.modules[_PACKAGE] = package
    try:
        importlib.import_module(f"{_PACKAGE}.web_server")
        importlib.import_module(f"{_PACKAGE}.web_ws")
    except Exception:  # noqa: BLE001 - whatever it is that a later one asks its package for
        for name in [name for name in sys.modules if name.startswith(f"{_PACKAGE}.")]:
            del sys.modules[name]
    finally:
        del sys.modules[_PACKAGE]


_import_server()

# The modules themselves are there by now, and the package is not asked for.
from aiohttp.abc import AbstractStreamWriter  # noqa: E402
from aiohttp.http_exceptions import LineTooLong  # noqa: E402
from aiohttp.http_writer import HttpVersion11  # noqa: E402
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader  # noqa: E402
from aiohttp.web_exceptions import HTTPException  # noqa: E402
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo  # noqa: E402
from aiohttp.web_request import BaseRequest  # noqa: E402
from aiohttp.web_response import Response, StreamResponse  # noqa: E402
from aiohttp.web_server import Server  # noqa: E402
from aiohttp.web_ws import WebSocketResponse, WSMsgType  # noqa: E402

__all__ = [
    "EMPTY_PAYLOAD",
    "AbstractStreamWriter",
    "BaseRequest",
    "HTTPException",
    "HttpVersion11",
    "LineTooLong",
    "RequestHandler",
    "RequestPayloadError",
    "Response",
    "Server",
    "StreamReader",
    "StreamResponse",
    "WSMsgType",
    "WebSocketResponse",
    "_ErrInfo",
]
