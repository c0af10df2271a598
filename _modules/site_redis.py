"""
Users of Redis: the lines of its ACL file.
"""

import hashlib
import re

from salt.exceptions import CommandExecutionError

PASSWORD_LENGTH = 24

_NAME = re.compile(r"[a-z][a-z0-9-]*")
# A command, a subcommand or a category, granted or refused. Nothing that changes
# passwords, keys, channels or the state of the user.
_RULE = re.compile(r"[+-](@[a-z]+|[a-z_]+(\|[a-z-]+)?)")


def user(name, password, commands):
    """
    One line of Redis's ACL file: a user who may call these commands on all keys.

    name
        The user's name; ``default`` is whoever authenticates with a password alone.

    password
        In clear, at least 24 characters. The line holds its SHA-256 only, which is
        safe for passwords too long to be guessed, and for no others.

    commands
        Rules such as ``+@read`` or ``-flushall``, applied in order after ``-@all``.

    Returns the line. The user reaches no channel (publish, subscribe).

    Raises CommandExecutionError for a password missing or too short, a name or
    a rule of another form, or a user who may call nothing.

    CLI Example:

    .. code-block:: bash

        salt-call site_redis.user app sandbox-only-not-a-secret-at-all '["+@read"]'
    """
    if not _NAME.fullmatch(name):
        raise CommandExecutionError(f"redis user {name!r}: a name is a to z, 0 to 9 and hyphens")
    if not isinstance(password, str) or len(password) < PASSWORD_LENGTH:
        raise CommandExecutionError(
            f"redis user '{name}': its password is missing or shorter than {PASSWORD_LENGTH} "
            "characters. See redis:secrets in pillar"
        )
    wrong = [rule for rule in commands if not _RULE.fullmatch(rule)]
    if wrong:
        raise CommandExecutionError(
            f"redis user '{name}': not rules for commands: {', '.join(wrong)}"
        )
    if not any(rule.startswith("+") for rule in commands):
        raise CommandExecutionError(f"redis user '{name}': may not call any command")
    digest = hashlib.sha256(password.encode()).hexdigest()
    return " ".join(
        [
            f"user {name} reset on sanitize-payload #{digest} ~* resetchannels -@all",
            *commands,
        ]
    )
