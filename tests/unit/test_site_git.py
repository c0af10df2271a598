"""gitolite's keys and rules, and the first commit of an empty repository."""

import os
import subprocess
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

ADA, BOB, FLEET = (f"ssh-ed25519 AAAA{name}" for name in ("ada", "bob", "fleet"))
SHELL = 'command="/usr/share/gitolite3/gitolite-shell {}",no-pty,no-port-forwarding {}'


class Programs:
    """Runs what the module runs, without another account; gitolite answers as told."""

    def __init__(self, answer=(0, "", "")):
        self.answer, self.asked = answer, []

    def __call__(self, command, **options):
        assert options["python_shell"] is False and options["umask"] == "0027"
        assert command[:4] == ["runuser", "-u", "git", "--"]
        self.asked.append(command[4:])
        if command[4] != "git":
            code, stdout, stderr = self.answer
            return {"retcode": code, "stdout": stdout, "stderr": stderr}
        done = subprocess.run(
            command[4:],
            cwd=options["cwd"],
            env={"PATH": os.environ["PATH"]} | options["env"],
            capture_output=True,
            text=True,
            check=False,
        )
        return {"retcode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


@pytest.fixture
def programs():
    return Programs()


@pytest.fixture
def module(load, programs, monkeypatch, tmp_path):
    made = load("_modules/site_git.py", salt={"cmd.run_all": programs})
    homes = {"fleet": tmp_path / "fleet"}

    def getpwnam(name):
        return SimpleNamespace(pw_dir=str(homes[name]))

    monkeypatch.setattr(made.pwd, "getpwnam", getpwnam)
    monkeypatch.setattr(made, "ACCOUNT_KEYS", str(tmp_path / "keys.d"))
    return made


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# -- keys ------------------------------------------------------------------------


def test_an_account_s_keys_are_those_that_open_it(module, tmp_path):
    write(tmp_path / "keys.d/fleet", f"# Managed\n{FLEET} fleet-sandbox\n")
    write(tmp_path / "fleet/.ssh/authorized_keys", f'from="192.0.2.1" {BOB}\n{ADA} a b\nnoise\n')
    assert module.account_keys("fleet") == [f"{FLEET} fleet-sandbox", f"{ADA} a b"]
    assert module.account_keys("vagrant") == []


def test_each_key_is_a_file(module, tmp_path):
    write(tmp_path / "keys.d/fleet", f"{FLEET}\n{BOB}\n{FLEET}\n")
    users = {"bob": {"keys": [f"{BOB} bob@laptop"]}, "ada": {"keys": [ADA, f" {BOB} "]}, "eve": {}}
    assert module.keys(users, ["fleet", "vagrant"]) == {
        "ada@0.pub": ADA,
        "ada@1.pub": BOB,
        "fleet@0.pub": FLEET,
    }


def test_a_person_is_nobody_s_account(module, tmp_path):
    write(tmp_path / "keys.d/fleet", f"{FLEET}\n")
    assert module.keys({"fleet": {"keys": [ADA]}}, ["fleet"]) == {"fleet@0.pub": ADA}


@pytest.mark.parametrize("line", ["", "ada", f"command=x {ADA}", f"{ADA}\n{BOB}"])
def test_a_line_that_is_no_key_is_refused(module, line):
    with pytest.raises(CommandExecutionError, match="gitolite:users:ada: not one line"):
        module.keys({"ada": {"keys": [line]}}, [])


def test_the_folder_of_keys_holds_what_is_wanted(module, tmp_path):
    folder = tmp_path / "keydir"
    users = {"ada": {"keys": [ADA]}, "bob": {"keys": [BOB]}}
    plan = module.keys_plan(str(folder), users, [])
    assert plan == {"write": {"ada@0.pub": ADA, "bob@0.pub": BOB}, "remove": []}
    folder.mkdir()
    module.write_keys(str(folder), plan)
    assert (folder / "ada@0.pub").stat().st_mode & 0o777 == 0o644
    assert module.keys_plan(str(folder), users, []) == {"write": {}, "remove": []}

    write(folder / "other/eve.pub", f"{ADA}\n")
    write(folder / "bob@0.pub", f"{ADA}\n")
    plan = module.keys_plan(str(folder), {"bob": {"keys": [BOB]}}, [])
    assert plan == {"write": {"bob@0.pub": BOB}, "remove": ["ada@0.pub", "other/eve.pub"]}
    module.write_keys(str(folder), plan)
    assert module.keys_plan(str(folder), {"bob": {"keys": [BOB]}}, []) == {
        "write": {},
        "remove": [],
    }


# -- gitolite ----------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    """A gitolite that has been told everything."""
    home = tmp_path / "git"
    sources = [
        write(home / ".gitolite.rc", "1;"),
        write(home / ".gitolite/conf/gitolite.conf", "repo a/b"),
    ]
    for source in sources:
        os.utime(source, (1000, 1000))
    write(home / ".gitolite/conf/gitolite.conf-compiled.pm", "1;")
    write(home / ".gitolite/keydir/ada@0.pub", f"{ADA}\n")
    write(home / ".gitolite/keydir/bob@1.pub", f"{BOB}\n")
    lines = ["# gitolite start", SHELL.format("bob", BOB), SHELL.format("ada", ADA)]
    write(home / ".ssh/authorized_keys", "\n".join([*lines, "# gitolite end", ""]))
    for hook in ("post-receive", "update"):
        write(home / "repositories/a/b.git/hooks" / hook, "#!/bin/sh")
    return home


def test_a_gitolite_that_was_told_everything(module, home):
    assert module.behind(str(home), ["a/b"]) == []


def test_a_gitolite_that_was_told_nothing(module, tmp_path):
    write(tmp_path / "new/.gitolite/keydir/ada@0.pub", f"{ADA}\n")
    assert module.behind(str(tmp_path / "new"), ["a/b"]) == [
        "the rules are not read yet",
        "the keys are not those of the folder of keys",
        "a/b is not made yet",
    ]


@pytest.mark.parametrize("source", [".gitolite.rc", ".gitolite/conf/gitolite.conf"])
def test_what_changed_is_to_be_read_again(module, home, source):
    compiled = home / ".gitolite/conf/gitolite.conf-compiled.pm"
    later = compiled.stat().st_mtime + 5
    os.utime(home / source, (later, later))
    assert module.behind(str(home), ["a/b"]) == ["the rules are not read yet"]


def test_a_key_that_left_and_one_that_came(module, home):
    (home / ".gitolite/keydir/bob@1.pub").unlink()
    assert module.behind(str(home), ["a/b"]) == ["the keys are not those of the folder of keys"]
    write(home / ".gitolite/keydir/eve@0.pub", f"{BOB}\n")
    assert module.behind(str(home), ["a/b"]) == ["the keys are not those of the folder of keys"]


def test_a_repository_without_hooks(module, home):
    (home / "repositories/a/b.git/hooks/post-receive").unlink()
    assert module.behind(str(home), ["a/b"]) == ["a/b has no hooks"]


def test_a_key_that_somebody_added_goes(module, home, programs):
    path = home / ".ssh/authorized_keys"
    path.write_text(path.read_text("utf-8") + f"{FLEET} sneaky\n", encoding="utf-8")
    assert module.behind(str(home), ["a/b"]) == ["there are keys that gitolite does not know"]
    module.set_up(str(home), "git")
    assert not path.exists()


def test_gitolite_reads_its_files(module, home, programs):
    module.set_up(str(home), "git")
    assert (home / ".ssh/authorized_keys").exists()
    assert programs.asked == [
        ["gitolite", "compile"],
        ["gitolite", "trigger", "POST_COMPILE"],
        ["gitolite", "setup", "--hooks-only"],
    ]


def test_gitolite_s_own_words_are_told(module, home, programs):
    programs.answer = (1, "", "FATAL: bad line")
    with pytest.raises(CommandExecutionError, match="gitolite compile failed:\nFATAL: bad line"):
        module.set_up(str(home), "git")


# -- the first commit --------------------------------------------------------------


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "repository.git"
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=elsewhere", str(path)], check=True
    )
    return path


@pytest.fixture
def seed(tmp_path):
    folder = tmp_path / "seed"
    write(folder / "index.html", "<!DOCTYPE html>\n")
    write(folder / ".well-known/security.txt", "Contact: mailto:a@example.org\n")
    write(folder / ".gitignore", "kept.txt\n")
    write(folder / "sub/kept.txt", "here\n")
    return folder


def git(repository, *command):
    done = subprocess.run(
        ["git", "--git-dir", str(repository), *command],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def begin(module, repository, seed):
    given = (str(repository), "main", str(seed), "git")
    needed = module.first_commit_needed(*given)
    return needed, module.seed(*given, needed)


def test_an_empty_repository_gets_its_first_commit(module, repository, seed):
    needed, commit = begin(module, repository, seed)
    assert needed == {"head": "refs/heads/main", "commit": True}
    assert git(repository, "rev-parse", "HEAD", "refs/heads/main").split() == [commit, commit]
    shown = git(repository, "log", "--format=%an %ae %aI %cn %ce %cI %B", "main")
    who = "Saltworks git@localhost 2026-01-01T00:00:00"
    assert shown.replace("+00:00", "").replace("Z", "") == f"{who} {who} The first version"
    assert git(repository, "ls-tree", "-r", "--name-only", "main").split() == [
        ".gitignore",
        ".well-known/security.txt",
        "index.html",
        "sub/kept.txt",
    ]
    assert not (repository / "seed-index").exists()
    assert module.first_commit_needed(str(repository), "main", str(seed), "git") is None


def test_the_same_seed_makes_the_same_commit(module, repository, seed, tmp_path):
    _, first = begin(module, repository, seed)
    again = tmp_path / "again.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(again)], check=True)
    # What a run that was cut off has left.
    subprocess.run(
        [
            "git",
            "--git-dir",
            str(again),
            "--work-tree",
            str(tmp_path),
            "add",
            "repository.git/HEAD",
        ],
        env=os.environ | {"GIT_INDEX_FILE": str(again / "seed-index")},
        check=True,
    )
    assert begin(module, again, seed)[1] == first


def test_without_a_seed_only_the_head_is_set(module, repository, tmp_path):
    assert begin(module, repository, tmp_path / "none") == (
        {"head": "refs/heads/main", "commit": False},
        None,
    )
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert begin(module, repository, tmp_path / "none") == ({"head": None, "commit": False}, None)


def test_a_push_that_comes_in_between_stands(module, repository, seed):
    needed, commit = begin(module, repository, seed)
    (seed / "index.html").write_text("other", encoding="utf-8")
    with pytest.raises(CommandExecutionError, match="update-ref"):
        module.seed(str(repository), "main", str(seed), "git", needed)
    assert git(repository, "rev-parse", "main") == commit


def test_a_folder_that_is_no_repository(module, tmp_path, seed):
    (tmp_path / "none.git").mkdir()
    with pytest.raises(CommandExecutionError, match="not a git repository"):
        module.first_commit_needed(str(tmp_path / "none.git"), "main", str(seed), "git")


# -- the states --------------------------------------------------------------------


class Answers:
    """The execution module as the states see it; an exception is raised."""

    def __init__(self, **answers):
        self.asked = []
        self.salt = {
            f"site_git.{name}": self._tell(name, answer) for name, answer in answers.items()
        }

    def _tell(self, name, answer):
        answers = list(answer) if isinstance(answer, tuple) else None

        def tell(*arguments):
            self.asked.append((name, *arguments))
            said = answers.pop(0) if answers else answer
            if isinstance(said, Exception):
                raise said
            return said

        return tell

    def state(self, load, test=False):
        return load("_states/site_git.py", salt=self.salt, opts={"test": test})


AWAY = CommandExecutionError("away")
PLAN = {"write": {"ada@0.pub": ADA}, "remove": ["bob@0.pub"]}
NOTHING = {"write": {}, "remove": []}


@pytest.mark.parametrize(
    ("plan", "test", "result", "changes"),
    [
        (NOTHING, False, True, {}),
        (PLAN, True, None, {"write": ["ada@0.pub"], "remove": ["bob@0.pub"]}),
        (PLAN, False, True, {"write": ["ada@0.pub"], "remove": ["bob@0.pub"]}),
        (dict(NOTHING, remove=["b.pub"]), False, True, {"remove": ["b.pub"]}),
        (AWAY, False, False, {}),
    ],
)
def test_the_state_of_the_keys(load, plan, test, result, changes):
    answers = Answers(keys_plan=plan, write_keys=None)
    ret = answers.state(load, test).keys("/keydir")
    assert (ret["result"], ret["changes"]) == (result, changes)
    assert answers.asked[0] == ("keys_plan", "/keydir", {}, [])
    assert ("write_keys", "/keydir", plan) in answers.asked[1:] or not (result and changes)
    assert result is not False or ret["comment"] == "away"


@pytest.mark.parametrize(
    ("behind", "test", "result", "changed", "comment"),
    [
        (([],), False, True, False, "up to date"),
        ((["rules"],), True, None, True, "would be"),
        ((["rules"], []), False, True, True, "was set up"),
        ((["rules"], ["rules"]), False, False, False, "and yet: rules"),
        ((AWAY,), False, False, False, "away"),
    ],
)
def test_the_state_of_gitolite(load, behind, test, result, changed, comment):
    answers = Answers(behind=behind, set_up=None)
    ret = answers.state(load, test).gitolite_current("/git", "git", ["a/b"])
    assert (ret["result"], bool(ret["changes"])) == (result, changed)
    assert comment in ret["comment"]
    told = [asked for asked in answers.asked if asked[0] == "set_up"]
    assert told == ([("set_up", "/git", "git")] if len(behind) == 2 else [])


@pytest.mark.parametrize(("test", "result", "changed"), [(True, None, True), (False, True, False)])
def test_files_that_would_change_are_predicted(load, test, result, changed):
    state = Answers(behind=[]).state(load, test)
    ret = state.mod_watch(
        name="/git", user="git", repositories=[], sfun="gitolite_current", order=1
    )
    assert (ret["result"], bool(ret["changes"])) == (result, changed)


HEAD = "refs/heads/main"


@pytest.mark.parametrize(
    ("needed", "test", "result", "changes"),
    [
        (None, False, True, {}),
        ({"head": None, "commit": False}, False, True, {}),
        ({"head": HEAD, "commit": False}, False, True, {"HEAD": HEAD}),
        ({"head": HEAD, "commit": True}, True, None, {"HEAD": HEAD, "main": "its first commit"}),
        ({"head": None, "commit": True}, False, True, {"main": "c0ffee"}),
        (AWAY, False, False, {}),
    ],
)
def test_the_state_of_a_repository(load, tmp_path, needed, test, result, changes):
    commit = "c0ffee" if isinstance(needed, dict) and needed["commit"] else None
    answers = Answers(first_commit_needed=needed, seed=commit)
    ret = answers.state(load, test).seeded(str(tmp_path), "main", "/seed", "git")
    assert (ret["result"], ret["changes"]) == (result, changes)
    wrote = [asked[0] for asked in answers.asked if asked[0] == "seed"]
    assert wrote == (["seed"] if result and changes else [])


@pytest.mark.parametrize(("test", "result"), [(True, None), (False, False)])
def test_a_repository_that_is_not_there_yet(load, tmp_path, test, result):
    ret = Answers().state(load, test).seeded(str(tmp_path / "none"), "main", "/seed", "git")
    assert (ret["result"], ret["changes"]) == (result, {})
