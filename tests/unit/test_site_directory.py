"""The directory of people: what it must hold, and what is done about it."""

import base64
import itertools

import pytest
from salt.exceptions import CommandExecutionError

DOMAIN = "example.test"
BASE = "dc=example,dc=test"
ADA = f"uid=ada,ou=people,{BASE}"
POLICY = {
    "min_length": 10,
    "history": 3,
    "max_failures": 5,
    "count_seconds": 60,
    "lock_seconds": 60,
}
SLAPD = {
    "policies": {"default": POLICY, "privileged": POLICY},
    "groups": {"operators": {"privileged": True, "description": "Operators"}, "editors": None},
    "people": {"ada": {"given_name": "Ada", "surname": "Lovelace", "groups": ["operators"]}},
    "services": ["portal"],
}


class Server:
    """A directory that understands what the module's tools are told."""

    def __init__(self, passwords=True, fails=None):
        self.entries, self.said, self.passwords, self.fails = {}, [], passwords, fails
        self.ended = []

    def __call__(self, command, stdin=None, **_):
        if self.fails:
            return {"retcode": 255, "stdout": "", "stderr": self.fails}
        if command[0] == "ldapsearch":
            found = self.entries.get(command[command.index("-b") + 1])
            lines = [
                f"{name}:: {base64.b64encode(value.encode()).decode()}"
                if name == "cn"
                else f"{name}: {value}"
                for name, values in (found or {}).items()
                for value in values
            ]
            said = "\n".join(["dn: x", "# a comment", "", *lines])
            return {"retcode": 0 if found else 32, "stdout": said, "stderr": ""}
        if command[0] == "ldapwhoami":
            return {"retcode": 0 if self.passwords else 49, "stdout": "", "stderr": ""}
        self.change(stdin)
        return {"retcode": 0, "stdout": "", "stderr": ""}

    def change(self, ldif):
        self.said.append(ldif)
        pairs = []
        for line in ldif.splitlines():
            name, _, value = line.partition(":")
            if value.startswith(":"):
                value = base64.b64decode(value[1:]).decode()
            pairs.append((name, value.strip()))
        (_, dn), (_, kind), *rest = pairs
        if kind == "delete":
            del self.entries[dn]
        elif kind == "add":
            made = self.entries[dn] = {}
            for name, value in rest:
                if name:
                    made.setdefault(name, []).append(value)
        else:
            for name, value in rest:
                if name == "replace":
                    self.entries[dn].pop(value, None)
                elif name not in ("", "-"):
                    self.entries[dn].setdefault(name, []).append(value)


@pytest.fixture
def secrets(tmp_path):
    for name in ("portal", "person-ada"):
        (tmp_path / name).write_text(f"password of {name}")
    return str(tmp_path)


@pytest.fixture
def make(load):
    def made(server):
        return load(
            "_modules/site_directory.py",
            salt={
                "cmd.run_all": server,
                "site_lemonldap.end_sessions": server.ended.append,
            },
            pillar={"site": {"domain": DOMAIN}, "slapd": SLAPD},
        )

    return made


def said(steps):
    return [what for what, _ in steps]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ada", "ada"),
        ("Lovelace, Ada", "Lovelace\\, Ada"),
        ("a=b+c", "a\\=b\\+c"),
        ("#a", "\\#a"),
        (" a ", "\\ a\\ "),
        ("\0", "\\00"),
    ],
)
def test_a_value_stands_escaped_in_a_name(make, value, expected):
    assert make(Server()).escaped(value) == expected


def test_an_empty_directory_is_filled_and_then_left_alone(make, secrets):
    server = Server()
    module = make(server)
    steps = module.plan(DOMAIN, SLAPD, secrets)
    assert said(steps)[0] == f"{BASE}: made"
    assert f"{ADA}: made" in said(steps)
    assert said(steps)[-1] == f"{ADA}: the privileged policy"
    module.run(steps)
    assert server.entries[ADA]["userPassword"] == ["password of person-ada"]
    assert server.entries[ADA]["mail"] == ["ada@example.test"]
    assert server.entries[f"cn=operators,ou=groups,{BASE}"]["member"] == [f"cn=nobody,{BASE}", ADA]
    assert server.entries[f"cn=editors,ou=groups,{BASE}"]["description"] == ["editors"]
    assert module.plan(DOMAIN, SLAPD, secrets) == []


def test_people_and_groups_are_never_touched_again_but_the_rest_is(make, secrets):
    server = Server()
    module = make(server)
    module.run(module.plan(DOMAIN, SLAPD, secrets))
    server.entries[ADA]["sn"] = ["King"]
    server.entries[f"cn=default,ou=policies,{BASE}"]["pwdMinLength"] = ["1"]
    server.passwords = False
    steps = module.plan(DOMAIN, SLAPD, secrets)
    assert said(steps) == [
        f"cn=default,ou=policies,{BASE}: pwdMinLength set",
        f"cn=portal,ou=services,{BASE}: password set",
    ]
    module.run(steps)
    assert server.entries[f"cn=default,ou=policies,{BASE}"]["pwdMinLength"] == ["10"]


def test_who_came_into_a_privileged_group_falls_under_its_policy(make, secrets):
    server = Server()
    module = make(server)
    module.run(module.plan(DOMAIN, SLAPD, secrets))
    module.run([("", module.ldif(f"uid=bob,ou=people,{BASE}", "add", {"uid": ["bob"]}))])
    members = server.entries[f"cn=operators,ou=groups,{BASE}"]["member"]
    members += [f"uid=bob,ou=people,{BASE}", f"uid=gone,ou=people,{BASE}"]
    assert said(module.plan(DOMAIN, SLAPD, secrets)) == [
        f"uid=bob,ou=people,{BASE}: the privileged policy"
    ]


def test_a_group_that_is_not_there_is_an_error(make):
    people = {"ada": dict(SLAPD["people"]["ada"], groups=["nowhere"])}
    with pytest.raises(CommandExecutionError, match="nowhere"):
        make(Server()).entries(DOMAIN, dict(SLAPD, people=people))


def test_a_second_host_waits_for_the_first_s_copy(make, secrets, monkeypatch):
    server = Server()
    module = make(server)
    clock = itertools.count()
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    with pytest.raises(CommandExecutionError, match="no other host"):
        module.plan(DOMAIN, SLAPD, secrets, wait=5, founds=False)
    assert next(clock) > 5


def test_a_directory_that_does_not_answer_is_an_error(make):
    with pytest.raises(CommandExecutionError, match="Can't contact"):
        make(Server(fails="Can't contact LDAP server")).read(BASE)


def test_operators_add_lock_unlock_and_remove(make):
    server = Server()
    module = make(server)
    assert "made" in module.person_add("bob", "Bob", "Smith", "bob@example.test")
    bob = f"uid=bob,ou=people,{BASE}"
    assert "userPassword" not in server.entries[bob]
    assert "locked" in module.person_lock("bob")
    assert server.entries[bob]["pwdAccountLockedTime"] == ["000001010000Z"]
    assert server.ended == ["bob"]
    assert "may sign in" in module.person_unlock("bob")
    assert "pwdAccountLockedTime" not in server.entries[bob]
    before = len(server.said)
    module.person_unlock("bob")
    assert len(server.said) == before
    module.person_remove("bob")
    assert bob not in server.entries
    assert server.ended == ["bob", "bob"]
    with pytest.raises(CommandExecutionError, match="nobody"):
        module.person_lock("bob")


def test_groups_are_changed_by_operators(make, secrets):
    server = Server()
    module = make(server)
    module.run(module.plan(DOMAIN, SLAPD, secrets))
    module.person_add("bob", "Bob", "Smith", "bob@example.test")
    bob = f"uid=bob,ou=people,{BASE}"
    assert module.group_set("bob", "operators").endswith("in operators")
    assert module.groups() == {"editors": [], "operators": ["ada", "bob"]}
    assert server.entries[bob]["pwdReset"] == ["TRUE"]
    assert server.entries[bob]["pwdPolicySubentry"] == [f"cn=privileged,ou=policies,{BASE}"]
    before = len(server.said)
    module.group_set("bob", "operators")
    assert len(server.said) == before
    assert server.ended == ["bob"], "groups are read at sign-in: each change ends the sessions"
    module.group_set("bob", "editors")
    assert server.ended == ["bob", "bob"]
    module.group_set("bob", "operators", member=False)
    assert module.groups() == {"editors": ["bob"], "operators": ["ada"]}
    with pytest.raises(CommandExecutionError, match="no such group"):
        module.group_set("bob", "nowhere")


# -- the state -----------------------------------------------------------------


def state(load, plan, test=False):
    done = []

    def planned(*arguments):
        if isinstance(plan, Exception):
            raise plan
        return plan

    module = load(
        "_states/site_directory.py",
        salt={"site_directory.plan": planned, "site_directory.run": done.append},
        opts={"test": test},
    )
    return module.filled(DOMAIN, SLAPD, "/secrets"), done


def test_nothing_to_do_is_no_change(load):
    for test in (False, True):
        ret, done = state(load, [], test)
        assert (ret["result"], ret["changes"], done) == (True, {}, [])


def test_what_is_missing_is_made(load):
    ret, done = state(load, [("a: made", "ldif")])
    assert (ret["result"], ret["changes"]) == (True, {DOMAIN: ["a: made"]})
    assert done == [[("a: made", "ldif")]]


def test_a_test_run_says_so_and_does_nothing(load):
    ret, done = state(load, [("a: made", "ldif")], test=True)
    assert (ret["result"], ret["changes"], done) == (None, {DOMAIN: ["a: made"]}, [])


def test_a_directory_that_is_away_fails_or_is_foretold(load):
    away = CommandExecutionError("away")
    assert state(load, away)[0]["result"] is False
    assert state(load, away, test=True)[0]["result"] is None
