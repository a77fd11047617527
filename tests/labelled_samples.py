"""Three classes of training rows and of auxiliary rows."""

import numpy as np


def three_classes(rng):
    """Three classes in the plane: the auxiliary data miss class 2 most."""
    y = np.repeat([0, 1, 2], 60)
    centres = np.array([[0, 0], [4, 0], [0, 4.0]])
    train = rng.normal(size=(180, 2)) + centres[y], y
    moved = centres + np.array([[0.0, 0], [0.5, 0], [0, 2]])
    return train, (rng.normal(size=(180, 2)) + moved[y], y)
