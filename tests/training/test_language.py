"""Text as data and language as a task."""

import math
import pickle
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from ddw_graph import create_model
from ddw_graph.errors import DataError, RunError
from ddw_graph.training import Run, load_data, recipe_named, train
from ddw_graph.training.keys import Key
from ddw_graph.training.launch import new_network
from ddw_graph.training.loading import training_batches
from ddw_graph.training.text_data import TextData, Tokenizer, Windows
from tests.training.runs import Stop, StopAt, same

TINY: Any = {"depth": 1, "width": 16, "heads": 2, "context": 16}
EDGES = "dynamic:per=position,bias=0,gate=none,norm=rms"


def text_file(folder: Path, size: int = 3000) -> Path:
    path = folder / "text.txt"
    words = "the wiring of a network is a graph of nodes that sum their inputs\n"
    path.write_text((words * (size // len(words) + 1))[:size])
    return path


def text(folder: Path, **options: Any) -> TextData:
    data: TextData = load_data("text", root=text_file(folder), **options)
    return data


def small_recipe(**changes: Any) -> Any:
    values = {"epochs": 2, "batch_size": 8, "warmup_epochs": 0.5, **changes}
    return recipe_named("language", **values)


@pytest.mark.parametrize("sizes", [[30], [3, 0, 27], [1, 3, 26]])
def test_files_are_one_sequence_that_processes_map_again(
    tmp_path: Path, sizes: list[int]
) -> None:
    whole = bytes(range(30))
    for place, end in enumerate(accumulate(sizes)):
        content = whole[end - sizes[place] : end]
        (tmp_path / f"{place}.txt").write_bytes(content)
    (tmp_path / ".hidden").write_bytes(b"!")
    data = load_data("text", root=tmp_path)
    assert (len(data.train), len(data.test)) == (27, 3)
    part = pickle.loads(pickle.dumps(data.train.part(2, 8)))
    for start in range(6):
        for count in range(7 - start):
            wanted = whole[2 + start : 2 + start + count]
            assert bytes(part.read(start, count).tolist()) == wanted


def test_a_text_that_was_cut_since_is_named(tmp_path: Path) -> None:
    data = text(tmp_path)
    text_file(tmp_path, 900)
    with pytest.raises(DataError, match="must hold the 3000 tokens that it held"):
        data.train.read(0, 9)


@pytest.mark.parametrize("length", [9, 16, 17, 33, 64])
def test_windows_cover_a_text_once(tmp_path: Path, length: int) -> None:
    (tmp_path / "text").write_bytes(bytes(range(100)))
    data = load_data("text", root=tmp_path / "text")
    windows = Windows(replace(data.train, stop=length), 8)
    assert len(windows) == (length - 1) // 8
    starts = []
    for place in range(len(windows)):
        inputs, following = windows[place]
        assert torch.equal(inputs + 1, following)
        starts.append(int(inputs[0]))
    assert all(b - a >= 8 for a, b in zip(starts, starts[1:], strict=False))


def test_windows_to_train_on_are_drawn_anew_each_epoch(tmp_path: Path) -> None:
    windows = text(tmp_path, epoch_tokens=320).train_windows(16)
    assert len(windows) == 20

    def seen(epoch: int, start: int = 0) -> list[torch.Tensor]:
        batches = training_batches(windows, 5, Key(0, epoch), start=start)
        return [inputs for (inputs, _), _ in batches]

    assert all(map(torch.equal, seen(0), seen(0)))
    assert all(map(torch.equal, seen(0)[2:], seen(0, start=2)))
    assert not torch.equal(torch.cat(seen(0)), torch.cat(seen(1)))


def test_the_embedded_text() -> None:
    data = load_data("text")
    assert (len(data.train) + len(data.test), data.vocabulary) == (999_808, 256)
    assert bytes(data.train.read(0, 28).tolist()) == b"In the beginning God created"
    assert data.digest == "97b287e729931fa5"


def test_what_is_tested_on_can_be_chosen(tmp_path: Path) -> None:
    data, cut = text(tmp_path), text(tmp_path, holdout=400)
    assert len(cut.train) == len(data.train) - 400
    assert cut.test.read(0, 400).tolist() == data.train.read(2300, 400).tolist()
    assert cut.digest != data.digest
    split = tmp_path / "split"
    (split / "train").mkdir(parents=True)
    (split / "train" / "one.txt").write_bytes(b"abc")
    (split / "val.txt").write_bytes(b"de")
    parts = load_data("text", root=split)
    assert (len(parts.train), len(parts.test)) == (3, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("language")
    data = load_data("text", root=text_file(folder))
    recipe = small_recipe(epochs=3, learning_rate=0.01)
    network = new_network(data, recipe, seed=0, edges=EDGES, **TINY)
    return train(network, data, recipe, seed=0, folder=folder / "run")


def test_a_model_learns_a_text_by_the_loss_of_every_token(run: Run) -> None:
    result, network, data = run.result or {}, run.network(), run.data()
    losses = [row["test_loss"] for row in run.log]
    assert losses[-1] < losses[0] < math.log(256)
    assert result["test_perplexity"] == pytest.approx(math.exp(losses[-1]))
    assert result["test_bits_per_byte"] == pytest.approx(losses[-1] / math.log(2))
    windows = data.inputs("test", network)
    x, y = (
        torch.stack(each)
        for each in zip(*map(windows.__getitem__, range(len(windows))), strict=True)
    )
    loss = cross_entropy(network(x).flatten(0, 1), y.flatten()).item()
    assert result["test_loss"] == pytest.approx(loss, rel=1e-5)


def test_interrupted_is_resumed_bit_for_bit(run: Run, tmp_path: Path) -> None:
    data = run.data()
    recipe = small_recipe(epochs=3, learning_rate=0.01)
    network = new_network(data, recipe, seed=0, edges=EDGES, **TINY)
    arguments: Any = {"seed": 0, "folder": tmp_path / "run", "checkpoint_steps": 3}
    with pytest.raises(Stop):
        train(network, data, recipe, listeners=[StopAt(2, 7)], **arguments)
    again = train(network, data, recipe, resume=True, **arguments)
    assert same(run.network().state_dict(), again.network().state_dict())


def word_level(path: Path) -> Any:
    """Returns a tokenizer with settings that training must leave aside."""
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[CLS]": 0, "[UNK]": 1, "[PAD]": 2, "the": 3, "graph": 70_000}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 0)]
    )
    model.enable_truncation(max_length=8)
    model.enable_padding(pad_id=2, length=5000)
    model.save(str(path))
    return path


def test_a_tokenizers_settings_for_single_inputs_are_left_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("the graph other " * 40)
    data = load_data(
        "text", root=tmp_path / "text.txt", tokenizer=word_level(tmp_path / "t.json")
    )
    whole = [*data.train.read(0, len(data.train)), *data.test.read(0, len(data.test))]
    assert [int(token) for token in whole] == [3, 70_000, 1] * 40
    assert data.vocabulary == 70_001
    assert data.bytes_per_token == 16 / 3
    found = Tokenizer(tmp_path / "t.json").encode("the graph")
    assert found.tolist() == [3, 70_000]
    any_bytes = b"\xff".decode(errors="surrogateescape")
    assert Tokenizer(None).encode(any_bytes).tolist() == [255]
    assert [path.suffix for path in (tmp_path / "cache").rglob("*.*")] == [".tokens"]
    (tmp_path / "text.txt").write_bytes(b"\xff\xfe" * 30)
    with pytest.raises(DataError, match="must be UTF-8"):
        load_data("text", root=tmp_path / "text.txt", tokenizer=tmp_path / "t.json")


def test_a_text_of_tokens_is_trained_on_and_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = word_level(tmp_path / "t.json")
    (tmp_path / "text.txt").write_text("the graph other " * 40)
    data, recipe = (
        load_data("text", root=tmp_path / "text.txt", tokenizer=file),
        small_recipe(epochs=1, batch_size=4),
    )
    network = new_network(data, recipe, seed=0, **TINY | {"context": 8})
    run = train(network, data, recipe, seed=0, folder=tmp_path / "run")
    tokenizer = run.tokenizer()
    assert tokenizer.decode(tokenizer.encode("the graph")) == "the graph"
    for content, message in ((" ", "must be the tokenizer of"), ("}", "a file of tok")):
        file.write_text(file.read_text() + content)
        with pytest.raises(DataError, match=message):
            run.tokenizer()


def gpt(**changes: Any) -> Any:
    return create_model("gpt_tiny", edges=EDGES, **TINY | {"vocabulary": 256} | changes)


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        (lambda: gpt(vocabulary=64), {}, "vocabulary of 64 tokens"),
        (lambda: create_model("randwire_tiny", n=2), {}, "needs a language model"),
        (gpt, {"mixup": 0.2}, "mixup is for images"),
        (gpt, {"augment": True}, "augment is for images"),
        (lambda: gpt(context=2700), {}, "more than 2700 tokens"),
    ],
)
def test_what_does_not_go_together_is_refused(
    network: Any, changes: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises((DataError, RunError), match=message):
        recipe, folder = small_recipe(**changes), tmp_path / "run"
        train(network(), text(tmp_path), recipe, seed=0, folder=folder)
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": Path("nowhere")}, "must be a file or a folder, got nowhere"),
        ({"holdout": 950_000}, "holdout must be in"),
        ({"epoch_tokens": 0}, "epoch_tokens must be at least 1"),
        ({"tokenizer": Path("nowhere")}, "nowhere"),
        ({}, "must hold files"),
        ({"train.txt": "abc", "train.md": "abc", "val.txt": "a"}, "train.md and train"),
        ({"empty.txt": ""}, "must have 2 tokens"),
    ],
)
def test_names_what_it_rejects(tmp_path: Path, arguments: Any, message: str) -> None:
    files = {name: each for name, each in arguments.items() if "." in name}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    if files or not arguments:
        arguments = {"root": tmp_path}
    with pytest.raises(DataError, match=message):
        load_data("text", **arguments)
