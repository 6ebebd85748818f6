"""Shell completion: the candidates for the word at the cursor, from the option tables and from the engine.

``kist completion SHELL`` prints what a shell needs; that calls ``kist __complete`` at every press of the key. It must
be quick, and it starts no engine: where none runs, there are no names of objects.
"""

from kist.cli.completion.answer import complete, in_bash

__all__ = ["complete", "in_bash"]
