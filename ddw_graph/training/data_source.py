"""Where images or a text come from, as settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddw_graph.errors import DataError
from ddw_graph.settings import as_json, check_settings, setting, settings_of

TORCHVISION = {
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
}
OF_FILES = ("folder", "shards")
"""Sets of which each image is decoded when it is asked for."""
DATA_SETS = ("fashion_mnist_mini", "text", *TORCHVISION, *OF_FILES)


@dataclass(frozen=True)
class DataSource:
    """Which data set to load, and from where.

    Every field holds its help, rule and default: see ``settings_of``. A ``holdout`` or
    ``per_class`` of 0 is none.

    Raises:
        DataError: If a value is out of range, or has no meaning for the data set.
    """

    name: str = setting(
        "fashion_mnist_mini",
        "fashion_mnist_mini and text are in the package; fashion_mnist, cifar10, "
        "cifar100, folder and shards need --root.",
        DATA_SETS,
        name="data",
    )
    root: Path | None = setting(None, "Folder of the data, or file of the text.")
    image_size: int | None = setting(
        None, "Pixels of images of folder and shards, instead of 224.", "[1, inf)"
    )
    download: bool = setting(False, "Let torchvision download the set.")
    per_class: int | None = setting(
        None, "Train on this many images of each class, instead of all.", "[0, inf)"
    )
    holdout: int | None = setting(
        None,
        "Hold out this many training images (as many of each class) or tokens, and "
        "test on them; 0 for none.",
        "[0, inf)",
    )
    bad_images: str = setting(
        "fail",
        "For folder and shards: fail at an image that cannot be read; or skip: read "
        "every image once before training, and leave such images out.",
        ("fail", "skip"),
    )
    epoch_tokens: int | None = setting(
        None, "Tokens of a text to train on in an epoch, instead of all.", "[1, inf)"
    )
    tokenizer: Path | None = setting(
        None, "File of Hugging Face's tokenizers, for text, instead of bytes."
    )

    def __post_init__(self) -> None:
        """Checks the values."""
        check_settings(self, DataError)
        name = self.name
        if name != "text" and (self.root is None) != (name == "fashion_mnist_mini"):
            rule = "must have a root folder" if self.root is None else "has no root"
            raise DataError(f"data {name} {rule}, got root={self.root}")
        for option, names in (
            ("image_size", OF_FILES),
            ("bad_images", OF_FILES),
            ("download", tuple(TORCHVISION)),
            ("epoch_tokens", ("text",)),
            ("tokenizer", ("text",)),
            ("per_class", tuple(n for n in DATA_SETS if n != "text")),
        ):
            value, default = getattr(self, option), settings_of(type(self))[option]
            if value != default.default and name not in names:
                raise DataError(
                    f"{option}={value} is for data {' and '.join(names)}, got {name}"
                )

    @property
    def task(self) -> str:
        """What is learned from such data: ``classification`` or ``language``."""
        return "language" if self.name == "text" else "classification"

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON, with absolute paths."""
        return {
            name: str(value.absolute()) if isinstance(value, Path) else value
            for name, value in as_json(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DataSource":
        """Returns the source that ``as_dict`` describes.

        Raises:
            DataError: If the values are of another kind.
        """
        try:
            paths = {
                name: None if values[name] is None else Path(values[name])
                for name in ("root", "tokenizer")
            }
            return cls(**{**values, **paths})
        except (KeyError, TypeError) as error:
            raise DataError(
                f"a source must have what load_data takes, got {error}"
            ) from error
