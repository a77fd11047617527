"""Every instruction set against the baseline, and the proofs behind the filters."""

import json
import os
import subprocess
import sys

import kldiv._kernels._isa as _isa
import kldiv._kernels._knn as _knn
import numpy as np
import pytest
from kldiv._kernels._ball_mass import log_ball_mass
from kldiv._kernels._distances import ball_members
from kldiv._kernels._ks import column_gaps

from kldiv._backends import _auto
from kldiv._backends._compiled import ALGORITHMS
from kldiv._backends._filter import Codes, fit_axes, pca_codes
from kldiv._neighbors import search
from tests.reference import neighbor_blocks_longdouble
from tests.tolerances import DISTANCES

LEVELS = _isa.available_levels()
NO_BYTES = ("baseline",)


def samples(rng, n, m, d, dtype):
    X, Y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    X[rng.random(n) < 0.2] = Y[0]
    return X.astype(dtype), Y.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("d", "k"), [(1, 3), (2, 5), (3, 20), (9, 5), (70, 5), (200, 40)]
)
def test_every_algorithm_on_every_instruction_set(level, d, k, dtype, rng):
    X, Y = samples(rng, 230, 190, d, dtype)
    blocks = ("xx", "xy", "yy", "yx")
    expected = neighbor_blocks_longdouble(X, Y, k, blocks)
    for algorithm in ALGORITHMS:
        if (algorithm == "sorted" and d > 1) or (
            algorithm == "int8" and level in NO_BYTES
        ):
            continue
        for threads in (1, 2):
            found = search(X, Y, k, blocks=blocks, algorithm=algorithm, threads=threads)
            for block in blocks:
                np.testing.assert_allclose(
                    found.block(block), expected[block], rtol=4e-16 * d**0.5, atol=0
                )


def test_unknown_level():
    with pytest.raises(ValueError, match="'mmx' is not available"):
        _isa.set_level("mmx")


def test_every_level_has_its_costs():
    """Also levels that this machine has not: "auto" looks them up."""
    assert set(_auto._WIDTH) == set(_isa.LEVELS)
    assert set(_auto._PRODUCT) == set(_isa.LEVELS) - set(NO_BYTES)


def level_and_results():
    """The level in use, and what one function of every extension gives."""
    X = np.random.default_rng(0).normal(size=(40, 21))
    near, mass, gap = np.empty((40, 3)), np.empty(40), np.empty((4, 21))
    counts, farthest = np.empty(40, dtype=np.intp), np.empty(40)
    _knn.search("brute", X, None, 3, [("xx", near, None)])
    log_ball_mass(X * X, np.linspace(1, 3, 21), np.full(40, 9.0), mass, 1)
    column_gaps(X, X[:30] + 0.5, True, True, *gap)
    ball_members(X, X, np.full(40, 6.0), True, counts, farthest, 1)
    results = near, mass, gap, counts, farthest
    return [_isa.current_level(), *(a.tobytes().hex() for a in results)]


def forced(name):
    """The same in a process that starts with KLDIV_ISA, and what it says it uses."""
    code = """
import json
from kldiv._versions import versions
from tests.test_kernels import level_and_results
print(json.dumps([versions()["kernels"], *level_and_results()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KLDIV_ISA": name},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_environment_forces_a_level_on_every_extension(level):
    shown, *results = forced(level)
    assert shown == f"{level} (available: {', '.join(LEVELS)})"
    assert results == level_and_results()


@pytest.mark.skipif(len(LEVELS) < 2, reason="only the baseline is available")
def test_levels_are_different_code():
    """Wider vectors add in another order: last digits tell which code ran."""
    before = _isa.current_level()
    results = []
    for name in LEVELS[:2]:
        _isa.set_level(name)
        results.append(level_and_results())
    _isa.set_level(before)
    (_, near, mass, gap, *_), (_, other_near, other_mass, other_gap, *_) = results
    assert near != other_near
    assert mass != other_mass
    assert gap == other_gap  # counts are exact


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_range(level, dtype, rng):
    del level
    values = rng.normal(size=(37, 5)).astype(dtype)
    values[3] = 0
    values[0, 0] = -np.finfo(dtype).smallest_subnormal
    low, high = _knn.value_range(values)
    assert low == np.finfo(dtype).smallest_subnormal
    assert high == np.abs(values).max()
    assert _knn.value_range(np.zeros((2, 2), dtype)) == (0, 0)


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "m"), [(1, 97), (2, 32), (7, 31), (33, 65), (5, 1)])
def test_rows_in_balls(level, exclude_self, dtype, d, m, rng):
    """Rows at the edge, equal rows, and squares that overflow or vanish, included."""
    del level
    whole = rng.integers(-4, 5, size=(m, d))
    for exponent in (0, 500, -500, 520, -538) if dtype == np.float64 else (0,):
        data = np.ldexp(whole.astype(dtype), exponent)
        queries = data if exclude_self else np.concatenate([data, 1.5 * data])
        distances = true_distances(queries, data)
        if exclude_self:
            np.fill_diagonal(distances, np.inf)
        radii = rng.choice(distances.ravel(), len(queries)).astype(np.float64)
        radii = np.where(np.isinf(radii), 0, radii) * (1 + 1e-12)
        inside = distances <= radii[:, None]
        farthest = np.where(inside, distances, 0).max(axis=1).astype(np.float64)
        for threads in (1, 2):
            counts, largest = np.empty(len(radii), dtype=np.intp), np.empty(len(radii))
            ball_members(queries, data, radii, exclude_self, counts, largest, threads)
            np.testing.assert_array_equal(counts, inside.sum(axis=1))
            np.testing.assert_allclose(largest, farthest, rtol=1e-14)


def code_distances(codes):
    x, y = codes.x.astype(np.longdouble), codes.y.astype(np.longdouble)
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))


def rounded_codes(X, Y, levels=255):
    """Every number rounded to one of the levels of the common range."""
    low, high = min(X.min(), Y.min()), max(X.max(), Y.max())
    step, lows = float(high - low) / levels, np.full(X.shape[1], float(low))
    radii = [np.zeros(len(a), dtype=np.float32) for a in (X, Y)]
    codes = [
        _knn.whole_codes(a, lows, step, levels, r, 1)
        for a, r in zip((X, Y), radii, strict=True)
    ]
    return Codes(*codes, *radii, 1 / step)


def true_distances(X, Y):
    X, Y = X.astype(np.longdouble), Y.astype(np.longdouble)
    return np.sqrt(((X[:, None] - Y[None]) ** 2).sum(-1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("spread", [1.0, 1e-6, 1e6])
def test_projected_codes_bound_every_distance_from_below(
    level, dtype, offset, spread, rng
):
    del level
    X = rng.normal(size=(90, 60)) * np.linspace(spread, 1, 60) + offset
    Y = rng.normal(size=(80, 60)) * np.linspace(spread, 1, 60) + offset
    Y[:20] = X[:20] + 1e-5 * rng.normal(size=(20, 60))
    X, Y = X.astype(dtype), Y.astype(dtype)
    codes = pca_codes(X, Y, fit_axes(X, Y, n_axes=20), 1)
    radii = codes.radius_x.astype(float)[:, None] + codes.radius_y.astype(float)
    true = true_distances(X, Y) * codes.unit
    assert (code_distances(codes) - radii <= true * (1 + 1e-12)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [0.0, -3.0, 1e6])
@pytest.mark.parametrize("levels", [255, 16383])
def test_whole_codes_bound_every_distance_from_both_sides(
    level, dtype, low, levels, rng
):
    del level
    X = (rng.random((90, 33)) * 7 + low).astype(dtype)
    Y = (rng.random((70, 33)) * 7 + low).astype(dtype)
    codes = rounded_codes(X, Y, levels)
    assert codes.x.max() == levels
    radii = codes.radius_x.astype(float)[:, None] + codes.radius_y.astype(float)
    gap = np.abs(code_distances(codes) - true_distances(X, Y) * codes.unit)
    assert (gap <= radii).all()
    assert codes.radius_x.max() <= 0.51 * 33**0.5


def test_integers_up_to_255_have_exact_codes(rng):
    X = rng.integers(0, 256, (40, 50)).astype(np.float32)
    X[0, 0], X[0, 1] = 0, 255
    codes = rounded_codes(X, X)
    assert codes.radius_x.max() < 1e-9
    np.testing.assert_array_equal(codes.x, X)


def test_repeated_rows_are_not_measured_again(rng):
    """A block of identical rows costs k measurements, not one per row."""
    X = rng.normal(size=(600, 80)).astype(np.float32)
    X[100:500] = X[0]
    Y = rng.normal(size=(300, 80)).astype(np.float32)
    axes = fit_axes(X, Y)
    codes = pca_codes(X, Y, axes, 1)
    out = np.empty((300, 5))
    measured = _knn.search_filtered(X, Y, 5, [("yx", out, None)], 1, *codes)
    assert measured[0] < 300 * 220


def test_ties_stay_cheap_in_the_product(rng):
    """Blank rows and counts: no row falls back to a scan of everything."""
    X = rng.poisson(0.05, (1500, 100)).astype(np.float32)
    X[::3] = 0
    out = np.empty((1500, 5))
    blocks = [("xx", out, None)]
    assert _knn.search("gemm", X, X, 5, blocks) < 1500 * 60


@pytest.mark.parametrize("n_neighbors", [1, 12])
@pytest.mark.parametrize(("n_values", "d"), [(2, 30), (20, 8), (300, 9), (9000, 9)])
def test_ties_of_integers_are_not_lost(level, n_values, d, n_neighbors, rng):
    """Exact products drop ties on sight, but k of them must stay."""
    X = rng.integers(0, n_values, (1100, d)).astype(np.float32)
    Y = rng.integers(0, n_values, (1050, d)).astype(np.float32)
    expected = search(X, Y, n_neighbors, algorithm="brute")
    for algorithm in ALGORITHMS:
        if algorithm == "sorted" or (algorithm == "int8" and level in NO_BYTES):
            continue
        found = search(X, Y, n_neighbors, algorithm=algorithm)
        np.testing.assert_allclose(found.xx, expected.xx, rtol=4e-16 * d**0.5, atol=0)
        np.testing.assert_allclose(found.xy, expected.xy, rtol=4e-16 * d**0.5, atol=0)


@pytest.mark.parametrize("algorithm", ["int8", "pca"])
@pytest.mark.parametrize("d", [1, 8, 9, 33, 300])
def test_the_largest_codes_do_not_overflow(algorithm, d, level, rng):
    """Rows at the corners of the range have the largest norms and distances."""
    if algorithm == "int8" and level in NO_BYTES:
        pytest.skip("needs AVX2")
    top = _knn.code_levels(d) or 255
    X = top * rng.integers(0, 2, (150, d)).astype(np.float32)
    X[0], X[1] = 0, top
    Y = np.concatenate([top - X[:2], X[2:60:2], np.full((40, d), top, np.float32)])
    expected = search(X, Y, 3, algorithm="brute")
    found = search(X, Y, 3, algorithm=algorithm)
    np.testing.assert_allclose(found.xx, expected.xx, rtol=4e-16 * d**0.5, atol=0)
    np.testing.assert_allclose(found.xy, expected.xy, rtol=4e-16 * d**0.5, atol=0)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("d", [5, 64, 250])
def test_codes_that_are_mostly_zero(d, whole, level, rng):
    """What is zero in all rows of a tile is left out of its product, and only that."""
    if level in NO_BYTES:
        pytest.skip("needs AVX2")
    X, Y = (rng.poisson(0.05, (n, d)).astype(np.float32) for n in (401, 300))
    X[:24] = 0
    X[24:, ::3], Y[:, 1::3] = 0, 0
    X[24:48, -1] = 3
    if not whole:
        X, Y = X * np.float32(0.37), Y * np.float32(0.37)
    expected = search(X, Y, 3, algorithm="brute")
    found = search(X, Y, 3, algorithm="int8")
    np.testing.assert_allclose(found.xx, expected.xx, rtol=4e-16 * d**0.5, atol=0)
    np.testing.assert_allclose(found.xy, expected.xy, rtol=4e-16 * d**0.5, atol=0)


@pytest.mark.parametrize("algorithm", ["gemm", "int8"])
@pytest.mark.parametrize(("d", "n_neighbors"), [(7, 1), (40, 5), (40, 40)])
def test_data_in_many_segments(algorithm, d, n_neighbors, level, rng, monkeypatch):
    """Packed data are bounded in memory; what earlier segments found is kept."""
    if algorithm == "int8" and level in NO_BYTES:
        pytest.skip("needs AVX2")
    X, Y = samples(rng, 400, 300, d, np.float32)
    blocks = ("xx", "xy", "yy", "yx")
    whole = search(X, Y, n_neighbors, blocks=blocks, algorithm=algorithm)
    monkeypatch.setattr(_knn, "SEGMENT_BYTES", 200 * d)
    for threads in (1, 2):
        found = search(
            X,
            Y,
            n_neighbors,
            blocks=blocks,
            algorithm=algorithm,
            threads=threads,
            return_indices=True,
        )
        for block in blocks:
            np.testing.assert_array_equal(found.block(block), whole.block(block))
            a, b = (X if side == "x" else Y for side in block)
            named = getattr(found, f"{block}_indices")
            gap = np.linalg.norm(
                a[:, None].astype(float) - b[named].astype(float), axis=2
            )
            np.testing.assert_allclose(gap, found.block(block), rtol=DISTANCES)


@pytest.mark.parametrize("algorithm", ["gemm", "int8"])
def test_memory_beyond_the_samples_is_bounded(algorithm):
    """240 MB of rows are searched with answers and a few segments beside them."""
    if algorithm == "int8" and _isa.current_level() in NO_BYTES:
        pytest.skip("needs AVX2")
    code = f"""
import resource, numpy as np
from kldiv._neighbors import search
X = np.ones((300_000, 200), np.float32)
X[:, 0] = np.arange(len(X))
Y = X[:300].copy()
search(Y, Y, 1, algorithm={algorithm!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
search(Y, X, 1, blocks=("xy",), algorithm={algorithm!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 60_000  # kilobytes
