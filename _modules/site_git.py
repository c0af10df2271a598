"""
Repositories of git that gitolite keeps: who may push, whether gitolite knows it, and
the first commit of an empty one.

gitolite's own files say what it was told; here they are compared with what is wanted,
so that a run that was cut off is made good by the next one.
"""

import os
import pwd
import re
from pathlib import Path

from salt.exceptions import CommandExecutionError

ACCOUNT_KEYS = "/etc/ssh/authorized_keys.d"
HOOKS = ("post-receive", "update")
AUTHOR = "Saltworks"
EMAIL = "git@localhost"
DATE = "2026-01-01T00:00:00Z"
MESSAGE = "The first version"
# A line with options before the key was given for something else, and is left out.
_KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+) (AAAA[A-Za-z0-9+/]+={0,2})(?: .*)?")
_LINE = re.compile(rf'command="\S+ (?P<user>[^\s"]+)",\S+ {_KEY.pattern}')
_NOBODY = "0" * 40


def _text(path):
    """A file's text; empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def account_keys(account):
    """
    The keys with which an account of this host is entered.

    account
        Its name.

    Returns lines, none where there is no such account.

    CLI Example:

    .. code-block:: bash

        salt-call site_git.account_keys fleet
    """
    try:
        home = pwd.getpwnam(account).pw_dir
    except KeyError:
        return []
    lines = [
        line.strip()
        for path in (Path(ACCOUNT_KEYS, account), Path(home, ".ssh/authorized_keys"))
        for line in _text(path).splitlines()
    ]
    return [line for line in lines if _KEY.fullmatch(line)]


def keys(users, accounts):
    """
    The files of gitolite's folder of keys: one for each key.

    users
        ``{name: {"keys": [line, …]}}``

    accounts
        Names of accounts of this host whose keys count, too, under that name.

    Returns ``{"<name>@<number>.pub": "<kind> <key>"}``. A key opens one name only: the
    first one, people before accounts, for sshd would go by the first.

    Raises CommandExecutionError where a line is no public key.

    CLI Example:

    .. code-block:: bash

        salt-call site_git.keys '{ada: {keys: [ssh-ed25519 AAAA…]}}' '[fleet]'
    """
    wanted = [(name, user.get("keys") or []) for name, user in sorted(users.items())]
    wanted += [(name, account_keys(name)) for name in accounts if name not in users]
    found, seen = {}, set()
    for name, lines in wanted:
        number = 0
        for line in lines:
            key = _KEY.fullmatch(line.strip())
            if not key:
                raise CommandExecutionError(
                    f"gitolite:users:{name}: not one line with a public key: {line[:40]}. "
                    "Cure: the whole line of a .pub file"
                )
            if key.groups() not in seen:
                seen.add(key.groups())
                found[f"{name}@{number}.pub"] = " ".join(key.groups())
                number += 1
    return found


def keys_plan(folder, users, accounts):
    """
    What differs in gitolite's folder of keys.

    folder
        Its path; it need not be there.

    users, accounts
        As for :py:func:`keys`.

    Returns ``{"write": {file: line}, "remove": [file]}``; both empty where nothing does.

    CLI Example:

    .. code-block:: bash

        salt-call site_git.keys_plan /var/lib/git/.gitolite/keydir '{}' '[fleet]'
    """
    wanted = keys(users, accounts)
    there = {
        str(path.relative_to(folder)): _text(path)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }
    return {
        "write": {
            name: line for name, line in sorted(wanted.items()) if there.get(name) != f"{line}\n"
        },
        "remove": [name for name in there if name not in wanted],
    }


def write_keys(folder, plan):
    """
    Carry out what :py:func:`keys_plan` returned.

    CLI Example: none; the state ``site_git.keys`` calls it.
    """
    # First who loses a key: a run that ends in between has let nobody in.
    for name in plan["remove"]:
        Path(folder, name).unlink()
    for name, line in plan["write"].items():
        path = Path(folder, name)
        path.write_text(f"{line}\n", encoding="utf-8")
        # Public keys; the folder is closed to others.
        path.chmod(0o644)


def _known_keys(home):
    """What sshd reads for gitolite: the pairs of name and key, and lines that are not its own."""
    pairs, foreign = [], []
    for line in _text(Path(home, ".ssh/authorized_keys")).splitlines():
        given = _LINE.fullmatch(line)
        if given:
            pairs.append((given["user"], f"{given[2]} {given[3]}"))
        elif line.strip() and not line.startswith("# gitolite "):
            foreign.append(line)
    return sorted(pairs), foreign


def _compiled(base):
    """Whether gitolite has read its configuration since that changed."""
    made = base / "conf/gitolite.conf-compiled.pm"
    if not made.exists():
        return False
    sources = (base / "conf/gitolite.conf", base.parent / ".gitolite.rc")
    return all(made.stat().st_mtime_ns > path.stat().st_mtime_ns for path in sources)


def behind(home, repositories):
    """
    What gitolite has yet to be told.

    home
        The home of its account.

    repositories
        The names of all repositories, ``<owner>/<name>``.

    Returns sentences, none where gitolite is set up as its files say.

    CLI Example:

    .. code-block:: bash

        salt-call site_git.behind /var/lib/git '[webplatform/www]'
    """
    home = Path(home)
    base = home / ".gitolite"
    found = []
    if not _compiled(base):
        found.append("the rules are not read yet")
    pairs, foreign = _known_keys(home)
    wanted = sorted(
        (path.name.partition("@")[0], _text(path).strip())
        for path in (base / "keydir").glob("*.pub")
    )
    if pairs != wanted:
        found.append("the keys are not those of the folder of keys")
    if foreign:
        found.append("there are keys that gitolite does not know")
    for name in sorted(repositories):
        path = home / "repositories" / f"{name}.git"
        if not path.is_dir():
            found.append(f"{name} is not made yet")
        elif not all((path / "hooks" / hook).exists() for hook in HOOKS):
            found.append(f"{name} has no hooks")
    return found


def _run(user, home, command, env=None):
    """Run a program as gitolite's account; return what it says."""
    result = __salt__["cmd.run_all"](
        ["runuser", "-u", user, "--", *command],
        python_shell=False,
        cwd=str(home),
        # Nothing of root's own settings of git counts.
        env={"HOME": str(home), "USER": user, "GIT_CONFIG_GLOBAL": "/dev/null"} | (env or {}),
        umask="0027",
        timeout=300,
        ignore_retcode=True,
    )
    if result["retcode"] != 0:
        said = "\n".join(part for part in (result["stdout"], result["stderr"]) if part)
        raise CommandExecutionError(f"{' '.join(command)} failed:\n{said[-4000:]}")
    return result["stdout"]


def set_up(home, user):
    """
    Let gitolite read its files: rules, keys, hooks.

    home, user
        Its account.

    Raises CommandExecutionError with gitolite's own words where it fails.

    CLI Example: none; the state ``site_git.gitolite_current`` calls it.
    """
    if _known_keys(home)[1]:
        # gitolite keeps lines that it does not know: they go with the file.
        Path(home, ".ssh/authorized_keys").unlink()
    for command in (["compile"], ["trigger", "POST_COMPILE"], ["setup", "--hooks-only"]):
        _run(user, home, ["gitolite", *command])


def _git(path, user, command, **env):
    return _run(user, path, ["git", "--git-dir", str(path), *command], env).strip()


def first_commit_needed(path, branch, seed, user):
    """
    What an empty repository lacks.

    path
        The repository.

    branch
        The branch that its HEAD is to name.

    seed
        A folder, the content of the first commit.

    user
        Who owns the repository.

    Returns None where it has any ref: then it is nobody's to touch; else
    ``{"head": str | None, "commit": bool}``, what is to be done; both falsy: nothing.

    CLI Example:

    .. code-block:: bash

        salt-call site_git.first_commit_needed /var/lib/git/repositories/a/b.git main /seed git
    """
    if _git(path, user, ["for-each-ref", "--count=1"]):
        return None
    head = f"refs/heads/{branch}"
    return {
        "head": head if _git(path, user, ["symbolic-ref", "HEAD"]) != head else None,
        "commit": any(name for _, _, names in os.walk(seed) for name in names),
    }


def seed(path, branch, seed, user, needed):
    """
    Do what :py:func:`first_commit_needed` returned.

    path, branch, seed, user
        As there.

    Returns the commit, or None where there is no seed. The same seed makes the same
    commit on every host.

    Raises CommandExecutionError with git's own words where it fails.

    CLI Example: none; the state ``site_git.seeded`` calls it.
    """
    head = f"refs/heads/{branch}"
    if needed["head"]:
        _git(path, user, ["symbolic-ref", "HEAD", head])
    if not needed["commit"]:
        return None
    index = Path(path, "seed-index")
    env = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(seed)}
    try:
        # What a run that was cut off has left there.
        _git(path, user, ["read-tree", "--empty"], **env)
        # Whatever a .gitignore in the seed says: all of it is meant.
        _git(path, user, ["-C", str(seed), "add", "--all", "--force", "."], **env)
        tree = _git(path, user, ["write-tree"], **env)
    finally:
        index.unlink(missing_ok=True)
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", AUTHOR), ("EMAIL", EMAIL), ("DATE", DATE))
    }
    commit = _git(path, user, ["commit-tree", tree, "-m", MESSAGE], **who)
    # Only where there is no such branch: somebody may have pushed meanwhile.
    _git(path, user, ["update-ref", head, commit, _NOBODY])
    return commit
