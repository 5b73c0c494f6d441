"""The moves of the built-in dancers: three styles, each a vocabulary of key poses on beats.

A `Key` describes a pose: where the pelvis is, how the trunk leans, what each arm does, where each foot stands. Lengths
are metres in the dancer's own frame (side: to the left, ahead: forward), angles are radians. *Home* is the point on the
floor from which they count. A move lists only what differs from the stance of its style.
"""

from dataclasses import dataclass, replace

# Positions of the right arm: directions of upper arm and forearm in the trunk's frame (left, up, ahead).
ARMS = {
    "down": ((-0.20, -1.0, 0.0), (-0.10, -1.0, 0.20)),
    "low": ((-0.45, -0.9, 0.25), (0.15, -0.85, 0.45)),
    "first": ((-0.60, -0.45, 0.60), (0.60, -0.05, 0.75)),
    "second": ((-1.0, -0.10, 0.25), (-0.95, -0.05, 0.40)),
    "fifth": ((-0.55, 0.85, 0.20), (0.30, 0.95, 0.12)),
    "ahead": ((-0.15, -0.05, 1.0), (0.0, 0.10, 1.0)),
    "up": ((-0.20, 1.0, 0.05), (-0.05, 1.0, 0.05)),
    "behind": ((-0.70, -0.60, -0.40), (-0.80, -0.40, -0.35)),
    "hip": ((-0.85, -0.60, -0.15), (0.70, -0.45, 0.45)),
    "bent": ((-0.25, -0.95, -0.20), (-0.10, 0.15, 1.0)),
    "chest": ((-0.90, -0.25, 0.35), (0.85, 0.10, 0.45)),
    "fist up": ((-0.85, 0.15, 0.25), (-0.10, 1.0, 0.15)),
    "punch": ((-0.15, 0.05, 1.0), (0.25, 0.0, 1.0)),
    "across": ((-0.10, -0.50, 0.85), (0.90, -0.05, 0.45)),
    "swing": ((-0.20, -0.80, -0.60), (-0.20, -0.70, -0.35)),
    "wave up": ((-0.90, 0.40, 0.10), (-0.70, 0.70, 0.15)),
    "wave down": ((-0.95, -0.30, 0.10), (-0.80, -0.60, 0.10)),
    "diagonal": ((-0.80, 0.60, 0.30), (-0.75, 0.65, 0.25)),
}


@dataclass(frozen=True)
class Key:
    """A key pose, reached at `beat` of its move."""

    beat: float
    stop: bool = True  # whether the body stops in it or passes through
    side: float = 0.0  # of the pelvis from the dancer's home; so is `ahead`
    ahead: float = 0.0
    drop: float = 0.0  # of the pelvis below its height at rest; negative on the toes
    hips: float = 0.0  # turn of the pelvis from the direction that the dancer faces
    twist: float = 0.0  # turn of the shoulders from the pelvis
    lean: float = 0.0  # of the trunk, forward
    bend: float = 0.0  # of the trunk, to the left
    right: str = "down"  # arms, see `ARMS`
    left: str = "down"
    right_foot: tuple[float, float, float] = (-0.10, 0.0, 0.0)  # side, ahead, height above standing
    left_foot: tuple[float, float, float] = (0.10, 0.0, 0.0)
    turn: float = 0.0  # of the dancer since the previous key, to the left
    travel: tuple[float, float] = (0.0, 0.0)  # of the dancer's home since the previous key: side, ahead


@dataclass(frozen=True)
class Style:
    """A style: its stance, its dynamics and its moves."""

    stance: Key
    hold: float  # beats for which the body rests in a key pose where it stops
    step_height: float  # metres, of a stepping foot
    moves: dict[str, tuple[Key, ...]]


def mirrored(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The move with left and right exchanged."""
    return tuple(
        replace(
            key, side=-key.side, hips=-key.hips, twist=-key.twist, bend=-key.bend, turn=-key.turn,
            right=key.left, left=key.right, right_foot=_flipped(key.left_foot), left_foot=_flipped(key.right_foot),
            travel=_flipped(key.travel),
        )
        for key in keys
    )  # fmt: skip


def _flipped(position: tuple[float, ...]) -> tuple[float, ...]:
    """The mirror image of a position (side, ...)."""
    return -position[0], *position[1:]


def _keys(stance: Key, *changes: dict) -> tuple[Key, ...]:
    """Keys on beats 1, 2, ... of a move, each the stance with its changes; a change may name its `beat`, or both `arms`."""
    keys = []
    for number, change in enumerate(changes, 1):
        fields = {"beat": float(number)} | change
        if "arms" in fields:
            fields["right"] = fields["left"] = fields.pop("arms")
        keys.append(replace(stance, **fields))
    return tuple(keys)


def _ballet() -> Style:
    stance = Key(0, right="low", left="low", right_foot=(-0.08, 0, 0), left_foot=(0.08, 0, 0))
    toes = {"right_foot": (-0.07, 0, 0.09), "left_foot": (0.07, 0, 0.09), "drop": -0.08}
    wide = {"right_foot": (-0.24, 0, 0), "left_foot": (0.24, 0, 0)}
    one_leg = {"right_foot": (-0.02, 0.10, 0.42), "left_foot": (0.0, 0, 0.08), "drop": -0.07}
    turning = {**one_leg, "right_foot": (-0.02, 0.10, 0.40), "turn": 1.5708, "arms": "first"}
    moves = {
        "plié": ({"drop": 0.22, "arms": "second"}, {"arms": "first"}, {**toes, "arms": "fifth"}, {}),
        "grand plié": ({**wide, "arms": "second"}, {**wide, "drop": 0.36, "arms": "low"}, {**wide, "arms": "second"}, {}),
        "tendu": (
            {"right_foot": (-0.45, 0, 0.02), "arms": "second"}, {"arms": "first"},
            {"right_foot": (-0.08, 0.42, 0.02), "right": "fifth", "left": "second"}, {},
        ),
        "balancé": (
            {"travel": (0.35, 0), "left_foot": (0.12, 0, 0), "side": 0.06, "drop": 0.12, "bend": 0.16, "right": "second", "left": "first"},
            {**toes, "arms": "first"}, {"travel": (-0.35, 0), "side": -0.06, "drop": 0.12, "bend": -0.16, "right": "first", "left": "second"}, {},
        ),
        "port de bras": ({"arms": "first"}, {"arms": "fifth"}, {"right": "second", "left": "fifth", "bend": -0.30, "twist": -0.2}, {"arms": "second"}),
        "arabesque": (
            {"drop": 0.10, "arms": "first"},
            {"right_foot": (-0.05, -0.62, 0.62), "side": 0.07, "ahead": 0.04, "lean": 0.45, "right": "second", "left": "ahead"},
            {"right_foot": (-0.05, -0.66, 0.72), "side": 0.07, "ahead": 0.05, "lean": 0.50, "right": "behind", "left": "up"}, {},
        ),
        "passé": ({"drop": 0.12, "right": "first", "left": "second"}, {**one_leg, "arms": "first"}, {**one_leg, "arms": "fifth"}, {}),
        "pirouette": (
            {"drop": 0.16, "right": "first", "left": "second"},
            *({**turning, "beat": 1 + quarter / 2, "stop": quarter == 4} for quarter in range(1, 5)),
            {"beat": 4, "arms": "second", "drop": 0.06},
        ),
        "grand battement": (
            {"right_foot": (-0.10, -0.25, 0.02), "arms": "second", "side": 0.04},
            {"right_foot": (-0.72, 0.15, 0.78), "side": 0.08, "bend": 0.15, "arms": "second"}, {"arms": "first", "drop": 0.08}, {},
        ),
        "chassé": (
            {"travel": (0, 0.30), "left_foot": (0.08, 0.20, 0), "ahead": 0.10, "drop": 0.14, "right": "first", "left": "second"},
            {"travel": (0, 0.25), **toes, "arms": "first"},
            {"travel": (0, 0.25), "right_foot": (-0.08, 0.22, 0), "ahead": 0.12, "drop": 0.08, "right": "fifth", "left": "second"}, {},
        ),
        "relevé": ({"drop": 0.12, "arms": "low"}, {**toes, "arms": "second"}, {**toes, "arms": "fifth"}, {"arms": "second"}),
        "cambré": ({"arms": "second"}, {"right": "fifth", "left": "low", "bend": 0.45}, {"arms": "second"}, {"right": "low", "left": "fifth", "bend": -0.45}),
        "glissade": (
            {"travel": (-0.40, 0), "right_foot": (-0.20, 0, 0), "drop": 0.16, "arms": "second", "bend": -0.1}, {**toes, "arms": "first"},
            {"travel": (-0.30, 0), "drop": 0.14, "right": "second", "left": "fifth", "bend": -0.15}, {},
        ),
    }  # fmt: skip
    return Style(stance, 0.0, 0.05, {name: _keys(stance, *keys) for name, keys in moves.items()})


def _zumba() -> Style:
    stance = Key(0, drop=0.05, right="bent", left="bent", right_foot=(-0.13, 0, 0), left_foot=(0.13, 0, 0))
    left_hip = {"side": 0.08, "hips": 0.22, "bend": -0.12, "drop": 0.07}
    right_hip = {"side": -0.08, "hips": -0.22, "bend": 0.12, "drop": 0.07}
    moves = {
        "side step": (
            {"travel": (0.34, 0), "left_foot": (0.15, 0, 0), **left_hip, "arms": "wave up"}, {"arms": "chest"},
            {"travel": (-0.34, 0), **right_hip, "arms": "wave up"}, {"arms": "chest"},
        ),
        "salsa": (
            {"left_foot": (0.13, 0.26, 0), "ahead": 0.10, "hips": -0.25, "drop": 0.06}, {"hips": 0.15},
            {"right_foot": (-0.13, -0.26, 0), "ahead": -0.10, "hips": 0.25, "right": "chest"}, {"hips": -0.15},
        ),
        "merengue": (
            {**left_hip, "right_foot": (-0.13, 0.03, 0.10)}, {**right_hip, "left_foot": (0.13, 0.03, 0.10)},
            {**left_hip, "right_foot": (-0.13, 0.03, 0.10), "arms": "chest"}, {**right_hip, "left_foot": (0.13, 0.03, 0.10), "arms": "chest"},
        ),
        "hip circle": (
            {**left_hip, "arms": "hip"}, {"ahead": -0.10, "drop": 0.10, "lean": 0.20, "arms": "hip", "stop": False},
            {**right_hip, "arms": "hip"}, {"ahead": 0.08, "lean": -0.10, "arms": "hip"},
        ),
        "arm pump": (
            {**left_hip, "right": "fist up", "left": "bent"}, {**right_hip, "right": "bent", "left": "fist up"},
            {**left_hip, "arms": "up"}, {"arms": "chest", "drop": 0.14},
        ),
        "grapevine": (
            {"travel": (0.32, 0), "left_foot": (0.18, 0, 0), "arms": "second", "hips": 0.1},
            {"travel": (0.30, 0), "right_foot": (0.02, -0.16, 0), "hips": -0.35, "arms": "across"},
            {"travel": (0.32, 0), "left_foot": (0.18, 0, 0), "arms": "second", "hips": 0.1}, {"arms": "fist up", "drop": 0.10},
        ),
        "cumbia": (
            {"right_foot": (-0.06, -0.30, 0), "hips": -0.35, "lean": 0.10, "right": "swing", "left": "ahead"}, {},
            {"left_foot": (0.06, -0.30, 0), "hips": 0.35, "lean": 0.10, "right": "ahead", "left": "swing"}, {},
        ),
        "reggaeton": (
            {"drop": 0.16, "right_foot": (-0.24, 0, 0), "arms": "fist up", "lean": 0.15}, {"drop": 0.08, "arms": "chest"},
            {"drop": 0.16, "left_foot": (0.24, 0, 0), "arms": "fist up", "lean": 0.15}, {"drop": 0.08, "arms": "chest"},
        ),
        "helicopter": (
            {**left_hip, "right": "up", "left": "hip"}, {"right": "second", "left": "hip", "stop": False},
            {**right_hip, "right": "across", "left": "hip"}, {"right": "wave up", "left": "hip"},
        ),
        "mambo": (
            {"right_foot": (0.10, 0.24, 0), "hips": 0.40, "ahead": 0.08, "right": "across", "left": "swing"}, {"arms": "chest"},
            {"left_foot": (-0.10, 0.24, 0), "hips": -0.40, "ahead": 0.08, "right": "swing", "left": "across"}, {"arms": "chest"},
        ),
        "squat clap": (
            {"right_foot": (-0.28, 0, 0), "left_foot": (0.22, 0, 0), "drop": 0.28, "lean": 0.25, "arms": "ahead"},
            {"right_foot": (-0.28, 0, 0), "left_foot": (0.22, 0, 0), "drop": 0.08, "arms": "first"},
            {"right_foot": (-0.28, 0, 0), "left_foot": (0.22, 0, 0), "drop": 0.28, "lean": 0.25, "arms": "up"}, {"arms": "up"},
        ),
        "turning": tuple(
            {"turn": 1.5708, "hips": 0.15 * sign, "side": 0.04 * sign, "arms": "wave up" if sign > 0 else "chest", "drop": 0.08} for sign in (1, -1, 1, -1)
        ),
        "body roll": (
            {"lean": -0.25, "ahead": 0.06, "arms": "up"}, {"lean": 0.30, "drop": 0.18, "arms": "ahead", "stop": False},
            {"lean": 0.05, "drop": 0.22, "ahead": -0.08, "arms": "bent"}, {"arms": "hip"},
        ),
    }  # fmt: skip
    return Style(stance, 0.10, 0.09, {name: _keys(stance, *keys) for name, keys in moves.items()})


def _hip_hop() -> Style:
    stance = Key(0, drop=0.10, lean=0.10, right="low", left="low", right_foot=(-0.18, 0, 0), left_foot=(0.18, 0, 0))
    up = {"drop": 0.05, "lean": 0.05}
    moves = {
        "rock": (
            {"side": 0.09, "drop": 0.18, "bend": 0.20, "right": "bent", "left": "low"}, {**up},
            {"side": -0.09, "drop": 0.18, "bend": -0.20, "right": "low", "left": "bent"}, {**up},
        ),
        "two step": (
            {"travel": (0.30, 0), "drop": 0.15, "twist": -0.3, "right": "swing", "left": "bent"}, {"right_foot": (0.0, 0, 0), **up},
            {"travel": (-0.30, 0), "drop": 0.15, "twist": 0.3, "right": "bent", "left": "swing"}, {"left_foot": (0.0, 0, 0), **up},
        ),
        "running man": (
            {"right_foot": (-0.12, 0.20, 0.32), "drop": 0.08, "right": "punch", "left": "bent"},
            {"right_foot": (-0.12, 0.18, 0), "left_foot": (0.12, -0.22, 0), "drop": 0.18, "arms": "bent"},
            {"left_foot": (0.12, 0.20, 0.32), "drop": 0.08, "right": "bent", "left": "punch"},
            {"left_foot": (0.12, 0.18, 0), "right_foot": (-0.12, -0.22, 0), "drop": 0.18, "arms": "bent"},
        ),
        "arm wave": (
            {"right": "wave up", "left": "wave down", "bend": 0.15, "side": 0.04}, {"right": "second", "left": "second"},
            {"right": "wave down", "left": "wave up", "bend": -0.15, "side": -0.04}, {"arms": "chest", "drop": 0.18},
        ),
        "chest pop": 2 * ({"lean": -0.18, "arms": "behind", "drop": 0.08}, {"lean": 0.28, "arms": "across", "drop": 0.16}),
        "stomp": (
            {"right_foot": (-0.20, 0.10, 0.28), "side": 0.08, "arms": "fist up"},
            {"right_foot": (-0.34, 0.05, 0), "drop": 0.24, "lean": 0.30, "arms": "low"},
            {"right_foot": (-0.34, 0.05, 0), "drop": 0.16, "twist": 0.5, "right": "across", "left": "swing"}, {**up, "arms": "bent"},
        ),
        "cross": (
            {"arms": "across", "drop": 0.18, "lean": 0.2}, {"arms": "diagonal", **up},
            {"arms": "across", "drop": 0.18, "lean": 0.2}, {"right": "punch", "left": "bent", "twist": 0.35},
        ),
        "shoulder lean": (
            {"bend": 0.40, "side": 0.08, "right": "fist up", "left": "low"}, {"bend": 0.20, "side": 0.04, "drop": 0.16},
            {"bend": -0.40, "side": -0.08, "right": "low", "left": "fist up"}, {"bend": -0.20, "side": -0.04, "drop": 0.16},
        ),
        "kick step": (
            {"right_foot": (-0.15, 0.50, 0.35), "lean": -0.10, "right": "swing", "left": "punch"}, {"drop": 0.16},
            {"left_foot": (0.15, 0.50, 0.35), "lean": -0.10, "right": "punch", "left": "swing"}, {"drop": 0.16},
        ),
        "slide": (
            {"travel": (0.45, 0), "left_foot": (0.30, 0, 0), "side": 0.12, "drop": 0.24, "bend": 0.15, "arms": "second"}, {**up, "arms": "low"},
            {"travel": (-0.45, 0), "right_foot": (-0.30, 0, 0), "side": -0.12, "drop": 0.24, "bend": -0.15, "arms": "second"}, {**up, "arms": "low"},
        ),
        "drop": (
            {"drop": 0.38, "lean": 0.45, "right_foot": (-0.26, 0, 0), "left_foot": (0.26, 0, 0), "arms": "bent"},
            {"drop": 0.30, "lean": 0.30, "twist": 0.4, "right_foot": (-0.26, 0, 0), "left_foot": (0.26, 0, 0), "right": "punch", "left": "bent"},
            {**up, "arms": "fist up"}, {"drop": 0.16, "arms": "chest"},
        ),
        "swing": (
            {"twist": 0.45, "hips": 0.2, "right": "ahead", "left": "swing", "drop": 0.16}, {"arms": "low", **up},
            {"twist": -0.45, "hips": -0.2, "right": "swing", "left": "ahead", "drop": 0.16}, {"arms": "low", **up},
        ),
        "combination": (
            {"twist": 0.4, "right": "punch", "left": "chest", "drop": 0.14}, {"twist": -0.4, "right": "chest", "left": "punch", "drop": 0.14},
            {"right": "fist up", "left": "fist up", **up}, {"drop": 0.22, "lean": 0.3, "arms": "low"},
        ),
        "half turn": (
            {"turn": 1.5708, "drop": 0.16, "twist": 0.3, "right": "across", "left": "swing"}, {"turn": 1.5708, **up},
            {"turn": 1.5708, "drop": 0.16, "arms": "bent"}, {"turn": 1.5708, "drop": 0.14, "arms": "chest"},
        ),
    }  # fmt: skip
    return Style(stance, 0.15, 0.10, {name: _keys(stance, *keys) for name, keys in moves.items()})


STYLES = {"ballet": _ballet(), "hip-hop": _hip_hop(), "zumba": _zumba()}
