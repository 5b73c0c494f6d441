"""Beat scores: kinematic beats compared with music beats. Beats are arrays of seconds, scores are floats.

    beat coverage     kinematic beats / music beats (paper, section 4.2)
    beat hit rate     kinematic beats within `TOLERANCE_S` of a music beat / kinematic beats (paper, section 4.2)
    precision, recall, F1   of mir_eval's one-to-one pairing with the same tolerance; all beats count, the first too
    beat alignment    mean of exp(-d^2 / 2 sigma^2), sigma `SIGMA_S`: over kinematic beats, d to the nearest music beat
                      (Li et al. 2021, FACT), or over music beats, d to the nearest kinematic beat (Siyao et al. 2022)

Random beats do not score 0 but 0.2 to 0.3 on most of these, and more for faster music. Compare with the controls, never
with 0.
"""

import numpy as np

from d2m.errors import D2MError

TOLERANCE_S = 0.07
SIGMA_S = 0.05  # 3 frames at 60 a second, as published


def distances(beats_s, others_s) -> np.ndarray:
    """Seconds (k,) from each of `beats_s` (k,) to the nearest of `others_s` (m,), sorted; infinite if m is 0."""
    beats, others = np.asarray(beats_s, dtype=float), np.asarray(others_s, dtype=float)
    if len(others) == 0:
        return np.full(len(beats), np.inf)
    after = np.searchsorted(others, beats)
    before, after = np.clip(after - 1, 0, None), np.clip(after, None, len(others) - 1)
    return np.minimum(np.abs(beats - others[before]), np.abs(beats - others[after]))


def hits(music_beats_s, kinematic_beats_s, tolerance_s: float = TOLERANCE_S) -> np.ndarray:
    """Whether each kinematic beat (k,) has a music beat within `tolerance_s`: bool (k,)."""
    return distances(kinematic_beats_s, music_beats_s) <= tolerance_s


def at_seams(seams_s, kinematic_beats_s, music_beats_s) -> np.ndarray:
    """Whether each kinematic beat (k,) is at the beginning of a movement: bool (k,).

    It is if its nearest music beat is the first one after a seam; a movement begins 3/8 of a beat before that beat.
    With this definition, random beats at seams are hits as often as random beats elsewhere.
    """
    music, kinematic = np.asarray(music_beats_s, dtype=float), np.asarray(kinematic_beats_s, dtype=float)
    if len(music) < 2:
        raise D2MError(f"the music has {len(music)} beats", "at least 2")
    nearest = np.searchsorted((music[1:] + music[:-1]) / 2, kinematic)
    return np.isin(nearest, np.searchsorted(music, seams_s))


def beat_distances(music_beats_s, kinematic_beats_s) -> np.ndarray:
    """Distance of each kinematic beat from the nearest music beat, in beats: (k,) in [-0.5, 0.5], negative if early.

    Kinematic beats before the first and after the last music beat are left out.
    """
    music, kinematic = np.asarray(music_beats_s, dtype=float), np.asarray(kinematic_beats_s, dtype=float)
    if len(music) < 2:
        raise D2MError(f"the music has {len(music)} beats", "at least 2")
    inside = kinematic[(kinematic >= music[0]) & (kinematic <= music[-1])]
    position = np.interp(inside, music, np.arange(len(music)))
    return position - np.round(position)


def beat_coverage(music_beats_s, kinematic_beats_s) -> float:
    """Kinematic beats / music beats: 0 or more, above 1 if there are more kinematic beats than music beats."""
    if len(music_beats_s) == 0:
        raise D2MError("the music has no beats", "at least 1")
    return len(kinematic_beats_s) / len(music_beats_s)


def precision_recall(music_beats_s, kinematic_beats_s, tolerance_s: float = TOLERANCE_S) -> tuple[float, float]:
    """Pairs / kinematic beats, and pairs / music beats; each beat is in at most one pair. Both are 0 without beats."""
    from mir_eval.util import match_events  # imported here: it takes a second

    if len(music_beats_s) == 0 or len(kinematic_beats_s) == 0:
        return 0.0, 0.0
    pairs = len(match_events(np.asarray(music_beats_s, float), np.asarray(kinematic_beats_s, float), tolerance_s))
    return pairs / len(kinematic_beats_s), pairs / len(music_beats_s)


def beat_f1(music_beats_s, kinematic_beats_s, tolerance_s: float = TOLERANCE_S) -> float:
    """Harmonic mean of `precision_recall`, in [0, 1]; 0 if either list is empty."""
    return harmonic_mean(*precision_recall(music_beats_s, kinematic_beats_s, tolerance_s))


def harmonic_mean(precision: float, recall: float) -> float:
    """Harmonic mean of two shares; 0 if both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def beat_alignment(beats_s, others_s, sigma_s: float = SIGMA_S) -> float:
    """Beat alignment, in [0, 1]: the mean over `beats_s`, each with its nearest of `others_s`; 0 if either is empty."""
    if len(beats_s) == 0:
        return 0.0
    return float(np.exp(-(distances(beats_s, others_s) ** 2) / (2 * sigma_s**2)).mean())
