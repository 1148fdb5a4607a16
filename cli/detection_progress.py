"""Progress of a detector's training."""

from ddw_graph.cli.progress import Row, TrainingProgress


class DetectionProgress(TrainingProgress):
    """Shows a training as it goes: a bar for steps, a line for each epoch."""

    def line(self, row: Row) -> str:
        """Returns what is told of an epoch."""
        return (
            f"epoch {row['epoch']:.0f}: train loss {row['train_loss']:.3f}, "
            f"AP {row.get('AP', 0):.3f}, AP50 {row.get('AP50', 0):.3f}, "
            f"{row['train_seconds']:.1f} s"
        )
