"""Running a command of this machine, for podman and SSH alike."""

import subprocess


def run(words, called, failed, remedies, stdin=None, check=True, timeout=None):
    """
    Run a command and return its CompletedProcess, output as text.

    words
        The command line, a list.

    called
        What messages call the command.

    failed
        The FleetError to raise when it fails and ``check`` is true, or when it
        gives no answer in time.

    remedies
        What to do then: ``{"time", "failure"}``.

    stdin
        Text or bytes for the command's standard input. With bytes the output is
        bytes, too.

    timeout
        Seconds, or None.
    """
    as_bytes = isinstance(stdin, bytes)
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=not as_bytes,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise failed(f"{called} gave no answer in {timeout} s", remedies["time"]) from error
    if check and done.returncode:
        said = done.stderr.decode() if as_bytes else done.stderr
        raise failed(
            f"{called} failed ({done.returncode}): " + " ".join(said.strip().splitlines()[-4:]),
            remedies["failure"],
        )
    return done
