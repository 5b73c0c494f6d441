"""Damaged files for every reader: each must be read, or refused with a `D2MError` that names the file.

`python tests/fuzzing.py FOLDER COUNT SEED` damages COUNT files in FOLDER, spread over all `READERS`, and prints the
outcomes as JSON. It is a process of its own, since it limits its memory and a decoder may crash.
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
from functools import partial
from pathlib import Path

import motions
import numpy as np
import torch
from conftest import _write_sound, turning_body, write_pair
from toys import VAE, Toy, ToyConfig, new_vae

from d2m.clock import frame_times
from d2m.data import corpus, folders, retarget, sources, unread
from d2m.data.builtin import songs
from d2m.data.formats import aist, asf_amc, bvh, keypoints
from d2m.errors import D2MError
from d2m.experiments import report
from d2m.experiments.experiment import Experiment
from d2m.metrics.bootstrap import Estimate
from d2m.models import checkpoint, train
from d2m.motion import dance, pose
from d2m.motion.dance import Dance
from d2m.music import audio, beats
from d2m.notebook import parameters  # fmt: skip

HANGS_S = 120  # far longer than reading any of these files takes
MEMORY = 1 << 30  # bytes that reading may take beside the loaded packages
NASTY_BYTES = b"\0\xff\x7f\x80\x01"
NASTY = (
    None, True, "", "../../outside", "/etc/passwd", "a\0b", "é\n\u202e", -1, 0, 1, 0.5, -0.0, 1e308, -1e308, 5e-324,
    math.nan, math.inf, -math.inf, 2**31, 2**63, -(2**63), 10**40, [], {}, [[]], [None], [1] * 500, "9" * 5000,
)  # fmt: skip


def of_bytes(whole: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, replaced, cut off, removed, doubled, inserted, or overwritten by a number; mostly in headers."""
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not whole:
            break
        at = rng.randrange(min(len(whole), rng.choice((16, 64, 512, len(whole)))))
        count, size = rng.choice((1, 2, 4, 100, 5000)), rng.choice((2, 4, 8))
        number = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)) % 256**size
        before, after = whole[:at], whole[at:]
        whole = before + rng.choice((
            bytes([after[0] ^ 1 << rng.randrange(8)]) + after[1:],
            rng.choice(NASTY_BYTES).to_bytes() + after[1:],
            b"",
            after[count:],
            after[:count] + after,
            rng.randbytes(count % 100 + 1) + after,
            number.to_bytes(size, rng.choice(("little", "big"))) + after[size:],
        ))  # fmt: skip
    return whole


def of_json(whole: bytes, rng: random.Random) -> bytes:
    """A value anywhere in the JSON replaced by a nasty one, removed, repeated or reversed."""
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
            place[key] = copy.deepcopy(rng.choice(NASTY))  # the next round may damage it
        if "" not in content:
            break
    return json.dumps(content.get("", None)).encode()


def of_words(whole: bytes, rng: random.Random) -> bytes:
    """A word or line of a text replaced, removed, repeated, or exchanged for another."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        mark = rng.choice((b" ", b" ", b"\n"))
        words = whole.split(mark)
        first = rng.choice((len(words), min(len(words), 400)))  # often in the head
        one, other = rng.randrange(first), rng.randrange(first)
        kind = rng.randrange(4)
        if kind == 0:
            words[one] = str(rng.choice(NASTY)).encode()
        elif kind == 1:
            del words[one]
        elif kind == 2:
            words.insert(one, words[other])
        else:
            words[one], words[other] = words[other], words[one]
        whole = mark.join(words)
    return whole


def _array(values: np.ndarray, rng: random.Random) -> np.ndarray:
    """An array of another type, shape, order or content."""
    numeric = values.dtype.kind in "fiu"
    rows = np.atleast_1d(values)
    kinds = ("U8", "S4", "O", *(("f2", "f8", "i4", "u1", "?", "c16", ">f4", "M8[s]") if numeric else ()))
    spoilt = np.array(values, dtype=np.float64) if numeric else np.zeros(3)
    if spoilt.size:
        spoilt.flat[rng.randrange(spoilt.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e300, -1e300, 0))
    return rng.choice([
        values.astype(rng.choice(kinds), casting="unsafe"), np.zeros(values.shape, [("x", "f4"), ("y", "i2")]),
        np.asfortranarray(values), rows[:0], rows[::-1], values.reshape(-1), values[..., None], values.T,
        np.concatenate([rows] * 2), np.array(rng.choice((1.5, -1, "text", 10**30, b"bytes"))),
        spoilt, spoilt * rng.choice((0, -1, 1e6, 1e-9)),
    ])  # fmt: skip


def of_arrays(whole: bytes, rng: random.Random) -> bytes:
    """One or two arrays of an npz, or that of an npy, changed; one is removed now and then."""
    content, out = np.load(io.BytesIO(whole)), io.BytesIO()
    with np.errstate(all="ignore"):
        if isinstance(content, np.ndarray):
            np.save(out, _array(content, rng), allow_pickle=True)
            return out.getvalue()
        arrays = dict(content)
        for name in rng.sample(sorted(arrays), rng.choice((1, 1, 2))):
            arrays[name] = _array(arrays[name], rng)
            if rng.random() < 0.1:
                del arrays[name]
    rng.choice((np.savez, np.savez_compressed))(out, **arrays)
    return out.getvalue()


def of_header(whole: bytes, rng: random.Random) -> bytes:
    """The JSON in the header of safetensors changed, or the JSON in its texts; its length is mostly right."""
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    texts = header["__metadata__"]
    if rng.random() < 0.5:
        name = rng.choice([name for name in texts if name != "kind"])
        texts[name] = of_json(texts[name].encode(), rng).decode()
        text = json.dumps(header).encode()
    else:
        text = of_json(json.dumps(header).encode(), rng)
    length = len(text) if rng.random() < 0.9 else rng.choice((0, 1, len(text) - 1, 2**40))
    return length.to_bytes(8, "little") + text + whole[8 + size :]


@dataclass(frozen=True)
class Reader:
    """`write` writes a good example into an empty folder and returns the file to damage, which `read` reads."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    changes: tuple[Callable[[bytes, random.Random], bytes], ...] = (of_bytes,)  # ways to damage the file
    other_names: tuple[str, ...] = ()  # that its errors may name instead of the file


def _song(suffix: str, folder: Path) -> Path:
    rate = 48000 if suffix == ".opus" else 44100
    sound = np.resize(songs.drum_track(120, 5.3).samples, int(5.3 * rate))
    return _write_sound(folder / f"song{suffix}", np.stack([sound] * 2, 1) if suffix == ".ogg" else sound, rate)


def _joined(folder: Path) -> Path:
    """Two songs of different rates in one chained Ogg."""
    sound = np.stack([songs.drum_track(120, 6.0).samples] * 2, 1)  # 3 s at these rates
    parts = [_write_sound(folder / f"{rate}.ogg", sound, rate).read_bytes() for rate in (44100, 48000)]
    (folder / "joined.ogg").write_bytes(b"".join(parts))
    return folder / "joined.ogg"


def _video_facts(path: Path) -> tuple:
    return audio.frame_rate(path), audio.picture_size(path)


def _unread(folder: Path) -> Path:
    np.savez(folder / "walk.npz", poses=np.zeros((9, 72)), trans=np.zeros((9, 3)))
    return folder / "walk.npz"


def _name_unread(path: Path) -> None:
    _, others = sources.find(path.parent)
    if others != [path] or unread.describe(others, path.parent)[0].startswith(f"{path.name}: SMPL"):
        return
    raise sources.no_clips(path.parent, others)


def _dance(write: Callable[[Dance, Path], Path], name: str, folder: Path) -> Path:
    poses, times_s = turning_body(frame_times(60)).astype(np.float32), np.arange(0.1, 4, 0.5)
    return write(Dance(poses, times_s, times_s[::4], "zumba", 3, None), folder / name)


def _pose(folder: Path) -> Path:
    np.save(folder / "pose.npy", turning_body(np.zeros(1))[0])
    return folder / "pose.npy"


def _text(name: str, text: str, folder: Path) -> Path:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def _corpus(file: str, folder: Path) -> Path:
    times_s = ("music_beats_s", "kinematic_beats_s", "kinematic_strength", "true_beats_s")
    arrays = {"poses": turning_body(frame_times(60)).astype("f4"), "music_features": np.ones((60, 28), "f4")}
    arrays["music_style_rows"] = np.ones((60, 26), "f4")
    arrays |= dict.fromkeys(times_s, np.arange(-0.2, 4.5, 0.5))
    np.savez(folder / "clip.npz", **arrays)
    entry = corpus.Entry("clip", "zumba", "song.flac", 0.0, "clip", "train", 60, corpus.digest(arrays))
    manifest = {"format": corpus.FORMAT, "name": "one", "styles": ["zumba"], "entries": [vars(entry)], "songs": []}
    (folder / "corpus.json").write_text(json.dumps(manifest | {"refused": [["other", "no song"]]}))
    return folder / file


def _clip(path: Path) -> dict:
    opened = corpus.read(path.parent)
    return opened.load(opened.entries[0])


def _pair(file: str, folder: Path) -> Path:
    return write_pair(folder, b"") / file  # this reader does not open the song


def _body(fps: float = 30.0) -> np.ndarray:
    """Four seconds of `turning_body`, its neck in the middle of its shoulders."""
    joints = turning_body(np.arange(0, 4, 1 / fps))
    joints[:, pose.NECK] = (joints[:, pose.R_SHOULDER] + joints[:, pose.L_SHOULDER]) / 2
    return joints


def _read_openpose(path: Path) -> tuple:
    return keypoints.read_openpose(sorted(path.parent.iterdir()))


def _openpose(folder: Path) -> Path:
    motions.write_openpose(folder / "walk", motions.in_picture(_body(15.0)), name="walk")
    return folder / "walk" / "walk_000000000007_keypoints.json"


def _keypoints(folder: Path) -> Path:
    body = motions.keypoints(motions.in_picture(_body()), "COCO")
    return motions.write_json(folder / "clip.json", fps=30, keypoints=body, confidence=np.ones(body.shape[:2]))


def _alphapose(form: str, folder: Path) -> Path:
    layout = "COCO-18" if form else "Halpe-26"
    return motions.write_alphapose(folder / "alpha.json", motions.in_picture(_body(15.0)), layout, form=form)


def _smpl(folder: Path) -> Path:
    return motions.write_smpl(folder, np.random.default_rng(0).normal(scale=0.1, size=(120, 24, 3)))


def _acclaim(suffix: str, folder: Path) -> Path:
    return motions.write_acclaim(folder, _body(15.0)).with_name(f"01{'_02' if suffix == '.amc' else ''}{suffix}")


def _read_acclaim(path: Path) -> tuple:
    motion = path.with_name("01_02.amc")
    return asf_amc.read([motion, *asf_amc.skeleton_of(motion)])


def _landmarks(folder: Path) -> Path:
    """MediaPipe's landmarks in a picture of 1920 x 1080: fractions, with z from the hips and a visibility."""
    body = _body()
    pixels = np.concatenate([motions.in_picture(body), -200 * (body - pose.pelvis(body)[:, None])[..., 2:]], axis=2)
    points = motions.keypoints(pixels / (1920, 1080, 1920), "MediaPipe")
    points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
    return motions.write_json(folder / "clip.json", fps=30, size=[1920, 1080], keypoints=points)


def _fractions(folder: Path) -> Path:
    motions.write_openpose(folder / "walk", motions.in_picture(_body(15.0)) / (1920, 1080), name="walk")
    (folder / "walk" / "size.txt").write_text("1920 1080")
    return folder / "walk" / "size.txt"


def _read_fractions(path: Path) -> tuple:
    size = partial(folders.size_of, path.parent / "walk", path.parent / "walk.mp3", path.parent)
    return keypoints.read_openpose(sorted(path.parent.glob("*.json")), size)


def _retargeted(read: Callable[[Path], tuple], path: Path) -> object:
    joints, fps = read(path)
    return retarget.retarget(joints, retarget.check_fps(30.0 if fps is None else fps, str(path)), str(path))


def _weights(folder: Path) -> Path:
    checkpoint.save(folder / "vae.safetensors", "vae", new_vae().state_dict(), VAE, {"seed": 3, "steps": 2})
    return folder / "vae.safetensors"


def _load_weights(path: Path) -> torch.nn.Module:
    model, (tensors, config, _) = new_vae(), checkpoint.read(path, "vae")
    checkpoint.check_config(path, config, VAE)
    checkpoint.load_weights(model, tensors, path)
    return model


def _state(folder: Path) -> Path:
    path, losses = folder / "training.safetensors", {"error one": ([0, 1], [0.5, 0.4])}
    toy, optimisers, config = _train(lambda *_: 0)
    checkpoint.save_state(path, toy, optimisers, losses, config, 2)
    return path


def _train(load: Callable[..., int], *path: Path) -> tuple:
    """A toy after a step of training from the state that `load` reads; moments of another shape end it."""
    toy, config = Toy(), checkpoint.StateConfig(train.TrainConfig(9), 0, ToyConfig(), "corpus")
    optimisers = {name: torch.optim.Adam(weights) for name, weights in toy.players().items()}
    step = load(*path, toy, optimisers, {}, config)
    for name, optimiser in optimisers.items():
        toy({"x": torch.ones(2, 3)}, step, name)["total"].backward()
        optimiser.step()
    return toy, optimisers, config


def _scores(folder: Path) -> Path:
    report.write_scores(folder / "scores.json", {"ours": {"speed": Estimate(1.0, np.array([0.9, 1.1]), 2)}})
    return folder / "scores.json"


SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".mkv", ".flv", ".m2ts", ".ac3", ".mp2", ".vob")
READERS = (
    *(Reader(suffix, partial(_song, suffix), audio.load) for suffix in SOUNDS),
    Reader("joined .ogg", _joined, audio.load),
    Reader("frame rate and size", partial(_song, ".mp4"), _video_facts),
    Reader("left alone", _unread, _name_unread, (of_bytes, of_arrays)),
    Reader("dance", partial(_dance, dance.write_npz, "dance.npz"), dance.read_npz, (of_bytes, of_arrays, of_arrays)),
    Reader("pose npy", _pose, lambda path: parameters.read_pose(str(path)), (of_bytes, of_arrays)),
    Reader("beats", partial(_text, "beats.txt", "# beats\n" + "\n".join(map(str, range(1, 20)))), beats.read_beats),
    Reader("clip npz", partial(_corpus, "clip.npz"), _clip, (of_bytes, of_arrays, of_arrays)),
    Reader("manifest", partial(_corpus, "corpus.json"), _clip, (of_bytes, of_json, of_json), ("entry",)),
    *(Reader(name, partial(_pair, name), lambda path: sources.read_pair(path.parent), (of_bytes, of_json))
      for name in ("skeletons.json", "config.json")),
    Reader("BVH", partial(_dance, dance.write_bvh, "dance.bvh"), partial(_retargeted, bvh.read), (of_bytes, of_words)),
    *(Reader(f"Acclaim {suffix}", partial(_acclaim, suffix), partial(_retargeted, _read_acclaim), (of_bytes, of_words),
             ("01.asf", "01_02.amc")) for suffix in (".asf", ".amc")),
    *(Reader(f"AlphaPose {form}", partial(_alphapose, form), partial(_retargeted, keypoints.read_alphapose),
             (of_bytes, of_json)) for form in ("", "cmu", "open")),
    Reader("motion pickle", _smpl, partial(_retargeted, aist.read)),
    Reader("pickle", lambda folder: motions.write_aist(folder, _body(60.0)), partial(_retargeted, aist.read)),
    Reader("OpenPose", _openpose, partial(_retargeted, _read_openpose), (of_bytes, of_json), ("walk",)),
    Reader("keypoint JSON", _keypoints, partial(_retargeted, keypoints.read_keypoint_json), (of_bytes, of_json)),
    Reader("landmarks", _landmarks, partial(_retargeted, keypoints.read_keypoint_json), (of_bytes, of_json)),
    Reader("size.txt", _fractions, partial(_retargeted, _read_fractions), other_names=("walk",)),
    Reader("weights", _weights, _load_weights, (of_bytes, of_header)),
    Reader("training state", _state, partial(_train, checkpoint.load_state), (of_bytes, of_header)),
    Reader("losses", partial(_text, "vae/losses.json", '{"total": [[0, 25], [1.5, 0.5]], "KL": [[0], [2.0]]}'),
           lambda path: Experiment(run=str(path.parent.parent)).losses("vae"), (of_bytes, of_json)),
    Reader("scores", _scores, report.read_scores, (of_bytes, of_json)),
)  # fmt: skip


def damage_one(reader: Reader, path: Path, whole: bytes, rng: random.Random) -> str:
    """The outcome of one damaged file: "read" or "refused"; any error but a `D2MError` with its name is raised."""
    path.write_bytes(rng.choice(reader.changes)(whole, rng))
    try:
        reader.read(path)
    except D2MError as error:
        if not any(name in str(error) for name in (path.name, *reader.other_names)):
            raise AssertionError(f"the error names no file: {error}") from error
        return "refused"
    return "read"


def peak_mb() -> int:
    """The peak memory of this process in MB. On Linux ru_maxrss includes the process that started it."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(folder: Path, count: int, seed: int) -> dict:
    """Damage `count` files: the outcomes by reader, all failures, and the memory before and at most."""
    torch.set_num_threads(1)
    examples = {}
    for number, reader in enumerate(READERS):
        home = folder / f"{number} é\nein Ordner"  # a name may contain anything but "/"
        home.mkdir(parents=True)
        path = reader.write(home)
        reader.read(path)  # the example is good
        examples[reader.name] = path, path.read_bytes()
    if sys.platform == "linux":  # limits the memory that is reserved, used or not
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
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
