"""Options that are derived from settings, and the sections of a command's help."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ddw_graph.cli.options import WIRING
from ddw_graph.settings import Setting, fields_given, settings_of

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]


def setting_option(
    setting: Setting, *, default: Any = None, shown: Any = None
) -> Decorator:
    """Returns the option of a setting: ``--batch-size`` of ``batch_size``.

    A value that is not allowed ends the command before it imports anything heavy.

    Args:
        default: Its value where the option is not given, instead of None.
        shown: What the help shows as the default: by default ``default``, or that of
            the setting.
    """
    known = (value for value in (shown, default) if value is not None)
    return click.option(
        f"--{setting.name.replace('_', '-')}",
        metavar={"str": "TEXT", "Path": "PATH"}.get(setting.type.__name__, "NUMBER"),
        default=None if default is None else str(default),
        callback=lambda _, __, text: None if text is None else _parse(setting, text),
        help=_help(setting, next(known, setting.default)),
    )


def _parse(setting: Setting, text: str) -> Any:
    if setting.name == "wiring":
        WIRING.convert(text, None, None)
    return setting.parse(text)


def _help(setting: Setting, default: Any) -> str:
    if default is None:
        return setting.help
    values = default if isinstance(default, tuple) else (default,)
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    text = ",".join(texts).lower() if setting.type is bool else ",".join(texts)
    return f"{setting.help}  [default: {text}]"


def section(title: str, *options: Decorator) -> Callable[[Command], Command]:
    """Returns a decorator that adds options under a title of the help."""

    def add(command: Command) -> Command:
        made: Any = command
        for option in reversed(options):
            made = option(made)
            made.__click_params__[-1].section = title
        return made  # type: ignore[no-any-return]

    return add


def set_option(settings: Mapping[str, Setting]) -> Decorator:
    """Returns ``--set NAME=VALUE`` for settings by name, of a ``SettingsCommand``."""

    def parse(ctx: click.Context, _: Any, texts: tuple[str, ...]) -> dict[str, Any]:
        found = {}
        for name, equals, value in (text.partition("=") for text in texts):
            if name not in settings or not equals:
                raise click.UsageError(
                    "--set must be NAME=VALUE with a setting that --help lists, got "
                    f"{name + equals + value!r}"
                )
            found[name] = _parse(settings[name], value)
        return found

    def add(command: Any) -> Any:
        made = click.option(
            "--set",
            multiple=True,
            metavar="NAME=VALUE",
            callback=parse,
            help="Any setting by its name, also one below; may be repeated.",
        )(command)
        made.__click_params__[-1].settings = settings
        return made

    return add


class SettingsCommand(click.Command):
    """A command whose help has sections, and whose settings ``--set`` reaches too."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; it takes what ``--set`` gives as if by options.

        Raises:
            UsageError: If a setting is given by its option too.
        """
        for name, value in ctx.params.pop("set", {}).items():
            if ctx.params.get(name) is not None:
                raise click.UsageError(f"{name} must be given once, got it with --set")
            ctx.params[name] = value
            ctx.set_parameter_source(name, ParameterSource.COMMANDLINE)
        return super().invoke(ctx)

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Writes the options section by section, then the settings of ``--set``."""
        sections: dict[str, list[tuple[str, str]]] = {}
        rows: list[tuple[str, str]] = []
        names = {param.name for param in self.params}
        for param in self.get_params(ctx):
            title = getattr(param, "section", "Options")
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                sections.setdefault(title, []).append(record)
            for name, each in getattr(param, "settings", {}).items():
                if name not in names:
                    rows.append((name, _help(each, each.default)))
        for title, lines in (*sections.items(), ("Settings, with --set", rows)):
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


def pop_settings(kind: type, options: dict[str, Any]) -> dict[str, Any]:
    """Removes a dataclass's settings from options; returns those given, by field."""
    found = fields_given(kind, options)
    for name in settings_of(kind):
        options.pop(name, None)
    return found


def preset_settings(preset: Any, **defaults: str) -> dict[str, Setting]:
    """Returns the settings of a preset, with its values as their defaults.

    Args:
        preset: A dataclass of settings.
        defaults: What the help shows instead, by name.
    """
    return {
        name: replace(each, default=defaults.get(name, getattr(preset, each.field)))
        for name, each in settings_of(type(preset)).items()
    }
