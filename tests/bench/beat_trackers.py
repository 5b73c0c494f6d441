"""How well beat trackers do on real music, d2m's beside others:

    python tests/bench/beat_trackers.py SONGS RESULTS [essentia=PYTHON] [madmom=PYTHON] [beatnet=PYTHON]

SONGS holds NAME.ogg and NAME.beats.txt, seconds, one a line. Each tracker's beats are kept in RESULTS/TRACKER/NAME.json
and not tracked again: delete d2m's after a change of its tracker. The others need packages that d2m does not
have, so each runs in the environment whose Python is given; without it a tracker is shown where all its beats are kept.

F-measure, CMLt and AMLt are mir_eval's without the first 5 seconds. The columns "2/3, 4/3" to "2" are the share of
songs whose tempo is within 4 % of the reference's times that number. Seconds are processor time on one thread, from
samples that PyAV has decoded to beats; models are loaded before.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

OWN = ("d2m", "librosa")
RATE = 44100  # of the samples that the other environments get
TRIMMED_S, NEAR = 5.0, 0.04  # of the beginning; of a tempo
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
TEMPI = {"2/3, 4/3": (2 / 3, 4 / 3), "3/4, 3/2": (3 / 4, 3 / 2), "1/2": (1 / 2,), "2": (2,)}

# Each defines `track`: samples at RATE to beats in seconds. madmom's models are for non-commercial use.
OTHERS = {
    "essentia": """
import essentia.standard
def track(samples):
    return essentia.standard.RhythmExtractor2013(method="multifeature")(samples)[1]
""",
    "madmom": """
from madmom.audio.signal import Signal
from madmom.features.beats import DBNBeatTrackingProcessor, RNNBeatProcessor
network, decoder = RNNBeatProcessor(num_threads=1), DBNBeatTrackingProcessor(fps=100, num_threads=1)
def track(samples):
    return decoder(network(Signal(samples, RATE, num_channels=1)))
""",
    "beatnet": """
import librosa, torch
from BeatNet.BeatNet import BeatNet
torch.set_num_threads(1)
beatnet = BeatNet(1, mode="offline", inference_model="DBN")
def track(samples):
    beats = beatnet.process(librosa.resample(samples, orig_sr=RATE, target_sr=22050))
    return beats[:, 0] if len(beats) else []
""",
}
# Prints a line of JSON for each file that it is given, each float32 samples.
LOOP = """
import json, sys, time, numpy
track(numpy.random.default_rng(0).normal(size=10 * RATE).astype(numpy.float32) / 10)  # loads and compiles what is lazy
for path in sys.argv[1:]:
    samples = numpy.load(path)
    start = time.process_time()
    beats_s = [round(float(beat_s), 4) for beat_s in track(samples)]
    heard = {"beats_s": beats_s, "seconds": time.process_time() - start, "song_s": len(samples) / RATE}
    print(json.dumps(heard), flush=True)  # so that a run that is cut off keeps its songs
"""


def d2m_beats(samples: np.ndarray) -> np.ndarray:
    """The beats of d2m's tracker, or none where it raises an error."""
    from d2m.errors import MediaError
    from d2m.music import beats, features

    try:
        return beats.track_beats(*features.onset_strength(samples))
    except MediaError:
        return np.empty(0)


def librosa_beats(samples: np.ndarray) -> np.ndarray:
    """librosa's beats with its own settings."""
    import librosa

    return librosa.beat.beat_track(y=samples, sr=22050, units="time")[1]


def track_here(tracker: str, songs: list[Path], folder: Path) -> None:
    """Write what `d2m` or `librosa` hears in `songs` to `folder`, a file for each song."""
    from d2m.music import analysis, audio

    track = {"d2m": d2m_beats, "librosa": librosa_beats}[tracker]
    analysis.warm()
    track(np.random.default_rng(0).normal(size=22050 * 10).astype(np.float32))  # compiles what `warm` does not
    for song in songs:
        samples, rate = audio.load(song)
        start = time.process_time()
        with threadpool_limits(1):
            beats_s = [round(float(beat_s), 4) for beat_s in track(samples)]
        heard = {"beats_s": beats_s, "seconds": time.process_time() - start, "song_s": len(samples) / rate}
        (folder / f"{song.stem}.json").write_text(json.dumps(heard))


def track_elsewhere(tracker: str, python: str, songs: list[Path], folder: Path) -> None:
    """Write what one of `OTHERS` hears in `songs`, in the environment of `python`, to `folder`."""
    from d2m.music import audio

    with tempfile.TemporaryDirectory() as temporary:
        files = [str(Path(temporary) / f"{song.stem}.npy") for song in songs]
        for song, file in zip(songs, files, strict=True):
            stereo = np.concatenate(list(audio.stream_stereo(song, 0, 3600 * RATE)))
            np.save(file, stereo.mean(1, dtype=np.float32))
        code = f"RATE = {RATE}\n{OTHERS[tracker]}\n{LOOP}"
        command, environment = [python, "-c", code, *files], os.environ | ONE_THREAD
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            lines = (line for line in process.stdout if line.startswith("{"))
            for song, line in zip(songs, lines, strict=True):
                (folder / f"{song.stem}.json").write_text(line)


def scores(heard: dict, reference_s: np.ndarray) -> dict[str, float]:
    """The measures of one song."""
    from mir_eval import beat

    late, late_reference = (beat.trim_beats(np.array(times), TRIMMED_S) for times in (heard["beats_s"], reference_s))
    _, cmlt, _, amlt = beat.continuity(late_reference, late)
    beats_s = heard["beats_s"]  # the tempo is 60 / mean interval; without two beats there is none
    ratio = np.diff(reference_s).mean() / np.diff(beats_s).mean() if len(beats_s) > 1 else 0
    measures = {"F": beat.f_measure(late_reference, late), "CMLt": cmlt, "AMLt": amlt}
    for name, wrong in TEMPI.items():
        measures[name] = any(abs(ratio / tempo - 1) <= NEAR for tempo in wrong)
    return measures | {"s a minute": heard["seconds"] / heard["song_s"] * 60}


def main(songs_folder: str, results: str, *pythons: str) -> None:
    """Track what is not tracked yet, and print a table for all songs, for GTZAN's and others, and for two halves:
    "choose", with an even index among the sorted names, to choose settings on, and "report"."""
    songs = sorted(Path(songs_folder).glob("*.ogg"))
    names = [song.stem for song in songs]
    references = {song.stem: np.loadtxt(song.with_suffix(".beats.txt"), usecols=0, ndmin=1) for song in songs}
    given = dict(argument.split("=", 1) for argument in pythons)
    groups = {
        "all": names,
        "GTZAN": [name for name in names if name.startswith("gtzan_")],
        "others": [name for name in names if not name.startswith("gtzan_")],
        "choose": names[::2],
        "report": names[1::2],
    }
    rows = {}
    for tracker in (*OWN, *OTHERS):
        folder = Path(results) / tracker
        folder.mkdir(parents=True, exist_ok=True)
        new = [song for song in songs if not (folder / f"{song.stem}.json").exists()]
        if new and tracker in OWN:
            track_here(tracker, new, folder)
        elif new and tracker in given:
            track_elsewhere(tracker, given[tracker], new, folder)
        elif new:
            continue
        heard = {name: json.loads((folder / f"{name}.json").read_text()) for name in names}
        rows[tracker] = {name: scores(heard[name], references[name]) for name in names}
    for group, members in ((group, members) for group, members in groups.items() if members):
        print(f"\n{f'{group} ({len(members)})':14}" + "".join(f"{measure:>12}" for measure in rows["d2m"][names[0]]))
        for tracker, row in rows.items():
            print(f"{tracker:14}", end="")
            for measure in row[names[0]]:
                cell = np.mean([row[name][measure] for name in members])
                print(f"{cell:12.1%}" if measure in TEMPI else f"{cell:12.3f}", end="")
            print()


if __name__ == "__main__":
    main(*sys.argv[1:])
