"""The Dockerfile language: text to typed instructions, expansion of variables, ``.dockerignore``."""

from kist.spec.dockerfile.expand import expand, expand_text, expand_words
from kist.spec.dockerfile.ignore import Ignore
from kist.spec.dockerfile.instructions import Dockerfile, Instruction, Stage
from kist.spec.dockerfile.parser import parse, parse_trigger
from kist.spec.dockerfile.source import Location, Source, Word

__all__ = [
    "Dockerfile",
    "Ignore",
    "Instruction",
    "Location",
    "Source",
    "Stage",
    "Word",
    "expand",
    "expand_text",
    "expand_words",
    "parse",
    "parse_trigger",
]
