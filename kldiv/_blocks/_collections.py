"""Dask arrays and data frames: what is refused, and how tasks are computed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

_PATIENCE = 10  # seconds that a scheduler has to answer


def is_collection(*samples: Any) -> bool:
    """Whether a sample is a dask collection; does not import dask."""
    dask = sys.modules.get("dask.base")
    return dask is not None and any(map(dask.is_dask_collection, samples))


def dask_array(sample: Any, name: str) -> Any:
    """A dask array with chunks of whole rows of known number.

    Raises
    ------
    ValueError
        For chunks of unknown size, or along columns.
    TypeError
        For other collections than arrays and data frames.
    """
    refuse_delayed(sample, name)
    if hasattr(sample, "to_dask_array"):
        run([])  # computing lengths would wait for a scheduler that is gone
        return sample.to_dask_array(lengths=True)
    if not (hasattr(sample, "chunks") and hasattr(sample, "rechunk")):
        raise TypeError(
            f"{name} is a dask collection of type {type(sample).__name__}; an array or "
            "a data frame is needed. Call to_dataframe() on a bag."
        )
    if any(np.isnan(size) for sizes in sample.chunks for size in sizes):
        raise ValueError(
            f"{name} has chunks of unknown size, so that its rows cannot be counted. "
            f"Call {name}.compute_chunk_sizes() first."
        )
    if any(len(sizes) > 1 for sizes in sample.chunks[1:]):
        raise ValueError(
            f"{name} has chunks along columns ({sample.chunks[1]}), but a distance "
            f"needs whole rows. Call {name}.rechunk({{1: -1}}) first."
        )
    return sample


def refuse_delayed(sample: Any, name: str) -> None:
    """Raise TypeError for a delayed object, which seems to have every attribute."""
    delayed = sys.modules.get("dask.delayed")
    if delayed is not None and isinstance(sample, delayed.Delayed):
        raise TypeError(
            f"{name} is a delayed object, whose rows and columns are not known. Call "
            f"{name}.compute(), or dask.array.from_delayed({name}, shape, dtype)."
        )


def brought_here(sample: Any, name: str) -> Any:
    """The rows of a collection in the memory of this process; frames stay frames."""
    refuse_delayed(sample, name)
    whole = sample if hasattr(sample, "to_dask_array") else dask_array(sample, name)
    return run([whole])[0]


def run(tasks: list[Any]) -> list[Any]:
    """Results of all tasks at once, by the client or scheduler that is in force.

    Raises
    ------
    ConnectionError
        If the scheduler of the client in force does not answer within ten seconds.
    """
    import dask

    if not _has_client():
        return list(dask.compute(*tasks))
    # Arrays that are sent with the tasks outlive the workers that hold them. Without a
    # client this must not be set: distributed may be imported, and leaving the block
    # would take its defaults away with it.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        return list(dask.compute(*tasks))


def threads_here() -> int | None:
    """Threads of this process that compute tasks; None if tasks may go elsewhere."""
    import dask
    from dask.system import CPU_COUNT

    scheduler = dask.base.get_scheduler()
    if scheduler is dask.local.get_sync:
        return 1
    if scheduler not in (None, dask.threaded.get) or dask.config.get("pool", None):
        return None
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _has_client() -> bool:
    """Whether a client computes; ConnectionError if its scheduler does not answer."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        client = distributed.get_client()
    except ValueError:  # there is none: threads of this process compute
        return False
    try:
        client.sync(_ask, client, callback_timeout=_PATIENCE)
    except Exception as error:
        address = getattr(client.scheduler, "address", "an unknown address")
        raise ConnectionError(
            f"the scheduler of the dask client at {address} was asked for its identity "
            f"and did not answer within {_PATIENCE} s ({type(error).__name__}; the "
            f"client says {client.status!r}). Start the cluster and make a new Client, "
            "or close this one to compute in threads of this process."
        ) from error
    return True


async def _ask(client: Any) -> None:
    await client.scheduler.identity()
