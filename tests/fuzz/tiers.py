"""How many examples the fuzzer tries, and where it keeps those that ever failed."""

import os
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase

#: Inputs that fail are tried first, in every tier, until they pass. What was mended is
#: written beside its test as an example.
CORPUS = Path(__file__).parent / "corpus"
#: The long tier names a number; without one a test tries the same few every time.
LONG = "KLDIV_FUZZ_EXAMPLES"
#: What the draws of a round begin with. The option of pytest for it keeps no corpus.
SEED = "KLDIV_FUZZ_SEED"


def fuzzed(test):
    """Try a test on the examples of the tier."""
    tier = settings(
        database=DirectoryBasedExampleDatabase(CORPUS),
        deadline=None,
        derandomize=False,
        max_examples=int(os.environ.get(LONG, "20")),
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    # In this order: a seed takes the corpus out of the settings that it finds.
    return tier(seed(int(os.environ.get(SEED, "0")))(test))


def refusal(call, *kinds):
    """The error of these kinds that a call raises, or None if it returns."""
    try:
        call()
    except kinds as error:
        return error
    return None
