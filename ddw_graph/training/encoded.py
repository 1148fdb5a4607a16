"""Images in files of a usual format, decoded when asked for."""

import errno
import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from ddw_graph.errors import DataError, LostError
from ddw_graph.training.augmentation import PLAIN, Augmentation
from ddw_graph.training.images import Batch
from ddw_graph.training.keys import Key, Purpose

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What is read, whatever a file's name ends with.

Pillow knows more, and starts another program for one of them (EPS).
"""

MOST_LONG = 100
"""Longest side over the shortest that is read.

Resized by its short side, a line of pixels would fill the memory.
"""

PASSING = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOTCONN),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN),
}
"""Errors of the system that say nothing of a file: it may well be read later."""


class BadImage(NamedTuple):
    """An image that cannot be read.

    Args:
        name: Its file.
        reason: Why not, in one line.
    """

    name: str
    reason: str


class BadImagesError(DataError):
    """Images of a batch cannot be read; ``rest`` is the batch without them."""

    def __init__(self, bad: Sequence[BadImage], rest: Batch) -> None:
        name, reason = bad[0]
        super().__init__(f"{name}: every file must be a readable image ({reason})")
        self.bad = tuple(bad)
        self.rest = rest


def short_side(image_size: int) -> int:
    """Returns the short side of an image before its centre is cropped, pixels.

    Example:
        >>> short_side(224)
        256
    """
    return image_size * 256 // 224


class EncodedImages(ABC):
    """Images in files, decoded when asked for.

    Augmentation is torchvision's random resized crop and flip, then what is asked for;
    without it an image is resized and its centre cropped, as usual for ImageNet.
    ``Preparation.govern`` has them go through something else.

    Args:
        labels: The class of each.
        image_size: Height and width after cropping, pixels.

    Raises:
        DataError: If there is no image.
    """

    channels = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __init__(self, labels: Int[Tensor, " images"], image_size: int) -> None:
        from torchvision.transforms import v2  # slow to import

        if not len(labels):
            raise DataError("a set needs at least one image, got none")
        self.labels = labels
        self.image_size = image_size
        self.resize = short_side(image_size)
        self.crop = [v2.RandomResizedCrop(image_size), v2.RandomHorizontalFlip()]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)

    @abstractmethod
    def name(self, index: int) -> str:
        """Returns where an image is, in words."""

    @abstractmethod
    def encoded(self, index: int) -> bytes:
        """Returns the bytes of an image's file.

        Raises:
            OSError: If they cannot be read.
        """

    def batch(
        self,
        indices: Sequence[int],
        key: Key | None,
        augmentation: Augmentation = PLAIN,
    ) -> Batch:
        """Returns normalised images with labels, augmented where a key is given.

        Raises:
            BadImagesError: If some are no readable images.
            LostError: If the system could not read one for a reason that passes.
        """
        from torchvision.transforms import v2  # slow to import

        finish = [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(self.mean, self.std),
        ]
        steps = [v2.Resize(self.resize), v2.CenterCrop(self.image_size), *finish]
        if key is not None:
            before, after = augmentation.before(), augmentation.after()
            steps = [*self.crop, *before, *finish, *after]
        transform: Callable[[Any], Tensor] = v2.Compose(steps)
        images, read, bad = [], [], []
        for index in indices:
            try:
                picture = decoded(self.encoded(index))
                if self.channels == 1:
                    picture = picture.convert("L")
            except MemoryError:  # says nothing of the image
                raise
            except Exception as error:  # a damaged file can make Pillow raise anything
                if isinstance(error, OSError) and error.errno in PASSING:
                    name, reason = self.name(index), error.strerror
                    raise LostError(
                        f"{name} could not be read now ({reason}); the same command "
                        "goes on, that of train with --resume"
                    ) from error
                bad.append(BadImage(self.name(index), reason_of(error)))
                continue
            with key.lent(Purpose.TRANSFORMS, index) if key else nullcontext():
                images.append(transform(picture))
            read.append(index)
        none = torch.empty(0, self.channels, self.image_size, self.image_size)
        stacked = torch.stack(images) if images else none
        batch = stacked, self.labels[torch.tensor(read, dtype=torch.long)]
        if bad:
            raise BadImagesError(bad, batch)
        return batch


def reason_of(error: Exception) -> str:
    """Returns the words of an error as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def decoded(content: bytes, *, upright: bool = True) -> "Image":
    """Returns the image in the bytes of a file, in RGB.

    Args:
        content: The bytes.
        upright: Whether it is turned as the orientation in its EXIF says, as viewers
            show it; it is as it is stored otherwise.

    Raises:
        Exception: If a side is more than ``MOST_LONG`` times the other, or whatever
            Pillow raises where the bytes hold no image.
    """
    # What Pillow warns of, it reads all the same.
    with warnings.catch_warnings(action="ignore"):
        file = _opened(content)
        width, height = file.size
        if max(width, height) > MOST_LONG * min(width, height):
            raise ValueError(
                f"a side must be at most {MOST_LONG} times the other, got "
                f"{width}x{height}"
            )
        file.load()
        if upright:
            _turn(file)
        return file.convert("RGB")


def _turn(file: "Image") -> None:
    from PIL import ImageOps

    try:
        ImageOps.exif_transpose(file, in_place=True)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF says nothing of the pixels
        pass


def _opened(content: bytes) -> "Image":
    """Returns the image in the bytes of a file, of which the head alone is read."""
    from PIL import Image, UnidentifiedImageError  # come with torchvision

    try:
        file = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        # Pillow's words hold an address, which is another each time.
        kinds = ", ".join(FORMATS)
        raise ValueError(f"{len(content)} bytes are none of {kinds}") from error
    if file.mode.startswith(("I", "F")):
        raise ValueError(f"8 bits a channel are read, not mode {file.mode}")
    return file
