"""The ways in, the names, the certificate and the keeping of logs on every host."""

import subprocess

import pytest

SITE = "/etc/ssl/site"


# -- openssh, users --------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("permitrootlogin", "no"),
        ("passwordauthentication", "no"),
        ("kbdinteractiveauthentication", "no"),
        ("authenticationmethods", "publickey"),
    ],
)
def test_sshd_takes_keys_alone(host, setting, value):
    assert f"{setting} {value}" in host.check_output("/usr/sbin/sshd -T").splitlines()


# Two and no more: with the third, sshd would not listen to this address for a while.
@pytest.mark.parametrize(
    ("user", "options"), [("root", []), (None, ["-o", "PubkeyAuthentication=no"])]
)
def test_sshd_refuses(host, fleet, user, options):
    done = subprocess.run(
        ["ssh", "-F", str(fleet.ssh_config), "-o", "BatchMode=yes", "-o", "ControlPath=none"]
        + (["-l", user] if user else [])
        + [*options, host.id, "true"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_nobody_but_root_changes_who_may_log_in(host):
    listed = host.check_output(
        "find /etc/ssh/authorized_keys.d /etc/sudoers.d -printf '%U %m %p\n'"
    )
    for line in listed.splitlines():
        owner, mode, path = line.split(" ", 2)
        assert owner == "0", path
        assert not int(mode, 8) & 0o022, path
    host.run_expect([0], "visudo -c")


# -- hosts -----------------------------------------------------------------------


def test_every_host_knows_every_host_by_both_names(host, fleet):
    for other in fleet.members:
        for name in (other.id, other.name):
            address = host.check_output("getent ahostsv4 %s | head -n 1", name).split()[0]
            assert not address.startswith("127."), name


# -- tls -------------------------------------------------------------------------


def test_certificate_is_good_for_a_month_and_for_this_host(host):
    host.run_expect([0], f"openssl verify -purpose sslserver -x509_strict {SITE}/host.crt")
    host.run_expect([0], f"openssl x509 -in {SITE}/host.crt -noout -checkend 2592000")
    for name in (host.id, host.name, "localhost"):
        host.run_expect([0], f"openssl verify -verify_hostname {name} {SITE}/host.crt")
    host.run_expect([2], f"openssl verify -verify_hostname stranger.{host.id} {SITE}/host.crt")


def test_key_fits_and_is_read_by_its_group_alone(host):
    key = host.file(f"{SITE}/host.key")
    assert (key.user, key.group, key.mode) == ("root", "ssl-cert", 0o640)
    assert host.check_output(f"openssl pkey -in {SITE}/host.key -pubout") == host.check_output(
        f"openssl x509 -in {SITE}/host.crt -noout -pubkey"
    )
    assert host.run(f"runuser -u nobody -- cat {SITE}/host.key").rc != 0


@pytest.mark.role("salt")
def test_the_authority_is_kept_apart_from_what_hosts_are_given(host):
    ca = host.file("/var/lib/saltworks/ca")
    assert (ca.user, ca.mode) == ("root", 0o700)
    given = host.check_output("find /var/lib/saltworks/pki -name 'ca.key'")
    assert given == ""


# -- upgrades and logs -------------------------------------------------------------


@pytest.mark.parametrize("timer", ["apt-daily.timer", "apt-daily-upgrade.timer", "logrotate.timer"])
def test_timer(host, timer):
    assert host.service(timer).is_enabled
    assert host.service(timer).is_running


def test_upgrades_are_security_alone_and_do_not_reboot(host):
    config = host.check_output("apt-config dump")
    origins = [line for line in config.splitlines() if "Origins-Pattern::" in line]
    assert origins
    assert all("label=Debian-Security" in line for line in origins)
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in config


def test_logrotate_has_nothing_to_complain_of(host):
    said = host.run("logrotate --debug /etc/logrotate.conf").stderr.splitlines()
    wrong = [line for line in said if line.startswith("error:") or "unknown option" in line]
    assert wrong == []


def test_journal_is_kept_on_disk_and_has_a_limit(host):
    assert (
        "SystemMaxUse=" in host.file("/etc/systemd/journald.conf.d/saltworks.conf").content_string
    )
    assert host.run("ls /var/log/journal/*/system.journal").rc == 0
