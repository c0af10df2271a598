"""Daemons of a host, put away for a while."""

import contextlib


@contextlib.contextmanager
def stopped(host, *units):
    """
    Units that do not run meanwhile, and run again afterwards.

    host
        A testinfra host.

    units
        Their names.

    Monit looks every ten seconds and starts what does not run: systemd refuses it.
    """
    names = " ".join(units)
    refusals = " ".join(f"/run/systemd/system/{unit}.service.d/stopped.conf" for unit in units)
    try:
        host.run_expect(
            [0],
            f"for refusal in {refusals}; do mkdir -p ${{refusal%/*}} && "
            'printf "[Unit]\\nRefuseManualStart=yes\\n" > $refusal || exit 1; done; '
            f"systemctl daemon-reload && systemctl stop {names}",
        )
        yield
    finally:
        host.run_expect(
            [0], f"rm -f {refusals} && systemctl daemon-reload && systemctl start {names}"
        )
