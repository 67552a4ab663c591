"""How participants and kitchens differ from one another: colours, sleeves, handedness, tempo, arrangement."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from llavaction.base.seeding import hashed_rng

Colour = tuple[int, int, int]

_SKINS: tuple[Colour, ...] = (
    (244, 208, 184),
    (232, 186, 152),
    (214, 160, 122),
    (190, 132, 94),
    (152, 102, 70),
    (116, 76, 54),
    (88, 58, 44),
)
_SLEEVES: tuple[Colour, ...] = (
    (52, 72, 120),
    (150, 52, 58),
    (66, 110, 84),
    (96, 96, 104),
    (214, 208, 196),
    (40, 42, 50),
    (198, 142, 60),
    (120, 84, 140),
)
_CUPBOARDS: tuple[Colour, ...] = (
    (236, 232, 222),
    (176, 138, 98),
    (112, 142, 150),
    (92, 118, 96),
    (206, 196, 178),
    (78, 86, 108),
    (158, 102, 74),
)
_WORKTOPS: tuple[tuple[str, Colour], ...] = (
    ("wood", (186, 144, 98)),
    ("granite", (92, 94, 100)),
    ("plain", (222, 216, 204)),
    ("wood", (142, 98, 66)),
    ("granite", (172, 166, 158)),
    ("plain", (128, 138, 146)),
)
_TILES: tuple[Colour, ...] = (
    (232, 234, 236),
    (198, 216, 222),
    (226, 214, 188),
    (188, 204, 184),
    (214, 188, 180),
    (158, 172, 186),
)
_CROCKERY: tuple[Colour, ...] = (
    (240, 240, 238),
    (104, 150, 190),
    (204, 106, 82),
    (128, 172, 140),
    (232, 196, 98),
    (150, 120, 170),
)
_PLASTICS: tuple[Colour, ...] = ((200, 60, 56), (60, 110, 180), (240, 200, 70), (70, 150, 90), (230, 130, 50))


@dataclass(frozen=True)
class Participant:
    """A person: what the camera sees of them and how they move.

    Attributes:
        name: id such as "P01".
        skin: colour of the hands.
        sleeve: colour of the sleeve.
        sleeve_from: where the sleeve starts on the forearm, 0 at the wrist, 1 for bare arms.
        watch: colour of the watch on the other arm, or None.
        side: +1 for a right-handed person, -1 for a left-handed one.
        tempo: divides the length of every action.
        hand_size: factor on the size of the hands.
        tremor: amplitude of the hand's unsteadiness, in world units.
        favourites: how firmly they keep to their own word for a thing, 0 to 1.
    """

    name: str
    skin: Colour
    sleeve: Colour
    sleeve_from: float
    watch: Colour | None
    side: int
    tempo: float
    hand_size: float
    tremor: float
    favourites: float


@dataclass(frozen=True)
class Kitchen:
    """A room and what is in it.

    Attributes:
        name: id, that of the participant who lives there.
        stations: "sink", "prep", "hob" from left to right.
        worktop: its material ("wood", "granite", "plain") and colour.
        tiles, tile_size: colour and edge (world units) of the wall tiles.
        cupboard, drawer: front colours.
        handle: "bar" or "knob".
        light: factors on red, green, blue.
        light_from: -1 from the left, 1 from the right.
        flame: colour of a burning hob.
        things: a colour per object.
    """

    name: str
    stations: tuple[str, str, str]
    worktop: tuple[str, Colour]
    tiles: Colour
    tile_size: float
    cupboard: Colour
    drawer: Colour
    handle: str
    light: tuple[float, float, float]
    light_from: float
    flame: Colour
    things: dict[str, Colour]


def participant(name: str, seed: int) -> Participant:
    """The person of that id; the same for the same seed."""
    rng = hashed_rng("kitchen_mini", "participant", seed, name)
    bare = rng.random() < 0.35
    return Participant(
        name=name,
        skin=_vary(_pick(_SKINS, rng), rng, 6),
        sleeve=_vary(_pick(_SLEEVES, rng), rng, 12),
        sleeve_from=1.0 if bare else float(rng.uniform(0.1, 0.6)),
        watch=_pick(((30, 30, 34), (190, 190, 196), (150, 110, 60)), rng) if rng.random() < 0.35 else None,
        side=1 if rng.random() < 0.8 else -1,
        tempo=float(rng.uniform(0.85, 1.2)),
        hand_size=float(rng.uniform(0.9, 1.1)),
        tremor=float(rng.uniform(0.2, 0.6)),
        favourites=float(rng.uniform(0.4, 0.85)),
    )


def kitchen(name: str, seed: int) -> Kitchen:
    """The kitchen of that id; the same for the same seed."""
    rng = hashed_rng("kitchen_mini", "kitchen", seed, name)
    warm = float(rng.uniform(-0.06, 0.06))
    brightness = float(rng.uniform(0.86, 1.06))
    material, colour = _WORKTOPS[int(rng.integers(len(_WORKTOPS)))]
    fronts = _vary(_pick(_CUPBOARDS, rng), rng, 10)
    stations = ["sink", "prep", "hob"]
    rng.shuffle(stations)
    return Kitchen(
        name=name,
        stations=(stations[0], stations[1], stations[2]),
        worktop=(material, _vary(colour, rng, 10)),
        tiles=_vary(_pick(_TILES, rng), rng, 8),
        tile_size=float(rng.choice((9.0, 12.0, 16.0))),
        cupboard=fronts,
        drawer=fronts if rng.random() < 0.7 else _vary(_pick(_CUPBOARDS, rng), rng, 10),
        handle=str(rng.choice(("bar", "knob"))),
        light=(brightness * (1 + warm), brightness, brightness * (1 - warm)),
        light_from=float(rng.choice((-1.0, 1.0))),
        flame=(90, 150, 255) if rng.random() < 0.5 else (255, 96, 40),
        things=_things(rng),
    )


def _things(rng: np.random.Generator) -> dict[str, Colour]:
    crockery = _pick(_CROCKERY, rng)
    return {
        "tap": (190, 194, 200) if rng.random() < 0.7 else (176, 140, 84),
        "spoon": (198, 202, 208) if rng.random() < 0.6 else (190, 140, 88),
        "knife": _pick(((40, 40, 44), (150, 96, 56), (176, 48, 48)), rng),
        "plate": _vary(crockery, rng, 6),
        "pan": _pick(((52, 54, 60), (150, 48, 44), (120, 126, 134), (60, 84, 110)), rng),
        "bowl": _vary(_pick(_CROCKERY, rng), rng, 8),
        "cup": _vary(_pick(_CROCKERY[1:], rng), rng, 8),
        "board:chopping": _vary(
            _pick(((214, 176, 122), (168, 118, 72), (232, 226, 208), (122, 164, 108)), rng), rng, 8
        ),
        "bottle": _pick(((72, 120, 62), (156, 104, 40), (196, 64, 44), (206, 180, 70)), rng),
        "sponge": _vary((236, 206, 70), rng, 10) if rng.random() < 0.6 else (110, 170, 210),
        "onion": (196, 132, 64) if rng.random() < 0.6 else (142, 58, 92),
        "tomato": _vary((212, 48, 36), rng, 8),
        "potato": _vary((196, 160, 104), rng, 10),
        "carrot": _vary((238, 128, 36), rng, 8),
        "kettle": _pick(((200, 204, 210), (48, 50, 56), (182, 50, 48), (228, 220, 200)), rng),
        "milk": _pick(_PLASTICS[:4], rng),
        "jar": _pick(_PLASTICS, rng),
        "salt": _pick(((238, 238, 236), (90, 96, 104), (196, 170, 130)), rng),
        "lemon": _vary((246, 222, 62), rng, 6),
    }


def tone(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter (factor > 1) version of a colour."""
    if factor <= 1:
        red, green, blue = (value * factor for value in colour)
    else:
        red, green, blue = (255 - (255 - value) / factor for value in colour)
    return (int(red), int(green), int(blue))


def _pick(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _vary(colour: Colour, rng: np.random.Generator, spread: float) -> Colour:
    """A neighbour of ``colour``: slightly other in hue, saturation and brightness."""
    hue, light, saturation = colorsys.rgb_to_hls(*(value / 255 for value in colour))
    hue = (hue + rng.normal(0, spread / 1500)) % 1
    light = min(0.97, max(0.08, light + rng.normal(0, spread / 400)))
    saturation = min(1.0, max(0.0, saturation * (1 + rng.normal(0, spread / 150))))
    red, green, blue = colorsys.hls_to_rgb(hue, light, saturation)
    return (round(red * 255), round(green * 255), round(blue * 255))
