"""Hosts as the master sees them: they answer, and they have the site's Python."""

KINDS = ("modules", "states", "grains", "returners")


def synchronized(name, hosts, seconds=90):
    """
    Every host answers, and runs the site's Python and pillar as the master serves them.

    One job for all of it: one a kind, each of which renders pillar anew by itself, took
    a level of 17 hosts a minute.

    name
        Says what it is, for the log.

    hosts
        Their ids.

    seconds
        How long a host may take.

    .. code-block:: yaml

        every host has the site's Python:
          site_hosts.synchronized:
            - hosts: [app1.staging.wpd.internal]
    """
    ret = {"name": name, "result": True, "changes": {}}
    if __opts__["test"]:
        return dict(ret, result=None, comment=f"{len(hosts)} hosts would be asked")
    steps = {
        "test.ping": {},
        **{f"saltutil.sync_{kind}": {"refresh": False, "saltenv": "base"} for kind in KINDS},
        "saltutil.refresh_pillar": {"wait": True, "timeout": seconds},
    }
    arguments = [[{"__kwarg__": True, **given}] if given else [] for given in steps.values()]
    said = __salt__["saltutil.cmd"](hosts, list(steps), arguments, tgt_type="list", timeout=seconds)
    failed, taken = {}, {}
    for host in hosts:
        done, codes = (said.get(host, {}).get(key) for key in ("ret", "retcode"))
        if not isinstance(done, dict):
            failed[host] = str(done or "no answer")
            continue
        wrong = [step for step in steps if codes.get(step) or done.get(step) in (None, False)]
        if wrong:
            failed[host] = "; ".join(f"{step}: {done.get(step)}" for step in wrong)
        new = [part for kind in KINDS for part in done.get(f"saltutil.sync_{kind}") or []]
        if new:
            taken[host] = new
    if failed:
        why = ". ".join(f"{host}: {reason}" for host, reason in sorted(failed.items()))
        remedy = "Remedy: `./fleet status` says who is down; then `./fleet up` again"
        return dict(ret, result=False, changes=taken, comment=f"{why}. {remedy}")
    return dict(ret, changes=taken, comment=f"{len(hosts)} hosts, {len(taken)} took something new")
