"""Text to train on and to test on, as tokens that are mapped from disk."""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, reason_of
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.training.bad_images import BadImage
from ddw_graph.training.data_source import DataSource

EMBEDDED_TEXT = Path(__file__).parent / "king_james" / "text.txt"
HELD_OUT = 0.1
"""Share of a text, at its end, that is tested on."""

PIECE = 2**22
"""Bytes that are encoded at a time."""


class TokenFile(NamedTuple):
    """A file of tokens, whole numbers of a type, and its place in a text."""

    path: Path
    kind: str
    start: int
    length: int


@lru_cache(64)
def _mapped(file: TokenFile) -> np.ndarray:
    """Returns a file's tokens; every process maps the files that it reads itself."""
    try:
        return np.memmap(file.path, file.kind, "r", shape=(file.length,))
    except (OSError, ValueError) as error:  # shorter than when it was loaded
        raise DataError(
            f"{file.path} must hold the {file.length} tokens that it held at the "
            f"start, got {reason_of(error)}"
        ) from error


@dataclass(frozen=True)
class Tokens:
    """A sequence of tokens in one or several files, which is read piece by piece.

    Args:
        start: The first token that counts.
        stop: The one after the last.
    """

    files: tuple[TokenFile, ...]
    start: int
    stop: int

    def __len__(self) -> int:
        """Returns the number of tokens."""
        return self.stop - self.start

    def part(self, start: int, stop: int) -> "Tokens":
        """Returns the tokens of a range, without reading them."""
        return replace(self, start=self.start + start, stop=self.start + stop)

    def read(self, start: int, count: int) -> np.ndarray:
        """Returns some tokens, int64."""
        place, stop = self.start + start, self.start + start + count
        pieces = [np.empty(0, np.int64)]
        while place < stop:
            index = bisect_right(self.files, place, key=lambda file: file.start) - 1
            file = self.files[index]
            piece = _mapped(file)[place - file.start : stop - file.start]
            pieces.append(piece.astype(np.int64))
            place += len(piece)
        return np.concatenate(pieces)


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Windows of a text, each with the token that follows at each position.

    Windows are spread evenly over the text; as many as fit do not overlap. Those to
    train on begin at a token between this place and the next one's, drawn from torch's
    global generator: see ``training_batches``.

    Args:
        context: Tokens of a window.
        count: How many windows; by default as many as fit.
        shifted: Whether windows begin at a drawn token.

    Shapes:
        - sample: two tensors ``(context,)``, int64

    Raises:
        DataError: If the text is shorter than a window and the token after it.
    """

    def __init__(
        self,
        tokens: Tokens,
        context: int,
        count: int | None = None,
        *,
        shifted: bool = False,
    ) -> None:
        if len(tokens) <= context:
            raise DataError(
                f"a text must have more than {context} tokens, the context of the "
                f"network, in each part, got {len(tokens)}"
            )
        self.tokens, self.context, self.shifted = tokens, context, shifted
        self.count = count or (len(tokens) - 1) // context

    def __len__(self) -> int:
        """Returns the number of windows."""
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Returns a window and what follows each of its tokens."""
        last = len(self.tokens) - 1
        start, stop = index * last // self.count, (index + 1) * last // self.count
        if self.shifted:
            start += int(torch.randint(max(1, stop - start), ()))
        start = min(start, last - self.context)
        window = torch.from_numpy(self.tokens.read(start, self.context + 1))
        return window[:-1], window[1:]


@dataclass(frozen=True)
class TextData:
    """Text to train on and to test on.

    Args:
        vocabulary: Number of different tokens.
        bytes_per_token: Bytes of the text for each token: of the files to test on, or
            where the text is cut, of all of it.
        digest: Distinguishes texts of one name.
        tokenizer: Digest of the tokenizer's file; None where tokens are bytes.
        source: How to load it again.
    """

    train: Tokens
    test: Tokens
    vocabulary: int
    bytes_per_token: float
    digest: str
    tokenizer: str | None
    source: DataSource

    name = "text"
    task = "language"
    classes: ClassVar[tuple[str, ...]] = ()
    """Windows of a text have no classes."""
    bad: ClassVar[tuple[BadImage, ...]] = ()
    """No part of a text is left out."""

    def inputs(self, split: str, network: Any) -> Windows:
        """Returns the windows of a split, ``train`` or ``test``, for a network."""
        tokens = self.test if split == "test" else self.train
        return Windows(tokens, network.context)

    def network_settings(self) -> dict[str, Any]:
        """Returns what ``create_model`` takes of this text."""
        return {"vocabulary": self.vocabulary}

    def cost(self, network: Any) -> NetworkCost:
        """Returns what a network costs for a window."""
        return cost(network)

    def train_windows(self, context: int) -> Windows:
        """Returns the windows of an epoch, each beginning at a drawn token."""
        tokens = self.source.epoch_tokens
        count = None if tokens is None else max(1, tokens // context)
        return Windows(self.train, context, count, shifted=True)

    def as_dict(self) -> dict[str, Any]:
        """Returns what identifies this text, ready for JSON."""
        chosen = {
            "tokenizer": self.tokenizer,
            "holdout": self.source.holdout or None,
            "epoch_tokens": self.source.epoch_tokens,
        }
        return {
            "name": self.name,
            "vocabulary": self.vocabulary,
            "train": len(self.train),
            "test": len(self.test),
            "digest": self.digest,
            **{name: value for name, value in chosen.items() if value is not None},
        }


def load_text(source: DataSource) -> TextData:
    """Returns the text of a source as tokens; see ``load_data``.

    Raises:
        DataError: If there is no text, it cannot be read, or it is too short.
    """
    root = source.root or EMBEDDED_TEXT
    tokenizer = Tokenizer(source.tokenizer)
    digest = sha256(tokenizer.digest.encode())
    train_files, test_files = _files(root)
    try:
        train, test = (
            _tokens(part, tokenizer, digest) for part in (train_files, test_files)
        )
        size = sum(path.stat().st_size for path in test_files or train_files)
    except (OSError, ValueError) as error:
        raise DataError(f"{root} must be readable, got {reason_of(error)}") from error
    bytes_per_token = size / max(1, len(test if test_files else train))
    if not test_files:
        cut = round((1 - HELD_OUT) * len(train))
        train, test = train.part(0, cut), train.part(cut, len(train))
    if source.holdout:
        if not source.holdout < len(train):
            raise DataError(
                f"holdout must be in [1, {len(train)}), the tokens to train on, got "
                f"{source.holdout}"
            )
        cut = len(train) - source.holdout
        train, test = train.part(0, cut), train.part(cut, len(train))
        digest.update(f"held out {source.holdout}".encode())
    for part, tokens in (("train", train), ("test", test)):
        if len(tokens) < 2:
            raise DataError(
                f"a text must have 2 tokens to {part} on, got {len(tokens)} in {root}"
            )
    return TextData(
        train,
        test,
        tokenizer.vocabulary,
        bytes_per_token,
        digest.hexdigest()[:16],
        tokenizer.digest[:16] or None,
        source,
    )


def _files(root: Path) -> tuple[list[Path], list[Path]]:
    """Returns the files to train on, and those to test on where they are given."""
    if root.is_file():
        return [root], []
    if not root.is_dir():
        raise DataError(f"a text must be a file or a folder, got {root}")
    parts: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for path in sorted(root.iterdir()):
        if path.stem in parts and not path.name.startswith("."):
            parts[path.stem].append(path)
    test = parts["val"] or parts["test"]
    if not parts["train"] or not test:
        return _below(root), []
    for found in (parts["train"], test):
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise DataError(f"{root} must have one part of a name, got {names}")
    return _below(parts["train"][0]), _below(test[0])


def _below(root: Path) -> list[Path]:
    """Returns a file, or all files in a folder, in the order of their paths."""
    if root.is_file():
        return [root]
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    if not found:
        raise DataError(f"a folder of text must hold files, got none in {root}")
    return sorted(found)


def _tokens(paths: Iterable[Path], tokenizer: "Tokenizer", digest: Any) -> Tokens:
    """Returns the tokens of files, and adds the files to a digest."""
    files, end = [], 0
    for path in paths:
        if not path.stat().st_size:
            continue
        with path.open("rb") as file:
            own = file_digest(file, "sha256")
        digest.update(own.digest())
        kept, kind = path, np.dtype("u1")
        if tokenizer.encoder is not None:
            kind = np.dtype("<u2" if tokenizer.vocabulary <= 2**16 else "<u4")
            kept = _cache() / f"{own.hexdigest()}-{tokenizer.digest}.tokens"
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                pieces = tokenizer.encode_file(path)
                arrays = (np.array(ids, kind).tobytes() for ids in pieces)
                write_bytes(kept, arrays, overwrite=True)
        length = kept.stat().st_size // kind.itemsize
        files.append(TokenFile(kept, kind.str, end, length))
        end += length
    return Tokens(tuple(files), 0, end)


def _cache() -> Path:
    """Returns the folder in which the tokens of texts are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ddw_graph"


class Tokenizer:
    """Makes tokens of a text, and a text of tokens.

    Args:
        path: A file of Hugging Face's ``tokenizers``; None for bytes.

    Raises:
        DataError: If it is no such file, or ``tokenizers`` is not installed.

    Example:
        >>> Tokenizer(None).encode("ab"), Tokenizer(None).vocabulary
        (tensor([97, 98]), 256)
    """

    def __init__(self, path: Path | None) -> None:
        self.encoder: Any = None
        self.digest = ""
        if path is None:
            return
        try:
            from tokenizers import Tokenizer as Encoder  # optional
        except ImportError as error:
            raise DataError(
                "a tokenizer needs tokenizers, which is not installed: pip install "
                "tokenizers"
            ) from error
        try:
            content = path.read_bytes()
            self.encoder = Encoder.from_str(content.decode())
        except Exception as error:  # the library raises plain exceptions
            raise DataError(
                f"{path} must be a file of tokenizers, got {reason_of(error)}"
            ) from error
        # Of single inputs to a model, which a text to train on is not.
        self.encoder.no_truncation()
        self.encoder.no_padding()
        self.digest = sha256(content).hexdigest()

    @cached_property
    def vocabulary(self) -> int:
        """One more than the largest token, which may have gaps before it."""
        if self.encoder is None:
            return 256
        return 1 + max(self.encoder.get_vocab().values(), default=0)

    def encode(self, text: str) -> Tensor:
        """Returns the tokens of a text, ``(tokens,)``."""
        if self.encoder is None:
            tokens = [*text.encode(errors="surrogateescape")]
        else:
            tokens = self.encoder.encode(text, add_special_tokens=False).ids
        return torch.tensor(tokens, dtype=torch.long)

    def encode_file(self, path: Path) -> Iterator[list[int]]:
        """Yields the tokens of a text file, some lines at a time."""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                while lines := file.readlines(PIECE):
                    text = "".join(lines)
                    yield self.encoder.encode(text, add_special_tokens=False).ids
        except OSError:
            raise
        except Exception as error:  # no UTF-8, or whatever the library raises
            raise DataError(
                f"{path} must be UTF-8 that the tokenizer knows, got {reason_of(error)}"
            ) from error

    def decode(self, tokens: Tensor) -> str:
        """Returns the text of tokens; bytes that are no UTF-8 are replaced."""
        numbers = tokens.tolist()
        if self.encoder is None:
            return bytes(numbers).decode(errors="replace")
        text: str = self.encoder.decode(numbers)
        return text

    def texts(self) -> list[str]:
        """Returns the text of each token, of bytes above 127 their hex."""
        numbers = range(self.vocabulary)
        if self.encoder is None:
            return [bytes([n]).decode("ascii", "backslashreplace") for n in numbers]
        return [self.encoder.decode([n], skip_special_tokens=False) for n in numbers]
