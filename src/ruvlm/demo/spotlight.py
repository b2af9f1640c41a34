"""A picture lit where a model looked and dimmed elsewhere: readable in any colours, and by the colour-blind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ruvlm.backends.base import Look

DIMMED = 0.22
SIDE = 512


def sized(image: Image.Image) -> Image.Image:
    """A picture whose longer side is SIDE points: a page shows small ones small."""
    scale = SIDE / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def spotlight(image: Image.Image, look: Look) -> Image.Image:
    """An RGB picture, SIDE points its longer side; its brightest place is where the look was strongest."""
    shown = sized(image)
    lit = Image.fromarray((look.weights / max(look.weights.max(), 1e-12)).astype(np.float32))
    light = np.clip(np.asarray(lit.resize(shown.size, Image.Resampling.BICUBIC)), 0.0, 1.0)
    bright = DIMMED + (1 - DIMMED) * light[..., None]
    return Image.fromarray((np.asarray(shown, dtype=np.float32) * bright).round().astype(np.uint8))
