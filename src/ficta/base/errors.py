"""What goes wrong, and which exit code it gets: one line that names the cause and the way out."""


class FictaError(Exception):
    """A failed run (exit code 1). Its text is what a person reads; no traceback is needed to act on it."""

    exit_code = 1


class UsageError(FictaError):
    """A wrong call: an unknown name, a setting out of range, a folder that is something else (exit code 2)."""

    exit_code = 2


class FinishedRun(UsageError):  # noqa: N818 - what it says is that all is done
    """A run that has seen all the samples it was to see."""


class DataError(FictaError):
    """Data that cannot be read, or too little of it (exit code 1)."""


class VerdictError(FictaError):
    """A run stopped by a verdict (exit code 3); its last good state is saved."""

    exit_code = 3


class InterruptedRun(FictaError):  # noqa: N818 - not an error of anybody's: the run is saved and goes on later
    """A run stopped by a signal and saved (exit code 128 + signal number)."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
