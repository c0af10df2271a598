"""kill -9 of every daemon that the registry names: it comes back, and monit says so."""

import pytest

from tests.support import registry
from tests.support.waiting import wait_for

SECONDS = 60


def _targets(fleet):
    """One (host, service) for each service of each role, spread over the hosts."""
    found = {}
    used = dict.fromkeys((member.name for member in fleet.members), 0)
    for member in fleet.members:
        for service in registry.services(fleet.inventory.names, member.roles):
            every = service["name"] in fleet.inventory.names["every"]["services"]
            key = service["name"] if every else (member.roles[0], service["name"])
            best = found.get(key)
            if best is None or used[member.name] < used[best[0]]:
                if best:
                    used[best[0]] -= 1
                found[key] = (member.name, service)
                used[member.name] += 1
    return sorted(found.values(), key=lambda item: (item[0], item[1]["name"]))


def _main_pid(host, unit):
    return host.check_output(f"systemctl show --value --property=MainPID {unit}")


@pytest.fixture(scope="module")
def struck(fleet):
    """Every daemon killed at once; what its process and monit's log were before."""
    before = {}
    for name, service in _targets(fleet):
        host = fleet.host(name)
        pid = _main_pid(host, service["unit"])
        lines = int(host.check_output("wc -l < /var/log/monit.log"))
        before[name, service["name"]] = (pid, lines, service)
    for (name, _), (pid, _, _) in before.items():
        fleet.host(name).run(f"kill -9 {pid}")
    return before


def test_every_daemon_comes_back(fleet, struck):
    late = []
    for (name, service_name), (pid, lines, service) in struck.items():
        host = fleet.host(name)

        def back(host=host, service=service, pid=pid):
            now = _main_pid(host, service["unit"])
            return now not in ("0", pid) and host.service(service["unit"]).is_running

        def told(host=host, lines=lines, service_name=service_name):
            log = host.check_output(f"tail -n +{lines + 1} /var/log/monit.log")
            return [line for line in log.splitlines() if service_name in line]

        try:
            wait_for(back, SECONDS, f"{service_name} on {name} runs again")
            wait_for(told, SECONDS, f"monit on {name} names {service_name}")
        except AssertionError as error:
            late.append(str(error))
    assert late == []


def test_monit_is_content_again(fleet, struck):
    for name in sorted({name for name, _ in struck}):

        def fine(name=name):
            lines = fleet.host(name).check_output("monit -B summary").splitlines()[2:]
            assert all(" OK " in f"{line} " for line in lines), lines
            return True

        wait_for(fine, 120, f"monit on {name} reports every check as OK", interval=2)
