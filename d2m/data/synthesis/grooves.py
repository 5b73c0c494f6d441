"""Rhythms of popular and dance music: the drum patterns of one bar, with metre, tempo range and swing.

A pattern has one character a step: x loud, o soft, ? in some bars, . silence. A bar of 4 beats has 16 steps where a beat
has four, 12 where it has three. Alternatives are divided by |; a song draws one of each.
"""

from dataclasses import dataclass

EIGHTHS, SIXTEENTHS, BEATS = "x.o.x.o.x.o.x.o.", "xoxoxoxoxoxoxoxo", "x...x...x...x..."
OFFBEATS = "..x...x...x...x."
BACKBEAT = "....x.......x..."
SHUFFLE, SWING_RIDE = "x.ox.ox.ox.o", "x..x.ox..x.o"


@dataclass(frozen=True)
class Groove:
    """One rhythm. Its beats are those to which people tap."""

    name: str
    bpm: tuple[float, float]
    drums: dict[str, str]  # instrument -> patterns of a bar
    metre: int = 4  # beats in a bar
    steps: int = 4  # in a beat
    swing: tuple[float, float] = (0.5, 0.5)  # where the second half of an eighth (or of a sixteenth pair) begins
    bass: str = "kick beats eighths first riff"  # rhythms of the bass, see `arrangement.RHYTHMS`
    chords: str = "pad beats eighths riff strum arpeggio"
    family: str = "band"  # of instruments, see `arrangement.FAMILIES`
    weight: float = 1.0  # share among the songs
    alone: float = 0.0  # share of its songs in which drums play alone


GROOVES = (
    # rock, pop and country
    Groove("rock", (88, 152), {"kick": "x.......x.x.....|x.x.....x.......|x......xx.x.....|x.....x.x.....x.",
                               "snare": f"{BACKBEAT}|....x..o....x...", "hat": f"{EIGHTHS}|{BEATS}"}, weight=3),
    Groove("rock ride", (100, 168), {"kick": "x.......x.......|x..x..x.x...x...", "snare": BACKBEAT,
                                     "ride": f"{EIGHTHS}|{BEATS}", "crash": "x...............|?..............."}, weight=2),
    Groove("punk", (150, 205), {"kick": "x.x...x.x.x...x.|x...x...x...x...", "snare": f"{BACKBEAT}|..x...x...x...x.",
                                "hat": EIGHTHS}, bass="eighths", chords="eighths", family="metal"),
    Groove("metal", (90, 190), {"kick": "x.xxx.xxx.xxx.xx|xxxxxxxxxxxxxxxx|x..x..x.x..x..x.", "snare": BACKBEAT,
                                "ride": f"{BEATS}|{EIGHTHS}"}, bass="kick", chords="kick eighths gallop steps", family="metal",
           weight=2.5),
    Groove("metal half-time", (70, 100), {"kick": "x..x..x.x...x.x.|xx.x..xx..x.x...", "snare": BACKBEAT,
                                          "crash": BEATS}, bass="kick", chords="kick riff", family="metal"),
    Groove("ballad", (58, 84), {"kick": "x.......x.......|x.....x.x.......", "snare": BACKBEAT, "rim": f"{'.' * 16}|{BACKBEAT}",
                                "hat": f"{EIGHTHS}|{SIXTEENTHS}"}, bass="first half kick", chords="pad arpeggio beats", weight=3),
    Groove("slow rock", (66, 98), {"kick": "x.......x.x.....|x..x....x.x.....|x.x.....x..x....", "snare": f"{BACKBEAT}|....x..o.o..x...",
                                   "hat": f"{SIXTEENTHS}|{EIGHTHS}"}, bass="kick eighths riff", chords="strum pad steps arpeggio", weight=2),
    Groove("ballad 12/8", (52, 76), {"kick": "x.....x.....", "snare": "...x.....x..", "hat": "xooxooxooxoo"}, steps=3,
           bass="first half", chords="steps arpeggio pad"),
    Groove("country", (92, 132), {"kick": "x.......x.......", "snare": f"{BACKBEAT}|..o...o...o...o.", "hat": EIGHTHS,
                                  "brush": f"{'.' * 16}|xoxoxoxoxoxoxoxo"}, bass="half", chords="offbeats backbeats strum",
           family="country", weight=2),
    Groove("train", (96, 140), {"snare": "ooxoooxoooxoooxo|xoxoxxxoxoxoxxxo", "kick": "x.......x.......|x...x...x...x..."},
           bass="half beats", chords="backbeats strum", family="country"),
    Groove("march", (96, 128), {"kick": "x.......x.......", "snare": "....x.oo....x.x.|o.o.xoo.o.o.xooo", "crash": "?.......?......."},
           bass="half", chords="backbeats offbeats", family="brass"),
    Groove("polka", (108, 132), {"kick": "x.......x.......", "snare": f"{BACKBEAT}|..x...x...x...x."}, bass="half",
           chords="offbeats backbeats", family="folk"),
    Groove("quickstep", (176, 208), {"kick": "x...x...x...x...", "hat": BACKBEAT, "ride": "x...x.ox...x.ox."[:16]},
           swing=(0.58, 0.67), bass="half beats", chords="backbeats riff", family="jazz"),
    Groove("foxtrot", (108, 128), {"kick": "x.......x.......", "hat": BACKBEAT, "brush": EIGHTHS}, swing=(0.58, 0.67),
           bass="half beats", chords="beats riff", family="jazz"),
    # dance floor and electronic
    Groove("four to the floor", (112, 136), {"kick": BEATS, "clap": f"{BACKBEAT}|{'.' * 16}", "open": OFFBEATS,
                                             "hat": f"{SIXTEENTHS}|{EIGHTHS}"}, bass="offbeats steps riff tresillo",
           chords="offbeats riff pad arpeggio", family="electronic", weight=3),
    Groove("disco", (108, 130), {"kick": BEATS, "snare": BACKBEAT, "hat": f"xoxoxoxoxoxoxoxo|{OFFBEATS}", "open": OFFBEATS},
           bass="octaves riff eighths", chords="offbeats riff pad", weight=3),
    Groove("house", (118, 128), {"kick": BEATS, "clap": f"{BACKBEAT}|....x.......x..o", "open": OFFBEATS,
                                 "shaker": SIXTEENTHS}, swing=(0.5, 0.58), bass="riff offbeats", chords="riff pad tresillo",
           family="electronic", weight=1.5),
    Groove("trance", (132, 150), {"kick": BEATS, "open": OFFBEATS, "clap": f"{'.' * 16}|{BACKBEAT}"}, bass="offbeats steps",
           chords="steps arpeggio pad", family="electronic"),
    Groove("techno fast", (140, 200), {"kick": BEATS, "hat": f"{OFFBEATS}|{EIGHTHS}", "clap": BACKBEAT},
           bass="offbeats eighths steps", chords="arpeggio riff pad steps", family="chip", weight=1.5),
    Groove("chiptune", (100, 190), {"kick": "x.......x.x.....|x.....x.x.......", "snare": BACKBEAT, "hat": f"{EIGHTHS}|{SIXTEENTHS}"},
           bass="octaves eighths riff steps", chords="arpeggio riff steps", family="chip", weight=2.5),
    Groove("electro pop", (92, 178), {"kick": f"x.....x.x.......|x..x..x.....x...|{BEATS}", "snare": BACKBEAT, "clap": BACKBEAT,
                                      "hat": f"{EIGHTHS}|{SIXTEENTHS}"}, bass="eighths riff octaves kick",
           chords="pad riff arpeggio steps", family="electronic", weight=2.5),
    Groove("synthesizers", (84, 180), {"hat": f"{'.' * 16}|{OFFBEATS}|{EIGHTHS}"}, bass="eighths offbeats steps riff octaves",
           chords="arpeggio steps riff offbeats", family="chip", weight=1.5),
    Groove("drum and bass", (160, 180), {"kick": "x.........x.....|x.x.......x.....", "snare": f"{BACKBEAT}|....x..o.o..x..o",
                                         "hat": f"{EIGHTHS}|{SIXTEENTHS}"}, bass="riff first", chords="pad riff",
           family="electronic", weight=1.2),
    Groove("breakbeat", (105, 145), {"kick": "x.x.......x..x..|x.....x...x.....|x..x......xx....", "snare": "....x..o.o..x..o|....x..o.o..x...",
                                     "hat": f"{EIGHTHS}|{SIXTEENTHS}"}, bass="riff kick", chords="riff pad",
           family="electronic", weight=1.5),
    Groove("dubstep", (66, 76), {"kick": "x.....x.....x...|x...............|x..x..........x.", "snare": "........x.......|....x.......x...",
                                 "hat": f"x.ox.ox.ox.ox.ox|{SIXTEENTHS}"}, bass="riff steps", chords="pad riff",
           family="electronic"),
    # hip-hop, funk and soul
    Groove("hip-hop", (78, 106), {"kick": "x..x..x...x.....|x......x..x.....|x.x....x.xx.....|x.........x..x..", "snare": BACKBEAT,
                                  "hat": f"{EIGHTHS}|{SIXTEENTHS}"}, swing=(0.5, 0.62), bass="kick riff first",
           chords="pad riff beats arpeggio", family="urban", weight=3.5),
    Groove("trap", (62, 80), {"kick": "x......x..x.....|x..x......x..x..|x.....x........x", "clap": BACKBEAT,
                              "hat": "xxxxxxxxxxxxxxxx|xoxoxoxxxoxoxxxx"}, bass="kick first", chords="pad arpeggio riff",
           family="urban", weight=1.2),
    Groove("funk", (92, 122), {"kick": "x..x..x...x..x..|x.x....x..x.....|x.....x...xx....", "snare": "....x..o.o..x..o|....x..o.x.ox...",
                               "hat": f"{SIXTEENTHS}|{EIGHTHS}"}, swing=(0.5, 0.56), bass="riff kick", chords="riff scratch",
           weight=2),
    Groove("soul", (76, 126), {"kick": "x.......x.x.....|x.x.....x.x.....", "snare": f"{BACKBEAT}|{BEATS}", "hat": EIGHTHS,
                               "tambourine": f"{BACKBEAT}|{'.' * 16}"}, bass="riff kick beats", chords="riff backbeats pad", weight=1.5),
    Groove("new jack swing", (96, 114), {"kick": "x..x..x...x.....", "snare": BACKBEAT, "hat": SIXTEENTHS}, swing=(0.58, 0.66),
           bass="riff", chords="riff pad", family="urban"),
    # shuffles and jazz
    Groove("shuffle", (82, 148), {"kick": "x.....x.....|x.....x.ox..", "snare": "...x.....x..|...x.ox..x.o", "hat": f"{SHUFFLE}|x..x..x..x.."},
           steps=3, bass="beats shuffle riff", chords="shuffle backbeats beats riff pad", weight=2.5, family="blues"),
    Groove("slow blues", (48, 72), {"kick": "x.....x.....|x....xx.....", "snare": "...x.....x..", "ride": "xooxooxooxoo|x.ox.ox.ox.o"},
           steps=3, bass="beats shuffle first", chords="pad steps riff", family="blues", weight=1.5),
    Groove("swing", (112, 230), {"ride": f"{SWING_RIDE}|{SHUFFLE}", "pedal": "...x.....x..", "kick": f"oooooooooooo|o..o..o..o..|{'.' * 12}",
                                 "snare": f"{'.' * 12}|..?..?....?."}, steps=3, bass="beats", chords="riff charleston backbeats",
           family="jazz", weight=3),
    Groove("jazz brushes", (58, 130), {"brush": "x.ox.ox.ox.o", "pedal": "...x.....x..", "kick": f"{'.' * 12}|o.....o....."},
           steps=3, bass="half beats", chords="pad riff charleston", family="jazz", weight=1.5),
    Groove("jive", (152, 180), {"kick": "x.....x.....", "snare": "...x.....x..", "ride": SWING_RIDE}, steps=3, bass="beats shuffle",
           chords="riff backbeats", family="jazz"),
    Groove("rockabilly", (150, 200), {"kick": "x.....x.....", "snare": "...x.....x..|..ox.o..ox.o", "hat": SHUFFLE}, steps=3,
           bass="half beats", chords="backbeats riff", family="country"),
    # reggae
    Groove("one drop", (64, 84), {"kick": "........x.......|....x.......x...", "rim": "........x.......|....x.......x...", "hat": f"{EIGHTHS}|{SIXTEENTHS}"},
           swing=(0.5, 0.6), bass="riff tresillo", chords="offbeats", family="reggae", weight=1.7),
    Groove("one drop fast", (120, 160), {"kick": "........x.......", "snare": "........x.......", "hat": f"{BEATS}|{EIGHTHS}"},
           bass="riff half", chords="backbeats", family="reggae", weight=0.4),
    Groove("steppers", (68, 88), {"kick": "x.x.x.x.x.x.x.x.|x...x...x...x...", "rim": BACKBEAT, "hat": f"{OFFBEATS}|{EIGHTHS}"},
           bass="riff", chords="offbeats", family="reggae"),
    Groove("ska", (120, 160), {"kick": "....x.......x...|x.......x.......", "snare": BACKBEAT, "hat": f"{EIGHTHS}|{OFFBEATS}"}, bass="beats eighths",
           chords="offbeats", family="reggae"),
    Groove("dancehall", (88, 108), {"kick": "x..x..x.x..x..x.|x......x........", "snare": "...x..x....x..x.", "hat": EIGHTHS}, bass="riff tresillo",
           chords="offbeats riff", family="urban"),
    # Latin
    Groove("reggaeton", (84, 104), {"kick": BEATS, "snare": "...x..x....x..x.", "hat": f"{'.' * 16}|{EIGHTHS}"}, bass="tresillo kick",
           chords="pad riff offbeats", family="electronic", weight=1.2),
    Groove("cha-cha", (108, 132), {"guiro": "x...x.o.x...x.o.", "cowbell": BEATS, "conga": "........x.....xx|..x.....x.....xx",
                                   "timbale": f"{'.' * 16}|x.......x.....oo", "kick": f"{'.' * 16}|x.......x......."},
           bass="tresillo half riff", chords="montuno offbeats riff", family="latin", weight=1.3),
    Groove("rumba", (88, 114), {"conga": "..o...x.o.o...xx|x.o.x.o.x.o.xxo.", "clave": "x..x...x..x.x...|x..x..x...x.x...", "bongo": "xoooxoooxoooxooo",
                                "kick": f"{'.' * 16}|x.......x.....x."}, bass="tresillo half first", chords="arpeggio riff pad",
           family="latin", weight=1.3),
    Groove("bachata", (120, 140), {"bongo": "xoxoxoxoxoxoxoxo", "guiro": "x.oox.oox.oox.oo", "conga": "............x...", "kick": "x.......x......."},
           bass="half tresillo", chords="arpeggio riff", family="latin"),
    Groove("bossa", (60, 80), {"rim": "x..x..x...x..x..|x..x...x..x...x.", "kick": "x..ox..ox..ox..o", "shaker": SIXTEENTHS}, bass="half kick",
           chords="riff charleston", family="latin"),
    Groove("bossa fast", (110, 160), {"rim": "x.....x.....x...|....x.....x.....", "kick": "x.....o.x.....o.", "hat": EIGHTHS}, bass="half",
           chords="riff", family="latin"),
    Groove("samba", (94, 108), {"surdo": "o...x...o...x...|o...x...o...x.x.", "shaker": "xoxxxoxxxoxxxoxx", "agogo": "x.xx.x.xx.x.xx.x|x..x.x.x.x..x.x.",
                                "snare": "oooxooxooxooxoox|o.ox.ox.o.ox.ox."}, bass="half riff", chords="riff scratch", family="latin",
           weight=1.2),
    Groove("salsa", (160, 215), {"clave": "x.....x.....x...|....x...x.......", "cowbell": "x...x...x.x.x...|x...x.x.x...x.x.", "conga": "......x.....x.x.",
                                 "timbale": f"{'.' * 16}|x...x.x...x.x.x."}, bass="tresillo riff", chords="montuno riff",
           family="latin", weight=1.2),
    Groove("merengue", (120, 165), {"kick": BEATS, "guiro": "x.oox.oox.oox.oo|x.x.x.oox.x.x.oo", "conga": "....x.......x.x.", "snare": f"{'.' * 16}|x.......x..xxxxx"},
           bass="half beats", chords="montuno riff offbeats", family="latin"),
    Groove("cumbia", (84, 108), {"guiro": "x.oox.oox.oox.oo", "kick": f"x.......x.......|{BEATS}", "conga": "..x...x...x...xx", "cowbell": f"{'.' * 16}|{BEATS}"},
           bass="half tresillo", chords="offbeats", family="latin"),
    Groove("tango", (112, 134), {"kick": f"{'.' * 16}|x...x...x...x...", "snare": f"{'.' * 16}|............o.x.|x...x...x...x.x."},
           bass="beats tresillo half", chords="beats riff tresillo", family="tango", weight=1.3),
    Groove("habanera", (56, 70), {"conga": f"{'.' * 16}|x..xx.x.x..xx.x."}, bass="tresillo", chords="tresillo arpeggio", family="tango"),
    Groove("paso doble", (108, 124), {"kick": "x...x...x...x...", "snare": "..ooo.oo..ooo.oo|x.ooxoo.x.ooxoo.", "castanet": "x.oox.o.x.oox.o."},
           bass="half beats", chords="beats riff offbeats", family="brass"),
    # three, six and five
    Groove("waltz", (80, 112), {"kick": "x...........", "hat": f"....x...x...|{'.' * 12}", "brush": f"{'.' * 12}|x...x...x..."}, metre=3, bass="first",
           chords="backbeats arpeggio pad", family="orchestra", weight=2),
    Groove("waltz pop", (84, 150), {"kick": "x...........|x.....x.....", "snare": "....x...x...|........x...", "hat": "x.o.x.o.x.o."}, metre=3,
           bass="first riff", chords="backbeats arpeggio pad", weight=1.2),
    Groove("jazz waltz", (108, 190), {"ride": "x..x.ox..|x..x.ox.o", "pedal": "...x.....", "kick": f"o........|{'.' * 9}"}, metre=3, steps=3,
           bass="first beats", chords="riff backbeats", family="jazz"),
    Groove("Viennese waltz", (150, 192), {"kick": f"x...........|{'.' * 12}", "snare": f"....o...o...|{'.' * 12}"}, metre=3, bass="first", chords="backbeats",
           family="orchestra", weight=1.5),
    Groove("6/8", (48, 80), {"kick": "x.....|x....o", "snare": "...x..", "hat": "xooxoo|x.ox.o"}, metre=2, steps=3, bass="first beats", chords="steps arpeggio pad",
           weight=1.5),
    Groove("jig", (100, 138), {"kick": f"x..x..|{'.' * 6}", "tambourine": f"x.ox.o|{'.' * 6}"}, metre=2, steps=3, bass="beats", chords="beats shuffle",
           family="folk"),
    Groove("reel", (98, 124), {"kick": f"x...x...x...x...|{'.' * 16}", "tambourine": f"{OFFBEATS}|{'.' * 16}"}, bass="beats half",
           chords="offbeats strum", family="folk"),
    Groove("five", (100, 170), {"kick": "x.....x.....x.......", "snare": "........x.......x...", "ride": "x...x.o.x...x.o.x..."}, metre=5, bass="riff",
           chords="riff", family="jazz", weight=0.6),
    # without drums, or nearly so
    Groove("sparse", (70, 130), {"rim": f"{BACKBEAT}|{'.' * 16}", "kick": f"x...............|{'.' * 16}"}, bass="first riff", chords="pad beats arpeggio strum",
           weight=1.5),
    Groove("no drums", (58, 140), {}, bass="first half beats", chords="arpeggio beats strum riff eighths", family="acoustic", weight=3),
    Groove("classical four", (56, 150), {}, bass="first half beats", chords="eighths arpeggio beats backbeats", family="orchestra", weight=3.5),
    Groove("classical three", (60, 170), {}, metre=3, bass="first beats", chords="backbeats arpeggio beats", family="orchestra", weight=2),
    Groove("classical two", (56, 110), {}, metre=2, steps=3, bass="first beats", chords="steps arpeggio beats", family="orchestra"),
    Groove("strings", (52, 96), {}, bass="first", chords="pad beats", family="orchestra", weight=1.5),
)  # fmt: skip

# Plain rhythms, whose tempo is most often read at half or double: every beat struck and nothing between, or sixteenths
# at a slow tempo. The training ends with them.
PLAIN = (
    Groove("kick and snare", (72, 186), {"kick": f"x.......x.......|x.......x.x.....|{BEATS}|x.....x.x.......", "snare": BACKBEAT},
           bass="beats half kick eighths", chords="beats riff pad", alone=0.7, weight=4),
    Groove("fast", (140, 190), {"kick": f"x.......x.......|{BEATS}|x.......x.x.....", "snare": BACKBEAT, "hat": f"{EIGHTHS}|{BEATS}"},
           bass="beats eighths", chords="beats eighths riff", alone=0.3, weight=1.5),
    Groove("slow sixteenths", (54, 74), {"kick": "x.......x.......|x.....x.x.......|x.......x.x.....", "snare": BACKBEAT,
                                         "hat": f"{SIXTEENTHS}|xxxxxxxxxxxxxxxx"}, bass="first half kick", chords="pad arpeggio beats",
           alone=0.4, weight=3),
    Groove("slow eighths", (64, 96), {"kick": "x.......x.......|x.......x.x.....", "snare": BACKBEAT, "hat": EIGHTHS},
           bass="first half kick eighths", chords="pad arpeggio beats strum", alone=0.2),
)  # fmt: skip


def check(groove: Groove) -> None:
    """Raise `ValueError` where a pattern of `groove` is not as long as its bar."""
    for instrument, patterns in groove.drums.items():
        for pattern in patterns.split("|"):
            if len(pattern) != groove.metre * groove.steps:
                raise ValueError(f"{groove.name}, {instrument}: {pattern} has {len(pattern)} steps")
