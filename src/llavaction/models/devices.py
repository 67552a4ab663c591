"""Devices by the names that people give them."""

from __future__ import annotations

import torch

from llavaction.base.errors import InputError


def device_named(name: str) -> torch.device:
    """The device: "auto" is a GPU if there is one.

    Raises:
        InputError: the name is none, or names a GPU where PyTorch sees none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device '{name}'", hint="'auto', 'cpu', 'cuda' or 'cuda:1'") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device '{name}' was asked for, but PyTorch sees no GPU", hint="device 'cpu' or 'auto'")
    return device
