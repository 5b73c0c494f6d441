"""What the tests share: written sounds and pairs of song and dance, a small built-in corpus, a tiny run, dancers.

The cache is the project's own (`own_cache`: an empty one). numba's compiled code is used in either case, since
`d2m.music.analysis` fixes its folder when it is imported here.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import toys

from d2m.data import corpus
from d2m.data.builtin import clips as builtin_clips
from d2m.data.builtin import songs
from d2m.experiments import experiment, presets
from d2m.files import ROOT
from d2m.models.gan import GANConfig
from d2m.models.train import TrainConfig
from d2m.motion import pose
from d2m.motion.dance import Clip
from d2m.motion.units import LEAD, UNIT_POSES

with suppress(ImportError):  # a machine that only trains has no PyAV
    import av

# Codecs of sound and of pictures. FFmpeg's own encoder of Vorbis (PyAV has no libvorbis) needs stereo and `strict`.
CODECS = {
    ".wav": "pcm_s16le", ".flac": "flac", ".ogg": "vorbis", ".opus": "libopus", ".mp3": "libmp3lame", ".m4a": "aac",
    ".mp4": "aac", ".mkv": "aac", ".mka": "flac", ".m4b": "aac", ".mp2": "mp2", ".ac3": "ac3", ".caf": "pcm_s16le",
    ".3gp": "aac", ".flv": "aac", ".m2ts": "ac3", ".vob": "mp2",
}  # fmt: skip
PICTURES = {".mp4": "mpeg4", ".mkv": "mpeg4", ".3gp": "mpeg4", ".flv": "flv", ".m2ts": "libx264", ".vob": "mpeg4"}
SPAN_S = 12.0  # of the dance in a pair that `write_pair` writes


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """On several cores (`pytest -n 2`) a file stays on one, and all notebooks on one: each needs the one before."""
    from xdist.scheduler import LoadFileScheduling

    class NotebooksTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "notebooks" if ".ipynb::" in nodeid else super()._split_scope(nodeid)

    return NotebooksTogether(config, log)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache folder that is empty and that no other test sees."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("D2M_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def write_sound() -> Callable[..., Path]:
    """`write(path, samples, rate, late_s, shown_s)`: samples (n,) or (n, 2), coded as the suffix says.

    A film shows pictures for `shown_s` (None: as long as the sound); the sound begins `late_s` after them.
    """
    return _write_sound


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """`write(path)`: a second of video without sound."""
    return _write_video


@pytest.fixture(scope="session")
def melody_song(tmp_path_factory) -> Path:
    """An mp3 of 14 s with a beat at 100 BPM."""
    path = tmp_path_factory.mktemp("melody") / "song.mp3"
    return _write_sound(path, songs.drum_track(100, 14.0).samples, 22050)


@pytest.fixture(scope="session", name="write_pair")
def _write_pair_of_song(melody_song) -> Callable[..., Path]:
    """`write(root, name, frames=301, start_s=1.0)`: a pair of Dance with Melody that reads as `turning_body`."""
    return lambda root, *place, **more: write_pair(root, melody_song.read_bytes(), *place, **more)


def write_pair(root: Path, song: bytes, name: str = "DANCE_C_1", frames: int = 301, start_s: float = 1.0) -> Path:
    """The folder of a pair of Dance with Melody that reads as `turning_body`."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "audio.mp3").write_bytes(song)
    span = {"start_position": start_s * 25, "end_position": (start_s + SPAN_S) * 25}
    (folder / "config.json").write_text(json.dumps(span))
    body = turning_body(np.linspace(0, SPAN_S, frames)) * 100  # cm
    markers = np.zeros((frames, 23, 3))
    # The joints as the data's README numbers them; head and neck are the middles of two markers each.
    markers[:, [3, 4, 6, 12, 13, 15, 7, 8, 9, 16, 17, 18]] = body[:, 2:]
    markers[:, [0, 1]] = body[:, :1] + np.array([[-4.0, 1, 2], [4.0, -1, -2]])
    centre = pose.pelvis(body)
    motion = {"length": frames, "center": centre.tolist(), "skeletons": (markers - centre[:, None]).tolist()}
    (folder / "skeletons.json").write_text(json.dumps(motion))
    return folder


@pytest.fixture(scope="session")
def body_at() -> Callable[[np.ndarray], np.ndarray]:
    """`body_at(times_s)`: where the dancer of `write_pair` truly is (n, 14, 3)."""
    return turning_body


@pytest.fixture(scope="session")
def small_clips(tmp_path_factory) -> list[Clip]:
    """Nine built-in clips of 20 s: in each of three styles one that trains, one that validates and one that tests."""
    return builtin_clips.make(tmp_path_factory.mktemp("songs"), songs_per_style=3, duration_s=20.0, jobs=1)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory, small_clips) -> corpus.Corpus:
    """The corpus of `small_clips`, built by the code as it is now (no cached analysis) and read."""
    folder = tmp_path_factory.mktemp("corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("D2M_CACHE", str(tmp_path_factory.mktemp("cache")))
        corpus.build("small", small_clips, folder, jobs=1)
    return corpus.read(folder)


@pytest.fixture(scope="module")
def one_thread():
    """torch on one thread: threads that wait cost networks this small more, and sums over two are rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_presets():
    """The presets "tiny" (3D) and "tiny-paper" (2D, in the published form), known like the project's own."""
    brief = TrainConfig(steps=2, batch=8)
    trainings = {name: brief for name in ("vae_training", "gan_training", "style_training", "lstm_training")}
    trainings["gan_training"] = replace(brief, snapshots=(0.5,))
    trainings["music_style_training"] = replace(brief, learning_rate=5e-3)

    def tiny(name: str, like: str, **form) -> presets.Preset:
        preset = presets.preset(like)
        vae = replace(preset.vae, hidden=32, movement_size=8)
        gan = replace(preset.gan, hidden=32, dance_size=8, noise_size=4, depth=2, leads=9, games_from=0, **form)
        return replace(preset, name=name, vae=vae, gan=gan, **trainings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny", tiny("tiny", "demo", flow_steps=4))
        patch.setitem(presets.PRESETS, "tiny-paper", tiny("tiny-paper", "paper"))
        yield


@pytest.fixture(scope="session")
def tiny_run(tiny_presets, small_corpus, tmp_path_factory) -> experiment.Experiment:
    """A run of the preset "tiny" on the small corpus, all its models trained for two steps."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = experiment.Experiment(str(small_corpus.folder), str(tmp_path_factory.mktemp("run")), "tiny", 3, "cpu")
    for view in ("dance", "speed"):
        run.train_style(view)
    assert run.train_mmgan() and run.train_lstm()
    torch.set_num_threads(threads)
    return run


@pytest.fixture
def played_phrases(body_at) -> Callable[..., dict[str, torch.Tensor]]:
    """`played_phrases(config)`: a batch for an MM-GAN: five phrases of a body that walks and turns ever faster, to
    music and with movements that are noise; the variance of movements is 0."""

    def batch(config: GANConfig) -> dict[str, torch.Tensor]:
        noise = toys.draw_phrases(5, torch.Generator().manual_seed(1), config.window)
        times_s = np.arange(LEAD + UNIT_POSES * config.window) / 15
        phrases = np.stack([pose.to_features(body_at(speed * times_s**2), 0) for speed in np.linspace(0.1, 0.5, 5)])
        phrase = torch.tensor(phrases, dtype=torch.float32)
        return noise | {"phrase": phrase, "log_variance": torch.full_like(noise["mean"], -200.0)}

    return batch


@pytest.fixture
def moving_units(body_at) -> torch.Tensor:
    """Eight units (8, 34, 45) of a body that walks and turns, each faster than the one before."""
    times_s = np.arange(34) / 15
    moving = [pose.to_features(body_at(speed * times_s), 1) for speed in np.linspace(0.5, 4, 8)]
    return torch.tensor(np.stack(moving), dtype=torch.float32)


@pytest.fixture
def dancer(body_at):
    """Tiny untrained networks that dance in 3D about a body that walks and turns."""
    return toys.new_dancer(body_at(np.arange(34) / 15))


@pytest.fixture
def flat_dancer(body_at):
    """The same in 2D, with a linear warp."""
    return toys.new_dancer(body_at(np.arange(34) / 15), dimensions=2, warp="linear")


@pytest.fixture
def published_dancer(body_at):
    """One in the published form: 2D, GRUs, z~_dan from noise, a linear warp."""
    return toys.new_dancer(body_at(np.arange(34) / 15), 2, "linear", toys.PAPER_VAE, toys.PAPER_GAN)


@pytest.fixture(scope="session")
def real_corpus() -> Path:
    """The folder of Dance with Melody, which the project does not carry."""
    folder = Path(os.environ.get("D2M_DANCE_WITH_MELODY", ROOT.parent / "shared" / "data" / "dance-with-melody"))
    if not folder.is_dir():
        pytest.skip(f"Dance with Melody is not at {folder} (set D2M_DANCE_WITH_MELODY)")
    return folder


def turning_body(times_s: np.ndarray) -> np.ndarray:
    """The one body, rigid, that walks along x at 0.3 m/s and turns at 0.5 rad/s: (n, 14, 3) metres."""
    knee, hip = pose.ANKLE_HEIGHT + 0.41, pose.ANKLE_HEIGHT + 0.84
    neck = hip + 0.5
    right = [[-0.17, neck, 0], [-0.17, neck - 0.29, 0], [-0.17, neck - 0.29, 0.25]]
    leg = [[-0.1, hip, 0], [-0.1, knee, 0], [-0.1, pose.ANKLE_HEIGHT, 0]]
    flip = np.array([-1.0, 1, 1])
    rest = np.array([[0, neck + 0.2, 0], [0, neck, 0], *right, *(right * flip), *leg, *(leg * flip)])
    turned = pose.turn(rest, 0.5 * np.asarray(times_s)[:, None])  # (n, 14, 3)
    return turned + np.array([0.3, 0, 0]) * np.asarray(times_s)[:, None, None]


def _write_sound(path: Path, samples: np.ndarray, rate: int, late_s: float = 0.0, shown_s: float | None = None) -> Path:
    suffix = Path(path).suffix
    layout = "stereo" if np.ndim(samples) == 2 else "mono"
    options = {"strict": "-2"} if suffix == ".ogg" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[suffix], rate=rate, layout=layout, options=options)
        if suffix in PICTURES:
            shown_s = len(samples) / rate if shown_s is None else shown_s
            _add_video(container, shown_s, max(0.0, -late_s), PICTURES[suffix])
        # The resampler turns the samples into the codec's format and cuts them into frames that every codec takes.
        resampler = av.AudioResampler(stream.format, layout, rate, stream.codec_context.frame_size or 64)
        whole = np.ascontiguousarray(samples, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(max(0.0, late_s) * rate), Fraction(1, rate)
        for piece in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return Path(path)


def _write_video(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        _add_video(container, 1.0)
    return path


def _add_video(container, duration_s: float, late_s: float = 0.0, codec: str = "mpeg4") -> None:
    stream = container.add_stream(codec, rate=15)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for number in range(round(duration_s * 15)):
        picture = np.full((96, 64), number % 256, np.uint8)  # a frame that is not filled holds what was in memory
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number + round(late_s * 15)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
