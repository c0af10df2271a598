"""Daemons of a host, put away for a while."""

import contextlib


def put_away(*units):
    """
    Two shell scripts: one stops units for as long as it takes, one starts them again.

    Monit looks every ten seconds and starts what does not run: systemd refuses it.
    """
    names = " ".join(units)
    refusals = " ".join(f"/run/systemd/system/{unit}.service.d/stopped.conf" for unit in units)
    return (
        f"for refusal in {refusals}; do mkdir -p ${{refusal%/*}} && "
        'printf "[Unit]\\nRefuseManualStart=yes\\n" > $refusal || exit 1; done; '
        f"systemctl daemon-reload && systemctl stop {names}",
        f"rm -f {refusals} && systemctl daemon-reload && systemctl start {names}",
    )


@contextlib.contextmanager
def stopped(host, *units):
    """
    Units that do not run meanwhile, and run again afterwards.

    host
        A testinfra host.

    units
        Their names.
    """
    away, back = put_away(*units)
    try:
        host.run_expect([0], away)
        yield
    finally:
        host.run_expect([0], back)
