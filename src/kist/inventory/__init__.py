"""What is in a file tree, as text and bytes say it: databases read, versions compared, bills of materials written.

Everything here takes values and gives values; what goes through layers is ``kist.engine.contents``. All input may have
been written by somebody who means harm: sizes are bounded, and what cannot be read is told and left out.
"""
