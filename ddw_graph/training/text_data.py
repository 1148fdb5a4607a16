"""Text to train on and to test on, as tokens that are mapped from disk."""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import file_digest, sha256
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, reason_of
from ddw_graph.training.bad_images import BadImage
from ddw_graph.training.data_source import DataSource

EMBEDDED_TEXT = Path(__file__).parent / "king_james" / "text.txt"
HELD_OUT = 0.1
"""Share of a text, at its end, that is tested on."""

PIECE = 2**22
"""Bytes that are encoded at a time."""


class TokenFile(NamedTuple):
    """A file of tokens: so many whole numbers of a type, one after the other."""

    path: Path
    kind: str
    length: int


@dataclass(frozen=True)
class Tokens:
    """A sequence of tokens that lies in one or several files.

    Args:
        files: The files, which are mapped into memory when they are first read, in
            every process for itself.
        start: The first token that counts.
        stop: The one after the last.
    """

    files: tuple[TokenFile, ...]
    start: int
    stop: int

    @classmethod
    def of(cls, files: Iterable[TokenFile]) -> "Tokens":
        """Returns all tokens of some files, one after the other."""
        there = tuple(file for file in files if file.length)
        return cls(there, 0, sum(file.length for file in there))

    def __reduce__(self) -> Any:
        """Returns what a process that loads gets: not the text itself."""
        return Tokens, (self.files, self.start, self.stop)

    @cached_property
    def _pieces(self) -> list[np.ndarray]:
        return [np.memmap(each.path, each.kind, "r") for each in self.files]

    @cached_property
    def _ends(self) -> list[int]:
        """The first place behind each file."""
        return [*accumulate(file.length for file in self.files)]

    def __len__(self) -> int:
        """Returns the number of tokens."""
        return self.stop - self.start

    def part(self, start: int, stop: int) -> "Tokens":
        """Returns the tokens of a range, without reading them."""
        return replace(self, start=self.start + start, stop=self.start + stop)

    def read(self, start: int, count: int) -> np.ndarray:
        """Returns some tokens, int64."""
        place = self.start + start
        read: list[np.ndarray] = []
        while count:
            index = bisect_right(self._ends, place)
            piece = self._pieces[index]
            offset = place - (self._ends[index] - len(piece))
            read.append(piece[offset : offset + count].astype(np.int64))
            place, count = place + len(read[-1]), count - len(read[-1])
        return np.concatenate(read or [np.empty(0, np.int64)])


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Windows of a text, each with the token that follows at each position.

    Windows are spread evenly over the text; as many as fit do not overlap. Those to
    train on begin at a token between this place and the next one's, drawn from torch's
    global generator: see ``training_batches``.

    Args:
        tokens: The text.
        context: Tokens of a window.
        count: How many windows; by default as many as fit.
        moved: Whether windows begin at a drawn token.

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
        moved: bool = False,
    ) -> None:
        if len(tokens) <= context:
            raise DataError(
                f"a text must have more than {context} tokens, the context of the "
                f"network, in each part, got {len(tokens)}"
            )
        self.tokens, self.context, self.moved = tokens, context, moved
        self.count = count or (len(tokens) - 1) // context

    def __len__(self) -> int:
        """Returns the number of windows."""
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Returns a window and what follows each of its tokens."""
        last = len(self.tokens) - 1
        start, stop = index * last // self.count, (index + 1) * last // self.count
        if self.moved:
            start += int(torch.randint(max(1, stop - start), ()))
        start = min(start, last - self.context)
        window = torch.from_numpy(self.tokens.read(start, self.context + 1))
        return window[:-1], window[1:]


@dataclass(frozen=True)
class TextData:
    """Text to train on and to test on.

    Args:
        name: Its name, one of ``DATA_SETS``.
        train: Tokens to train on.
        test: Tokens to test on.
        vocabulary: Number of different tokens.
        bytes_per_token: Bytes of the text for each token: of the files to test on, or
            where the text is cut, of all of it.
        digest: Tells texts of the same name apart.
        tokenizer: Digest of the tokenizer's file; empty where tokens are bytes.
        holdout: Tokens at the end of the text to train on that are tested on, in place
            of the text's own; None where they are not.
        epoch_tokens: Tokens of an epoch; None for all.
        source: How to load it again.
    """

    name: str
    train: Tokens
    test: Tokens
    vocabulary: int
    bytes_per_token: float
    digest: str
    tokenizer: str = ""
    holdout: int | None = None
    epoch_tokens: int | None = None
    source: DataSource | None = None

    task = "language"
    classes: tuple[str, ...] = ()
    bad: tuple[BadImage, ...] = ()
    image_size = 0
    """A text has no classes, leaves nothing out, and costs what its tokens do."""

    def inputs(self, split: str, network: Any) -> Windows:
        """Returns the windows of a split, ``train`` or ``test``, for a network."""
        tokens = self.test if split == "test" else self.train
        return Windows(tokens, network.context)

    def network_settings(self) -> dict[str, Any]:
        """Returns what ``create_model`` takes of this text."""
        return {"vocabulary": self.vocabulary}

    def train_windows(self, context: int) -> Windows:
        """Returns the windows of an epoch, each beginning at a drawn token."""
        count = None
        if self.epoch_tokens is not None:
            count = max(1, self.epoch_tokens // context)
        return Windows(self.train, context, count, moved=True)

    def as_dict(self) -> dict[str, Any]:
        """Returns what identifies this text, ready for JSON."""
        chosen = {
            "tokenizer": self.tokenizer or None,
            "holdout": self.holdout,
            "epoch_tokens": self.epoch_tokens,
        }
        return {
            "name": self.name,
            "vocabulary": self.vocabulary,
            "train": len(self.train),
            "test": len(self.test),
            "digest": self.digest,
            **{name: value for name, value in chosen.items() if value is not None},
        }


def load_text(
    root: Path | None, *, tokenizer: Path | None = None, holdout: int | None = None
) -> TextData:
    """Returns a text as tokens.

    The last tenth is tested on; or, of a folder with files or folders ``train`` and
    ``val`` (or ``test``), these, with any suffix.

    Args:
        root: A file, or a folder whose files are read in the order of their paths;
            hidden ones are left out. By default the embedded text: the beginning of the
            Bible in the King James Version.
        tokenizer: A file of Hugging Face's ``tokenizers``; by default tokens are bytes.
            The tokens of a file are kept in the user's cache.
        holdout: Tokens at the end of the text to train on that are tested on.

    Raises:
        DataError: If there is no text, it cannot be read, or it is too short.
    """
    root = root or EMBEDDED_TEXT
    encoder = tokenizer_of(tokenizer)
    key = "" if tokenizer is None else sha256(tokenizer.read_bytes()).hexdigest()
    digest = sha256(key.encode())
    train_files, test_files = _files(root)
    try:
        train, test = (
            Tokens.of([_tokens(path, encoder, key, digest) for path in part])
            for part in (train_files, test_files)
        )
        of_test = test_files or train_files
        size = sum(path.stat().st_size for path in of_test)
    except (OSError, ValueError) as error:
        raise DataError(f"{root} must be readable, got {reason_of(error)}") from error
    bytes_per_token = size / max(1, len(test if test_files else train))
    if not test_files:
        cut = round((1 - HELD_OUT) * len(train))
        train, test = train.part(0, cut), train.part(cut, len(train))
    if holdout is not None:
        if not 0 < holdout < len(train):
            raise DataError(
                f"holdout must be in [1, {len(train)}), the tokens to train on, got "
                f"{holdout}"
            )
        cut = len(train) - holdout
        train, test = train.part(0, cut), train.part(cut, len(train))
        digest.update(f"held out {holdout}".encode())
    for part, tokens in (("train", train), ("test", test)):
        if len(tokens) < 2:
            raise DataError(
                f"a text must have 2 tokens to {part} on, got {len(tokens)} in {root}"
            )
    return TextData(
        "text",
        train,
        test,
        256 if encoder is None else _vocabulary(encoder),
        bytes_per_token,
        digest.hexdigest()[:16],
        key[:16],
        holdout,
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


def _tokens(path: Path, encoder: Any, key: str, digest: Any) -> TokenFile:
    """Returns the tokens of a file, and adds the file to a digest."""
    size = path.stat().st_size
    if not size:
        return TokenFile(path, "u1", 0)
    with path.open("rb") as file:
        own = file_digest(file, "sha256")
    digest.update(own.digest())
    if encoder is None:
        return TokenFile(path, "u1", size)
    kind = np.dtype("<u2" if _vocabulary(encoder) <= 2**16 else "<u4")
    kept = _cache() / f"{own.hexdigest()}-{key}.tokens"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        pieces = (np.array(ids, kind).tobytes() for ids in _encoded(path, encoder))
        write_bytes(kept, pieces, overwrite=True)
    return TokenFile(kept, kind.str, kept.stat().st_size // kind.itemsize)


def _cache() -> Path:
    """Returns the folder in which the tokens of texts are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ddw_graph"


def _vocabulary(encoder: Any) -> int:
    """Returns one more than the largest token, which may have gaps before it."""
    return 1 + max(encoder.get_vocab().values(), default=0)


def _encoded(path: Path, encoder: Any) -> Iterator[list[int]]:
    """Yields the tokens of a text file, some lines at a time."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            while lines := file.readlines(PIECE):
                yield encoder.encode("".join(lines), add_special_tokens=False).ids
    except OSError:
        raise
    except Exception as error:  # no UTF-8, or whatever the library raises
        raise DataError(
            f"{path} must be UTF-8 that the tokenizer knows, got {reason_of(error)}"
        ) from error


def tokenizer_of(path: Path | None) -> Any:
    """Returns the tokenizer in a file of ``tokenizers``; None without a file."""
    if path is None:
        return None
    try:
        from tokenizers import Tokenizer  # optional
    except ImportError as error:
        raise DataError(
            "a tokenizer needs tokenizers, which is not installed: pip install "
            "tokenizers"
        ) from error
    try:
        encoder = Tokenizer.from_str(path.read_bytes().decode())
        # Of single inputs to a model, which a text to train on is not.
        encoder.no_truncation()
        encoder.no_padding()
        return encoder
    except Exception as error:  # the library raises plain exceptions
        raise DataError(
            f"{path} must be a file of tokenizers, got {reason_of(error)}"
        ) from error


def encode(encoder: Any, text: str) -> Tensor:
    """Returns the tokens of a text, ``(tokens,)``: bytes where there is no encoder."""
    if encoder is None:
        tokens = [*text.encode(errors="surrogateescape")]
    else:
        tokens = encoder.encode(text, add_special_tokens=False).ids
    return torch.tensor(tokens, dtype=torch.long)


def decode(encoder: Any, tokens: Tensor) -> str:
    """Returns the text of tokens; bytes that are no UTF-8 are replaced."""
    numbers = tokens.tolist()
    if encoder is None:
        return bytes(numbers).decode(errors="replace")
    text: str = encoder.decode(numbers)
    return text


def vocabulary_texts(encoder: Any, vocabulary: int) -> list[str]:
    """Returns the text of each token, of bytes above 127 their hex.

    Example:
        >>> vocabulary_texts(None, 256)[97], len(vocabulary_texts(None, 256)[200])
        ('a', 4)
    """
    if encoder is None:
        numbers = range(vocabulary)
        return [bytes([n]).decode("ascii", "backslashreplace") for n in numbers]
    return [encoder.decode([n], skip_special_tokens=False) for n in range(vocabulary)]
