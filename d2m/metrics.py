"""Measures of dances: arrays in, floats out, every one beside its controls (`evaluate`).

Definitions (section 4.2 of the paper, and DESIGN section 6):

    beat coverage       kinematic beats / music beats
    beat hit rate       kinematic beats within `TOLERANCE_S` of a music beat / kinematic beats; also at the seams
                        between movements (within a quarter of a beat of one) and away from them
    beat F1             mir_eval's, with the same tolerance, first seconds not trimmed
    Frechet distance    between Gaussians fitted to feature vectors (Heusel et al. 2017)
    kernel distance     unbiased squared MMD, cubic kernel (Binkowski et al. 2018): for few samples
    diversity           mean distance between feature vectors of dances to different songs
    multimodality       the same between dances to one song
    boundary jump       step at a seam / median step inside; 1 is right, 0 is a repeated frame
    bone variation      standard deviation over mean of each bone's length, averaged over the bones
    foot sliding        mean horizontal speed of ankles that stand, m/s
    freeze share        share of frames no faster than the slowest 1 % of real frames
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import sqrtm

from d2m import pose
from d2m.clock import FPS
from d2m.errors import D2MError

TOLERANCE_S = 0.07
STANDING_M = 0.03  # above ANKLE_HEIGHT: an ankle lower than this stands


@dataclass(frozen=True)
class Sample:
    """One dance as the measures take it. Times are seconds from pose 0."""

    song: str
    style: str
    poses: np.ndarray  # (T, 14, D) metres
    music_beats_s: np.ndarray
    kinematic_beats_s: np.ndarray
    units_s: np.ndarray  # seams between movements; empty for a real dance
    features: np.ndarray  # (K, C) feature vectors of its windows
    judged: str = ""  # the style that the independent classifier sees
    fps: float = FPS


def beat_coverage(music_beats_s, kinematic_beats_s) -> float:
    """Kinematic beats a music beat: 0 without any, and more than 1 where there are more of them."""
    if len(music_beats_s) == 0:
        raise D2MError("the music has no beats", "one at least")
    return len(kinematic_beats_s) / len(music_beats_s)


def hits(music_beats_s, kinematic_beats_s, tolerance_s: float = TOLERANCE_S) -> np.ndarray:
    """Which kinematic beats (k,) have a music beat within `tolerance_s`: bool (k,)."""
    music, kinematic = np.asarray(music_beats_s, dtype=float), np.asarray(kinematic_beats_s, dtype=float)
    if len(music) == 0 or len(kinematic) == 0:
        return np.zeros(len(kinematic), dtype=bool)
    after = np.clip(np.searchsorted(music, kinematic), 1, max(1, len(music) - 1))
    nearest = np.minimum(
        np.abs(kinematic - music[after - 1]), np.abs(kinematic - music[min(1, len(music) - 1) :][after - 1])
    )
    return nearest <= tolerance_s


def at_seams(seams_s, kinematic_beats_s, music_beats_s) -> np.ndarray:
    """Which kinematic beats (k,) lie within a quarter of a music beat of a seam: bool (k,)."""
    if len(music_beats_s) < 2:
        raise D2MError(f"the music has {len(music_beats_s)} beats", "two at least")
    return hits(seams_s, kinematic_beats_s, float(np.median(np.diff(music_beats_s))) / 4)


def beat_distances(music_beats_s, kinematic_beats_s) -> np.ndarray:
    """How far each kinematic beat is from the nearest music beat, in beats: (k,) in [-0.5, 0.5], negative when early.

    Kinematic beats before the first and after the last music beat are left out.
    """
    music, kinematic = np.asarray(music_beats_s, dtype=float), np.asarray(kinematic_beats_s, dtype=float)
    if len(music) < 2:
        raise D2MError(f"the music has {len(music)} beats", "two at least")
    inside = kinematic[(kinematic >= music[0]) & (kinematic <= music[-1])]
    place = np.interp(inside, music, np.arange(len(music)))
    return place - np.round(place)


def beat_f1(music_beats_s, kinematic_beats_s, tolerance_s: float = TOLERANCE_S) -> float:
    """F1 of kinematic beats against music beats as mir_eval pairs them, in [0, 1]; 0 where either has none."""
    import mir_eval

    music, kinematic = np.asarray(music_beats_s, dtype=float), np.asarray(kinematic_beats_s, dtype=float)
    if len(music) == 0 or len(kinematic) == 0:
        return 0.0
    return float(mir_eval.beat.f_measure(music, kinematic, f_measure_threshold=tolerance_s))


def gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (C,) and covariance (C, C) of feature vectors (n, C), n >= 2."""
    features = _finite(features, 2)
    return features.mean(axis=0), np.cov(features, rowvar=False).reshape(features.shape[1], features.shape[1])


def frechet_distance(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Squared 2-Wasserstein distance of two Gaussians (mean, covariance): 0 for equal ones.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), the trace of the root from the eigenvalues of C1^1/2 C2 C1^1/2, which
    stay real where a covariance has no full rank.
    """
    (mean1, cov1), (mean2, cov2) = first, second
    root = np.real(sqrtm(cov1 + 1e-10 * np.eye(len(cov1))))
    values = np.linalg.eigvalsh(root @ cov2 @ root)
    trace = np.trace(cov1) + np.trace(cov2) - 2 * np.sqrt(np.maximum(values, 0)).sum()
    return float(max(0.0, np.square(mean1 - mean2).sum() + trace))


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of (n, C) and (m, C), kernel (x.y / C + 1)^3: 0 for equal laws."""
    first, second = _finite(first, 2), _finite(second, 2)
    kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3  # noqa: E731
    within = sum(
        (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(first, first), kernel(second, second))
    )
    return float(within - 2 * kernel(first, second).mean())


def mean_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean Euclidean distance between the vectors of (n, C) and (m, C)."""
    return float(np.linalg.norm(_finite(first, 1)[:, None] - _finite(second, 1)[None], axis=-1).mean())


def diversity(samples: list[Sample]) -> float:
    """Mean feature distance between dances (their mean vectors) to different songs."""
    return _pairwise(samples, same_song=False)


def multimodality(samples: list[Sample]) -> float:
    """Mean feature distance between dances (their mean vectors) to one song."""
    return _pairwise(samples, same_song=True)


def boundary_jump(poses: np.ndarray, seams_s, fps: float = FPS, order: int = 1) -> float:
    """Mean joint step across the seams / the median step elsewhere; `order` 2: of velocities instead of positions."""
    steps = np.linalg.norm(np.diff(poses, n=order, axis=0), axis=-1).mean(axis=1)
    # A movement begins at the end of the step that crosses its seam.
    seam = np.unique(np.floor(np.asarray(seams_s) * fps - 0.5).astype(int) - (order - 1))
    seam = seam[(seam >= 0) & (seam < len(steps))]
    inside = np.delete(steps, seam)
    if len(seam) == 0 or len(inside) == 0 or np.median(inside) == 0:
        raise D2MError("a jump cannot be measured", "seams inside a dance that moves")
    return float(steps[seam].mean() / np.median(inside))


def bone_variation(poses: np.ndarray) -> float:
    """Standard deviation over mean of each bone's length, averaged over the bones; 0 for a rigid body."""
    lengths = pose.bone_lengths(_finite(poses, 2))
    return float((lengths.std(axis=0) / lengths.mean(axis=0)).mean())


def foot_sliding(poses: np.ndarray, fps: float = FPS) -> float:
    """Mean horizontal speed in m/s of ankles while they stand (3D): lower than `STANDING_M` above a standing foot's
    height in two frames on end; 0 where none stands."""
    ankles = _finite(poses, 2)[:, (pose.R_ANKLE, pose.L_ANKLE)]
    low = ankles[..., 1] < pose.ANKLE_HEIGHT + STANDING_M
    speed = np.linalg.norm(np.diff(ankles[..., ::2], axis=0), axis=-1) * fps
    standing = low[1:] & low[:-1]
    return float(speed[standing].mean()) if standing.any() else 0.0


def joint_speed(poses: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Mean joint speed of each frame after the first (T - 1,) in m/s."""
    return np.linalg.norm(np.diff(_finite(poses, 2), axis=0), axis=-1).mean(axis=1) * fps


def freeze_share(poses: np.ndarray, threshold: float, fps: float = FPS) -> float:
    """Share of frames whose mean joint speed is at most `threshold` m/s."""
    return float((joint_speed(poses, fps) <= threshold).mean())


def bootstrap(values: dict[str, list[float]], draws: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """Mean over songs of `values` (song -> numbers), and the 95 % interval of that mean when songs are drawn anew."""
    means = np.array([np.mean(numbers) for numbers in values.values() if len(numbers)])
    if len(means) == 0:
        raise D2MError("there is nothing to average", "one song at least")
    drawn = np.random.default_rng(seed).integers(len(means), size=(draws, len(means)))
    low, high = np.percentile(means[drawn].mean(axis=1), (2.5, 97.5))
    return float(means.mean()), float(low), float(high)


def score(samples: list[Sample], reference: list[Sample], slow: float, seed: int = 0, draws: int = 50) -> dict:
    """Every score of one set of dances against real `reference` ones: {score: {value, low, high, n}}.

    `slow` (m/s) is the threshold of the freeze share. Values are means over songs with a bootstrap interval over songs;
    a score that this set has no meaning for (seams of a real dance) has value None and a reason.
    """
    if not samples or not reference:
        raise D2MError(f"{len(samples)} dances and {len(reference)} real ones", "one of each at least")
    found = {}
    for name, (measure, lacking) in _per_dance(slow).items():
        by_song: dict[str, list[float]] = {}
        for sample in samples:
            if (value := measure(sample)) is not None:
                by_song.setdefault(sample.song, []).append(value)
        if by_song:
            value, low, high = bootstrap(by_song, seed=seed)
            found[name] = {"value": value, "low": low, "high": high, "n": sum(map(len, by_song.values()))}
        else:
            found[name] = {"value": None, "low": None, "high": None, "n": 0, "reason": lacking}
    return found | _of_sets(samples, reference, seed, draws)


def evaluate(dances: list[Sample], controls: dict[str, list[Sample]], reference: list[Sample], seed: int = 0) -> dict:
    """The table of d2m: {score: {value, low, high, n, controls: {name: {value, low, high, n}}}}.

    `reference` are real training dances; `controls` may hold any sets and must hold "real", unseen real dances. Each
    set goes through the same `score`. Raises `D2MError` where a set is too small or not a number.
    """
    if not controls.get("real"):
        raise D2MError("the controls hold no real dances", 'a set named "real"')
    slow = float(
        np.percentile(np.concatenate([joint_speed(sample.poses, sample.fps) for sample in controls["real"]]), 1)
    )
    ours = score(dances, reference, slow, seed)
    others = {name: score(samples, reference, slow, seed) for name, samples in controls.items()}
    return {name: row | {"controls": {other: others[other][name] for other in others}} for name, row in ours.items()}


def _per_dance(slow: float) -> dict[str, tuple[Callable[[Sample], float | None], str]]:
    """Scores of one dance, and why one may have none."""

    def rate(sample: Sample, where: str | None = None) -> float | None:
        beats = sample.kinematic_beats_s
        if where is not None:
            if len(sample.units_s) == 0:
                return None
            seam = at_seams(sample.units_s, beats, sample.music_beats_s)
            beats = beats[seam if where == "seam" else ~seam]
        return float(hits(sample.music_beats_s, beats).mean()) if len(beats) else None

    def jump(order: int) -> Callable[[Sample], float | None]:
        moves = lambda s: len(s.units_s) and np.ptp(s.poses, axis=0).any()  # noqa: E731
        return lambda s: boundary_jump(s.poses, s.units_s, s.fps, order) if moves(s) else None

    three = lambda measure: lambda s: measure(s.poses) if s.poses.shape[2] == 3 else None  # noqa: E731
    return {
        "beat coverage": (lambda s: beat_coverage(s.music_beats_s, s.kinematic_beats_s), ""),
        "beat hit rate": (rate, "no kinematic beats"),
        "beat hit rate at seams": (lambda s: rate(s, "seam"), "no seams"),
        "beat hit rate away from seams": (lambda s: rate(s, "away"), "no seams"),
        "beat F1": (lambda s: beat_f1(s.music_beats_s, s.kinematic_beats_s), ""),
        "boundary jump": (jump(1), "no seams, or no motion"),
        "boundary velocity jump": (jump(2), "no seams, or no motion"),
        "bone variation": (three(bone_variation), "2D"),
        "foot sliding": (three(foot_sliding), "2D"),
        "freeze share": (lambda s: freeze_share(s.poses, slow, s.fps), ""),
        "speed": (lambda s: float(joint_speed(s.poses, s.fps).mean()), ""),
        "style consistency": (lambda s: float(s.judged == s.style) if s.judged else None, "not judged"),
    }


def _of_sets(samples: list[Sample], reference: list[Sample], seed: int, draws: int) -> dict:
    """Scores of a whole set; intervals by drawing its songs anew, style by style."""
    by_song: dict[str, list[Sample]] = {}
    of_style: dict[str, list[str]] = {}
    for sample in samples:
        if sample.song not in by_song:
            of_style.setdefault(sample.style, []).append(sample.song)
        by_song.setdefault(sample.song, []).append(sample)
    real = np.concatenate([sample.features for sample in reference])
    real_gaussian = gaussian(real)
    stacked = lambda chosen: np.concatenate([sample.features for sample in chosen])  # noqa: E731
    rng, groups = np.random.default_rng(seed), list(by_song.values())
    # Drawn style by style: a draw that lacks a style would tell of that and not of the dances.
    drawn = [
        [by_song[songs[i]] for songs in of_style.values() for i in rng.integers(len(songs), size=len(songs))]
        for _ in range(draws)
    ]
    measures: dict[str, tuple[Callable, str]] = {
        "Frechet distance": (lambda chosen: frechet_distance(gaussian(stacked(chosen)), real_gaussian), ""),
        "kernel distance": (lambda chosen: kernel_distance(stacked(chosen), real), ""),
        "diversity": (diversity, "one song"),
    }
    found = {}
    for name, (measure, lacking) in measures.items():
        possible = [[sample for group in songs for sample in group] for songs in [groups, *drawn]]
        if lacking:  # a draw of one song alone has no two to compare
            possible = [chosen for chosen in possible if len({sample.song for sample in chosen}) > 1]
        if not possible:
            found[name] = {"value": None, "low": None, "high": None, "n": len(samples), "reason": lacking}
            continue
        values = [measure(chosen) for chosen in possible]
        low, high = np.percentile(values[1:] or values, (2.5, 97.5))
        found[name] = {"value": values[0], "low": float(low), "high": float(high), "n": len(samples)}
    of_songs = {song: [multimodality(group)] for song, group in by_song.items() if len(group) > 1}
    value, low, high = bootstrap(of_songs, seed=seed) if of_songs else (None, None, None)
    found["multimodality"] = {"value": value, "low": low, "high": high, "n": len(samples)}
    if not of_songs:
        found["multimodality"]["reason"] = "one dance a song"
    return found


def _pairwise(samples: list[Sample], same_song: bool) -> float:
    means = [(sample.song, _finite(sample.features, 1).mean(axis=0)) for sample in samples]
    found = [
        np.linalg.norm(a - b)
        for number, (song, a) in enumerate(means)
        for other, b in means[number + 1 :]
        if (song == other) == same_song
    ]
    if not found:
        raise D2MError(
            "no two dances can be compared", "two dances to one song" if same_song else "dances to two songs"
        )
    return float(np.mean(found))


def _finite(values: np.ndarray, fewest: int) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if len(values) < fewest:
        raise D2MError(f"{len(values)} rows are given", f"{fewest} at least")
    if not np.isfinite(values).all():
        raise D2MError("a value is not finite", "numbers")
    return values
