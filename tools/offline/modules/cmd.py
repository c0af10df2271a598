"""
Commands, offline: none. A file that is rendered from what a command prints is
another file on another machine.
"""


def _refuse(*args, **_kwargs):
    raise RuntimeError(
        f"a command from Jinja: {args[:1]}. Cure: move the question into a function of "
        "_modules/site_<something>.py, or let a state with `unless` or `onlyif` ask it"
    )


def run(*args, **kwargs):
    """
    Raise: nothing is run while rendering.

    CLI Example:

    .. code-block:: bash

        salt-call cmd.run true
    """
    return _refuse(*args, **kwargs)


def run_stdout(*args, **kwargs):
    """
    Raise: nothing is run while rendering.

    CLI Example:

    .. code-block:: bash

        salt-call cmd.run_stdout true
    """
    return _refuse(*args, **kwargs)


def run_all(*args, **kwargs):
    """
    Raise: nothing is run while rendering.

    CLI Example:

    .. code-block:: bash

        salt-call cmd.run_all true
    """
    return _refuse(*args, **kwargs)


def retcode(*args, **kwargs):
    """
    Raise: nothing is run while rendering.

    CLI Example:

    .. code-block:: bash

        salt-call cmd.retcode true
    """
    return _refuse(*args, **kwargs)


def shell(*args, **kwargs):
    """
    Raise: nothing is run while rendering.

    CLI Example:

    .. code-block:: bash

        salt-call cmd.shell true
    """
    return _refuse(*args, **kwargs)
