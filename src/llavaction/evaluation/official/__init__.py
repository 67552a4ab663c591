"""How the public evaluators read written answers, one function for each, faults included.

A function takes the text and the options' texts without letters, and returns an :data:`Outcome`: the index of an
option, None (wrong), or that the public code draws at random, or leaves the question out. They are there to reproduce
published numbers; :mod:`llavaction.evaluation.parsing` is how we read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llavaction.base.plugins import with_plugins
from llavaction.base.registry import resolve
from llavaction.evaluation.official.outcomes import Outcome

_HERE = "llavaction.evaluation.official"
OFFICIAL_PARSERS = {
    "nextqa": f"{_HERE}.containing:nextqa",
    "egoschema": f"{_HERE}.containing:egoschema",
    "lemonade": f"{_HERE}.containing:lemonade",
    "tomato": f"{_HERE}.containing:tomato",
    "mvbench": f"{_HERE}.compared:mvbench",
    "mvbench_check_ans": f"{_HERE}.compared:mvbench_check_ans",
    "vinoground": f"{_HERE}.compared:vinoground",
    "perceptiontest": f"{_HERE}.first_letter:perceptiontest",
    "videomme": f"{_HERE}.first_letter:videomme",
    "videomme_2025": f"{_HERE}.first_letter:videomme_2025",
    "videomme_vlmevalkit": f"{_HERE}.first_letter:videomme_vlmevalkit",
    "videomme_2026": f"{_HERE}.extractor:videomme_2026",
    "videomme_v2": f"{_HERE}.first_letter:videomme_v2",
    "longvideobench": f"{_HERE}.first_letter:longvideobench",
    "tvbench": f"{_HERE}.first_letter:tvbench",
    "motionbench": f"{_HERE}.first_letter:motionbench",
    "hd_epic": f"{_HERE}.first_letter:hd_epic",
}
"""Name of a public parser to its place. Plug-ins add to them under ``OFFICIAL_PARSERS``."""

Parser = Callable[[str, Sequence[str]], Outcome]


def official_parser(name: str) -> Parser:
    """The public parser of a name.

    Raises:
        InputError: there is none; the message suggests the nearest one.

    Examples:
        >>> official_parser("videomme_2025")("Best option: C", ["run", "walk", "jump", "sit"])
        1
    """
    parser: Parser = resolve(with_plugins("OFFICIAL_PARSERS", OFFICIAL_PARSERS), name, "official parser")
    return parser
