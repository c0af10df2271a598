"""kill -9 of every daemon that the registry names: it comes back, and monit says so."""

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


def test_daemons_die(drill):
    """
    Daemons die, one of each kind, at the same moment.

    As by a crash or for want of memory: `kill -9`.

    Noticed: `/var/log/monit.log` of the host, within ten seconds: the process does not
    run, or has another PID.

    Heals: systemd starts it again, without end; where it does not, monit does. Both
    leave a line in their logs.

    Do: nothing at once. Before you go back to bed, find out why it died:
    [daemon-down](../daemon-down.md).
    """
    fleet, before = drill.fleet, {}
    for name, service in _targets(fleet):
        host = fleet.host(name)
        lines = int(host.check_output("wc -l < /var/log/monit.log"))
        before[name, service["name"]] = (_main_pid(host, service["unit"]), lines, service)
    drill.load()
    drill.happens(f"{len(before)} daemons are killed")
    for (name, _), (pid, _, _) in before.items():
        fleet.host(name).run(f"kill -9 {pid}")
    late = []
    for (name, service_name), (pid, lines, service) in before.items():
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
    drill.detected("each runs again, and monit has told of it")

    def content():
        for name in sorted({name for name, _ in before}):
            lines = fleet.host(name).check_output("monit -B summary").splitlines()[2:]
            assert all(" OK " in f"{line} " for line in lines), (name, lines)
        return drill.served()

    drill.recovered("every check of monit is OK, and clients are served", 120, content)
