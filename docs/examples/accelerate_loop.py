"""Trains a network with accelerate, on whatever it finds: CPU, GPU, several.

pip install accelerate
accelerate launch accelerate_loop.py
"""

import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ddw_graph import create_model
from ddw_graph.training import load_data


def main(per_class: int = 50) -> None:
    """Trains for an epoch and prints the accuracy on held-out images."""
    torch.manual_seed(0)
    accelerator = Accelerator()
    data = load_data(per_class=per_class)
    sizes = {"num_classes": len(data.classes), "in_channels": data.channels}
    model = create_model("randwire_tiny", edges="dynamic", **sizes)
    model, optimizer, train, test = accelerator.prepare(
        model,
        torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        DataLoader(data.train_inputs(), 32, shuffle=True),
        DataLoader(data.test_inputs(), 100),
    )
    for images, labels in train:
        loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
    model.eval()
    right = count = 0
    with torch.no_grad():
        for images, labels in test:
            correct = model(images).argmax(1) == labels
            correct = accelerator.gather_for_metrics(correct)
            right, count = right + int(correct.sum()), count + len(correct)
    accelerator.print(f"accuracy {100 * right / count:.1f} % of {count} images")


if __name__ == "__main__":
    main()
