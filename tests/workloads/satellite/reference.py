#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Recompute what weather, crop and pollution compute, from the scene's files alone.

An independent check: GDAL's Python binding reads the files, numpy computes whole arrays in
double, and nothing comes from the C programs. Writes one JSON object, with an object for each
program.
"""

import argparse
import datetime
import json
import re
import sys

import numpy as np
from osgeo import gdal

# Landsat 7 Science Data Users Handbook, chapter 11: LMIN, LMAX (after July 2000; low gain for
# band 4, high gain for the others).
ETM_PLUS = {
    "blue": (-6.2, 191.6),
    "green": (-6.4, 196.5),
    "red": (-5.0, 152.9),
    "nir": (-5.1, 241.1),
    "swir1": (-1.0, 31.06),
    "swir2": (-0.35, 10.80),
}
# The sun's irradiance: Chander, Markham & Helder 2009.
ROLES = ("blue", "green", "red", "nir", "swir1", "swir2")
ESUN = {
    "LANDSAT_7": dict(zip(ROLES, (1997.0, 1812.0, 1533.0, 1039.0, 230.8, 84.90))),
    "LANDSAT_5": dict(zip(ROLES, (1983.0, 1796.0, 1536.0, 1031.0, 220.0, 83.44))),
}
BANDS = {
    6: "blue:1,green:2,red:3,nir:4,swir1:5,swir2:7",
    7: "blue:1,green:2,red:3,nir:4,swir1:5,thermal:6,swir2:7",
}


def read_bands(paths):
    """All bands of all files, in order, as arrays of double."""
    bands = []
    for path in paths:
        data = gdal.Open(path)
        for number in range(1, data.RasterCount + 1):
            bands.append(data.GetRasterBand(number).ReadAsArray().astype(np.float64))
    return bands


def mirror(band, count):
    """The band repeated count x count times, mirrored at each seam."""
    row = np.concatenate([band if i % 2 == 0 else band[:, ::-1] for i in range(count)], axis=1)
    return np.concatenate([row if i % 2 == 0 else row[::-1] for i in range(count)], axis=0)


def read_metadata(path):
    """KEY = value, of a Landsat MTL file."""
    with open(path, encoding="latin-1") as file:
        return dict(re.findall(r'^\s*(\w+)\s*=\s*"?([^"\r\n]+?)"?\s*$', file.read(), re.MULTILINE))


def sun_distance(metadata):
    """In astronomical units, from the day of the year."""
    if "EARTH_SUN_DISTANCE" in metadata:
        return float(metadata["EARTH_SUN_DISTANCE"])
    if "DATE_ACQUIRED" not in metadata:
        return 1.0
    day = datetime.date.fromisoformat(metadata["DATE_ACQUIRED"]).timetuple().tm_yday
    return 1.0 - 0.01672 * np.cos(np.deg2rad(0.9856 * (day - 4)))


def radiance(label, dn, metadata):
    return (float(metadata[f"RADIANCE_MULT_BAND_{label}"]) * dn
            + float(metadata[f"RADIANCE_ADD_BAND_{label}"]))


def reflectance(role, label, dn, metadata):
    """Digital numbers to reflectance at the top of the atmosphere."""
    if not metadata:
        least, most = ETM_PLUS[role]
        return np.pi * ((most - least) / 254.0 * (dn - 1.0) + least) / ESUN["LANDSAT_7"][role]
    height = np.sin(np.deg2rad(float(metadata["SUN_ELEVATION"])))
    sun = ESUN.get(metadata.get("SPACECRAFT_ID"))
    if sun:
        received = np.pi * radiance(label, dn, metadata) * sun_distance(metadata)**2
        return received / (sun[role] * height)
    mult = float(metadata[f"REFLECTANCE_MULT_BAND_{label}"])
    return (mult * dn + float(metadata[f"REFLECTANCE_ADD_BAND_{label}"])) / height


def temperature(label, dn, metadata):
    """Brightness temperature, kelvin; K1 and K2 of Landsat 5 where the metadata lacks them."""
    k1 = float(metadata.get(f"K1_CONSTANT_BAND_{label}", 607.76))
    k2 = float(metadata.get(f"K2_CONSTANT_BAND_{label}", 1260.56))
    return k2 / np.log(k1 / radiance(label, dn, metadata) + 1.0)


def nd(a, b):
    """(a-b)/(a+b) where a+b > 0, else no value."""
    total = a + b
    return np.divide(a - b, total, out=np.full_like(total, np.nan), where=total > 0)


def crop(rho):
    ndvi = nd(rho["nir"], rho["red"])
    values = ndvi[~np.isnan(ndvi)]
    height, width = ndvi.shape
    cells = [np.nanmean(ndvi[i * height // 4:(i + 1) * height // 4,
                             j * width // 4:(j + 1) * width // 4])
             for i in range(4) for j in range(4)]
    return {
        "count": int(values.size),
        "mean": values.mean(),
        "min": values.min(),
        "max": values.max(),
        "std": values.std(),
        "above": int((values > 0.4).sum()),
        "histogram": [int(n) for n in np.histogram(values, bins=20, range=(-1.0, 1.0))[0]],
        "grid": cells,
    }


def weather(rho, thermal):
    brightness = (rho["blue"] + rho["green"] + rho["red"]) / 3.0
    with np.errstate(invalid="ignore"):
        ndvi, ndsi = nd(rho["nir"], rho["red"]), nd(rho["green"], rho["swir1"])
        candidates = (brightness > 0.15) & (ndvi < 0.3) & (ndsi > -0.25) & (ndsi < 0.7)
    height, width = candidates.shape
    padded = np.pad(candidates.astype(np.int64), 1)
    votes = sum(padded[i:i + height, j:j + width] for i in range(3) for j in range(3))
    cloud = int((votes >= 5).sum())
    found = {
        "brightness_mean": brightness.mean(),
        "candidates": int(candidates.sum()),
        "cloud": cloud,
        "cloud_percent": 100.0 * cloud / candidates.size,
    }
    if thermal is not None:
        found.update(kelvin_mean=thermal.mean(), kelvin_min=thermal.min(),
                     kelvin_max=thermal.max())
    return found


def pollution(rho):
    with np.errstate(invalid="ignore"):
        water = nd(rho["green"], rho["nir"]) > 0
    ndti = nd(rho["red"], rho["green"])[water]
    ndti = ndti[~np.isnan(ndti)]
    blue = rho["blue"]
    height, width = blue.shape
    padded = np.pad(blue, 2, mode="edge")
    dark = np.min([padded[i:i + height, j:j + width] for i in range(5) for j in range(5)], axis=0)
    return {
        "water": int(water.sum()),
        "water_percent": 100.0 * int(water.sum()) / water.size,
        "turbidity_mean": ndti.mean() if ndti.size else None,
        "turbidity_max": ndti.max() if ndti.size else None,
        "turbid": int((ndti > -0.2).sum()),
        "haze_mean": (blue - 0.5 * rho["red"] - 0.08).mean(),
        "dark_mean": dark.mean(),
        "dark_max": dark.max(),
    }


def plain(value):
    """What json writes without loss: Python's own numbers, and null for no value."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else float(value)
    return value


def main():
    parser = argparse.ArgumentParser(description="Recompute the satellite programs' values.")
    parser.add_argument("files", nargs="+", help="one file of many bands, or many of one")
    parser.add_argument("--bands", help="role:label,... in the order of the bands")
    parser.add_argument("--metadata", help="the scene's Landsat MTL file")
    parser.add_argument("--mirror", type=int, default=1, help="repeat the scene so often a side")
    parser.add_argument("--out", default="-", help="the JSON file (default: standard output)")
    options = parser.parse_args()

    gdal.UseExceptions()
    try:
        arrays = read_bands(options.files)
        metadata = read_metadata(options.metadata) if options.metadata else {}
    except (RuntimeError, OSError) as error:
        sys.exit(f"reference.py: {error}")
    plan = options.bands or BANDS.get(len(arrays))
    if plan is None or len(plan.split(",")) != len(arrays):
        sys.exit(f"reference.py: --bands must name the {len(arrays)} bands of the scene")
    rho, thermal = {}, None
    for place, (entry, dn) in enumerate(zip(plan.split(","), arrays), 1):
        role, _, label = entry.partition(":")
        label = label or str(place)
        dn = mirror(dn, options.mirror)
        if role == "thermal" and metadata:
            thermal = temperature(label, dn, metadata)
        elif role not in ("thermal", "other"):
            rho.setdefault(role, reflectance(role, label, dn, metadata))

    found = plain({
        "tool": f"GDAL {gdal.__version__}, numpy {np.__version__}",
        "weather": weather(rho, thermal),
        "crop": crop(rho),
        "pollution": pollution(rho),
    })
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    if options.out == "-":
        sys.stdout.write(text)
    else:
        with open(options.out, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
