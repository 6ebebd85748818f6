"""Values with a grammar of their own, one module for each subject; imported when an option that has one is given.

Every parser takes the text of one option and gives what the create body holds for it, or raises ValueError that says
what is allowed; ``kist.cli.parser`` puts the option's name and the text before it.
"""
