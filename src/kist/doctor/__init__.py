"""What this machine has for containers, what each lack costs, and what mends it: ``kist doctor`` (ring 2).

``looking`` finds facts, ``judgement`` makes findings of them and is pure, ``distribution`` knows what things are called
where. Nothing is started and nothing stays behind: it is for machines on which no engine starts.
"""
