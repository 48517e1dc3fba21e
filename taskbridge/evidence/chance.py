"""How likely chance alone explains that one side has more than the other. Pure.

The exact test of two rates by the binomial of their sum (Przyborowski and Wilenski, 1940). It holds for three failures
as for three thousand, where the normal approximation would see proof in the second failure of a hundred.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p

#: Terms smaller than this share of their sum are not added any more.
NEGLIGIBLE = 1e-12


def of_more(new: int, of_new: int, old: int, of_old: int, ratio: float = 1.0) -> float:
    """Return how likely the new side has so many or more, were its share ``ratio`` times the old one's.

    Args:
        new, of_new: how many it has, of how many.
        old, of_old: the old side's.
        ratio: how much larger a share is still no matter.
    """
    if not new:
        return 1.0
    return _tail(new, new + old, ratio * of_new / (ratio * of_new + of_old))


def _tail(least: int, trials: int, chance: float) -> float:
    """Return how likely ``least`` or more of the trials succeed, each by this chance."""
    if least <= trials * chance:
        return 1.0  # at least a half, about: no sign of anything
    log_term = lgamma(trials + 1) - lgamma(least + 1) - lgamma(trials - least + 1)
    term = exp(log_term + least * log(chance) + (trials - least) * log1p(-chance))
    total, odds = term, chance / (1 - chance)
    for n in range(least, trials):
        term *= odds * (trials - n) / (n + 1)
        total += term
        if term <= NEGLIGIBLE * total:
            break
    return total
