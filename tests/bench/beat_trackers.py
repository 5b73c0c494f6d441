"""How well beat trackers do on real music, d2m's beside others:

    python tests/bench/beat_trackers.py SONGS RESULTS PAGE [essentia=PYTHON] [madmom=PYTHON] [beatnet=PYTHON]

SONGS holds NAME.ogg and NAME.beats.txt, seconds, one a line. Each tracker's beats are kept in RESULTS/TRACKER/NAME.json
and not tracked again: delete d2m's after a change of its tracker. The others need packages that d2m does not
have, so each runs in the environment whose Python is given; without it a tracker is shown where all its beats are kept.
The table is written to PAGE (figures/beat_trackers.md).

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

LABELS = {
    "d2m": "d2m",
    "onsets": "d2m without weights (`music/onset_tracker`)",
    "librosa": "librosa `beat_track`",
    "essentia": "essentia `RhythmExtractor2013`, multifeature (AGPL)",
    "beatnet": "BeatNet, model 1 and DBN",
    "madmom": "madmom, RNN and DBN (weights not for commercial use)",
}
RATE = 44100  # of the samples that the other environments get
TRIMMED_S, NEAR = 5.0, 0.04  # of the beginning; of a tempo
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
LEGEND = """
- **F**: share of beats that are right, within 70 ms, found and not superfluous; 1 is perfect. In all columns the first 5 seconds are left out.
- **CMLt**: share of a song that is tracked at the annotated tempo, on the beat.
- **AMLt**: the same, where half or double the tempo and the off-beat count as right too.
- **all**: the mean over all excerpts (their number in brackets).
- **choose**: every second excerpt; settings of d2m were chosen on these.
- **report**: the others, on which nothing was chosen.
- **GTZAN**: excerpts of ten genres (the GTZAN collection).
- **others**: game music.
- **2/3, 4/3** to **2**: share of the excerpts whose tempo was read as that multiple of the true one (within 4 %).
- **s a minute**: processor seconds for a minute of music, on one core.
"""  # noqa: E501
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
    tracked = {"beats_s": beats_s, "seconds": time.process_time() - start, "song_s": len(samples) / RATE}
    print(json.dumps(tracked), flush=True)  # so that a run that is cut off keeps its songs
"""


def d2m_beats(samples: np.ndarray) -> np.ndarray:
    """The beats of d2m's tracker, or none where it raises an error."""
    from d2m.errors import MediaError
    from d2m.music import beats

    try:
        return beats.track_beats(samples).beats_s
    except MediaError:
        return np.empty(0)


def onset_beats(samples: np.ndarray) -> np.ndarray:
    """The beats of d2m's tracker without weights."""
    from d2m.music import onset_tracker

    return onset_tracker.track(samples)


def librosa_beats(samples: np.ndarray) -> np.ndarray:
    """librosa's beats with its own settings."""
    import librosa

    return librosa.beat.beat_track(y=samples, sr=22050, units="time")[1]


OWN = {"d2m": d2m_beats, "onsets": onset_beats, "librosa": librosa_beats}


def track_here(tracker: str, songs: list[Path], folder: Path) -> None:
    """Write the beats of one of `OWN` in `songs` to `folder`, a file for each song."""
    from d2m.music import analysis, audio

    track = OWN[tracker]
    analysis.warm()
    track(np.random.default_rng(0).normal(size=22050 * 10).astype(np.float32))  # compiles what `warm` does not
    for song in songs:
        samples, rate = audio.load(song)
        start = time.process_time()
        with threadpool_limits(1):
            beats_s = [round(float(beat_s), 4) for beat_s in track(samples)]
        tracked = {"beats_s": beats_s, "seconds": time.process_time() - start, "song_s": len(samples) / rate}
        (folder / f"{song.stem}.json").write_text(json.dumps(tracked))


def track_elsewhere(tracker: str, python: str, songs: list[Path], folder: Path) -> None:
    """Write the beats of one of `OTHERS` in `songs`, in the environment of `python`, to `folder`."""
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


def scores(tracked: dict, reference_s: np.ndarray) -> dict[str, float]:
    """The measures of one song."""
    from mir_eval import beat

    late, late_reference = (beat.trim_beats(np.array(times), TRIMMED_S) for times in (tracked["beats_s"], reference_s))
    _, cmlt, _, amlt = beat.continuity(late_reference, late)
    beats_s = tracked["beats_s"]  # the tempo is 60 / mean interval; without two beats there is none
    ratio = np.diff(reference_s).mean() / np.diff(beats_s).mean() if len(beats_s) > 1 else 0
    measures = {"F": beat.f_measure(late_reference, late), "CMLt": cmlt, "AMLt": amlt}
    for name, wrong in TEMPI.items():
        measures[name] = any(abs(ratio / tempo - 1) <= NEAR for tempo in wrong)
    return measures | {"s a minute": tracked["seconds"] / tracked["song_s"] * 60}


def main(songs_folder: str, results: str, page: str, *pythons: str) -> None:
    """Track what is not tracked yet, and write the table of all songs, and of two halves of them: "choose", with an
    even index among the sorted names, to choose settings on, and "report"."""
    songs = sorted(Path(songs_folder).glob("*.ogg"))
    references = {song.stem: np.loadtxt(song.with_suffix(".beats.txt"), usecols=0, ndmin=1) for song in songs}
    given = dict(argument.split("=", 1) for argument in pythons)
    names = list(references)
    groups = {"all": names, "choose": names[::2], "report": names[1::2]}
    groups["GTZAN"] = [name for name in names if name.startswith("gtzan_")]
    groups["others"] = [name for name in names if not name.startswith("gtzan_")]
    groups = {name: members for name, members in groups.items() if members}
    heads = [f"{group} ({len(members)}): F / CMLt / AMLt" for group, members in groups.items()]
    lines = [f"| tracker | {' | '.join(heads)} | {' | '.join(TEMPI)} | s a minute |", "|---" * (7 + len(groups)) + "|"]
    for tracker, label in LABELS.items():
        folder = Path(results) / tracker
        folder.mkdir(parents=True, exist_ok=True)
        new = [song for song in songs if not (folder / f"{song.stem}.json").exists()]
        if new and tracker in OWN:
            track_here(tracker, new, folder)
        elif new and tracker in given:
            track_elsewhere(tracker, given[tracker], new, folder)
        elif new:
            continue
        tracked = {name: json.loads((folder / f"{name}.json").read_text()) for name in names}
        row = {name: scores(tracked[name], references[name]) for name in names}
        cells = [
            " / ".join(f"{np.mean([row[name][measure] for name in members]):.3f}" for measure in ("F", "CMLt", "AMLt"))
            for members in groups.values()
        ]
        cells += [f"{np.mean([row[name][tempo] for name in names]):.1%}" for tempo in TEMPI]
        cells += [f"{np.mean([row[name]['s a minute'] for name in names]):.2f}"]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    Path(page).write_text("\n".join(lines) + f"\n{LEGEND}")
    print(Path(page).read_text())


if __name__ == "__main__":
    main(*sys.argv[1:])
