"""Damaged files for every reader: each must be read or be refused with a `D2MError` that names it, and nothing else.

`python tests/fuzzing.py FOLDER COUNT SEED` damages COUNT files in FOLDER, spread over all `READERS`, and prints the
outcomes as JSON. It runs in a process of its own, since it limits its memory and a decoder may crash.
"""

import copy
import faulthandler
import io
import json
import math
import random
import resource
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import motions
import numpy as np
import torch
from conftest import _write_sound, turning_body, write_pair
from toys import VAE, Toy, ToyConfig, new_vae

from d2m.clock import frame_times
from d2m.data import corpus, retarget, sources
from d2m.data.builtin import songs
from d2m.data.formats import aist, bvh, keypoints
from d2m.errors import D2MError
from d2m.experiments import report
from d2m.experiments.experiment import Experiment
from d2m.metrics.bootstrap import Estimate
from d2m.models import checkpoint, train
from d2m.motion import dance, pose
from d2m.motion.dance import Dance
from d2m.music import audio, beats
from d2m.notebook import parameters  # fmt: skip

HANGS_S = 120  # far longer than any file here takes; nobody waits for it but where something hangs
MEMORY = 1 << 30  # bytes that reading may take beside the packages that are loaded
SEED = b"\0\xff\x7f\x80\x01"
NASTY = (
    None, True, "", "../../outside", "/etc/passwd", "a\0b", "é\n\u202e", -1, 0, 1, 0.5, -0.0, 1e308, -1e308, 5e-324,
    math.nan, math.inf, -math.inf, 2**31, 2**63, -(2**63), 10**40, [], {}, [[]], [None], [1] * 500, "9" * 5000,
)  # fmt: skip


def of_bytes(whole: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, replaced, cut off, left out, doubled, put in, and numbers written over others; headers most."""
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not whole:
            break
        at = rng.randrange(min(len(whole), rng.choice((16, 64, 512, len(whole)))))
        count, size = rng.choice((1, 2, 4, 100, 5000)), rng.choice((2, 4, 8))
        number = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)) % 256**size
        before, after = whole[:at], whole[at:]
        whole = before + rng.choice((
            bytes([after[0] ^ 1 << rng.randrange(8)]) + after[1:],
            rng.choice(SEED).to_bytes() + after[1:],
            b"",
            after[count:],
            after[:count] + after,
            rng.randbytes(count % 100 + 1) + after,
            number.to_bytes(size, rng.choice(("little", "big"))) + after[size:],
        ))  # fmt: skip
    return whole


def of_json(whole: bytes, rng: random.Random) -> bytes:
    """A value anywhere in it replaced by a nasty one, left out, or put in twice."""
    content = {"": json.loads(whole)}
    for _ in range(rng.choice((1, 1, 2, 5))):
        place, key = content, ""
        while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.75:
            place = place[key]
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        kind = rng.randrange(5)
        if kind == 0 and key != "":
            del place[key]
        elif kind == 1 and isinstance(place, list):
            place.insert(key, place[key])
        elif kind == 2 and isinstance(place[key], list):
            place[key] = place[key][::-1]
        else:
            place[key] = copy.deepcopy(rng.choice(NASTY))  # what is put in may be damaged next
        if "" not in content:
            break
    return json.dumps(content.get("", None)).encode()


def _array(values: np.ndarray, rng: random.Random) -> np.ndarray:
    """An array of another type, shape, order or content."""
    numeric = values.dtype.kind in "fiu"
    rows = np.atleast_1d(values)
    kinds = ("U8", "S4", "O", *(("f2", "f8", "i4", "u1", "?", "c16", ">f4", "M8[s]") if numeric else ()))
    spoilt = np.array(values, dtype=np.float64) if numeric else np.zeros(3)
    if spoilt.size:
        spoilt.flat[rng.randrange(spoilt.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e300, -1e300, 0))
    others = [
        values.astype(rng.choice(kinds), casting="unsafe"), np.zeros(values.shape, [("x", "f4"), ("y", "i2")]),
        np.asfortranarray(values), rows[:0], rows[::-1], values.reshape(-1), values[..., None], values.T,
        np.concatenate([rows] * 2), np.array(rng.choice((1.5, -1, "text", 10**30, b"bytes"))),
        spoilt, spoilt * rng.choice((0, -1, 1e6, 1e-9)),
    ]  # fmt: skip
    return others[rng.randrange(len(others))]


def of_arrays(whole: bytes, rng: random.Random) -> bytes:
    """One or two arrays of an npz, or that of an npy, changed; one left out now and then."""
    held, out = np.load(io.BytesIO(whole)), io.BytesIO()
    with np.errstate(all="ignore"):
        if isinstance(held, np.ndarray):
            np.save(out, _array(held, rng), allow_pickle=True)
            return out.getvalue()
        arrays = dict(held)
        for name in rng.sample(sorted(arrays), rng.choice((1, 1, 2))):
            arrays[name] = _array(arrays[name], rng)
            if rng.random() < 0.1:
                del arrays[name]
    rng.choice((np.savez, np.savez_compressed))(out, **arrays)
    return out.getvalue()


def of_header(whole: bytes, rng: random.Random) -> bytes:
    """The JSON in the header of safetensors changed, or what its texts hold; its length is right, mostly."""
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    told = header["__metadata__"]
    if rng.random() < 0.5:
        name = rng.choice([name for name in told if name != "kind"])
        told[name] = of_json(told[name].encode(), rng).decode()
        text = json.dumps(header).encode()
    else:
        text = of_json(json.dumps(header).encode(), rng)
    length = len(text) if rng.random() < 0.9 else rng.choice((0, 1, len(text) - 1, 2**40))
    return length.to_bytes(8, "little") + text + whole[8 + size :]


@dataclass(frozen=True)
class Reader:
    """A reader: `write` puts a good example into an empty folder and gives the file to damage, `read` reads that file,
    `changes` are the ways to damage it."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    changes: tuple[Callable[[bytes, random.Random], bytes], ...] = (of_bytes,)
    names: tuple[str, ...] = ()  # that its errors may tell instead of the file's: of what the file is one part


def _song(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        rate = 48000 if suffix == ".opus" else 44100
        sound = np.resize(songs.drum_track(120, 5.3).samples, int(5.3 * rate))
        return _write_sound(folder / f"song{suffix}", np.stack([sound] * 2, 1) if suffix == ".ogg" else sound, rate)

    return write


def _dance(folder: Path) -> Path:
    poses, times = turning_body(frame_times(60)).astype(np.float32), np.arange(0.1, 4, 0.5)
    return dance.write_npz(Dance(poses, times, times[::4], "zumba", 3, None), folder / "dance.npz")


def _pose(folder: Path) -> Path:
    np.save(folder / "pose.npy", turning_body(np.zeros(1))[0])
    return folder / "pose.npy"


def _beats(folder: Path) -> Path:
    (folder / "beats.txt").write_text("# beats\n" + "\n".join(f"{0.5 * beat}" for beat in range(1, 20)))
    return folder / "beats.txt"


def _corpus(file: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        times = np.arange(-0.2, 4.5, 0.5)
        arrays = {"poses": turning_body(frame_times(60)).astype("f4"), "music_features": np.ones((60, 28), "f4")}
        arrays |= {
            name: times for name in ("music_beats_s", "kinematic_beats_s", "kinematic_strength", "known_beats_s")
        }
        np.savez(folder / "clip.npz", **arrays)
        entry = corpus.Entry("clip", "zumba", "song.flac", 0.0, "clip", "train", 60, corpus.digest(arrays))
        manifest = {"format": corpus.FORMAT, "name": "one", "styles": ["zumba"], "entries": [vars(entry)]}
        (folder / "corpus.json").write_text(json.dumps(manifest | {"refused": [["other", "no song"]]}))
        return folder / file

    return write


def _clip(path: Path) -> dict:
    found = corpus.read(path.parent)
    return found.load(found.entries[0])


def _pair(file: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        return write_pair(folder, b"") / file  # this reader only names the song

    return write


def _body(fps: float = 30.0) -> np.ndarray:
    """Four seconds of a body that turns, its neck in the middle of its shoulders."""
    joints = turning_body(np.arange(0, 4, 1 / fps))
    joints[:, pose.NECK] = (joints[:, pose.R_SHOULDER] + joints[:, pose.L_SHOULDER]) / 2
    return joints


def _bvh(folder: Path) -> Path:
    joints = turning_body(frame_times(60)).astype(np.float32)
    return dance.write_bvh(Dance(joints, np.arange(4.0), np.arange(2.0), "zumba", 3, None), folder / "dance.bvh")


def _openpose(folder: Path) -> Path:
    motions.write_openpose(folder / "walk", motions.in_picture(_body(15.0)), name="walk")
    return folder / "walk" / "walk_000000000007_keypoints.json"


def _keypoints(folder: Path) -> Path:
    body = motions.keypoints(motions.in_picture(_body()), "COCO")
    return motions.write_json(folder / "clip.json", fps=30, keypoints=body, confidence=np.ones(body.shape[:2]))


def _as_clip(read: Callable[[Path], tuple]) -> Callable[[Path], object]:
    """All that is done with a clip of a format: read, and brought onto the one body, floor and clock."""

    def read_clip(path: Path) -> object:
        joints, fps = read(path)
        return retarget.retarget(joints, retarget.check_fps(30.0 if fps is None else fps, str(path)), str(path))

    return read_clip


def _weights(folder: Path) -> Path:
    checkpoint.save(folder / "model.safetensors", "vae", new_vae().state_dict(), VAE, {"seed": 3, "steps": 2})
    return folder / "model.safetensors"


def _load_weights(path: Path) -> torch.nn.Module:
    model, (tensors, config, _) = new_vae(), checkpoint.read(path, "vae")
    checkpoint.check_config(path, config, VAE)
    checkpoint.load_weights(model, tensors, path)
    return model


def _training() -> tuple:
    toy = Toy()
    optimisers = {name: torch.optim.Adam(weights) for name, weights in toy.players().items()}
    return toy, optimisers, checkpoint.StateConfig(train.TrainConfig(9), 0, ToyConfig(), "corpus")


def _state(folder: Path) -> Path:
    toy, optimisers, agreed = _training()
    for name, optimiser in optimisers.items():
        toy({"x": torch.ones(2, 3)}, 0, name)["total"].backward()
        optimiser.step()
    checkpoint.save_state(
        folder / "training.safetensors", toy, optimisers, {"error one": ([0, 1], [0.5, 0.4])}, agreed, 2
    )
    return folder / "training.safetensors"


def _resume(path: Path) -> int:
    toy, optimisers, agreed = _training()
    step = checkpoint.load_state(path, toy, optimisers, {}, agreed)
    for name, optimiser in optimisers.items():  # moments that do not fit show here
        toy({"x": torch.ones(2, 3)}, step, name)["total"].backward()
        optimiser.step()
    return step


def _losses(folder: Path) -> Path:
    (folder / "vae").mkdir()
    (folder / "vae" / "losses.json").write_text(json.dumps({"total": [[0, 25], [1.5, 0.5]], "KL": [[0], [2.0]]}))
    return folder / "vae" / "losses.json"


def _scores(folder: Path) -> Path:
    report.write_scores(folder / "scores.json", {"ours": {"speed": Estimate(1.0, np.array([0.9, 1.1]), 2)}})
    return folder / "scores.json"


READERS = (
    *(Reader(kind, _song(kind), audio.load) for kind in (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4")),
    Reader("dance npz", _dance, dance.read_npz, (of_bytes, of_arrays, of_arrays)),
    Reader("pose npy", _pose, lambda path: parameters.read_pose(str(path)), (of_bytes, of_arrays)),
    Reader("beats", _beats, beats.read_beats),
    Reader("clip npz", _corpus("clip.npz"), _clip, (of_bytes, of_arrays, of_arrays)),
    Reader("manifest", _corpus("corpus.json"), _clip, (of_bytes, of_json, of_json), ("entry",)),
    Reader("motion JSON", _pair("skeletons.json"), lambda path: sources.read_pair(path.parent), (of_bytes, of_json)),
    Reader("config JSON", _pair("config.json"), lambda path: sources.read_pair(path.parent), (of_bytes, of_json)),
    Reader("BVH", _bvh, _as_clip(bvh.read)),
    Reader("pickle", lambda folder: motions.write_aist(folder, _body(60.0)), _as_clip(aist.read)),
    Reader("OpenPose", _openpose, _as_clip(lambda path: keypoints.read_openpose(sorted(path.parent.iterdir()))),
           (of_bytes, of_json)),
    Reader("keypoint JSON", _keypoints, _as_clip(keypoints.read_keypoint_json), (of_bytes, of_json)),
    Reader("weights", _weights, _load_weights, (of_bytes, of_header)),
    Reader("training state", _state, _resume, (of_bytes, of_header)),
    Reader("losses", _losses, lambda path: Experiment(run=str(path.parent.parent)).losses("vae"), (of_bytes, of_json)),
    Reader("scores", _scores, report.read_scores, (of_bytes, of_json)),
)  # fmt: skip


def damage_one(reader: Reader, path: Path, whole: bytes, rng: random.Random) -> str:
    """What becomes of one damaged file: "read" or "refused"; anything else is raised."""
    path.write_bytes(rng.choice(reader.changes)(whole, rng))
    try:
        reader.read(path)
    except D2MError as error:
        if not any(name in str(error) for name in (path.name, *reader.names)):
            raise AssertionError(f"the error names no file: {error}") from error
        return "refused"
    return "read"


def peak_mb() -> int:
    """The most memory that this process has taken, in MB. ru_maxrss would count the one that started it, too."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(folder: Path, count: int, seed: int) -> dict:
    """Damage `count` files; what became of them by reader, all failures, and the most memory that was taken."""
    torch.set_num_threads(1)
    examples = {}
    for number, reader in enumerate(READERS):
        home = folder / f"{number} é\nein Ordner"  # names may hold anything but "/"
        home.mkdir(parents=True)
        path = reader.write(home)
        reader.read(path)  # the example is good
        examples[reader.name] = path, path.read_bytes()
    # Memory that is asked for, used or not; what the packages have asked for is theirs.
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = peak_mb()
    counts: dict[str, Counter] = {reader.name: Counter() for reader in READERS}
    failures = []
    for number in range(count):
        reader = READERS[number % len(READERS)]
        path, whole = examples[reader.name]
        (folder / "now").write_text(f"{reader.name}, file {number} of seed {seed}")
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        try:
            counts[reader.name][damage_one(reader, path, whole, random.Random(f"{seed} {number}"))] += 1
        except BaseException:
            counts[reader.name]["failed"] += 1
            failures.append(f"{reader.name}, file {number} of seed {seed}: {traceback.format_exc()[-1500:]}")
    faulthandler.cancel_dump_traceback_later()
    return {"counts": counts, "failures": failures, "before_mb": before, "peak_mb": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
