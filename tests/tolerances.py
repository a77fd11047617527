"""How closely numbers must agree, and why.

A test whose tolerance has another reason (the error of a sample, of a numerical slope,
of a special function) says it in its place.
"""

#: The same operations, once more rounded: written as text and read, or exchanged.
ONE_ROUNDING = 1e-15
#: Distances by direct differences of float64: a few roundings of their squares' sum.
DISTANCES = 1e-14
#: Sums in another order, as in the slow twins of the reference.
OTHER_ORDER = 1e-12
#: Means of logarithms of such distances, which can cancel.
LOGARITHMS = 1e-10
#: What iterations and tails make of all these: fits, effects of rows, p-values.
ITERATED = 1e-9
#: After a linear map of the rows, or through single precision.
MAPPED = 1e-6
