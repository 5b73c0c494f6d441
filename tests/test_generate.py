"""From a song to a dance: as long as the song, on its beats, without a seam, the same from the same seed."""

import itertools

import numpy as np
import pytest
import torch

from d2m import generate, music, pose, songs, style, units
from d2m.clock import FPS, frame_count
from d2m.errors import MediaError, ParameterError, PoseError
from d2m.gan import MMGAN, GANConfig
from d2m.generate import Dancer
from d2m.units import FIRST_BEAT, LEAD, UNIT_POSES, WINDOW
from d2m.vae import DUVAE, VAEConfig

pytestmark = pytest.mark.usefixtures("one_thread")

STYLES = ("ballet", "hip-hop", "zumba")


def untrained(body: np.ndarray, dimensions: int = 3, warp: str = "cubic", **of_gan) -> Dancer:
    """Tiny untrained networks that dance about the poses of `body` (n, 14, 3)."""
    torch.manual_seed(0)
    body = pose.front_view(body) if dimensions == 2 else body
    vae = DUVAE(VAEConfig(dimensions=dimensions, movement_size=8, hidden=32))
    features = torch.tensor(pose.to_features(body, LEAD - 1), dtype=torch.float32)
    vae.feature_mean.copy_(features.mean(0))
    vae.feature_deviation.fill_(0.1)
    mmgan = MMGAN(GANConfig(movement_size=8, dance_size=6, noise_size=4, hidden=32, leads=6, **of_gan), vae)
    mmgan.leads.copy_(features[:12].unflatten(0, (6, LEAD)))
    mmgan.lead_styles.copy_(torch.arange(6) % 3)
    hears = style.StyleClassifier(style.StyleConfig("music", STYLES, inputs=14, window=180, hidden=8))
    return Dancer(mmgan.eval(), hears.eval(), warp)


@pytest.fixture
def dancer(body_at) -> Dancer:
    return untrained(body_at(np.arange(WINDOW) / FPS))


@pytest.fixture
def flat_dancer(body_at) -> Dancer:
    return untrained(body_at(np.arange(WINDOW) / FPS), dimensions=2, warp="linear")


def heard(beats_s: np.ndarray, duration_s: float) -> music.Music:
    """Music of known beats whose features are noise."""
    features = np.random.default_rng(0).normal(size=(frame_count(duration_s), 28)).astype(np.float32)
    return music.Music(duration_s, music.tempo(beats_s), beats_s, np.empty(0), features)


STEADY = heard(np.arange(0.3, 29.9, 0.5), 30.0)


def assert_lasts(dance, duration_s: float) -> None:
    """The dance begins with the song, ends with it, and marks its beats and movements to both ends."""
    assert len(dance.poses) == frame_count(duration_s) and dance.start_s == 0 and dance.fps == FPS
    assert np.isfinite(dance.poses).all() and dance.poses.dtype == np.float32
    beat_s = np.median(np.diff(dance.beats_s))
    assert 0 <= dance.beats_s[0] < 1.05 * beat_s and duration_s - 1.05 * beat_s < dance.beats_s[-1] < duration_s
    assert (np.diff(dance.beats_s) > 0.5 * beat_s).all() and (np.diff(dance.beats_s) < 1.5 * beat_s).all()
    assert (np.diff(dance.units_s) > 0).all() and 0 < dance.units_s[0] and dance.units_s[-1] < duration_s
    np.testing.assert_allclose(np.diff(dance.units_s), 4 * beat_s, rtol=0.1)
    assert duration_s - dance.units_s[-1] < 4.4 * beat_s


@pytest.mark.parametrize(("duration_s", "tempo"), [(5.0, 120), (20.0, 90), (180.0, 128)])
def test_a_dance_lasts_as_long_as_its_song(dancer, write_sound, tmp_path, own_cache, duration_s, tempo):
    song = write_sound(tmp_path / "song.wav", songs.drum_track(tempo, duration_s).samples, 22050)
    (dance,) = generate.dance(dancer, song)
    assert_lasts(dance, duration_s)
    assert dance.song == song
    # Each of the song's own beats is marked: the drums' first beat stands a little after the beginning.
    np.testing.assert_allclose(np.median(np.diff(dance.beats_s)), 60 / tempo, rtol=0.02)


@pytest.mark.parametrize("duration_s", [601.3, 3600.0])
def test_a_long_song_is_danced_to_its_end(dancer, duration_s):
    (dance,) = generate.dance_to(dancer, heard(np.arange(0.3, duration_s, 0.5), duration_s), None)
    assert_lasts(dance, duration_s)
    assert len(dance.units_s) == pytest.approx(duration_s / 2, abs=1)
    # It does not fade or explode: a minute at the end moves as one at the beginning does (untrained, so by 20 %).
    first, last = (np.abs(np.diff(poses, axis=0)).mean() for poses in (dance.poses[:900], dance.poses[-900:]))
    assert last == pytest.approx(first, rel=0.2)


def test_a_movement_begins_three_eighths_of_a_beat_before_every_fourth_beat(dancer):
    (dance,) = generate.dance_to(dancer, STEADY, None)
    # The first beat known is at 0.3 s; one before it, at -0.2 s, begins the dance.
    np.testing.assert_allclose(dance.units_s, -0.2 + 0.5 * (np.arange(4, 61, 4) - 3 / 8), atol=1e-9)
    np.testing.assert_allclose(dance.beats_s, np.arange(0.3, 30, 0.5), atol=1e-9)


def test_the_same_seed_gives_the_same_dance_alone_and_in_a_batch(dancer):
    (alone,) = generate.dance_to(dancer, STEADY, None, seed=8)
    (again,) = generate.dance_to(dancer, STEADY, None, seed=8)
    np.testing.assert_array_equal(alone.poses, again.poses)
    batch = generate.dance_to(dancer, STEADY, None, seed=6, count=4)
    assert [dance.seed for dance in batch] == [6, 7, 8, 9]
    # Sums over a batch are rounded in another order; a tenth of a millimetre is far below what the eye can see.
    np.testing.assert_allclose(batch[2].poses, alone.poses, atol=1e-4)
    for one, other in itertools.combinations(batch, 2):
        assert np.abs(one.poses - other.poses).max() > 0.01


def test_a_style_that_is_asked_for_is_one_hot_and_names_the_dance(dancer, monkeypatch):
    asked, compose = [], MMGAN.compose
    monkeypatch.setattr(MMGAN, "compose", lambda self, s, generator: asked.append(s) or compose(self, s, generator))
    (dance,) = generate.dance_to(dancer, STEADY, None, wanted="zumba")
    # 61 beats from -0.2 s to the end: 16 movements and one to spare, in runs of three.
    assert dance.style == "zumba" and torch.equal(asked[0], torch.tensor([[0.0, 0, 1]]).repeat(6, 1))
    (own,) = generate.dance_to(dancer, STEADY, None)
    assert asked[1].shape == (6, 3) and torch.allclose(asked[1].sum(1), torch.ones(6)) and (asked[1] < 1).all()
    assert own.style == STYLES[int(asked[1].mean(0).argmax())] and np.abs(own.poses - dance.poses).max() > 1e-3


def test_a_dance_starts_from_a_pose_of_its_style(dancer):
    for number, name in enumerate(STYLES):
        s = style.style_vector(STYLES, name)
        for seed in range(5):
            lead = generate.first_leads(dancer, s, [torch.Generator().manual_seed(seed)])[0]
            of_style = dancer.mmgan.leads[dancer.mmgan.lead_styles == number]
            assert (of_style == lead).all(dim=2).all(dim=1).any()


def test_movements_leave_from_a_given_pose(dancer, body_at):
    given = body_at(np.array([3.0]))[0]  # elsewhere, and turned: it is told relative to where it stands
    leads = generate.first_leads(dancer, torch.ones(3) / 3, [torch.Generator()] * 2, given)
    rows = generate.chain(dancer.mmgan.vae, leads, torch.zeros(3, 2, 8))
    expected = pose.from_features(pose.to_features(given[None], 0))[0]
    for row in (0, 1):  # standing still
        np.testing.assert_allclose(rows[:, row], np.stack([expected] * 2), atol=1e-5)


def test_a_given_pose_is_the_first_of_the_dance(dancer, body_at):
    given = body_at(np.array([0.0]))[0]
    (dance,) = generate.dance_to(dancer, STEADY, None, start_pose=given)
    np.testing.assert_allclose(dance.poses[0], given, atol=1e-4)


@pytest.mark.parametrize(("start_pose", "error", "told"), [
    (np.zeros((13, 3)), PoseError, r"start_pose have shape \(2, 13, 3\).*14"),
    (np.full((14, 3), np.nan), PoseError, "start_pose hold a value that is not finite"),
    (np.zeros((14, 2)), ParameterError, "start_pose has 2 dimensions; expected 3"),
    (np.zeros(14), PoseError, "start_pose have shape"),
])  # fmt: skip
def test_a_start_pose_that_is_none_is_refused(dancer, start_pose, error, told):
    with pytest.raises(error, match=told):
        generate.dance_to(dancer, STEADY, None, start_pose=start_pose)


@pytest.mark.parametrize(("asked", "told"), [
    ({"wanted": "polka"}, "style 'polka' is unknown; expected one of ballet, hip-hop, zumba"),
    ({"count": 0}, "n is 0; expected a number of dances from 1 to 1024"), ({"count": -1}, "n is -1"),
    ({"count": 1025}, "n is 1025; expected a number of dances from 1 to 1024"),
])  # fmt: skip
def test_what_no_dance_can_be_made_of_is_refused_before_the_song_is_heard(dancer, asked, told, tmp_path):
    with pytest.raises(ParameterError, match=told):
        generate.dance(dancer, tmp_path / "not there.mp3", **asked)


def test_songs_that_cannot_be_danced_to_are_refused(dancer, tmp_path, write_sound, own_cache):
    with pytest.raises(MediaError, match=r"there is no file .*not there\.mp3"):
        generate.dance(dancer, tmp_path / "not there.mp3")
    short = write_sound(tmp_path / "short.wav", songs.drum_track(120, 4.9).samples, 22050)
    with pytest.raises(MediaError, match=r"short\.wav lasts 4\.9 s; expected 5 s at least"):
        generate.dance(dancer, short)
    with pytest.raises(ParameterError, match=r"endless\.mp3 lasts 3\.5 hours; expected 3 hours at most"):
        generate.dance_to(dancer, music.Music(12600, 120, np.arange(0.0, 9, 0.5), None, None), "endless.mp3")


@pytest.mark.parametrize("name", ["dancer", "flat_dancer"])
def test_bones_keep_their_length(name, request):
    (dance,) = generate.dance_to(request.getfixturevalue(name), STEADY, None)
    assert dance.poses.shape[1:] == ((14, 3) if name == "dancer" else (14, 2))
    if name == "dancer":
        # float32, a few metres from where it began: rounded to 1e-6.
        np.testing.assert_allclose(pose.bone_lengths(dance.poses.astype(float)) - pose.BONE_LENGTHS, 0, atol=1e-5)


@pytest.mark.parametrize("name", ["dancer", "flat_dancer"])
def test_the_poses_at_the_beats_are_the_beats_of_the_movements(name, request, monkeypatch):
    dancer, made, chain = request.getfixturevalue(name), [], generate.chain
    monkeypatch.setattr(generate, "chain", lambda *given: made.append(chain(*given)) or made[-1])
    frames = np.cumsum(np.r_[0, np.tile([6, 8, 7, 9, 5], 8)])  # an unsteady drummer whose beats stand on frames
    beats_s = frames / FPS
    (dance,) = generate.dance_to(dancer, heard(beats_s, float(beats_s[-1]) + 0.2), None)
    # Beats are frames 3, 11, 19, 27 of each unit of 32 poses, behind the two lead poses.
    beat_rows = [LEAD + UNIT_POSES * (beat // 4) + (3, 11, 19, 27)[beat % 4] for beat in range(len(frames))]
    expected = made[0][0][beat_rows]
    # Bones are fitted after the warp; at a whole row that changes nothing but the last digits of float32.
    np.testing.assert_allclose(dance.poses[frames], expected, atol=2e-5 if name == "dancer" else 1e-6)


def steady_walk(dimensions: int = 3) -> torch.Tensor:
    """A unit (1, 34, F) in even steps: 1 m ahead in a straight line, in 3D turning left by 90 degrees meanwhile."""
    place = (np.arange(WINDOW) - (LEAD - 1)) / UNIT_POSES
    features = np.zeros((WINDOW, pose.feature_size(dimensions)))
    if dimensions == 2:
        features[:, 0] = place
    else:
        features[:, 1], angle = place, place * np.pi / 2
        features[:, 2], features[:, 3] = np.cos(angle), np.sin(angle)
        joints = np.tile([0.0, 1.0, 0.0], (14, 1))
        joints[[pose.L_HIP, pose.L_SHOULDER], 0], joints[[pose.R_HIP, pose.R_SHOULDER], 0] = 0.1, -0.1
        features[:, 4:] = joints.ravel()
    return torch.tensor(features)[None]


class Repeats:
    """A DU-VAE that knows one movement."""

    def __init__(self, unit: torch.Tensor):
        self.unit = unit

    def move(self, leads: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.unit.expand(len(leads), -1, -1)


def test_travel_and_facing_are_carried_from_movement_to_movement():
    unit = steady_walk()
    rows = generate.chain(Repeats(unit), unit[:, :LEAD], torch.zeros(4, 1, 8))[0]
    assert rows.shape == (LEAD + 4 * UNIT_POSES, 14, 3)
    ends = rows[LEAD - 1 :: UNIT_POSES]
    corners = pose.pelvis(ends)[:, ::2]
    # Four walks of 1 m, each turned by 90 degrees from the one before, make a square: facing +z, then +x, -z, -x.
    np.testing.assert_allclose(corners, [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)], atol=1e-6)
    np.testing.assert_allclose(pose.yaw(rows)[LEAD - 1 :: UNIT_POSES], np.arange(5) * np.pi / 2, atol=1e-6)
    np.testing.assert_allclose(ends[0], ends[-1], atol=1e-6)  # home again


@pytest.mark.parametrize("dimensions", [2, 3])
def test_no_pose_is_shown_twice_at_a_seam(dimensions):
    unit = steady_walk(dimensions)
    rows = generate.chain(Repeats(unit), unit[:, :LEAD], torch.zeros(4, 1, 8))[0]
    steps = np.linalg.norm(np.diff(pose.pelvis(rows), axis=0), axis=1)
    np.testing.assert_allclose(steps, 1 / UNIT_POSES, atol=1e-6)


def test_a_movement_leaves_as_fast_as_the_one_before_ended(dancer):
    codes = torch.randn(12, 1, 8, generator=torch.Generator().manual_seed(0))
    rows = generate.chain(dancer.mmgan.vae, dancer.mmgan.leads[:1], codes)[0]
    steps = np.diff(rows, axis=0)  # step i leads from row i to row i + 1; unit n begins with row 2 + 32 n
    seams = LEAD - 1 + UNIT_POSES * np.arange(1, 12)
    across, size = np.abs(np.diff(steps, axis=0)).mean((1, 2)), np.abs(steps).mean((1, 2))
    # Untrained networks jitter; their seams are no rougher than the rest, and no frame is repeated there.
    assert np.median(across[seams - 1]) < 1.5 * np.median(across)
    assert 0.3 < np.median(size[seams]) / np.median(size) < 2


def test_beats_go_on_in_their_last_tempo_to_the_end_of_the_last_movement():
    grid_s = generate.beats_s_for(np.array([0.0, 0.5, 1.1]), 2)
    np.testing.assert_allclose(grid_s, [0, 0.5, 1.1, 1.7, 2.3, 2.9, 3.5, 4.1])
    assert len(generate.beats_s_for(np.arange(9.0), 2)) == 9  # nothing is cut off
    assert generate.unit_times(grid_s, 2, 4.0).tolist() == pytest.approx([2.3 - 3 / 8 * 0.6])
    assert units.UNIT_BEATS == 4 and FIRST_BEAT == 3
