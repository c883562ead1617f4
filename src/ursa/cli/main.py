"""The `ursa` command: registers the nouns and turns what people must know into one line.

Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from ursa.base.config import ConfigError
from ursa.base.errors import ApiError
from ursa.cli.output import say
from ursa.onebox.errors import UserError

root = typer.Typer(
    name="ursa",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich doubles the start of every command
    context_settings={"help_option_names": ["-h", "--help"]},
)


@root.callback()
def main() -> None:
    """A cloud operating system: virtual machines and containers behind one API."""


# Life-cycle verbs and tools stand alone, everything else is `ursa <noun> <verb>`. A command's
# module is imported when it is asked for: a command should start in a tenth of a second.
VERBS = {
    "up": "lifecycle",
    "down": "lifecycle",
    "status": "lifecycle",
    "logs": "lifecycle",
    "demo": "demo",
    "env": "kube",
    "kubeconfig": "kube",
}
TOOLS = {"kubectl": "kube", "test": "develop", "bench": "develop"}  # their words are passed on
NOUNS = ("image", "net")
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def register(name: str) -> None:
    """Add one command to the tree."""
    module = import_module(f"ursa.cli.{VERBS.get(name) or TOOLS.get(name) or name}")
    if name in NOUNS:
        root.add_typer(module.app, name=name)
    elif name in TOOLS:
        root.command(name, context_settings=PASS_ON)(getattr(module, name))
    else:
        root.command(name)(getattr(module, name))


def app() -> None:
    """Run the command; exit with its code."""
    names = (*VERBS, *TOOLS, *NOUNS)
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in (asked,) if asked in names else names:
        register(name)
    try:
        root(prog_name="ursa")
    except (UserError, ConfigError, ApiError) as fault:
        say(f"ursa: {fault}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
