"""Trains a DDW network in a loop of your own, without ddw_graph's training.

python own_loop.py
"""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ddw_graph import create_model
from ddw_graph.training import load_data


def main(epochs: int = 3, per_class: int = 50) -> None:
    """Prints the accuracy on held-out images after each epoch."""
    torch.manual_seed(0)
    data = load_data(per_class=per_class)
    sizes = {"num_classes": len(data.classes), "in_channels": data.channels}
    model = create_model("randwire_tiny", edges="dynamic", **sizes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(1, epochs + 1):
        model.train()
        for images, labels in DataLoader(data.train_inputs(), 32, shuffle=True):
            loss = cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = sum(
                int((model(images).argmax(1) == labels).sum())
                for images, labels in DataLoader(data.test_inputs(), 100)
            )
        print(f"epoch {epoch}: accuracy {100 * right / len(data.test):.1f} %")


if __name__ == "__main__":
    main()
