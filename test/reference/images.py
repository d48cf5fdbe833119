"""The three small photographs of the pipeline fixtures, cut out of scikit-image's pictures (all CC0)."""

from pathlib import Path

import skimage
from PIL import Image

from common import IMAGES

DATA = Path(skimage.__file__).parent / 'data'
CAT, ROCKET, COFFEE = 'cat.png', 'rocket.jpg', 'coffee.jpg'


def load(name: str | Path) -> Image.Image:
    """A photograph as a diffusers user loads it: `diffusers.utils.load_image` without its EXIF rotation, which these don't need."""
    return Image.open(IMAGES / name).convert('RGB')


def write(folder: Path) -> None:
    """Writes a PNG smaller and JPEGs larger than the 224 pixels of the image encoder, so that both directions of resizing are used."""
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    # The head of Chelsea the cat, by Stefan van der Walt.
    Image.open(DATA / 'chelsea.png').crop((90, 0, 378, 216)).resize((128, 96), Image.Resampling.LANCZOS).save(
        folder / 'images' / CAT, optimize=True
    )
    # The launch of DSCOVR, by SpaceX.
    Image.open(DATA / 'rocket.jpg').crop((80, 20, 560, 380)).resize((320, 240), Image.Resampling.LANCZOS).save(
        folder / 'images' / ROCKET, quality=88
    )
    # A cup of coffee, by Rachel Michetti.
    Image.open(DATA / 'coffee.png').crop((60, 0, 593, 400)).resize((320, 240), Image.Resampling.LANCZOS).save(
        folder / 'images' / COFFEE, quality=88
    )
