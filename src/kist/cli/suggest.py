"""The nearest known word to one that is unknown."""

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


def edit_distance(a: str, b: str) -> int:
    """The insertions, deletions, changes and swaps of neighbours that turn ``a`` into ``b``."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, row = row, current
    return row[-1]
