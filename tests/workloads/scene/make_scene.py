#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Make a scene as large as a Sentinel-2 tile out of a small real one, and what is known of it.

    tests/workloads/scene/make_scene.py --side 10980 --out FILE [--photos DIR]

DIR has the two dates of Landsat 5 that ship in Debian's r-cran-satellite (Ethiopia, 101 x 101
pixels; its testdata). Their red and near infrared become reflectance at the top of the atmosphere,
times 10000, as Sentinel-2 writes it (u16), and are repeated, mirrored at each seam, until the side
is reached. Without DIR the pixels come from a formula. FILE is a GeoTIFF of four bands: red and
infrared of the first date, then of the second.

Writes FILE.json too: every number that the programs should find, computed here by numpy.
"""

import argparse
import glob
import json
import os
import sys

import numpy as np
from osgeo import gdal

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), 'satellite'))
import reference  # noqa: E402  (the quick start's independent check)

UNIT, BINS, ZONES = 8192, 20, 20
BLOCK_ROWS = 60


def read_date(folder):
    """Red and near infrared of one date, as Sentinel-2's numbers."""
    metadata = reference.read_metadata(glob.glob(folder + '/*_MTL.txt')[0])
    bands = []
    for role, label in (('red', '3'), ('nir', '4')):
        path = (glob.glob(f'{folder}/*_B{label}.tif') + glob.glob(f'{folder}/*_B{label}.TIF'))[0]
        rho = reference.reflectance(role, label, reference.read_bands([path])[0], metadata)
        bands.append(np.clip(np.rint(rho * 10000), 1, 65535).astype(np.uint16))
    return bands


def small_scene(photos):
    if photos:
        return read_date(photos + '/LT05') + read_date(photos + '/LT5')
    row, column = np.mgrid[0:97, 0:97]
    return [((row * (31 + 7 * band) + column * (17 + 5 * band)) % (1500 + 900 * (band % 2)) + 300
             ).astype(np.uint16) for band in range(4)]


def mirrored(count, side):
    """Which pixel of a small row each of a large one is."""
    index = np.arange(side) % (2 * count)
    return np.where(index < count, index, 2 * count - 1 - index)


def ndvi(red, nir):
    red, nir = red.astype(np.int64), nir.astype(np.int64)
    quotient = ((nir - red) * UNIT).astype(np.float32) / np.maximum(nir + red, 1).astype(np.float32)
    return np.trunc(quotient).astype(np.int64)


def expected(bands):
    """What the programs find (analysis.c), by whole arrays; bands are the small scene, and the
    pixels of the large one are rows x columns of it."""
    small, rows, columns = bands
    height, width = len(rows), len(columns)
    # Each pixel of the small scene is as often in the large one as its row and column are.
    weight = np.outer(np.bincount(rows, minlength=small[0].shape[0]),
                      np.bincount(columns, minlength=small[0].shape[1])).astype(np.int64)
    first, second = ndvi(small[0], small[1]), ndvi(small[2], small[3])
    bins = np.minimum((first + UNIT) * BINS // (2 * UNIT), BINS - 1)
    statistics = [int((first * weight).sum()), int((first * first * weight).sum()),
                  int(weight[first > 4 * UNIT // 10].sum()),
                  *(int(weight[bins == i].sum()) for i in range(BINS))]
    change = second - first
    changes = [int((change * weight).sum()), int(weight[change > UNIT // 10].sum()),
               int(weight[change < -(UNIT // 10)].sum())]
    return {
        'ndvi': {'min': int(first.min()), 'max': int(first.max()), 'sum': statistics},
        'stencil': {'min': 2**31 - 1, 'max': -2**31, 'sum': stencil(small[1], rows, columns)},
        'zones': {'min': 2**31 - 1, 'max': -2**31,
                  'sum': zones(first, rows, columns, height, width)},
        'change': {'min': int(change.min()), 'max': int(change.max()), 'sum': changes},
    }


def stencil(nir, rows, columns):
    total, edges = 0, 0
    nir = nir.astype(np.int64)
    wide = np.pad(columns, 1, mode='edge')
    for i, row in enumerate(rows):
        up, down = rows[max(i - 1, 0)], rows[min(i + 1, len(rows) - 1)]
        three = (nir[up] + nir[row] + nir[down])[wide]
        nine = three[:-2] + three[1:-1] + three[2:]
        total += int(nine.sum())
        edges += int((np.abs(9 * nir[row][columns] - nine) > 9 * 200).sum())
    return [total, edges]


def zones(values, rows, columns, height, width):
    of_row, of_column = np.arange(height) * ZONES // height, np.arange(width) * ZONES // width
    sums = []
    for i in range(ZONES):
        by_row = np.bincount(rows[of_row == i], minlength=values.shape[0])
        for k in range(ZONES):
            by_column = np.bincount(columns[of_column == k], minlength=values.shape[1])
            sums += [int(by_row @ values @ by_column), int(by_row.sum() * by_column.sum())]
    return sums


def write(path, bands, rows, columns):
    driver = gdal.GetDriverByName('GTiff')
    data = driver.Create(path, len(columns), len(rows), len(bands), gdal.GDT_UInt16,
                         ['INTERLEAVE=BAND', f'BLOCKYSIZE={BLOCK_ROWS}'])
    for number, band in enumerate(bands, 1):
        wide = band[:, columns]
        for first in range(0, len(rows), BLOCK_ROWS):
            data.GetRasterBand(number).WriteArray(wide[rows[first:first + BLOCK_ROWS]], 0, first)
    data.FlushCache()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--side', type=int, default=10980)
    parser.add_argument('--out', required=True)
    parser.add_argument('--photos')
    options = parser.parse_args()
    gdal.UseExceptions()
    bands = small_scene(options.photos)
    rows = mirrored(bands[0].shape[0], options.side)
    columns = mirrored(bands[0].shape[1], options.side)
    write(options.out, bands, rows, columns)
    with open(options.out + '.json', 'w', encoding='utf-8') as file:
        json.dump({'side': options.side, 'is_real': bool(options.photos),
                   'answers': expected((bands, rows, columns))}, file)


if __name__ == '__main__':
    main()
