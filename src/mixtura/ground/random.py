"""Random streams: one door for every kind of ``random_state``."""

import numpy as np

from mixtura.ground.errors import InvalidParameterError

RandomState = None | int | np.random.Generator | np.random.RandomState


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Turn any accepted ``random_state`` into a ``numpy.random.Generator``.

    A ``Generator`` is used as it is and moves on; a ``RandomState`` gives one draw as the seed, so it moves on too.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(int(random_state.randint(np.iinfo(np.int32).max)))
    if random_state is None or (isinstance(random_state, int | np.integer) and random_state >= 0):
        return np.random.default_rng(random_state)
    raise InvalidParameterError(
        f"random_state must be None, a non-negative integer, a numpy Generator or a RandomState; got {random_state!r}."
    )


def child_streams(rng: np.random.Generator, n: int) -> list[np.random.Generator]:
    """``n`` independent streams, fixed by the state of ``rng`` alone and not by how many threads later use them."""
    return [np.random.default_rng(seed) for seed in rng.integers(np.iinfo(np.int64).max, size=n)]
