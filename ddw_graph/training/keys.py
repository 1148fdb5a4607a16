"""Names of draws, so that what is drawn depends on nothing that happened before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What draws are for; draws for different purposes are independent."""

    ORDER = 0
    SHIFTS = 1
    TRANSFORMS = 2
    ERASURES = 3
    MIXING = 4
    DROPS = 5


@dataclass(frozen=True)
class Key:
    """Names the draws of one epoch.

    Args:
        seed: Seed of the run, in ``[0, 2**32)``: a larger one would take the place of
            the epoch among the words that seed a generator.
        epoch: The epoch.
    """

    seed: int
    epoch: int

    def generator(self, purpose: Purpose, *index: int) -> torch.Generator:
        """Returns a generator of its own for this key, a purpose and an index."""
        words = np.random.SeedSequence((self.seed, self.epoch, purpose, *index))
        return torch.Generator().manual_seed(int(words.generate_state(1)[0]))

    @contextmanager
    def lent(self, purpose: Purpose, *index: int) -> Iterator[None]:
        """Lends a seed to the global generator, from which torchvision draws."""
        with torch.random.fork_rng(devices=[]):
            seed = self.generator(purpose, *index).initial_seed()
            # torch.manual_seed would also seed CUDA's, which nothing sets back.
            torch.default_generator.manual_seed(seed)
            yield
