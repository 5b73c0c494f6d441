"""A few numbers from every step of the pipeline, of inputs that are computed: what they are now, they should stay.

`python tests/golden.py` writes them into tests/golden.json anew. Do that only where a change was meant.
"""

import json
from pathlib import Path

import numpy as np
import torch
from conftest import turning_body
from toys import music_of, new_dancer, new_vae

from d2m.clock import frame_count
from d2m.data.builtin import dancers, songs
from d2m.generation import generate
from d2m.motion import kinematics, pose, units, warp
from d2m.music import beats
from d2m.music import features as music_features

FILE = Path(__file__).with_suffix(".json")
DECIMALS = 5


def numbers() -> dict[str, list]:
    """Step -> a few of its numbers, rounded."""
    torch.set_num_threads(1)
    song = songs.song("zumba", 8.0, seed=1)
    strength, drums = music_features.onset_strength(song.samples)
    features = music_features.features(song.samples)
    poses, known_s = dancers.dance("zumba", song.beats_s, song.metre, 8.0, 1)
    beats_s, beat_strength = kinematics.kinematic_beats(poses)
    music_beats_s = beats.extend_beats(song.beats_s, 8.0)
    anchors = units.anchors(beats_s, music_beats_s, beat_strength)
    in_beat_time = units.to_beat_time(poses, anchors.times_s)
    times_s = np.linspace(0, 3, 7)
    steady = music_of(np.arange(0.3, 11.9, 0.5), 12.0)
    (dance,) = generate.dance_to(new_dancer(turning_body(np.arange(34) / 15)), steady, None, seed=8)
    unit = torch.tensor(pose.to_features(turning_body(np.arange(34) / 15), 1)[None], dtype=torch.float32)
    vae = new_vae()
    with torch.no_grad():
        code = vae.encode_movement(unit)[0]
    values_of = {
        "samples of a song": song.samples[[1000, 50_000, 100_000]],
        "onset strength": strength[100:104],
        "drums": drums[100:104],
        "music features": features[[10, 60], :5],
        "music beats": beats.track_beats(song.samples).beats_s[:6],
        "beat rows": music_features.beat_rows(features, music_beats_s)[[1, 5], :3],
        "poses of a built-in dancer": poses[[0, 40, 110], 4],
        "known beats": known_s[:5],
        "kinematic beats": beats_s[:6],
        "strength of kinematic beats": beat_strength[:6],
        "anchors": anchors.times_s[:6],
        "detected anchors": anchors.detected[:6].astype(int),
        "units": units.cut(len(anchors.times_s)),
        "poses in beat time": in_beat_time[[3, 20, 50], 7],
        "features of poses": pose.to_features(poses[:30], 0)[[5, 29], :6],
        "cubic warp": warp.time_map(np.array([0, 1, 2, 3.0]), np.array([0, 0.8, 2.2, 3]), "cubic")(times_s),
        "linear warp": warp.time_map(np.array([0, 1, 2, 3.0]), np.array([0, 0.8, 2.2, 3]), "linear")(times_s),
        "z_mov of an untrained DU-VAE": code[0],
        "a movement of it": vae.move(unit[:, :2], code).detach()[0, [5, 33], :6],
        "a dance of tiny networks": dance.poses[[0, 60, frame_count(12.0) - 1]][:, [4, 10]],
        "its movements": dance.units_s,
    }  # fmt: skip
    return {
        step: np.round(np.asarray(values, dtype=np.float64), DECIMALS).tolist() for step, values in values_of.items()
    }


if __name__ == "__main__":
    FILE.write_text("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in numbers().items()) + "\n}\n")
