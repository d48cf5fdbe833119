"""Small pictures of every kind that `loadImage` reads, and Pillow's bytes of them. All are cut out of scikit-image's free pictures."""
import hashlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageCms, ImageOps

DATA = Path(skimage.__file__).parent / 'data'
ROOT = Path(__file__).resolve().parent.parent.parent


def crop(name: str, x: int, y: int, width: int = 83, height: int = 61) -> Image.Image:
    return Image.open(DATA / name).convert('RGB').crop((x, y, x + width, y + height))


def write_jpegs(folder: Path) -> None:
    """One photograph for each way of writing a JPEG."""
    save = lambda image, name, **options: image.save(folder / f'{name}.jpg', **options)
    save(crop('astronaut.png', 180, 60), 'jpeg_444', quality=90, subsampling=0)
    save(crop('chelsea.png', 200, 100), 'jpeg_422', quality=85, subsampling=1)
    save(crop('coffee.png', 300, 150), 'jpeg_420', quality=75, subsampling=2)
    save(crop('ihc.png', 40, 40), 'jpeg_progressive', quality=80, subsampling=2, progressive=True)
    save(crop('motorcycle_left.png', 300, 200), 'jpeg_progressive_444', quality=92, subsampling=0, progressive=True)
    save(crop('retina.jpg', 600, 600), 'jpeg_low_quality', quality=8)
    save(crop('hubble_deep_field.jpg', 300, 300), 'jpeg_full_quality', quality=100, subsampling=0)
    save(crop('camera.png', 200, 80).convert('L'), 'jpeg_grey', quality=85)
    save(crop('color.png', 100, 100), 'jpeg_rgb', quality=85, keep_rgb=True)
    save(crop('logo.png', 200, 100), 'jpeg_restarts', quality=85, restart_marker_blocks=3)
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    swapped = swapped[:24] + bytes(12) + swapped[36:]  # the time of creation
    swapped = swapped.replace(b'rXYZ', b'tmpX').replace(b'bXYZ', b'rXYZ').replace(b'tmpX', b'bXYZ')
    save(crop('rocket.jpg', 300, 150), 'jpeg_profile', quality=90, icc_profile=swapped)
    save(crop('brick.png', 10, 10, 7, 5), 'jpeg_tiny', quality=85)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        save(crop('chelsea.png', 110, 90, 41, 23), f'jpeg_exif_{orientation}', quality=85, exif=exif)

    # Inks with black of their own; then the same file marked as YCCK, and without Adobe's mark.
    rgb = np.array(crop('coffee.png', 100, 100))
    black = np.minimum(255 - rgb.max(-1), 200)
    inks = Image.fromarray(np.dstack([255 - rgb, black]).astype(np.uint8), 'CMYK')
    buffer = io.BytesIO()
    inks.save(buffer, 'JPEG', quality=85)
    jpeg = buffer.getvalue()
    at = jpeg.index(b'Adobe')
    length = int.from_bytes(jpeg[at - 2 : at], 'big')
    for name, data in (
        ('cmyk', jpeg),
        ('ycck', jpeg[: at + 11] + b'\2' + jpeg[at + 12 :]),
        ('cmyk_plain', jpeg[: at - 4] + jpeg[at - 2 + length :]),
    ):
        (folder / f'jpeg_{name}.jpg').write_bytes(data)


def write_png16(path: Path, channels: int, color_type: int, seed: int) -> None:
    """A 16-bit PNG of noise, which Pillow cannot write."""
    width, height = 19, 11
    rng = np.random.default_rng(seed)
    rows = b''.join(b'\0' + rng.integers(0, 65536, width * channels).astype('>u2').tobytes() for _ in range(height))
    chunk = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    header = struct.pack('>IIBBBBB', width, height, 16, color_type, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


def write_others(folder: Path) -> None:
    image = crop('chelsea.png', 200, 100, 37, 29)
    grey = image.convert('L')
    alpha = Image.fromarray(np.random.default_rng(0).integers(0, 256, (29, 37), dtype=np.uint8))
    transparent = image.copy()
    transparent.putalpha(alpha)
    palette = image.quantize(60)
    save = lambda picture, name, **options: picture.save(folder / name, **options)
    save(image, 'rgb.png')
    save(transparent, 'rgba.png')
    save(grey, 'grey.png')
    save(Image.merge('LA', (grey, alpha)), 'grey_alpha.png')
    save(image.convert('1'), 'bilevel.png')
    save(palette, 'palette.png')
    save(image.quantize(4), 'palette_2bit.png')
    save(palette, 'palette_alpha.png', transparency=bytes(range(0, 240, 4)))
    save(image, 'rgb_key.png', transparency=image.getpixel((3, 3)))
    write_png16(folder / 'rgb_16.png', 3, 2, 1)
    write_png16(folder / 'rgba_16.png', 4, 6, 2)
    write_png16(folder / 'grey_alpha_16.png', 2, 4, 3)
    write_png16(folder / 'grey_16.png', 1, 0, 4)
    save(image, 'lossy.webp', quality=80)
    save(transparent, 'lossless.webp', lossless=True, exact=True)
    save(image, 'animated.webp', save_all=True, append_images=[image.rotate(180)], duration=100)
    save(palette, 'palette.gif')
    save(image, 'animated.gif', save_all=True, append_images=[image.rotate(180)], duration=100)
    save(image, 'rgb.tif', compression='tiff_lzw')
    save(image.convert('CMYK'), 'cmyk.tif')
    exif = Image.Exif()
    exif[0x112] = 6
    save(image, 'exif_6.png', exif=exif)
    save(image, 'exif_6.webp', exif=exif, lossless=True)


def write_bmp(path: Path, bits: int, data: bytes, size: tuple[int, int], palette: bytes = b'', masks: tuple[int, ...] = (), header: int = 40) -> None:
    """A BMP of a kind that Pillow reads but does not write. A negative height stores the top row first."""
    width, height = size
    if header == 12:
        info = struct.pack('<IHHHH', 12, width, height, 1, bits)
    else:
        info = struct.pack('<IiiHHIIiiII', header, width, height, 1, bits, 3 if masks else 0, len(data), 2835, 2835, 0, 0)
        info += struct.pack(f'<{len(masks)}I', *masks)
        info += bytes(max(0, header - len(info)))
    start = 14 + len(info) + len(palette)
    path.write_bytes(b'BM' + struct.pack('<IHHI', start + len(data), 0, 0, start) + info + palette + data)


def write_bitmaps(folder: Path) -> None:
    """BMP of each depth, and PNM of each kind, of noise."""
    width, height = size = (13, 7)
    rng = np.random.default_rng(5)
    noise = lambda row: b''.join(rng.bytes(row) + bytes(-row % 4) for _ in range(height))
    colors = lambda count, entry: b''.join(rng.bytes(3) + bytes(entry - 3) for _ in range(count))
    bgra = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    write_bmp(folder / 'bmp_1.bmp', 1, noise(2), size, colors(2, 4))
    write_bmp(folder / 'bmp_4.bmp', 4, noise(7), size, colors(16, 4))
    write_bmp(folder / 'bmp_8.bmp', 8, noise(13), size, colors(256, 4))
    write_bmp(folder / 'bmp_8_os2.bmp', 8, noise(13), size, colors(256, 3), header=12)
    write_bmp(folder / 'bmp_555.bmp', 16, noise(26), size)
    write_bmp(folder / 'bmp_565.bmp', 16, noise(26), size, masks=(0xF800, 0x7E0, 0x1F))
    write_bmp(folder / 'bmp_24.bmp', 24, noise(39), size)
    write_bmp(folder / 'bmp_24_top_down.bmp', 24, noise(39), (width, -height))
    write_bmp(folder / 'bmp_24_os2.bmp', 24, noise(39), size, header=12)
    write_bmp(folder / 'bmp_32.bmp', 32, noise(52), size)
    write_bmp(folder / 'bmp_32_v5.bmp', 32, noise(52), size, masks=bgra, header=124)
    write_bmp(folder / 'bmp_32_rgba.bmp', 32, noise(52), size, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000), header=108)
    text = lambda count, largest: ' '.join(str(value) for value in rng.integers(0, largest + 1, count)).encode()
    size = b'13 # width\n7\n'
    (folder / 'pnm_1.pbm').write_bytes(b'P1\n' + size + text(91, 1).replace(b' ', b''))
    (folder / 'pnm_2.pgm').write_bytes(b'P2 # text\n' + size + b'255\n' + text(91, 255))
    (folder / 'pnm_2_15.pgm').write_bytes(b'P2\n' + size + b'15\n' + text(91, 15))
    (folder / 'pnm_3.ppm').write_bytes(b'P3\n' + size + b'100\n' + text(273, 100))
    (folder / 'pnm_4.pbm').write_bytes(b'P4\n' + size.rstrip() + b'\n' + rng.bytes(14))
    (folder / 'pnm_5.pgm').write_bytes(b'P5\n' + size + b'255\n' + rng.bytes(91))
    (folder / 'pnm_5_31.pgm').write_bytes(b'P5\n' + size + b'31\n' + rng.integers(0, 32, 91, dtype=np.uint8).tobytes())
    (folder / 'pnm_5_16.pgm').write_bytes(b'P5\n' + size + b'65535\n' + rng.integers(0, 600, 91).astype('>u2').tobytes())
    (folder / 'pnm_6.ppm').write_bytes(b'P6\n' + size + b'255\n' + rng.bytes(273))
    (folder / 'pnm_6_16.ppm').write_bytes(b'P6\n' + size + b'65535\n' + rng.bytes(546))


def write(folder: Path) -> None:
    """Writes the pictures, and in pictures.json the size and SHA-256 of the RGB bytes of each of them and of those in examples/pictures/."""
    folder = folder / 'media'
    folder.mkdir(parents=True, exist_ok=True)
    write_jpegs(folder)
    write_others(folder)
    write_bitmaps(folder)
    kinds = ('.jpg', '.png', '.webp', '.gif', '.tif', '.bmp', '.pbm', '.pgm', '.ppm')
    pictures = {f'examples/pictures/{path.name}': path for path in (ROOT / 'examples' / 'pictures').glob('*.jpg')}
    pictures |= {f'test/fixtures/media/{path.name}': path for path in folder.iterdir() if path.suffix in kinds}
    expected = {}
    for name, path in sorted(pictures.items()):
        image = ImageOps.exif_transpose(Image.open(path)).convert('RGB')  # diffusers.utils.load_image
        expected[name] = {'width': image.width, 'height': image.height, 'sha256': hashlib.sha256(image.tobytes()).hexdigest()}
    (folder / 'pictures.json').write_text(json.dumps(expected, indent=1) + '\n')
