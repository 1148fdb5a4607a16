"""Searches wiring and edges with scikit-learn's grid search, through skorch.

pip install skorch
python skorch_search.py
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from torch import nn

from ddw_graph import create_model


class Digits(nn.Module):
    """A small network for images of 8 px."""

    def __init__(self, wiring: str = "complete", edges: str = "dynamic") -> None:
        super().__init__()
        sizes = {"n": 4, "channels": 8, "num_classes": 10, "in_channels": 1}
        self.network = create_model(
            "randwire_tiny", wiring=wiring, edges=edges, **sizes
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        return self.network(images)


def main(epochs: int = 3, images: int = 600) -> None:
    """Prints the accuracy of each pair of a wiring and a kind of edges."""
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels[:images].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    net = NeuralNetClassifier(
        Digits,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=0.01,
        max_epochs=epochs,
        batch_size=50,
        train_split=None,
        verbose=0,
    )
    grid = {
        "module__wiring": ["complete", "ws:k=2,p=0.75"],
        "module__edges": ["fixed", "learned", "dynamic"],
    }
    torch.manual_seed(0)
    found = GridSearchCV(net, grid, cv=3, scoring="accuracy", refit=False)
    found.fit(x, labels[:images])
    results = found.cv_results_
    for row, score in zip(results["params"], results["mean_test_score"], strict=True):
        print(f"{score:.3f} {row['module__wiring']} {row['module__edges']}")


if __name__ == "__main__":
    main()
