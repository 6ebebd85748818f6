"""Dockerfile to image: plan, cache keys, execution."""

from kist.build.build import build, carry_out
from kist.build.delivery import Built

__all__ = ["Built", "build", "carry_out"]
