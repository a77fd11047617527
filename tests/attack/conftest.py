"""Small experiments that run in seconds."""

import pytest

# Few steps of a small attacker: enough to walk the whole path, not to succeed.
STEPS = 12
QUICK_VICTIM = {"epochs": 3, "batch_size": 32}


@pytest.fixture
def quick():
    """Settings of a run that takes a second or two."""
    return {
        "seed": 3,
        "train": {"name": "digits", "part": "train"},
        "held_out": {"name": "digits", "part": "test"},
        "aux": {"name": "glyphs", "split": "letters", "size": 8, "n_per_class": 30},
        "victim": QUICK_VICTIM,
        "judge": {"epochs": 3, "batch_size": 32},
        "attacker": {"name": "cgan", "steps": STEPS},
        "checkpoint_every": 4,
        "evaluate": {"n_reconstructions": 20},
    }


@pytest.fixture(scope="session")
def quick_models(tmp_path_factory):
    """Folder of one victim and one judge for all quick runs."""
    return tmp_path_factory.mktemp("models")
