"""Names for containers that were not given one."""

import secrets

_FIRST = (  # noqa: SIM905 - a column of a hundred strings is harder to read
    "able amber apt azure bold brave bright brisk calm candid clear coral crisp deft eager early fair fine "
    "fond frank fresh gentle glad golden grand green happy hardy honest humble jolly keen kind lively loyal "
    "lucid mellow merry mild modest neat nimble noble olive patient plain polite proud quick quiet ready rosy "
    "sage serene silver sincere sober solid spry steady stout sunny swift tidy true vivid warm wise witty "
    "young zesty "
).split()
_SECOND = (  # noqa: SIM905 - the same
    "acorn alder amphora anchor barrel basin basket beacon birch bobbin bonnet bowl box brook bucket cabin "
    "canoe carton casket cedar chest cistern cobble coffer crate creel cruet cup drawer elm fern ferry firkin "
    "flagon flask gable goblet hamper harbour hazel heath hull jar jug keel keg kettle kiln kist lantern "
    "ledge locker loft maple meadow mill moor oak orchard pail pannier pine pocket pouch quay rafter reed "
    "ridge rowan satchel shed sieve silo skiff spruce tankard teal thimble trough trunk tub tun turret urn "
    "valise vase vat willow "
).split()


def invent() -> str:
    """Two words and, as there are few, two digits: ``gentle_rowan_42``."""
    return f"{secrets.choice(_FIRST)}_{secrets.choice(_SECOND)}_{secrets.randbelow(90) + 10}"
