"""Quantizes the linear layers of a Transformer's nodes to 8 bits with torchao.

pip install torchao
python int8.py
"""

from io import BytesIO

import torch
from torch import nn
from torchao.quantization import Int8WeightOnlyConfig, quantize_

from ddw_graph import create_model


def size(model: nn.Module) -> float:
    """Returns the size of a network's file, MB."""
    file = BytesIO()
    torch.save(model.state_dict(), file)
    return len(file.getbuffer()) / 1e6


def in_node(module: nn.Module, name: str) -> bool:
    """Returns whether a module is a linear layer of a node: routers stay precise."""
    return isinstance(module, nn.Linear) and ".operations." in name


def main() -> None:
    """Prints how far the logits move, and how much smaller the network is."""
    torch.manual_seed(0)
    model = create_model("vit_tiny", edges="dynamic", num_classes=10, in_channels=1)
    images = torch.randn(8, 1, 28, 28)
    with torch.no_grad():
        wanted, before = model.eval()(images), size(model)
        quantize_(model, Int8WeightOnlyConfig(), filter_fn=in_node)
        difference = (model(images) - wanted).norm() / wanted.norm()
    print(f"logits differ by {difference:.2%}; {before:.2f} MB, now {size(model):.2f}")


if __name__ == "__main__":
    main()
