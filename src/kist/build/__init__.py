"""Dockerfile to image: plan, cache keys, execution."""
