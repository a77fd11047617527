"""The search on one device: tiles of bounds, lists, measurements.

Nothing of size n x m is held: tiles of products are reduced to a running list of the
smallest lower bounds of each query, and the rows in the list are measured in float64.
A query whose list does not prove that it is complete gets a longer one, and at last
distances to all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kldiv._backends._torch_codes import Frame, frame_of, measured

_SPARE = 8  # entries of a first list beyond the neighbours asked for
_GROWTH = 8  # of the list of queries that the first one does not settle
_GROUP = 64  # columns of a tile of which only the least bound is looked at first
_WIDEST_TILE, _MOST_QUERIES = 1 << 14, 1 << 14
_HOST_BYTES = 1 << 28  # working memory where the processor is the device
_SURE = 1 + 1e-9


class Search:
    """Samples as one device sees them.

    Parameters
    ----------
    device : torch.device
        Where to compute.
    samples : sequence of ndarray or tensor
        All samples that take part.
    n_neighbors : int
        Neighbours.
    product : {"float32", "tf32"}
        Numbers that are multiplied.
    ordered : bool
        Whether the first row has to be named among equal distances.
    memory_limit : int or None
        Bytes of working memory.
    """

    def __init__(
        self,
        device: Any,
        samples: Sequence[Any],
        n_neighbors: int,
        product: str,
        ordered: bool,
        memory_limit: int | None,
    ) -> None:
        self.device, self.k, self.ordered = device, n_neighbors, ordered
        self.limit = _free_memory(device) if memory_limit is None else memory_limit
        self.d = int(samples[0].shape[1])
        # four float64 copies of a row are alive while its code is taken
        self.wide = min(_WIDEST_TILE, max(_GROUP, self.limit // (128 * self.d)))
        self.wide -= self.wide % _GROUP

        def parts() -> Iterator[Any]:
            for sample in samples:
                for start in range(0, len(sample), self.wide):
                    yield self.rows(sample, slice(start, start + self.wide))

        self.frame: Frame = frame_of(parts, product)
        self._kept: dict[int, list[Any]] = {}

    def rows(self, sample: Any, some: Any) -> Any:
        """Some rows of a sample, as a tensor on the device."""
        import torch

        if isinstance(sample, torch.Tensor):
            if isinstance(some, torch.Tensor):
                some = some.to(sample.device)
            return sample[some].to(self.device)
        if isinstance(some, torch.Tensor):
            some = some.cpu().numpy()
        return torch.from_numpy(np.array(sample[some])).to(self.device)

    def nearest(
        self, queries: Any, data: Any, numbers: range, within: bool
    ) -> tuple[Any, Any]:
        """Distances and rows for the queries of some numbers."""
        import torch

        shape = (len(numbers), self.k)
        distances = torch.empty(shape, dtype=torch.float64, device=self.device)
        rows = torch.empty(shape, dtype=torch.int64, device=self.device)
        size = min(self.k + _SPARE, len(data) - within)
        step = self._queries_at_once(size)
        for start in range(0, len(numbers), step):
            some = numbers[start : start + step]
            chunk = torch.arange(some.start, some.stop, device=self.device)
            place = slice(start, start + len(some))
            distances[place], rows[place] = self._settle(queries, data, chunk, within)
        return distances, rows.int()

    def _queries_at_once(self, size: int) -> int:
        each = 16 * self.wide + 32 * self.d + 64 * size
        return max(1, min(_MOST_QUERIES, self.limit // (2 * each)))

    def _settle(
        self, queries: Any, data: Any, numbers: Any, within: bool
    ) -> tuple[Any, Any]:
        """Proved neighbours of some queries, in lists as long as it takes."""
        import torch

        shape = (len(numbers), self.k)
        distances = torch.empty(shape, dtype=torch.float64, device=self.device)
        rows = torch.empty(shape, dtype=torch.int64, device=self.device)
        available = len(data) - within
        pending = torch.arange(len(numbers), device=self.device)
        for length in (self.k + _SPARE, _GROWTH * (self.k + _SPARE)):
            size = min(length, available)
            step = self._queries_at_once(size)
            left = []
            for some in torch.split(pending, step):
                found = self._from_list(queries, data, numbers[some], size, within)
                distances[some], rows[some], settled = found
                left.append(some[~settled])
            pending = torch.cat(left)
            if len(pending) == 0:
                return distances, rows
        step = max(1, self.limit // (64 * self.d * _GROUP))
        for some in torch.split(pending, step):
            distances[some], rows[some] = self._scan(
                queries, data, numbers[some], within
            )
        return distances, rows

    def _from_list(
        self, queries: Any, data: Any, numbers: Any, size: int, within: bool
    ) -> tuple[Any, Any, Any]:
        """Neighbours among the rows of a list, and whether it must hold them all."""
        import torch

        own = self.rows(queries, numbers)
        codes, weights = self.frame.codes(own)
        bounds, listed = self._list(codes, data, numbers, size, within)
        far = torch.empty(listed.shape, dtype=torch.float64, device=self.device)
        step = max(1, self.limit // (64 * self.d * size))
        for start in range(0, len(own), step):
            some = slice(start, start + step)
            candidates = self.rows(data, listed[some].reshape(-1))
            candidates = candidates.reshape(-1, size, self.d)
            far[some] = measured(own[some], candidates)
        far, listed = _first(far, listed, self.k)
        last = far[:, -1] * self.frame.first * self.frame.second
        settled = bounds[:, -1].double() + weights > last.square() * _SURE
        if size == len(data) - within:
            settled = torch.ones_like(settled)
        elif not self.ordered:
            settled |= far[:, -1] == 0
        return far, listed, settled

    def _list(
        self, codes: Any, data: Any, numbers: Any, size: int, within: bool
    ) -> tuple[Any, Any]:
        """The smallest bounds of each query, less its own weight, and their rows."""
        import torch

        bounds = torch.full((len(codes), 0), torch.inf, device=self.device)
        listed = torch.empty((len(codes), 0), dtype=torch.int64, device=self.device)
        for start, other, weights in self._codes_of(data):
            tile = torch.addmm(
                weights.float()[None], codes, other.T, alpha=self.frame.factor
            )
            if within:
                _leave_out(tile, numbers - start)
            found, columns = _smallest(tile, min(size, len(other)))
            bounds = torch.cat([bounds, found], 1)
            listed = torch.cat([listed, columns + start], 1)
            if bounds.shape[1] > size:
                bounds, places = bounds.topk(size, largest=False, sorted=True)
                listed = listed.gather(1, places)
        bounds, order = bounds.sort(1)
        return bounds[:, :size], listed.gather(1, order)[:, :size]

    def _codes_of(self, data: Any) -> Iterator[tuple[int, Any, Any]]:
        """First row, codes and weights of each tile of the data."""
        starts = range(0, len(data), self.wide)
        if len(data) * (4 * self.d + 8) > self.limit // 4:
            for start in starts:
                rows = self.rows(data, slice(start, start + self.wide))
                yield start, *self.frame.codes(rows)
            return
        if id(data) not in self._kept:
            tiles = [slice(start, start + self.wide) for start in starts]
            kept = [self.frame.codes(self.rows(data, tile)) for tile in tiles]
            self._kept[id(data)] = kept
        for start, (codes, weights) in zip(starts, self._kept[id(data)], strict=True):
            yield start, codes, weights

    def _scan(
        self, queries: Any, data: Any, numbers: Any, within: bool
    ) -> tuple[Any, Any]:
        """Nearest of all rows, each of them measured."""
        import torch

        own = self.rows(queries, numbers)
        far = torch.full((len(own), 0), torch.inf, device=self.device).double()
        listed = torch.empty((len(own), 0), dtype=torch.int64, device=self.device)
        step = max(1, self.limit // (64 * self.d * len(own)))
        for start in range(0, len(data), step):
            rows = self.rows(data, slice(start, start + step))
            tile = measured(own, rows[None])
            if within:
                _leave_out(tile, numbers - start)
            columns = torch.arange(start, start + len(rows), device=self.device)
            far = torch.cat([far, tile], 1)
            listed = torch.cat([listed, columns.expand(len(own), -1)], 1)
            far, listed = _first(far, listed, self.k)
        return far, listed


def _leave_out(tile: Any, columns: Any) -> None:
    """A query is not its own neighbour, wherever its column lies in the tile."""
    import torch

    inside = ((columns >= 0) & (columns < tile.shape[1])).nonzero()[:, 0]
    tile[inside, columns[inside]] = torch.inf


def _smallest(tile: Any, size: int) -> tuple[Any, Any]:
    """The smallest entries of each row, unordered, and their columns.

    They lie in the groups with the smallest minima: few of the entries are sorted.
    """
    import torch

    n, width = tile.shape
    if width < 2 * _GROUP * size:
        values, columns = tile.topk(size, largest=False, sorted=False)
        return values, columns
    if width % _GROUP:
        short = _GROUP - width % _GROUP
        tile = torch.nn.functional.pad(tile, (0, short), value=torch.inf)
    groups = tile.view(n, -1, _GROUP)
    least = groups.amin(2).topk(size, largest=False, sorted=False)[1]
    some = groups.gather(1, least[:, :, None].expand(-1, -1, _GROUP)).flatten(1)
    values, places = some.topk(size, largest=False, sorted=False)
    group = least.gather(1, places // _GROUP)
    return values, group * _GROUP + places % _GROUP


def _first(far: Any, rows: Any, count: int) -> tuple[Any, Any]:
    """The nearest, ascending; among equal distances the first row."""
    rows, order = rows.sort(1)
    far, places = far.gather(1, order).sort(stable=True, dim=1)
    return far[:, :count], rows.gather(1, places)[:, :count]


def _free_memory(device: Any) -> int:
    import torch

    if device.type != "cuda":
        return _HOST_BYTES
    return int(torch.cuda.mem_get_info(device)[0]) // 2
