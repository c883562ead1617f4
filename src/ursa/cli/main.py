"""The `ursa` command: registers the nouns and turns what people must know into one line.

Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import typer

from ursa.base.config import ConfigError
from ursa.base.errors import ApiError
from ursa.cli import demo, develop, image, kube, lifecycle, net
from ursa.cli.output import say
from ursa.onebox.errors import UserError

root = typer.Typer(
    name="ursa",
    help="A cloud operating system: virtual machines, containers and functions behind one API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Life-cycle verbs and tools stand alone, everything else is `ursa <noun> <verb>`.
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
COMMANDS: Sequence[tuple[str, Callable[..., None]]] = (
    ("up", lifecycle.up),
    ("down", lifecycle.down),
    ("status", lifecycle.status),
    ("logs", lifecycle.logs),
    ("demo", demo.demo),
    ("env", kube.env),
    ("kubeconfig", kube.kubeconfig),
)
for _name, _command in COMMANDS:
    root.command(_name)(_command)
root.command("kubectl", context_settings=PASS_ON)(kube.kubectl)
root.command("test", context_settings=PASS_ON)(develop.test)
root.command("bench", context_settings=PASS_ON)(develop.bench)
root.add_typer(image.app, name="image")
root.add_typer(net.app, name="net")


def app() -> None:
    """Run the command; exit with its code."""
    try:
        root()
    except (UserError, ConfigError, ApiError) as fault:
        say(f"ursa: {fault}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
