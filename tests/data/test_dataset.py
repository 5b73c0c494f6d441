"""`d2m.data.dataset`: units and phrases of a dance whose every pose, beat and note is known."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from d2m.clock import FPS, frame_times
from d2m.data import corpus, dataset
from d2m.errors import CorpusError, OutputError
from d2m.motion import pose, units

FRAMES, BEAT_S = 300, 0.5
# Kinematic beats; gaps of two and three music beats are divided, so anchors stand at 1.0, 1.5, ..., 18.0.
DETECTED_S = np.array([1.0, 1.5, 2.5, 3.0, 4.5, *np.arange(5.0, 18.1, 0.5)])
ANCHORS_S = np.arange(1.0, 18.1, BEAT_S)


def write_corpus(folder: Path, poses: np.ndarray, count: int = 1) -> corpus.Corpus:
    """A corpus of `count` equal dances, all in training; its music says the time and twice the time."""
    arrays = {
        "poses": poses, "music_features": frame_times(len(poses))[:, None] * ([1, 2] + [0] * 26),
        "music_style_rows": frame_times(len(poses))[:, None] * np.ones(26),
        "music_beats_s": np.arange(-0.25, 20.5, BEAT_S), "kinematic_beats_s": DETECTED_S,
        "kinematic_strength": np.ones(len(DETECTED_S)), "true_beats_s": np.empty(0),
    }  # fmt: skip
    entries, digest = [], corpus.digest(arrays)
    for number in range(count):
        np.savez(folder / f"dance{number}.npz", **arrays)
        style = "tango" if number % 2 else "rumba"
        entries.append(corpus.Entry(f"dance{number}", style, "", 0.0, f"dance{number}", "train", len(poses), digest))
    return corpus.Corpus("written", folder, ("rumba", "tango"), tuple(entries), ())


@pytest.fixture
def turning(tmp_path, body_at) -> corpus.Corpus:
    """One dance of `body_at`: it walks along x at 0.3 m/s and turns at 0.5 rad/s."""
    return write_corpus(tmp_path, body_at(frame_times(FRAMES)))


def all_units(dances: dataset.UnitData) -> torch.Tensor:
    return dances.units(torch.arange(len(dances.unit_rows)))


def times_of(first_beat: int, count: int) -> np.ndarray:
    """Seconds of `count` rows of a unit or phrase, from its lead, 5/8 of a beat before anchor `first_beat`."""
    return ANCHORS_S[first_beat] + (np.arange(count) - 5) / 8 * BEAT_S


def test_a_unit_begins_at_every_anchor_that_has_one_before_and_one_after_it(turning):
    dances = dataset.load(turning, "train", phrase=3)
    assert len(dances.unit_rows) == len(ANCHORS_S) - 5  # 4 beats, one anchor before and one after
    assert len(dances.phrase_rows) == len(ANCHORS_S) - 13
    assert all_units(dances).shape == (len(ANCHORS_S) - 5, 34, 45)


def test_a_unit_travels_and_turns_as_the_body_did_since_its_second_lead_pose(turning):
    dances = dataset.load(turning, "train")
    for number, unit in enumerate(all_units(dances).numpy()):
        times_s = times_of(number + 1, 34)
        since_s, facing = times_s - times_s[1], 0.5 * times_s[1]
        # It walks along the room's x; seen by a body that faces `facing` from +z, that is (cos, sin) of it.
        travel = [0.3 * since_s * np.cos(facing), 0.3 * since_s * np.sin(facing)]
        expected = [*travel, 0.5 * since_s]
        # A foot 0.2 m from the axis is 1e-5 m off its arc between frames; rows are kept in float32.
        np.testing.assert_allclose(unit[:, :3].T, expected, atol=1e-4)


def test_a_phrase_holds_the_poses_of_its_units_one_after_another(turning):
    dances = dataset.load(turning, "train", phrase=3)
    features = dances.phrases(torch.arange(len(dances.phrase_rows)))
    assert features.shape == (len(ANCHORS_S) - 13, 2 + 96, 45)
    for number in (0, len(features) - 1):
        np.testing.assert_allclose(np.diff(features[number, :, 2]), 0.5 * BEAT_S / 8, atol=1e-4)
        for unit in range(3):
            alone = all_units(dances)[number + 4 * unit]
            of_phrase = pose.rebase(features[number, 32 * unit : 32 * unit + 34], 1)
            torch.testing.assert_close(of_phrase, alone, atol=1e-5, rtol=0)


def test_music_stands_beside_the_beats_at_which_it_is_heard(turning):
    dances = dataset.load(turning, "train", phrase=3)
    audio = dances.audio_rows(torch.arange(len(dances.phrase_rows)))
    assert audio.shape == (len(ANCHORS_S) - 13, 12, 28)
    # The first feature is the time, standardised over the song's beats, off by a frame at most.
    standard_times = (ANCHORS_S - ANCHORS_S.mean()) / ANCHORS_S.std()
    for number, rows in enumerate(audio):
        np.testing.assert_allclose(rows[:, 0], standard_times[number + 1 : number + 13], atol=1 / FPS / ANCHORS_S.std())
        np.testing.assert_allclose(rows[:, 1], rows[:, 0], atol=1e-5)  # twice as much, and so the same


def test_a_phrase_says_when_it_is_danced_and_to_which_song(tmp_path, body_at):
    dances = dataset.load(write_corpus(tmp_path, body_at(frame_times(FRAMES)), 2), "train", phrase=3)
    each = len(ANCHORS_S) - 13
    assert dances.names == ("dance0", "dance1")
    assert dances.phrase_songs.tolist() == dances.phrase_styles.tolist() == [0] * each + [1] * each
    assert dances.unit_styles.tolist() == [0] * (each + 8) + [1] * (each + 8)
    for first_s, ends in ((0, ANCHORS_S[1 : each + 1]), (1, ANCHORS_S[12 : each + 12])):
        late_s = dances.phrase_s[:, first_s].numpy() - np.tile(ends, 2)
        assert (late_s >= -1e-6).all() and (late_s <= BEAT_S / 2).all()  # a unit ends half a beat after its last beat


def test_detected_beats_are_distinguished_from_divisions(turning):
    dances = dataset.load(turning, "train")
    is_detected = np.isin(np.round(ANCHORS_S, 6), np.round(DETECTED_S, 6))
    expected = np.lib.stride_tricks.sliding_window_view(is_detected[1:-1], 4)
    np.testing.assert_array_equal(dances.detected, expected)
    assert not dances.detected.all() and dances.detected.any()


def test_a_mirror_doubles_the_dances_and_exchanges_left_and_right(turning):
    single, double = (dataset.load(turning, "train", mirror=mirror) for mirror in (False, True))
    count = len(single.unit_rows)
    assert len(double.unit_rows) == 2 * count and len(double.phrase_rows) == 2 * len(single.phrase_rows)
    assert double.names == single.names
    seen, mirrored = (rows.numpy() for rows in all_units(double).split(count))
    np.testing.assert_array_equal(seen, all_units(single))
    for unit, image in zip(seen, mirrored, strict=True):
        np.testing.assert_allclose(pose.from_features(image), pose.mirror(pose.from_features(unit)), atol=1e-5)
    audio, audio_of_images = double.audio_rows(torch.arange(len(double.phrase_rows))).chunk(2)
    torch.testing.assert_close(audio, audio_of_images)


def test_a_dance_in_3d_is_seen_in_2d_at_its_true_height(turning):
    deep, flat = (all_units(dataset.load(turning, "train", dimensions)) for dimensions in (3, 2))
    assert flat.shape == (*deep.shape[:2], 29)
    torch.testing.assert_close(flat[..., 2::2], deep[..., 4::3], atol=1e-5, rtol=0)


def test_a_dance_in_2d_cannot_be_had_in_3d(tmp_path, body_at):
    flat = write_corpus(tmp_path, pose.front_view(body_at(frame_times(FRAMES))))
    assert len(dataset.load(flat, "train", 2).unit_rows) == len(ANCHORS_S) - 5
    with pytest.raises(CorpusError, match="dance0 is 2D"):
        dataset.load(flat, "train", 3)


def test_a_split_without_a_phrase_is_refused(turning):
    with pytest.raises(CorpusError, match="the train split of the corpus written has no phrase of 9 units"):
        dataset.load(turning, "train", phrase=9)


def test_every_phrase_has_the_length_of_its_beats_and_whether_it_is_in_the_middle_of_a_dance(small_corpus):
    data = dataset.load(small_corpus, "train")
    lengths_s = {entry.name: entry.frames / FPS for entry in small_corpus.entries}
    some = 0
    for song, name in enumerate(data.names):
        of_song = data.phrase_songs == song
        first_s, last_s = data.phrase_s[of_song].T
        middle = (first_s >= dataset.ENDS_S) & (last_s <= lengths_s[name] - dataset.ENDS_S)
        some += bool(middle.any()) and not bool(middle.all())
        expected = middle if middle.any() else torch.ones_like(middle)  # a dance so short that it has no middle
        assert torch.equal(data.phrase_inside[of_song], expected), name
    assert some > 0
    torch.testing.assert_close(data.beat_s() * 11, data.phrase_s[:, 1] - data.phrase_s[:, 0])  # twelve beats


@pytest.mark.parametrize("take", [
    lambda corpus: dataset.load(corpus, "validation"),
    lambda corpus: dataset.style_windows(corpus, "validation", 3, "dance"),
])  # fmt: skip
def test_a_split_without_clips_is_refused_with_the_songs_that_it_takes(small_corpus, take):
    training = replace(small_corpus, entries=tuple(small_corpus.split("train")))
    with pytest.raises(CorpusError, match=r"corpus small is in its validation split; .*four songs"):
        take(training)


def test_rows_on_disk_come_back_in_their_order_from_a_file_without_a_name(own_cache):
    rows, values = dataset.DiskRows(), torch.arange(12.0, dtype=torch.float64).view(3, 4)
    for part in (values.T, np.empty((0, 3)), -values.T.numpy()):
        rows.append(part)
    tensor = rows.tensor()
    assert rows.shape == (8, 3) and list((own_cache / "rows").iterdir()) == []
    rows.tensor().zero_()  # which does not reach the file
    del rows
    assert torch.equal(tensor, torch.cat([values.T, -values.T]).float())
    assert dataset.DiskRows().tensor().shape == (0,)


def test_a_full_disk_is_said_with_the_folder(own_cache, monkeypatch):
    # A file that is always full, as Linux has one.
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: open("/dev/full", "wb"))
    with pytest.raises(OutputError, match=r"cannot be written to .*rows \(No space left on device\).*D2M_CACHE"):
        dataset.DiskRows().append(np.ones((4096, 4)))


def test_rows_of_100_mb_take_little_memory(own_cache):
    def taken_kb() -> int:
        """Memory of this process that the system cannot drop."""
        return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1])

    before_kb, rows = taken_kb(), dataset.DiskRows()
    for _ in range(100):
        rows.append(np.ones((250, 1000)))
    assert sum(float(part.sum()) for part in rows.tensor().split(1000)) == 25e6
    assert taken_kb() - before_kb < 25_000


@pytest.mark.parametrize("dimensions", [2, 3])
def test_units_and_phrases_of_built_in_dances_are_the_poses_they_were_cut_from(small_corpus, dimensions):
    dances = dataset.load(small_corpus, "test", dimensions, phrase=3)
    expected_units, expected_phrases = [], []
    for arrays in map(small_corpus.load, small_corpus.split("test")):
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        poses = pose.front_view(arrays["poses"]) if dimensions == 2 else arrays["poses"]
        in_beat_time = units.to_beat_time(poses, anchors.times_s)
        count = len(anchors.times_s)
        expected_units += [pose.to_features(in_beat_time[i : i + 34], 1) for i in units.cut(count)]
        expected_phrases += [pose.to_features(in_beat_time[i : i + 98], 1) for i in units.cut(count, 3)]
    phrases = dances.phrases(torch.arange(len(dances.phrase_rows)))
    np.testing.assert_allclose(all_units(dances), expected_units, atol=1e-4)  # float32
    np.testing.assert_allclose(pose.rebase(phrases, 1), expected_phrases, atol=1e-4)


def test_statistics_standardise_the_units(small_corpus):
    dances = dataset.load(small_corpus, "train")
    mean, deviation = dances.statistics()
    everything = all_units(dances).flatten(0, 1)
    standard = (everything - mean) / deviation
    torch.testing.assert_close(standard.mean(0), torch.zeros(45), atol=1e-4, rtol=0)
    # A feature that hardly moves is divided by the smallest deviation and stays below 1.
    moving = everything.std(0) > dataset.SMALLEST_DEVIATION
    torch.testing.assert_close(standard.std(0)[moving], torch.ones(int(moving.sum())), atol=1e-3, rtol=0)
    assert (standard.std(0)[~moving] < 1).all() and moving.sum() > 30


def test_balanced_draws_take_every_style_alike():
    styles = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    first, again, other = (dataset.balanced(styles, 30_000, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    # A third each; four standard deviations of sqrt(1/3 2/3 / 30,000) = 0.0027.
    np.testing.assert_allclose(torch.bincount(styles[first]).numpy() / 30_000, 1 / 3, atol=0.011)
    assert torch.equal(first, again) and not torch.equal(first, other)
