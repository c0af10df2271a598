"""
gitolite and its repositories are as wanted. All questions and decisions are those of
the execution module of the same name.
"""

from pathlib import Path

from salt.exceptions import CommandExecutionError


def keys(name, users=None, accounts=None):
    """
    gitolite's folder of keys holds these and no others.

    name
        The folder.

    users, accounts
        As in ``site_git.keys``.

    .. code-block:: yaml

        gitolite-keys:
          site_git.keys:
            - name: /var/lib/git/.gitolite/keydir
            - users: {ada: {keys: ["ssh-ed25519 AAAA…"]}}
            - accounts: [fleet]
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": "The keys are as wanted"}
    try:
        plan = __salt__["site_git.keys_plan"](name, users or {}, accounts or [])
        changes = {what: sorted(plan[what]) for what in ("write", "remove") if plan[what]}
        if not changes:
            return ret
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment="The keys would be changed")
        __salt__["site_git.write_keys"](name, plan)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes=changes, comment="The keys were changed")


def gitolite_current(name, user, repositories):
    """
    gitolite has read its files, and every repository is there with its hooks.

    name, user
        The home and the name of its account.

    repositories
        The names of all repositories.

    .. code-block:: yaml

        gitolite-current:
          site_git.gitolite_current:
            - name: /var/lib/git
            - user: git
            - repositories: [webplatform/www]
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": "gitolite is up to date"}
    try:
        left = __salt__["site_git.behind"](name, repositories)
        if not left:
            return ret
        if __opts__["test"]:
            return dict(ret, result=None, changes={name: left}, comment="gitolite would be set up")
        __salt__["site_git.set_up"](name, user)
        still = __salt__["site_git.behind"](name, repositories)
        if still:
            raise CommandExecutionError(
                f"gitolite was set up, and yet: {'; '.join(still)}. "
                "Cure: run `gitolite setup` by hand as its account, and read what it says"
            )
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    return dict(ret, changes={name: left}, comment="gitolite was set up")


def mod_watch(name, user, repositories, sfun=None, **_):
    """
    What gitolite reads has changed, or would. By then it has been told, but for a
    prediction: there the files are still the old ones.

    name, user, repositories
        As in :py:func:`gitolite_current`, the one state that this stands for.
    """
    if __opts__["test"]:
        changes = {name: ["its files would change"]}
        return {
            "name": name,
            "result": None,
            "changes": changes,
            "comment": "gitolite would be set up",
        }
    return gitolite_current(name, user, repositories)


def seeded(name, branch, seed, user):
    """
    A repository without any ref gets its HEAD and, where it has a seed, a first commit.
    A repository that has a ref is never touched.

    name
        The repository's path.

    branch, seed, user
        As in ``site_git.first_commit_needed``.

    .. code-block:: yaml

        gitolite-seed-www:
          site_git.seeded:
            - name: /var/lib/git/repositories/webplatform/www.git
            - branch: main
            - seed: /usr/local/share/git-seeds/webplatform/www
            - user: git
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": "It is in use"}
    try:
        if not Path(name).is_dir():
            if __opts__["test"]:
                return dict(ret, result=None, comment="It would be looked at once it is made")
            raise CommandExecutionError(f"{name} is no repository. Cure: gitolite makes it first")
        needed = __salt__["site_git.first_commit_needed"](name, branch, seed, user)
        if needed is None:
            return ret
        changes = {"HEAD": needed["head"]} if needed["head"] else {}
        if needed["commit"]:
            changes[branch] = "its first commit"
        if not changes:
            return dict(ret, comment="It is empty, and has no seed")
        if __opts__["test"]:
            return dict(ret, result=None, changes=changes, comment="It would be begun")
        commit = __salt__["site_git.seed"](name, branch, seed, user, needed)
    except CommandExecutionError as error:
        return dict(ret, result=False, comment=str(error))
    if commit:
        changes[branch] = commit
    return dict(ret, changes=changes, comment="It was begun")
