"""Networks of Hugging Face's transformers rewired: small ones, made without a file."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import rewire
from ddw_graph.errors import ModelError
from ddw_graph.nn.host_network import HostNetwork
from tests.models.networks import FULL, moved

hub = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 64,
}
IDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0}
KV = {"num_key_value_heads": 1}
LAYERS = {"d_model": 32, "num_layers": 3, "vocab_size": 64}

DECODERS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: hub.GPT2LMHeadModel(
        hub.GPT2Config(
            n_embd=32, n_layer=3, n_head=2, vocab_size=64, n_positions=64, **IDS
        )
    ),
    "llama": lambda: hub.LlamaForCausalLM(hub.LlamaConfig(**SIZES, **IDS, **KV)),
    "qwen2": lambda: hub.Qwen2ForCausalLM(hub.Qwen2Config(**SIZES, **IDS, **KV)),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: hub.BertForSequenceClassification(hub.BertConfig(**SIZES)),
    "t5": lambda: hub.T5ForConditionalGeneration(
        hub.T5Config(d_kv=16, d_ff=64, num_heads=2, dropout_rate=0.0, **LAYERS)
    ),
    "vit": lambda: hub.ViTForImageClassification(
        hub.ViTConfig(**SIZES | {"image_size": 32, "patch_size": 8})
    ),
}
CASES = [
    *((name, node) for name in DECODERS for node in ("block", "branch")),
    *((name, "block") for name in OTHERS),
    ("vit", "branch"),
]


QUICK = {("gpt2", "block"), ("llama", "branch")}
"""Cases of generation in the default tier."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Spares what the library logs of configurations."""
    before = hub.logging.get_verbosity()
    hub.logging.set_verbosity_error()
    yield
    hub.logging.set_verbosity(before)


def original(name: str) -> Any:
    model = (DECODERS | OTHERS)[name]().double().eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # so that training can be compared too
    return model


def inputs(name: str) -> dict[str, Tensor]:
    """Returns padded tokens, or images."""
    generator = torch.Generator().manual_seed(0)
    if name == "vit":
        images = torch.randn(2, 3, 32, 32, generator=generator)
        return {"pixel_values": images.double()}
    ids = torch.randint(2, 64, (2, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    other = {"decoder_input_ids": ids} if name == "t5" else {}
    return {"input_ids": ids, "attention_mask": mask, **other}


@pytest.mark.parametrize(
    ("name", "node"),
    [pytest.param(*case, marks=FULL if case[0] == "qwen2" else ()) for case in CASES],
)
def test_logits_and_gradients_are_the_networks(name: str, node: str) -> None:
    old = original(name)
    new = rewire(old, edges="dynamic:per=position", node=node)
    assert isinstance(new, HostNetwork)
    for training in (False, True):
        old.train(training)
        new.train(training)
        wanted = old(**inputs(name)).logits
        found = new(**inputs(name)).logits
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    for logits in (wanted, found):
        logits.square().mean().backward()
    grads = [
        {p.numpy().tobytes(): p.grad for p in _with_grad(model)} for model in (old, new)
    ]
    for weights, grad in grads[0].items():
        torch.testing.assert_close(grads[1][weights], grad, rtol=1e-9, atol=1e-9)


def _with_grad(model: nn.Module) -> Iterator[Any]:
    """Yields the parameters that no other equals, such as the ones of a norm."""
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.std(correction=0) > 0:
            other = parameter.detach()
            other.grad = parameter.grad
            yield other


@pytest.mark.parametrize(
    ("name", "node"),
    [
        pytest.param(*case, marks=() if case in QUICK else FULL)
        for case in CASES
        if case[0] in DECODERS
    ],
)
def test_a_cache_changes_no_token_and_later_ones_stay_hidden(
    name: str, node: str
) -> None:
    old = original(name)
    with pytest.raises(ModelError, match="take edges='dynamic:per=position'"):
        rewire(old, node=node)
    network = rewire(old, edges="dynamic:per=position", node=node)
    assert isinstance(network, HostNetwork)

    def generated(model: Any, cache: bool) -> Tensor:
        settings = {"max_new_tokens": 6, "do_sample": False, "use_cache": cache}
        ids: Tensor = model.generate(**inputs(name), **settings)
        return ids

    wanted = generated(old, True)
    assert torch.equal(generated(network.model, True), wanted)
    logits = network(**inputs(name)).logits
    moved(network)
    before = network(**inputs(name)).logits
    assert not torch.allclose(before, logits)
    found = generated(network.model, True)
    assert torch.equal(found, generated(network.model, False))
    changed = inputs(name)
    changed["input_ids"][:, -1] = 1
    after = network(**changed).logits
    torch.testing.assert_close(after[:, :-1], before[:, :-1], rtol=0, atol=0)


def test_only_edges_of_models_that_see_all_tokens_may_pool() -> None:
    with pytest.raises(ModelError, match="per=position"):
        rewire(original("gpt2").transformer, edges="dynamic")
    assert len(rewire(original("bert"), edges="dynamic").stages) == 1


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (
            lambda: hub.AlbertForSequenceClassification(
                hub.AlbertConfig(**SIZES, embedding_size=16)
            ),
            "runs 3 times",
        ),
        (lambda: original("bert"), "in its own forward, got a BertLayer"),
        (
            lambda: hub.Gemma2ForCausalLM(
                hub.Gemma2Config(**SIZES, **IDS, **KV, head_dim=16, sliding_window=4)
            ),
            "take different arguments besides",
        ),
    ],
)
def test_a_refusal_names_its_cause(model: Callable[[], Any], cause: str) -> None:
    with pytest.raises(ModelError, match=cause):
        rewire(model(), edges="learned", node="branch")


def test_the_loss_and_gradient_checkpointing_of_the_library_work() -> None:
    network = rewire(original("llama"), edges="dynamic:per=position").train()
    assert isinstance(network, HostNetwork)
    ids = inputs("llama")["input_ids"]

    def gradient() -> Any:
        network.zero_grad()
        network(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    wanted = gradient()
    # Renamed in release 5.
    names = "activation_checkpointing_enable", "gradient_checkpointing_enable"
    name = next(name for name in names if hasattr(network.model, name))
    getattr(network.model, name)()
    torch.testing.assert_close(gradient(), wanted)
