"""The command, and what becomes of its errors."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import click
from checkmaite.jobs import JobsError
from checkmaite.jobs_cli.commands.doctor import doctor
from checkmaite.jobs_cli.commands.init import init
from checkmaite.jobs_cli.commands.jobs import jobs
from checkmaite.jobs_cli.commands.metrics import metrics
from checkmaite.jobs_cli.commands.scopes import scopes
from checkmaite.jobs_cli.commands.store import store
from checkmaite.jobs_cli.commands.submit import submit
from checkmaite.jobs_cli.exits import Exit, exit_of
from checkmaite.jobs_cli.options import examples, flags_for
from checkmaite.jobs_cli.plugins import CommandGroup
from checkmaite.jobs_cli.printing import fail, say

NAME = "checkmaite-jobs"
_TRACEBACK = "--traceback"
_COMPLETION = {
    "bash": 'Write this into ~/.bashrc:  eval "$(checkmaite-jobs completion bash)"',
    "zsh": 'Write this into ~/.zshrc:  eval "$(checkmaite-jobs completion zsh)"',
    "fish": "Write this into ~/.config/fish/config.fish:  checkmaite-jobs completion fish | source",
}


_EXIT_CODES = """

\b
Exit codes:
    0  done; where jobs were waited for: all completed
    1  an error that has no code of its own, a fault that doctor found, a change that store verify
       found, or a question answered with no
    2  the command, its flags or the configuration are wrong
    3  there is no such job, table or journal
    4  the store or the cluster does not answer, or refuses; another try may help
   10  a job failed;  11 one was cancelled;  12 one was not final in time
  130  interrupted
"""


@click.group(
    name=NAME,
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "jobs history --profile team --status FAILED",
        'store sql "select * from runs limit 5" --store ./analytics_store',
    )
    + _EXIT_CODES,
)
@click.version_option(package_name="checkmaite-jobs-core", prog_name=NAME)
@click.option(
    _TRACEBACK, is_flag=True, expose_value=False, help="Show Python's traceback with an error; fits anywhere."
)
def app() -> None:
    """See evaluation jobs, ask why, act on them, and query their results.

    Settings come from flags, then from CHECKMAITE_JOBS_SCOPE, _ADDRESS, _STORE, _PROFILE and the like, then from
    checkmaite-jobs.toml or [tool.checkmaite-jobs] in pyproject.toml, here or above.
    """


for command in (doctor, init, jobs, metrics, scopes, store, submit):
    app.add_command(command)


@app.command(epilog=examples("completion bash"))
@click.argument("shell", type=click.Choice(list(_COMPLETION)))
def completion(shell: str) -> None:
    """The script that completes this command in a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    click.echo(f"# {_COMPLETION[shell]}")
    click.echo(kind(app, {}, NAME, "_CHECKMAITE_JOBS_COMPLETE").source())


def main() -> None:
    """What the console script calls."""
    if "_CHECKMAITE_JOBS_COMPLETE" in os.environ:
        app(prog_name=NAME)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry a command out, and say what went wrong.

    Returns:
        The exit code.
    """
    wants_traceback = _TRACEBACK in arguments or bool(os.environ.get("CHECKMAITE_JOBS_TRACEBACK"))
    arguments = [argument for argument in arguments if argument != _TRACEBACK]
    with warnings.catch_warnings():
        warnings.showwarning = _told
        try:
            result: Any = app.main(args=arguments, prog_name=NAME, standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except click.Abort as error:
            if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
                return Exit.INTERRUPTED
            say("Nothing was done.")
            return Exit.ERROR
        except JobsError as error:
            if wants_traceback:
                traceback.print_exc()
            else:
                fail(f"{error.args[0] if error.args else type(error).__name__}{flags_for(error)}")
            return exit_of(error)
        except Exception as error:  # noqa: BLE001 - nobody is shown a traceback who has not asked for it
            if wants_traceback:
                traceback.print_exc()
            else:
                again = "Run it again with --traceback to see where."
                fail(f"An unexpected {type(error).__name__}: {error}\n{again}")
            return Exit.ERROR
    return int(result) if isinstance(result, int) else Exit.DONE


def _told(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning as a sentence, without the line of code that gives it."""
    if not issubclass(category, (DeprecationWarning, ResourceWarning)):
        say(f"Warning: {message}")
