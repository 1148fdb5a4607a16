"""Trains a rewired ResNet-18 with Lightning.

pip install lightning
python lightning_module.py
"""

import lightning
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ddw_graph import create_model
from ddw_graph.training import load_data


class Classifier(lightning.LightningModule):
    """A network with its loss and its optimizer."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch, index):
        """Returns the loss of a batch, and logs the mean weight of its edges."""
        images, labels = batch
        logits, adjacency = self.model(images, return_adjacency=True)
        weights = torch.cat([matrix[matrix != 0] for matrix in adjacency])
        self.log("edge_weight", weights.mean(), prog_bar=True)
        return cross_entropy(logits, labels)

    def validation_step(self, batch, index):
        """Logs the accuracy of a batch."""
        images, labels = batch
        right = (self.model(images).argmax(1) == labels).float().mean()
        self.log("accuracy", right, prog_bar=True)

    def configure_optimizers(self):
        """Returns the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main(epochs: int = 1, per_class: int = 20) -> None:
    """Trains, and prints what was logged."""
    lightning.seed_everything(0)
    data = load_data(per_class=per_class)
    sizes = {"num_classes": len(data.classes), "in_channels": data.channels}
    model = create_model("resnet18", edges="dynamic", **sizes)
    trainer = lightning.Trainer(
        max_epochs=epochs, logger=False, enable_checkpointing=False
    )
    trainer.fit(
        Classifier(model),
        DataLoader(data.train_inputs(), 32, shuffle=True),
        DataLoader(data.test_inputs(), 100),
    )
    print({name: round(float(x), 3) for name, x in trainer.callback_metrics.items()})


if __name__ == "__main__":
    main()
