"""Progress of a detector's training."""

from ddw_graph.cli.progress import Row, TrainingProgress


class DetectionProgress(TrainingProgress):
    """Shows the progress of a training: a bar for steps, a line for each epoch."""

    def line(self, row: Row) -> str:
        """Returns the line of an epoch."""
        return (
            f"epoch {row['epoch']:.0f}: train loss {row['train_loss']:.3f}, "
            f"AP {_figure(row, 'AP')}, AP50 {_figure(row, 'AP50')}, "
            f"{row['train_seconds']:.1f} s"
        )


def _figure(row: Row, name: str) -> str:
    """Returns one of COCO's figures; a dash where it is undefined."""
    return f"{row[name]:.3f}" if name in row else "–"
