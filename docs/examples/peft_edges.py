"""Adapts a rewired network by its edges only, with peft.

    pip install peft
    python peft_edges.py

Everything is frozen but the edge weights, which start neutral: the adapter begins with
the function of the network, and the saved adapter holds the edge weights only.
"""

import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.models import resnet18

from ddw_graph import rewire
from ddw_graph.training import load_data


def main(per_class: int = 10) -> None:
    """Prints what trains, the loss before and after, and the size of the adapter."""
    torch.manual_seed(0)
    # Weights of a checkpoint: resnet18(weights="DEFAULT").
    network = rewire(resnet18(num_classes=10), edges="dynamic")
    routers = r"stages\.\d+\.weights\.routers\.\d+\.linear"
    model = get_peft_model(network, LoraConfig(target_modules=routers, r=4))
    model.print_trainable_parameters()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
    data = load_data(per_class=per_class)
    for images, labels in DataLoader(data.train_inputs(), 20, shuffle=True):
        loss = cross_entropy(model(images.expand(-1, 3, -1, -1)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"loss {loss.item():.3f}")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        size = (Path(folder) / "adapter_model.safetensors").stat().st_size
    whole = sum(each.numel() for each in network.parameters()) * 4
    print(f"adapter {size / 1e3:.0f} kB, network {whole / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
