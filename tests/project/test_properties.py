"""Properties of readers: what is written comes back, whatever it holds. Damaged files are in `test_fuzzing.py`."""

import json
import pickle
import re
from dataclasses import make_dataclass, replace

import motions
import numpy as np
import pytest
import torch
from conftest import turning_body
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_up import ANY_ARRAY, PICKLED, PLAIN, QUICK, coordinates, dances, rising

from d2m import __main__
from d2m.clock import SAMPLE_RATE
from d2m.data.formats import aist, bvh, keypoints
from d2m.errors import CheckpointError, CorpusError, D2MError
from d2m.experiments import report
from d2m.experiments.experiment import Experiment
from d2m.metrics.bootstrap import Estimate
from d2m.models import checkpoint
from d2m.motion import dance as dance_files
from d2m.motion import pose, skeleton
from d2m.motion.dance import Dance
from d2m.music import audio, beats
from d2m.notebook import parameters

SLOW = settings(QUICK, max_examples=20)
TURNING = [skeleton.NUMBERS[name] for name in ("Hips", "Spine", "Neck", *(
    f"{side}{part}" for side in ("Left", "Right") for part in ("Arm", "ForeArm", "UpLeg", "Leg")
))]  # fmt: skip
PARAMETERS = __main__.TRAIN_DEFAULTS | {
    "device": "cpu", "dances": "", "song": "", "style": "", "n": 1, "bpm": 0, "beats": "", "energy": "",
    "start_pose": "",
}  # fmt: skip


@QUICK
@given(dance=dances())
def test_a_dance_of_any_numbers_comes_back_from_npz_bit_by_bit_and_from_json_to_a_tenth_of_a_millimetre(
    dance, tmp_path
):
    from_npz = vars(dance_files.read_npz(dance_files.write_npz(dance, tmp_path / "a.npz")))
    from_json = json.loads(dance_files.write_json(dance, tmp_path / "a.json").read_text())
    for name in ("poses", "beats_s", "units_s"):
        np.testing.assert_array_equal(from_npz[name], getattr(dance, name))
        np.testing.assert_allclose(from_json[name], getattr(dance, name), atol=0.5e-4, rtol=1e-12)
    for name in ("style", "seed", "start_s", "fps"):
        assert from_npz[name] == from_json[name] == getattr(dance, name)


def standing(numbers: list[float] | np.ndarray, scatter: np.ndarray, size: float) -> np.ndarray:
    """Poses (T, 14, D) of a body that stands, `size` times a real one in metres, with any `scatter` up to 1."""
    body = turning_body(np.asarray(numbers) / 30)[..., : scatter.shape[-1]]
    return size * (body + 0.05 * scatter)


@QUICK
@given(
    places=coordinates(5, 3, largest=50.0), turns=coordinates(2, len(TURNING), 3, largest=180.0), fps=st.floats(1, 1000)
)
def test_a_body_that_bends_in_any_way_comes_back_from_bvh(places, turns, fps, tmp_path):
    angles = np.zeros((5, len(skeleton.SKELETON), 3))
    angles[2:4, TURNING] = turns  # three of five poses stand: their direction is up
    places[1] = places[0] + 1  # the first pose is no rest pose, after which a body turns at once
    poses = skeleton.from_angles(places, angles)
    written = Dance(poses, np.empty(0), np.empty(0), "zumba", 0, None, fps=fps)
    read, rate = bvh.read(dance_files.write_bvh(written, tmp_path / "a.bvh"))
    np.testing.assert_allclose(read, poses, atol=1e-4)
    assert rate == pytest.approx(fps, rel=1e-4)


@QUICK
@given(data=st.data(), layout=st.sampled_from(sorted(motions.LAYOUTS)), dimensions=st.sampled_from([2, 3]))
def test_keypoints_of_any_size_are_read_as_the_joints_of_their_names(data, layout, dimensions, tmp_path):
    names = motions.LAYOUTS[layout]
    size = data.draw(st.floats(0.01, 1e4) if dimensions == 3 else st.floats(50.0, 1e4))
    poses = standing(range(3), data.draw(coordinates(3, 14, dimensions, largest=1.0)), size)
    poses += size * (10 + data.draw(coordinates(dimensions, largest=5.0)))
    points = motions.keypoints(poses * ((1, -1) if dimensions == 2 else 1), layout)
    seen = data.draw(st.lists(st.booleans(), min_size=3, max_size=3).filter(any))
    frames = [frame.tolist() if shown else None for frame, shown in zip(points, seen, strict=True)]
    joints, fps = keypoints.read_keypoint_json(motions.write_json(tmp_path / "a.json", fps=30, keypoints=frames))
    assert fps == 30 and np.isfinite(joints).all(axis=(1, 2)).tolist() == seen
    for number, joint in enumerate(pose.JOINTS):
        if joint in names:
            np.testing.assert_array_equal(joints[seen, number], poses[seen, number])


@SLOW
@given(data=st.data(), numbers=st.sets(st.integers(0, 200), min_size=1, max_size=5))
def test_frames_of_openpose_stand_where_their_numbers_say(data, numbers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    points = 500 - standing(sorted(numbers), data.draw(coordinates(len(numbers), 14, 2, largest=1.0)), 200.0)
    for number, joints in zip(sorted(numbers), points, strict=True):
        motions.write_openpose(folder / "one", joints[None])
        (folder / "one" / "clip_000000000000_keypoints.json").rename(folder / f"walk_{number:012d}_keypoints.json")
    read, _ = keypoints.read_openpose(list(folder.glob("*.json")))
    assert len(read) == max(numbers) + 1
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(read).all(axis=(1, 2))), sorted(numbers))
    np.testing.assert_array_equal(read[sorted(numbers)], points * (1, -1))


@QUICK
@given(values=ANY_ARRAY, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_arrays_of_numbers_come_out_of_a_pickle_and_others_are_refused(values, protocol):
    content = pickle.dumps({"a": values}, protocol)
    if values.dtype.kind in "biuf" and (values.size or protocol > 2):  # older ones call `bytes` for no bytes
        array = aist.read_arrays(content, ("a",), "a.pkl")["a"]
        assert array.dtype == values.dtype
        np.testing.assert_array_equal(array, values)
    else:
        with pytest.raises(CorpusError, match=r"a\.pkl"):
            aist.read_arrays(content, ("a",), "a.pkl")


@SLOW
@given(value=PICKLED, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_pickles_of_anything_plain_give_no_array_and_no_other_error(value, protocol):
    for content in (value, {"a": value}, {"b": value}):
        try:
            assert aist.read_arrays(pickle.dumps(content, protocol), ("a",), "a.pkl") == {}
        except CorpusError as error:
            assert "a.pkl" in str(error)


@SLOW
@given(rate=st.integers(8000, 96_000), duration_s=st.floats(5.1, 8.0), channels=st.sampled_from([1, 2]))
def test_a_song_of_any_rate_and_length_lasts_as_long(rate, duration_s, channels, tmp_path, write_sound):
    def tone(count: int, rate: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)

    sound = tone(round(duration_s * rate), rate)
    path = write_sound(tmp_path / "a.wav", sound if channels == 1 else np.stack([sound] * 2, 1), rate)
    samples, new_rate = audio.load(path)
    assert new_rate == SAMPLE_RATE and samples.dtype == np.float32
    assert len(samples) / SAMPLE_RATE == pytest.approx(len(sound) / rate, abs=2e-3)
    inside = slice(SAMPLE_RATE, -SAMPLE_RATE)  # a resampler rings at the ends
    np.testing.assert_allclose(samples[inside], tone(len(samples), SAMPLE_RATE)[inside], atol=0.01)


@QUICK
@given(
    beats_s=rising(beats.CLOSEST_S + 1e-6, beats.WIDEST_S - 1e-6, min_size=beats.FEWEST_BEATS),
    label=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])),
)
def test_beats_with_any_words_beside_them_are_read_to_the_last_digit(beats_s, label, tmp_path):
    lines = [f"# {label}", "", *(f"  {beat!r}\t{label}" for beat in beats_s.tolist())]
    (tmp_path / "beats.txt").write_text("\n".join(lines), encoding="utf-8")
    np.testing.assert_array_equal(beats.read_beats(tmp_path / "beats.txt"), beats_s)


@QUICK
@given(tensors=st.dictionaries(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1), st.one_of(
    arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0)) for kind in (np.float32, np.int64, np.bool_)
)))  # fmt: skip
def test_weights_of_any_name_and_shape_come_back_bit_by_bit(tensors, tmp_path):
    weights = {name: torch.from_numpy(values) for name, values in tensors.items()}
    checkpoint.save(tmp_path / "model", "vae", weights, Experiment(), {})
    read, *_ = checkpoint.read(tmp_path / "model", "vae")
    assert read.keys() == weights.keys()
    for name, tensor in read.items():
        assert tensor.dtype == weights[name].dtype and tensor.shape == weights[name].shape
        assert tensor.numpy().tobytes() == weights[name].numpy().tobytes()


@QUICK
@given(values=st.lists(PLAIN.filter(lambda value: value == value), min_size=1), data=st.data())
def test_a_configuration_of_any_values_is_accepted_again_and_another_is_refused_by_name(values, data, tmp_path):
    config = make_dataclass("Config", [f"part{number}" for number in range(len(values))])(*values)
    checkpoint.save(tmp_path / "model", "vae", {}, config, {})
    _, read, _ = checkpoint.read(tmp_path / "model", "vae")
    checkpoint.check_config(tmp_path / "model", read, config)
    changed = f"part{data.draw(st.integers(0, len(values) - 1))}"
    with pytest.raises(CheckpointError, match=f"model was trained with {changed} ="):
        checkpoint.check_config(tmp_path / "model", read, replace(config, **{changed: [getattr(config, changed)]}))


@QUICK
@given(value=st.none() | st.floats(allow_nan=False), draws=coordinates(5), n=st.integers(0), reason=st.text())
def test_scores_come_back_and_their_draws_to_nine_digits(value, draws, n, reason, tmp_path):
    report.write_scores(tmp_path / "scores.json", {"ours": {"speed": Estimate(value, draws, n, reason)}})
    read = report.read_scores(tmp_path / "scores.json")["ours"]["speed"]
    assert (read.value, read.n, read.reason) == (value, n, reason)
    np.testing.assert_allclose(read.draws, draws, rtol=1e-8)


@QUICK
@given(name=st.sampled_from(sorted(PARAMETERS)), value=PLAIN | st.sampled_from(["~nobody", "a" * 300, "a\0b", "tests"]))
def test_any_value_of_a_parameter_is_taken_or_refused_by_name(name, value):
    own = [other for other in PARAMETERS if other not in parameters.COMMON]
    try:
        assert isinstance(parameters.check(PARAMETERS | {name: value}, *own), Experiment)
    except D2MError as error:
        assert re.search(rf"\b{name}\b", str(error))
