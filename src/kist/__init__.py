"""Kist."""
