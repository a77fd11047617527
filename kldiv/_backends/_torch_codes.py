"""Codes of rows on a device, and the lower bounds that their products give.

precision.rst, "Products on a device", derives the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import frexp, ldexp
from typing import Any

# Per kind of product: low bits of a float32 that a code leaves zero, and the share of a
# squared distance that is given up for the distance of a row from its code.
_PRODUCTS = {"float32": (0, 2.0**-22), "tf32": (13, 2.0**-11)}
_ULP = 2.0**-23  # of a sum that is cut off instead of rounded
_TINY = 1e-30  # more than products that underflow can add up to


@dataclass(frozen=True)
class Frame:
    """Where codes are taken: ``(rows * first - centre) * second``.

    Attributes
    ----------
    first, second : float
        Powers of two; after the first no number is above 1, after both none is above 1
        and some is above 1/4.
    centre : tensor of shape (d,), float64
        Close to the mean of both samples.
    product : {"float32", "tf32"}
        Numbers that the codes consist of.
    """

    first: float
    second: float
    centre: Any
    product: str

    def exact(self, rows: Any) -> Any:
        """Rows in units of the codes, float64."""
        return (rows.double() * self.first - self.centre) * self.second

    def codes(self, rows: Any) -> tuple[Any, Any]:
        """Float32 codes, shape (n, d), and float64 weights of rows, shape (n,).

        The weights of two rows less twice the product of their codes, times 1 less
        the share given up, are at most the square of their distance.
        """
        import torch

        zeroed, share = _PRODUCTS[self.product]
        exact = self.exact(rows)
        codes = exact.float()
        if zeroed:
            half, mask = 1 << (zeroed - 1), -1 << zeroed
            codes = ((codes.view(torch.int32) + half) & mask).view(torch.float32)
        wide = codes.double()
        squares = (wide * wide).sum(1)
        off = (exact - wide).square().sum(1).sqrt()
        off = off * (1 + 1e-6) + squares.sqrt() * 2.0**-51 + 1e-150
        d = rows.shape[1]
        kept = 1 - share - (d * _ULP / (1 - d * _ULP) + 8 * _ULP)
        return codes, kept * squares - (2 / share) * (1 + 1e-6) * off.square() - _TINY

    @property
    def factor(self) -> float:
        """What the product of two codes is multiplied by in a bound."""
        return -2 * (1 - _PRODUCTS[self.product][1])


def frame_of(parts: Callable[[], Iterator[Any]], product: str) -> Frame:
    """A frame for all rows; `parts` yields them, a tensor at a time, when called."""
    largest, n, total = 0.0, 0, None
    for rows in parts():
        largest = max(largest, float(rows.abs().max()))
    first = _unit(largest)
    for rows in parts():
        part = (rows.double() * first).sum(0)
        total, n = part if total is None else total + part, n + len(rows)
    assert total is not None
    centre = total / n
    spread = max(float((r.double() * first - centre).abs().max()) for r in parts())
    return Frame(first, _unit(spread), centre, product)


def _unit(largest: float) -> float:
    """A power of two that brings a number to at most 1."""
    return ldexp(1, -min(max(frexp(largest)[1], -1000), 1000)) if largest else 1.0


@contextmanager
def bare() -> Iterator[None]:
    """No gradients and no autocast, which a thread does not inherit."""
    import torch

    with (
        torch.no_grad(),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        yield


@contextmanager
def products_in(product: str) -> Iterator[None]:
    """Products of the numbers asked for, whatever was set outside."""
    import torch

    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # before 2.9
        general = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if product == "tf32" else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(general)
        return
    host: Any = torch.backends.mkldnn
    device, host = torch.backends.cuda.matmul, host.matmul
    before = device.fp32_precision, host.fp32_precision
    device.fp32_precision = "tf32" if product == "tf32" else "ieee"
    host.fp32_precision = "ieee"
    try:
        yield
    finally:
        device.fp32_precision, host.fp32_precision = before


def measured(queries: Any, candidates: Any) -> Any:
    """Float64 distances from rows (n, d) to rows (n, c, d), by direct differences.

    Differences are divided by a power of two before they are squared, and taken between
    halves where they overflow, so that nothing of any size is lost.
    """
    import torch

    rows, candidates = queries.double()[:, None], candidates.double()
    gap = candidates - rows
    over = ~gap.isfinite().all(-1)
    if over.any():
        gap = torch.where(over[..., None], candidates / 2 - rows / 2, gap)
    largest = gap.abs().amax(-1)
    exponent = torch.frexp(largest)[1].clamp(-1000, 1000).double()
    unit = torch.pow(torch.full_like(exponent, 2.0), exponent)
    distances = (gap / unit[..., None]).square().sum(-1).sqrt() * unit
    return torch.where(over, distances * 2, distances)
