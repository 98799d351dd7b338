"""Parse, call, print. Nobody imports it."""

import io
import sys
from typing import Any


def main() -> None:
    """Entry point of the ``ficta`` command; every error is one line, and an exit code."""
    from typer import BadParameter

    from ficta.base.errors import FictaError
    from ficta.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    wrong_call: Any = BadParameter.__base__  # click's UsageError, which typer brings along under a name of its own
    try:
        sys.exit(app(prog_name="ficta", standalone_mode=False))
    except wrong_call as error:
        context = error.ctx
        message = " ".join(error.format_message().split())
        where = context.command_path if context else "ficta"
        print(f"ficta: {message} ('{where} --help' lists what there is)", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except FictaError as error:
        if "--debug" in sys.argv:
            raise
        print(f"ficta: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        what = f"{error.filename or 'the system'}: {error.strerror or error}"
        print(f"ficta: {what}; make room or mend the permissions, then give the same command again", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
