"""Text as data and language as a task."""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ddw_graph import create_model
from ddw_graph.errors import DataError, RunError
from ddw_graph.training import Run, load_data, recipe_named, train
from ddw_graph.training.keys import Key
from ddw_graph.training.launch import new_network
from ddw_graph.training.loading import training_batches
from ddw_graph.training.parameter_groups import parameter_groups
from ddw_graph.training.text_data import (
    TokenFile,
    Tokens,
    Windows,
    encode,
    tokenizer_of,
)
from tests.training.runs import Stop, StopAt

TINY: Any = {"depth": 1, "width": 16, "heads": 2, "context": 16}
EDGES = "dynamic:per=position,bias=0,gate=none,norm=rms"


def text_file(folder: Path, size: int = 3000) -> Path:
    path = folder / "text.txt"
    words = "the wiring of a network is a graph of nodes that sum their inputs\n"
    path.write_text((words * (size // len(words) + 1))[:size])
    return path


def small_gpt(edges: str = EDGES, **changes: Any) -> Any:
    settings = {**TINY, "vocabulary": 256, **changes}
    return create_model("gpt_tiny", edges=edges, **settings)


def small_recipe(**changes: Any) -> Any:
    values = {"epochs": 2, "batch_size": 8, "warmup_epochs": 0.5, **changes}
    return recipe_named("language", **values)


def written(folder: Path, whole: np.ndarray, sizes: list[int]) -> Tokens:
    """Returns tokens in files of some sizes."""
    files = []
    for place, part in enumerate(np.split(whole, np.cumsum(sizes)[:-1])):
        part.tofile(folder / str(place))
        files.append(TokenFile(folder / str(place), whole.dtype.str, len(part)))
    return Tokens.of(files)


@pytest.mark.parametrize("sizes", [[10], [3, 0, 7], [1, 1, 8]])
def test_tokens_of_several_files_are_one_sequence(
    tmp_path: Path, sizes: list[int]
) -> None:
    whole = np.arange(10, dtype=np.uint16)
    tokens = written(tmp_path, whole, sizes)
    part = tokens.part(2, 9)
    assert (len(tokens), len(part)) == (10, 7)
    for start in range(7):
        for count in range(8 - start):
            wanted = whole[2 + start : 2 + start + count]
            assert part.read(start, count).tolist() == wanted.tolist()


def test_a_process_that_loads_maps_a_text_again(tmp_path: Path) -> None:
    whole = np.arange(100_000, dtype=np.uint16)
    tokens = written(tmp_path, whole, [len(whole)])
    tokens.read(0, 9)
    content = pickle.dumps(Windows(tokens, 8))
    assert len(content) < 1000
    again = pickle.loads(content)
    assert torch.equal(again[77][0], Windows(tokens, 8)[77][0])


@pytest.mark.parametrize("length", [9, 16, 17, 33, 64])
def test_windows_cover_a_text_once(tmp_path: Path, length: int) -> None:
    windows = Windows(written(tmp_path, np.arange(length), [length]), 8)
    assert len(windows) == (length - 1) // 8
    starts = []
    for place in range(len(windows)):
        inputs, following = windows[place]
        assert torch.equal(inputs[1:], following[:-1])
        assert following[-1] == inputs[-1] + 1
        starts.append(int(inputs[0]))
    assert all(b - a >= 8 for a, b in zip(starts, starts[1:], strict=False))


def test_windows_to_train_on_are_drawn_anew_each_epoch(tmp_path: Path) -> None:
    data = load_data("text", root=text_file(tmp_path), epoch_tokens=320)
    windows = data.train_windows(16)
    assert len(windows) == 20

    def seen(epoch: int, start: int = 0) -> list[torch.Tensor]:
        key = Key(0, epoch)
        batches = training_batches(windows, 5, key, start=start)
        return [inputs for (inputs, _), _ in batches]

    assert all(map(torch.equal, seen(0), seen(0)))
    assert all(map(torch.equal, seen(0)[2:], seen(0, start=2)))
    assert not torch.equal(torch.cat(seen(0)), torch.cat(seen(1)))


def test_the_embedded_text() -> None:
    data = load_data("text")
    assert (len(data.train) + len(data.test), data.vocabulary) == (999_808, 256)
    assert bytes(data.train.read(0, 28).tolist()) == b"In the beginning God created"
    assert data.digest == "97b287e729931fa5"


def test_files_of_a_folder_are_one_text(tmp_path: Path) -> None:
    for name, text in (("b/x.py", b"cd"), ("a.txt", b"ab"), (".hidden", b"!")):
        path = tmp_path / "all" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text * 10)
    data = load_data("text", root=tmp_path / "all")
    whole = [*data.train.read(0, 36), *data.test.read(0, 4)]
    assert bytes(map(int, whole)) == b"ab" * 10 + b"cd" * 10
    split = tmp_path / "split"
    (split / "train").mkdir(parents=True)
    (split / "train" / "one.txt").write_bytes(b"abc")
    (split / "val.txt").write_bytes(b"de")
    data = load_data("text", root=split)
    assert (len(data.train), len(data.test)) == (3, 2)


def test_a_part_can_be_held_out(tmp_path: Path) -> None:
    path = text_file(tmp_path)
    data, cut = (load_data("text", root=path, holdout=h) for h in (None, 400))
    assert len(cut.train) == len(data.train) - 400
    assert cut.test.read(0, 400).tolist() == data.train.read(2300, 400).tolist()
    assert cut.digest != data.digest


def test_a_tokenizer_makes_the_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tokenizers = pytest.importorskip("tokenizers")
    path = text_file(tmp_path)
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    model.train([str(path)], trainer)
    file = tmp_path / "tokenizer.json"
    model.save(str(file))
    first = load_data("text", root=path, tokenizer=file)
    again = load_data("text", root=path, tokenizer=file)  # from the kept tokens
    assert first.vocabulary == model.get_vocab_size()
    assert len(first.train) + len(first.test) < 2000
    assert first.as_dict() == again.as_dict()
    text = path.read_bytes()
    wanted = model.encode(text.decode()).ids
    found = [*first.train.read(0, len(first.train))]
    assert wanted[: len(found)] == [int(token) for token in found]
    whole = len(first.train) + len(first.test)
    assert first.bytes_per_token == pytest.approx(len(text) / whole)
    run = train(
        new_network(first, small_recipe(), seed=0, **TINY),
        first,
        small_recipe(epochs=1),
        seed=0,
        folder=tmp_path / "run",
    )
    encode, decode = run.tokenizer()
    assert decode(encode("a graph of nodes")) == "a graph of nodes"
    file.write_text(file.read_text() + " ")
    with pytest.raises(DataError, match="must be the tokenizer of"):
        run.tokenizer()
    file.write_text("{}")
    with pytest.raises(DataError, match="must be a file of tokenizers"):
        run.tokenizer()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("language")
    data = load_data("text", root=text_file(folder))
    recipe = small_recipe(epochs=3, learning_rate=0.01)
    network = new_network(data, recipe, seed=0, edges=EDGES, **TINY)
    return train(network, data, recipe, seed=0, folder=folder / "run")


def test_a_model_learns_a_text(run: Run) -> None:
    result = run.result
    assert result is not None
    losses = [row["test_loss"] for row in run.log]
    assert losses[-1] < losses[0] < math.log(256)
    assert result["test_perplexity"] == pytest.approx(math.exp(losses[-1]))
    bits = result["test_loss"] / math.log(2)
    assert result["test_bits_per_byte"] == pytest.approx(bits)
    assert repr(Run(run.path)) and run.config["task"] == "language"


def test_its_loss_is_that_of_every_token_of_the_windows(run: Run) -> None:
    network, data = run.network(), run.data()
    total, count = 0.0, 0
    windows = data.inputs("test", network)
    for place in range(len(windows)):
        inputs, following = windows[place]
        logits = network(inputs[None])[0]
        total += cross_entropy(logits, following, reduction="sum").item()
        count += len(following)
    assert run.result is not None
    assert run.result["test_loss"] == pytest.approx(total / count, rel=1e-5)


def test_interrupted_is_resumed_bit_for_bit(run: Run, tmp_path: Path) -> None:
    data = run.data()
    recipe = small_recipe(epochs=3, learning_rate=0.01)
    network = new_network(data, recipe, seed=0, edges=EDGES, **TINY)
    arguments: Any = {"seed": 0, "folder": tmp_path / "run", "checkpoint_steps": 3}
    with pytest.raises(Stop):
        train(network, data, recipe, listeners=[StopAt(2, 7)], **arguments)
    again = train(network, data, recipe, resume=True, **arguments)
    wanted, found = run.network().state_dict(), again.network().state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_weights_decay_only_in_matrices() -> None:
    network = small_gpt()
    groups = parameter_groups(network, recipe_named("language"))
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert len(decays) == len([*network.parameters()])
    for name, parameter in network.named_parameters():
        assert decays[id(parameter)] == (0.1 if parameter.ndim > 1 else 0.0), name


def test_cosine_ends_at_a_share_of_the_rate() -> None:
    recipe = recipe_named("language", epochs=1, warmup_epochs=0.1, final_rate=0.1)
    rates = [recipe.learning_rate_at(step, 100) for step in range(101)]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[100] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        (lambda: small_gpt(vocabulary=64), {}, "vocabulary of 64 tokens"),
        (lambda: create_model("randwire_tiny", n=2), {}, "needs a language model"),
        (small_gpt, {"mixup": 0.2}, "mixup is for images"),
        (small_gpt, {"augment": True}, "augment is for images"),
        (lambda: small_gpt(context=400), {}, "more than 400 tokens"),
    ],
)
def test_what_does_not_go_together_is_refused(
    network: Any, changes: Any, message: str, tmp_path: Path
) -> None:
    data = load_data("text", root=text_file(tmp_path))
    with pytest.raises((DataError, RunError), match=message):
        train(network(), data, small_recipe(**changes), seed=0, folder=tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": Path("nowhere")}, "must be a file or a folder, got nowhere"),
        ({"per_class": 3}, "per_class=3 is for data"),
        ({"image_size": 8}, "image_size=8 is for data"),
        ({"holdout": 10**9}, "holdout must be in"),
        ({"holdout": 950_000}, "holdout must be in"),
        ({"epoch_tokens": 0}, "epoch_tokens must be at least 1"),
        ({"tokenizer": Path("nowhere")}, "nowhere"),
    ],
)
def test_names_what_it_rejects(arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data("text", **arguments)


def test_an_empty_folder_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold files"):
        load_data("text", root=tmp_path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="must have 2 tokens"):
        load_data("text", root=tmp_path / "empty.txt")


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
    found = encode(tokenizer_of(tmp_path / "t.json"), "the graph")
    assert found.tolist() == [3, 70_000]
    assert [path.suffix for path in (tmp_path / "cache").rglob("*.*")] == [".tokens"]
    (tmp_path / "text.txt").write_bytes(b"\xff\xfe" * 30)
    with pytest.raises(DataError, match="must be UTF-8"):
        load_data("text", root=tmp_path / "text.txt", tokenizer=tmp_path / "t.json")


def test_two_parts_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("train.txt", "train.md", "val.txt"):
        (tmp_path / name).write_text("abcdef")
    with pytest.raises(DataError, match=r"train.md and train.txt"):
        load_data("text", root=tmp_path)


def test_any_bytes_can_be_a_prompt() -> None:
    assert encode(None, b"\xff".decode(errors="surrogateescape")).tolist() == [255]
