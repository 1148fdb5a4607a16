"""Options of the commands that train, and what they stand for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ddw_graph.training.data import DataSource
    from ddw_graph.training.recipe import Recipe
    from ddw_graph.training.run import Run

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_DATA = "fashion_mnist_mini"

IN_PLACE = "In place of the recipe's."
RECIPE_VALUES = {
    "epochs": (int, IN_PLACE),
    "batch_size": (int, IN_PLACE),
    "learning_rate": (float, IN_PLACE),
    "optimizer": (str, "sgd or adamw."),
    "momentum": (float, IN_PLACE),
    "beta2": (float, "Of AdamW."),
    "weight_decay": (float, IN_PLACE),
    "norm_weight_decay": (float, "Of normalisation, if another than of the rest."),
    "warmup_epochs": (float, IN_PLACE),
    "schedule": (str, "cosine or step."),
    "final_rate": (float, "Share of the learning rate at the end of cosine."),
    "gamma": (float, "Factor of the schedule step."),
    "step_epochs": (int, "Epochs between two factors of the schedule step."),
    "label_smoothing": (float, IN_PLACE),
    "random_erasing": (float, "Probability that a rectangle of an image is erased."),
    "rand_augment": (int, "Apply two changes of RandAugment of this magnitude."),
    "mixup": (float, "Alpha of MixUp; 0 for none."),
    "cutmix": (float, "Alpha of CutMix; 0 for none."),
    "ema_decay": (float, "Of the average of the weights; 0 for none."),
    "ema_interval": (int, "Steps between two updates of the average."),
    "router_lr": (float, IN_PLACE),
    "clip_norm": (float, "Largest norm of all gradients together; 0 for none."),
    "budget_weight": (float, "Of the term that pulls toward --budget."),
}
SHAPE = {
    "depth": "Blocks of a Transformer, of two branches each.",
    "width": "Channels of a token.",
    "heads": "Heads of the attention.",
    "context": "Most tokens that a language model reads at once.",
}
RECIPE_SWITCHES = {
    "augment": "Flip and shift training images; by default as the recipe has it.",
    "trivial_augment": "Apply TrivialAugmentWide to them; likewise.",
}


WORKERS_OPTION = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that load images.",
)
DEVICE_OPTION = click.option(
    "--device", default="auto", show_default=True, help="Such as cpu or cuda."
)
SEEDS_OPTION = click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs of each, paired.",
)
MODEL_OPTION = click.option(
    "--model",
    help="Network; see the command models.  [default: randwire_tiny; for text "
    "gpt_tiny]",
)
HEAD_OPTION = click.option(
    "--head",
    type=int,
    help="Channels of the convolution before the pooling; 0 for none.  "
    "[default: the network's own]",
)
STAGE_N_OPTION = click.option("--n", type=int, help="Computing nodes of a stage.")
CHECKPOINT_STEPS_OPTION = click.option(
    "--checkpoint-steps",
    type=click.IntRange(min=1),
    help="Write a checkpoint after so many steps too.  [default: after each epoch]",
)
TENSORBOARD_OPTIONS = (
    click.option(
        "--tensorboard", is_flag=True, help="Write events to OUT/tensorboard too."
    ),
    click.option(
        "--log-steps",
        type=click.IntRange(min=1),
        help="Steps between two losses for TensorBoard.  [default: 50]",
    ),
)
JOBS_OPTION = click.option(
    "--jobs", type=int, help="Processes.  [default: one a core; on a GPU one]"
)


def data_options(default: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds the options that say where images come from."""
    help_text = (
        "fashion_mnist_mini (in the package), fashion_mnist, cifar10, cifar100, "
        f"folder, shards or text.  [default: {default}]"
    )

    def decorated(command: Command) -> Command:
        for option in reversed(
            (
                click.option("--data", help=help_text),
                click.option(
                    "--root",
                    type=click.Path(path_type=Path),
                    help="Folder of the data, or file of the text; data in the "
                    "package needs none.",
                ),
                click.option(
                    "--image-size",
                    type=int,
                    help="Pixels; for folder and shards.  [default: 224; of a RUN its "
                    "own]",
                ),
                click.option(
                    "--download", is_flag=True, help="Let torchvision download the set."
                ),
                click.option(
                    "--per-class",
                    type=int,
                    help="Train on so many images of each class; 0 for all.  "
                    "[default: 0; of a RUN its own]",
                ),
                click.option(
                    "--holdout",
                    type=int,
                    help="Hold out so many training images, as many of each class, "
                    "and test on them; of a text so many tokens; 0 for none.  "
                    "[default: 0; of a RUN its own]",
                ),
                click.option(
                    "--epoch-tokens",
                    type=int,
                    help="Tokens of a text to train on in an epoch.  [default: all]",
                ),
                click.option(
                    "--tokenizer",
                    type=click.Path(path_type=Path),
                    help="File of Hugging Face's tokenizers, for text.  "
                    "[default: bytes]",
                ),
                click.option(
                    "--bad-images",
                    help="fail, or skip: name images that cannot be read and go on "
                    "without; for folder and shards.  [default: fail]",
                ),
            )
        ):
            command = option(command)
        return command

    return decorated


SPLIT_OPTION = click.option(
    "--split",
    type=click.Choice(["test", "train"]),
    default="test",
    show_default=True,
    help="Which images.",
)


def numbers(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[float, ...]:
    """Returns the numbers of a text with commas between them."""
    try:
        return tuple(float(number) for number in value.split(",")) if value else ()
    except ValueError as error:
        message = f"must be numbers with commas between them, got {value!r}"
        raise click.BadParameter(message) from error


def shape_options(command: Command) -> Command:
    """Returns ``command`` with the options that are a Transformer's shape."""
    for name, help_text in reversed(SHAPE.items()):
        command = click.option(f"--{name}", type=int, help=help_text)(command)
    return command


def network_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that ``create_model`` takes, and takes them out."""
    names = ("n", "output", "head", *SHAPE)
    found = {name: options.pop(name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def tensorboard_options(command: Command) -> Command:
    """Returns ``command`` with the options of TensorBoard."""
    for option in reversed(TENSORBOARD_OPTIONS):
        command = option(command)
    return command


def recipe_options(command: Command) -> Command:
    """Returns ``command`` with the options that make a recipe."""
    for name, help_text in reversed(RECIPE_SWITCHES.items()):
        flag = name.replace("_", "-")
        switch = click.option(f"--{flag}/--no-{flag}", default=None, help=help_text)
        command = switch(command)
    command = value_options(command, RECIPE_VALUES)
    return click.option(
        "--recipe",
        help="small (for 8 to 64 px), vit, fine_tune, randwire, imagenet, "
        "imagenet_250, mobilenet, efficientnet or language.  [default: small; for text "
        "language]",
    )(command)


def value_options(command: Command, values: dict[str, tuple[Any, str]]) -> Command:
    """Returns ``command`` with an option for each value: its name, kind and help."""
    for name, (kind, help_text) in reversed(values.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, type=kind, help=help_text)(command)
    return command


def chosen_recipe(
    name: str | None, options: dict[str, Any], *, budgets: bool = False
) -> "Recipe":
    """Returns the recipe that the options make, and takes them out of ``options``.

    Args:
        name: The preset; None for that of the data.
        options: What the command was given.
        budgets: Whether entries have budgets, as those of ``compare`` may.

    Raises:
        UsageError: If an option has no effect in this recipe.
    """
    from ddw_graph.training.recipe import default_recipe, recipe_named

    changes = {key: options.pop(key) for key in (*RECIPE_VALUES, *RECIPE_SWITCHES)}
    changes["budget"] = options.pop("budget", None)
    recipe = recipe_named(name or default_recipe(options["data"]), **changes)
    for key, needed, there in (
        ("gamma", "--schedule step", recipe.schedule == "step"),
        ("step_epochs", "--schedule step", recipe.schedule == "step"),
        ("ema_interval", "--ema-decay", recipe.ema_decay > 0),
        ("budget_weight", "--budget", budgets or recipe.budget is not None),
    ):
        if changes[key] is not None and not there:
            raise click.UsageError(f"--{key.replace('_', '-')} needs {needed}")
    return recipe


def data_source(options: dict[str, Any]) -> "DataSource":
    """Returns the source that the options name, and takes them out of ``options``."""
    from ddw_graph.training.data import DataSource

    return DataSource(
        options.pop("data") or DEFAULT_DATA,
        options.pop("root"),
        options.pop("image_size"),
        options.pop("download"),
        options.pop("per_class") or None,
        options.pop("holdout") or None,
        options.pop("bad_images") or "fail",
        options.pop("epoch_tokens"),
        options.pop("tokenizer"),
    )


def run_data(run: "Run", options: dict[str, Any], *, workers: int = 0) -> Any:
    """Returns the images or the text that the options name, by default a run's own.

    Images are transformed as those that the run was trained on.

    Raises:
        DataError: If they do not fit the run's network.
    """
    return run.adapt(common_source([run], options).load(workers=workers))


def common_source(runs: "Sequence[Run]", options: dict[str, Any]) -> "DataSource":
    """Returns the source that the options name; by default that of the runs.

    Raises:
        DataError: If the runs do not all have the same.
    """
    from ddw_graph.errors import DataError

    first, *others = (data_source(_run_data(run, dict(options))) for run in runs)
    for run, other in zip(runs[1:], others, strict=True):
        for name, value in vars(other).items():
            if value != vars(first)[name]:
                option = f"--{name.replace('_', '-')}" if name != "name" else "--data"
                raise DataError(
                    f"runs must be compared on the same images, got {name} {value} of "
                    f"{run.path} and {vars(first)[name]} of {runs[0].path}; {option} "
                    "chooses one"
                )
    return first


def _run_data(run: "Run", options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options with a run's own data where they are not given.

    Raises:
        RunError: If the run's images were in memory, and no others are given.
    """
    if options["data"] is None and run.source is None:
        run.data()  # which raises
    source = run.source
    if source is None:
        return options
    if options["data"] is None:
        options["data"] = source.name
        options["root"] = options["root"] or source.root
    if options["image_size"] is None:
        options["image_size"] = source.image_size
    if options["data"] == source.name:
        for name in ("per_class", "holdout", "bad_images", "epoch_tokens", "tokenizer"):
            if options[name] is None:
                options[name] = getattr(source, name)
    return options
