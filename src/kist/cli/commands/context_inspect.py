"""``kist context inspect``."""

from kist.cli.documents import FORMAT, with_template
from kist.cli.option import Command
from kist.client.contexts import DOCKER, Store
from kist.client.endpoint import DEFAULT
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.cli.template import Template

_NOWHERE = "<IN MEMORY>"  # Docker's word for what is not stored


def run(context: "Context", arguments: "Arguments") -> int:
    """Print all of contexts as JSON, or by a template; without names of the one that holds."""
    names = arguments.operands or (context.context_name(),)
    found: list[Any] = []
    code = 0
    for name in names:
        try:
            found.append(_details(context, name))
        except KistError as error:
            context.fail(error)
            code = 1
    if form := arguments.text("format"):
        return with_template(context, form, lambda template: _by_template(context, template, found)) or code
    import json  # noqa: PLC0415 - for the indented form, which the lean one does not have

    context.write_text(json.dumps(found, indent=4, ensure_ascii=False) + "\n")
    return code


def _by_template(context: "Context", template: "Template", found: "list[Any]") -> int:
    from kist.cli.template import typed  # noqa: PLC0415 - for those who ask for a format

    for one in found:
        context.write_text(template.render(typed(one)) + "\n")
    return 0


def _details(context: "Context", name: str) -> "dict[str, Any]":
    if name == DEFAULT:
        endpoint = context.default_endpoint()
        skip = endpoint.tls is not None and not endpoint.tls.verify
        endpoints = {DOCKER: {"Host": endpoint.host, "SkipTLSVerify": skip}}
        return _shown(name, {}, endpoints, {}, _NOWHERE, _NOWHERE)
    stored = Store(context.config).get(name)
    tls = {DOCKER: list(stored.files)} if stored.files else {}
    meta = stored.meta
    return _shown(
        name, meta.get("Metadata") or {}, meta.get("Endpoints") or {}, tls, stored.meta_directory, stored.tls_directory
    )


def _shown(
    name: str, metadata: "Any", endpoints: "Any", tls: "Any", meta_place: str, tls_place: str
) -> "dict[str, Any]":
    return {
        "Name": name,
        "Metadata": metadata,
        "Endpoints": endpoints,
        "TLSMaterial": tls,
        "Storage": {"MetadataPath": meta_place, "TLSPath": tls_place},
    }


COMMAND = Command("context inspect", run, "[CONTEXT...]", options=(FORMAT,))
