"""The words of kitchen_mini: its verbs, its nouns, and which verbs each noun allows.

Classes take their ids from their order here, roughly the most frequent first as in EPIC-KITCHENS-100. An action class
is a (verb, noun) pair; every pair allowed here can occur, some of them rarely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Verb:
    """A verb class.

    Attributes:
        key: its name in the class file.
        category: its category in the class file.
        phrases: ways of saying it, the usual one first; "pick-up" is spoken "pick up plate".
        linked: ways of saying it with a second noun, by relation: {"from": ("take-from",)} gives "take knife from
            drawer".
        seconds: usual length of the action.
    """

    key: str
    category: str
    phrases: tuple[str, ...]
    linked: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    seconds: float = 2.0

    @property
    def instances(self) -> tuple[str, ...]:
        """Every phrase of the class, the usual one first."""
        return tuple(dict.fromkeys((*self.phrases, *(phrase for many in self.linked.values() for phrase in many))))


@dataclass(frozen=True)
class Noun:
    """A noun class.

    Attributes:
        key: its name in the class file.
        category: its category in the class file.
        phrases: ways of naming it, the usual one first; "board:chopping" is spoken "chopping board".
        verbs: keys of the verbs it allows.
    """

    key: str
    category: str
    phrases: tuple[str, ...]
    verbs: tuple[str, ...]

    @property
    def instances(self) -> tuple[str, ...]:
        """Every phrase of the class, the usual one first."""
        return self.phrases


_PLACED = ("take", "put", "move")
_LIDDED = ("open", "close")
_SWITCHED = ("turn-on", "turn-off")
_FOOD = (*_PLACED, "wash", "cut", "peel", "mix")

VERBS: tuple[Verb, ...] = (
    Verb(
        "take",
        "retrieve",
        ("take", "pick-up", "grab", "get", "fetch"),
        {"from": ("take-from", "get-from", "grab-from")},
        1.9,
    ),
    Verb(
        "put",
        "leave",
        ("put", "put-down", "place", "set-down", "put-back"),
        {"in": ("put-in", "place-in"), "on": ("put-on", "place-on", "put-onto")},
        1.9,
    ),
    Verb("wash", "clean", ("wash", "rinse", "clean", "scrub"), {"with": ("wash-with", "clean-with")}, 2.5),
    Verb("open", "access", ("open", "open-up")),
    Verb("close", "block", ("close", "shut")),
    Verb("turn-on", "access", ("turn-on", "switch-on", "start"), seconds=1.7),
    Verb("cut", "split", ("cut", "chop", "slice", "dice"), {"with": ("cut-with", "chop-with")}, 2.4),
    Verb("turn-off", "block", ("turn-off", "switch-off", "shut-off"), seconds=1.7),
    Verb("pour", "merge", ("pour", "pour-out", "tip-out"), {"into": ("pour-into", "tip-into")}, 2.4),
    Verb("mix", "merge", ("mix", "stir", "mix-around"), {"in": ("stir-in", "mix-in")}, 2.4),
    Verb("move", "transition", ("move", "slide", "push-aside"), seconds=1.9),
    Verb("shake", "manipulate", ("shake", "jiggle", "shake-up"), {"over": ("shake-over",)}, 2.3),
    Verb("squeeze", "manipulate", ("squeeze", "squash", "wring"), {"over": ("squeeze-over",)}, 2.3),
    Verb("peel", "split", ("peel", "skin"), {"with": ("peel-with",)}, 2.5),
)

NOUNS: tuple[Noun, ...] = (
    Noun("tap", "appliances", ("tap", "tap:water"), (*_SWITCHED, "wash")),
    Noun("spoon", "cutlery", ("spoon", "tablespoon", "spoon:wooden"), (*_PLACED, "wash")),
    Noun("knife", "cutlery", ("knife", "knife:kitchen", "blade"), (*_PLACED, "wash")),
    Noun("plate", "crockery", ("plate", "dish", "plate:dinner"), (*_PLACED, "wash")),
    Noun("pan", "cookware", ("pan", "pan:frying", "saucepan"), (*_PLACED, "wash", "mix", "pour", "shake")),
    Noun("cupboard", "storage", ("cupboard", "cabinet"), _LIDDED),
    Noun("drawer", "furniture", ("drawer", "drawer:cutlery"), _LIDDED),
    Noun("bowl", "crockery", ("bowl", "bowl:salad"), (*_PLACED, "wash", "mix", "pour", "shake")),
    Noun("cup", "crockery", ("cup", "mug", "mug:tea"), (*_PLACED, "wash", "mix", "pour", "shake")),
    Noun("board:chopping", "utensils", ("board:chopping", "board:cutting", "board"), (*_PLACED, "wash")),
    Noun(
        "bottle",
        "containers",
        ("bottle", "bottle:oil", "bottle:sauce"),
        (*_PLACED, *_LIDDED, "wash", "pour", "shake", "squeeze"),
    ),
    Noun("sponge", "cleaning equipment and material", ("sponge", "scrubber"), (*_PLACED, "wash", "shake", "squeeze")),
    Noun("onion", "vegetables", ("onion", "onion:whole"), _FOOD),
    Noun("tomato", "vegetables", ("tomato", "tomato:ripe"), (*_FOOD, "squeeze")),
    Noun("potato", "vegetables", ("potato", "potato:baby"), _FOOD),
    Noun("carrot", "vegetables", ("carrot",), _FOOD),
    Noun("hob", "appliances", ("hob", "stove", "cooker"), (*_SWITCHED, "wash")),
    Noun("kettle", "appliances", ("kettle", "kettle:electric"), (*_PLACED, *_LIDDED, *_SWITCHED, "wash", "pour")),
    Noun("milk", "dairy and eggs", ("milk", "carton:milk"), (*_PLACED, *_LIDDED, "pour", "mix", "shake")),
    Noun("jar", "containers", ("jar", "jar:coffee"), (*_PLACED, *_LIDDED, "wash", "pour", "shake")),
    Noun("salt", "spices and herbs and sauces", ("salt", "shaker:salt", "seasoning"), (*_PLACED, "pour", "shake")),
    Noun("lemon", "fruits and nuts", ("lemon", "lemon:half"), (*_FOOD, "squeeze")),
)

VERB_IDS = {verb.key: index for index, verb in enumerate(VERBS)}
NOUN_IDS = {noun.key: index for index, noun in enumerate(NOUNS)}
ACTIONS: tuple[tuple[str, str], ...] = tuple(
    (verb.key, noun.key) for verb in VERBS for noun in NOUNS if verb.key in noun.verbs
)
REVERSES = {"put": "take", "close": "open", "turn-off": "turn-on"}
"""Verbs that are another verb played backwards: no single frame tells the two apart."""


def spoken(phrase: str) -> str:
    """How a class-file word is said: "pick-up" -> "pick up", "board:chopping" -> "chopping board"."""
    head, *modifiers = phrase.replace("-", " ").split(":")
    return " ".join((*modifiers, head))


def allows(noun: str, verb: str) -> bool:
    """Whether the pair is an action class of this world."""
    return verb in NOUNS[NOUN_IDS[noun]].verbs
