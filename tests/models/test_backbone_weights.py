"""The weights of a backbone's own file, in the network that was wired from it."""

import copy

import pytest
import timm
import torch
from torch import nn
from torchvision.models import get_model

from ddw_graph import create_model, load_backbone
from ddw_graph.errors import ModelError


def backbone(name: str) -> nn.Module:
    library, _, own = name.rpartition("/")
    model: nn.Module = timm.create_model(own) if library == "timm" else get_model(own)
    return model.eval()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "timm/convnext_atto"])
def test_a_wired_network_computes_what_the_file_does(name: str) -> None:
    trained = backbone(name)
    network = create_model(name, node="block", edges="fixed", wiring="vgg").eval()
    before = torch.random.get_rng_state()
    load_backbone(network, trained.state_dict())
    assert torch.equal(before, torch.random.get_rng_state())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(x), trained(x))


def test_edge_weights_stay() -> None:
    network = create_model("resnet18", edges="dynamic")
    before = copy.deepcopy(network.state_dict())
    load_backbone(network, backbone("resnet18").state_dict())
    for name, tensor in network.state_dict().items():
        if ".weights." in name:
            assert torch.equal(tensor, before[name])
        elif name.endswith("conv1.weight"):
            assert not torch.equal(tensor, before[name])


def test_a_classifier_of_other_classes_stays() -> None:
    network = create_model("mobilenet_v2", num_classes=3)
    weight = network.get_classifier().weight.clone()
    trained = backbone("mobilenet_v2")
    load_backbone(network, trained.state_dict(), classifier=False)
    assert torch.equal(network.get_classifier().weight, weight)
    found = network.state_dict()["stem.features.0.0.weight"]
    assert torch.equal(found, trained.state_dict()["features.0.0.weight"])
    with pytest.raises(ModelError, match="classifier.1"):
        load_backbone(network, trained.state_dict())


def test_what_is_no_backbone_or_another_is_refused() -> None:
    weights = backbone("resnet18").state_dict()
    with pytest.raises(ModelError, match="randwire_tiny"):
        load_backbone(create_model("randwire_tiny"), weights)
    with pytest.raises(ModelError, match="resnet50"):
        load_backbone(create_model("resnet50"), weights)
