"""Whether a file can be a song: what it is instead, and whether it was copied whole. No sound is decoded here.

A file that is no sound is refused by what it is and the next step; FFmpeg would give a number, or follow a playlist.
"""

import os
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import islice, pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path

from d2m.errors import MediaError
from d2m.files import FIRST_BYTES, first_bytes

ADDRESS = re.compile(r"(?:^|/)([a-z][a-z0-9+.-]+:)/+([^/].*)|(?:^|/)(www\.[^/]+\.[a-z]+(?:/.*)?)$", re.IGNORECASE)
SOUND_EXPECTED = "a file of sound or video, such as mp3, wav, m4a or mp4"
PLAYLISTS = {".asx", ".cue", ".m3u", ".m3u8", ".pls", ".wpl", ".xspf"}
# The first bytes of files that hold no sound, as regular expressions; what they are, and the next step.
NO_SOUND = (
    (rb"MThd|RIFF....RMID", "MIDI holds no sound", "render it to wav or mp3, for example with FluidSynth"),
    (rb"RIFF....sfbk", "it is a SoundFont, the instruments for MIDI", "render a song with it"),
    (rb"IMPM|Extended Module: |.{44}SCRM", "it is a tracker module", "export it as wav"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM....\0\0\0\0|RIFF....WEBP|8BPS|II\*\0|MM\0\*|....ftyp(?:heic|heix|mif1|avif)",
     "it is a picture", "name the song itself"),
    (rb"%PDF", "it is a document", "name the song itself"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "it is an archive", "unpack it and name the song inside"),
    (rb"\s*<(?:!doctype html|html)", "it is a web page, not the song that it links to", "download the song itself"),
    (rb"#EXTM3U|\[playlist\]", "a playlist only names songs", "name one of its songs"),
)  # fmt: skip
LEAST_SHARE = 0.9  # of the stated bytes or seconds that must be there
UNKNOWN_SIZE = 0x7FFFF000  # a WAV or AIFF that was written into a pipe states this size or a larger one
CHUNK_SIZES = {b"RIFF": "little", b"RIFX": "big", b"FORM": "big"}  # their byte order
LARGEST_PAGE = 65307  # bytes of a page of Ogg
FLV = rb"FLV\x01.\0\0\0\x09\0\0\0\0"  # the header of a file, as a regular expression
END = 1 << 17  # bytes in which the last frame of sound, or the last packet of a program stream, begins
FRAMED = {"mp2", "aac", "ac3", "eac3", "dts"}  # FFmpeg's names of codecs with files of frames and nothing else
COPIES = 40  # of one frame, together larger than any frame


def check(path: Path) -> None:
    """Raise `MediaError` for a file that is missing, empty, known to hold no sound, or cut short."""
    if not os.path.isfile(path):  # unlike `Path.is_file`, False for a name that is too long
        raise MediaError(*why_no_file(path))
    size = path.stat().st_size
    if size == 0:
        raise MediaError(f"{path} is empty", "an audio file", "copy or download it again")
    start = first_bytes(path)
    for pattern, problem, remedy in NO_SOUND:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            raise MediaError(f"{path} cannot be a song: {problem}", SOUND_EXPECTED, remedy)
    if _is_text(start):
        is_playlist = path.suffix.lower() in PLAYLISTS
        problem = "a playlist only names songs" if is_playlist else "it is text"
        remedy = "name one of its songs" if is_playlist else "name the song itself"
        raise MediaError(f"{path} cannot be a song: {problem}", SOUND_EXPECTED, remedy)
    # FFmpeg decodes half a WAV without an error.
    stated = _stated_size(path) if start else 0  # none: it cannot be read
    if stated and size < LEAST_SHARE * stated:
        raise MediaError(f"{path} has {size} bytes of {stated}", "a complete file", "copy or download it again")
    if start.startswith(b"OggS") and _ends_inside_a_page(path, size):
        raise _broken_off(path)


def why_no_file(path) -> tuple[str, str, str]:
    """Problem, expectation and remedy for a `path` that is not a file."""
    if os.path.isdir(path):
        return f"{path} is a folder", SOUND_EXPECTED, "name a song in it"
    if os.path.exists(path):
        return f"{path} is not a file", SOUND_EXPECTED, ""
    if address := ADDRESS.search(str(path)):  # `Path` makes one slash of the two
        text = address[3] or f"{address[1]}//{address[2]}"
        return f"{text} is an address", "a file on this machine", "download it first"
    return f"there is no file {path}", SOUND_EXPECTED, ""


def stated_size(start: bytes) -> int:
    """The size in bytes that the first bytes of a WAV, AIFF, RF64, CAF or W64 state; 0 for others and unknown sizes."""
    if start[:4] in CHUNK_SIZES:
        stated = int.from_bytes(start[4:8], CHUNK_SIZES[start[:4]]) + 8
        return stated if stated < UNKNOWN_SIZE else 0
    if start.startswith(b"RF64") and start[12:16] == b"ds64":
        return int.from_bytes(start[20:28], "little") + 8
    if start.startswith(b"caff"):
        at = 8
        while start[at : at + 4] not in (b"data", b""):
            at += 12 + int.from_bytes(start[at + 4 : at + 12], "big")
        size = int.from_bytes(start[at + 4 : at + 12], "big")
        return at + 12 + size if start[at : at + 4] and size < 1 << 62 else 0  # -1: not known
    if start.startswith(b"riff\x2e\x91\xcf\x11"):  # W64: sizes of 64 bits that include their own chunk's header
        return int.from_bytes(start[16:24], "little")
    return 0


def _stated_size(path: Path) -> int:
    """The `stated_size` of a file; of joined WAV files, all of them."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        last = [0, *_wav_begins(content)][-1]
        size = stated_size(content[last : last + FIRST_BYTES])
    return last + size if size else 0


def mp3_states_length(path: Path) -> bool:
    """Whether the header of an mp3 states its length; if not, FFmpeg guesses it from the first bit rates.

    It also guesses where the header states fewer bytes than there are, as before a picture or another song.
    """
    with path.open("rb") as file:
        start, tags = file.read(10), 0
        if start[:3] == b"ID3":  # tags precede the sound; their size has 7 bits a byte
            tags = 10 + sum(byte << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=False))
        file.seek(tags)
        first_frame = file.read(4096)
    header = re.search(b"Xing|Info", first_frame)
    if not header:
        return b"VBRI" in first_frame
    end = header.end()
    flags, *sizes = (int.from_bytes(first_frame[at : at + 4], "big") for at in range(end, end + 12, 4))
    if flags & 2:
        stated = sizes[flags & 1]  # bytes, after the number of frames
        return path.stat().st_size - tags - stated <= stated >> 4  # as FFmpeg decides
    return bool(flags & 1)


def parts(path: Path) -> list[str]:
    """What FFmpeg is to open in turn: the parts of joined files, of which it would play the first alone, or the file.

    These are WAV, FLV, mp4 and chained Ogg.
    """
    whole = str(path.absolute())  # FFmpeg takes a relative "a:b.wav" for a protocol
    if path.stat().st_size < 16:
        return [whole]
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content[:4] == b"OggS":
            begins = _ogg_begins(content)
        elif content[:4] == b"RIFF":
            begins = _wav_begins(content)
        elif content[4:8] == b"ftyp":
            begins = [at for at, kind, _ in _boxes(content) if kind == b"ftyp"]
        else:
            begins = [match.start() for match in re.finditer(FLV, content)] if content[:3] == b"FLV" else []
        spans = pairwise([*begins, len(content)])
        return [f"subfile,,start,{begin},end,{end},,:{whole}" for begin, end in spans] if len(begins) > 1 else [whole]


def _ogg_begins(content: mmap) -> list[int]:
    """Where the links of a chained Ogg begin: with new streams, after pages that do not begin one."""
    begins, serials, was_first = [], set(), False
    at = content.find(b"OggS\0")
    while 0 <= at <= len(content) - 27:
        is_first, serial = bool(content[at + 5] & 2), content[at + 14 : at + 18]  # the first page of a stream
        if is_first and not was_first and serial not in serials:
            begins.append(at)
        serials.add(serial)
        was_first, at = is_first, content.find(b"OggS\0", at + 27)
    return begins


def _wav_begins(content: mmap) -> list[int]:
    """Where WAV files that follow each other begin, by the sizes that they state."""
    begins, at = [], 0
    while content[at : at + 4] == b"RIFF" and content[at + 8 : at + 12] == b"WAVE":
        begins.append(at)
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return begins


def _boxes(content: mmap) -> Iterator[tuple[int, bytes, int]]:
    """Position, kind and end of each box of an mp4; the last end may be beyond that of the file."""
    at = 0
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16])
        if size < 8:  # 0: to the end of the file
            return
        yield at, kind, at + size
        at += size


def check_end(path: Path, format: str, codec: str) -> None:
    """Raise `MediaError` for a file of a format that states no length, where it ends inside a frame, packet or box.

    `format` and `codec` are FFmpeg's names. A file that was cut between two frames cannot be told from a whole one. mp3
    counts as whole, since recorders of radio and old programs end it inside a frame.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if format == "mpegts":
            is_cut = _ends_inside_a_ts_packet(content)
        elif format == "mpeg":
            is_cut = _ends_inside_a_ps_packet(content[-END:])
        elif "mp4" in format.split(","):
            is_cut = _ends_inside_a_box(content)
        else:
            is_cut = codec in FRAMED and format in (codec, "mp3") and _ends_inside_a_frame(content, format)
    if is_cut:
        raise _broken_off(path)


def _broken_off(path: Path) -> MediaError:
    return MediaError(f"{path} breaks off before its end", "a complete file", "copy or download it again")


def _ends_inside_a_frame(content: mmap, format: str) -> bool:
    """Whether FFmpeg completes the last frame by what is appended, copies of a whole frame.

    False for a file that begins inside a frame too, as recordings of radio do.
    """
    import av

    end = content[-END:]
    try:
        with av.open(BytesIO(end), format=format, metadata_errors="replace") as container:
            frame = list(map(bytes, islice(container.demux(audio=0), 2)))[-1]  # the first may be incomplete
        sync = frame[:2]
        if content[:3] != b"ID3" and content[:2] != sync:
            return False
        with av.open(BytesIO(end + COPIES * frame), format=format, metadata_errors="replace") as container:
            packets = [packet for packet in map(bytes, container.demux(audio=0)) if packet and packet[:2] == sync]
    except (av.FFmpegError, IndexError):  # damaged bytes, about which the decoder knows more
        return False
    begins = [end.rfind(packet[:8]) for packet in packets]
    return any(0 <= begin and begin + len(packet) > len(end) for begin, packet in zip(begins, packets, strict=True))


def _ends_inside_a_ts_packet(content: mmap) -> bool:
    """Whether the last packet of a transport stream is incomplete; packets have 188 bytes, on discs 192."""
    for size, sync in ((188, 0), (192, 4)):
        rest = len(content) % size
        if all(content[at : at + 1] == b"G" for at in (sync, size + sync, len(content) - rest - size + sync)):
            return rest > sync and content[len(content) - rest + sync] == ord("G")
    return False


def _ends_inside_a_ps_packet(end: bytes) -> bool:
    """Whether the last packet of a program stream is shorter than it states."""
    starts = [match.start() for match in re.finditer(rb"\x00\x00\x01[\xbb-\xff]", end)]
    return bool(starts) and starts[-1] + 6 + int.from_bytes(end[starts[-1] + 4 : starts[-1] + 6]) > len(end)


def _ends_inside_a_box(content: mmap) -> bool:
    """Whether the last box of a fragmented mp4 is shorter than it states; other mp4 state the length of the sound."""
    boxes = [(kind, end) for _, kind, end in _boxes(content)]
    is_fragmented = any(kind == b"moof" for kind, _ in boxes)
    return is_fragmented and boxes[-1][0] in (b"moof", b"mdat") and boxes[-1][1] > len(content)


def _is_text(start: bytes) -> bool:
    """Whether these bytes are UTF-8 without control signs but those of lines."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # the last letter may be cut
            return False
        text = start[: error.start].decode()
    return all(letter >= " " or letter in "\t\n\r\f" for letter in text)


def _ends_inside_a_page(path: Path, size: int) -> bool:
    """Whether the last page of an Ogg is incomplete and does not say that it is the last."""
    with path.open("rb") as file:
        file.seek(max(0, size - 2 * LARGEST_PAGE))
        end = file.read()
    page = end[end.rfind(b"OggS\0") :] if b"OggS\0" in end else b""
    if len(page) < 27:
        return bool(page)
    sizes = page[27 : 27 + page[26]]
    is_whole = len(sizes) == page[26] and len(page) >= 27 + len(sizes) + sum(sizes)
    return not is_whole and not page[5] & 4
