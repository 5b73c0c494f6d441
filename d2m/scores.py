"""Every score of a set of dances, those of single dances and those of the set, with bootstrap draws of each."""

from d2m.dance_scores import DANCE_SCORES, Score
from d2m.estimates import Estimate, mean_over_songs
from d2m.samples import Sample
from d2m.set_scores import SET_SCORES, SetScore, of_space
from d2m.yardstick import Yardstick


def score(
    samples: list[Sample], yardstick: Yardstick, seed: int = 0, known: dict[str, Estimate] | None = None
) -> dict[str, Estimate]:
    """Every score of one set of dances, by name. A score that the set has no meaning for has no value but a reason.

    Scores in `known` are not taken again.
    """
    found = {}
    for name, kind in DANCE_SCORES.items():
        if known and name in known:
            found[name] = known[name]
            continue
        values = [(sample.song, kind.measure(sample, yardstick)) for sample in samples]
        found[name] = mean_over_songs([pair for pair in values if pair[1] is not None], kind.lacking, seed)
    for space in yardstick.scale:
        of = {name: estimate for name, estimate in (known or {}).items() if f"({space})" in name}
        found |= of or of_space(samples, yardstick, space, seed)
    return found


def kind(name: str) -> Score | SetScore:
    """What the score `name` is, which way it is better, and its unit."""
    return DANCE_SCORES.get(name) or SET_SCORES[name.split(" (")[0]]


def definitions() -> dict[str, str]:
    """What each score is, in a sentence."""
    return {name: score.definition for name, score in (DANCE_SCORES | SET_SCORES).items()}
