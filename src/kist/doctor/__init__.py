"""What this machine has for containers, what each lack costs, and what mends it: ``kist doctor`` (ring 2).

``looking`` finds facts, ``judgement`` makes findings of them and is pure, ``distribution`` knows what things are called
where. Nothing is started and nothing stays behind: it is for machines on which no engine starts.
"""

from kist.doctor.checks import CHECKS, Check, Sight, examine
from kist.doctor.facts import EngineAnswer
from kist.doctor.finding import BROKEN, LACKING, OK, Finding

__all__ = ["BROKEN", "CHECKS", "LACKING", "OK", "Check", "EngineAnswer", "Finding", "Sight", "examine"]
