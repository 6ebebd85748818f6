"""The words for true and false that Docker takes in options' values (those of Go's ``strconv.ParseBool``)."""

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
