"""The level's public sites as somebody outside meets them: names, certificates, a browser."""

import contextlib
import socket

import pytest
import requests


class Site:
    """
    The sites behind the frontends.

    fleet
        :py:class:`tests.support.hosts.Fleet`.

    folder
        An empty folder for the authority's certificate.
    """

    def __init__(self, fleet, folder):
        frontends = fleet.with_role("frontend")
        self.fleet, self.domain = fleet, fleet.domain()
        self.addresses = [fleet.address(host.name) for host in frontends]
        self.ca = folder / "ca.crt"
        self.ca.write_text(frontends[0].file("/etc/ssl/site/ca.crt").content_string, "utf-8")

    def url(self, name, path="/"):
        """The address of a page: ``url("docs", "/wiki/Main_Page")``."""
        return f"https://{name}.{self.domain}{path}"

    def session(self):
        """A browser with its own cookies that trusts the level's authority and no other."""
        opened = requests.Session()
        opened.trust_env = False
        opened.verify = str(self.ca)
        return opened

    @contextlib.contextmanager
    def resolving(self):
        """Within it every name of the level leads to the frontends, the first one first."""
        resolve = socket.getaddrinfo

        def here(name, *rest, **more):
            if isinstance(name, str) and name.endswith(self.domain):
                return [found for at in self.addresses for found in resolve(at, *rest, **more)]
            return resolve(name, *rest, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", here)
            yield self
