"""Search by products on a device: a GPU, or the processor where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from kldiv._backends._backend import too_far_apart
from kldiv._backends._torch_codes import bare, products_in
from kldiv._backends._torch_search import Search
from kldiv._typing import BlockArrays, FloatArray
from kldiv._validation import check_sample

_FEWEST_QUERIES = 1 << 13  # that another GPU is worth its start for


def search_on_device(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    metric: str = "euclidean",  # noqa: ARG001 - the only one it knows
    n_threads: int = 1,  # noqa: ARG001 - torch has threads of its own
    return_indices: bool = False,
    memory_limit: int | None = None,
    devices: Sequence[Any] | None = None,
    product: str | None = None,
) -> BlockArrays:
    """Search all `blocks`; arrays may live on the host or be tensors on a device.

    Parameters
    ----------
    X, Y : ndarray or tensor of shape (n, d) and (m, d), float32 or float64
        The samples.
    n_neighbors : int
        Columns of each block.
    blocks : sequence of {"xx", "xy", "yy", "yx"}
        Searches to make.
    metric : str
        "euclidean".
    n_threads : int
        Not used.
    return_indices : bool
        Whether to return the rows found as well; among equal distances the first row.
    memory_limit : int, optional
        Bytes of working memory on each device beyond samples and answer; by default
        half of what is free on a GPU, and 256 MB on the processor.
    devices : sequence of torch.device, optional
        Which share the queries; by default that of a tensor, otherwise all GPUs,
        otherwise the processor.
    product : {"float32", "tf32"}, optional
        Numbers that are multiplied; "tf32" on a GPU by default. It costs or saves
        time, never a digit.

    Returns
    -------
    dict of str to (distances, rows or None)
        Tensors where the queries were a tensor, otherwise arrays: float64 distances,
        ascending, and int32 row numbers.

    Raises
    ------
    ImportError
        Without torch.
    ValueError
        For a device that has no float64.
    MemoryError
        Where an allocator of torch refuses.
    """
    devices = _devices((X, Y), devices)
    if product is None:
        product = "tf32" if devices[0].type == "cuda" else "float32"
    samples = {"x": X, "y": Y}
    names = sorted(set("".join(blocks)))
    settings = (n_neighbors, product, return_indices, memory_limit)
    found: BlockArrays = {}
    with products_in(product), bare(), _within_memory():
        searches = [
            Search(device, [samples[name] for name in names], *settings)
            for device in devices
        ]
        for block in blocks:
            pair = samples[block[0]], samples[block[1]]
            distances, rows = _shared_out(searches, *pair, block[0] == block[1])
            if not bool((abs(distances) < np.inf).all()):
                sizes = [abs(sample[sample != 0]) for sample in (X, Y)]
                low = min(float(size.min()) for size in sizes if len(size))
                raise too_far_apart(low, max(float(abs(one).max()) for one in (X, Y)))
            found[block] = distances, rows if return_indices else None
    return found


# Words of torch's allocators: of the processor, and of a GPU.
_NO_MEMORY = ("can't allocate memory", "out of memory")


@contextmanager
def _within_memory() -> Iterator[None]:
    """Turn what torch's allocators say into MemoryError."""
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _NO_MEMORY):
            raise
        raise MemoryError(
            "algorithm='torch' needs more memory than there is. Lower memory_limit, or "
            "give fewer rows."
        ) from error


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "algorithm='torch' needs torch, which is not installed. Run: pip install "
            "\"kldiv[torch]\", or choose algorithm='auto'."
        ) from error
    return torch


def is_on_gpu(*samples: Any) -> bool:
    """Whether a sample is a tensor in the memory of a GPU by CUDA or ROCm."""
    return any(getattr(sample, "is_cuda", False) is True for sample in samples)


def check_tensors(X: Any, Y: Any) -> tuple[Any, Any] | None:
    """Two tensors checked on the device of the first; None if not both are tensors.

    Raises
    ------
    ValueError
        As for arrays.
    TypeError
        For complex numbers.
    """
    if not (hasattr(X, "detach") and hasattr(Y, "detach")):
        return None
    torch = _torch()
    _check_device(X.device)
    checked = []
    for name, sample in (("X", X), ("Y", Y.to(X.device))):
        if sample.is_complex() or sample.is_sparse:
            return None  # the checks of arrays say why not
        rows = sample.detach()
        if rows.dtype in (torch.float16, torch.bfloat16):
            rows = rows.float()
        elif rows.dtype not in (torch.float32, torch.float64):
            rows = rows.double()
        if rows.numel() == 0 or rows.ndim == 0 or not bool(rows.isfinite().all()):
            check_sample(rows, name)
        rows = rows.reshape(len(rows), -1)
        checked.append(rows.contiguous())
    if checked[0].shape[1] != checked[1].shape[1]:
        check_sample(checked[1], "Y", n_features=checked[0].shape[1])
    if checked[0].dtype != checked[1].dtype:
        checked = [rows.double() for rows in checked]
    return checked[0], checked[1]


def _check_device(device: Any) -> None:
    if device.type == "mps":
        raise ValueError(
            "algorithm='torch' measures distances in float64, which device 'mps' does "
            "not have. Choose algorithm='auto', or bring tensors to the processor: "
            "X.cpu()."
        )


def _devices(samples: Sequence[Any], devices: Sequence[Any] | None) -> list[Any]:
    torch = _torch()
    if devices is not None:
        found = [torch.device(one) for one in devices]
        for one in found:
            _check_device(one)
        return found
    for sample in samples:
        if isinstance(sample, torch.Tensor):
            _check_device(sample.device)
            return [sample.device]
    count = torch.cuda.device_count()
    most = max(1, max(map(len, samples)) // _FEWEST_QUERIES)
    if count:
        return [torch.device("cuda", i) for i in range(min(count, most))]
    return [torch.device("cpu")]


def _shared_out(
    searches: list[Search], queries: Any, data: Any, within: bool
) -> tuple[Any, Any]:
    """Each device takes a range of the queries; the answer stays with the queries."""
    ends = np.linspace(0, len(queries), len(searches) + 1).astype(int).tolist()

    def search(i: int) -> tuple[Any, Any]:
        with bare():
            numbers = range(ends[i], ends[i + 1])
            return searches[i].nearest(queries, data, numbers, within)

    if len(searches) == 1:
        pieces = [search(0)]
    else:
        with ThreadPoolExecutor(len(searches)) as pool:
            pieces = list(pool.map(search, range(len(searches))))
    return (
        _joined([distances for distances, _ in pieces], queries),
        _joined([rows for _, rows in pieces], queries),
    )


def _joined(pieces: list[Any], like: Any) -> Any:
    import torch

    if isinstance(like, torch.Tensor):
        return torch.cat([piece.to(like.device) for piece in pieces])
    return np.concatenate([piece.cpu().numpy() for piece in pieces])
