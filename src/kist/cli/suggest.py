"""The nearest known word to one that is unknown."""

from kist.spec.distance import edit_distance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: "Iterable[str]") -> str:
    """The known word that is most likely meant, empty when none is near enough."""
    limit = max(1, len(word.lstrip("-")) // 3)
    best, best_distance = "", limit + 1
    for candidate in known:
        distance = 1 if _begins(word, candidate) else edit_distance(word, candidate)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best


def _begins(word: str, candidate: str) -> bool:
    return len(word.lstrip("-")) >= 3 and candidate.startswith(word)
