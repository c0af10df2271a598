"""
Grains ``site:roles``, ``site:level``, ``site:index``, made from the minion's id.

For people, targeting and templates. They grant nothing: a minion can claim any
grain, so pillar and states go by the id alone.
"""

import importlib.util
import logging
from pathlib import Path

import yaml

log = logging.getLogger(__name__)


def _site_hosts():
    """The module site_hosts, which stands beside this one wherever Salt puts both."""
    here = Path(__file__).resolve().parent
    for folder in (here.parent / "_modules", here.parent / "modules"):
        path = folder / "site_hosts.py"
        if path.is_file():
            spec = importlib.util.spec_from_file_location("site_hosts_for_grains", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return None


def site():
    """
    Parse the own id.

    Returns ``{"site": {"roles", "level", "index"}}``, or nothing, with a line in
    the log, where the id is wrong or the site's names are not on this host yet.

    CLI Example:

    .. code-block:: bash

        salt-call grains.get site:roles
    """
    module = _site_hosts()
    if module is None:
        log.warning("site grains wait for the module site_hosts: run saltutil.sync_all")
        return {}
    try:
        names = yaml.safe_load(Path(module.NAMES_FILE).read_text(encoding="utf-8"))
        # The master renders orchestrations as a minion of its own, with this suffix.
        host = module.parse_id(__opts__["id"].removesuffix("_master"), names)
    except (OSError, yaml.YAMLError, module.HostIdError) as error:
        log.error("no site grains: %s", error)
        return {}
    return {"site": {key: host[key] for key in ("roles", "level", "index")}}
