"""How an answer is to be shown: asked for once, carried by every answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """What the options say about showing."""

    explain: bool = False
    every: bool = False
    units: str = "both"
    mode: str = ""  # "train", "infer", or both


SHOWN = Shown()
