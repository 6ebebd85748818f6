"""Dockerfile to image: plan, cache keys, execution."""

from kist.build.build import build

__all__ = ["build"]
