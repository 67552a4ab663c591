"""Our model classes among transformers' Auto classes, without importing transformers.

``import llavaction`` must stay fast, and must make ``AutoModelForImageTextToText.from_pretrained`` know our checkpoints
whether transformers is imported before or after it. So the classes, which register themselves when their modules are
imported, are imported as soon as transformers is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_VIDEO, _BACKBONES = "llavaction.models.llava_video", "llavaction.models.action_backbones"

MODELS = {
    "llava_video": (_VIDEO, "LlavaVideoConfig", "LlavaVideoForConditionalGeneration"),
    "llava_onevision_action": (
        _BACKBONES,
        "LlavaOnevisionActionConfig",
        "LlavaOnevisionActionForConditionalGeneration",
    ),
    "qwen2_5_vl_action": (_BACKBONES, "Qwen25VLActionConfig", "Qwen25VLActionForConditionalGeneration"),
    "qwen3_vl_action": (_BACKBONES, "Qwen3VLActionConfig", "Qwen3VLActionForConditionalGeneration"),
}
"""Our model types: module, configuration and model of each."""


def register(module: str) -> None:
    """Enter the classes of one module of ``MODELS`` with transformers; the module calls this at its end."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoProcessor

    from llavaction.models.processor import LlavaVideoProcessor

    home = sys.modules[module]
    for kind, (where, config, model) in MODELS.items():
        if where == module:
            AutoConfig.register(kind, getattr(home, config), exist_ok=True)
            for table in (AutoModelForImageTextToText, AutoModelForMultimodalLM):
                table.register(getattr(home, config), getattr(home, model), exist_ok=True)
            if kind == "llava_video":  # the others come with processors of their own
                AutoProcessor.register(getattr(home, config), LlavaVideoProcessor, exist_ok=True)


def register_with_transformers() -> None:
    """Register now if transformers is imported, else when it is."""
    if "transformers" in sys.modules:
        _import_models()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _import_models() -> None:
    for module in (_VIDEO, _BACKBONES):
        import_module(module)


class _Watch(MetaPathFinder):
    """Notices the first import of transformers; every other import passes it by."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "transformers":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    """Loads transformers as its own loader does, then imports our models."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = self._loader  # what asks the module for its loader, or its data, must find its own
        self._loader.exec_module(module)
        _import_models()
