"""Keyed random numbers: a draw depends on (seed, epoch, purpose, index) only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What draws are for; draws for different purposes are independent."""

    ORDER = 0
    TRANSFORMS = 2
    MIXING = 4
    DROPS = 5


@dataclass(frozen=True)
class Key:
    """The random numbers of one epoch.

    Args:
        seed: Seed of the run, in ``[0, 2**32)``: a larger one would take the place of
            the epoch among the words that seed a generator.
        epoch: The epoch.
    """

    seed: int
    epoch: int

    def generator(self, purpose: Purpose, *index: int) -> torch.Generator:
        """Returns a generator for a purpose and an index."""
        return torch.Generator().manual_seed(self.seed_of(purpose, *index))

    def seed_of(self, purpose: Purpose, *index: int) -> int:
        """Returns the seed of that generator."""
        words = np.random.SeedSequence((self.seed, self.epoch, purpose, *index))
        return int(words.generate_state(1)[0])

    def seed_global(self, purpose: Purpose, *index: int) -> None:
        """Seeds torch's global generator for a purpose and an index."""
        # torch.manual_seed would also seed CUDA's, which nothing restores.
        torch.default_generator.manual_seed(self.seed_of(purpose, *index))

    @contextmanager
    def global_draws(self, purpose: Purpose, *index: int) -> Iterator[None]:
        """Seeds torch's global generator, from which torchvision draws, within."""
        with torch.random.fork_rng(devices=[]):
            self.seed_global(purpose, *index)
            yield
