"""Reading and writing BVH files (Biovision hierarchy): a tree of joints and their motion.

HIERARCHY  ROOT <name> { OFFSET x y z  CHANNELS n <channel> ...  JOINT <name> { ... }  End Site { OFFSET x y z } }
           (some programs give an End Site a name: End Site LeftToe)
MOTION     Frames: <n>  Frame Time: <s>  one line a frame: the values of all channels, angles in degrees
"""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from d2m.errors import PoseError
from d2m.files import read_bytes
from d2m.motion.skeleton import Joint

LARGEST_FILE = 128 * 2**20  # bytes: an hour of 60 joints at 30 frames a second
MOST_JOINTS = 512
MOST_FRAMES = 500_000  # three hours at 46 frames a second
MOST_VALUES = 30_000_000  # numbers in a motion: 0.24 GB
LARGEST_VALUE = 1e7  # magnitude of an offset, a position, an angle
FASTEST_FPS = 1000.0
END = re.compile(r"end\s*(?:site|effector)?\b\s*(.*)", re.IGNORECASE)  # "End Site", or with a name: "End Site LeftToe"
CHANNELS = tuple(f"{axis}{quantity}" for quantity in ("position", "rotation") for axis in "XYZ")


def load(path: Path) -> tuple[list[Joint], np.ndarray, float]:
    """The joints of a BVH file, the values (T, C) of all their channels in order, T >= 2, and the frame rate.

    Raises `PoseError` naming the file and the line.
    """
    content = read_bytes(path, LARGEST_FILE, PoseError, "a BVH file")
    lines = _Lines(path, io.TextIOWrapper(io.BytesIO(content), "utf-8", "replace"))
    joints = _hierarchy(lines)
    frames, fps = _motion_head(lines)
    width = sum(len(joint.channels) for joint in joints)
    # A number takes at least two bytes, so memory is reserved only for as many as the file can hold.
    if not 0 < frames * width <= min(MOST_VALUES, len(content)) or frames > MOST_FRAMES:
        expected = f"a complete file of at most {MOST_FRAMES} frames, with channels"
        raise lines.wrong(f"promises {frames} frames of {width} numbers", expected)
    return joints, _values(lines, frames, width), fps


def as_text(joints: list[Joint], values: np.ndarray, fps: float) -> str:
    """The text of a BVH file of `joints`, parents first, with the `values` (T, C) of all their channels."""
    rows = [f"Frames: {len(values)}", f"Frame Time: {1 / fps:.8f}"]
    rows += [" ".join(f"{value:.5f}" for value in row) for row in values.tolist()]
    return "\n".join(["HIERARCHY", *_branch(joints, 0, ""), "MOTION", *rows, ""])


def _branch(joints: list[Joint], number: int, indent: str) -> list[str]:
    """The lines of a joint and its descendants."""
    joint = joints[number]
    inner = indent + "\t"
    lines = [f"{indent}{'JOINT' if indent else 'ROOT'} {joint.name}", f"{indent}{{"]
    lines += [f"{inner}OFFSET {_triple(joint.offset)}"]
    lines += [f"{inner}CHANNELS {len(joint.channels)} {' '.join(joint.channels)}"]
    for child, other in enumerate(joints):
        if other.parent == number:
            lines += _branch(joints, child, inner)
    if joint.end is not None:
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {_triple(joint.end)}", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _triple(values) -> str:
    return " ".join(f"{value:.6f}" for value in values)


class _Lines:
    """The lines of a file without blank ones, each brace on a line of its own."""

    def __init__(self, path: Path, file: io.TextIOBase):
        self.path, self.number, self._file = path, 0, file
        self._waiting: list[str] = []

    def next(self) -> str:
        """The next line, "" at the end."""
        while not self._waiting:
            line = self._file.readline()
            if not line:
                return ""
            self.number += 1
            parts = line.lstrip("\ufeff").replace("{", "\n{\n").replace("}", "\n}\n").split("\n")
            self._waiting = [part.strip() for part in reversed(parts) if part.strip()]
        return self._waiting.pop()

    def words(self, first: str, least: int = 0) -> list[str]:
        """The words after `first` on the next line, at least `least`."""
        line = self.next()
        words = line[len(first) :].split()
        if line[: len(first)].upper() != first.upper() or len(words) < least:
            raise self.wrong(f"has {line[:40]!r}" if line else "ends", f"{first} ...")
        return words

    def expect(self, word: str) -> None:
        """Read the next line, which must be `word`."""
        line = self.next()
        if line.upper() != word:
            raise self.wrong(f"has {line[:40]!r}" if line else "ends", word)

    def numbers(self, words: list[str], count: int) -> list[float]:
        """`words` as `count` numbers, each of at most `LARGEST_VALUE`."""
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) != count or not all(abs(number) <= LARGEST_VALUE for number in numbers):
            raise self.wrong(f"has {' '.join(words)[:40]!r}", f"{count} numbers")
        return numbers

    def wrong(self, problem: str, expected: str) -> PoseError:
        """The error that names the last line read."""
        return PoseError(f"{self.path} {problem} in line {self.number}", expected, "export the BVH file again")


def _hierarchy(lines: _Lines) -> list[Joint]:
    """The joints between HIERARCHY and MOTION, parents first."""
    lines.expect("HIERARCHY")
    joints = [_joint(lines, lines.words("ROOT", 1), -1)]
    open_joints = [0]
    while open_joints:
        line = lines.next()
        word, *name = line.split() or [""]
        if word.upper() == "JOINT" and name:
            if len(joints) == MOST_JOINTS:
                raise lines.wrong("has too many joints", f"{MOST_JOINTS} at most")
            joints.append(_joint(lines, name, open_joints[-1]))
            open_joints.append(len(joints) - 1)
        elif end := END.fullmatch(line):
            last = open_joints[-1]
            joints[last] = replace(joints[last], end=_end_site(lines))
            if end[1]:  # a joint too: some files name a hand or a foot only here
                joints.append(Joint(end[1], last, joints[last].end))
        elif line == "}":
            open_joints.pop()
        else:
            raise lines.wrong(f"has {line[:40]!r}" if line else "ends", "JOINT <name>, End Site or }")
    return joints


def _end_site(lines: _Lines) -> tuple[float, float, float]:
    """Read the offset of an End Site, from its { to its }; some programs write that it has no channels."""
    lines.expect("{")
    offset = tuple(lines.numbers(lines.words("OFFSET"), 3))
    line = lines.next()
    if line.split() == ["CHANNELS", "0"]:
        line = lines.next()
    if line != "}":
        raise lines.wrong(f"has {line[:40]!r}" if line else "ends", "}")
    return offset


def _joint(lines: _Lines, name: list[str], parent: int) -> Joint:
    """Read a joint from its { to its channels; its children follow."""
    lines.expect("{")
    offset = tuple(lines.numbers(lines.words("OFFSET"), 3))
    count, *channels = lines.words("CHANNELS", 1)
    spelling = {channel.lower(): channel for channel in CHANNELS}
    channels = tuple(spelling.get(channel.lower(), "") for channel in channels)
    if count != str(len(channels)) or "" in channels or len(set(channels)) < len(channels):
        raise lines.wrong(f"has {count} channels {' '.join(channels)}", f"a count and as many of {', '.join(CHANNELS)}")
    return Joint(" ".join(name), parent, offset, channels)


def _motion_head(lines: _Lines) -> tuple[int, float]:
    """The number of frames and the frame rate."""
    lines.expect("MOTION")
    (frames,) = lines.numbers(lines.words("Frames:"), 1)
    (frame_s,) = lines.numbers(lines.words("Frame Time:"), 1)
    if frames != int(frames) or frames < 2:
        raise lines.wrong(f"has {frames:g} frames", "at least 2")
    if not 1 / FASTEST_FPS <= frame_s <= 1:
        raise lines.wrong(f"has a frame time of {frame_s:g} s", f"1 to {FASTEST_FPS:g} frames a second")
    fps = 1 / frame_s
    if abs(fps - round(fps)) < 1e-4 * fps:  # files round the frame time: 0.033333 s is 30 frames a second
        fps = float(round(fps))
    return int(frames), fps


def _values(lines: _Lines, frames: int, width: int) -> np.ndarray:
    """The numbers (frames, width) of the motion."""
    values = np.empty((frames, width))
    for number in range(frames):
        words = lines.next().split()
        try:
            values[number] = np.array(words, dtype=np.float64) if len(words) == width else np.nan
        except ValueError:
            values[number] = np.nan
        if not (np.abs(values[number]) <= LARGEST_VALUE).all():
            raise lines.wrong(f"has {len(words)} words for frame {number + 1} of {frames}", f"{width} numbers")
    if lines.next():
        raise lines.wrong(f"continues after its {frames} frames", "the number of frames after Frames:")
    return values
