"""
A real browser for tests on hosts: Debian's Chromium, headless, driven by Playwright.

It knows the public names of one level, its further domains among them, and no other
name at all: they lead to a frontend of the inventory, and everything else does not
resolve. It trusts the level's authority and checks every certificate. Each visitor
begins with an empty profile.
"""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tools import machine

PROGRAM = machine.TEST_PACKAGES["chromium"]
SCREENSHOTS = machine.CACHE / "screenshots"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}
FLAGS = [
    # Root runs the tests; Chromium's own sandbox wants somebody else.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
]
SECONDS = 30


class Chromium:
    """
    The program, started once for a run of tests.

    domain
        The level's public domain. It and all names in it lead to ``address``.

    address
        Where a frontend is.

    authority
        Text of the authority's certificate (PEM), or None to trust nobody.

    folder
        An empty folder for what the program keeps while it runs.

    further
        Domains that lead to ``address``, too.
    """

    def __init__(self, domain, address, authority, folder, further=()):
        self.domain, self.address, self.further = domain, address, further
        self._folder = Path(folder)
        self._trust(authority)
        self._after = contextlib.ExitStack()
        self._program = None
        # Playwright's own half; only one may run in a process.
        self.driver = None

    def _trust(self, authority):
        """A home whose store of certificates has the level's authority and no other."""
        store = self._folder / ".pki" / "nssdb"
        store.mkdir(parents=True)
        steps = [["-N", "--empty-password"]]
        if authority:
            certificate = self._folder / "ca.crt"
            certificate.write_text(authority, encoding="ascii")
            steps.append(["-A", "-t", "C,,", "-n", "level", "-i", str(certificate)])
        for words in steps:
            subprocess.run(
                ["certutil", "-d", f"sql:{store}", *words], check=True, capture_output=True
            )

    def _rules(self):
        names = (self.domain, f"*.{self.domain}", *self.further)
        ours = [f"MAP {name} {self.address}" for name in names]
        return ",".join([*ours, "MAP * ~NOTFOUND"])

    def start(self):
        """Start the program, at the first visitor; return it."""
        if self._program is None:
            from playwright.sync_api import sync_playwright

            if self.driver is None:
                self.driver = self._after.enter_context(sync_playwright())
            # What the machine says of proxies and homes is not for this browser.
            kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            self._program = self.driver.chromium.launch(
                executable_path=PROGRAM,
                env={**kept, "HOME": str(self._folder), "TMPDIR": str(self._folder)},
                args=[*FLAGS, f"--host-resolver-rules={self._rules()}", "--no-proxy-server"],
                timeout=SECONDS * 1000,
            )
            self._after.callback(self._program.close)
        return self._program

    def close(self):
        """Stop it."""
        self._after.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Visitor:
    """
    Somebody with a browser: cookies, cache and storage of their own, one page open.

    chromium
        :py:class:`Chromium`.

    name
        What screenshots of this visitor are called by.

    ``errors`` has what the console and the network said was wrong: ``["sentence"]``.
    Anything else is Playwright's: ``visitor.page`` is its Page.
    """

    def __init__(self, chromium, name, size=None, **more):
        self.chromium, self.name, self.errors = chromium, name, []
        self.context = chromium.start().new_context(
            viewport=size or DESK, locale="en-GB", timezone_id="UTC", **more
        )
        self.context.set_default_timeout(SECONDS * 1000)
        self.page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        self.page.on(
            "requestfailed", lambda request: self.errors.append(f"{request.url}: {request.failure}")
        )

    def _heard(self, message):
        if message.type == "error":
            where = (message.location or {}).get("url", "")
            self.errors.append(f"console: {message.text} {where}".strip())

    def open(self, host="", path="/"):
        """
        Open a page of a site of the level: ``open("docs", "/wiki/Main_Page")``.

        Returns Playwright's Response: ``status``, ``headers`` …
        """
        name = ".".join(part for part in (host, self.chromium.domain) if part)
        return self.page.goto(f"https://{name}{path}", wait_until="load")

    def shot(self, what="page", whole=True):
        """
        Keep a picture of the page, for people; return its path.

        They stand in a folder that outlives the run: /var/cache/saltworks/screenshots.
        """
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', f'{self.name}-{what}')}.png"
        self.page.screenshot(path=file, full_page=whole)
        return file

    def security_key(self):
        """
        Plug in a security key (WebAuthn) that always says yes; return its id.

        It is Chromium's own virtual one, and answers as hardware would.
        """
        session = self.context.new_cdp_session(self.page)
        session.send("WebAuthn.enable")
        answer = session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "usb",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        return answer["authenticatorId"]

    def close(self):
        """Leave; nothing of this visitor stays."""
        self.context.close()
