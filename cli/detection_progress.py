"""Progress of a detector's training."""

import click

from ddw_graph.cli.progress import Row, TrainingProgress


class DetectionProgress(TrainingProgress):
    """Shows a training as it goes: a bar for steps, a line for each epoch."""

    def __enter__(self) -> "DetectionProgress":
        """Starts the bar."""
        super().__enter__()
        return self

    def epoch(self, row: Row) -> None:
        """Prints an epoch's line."""
        line = (
            f"epoch {row['epoch']:.0f}: train loss {row['train_loss']:.3f}, "
            f"AP {row.get('AP', 0):.3f}, AP50 {row.get('AP50', 0):.3f}, "
            f"{row['train_seconds']:.1f} s"
        )
        if self.bar.disable:
            click.echo(line, err=True)
        else:
            self.bar.console.print(line, highlight=False)
