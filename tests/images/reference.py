"""Compares pictures that Trawler made with what Pillow makes of the same files.

Called by reference.rs with the path of a JSON list of files, each with its
renders; prints the same files as JSON, each with its upright size and how far
its renders are from Pillow's.

Pillow's way: the first frame, upright by its EXIF orientation, colours to sRGB
by the embedded profile (LittleCMS, perceptual), whatever is transparent on
white, then to the size of the render by a bicubic filter, which is the kernel
that Trawler resizes with; and where the render is a JPEG, through a JPEG of the
same quality and sampling. Gamma chunks are not looked at by either.
"""

import io
import json
import pathlib
import sys

from PIL import Image, ImageChops, ImageCms, ImageOps

# What is too large, Trawler has to say.
Image.MAX_IMAGE_PIXELS = None

SRGB = ImageCms.createProfile("sRGB")

# As the test asks of Trawler, and 4:2:0.
JPEG = {"format": "JPEG", "quality": 95, "subsampling": 2}

# Colour spaces of profiles and the modes that they speak of.
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_srgb(image, icc):
    """Colours without alpha, to sRGB."""
    if icc:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        mode = MODES.get(profile.profile.xcolor_space)
        is_grey = mode == "L" and image.mode == "RGB"
        if is_grey:
            image = image.getchannel(0)
        if image.mode == mode:
            return ImageCms.profileToProfile(
                image,
                profile,
                SRGB,
                renderingIntent=ImageCms.Intent.PERCEPTUAL,
                outputMode="RGB",
            )
    return image.convert("RGB")


def reference(path):
    with Image.open(path) as image:
        icc = image.info.get("icc_profile")
        image = ImageOps.exif_transpose(image)
        has_alpha = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
        if image.mode in ("P", "PA", "LA") or has_alpha:
            image = image.convert("RGBA" if has_alpha else "RGB")
        if not has_alpha:
            return to_srgb(image, icc)
        colours = to_srgb(image.convert("RGB"), icc)
        white = Image.new("RGB", image.size, "white")
        white.paste(colours, mask=image.getchannel("A"))
        return white


def compared(found, wanted):
    """How far two pictures are apart: the mean of the worst channel, and the
    difference that 99 of 100 samples stay within, and all."""
    counts = ImageChops.difference(found, wanted).histogram()
    channels = [counts[at : at + 256] for at in (0, 256, 512)]
    pixels = found.width * found.height
    means = [sum(by * n for by, n in enumerate(of)) / pixels for of in channels]
    all_of_them = [sum(of[by] for of in channels) for by in range(256)]
    within, p99 = 0, 0
    for p99, n in enumerate(all_of_them):
        within += n
        if within >= 0.99 * 3 * pixels:
            break
    most = max(by for by, n in enumerate(all_of_them) if n)
    return {"mean": max(means), "p99": p99, "max": most}


files = json.loads(pathlib.Path(sys.argv[1]).read_text())
for file in files:
    try:
        picture = reference(file["source"])
    except Exception as error:
        file["error"] = f"{type(error).__name__}: {error}"
        continue
    file["width"], file["height"] = picture.size
    for render in file["renders"]:
        with Image.open(render["path"]) as found:
            is_jpeg = found.format == "JPEG"
            found = found.convert("RGB")
        wanted = picture
        if found.size != picture.size:
            wanted = picture.resize(found.size, Image.Resampling.BICUBIC)
        if is_jpeg:
            packed = io.BytesIO()
            wanted.save(packed, **JPEG)
            wanted = Image.open(packed).convert("RGB")
        render["width"], render["height"] = found.size
        render.update(compared(found, wanted))
json.dump(files, sys.stdout)
