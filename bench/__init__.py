"""The budgets of Kist, measured beside Docker and Podman on one machine in one run: ``script/bench``."""
