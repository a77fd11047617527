"""The range of two samples: their moments, and the plane that holds their rows."""

from kldiv._ranges._moments import Moments, Sample, moments_of, rows_at_a_time
from kldiv._ranges._planes import Span, informative, informative_columns, span_of
from kldiv._ranges._stored import Stored, StoredSpan, span_of_stored

__all__ = [
    "Moments",
    "Sample",
    "Span",
    "Stored",
    "StoredSpan",
    "informative",
    "informative_columns",
    "moments_of",
    "rows_at_a_time",
    "span_of",
    "span_of_stored",
]
