"""units: a dance cut at its beats and put back on them is the same dance; every unit has its beats in their places."""

import numpy as np
import pytest

from d2m.clock import FPS, to_frames
from d2m.errors import PoseError
from d2m.motion import units, warp

AMPLITUDE, PERIOD_S = 0.3, 1.0  # metres, seconds: a wrist that swings 60 cm to and fro, once in two beats at 120 BPM
EVEN = 0.31 + 0.5 * np.arange(19)  # anchors between frames
UNEVEN = 0.31 + np.cumsum(np.r_[0, np.tile([0.47, 0.53, 0.51, 0.49, 0.50], 4)[:18]])  # a dancer's gaps, 6 % off


def noise(seconds: float = 12.0) -> np.ndarray:
    """Poses without any smoothness, so that only an exact inverse gives them back."""
    return np.random.default_rng(0).normal(size=(int(seconds * FPS), 14, 3))


def swing(at_s: np.ndarray) -> np.ndarray:
    """Poses (n, 14, 3) that swing, every joint with a phase of its own."""
    phase = np.arange(42).reshape(14, 3)
    return AMPLITUDE * np.sin(2 * np.pi * np.asarray(at_s)[:, None, None] / PERIOD_S + phase)


def reading_error(step_s: float) -> float:
    """Upper bound of the error between samples of a swing that are `step_s` apart."""
    angle = 2 * np.pi / PERIOD_S * step_s
    # A cubic with exact slopes: angle^4 / 384; it adds a quarter of the error of central differences, angle^3 / 6.
    return AMPLITUDE * (angle**4 / 384 + angle**3 / 24)


@pytest.mark.parametrize("kind", ["cubic", "linear"])
@pytest.mark.parametrize("anchors_s", [EVEN, UNEVEN])
def test_cut_then_placed_is_exact_at_the_anchors(anchors_s, kind):
    poses = noise()
    rows = units.to_beat_time(poses, anchors_s)
    assert rows.shape == ((len(anchors_s) - 1) * 8 + 1, 14, 3)
    placed = units.from_beat_time(rows, anchors_s, anchors_s, interpolation=kind)
    # Only rounding: positions to some 1e-14 rows, slopes of this noise of some 5 a row.
    np.testing.assert_allclose(placed, warp.resample(poses, to_frames(anchors_s)), atol=1e-12)


@pytest.mark.parametrize(("anchors_s", "kind"), [(EVEN, "cubic"), (EVEN, "linear"), (UNEVEN, "linear")])
def test_cut_then_placed_is_within_the_error_of_two_readings_in_between(anchors_s, kind):
    # (On uneven anchors the cubic map is smoother than the cut's straight pieces: another time map, no inverse.)
    at_s = np.linspace(anchors_s[1], anchors_s[-2], 2001)
    poses = swing(np.arange(12 * FPS) / FPS)
    placed = units.from_beat_time(units.to_beat_time(poses, anchors_s), anchors_s, at_s, interpolation=kind)
    gaps = np.diff(anchors_s)
    # Frames are read, then rows (which lets the first error through by 5/4 at most: values, and slopes of their
    # differences by a quarter). Where gaps change, the slope at the anchor is that of neither side: its error is half
    # the difference of the two, of which a cubic lets through 4/27.
    kink = 2 * np.pi * AMPLITUDE / PERIOD_S * np.abs(np.diff(gaps)).max() / 8 / 2 * 4 / 27
    bound = reading_error(1 / FPS) * 5 / 4 + reading_error(gaps.max() / 8) + kink
    assert bound < 2 * AMPLITUDE / 100  # so the bound is no more than a hundredth of the swing
    assert np.abs(placed - swing(at_s)).max() <= bound


@pytest.mark.parametrize("kind", ["cubic", "linear"])
def test_placed_on_other_beats_the_anchors_follow_them(kind):
    poses, song_s = noise(), np.array([0.0, 0.4, 0.83, 1.2, 1.6])
    rows = units.to_beat_time(poses, EVEN)
    placed = units.from_beat_time(rows, song_s, song_s, first=16, interpolation=kind)  # 16: the third anchor
    np.testing.assert_allclose(placed, warp.resample(poses, to_frames(EVEN[2:7])), atol=1e-12)


def test_without_a_kind_movements_are_placed_by_the_cubic_map():
    rows, at_s = units.to_beat_time(noise(), UNEVEN), np.linspace(1.0, 8.0, 50)
    linear, cubic = (units.from_beat_time(rows, UNEVEN, at_s, interpolation=kind) for kind in ("linear", "cubic"))
    np.testing.assert_array_equal(units.from_beat_time(rows, UNEVEN, at_s), cubic)
    assert not np.allclose(linear, cubic)


@pytest.mark.parametrize("fps", [FPS, 30.0])
def test_steps_inside_a_beat_are_equal_in_time_at_any_frame_rate(fps):
    clock = np.arange(200.0)[:, None, None] * np.ones((14, 3)) / fps  # poses that tell the time
    rows = units.to_beat_time(clock, np.array([0.31, 1.11, 1.51]), fps)[:, 0, 0]
    np.testing.assert_allclose(np.diff(rows), np.repeat([0.1, 0.05], 8), atol=1e-12)


@pytest.mark.parametrize(
    ("gap", "parts"), [(0.3, 1), (0.5, 1), (0.74, 1), (0.76, 2), (1.0, 2), (1.24, 2), (1.26, 3), (4.0, 8)]
)
def test_a_gap_is_divided_into_the_nearest_number_of_music_beats(gap, parts):
    anchors = units.anchors([1.0, 1.0 + gap], np.arange(0, 8, 0.5))
    np.testing.assert_allclose(anchors.times_s, 1.0 + gap * np.arange(parts + 1) / parts, atol=1e-12)
    assert anchors.detected.tolist() == [True, *[False] * (parts - 1), True] and anchors.detected.dtype == bool


def test_the_length_of_a_music_beat_is_the_local_one():
    slowing = np.r_[np.arange(0, 5, 0.5), np.arange(5, 12, 1.0)]
    assert len(units.anchors([1.0, 3.0], slowing).times_s) == 5
    assert len(units.anchors([8.0, 10.0], slowing).times_s) == 3
    assert len(units.anchors([3.0, 4.0], slowing).times_s) == 3  # the last gap that is all before the change
    assert len(units.anchors([6.0, 8.0], slowing).times_s) == 3  # and one soon after it


def test_seconds_may_be_whole_numbers_of_a_small_type():
    slowing, beats_s = np.r_[np.arange(0, 120, 2), np.arange(120, 240, 4)], np.array([30, 200, 201, 212])
    anchors = units.anchors(beats_s.astype(np.uint8), slowing.astype(np.uint8), [1, 1, 2, 1])  # 200 - 201 would be 255
    expected = units.anchors(beats_s.astype(float), slowing.astype(float), [1, 1, 2, 1])
    np.testing.assert_array_equal(anchors.times_s, expected.times_s)
    assert 201 in anchors.times_s and 200 not in anchors.times_s


def test_of_two_beats_as_strong_the_earlier_one_stays_however_many_there_are():
    every_s = np.arange(1.0, 21.0)
    beats_s = np.stack([every_s, every_s + 0.2, every_s + 0.6], axis=1)  # two that are too near, and one alone
    anchors = units.anchors(beats_s.ravel(), np.arange(0, 24, 0.5), np.tile([2, 2, 1], 20))
    np.testing.assert_array_equal(anchors.times_s, beats_s[:, [0, 2]].ravel())


@pytest.mark.parametrize(("beats_s", "strength", "kept_s"), [
    ([1.0, 1.2, 1.4], None, [1.0, 1.4]), ([1.0, 1.2, 1.4], [1, 2, 1], [1.2]), ([1.0, 1.2, 1.4], [3, 2, 1], [1.0, 1.4]),
    ([1.0, 1.2, 1.4], [1, 1, 2], [1.0, 1.4]), ([1.0, 1.25], None, [1.0, 1.25]),  # just half a music beat apart
    ([], None, []), ([1.0], None, [1.0]),
])  # fmt: skip
def test_of_two_beats_nearer_than_half_a_music_beat_the_stronger_stays(beats_s, strength, kept_s):
    anchors = units.anchors(beats_s, np.arange(0, 8, 0.5), strength)
    assert anchors.times_s.tolist() == kept_s and anchors.detected.tolist() == [True] * len(kept_s)


@pytest.mark.parametrize("music_beats_s", [[], [1.0]])
def test_music_of_two_beats_has_a_beat_length_and_of_fewer_is_refused(music_beats_s):
    assert units.anchors([1.0, 2.0], [0.0, 0.5]).times_s.tolist() == [1.0, 1.5, 2.0]
    with pytest.raises(
        PoseError, match=f"the music has {len(music_beats_s)} beats; expected at least two, for the length of a beat"
    ):
        units.anchors([1.0, 2.0], music_beats_s)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("spare", [-6, -1, 0, 1, 7])
def test_a_sequence_needs_one_anchor_before_and_one_after(length, spare):
    count = 4 * length + 2 + spare
    starts = units.cut(count, length)
    assert len(starts) == max(0, spare + 1)  # one at every anchor that has the room
    rows = np.arange((count - 1) * 8 + 1)
    cut = units.windows(rows, starts, length)
    assert cut.shape == (len(starts), 2 + 32 * length)  # none of it outside the rows, or this raised
    np.testing.assert_array_equal(cut[:, 0], (np.arange(len(starts)) + 1) * 8 - 5)  # 5/8 before its first beat


def test_the_beats_of_a_unit_are_its_frames_3_11_19_and_27():
    poses = noise()
    cut = units.windows(units.to_beat_time(poses, UNEVEN), units.cut(len(UNEVEN)))[:, units.LEAD :]
    assert cut.shape == (14, 32, 14, 3)
    for number, unit in enumerate(cut):
        beats = warp.resample(poses, to_frames(UNEVEN[number + 1 : number + 5]))
        np.testing.assert_allclose(unit[[3, 11, 19, 27]], beats, atol=1e-12)


def test_the_lead_of_a_unit_is_the_end_of_the_unit_before_and_a_sequence_is_its_units_end_to_end():
    rows = np.arange(18 * 8 + 1)
    single, sequences = units.windows(rows, units.cut(19)), units.windows(rows, units.cut(19, 3), 3)
    np.testing.assert_array_equal(single[4:, : units.LEAD], single[:-4, -units.LEAD :])  # four beats later
    for number, whole in enumerate(sequences):
        parts = [single[number], single[number + 4][units.LEAD :], single[number + 8][units.LEAD :]]
        np.testing.assert_array_equal(whole, np.concatenate(parts))
