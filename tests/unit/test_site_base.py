"""The functions that the components ca, chrony, openssh and users ask."""

import pytest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVYQU1QTEUgS0VZIE9OTFksIE5PQk9EWSBIQVMgSVQh a@b"
DEFAULTS = {"state": "present", "keys": [], "groups": [], "shell": "/bin/bash"}


# -- site_keys -------------------------------------------------------------------


def test_accepted_keys_are_the_files_of_the_folder(load, tmp_path):
    site_keys = load("_modules/site_keys.py")
    (tmp_path / "db1.sandbox.wpd.internal").touch()
    (tmp_path / "app1.sandbox.wpd.internal").touch()
    (tmp_path / "folder").mkdir()
    assert site_keys.accepted(tmp_path) == [
        "app1.sandbox.wpd.internal",
        "db1.sandbox.wpd.internal",
    ]


def test_a_host_without_a_master_is_told_so(load, tmp_path):
    site_keys = load("_modules/site_keys.py")
    with pytest.raises(site_keys.CommandExecutionError, match="ask the master"):
        site_keys.accepted(tmp_path / "missing")


# -- site_machine ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("virtual", "owns"),
    [("physical", True), ("kvm", True), ("container", False), ("systemd-nspawn", False)],
)
def test_the_clock_belongs_to_who_has_the_kernel(load, virtual, owns):
    site_machine = load("_modules/site_machine.py", grains={"virtual": virtual})
    assert site_machine.owns_clock() is owns


# -- site_ca ---------------------------------------------------------------------


def test_certificates_name_the_host_and_a_frontend_the_site(load):
    site_ca = load("_modules/site_ca.py")
    hosts = {
        "db1.sandbox.wpd.internal": {"name": "db1", "roles": ["db"]},
        "frontend1.sandbox.wpd.internal": {"name": "frontend1", "roles": ["frontend"]},
    }
    site_ca.__salt__ = {
        "site_hosts.accepted": lambda: list(hosts),
        "site_hosts.parse": lambda host_id: dict(hosts[host_id], id=host_id),
    }
    assert site_ca.certificates("webplatform.test") == [
        {
            "id": "db1.sandbox.wpd.internal",
            "name": "db1",
            "subject_alt_name": "DNS:db1.sandbox.wpd.internal, DNS:db1, DNS:localhost, "
            "IP:127.0.0.1",
        },
        {
            "id": "frontend1.sandbox.wpd.internal",
            "name": "frontend1",
            "subject_alt_name": "DNS:frontend1.sandbox.wpd.internal, DNS:frontend1, "
            "DNS:localhost, DNS:webplatform.test, DNS:*.webplatform.test, IP:127.0.0.1",
        },
    ]


def test_no_accepted_host_is_refused(load):
    site_ca = load("_modules/site_ca.py")
    site_ca.__salt__ = {"site_hosts.accepted": list}
    with pytest.raises(site_ca.CommandExecutionError, match="accepted no key"):
        site_ca.certificates("webplatform.test")


# -- site_users ------------------------------------------------------------------


def test_a_plan_fills_in_what_pillar_leaves_out(load):
    plan = load("_modules/site_users.py").plan(
        {"zoe": {"state": "absent"}, "ada": {"keys": [KEY], "home": "/srv/ada"}}, DEFAULTS
    )
    assert plan == {
        "present": [
            {
                "name": "ada",
                "state": "present",
                "keys": [KEY],
                "groups": [],
                "shell": "/bin/bash",
                "home": "/srv/ada",
            }
        ],
        "absent": [
            {
                "name": "zoe",
                "state": "absent",
                "keys": [],
                "groups": [],
                "shell": "/bin/bash",
                "home": "/home/zoe",
            }
        ],
    }


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ({"Ada": {"keys": [KEY]}}, "users:Ada: a name is"),
        ({"a" * 32: {"keys": [KEY]}}, "a name is"),
        ({"../etc/passwd": {"state": "absent"}}, "a name is"),
        ({"root": {"state": "absent"}}, "users:root: that account belongs to the system"),
        ({"ada": {"keys": [KEY], "state": "gone"}}, "present or absent, not 'gone'"),
        ({"ada": {}}, "users:ada: no key"),
        ({"ada": {"keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}}, "not one line"),
        ({"ada": {"keys": [f"{KEY}\n{KEY}"]}}, "not one line"),
    ],
)
def test_a_plan_refuses(load, users, message):
    site_users = load("_modules/site_users.py")
    with pytest.raises(site_users.CommandExecutionError, match=message):
        site_users.plan(users, DEFAULTS)


def test_only_who_is_present_may_log_in(load):
    users = {"zoe": {}, "ada": {"state": "present"}, "bob": {"state": "absent"}}
    assert load("_modules/site_users.py").names(users) == ["ada", "zoe"]
