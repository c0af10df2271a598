"""Fixtures of every step that works on hosts."""

import contextlib
import secrets
import subprocess
import time

import pytest
import yaml

from tests.support import evidence, pushes
from tests.support.accounts import Portal
from tests.support.blog import LOGIN, Author, Blog
from tests.support.browser import Chromium, Visitor
from tests.support.hosts import LEVEL, Fleet
from tests.support.site import Site
from tests.support.wiki import Writer
from tools.inventory import TREE


def pytest_addoption(parser):
    parser.addoption(
        "--fleet-ssh-config",
        help="SSH configuration that names the hosts; left out, the sandbox's own",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "role(name): run once for each host of that role")


def _fleet(config):
    """The fleet under test, opened once a run."""
    if not hasattr(config, "saltworks_fleet"):
        path = config.getoption("--fleet-ssh-config")
        if not path:
            subprocess.run(
                [str(TREE / "fleet"), "--level", LEVEL, "ssh-config"],
                check=True,
                capture_output=True,
            )
            path = f"/var/lib/saltworks/{LEVEL}/ssh/config"
        config.saltworks_fleet = Fleet(path)
    return config.saltworks_fleet


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.began = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and hasattr(item.config, "saltworks_fleet"):
        folder = evidence.keep(item.config.saltworks_fleet, item.nodeid, item.began)
        if folder:
            report.sections.append(("what the hosts logged meanwhile", str(folder)))
    return report


@pytest.fixture(scope="session")
def fleet(request):
    """The hosts of the level under test."""
    return _fleet(request.config)


@pytest.fixture
def host(request, fleet):
    """One host: a test that takes it runs for every host of its ``role`` mark, or for all."""
    return fleet.host(request.param)


def pytest_generate_tests(metafunc):
    # A test that names a parameter `host` of its own does not ask for the fixture.
    if not {"host", "fleet"} <= set(metafunc.fixturenames):
        return
    mark = metafunc.definition.get_closest_marker("role")
    wanted = set(mark.args[0].split("-")) if mark else set()
    names = [
        member.name for member in _fleet(metafunc.config).members if wanted <= set(member.roles)
    ]
    metafunc.parametrize("host", names, indirect=True)


@pytest.fixture(scope="session")
def sandbox():
    """The sandbox as containers: for drills that stop, kill and start hosts."""
    from tools import inventory
    from tools.sandbox import Sandbox

    return Sandbox(inventory.load(LEVEL))


@pytest.fixture(scope="session")
def site(fleet, tmp_path_factory):
    """The public sites of the level under test, and a way to them."""
    with Site(fleet, tmp_path_factory.mktemp("site")).resolving() as made:
        yield made


@pytest.fixture(scope="session")
def portal(site):
    """The accounts site."""
    return Portal(site)


@pytest.fixture
def account(portal):
    """Somebody without rights: name and password."""
    uid, password = f"test-{secrets.token_hex(4)}", secrets.token_hex(8)
    portal.make(uid, password)
    yield uid, password
    portal.remove(uid)


@pytest.fixture(scope="session")
def blog(site):
    """The blog."""
    return Blog(site)


@pytest.fixture(scope="module")
def author(blog, portal):
    """An editor of the blog, signed in; what was written goes with the editor."""
    word = secrets.token_hex(8)
    portal.remove(LOGIN)
    portal.make(LOGIN, word)
    portal.join(LOGIN, "blog-editors")
    yield Author(blog, portal, word)
    portal.remove(LOGIN)
    blog.forget(LOGIN)


@pytest.fixture(scope="module")
def frontends(fleet):
    """The hosts that run the static sites."""
    return fleet.with_role("frontend")


@pytest.fixture(scope="module")
def pusher(fleet, tmp_path_factory):
    """Somebody who may push to a static site; what was live is live again at the end."""
    made = pushes.Pusher(fleet, tmp_path_factory.mktemp("pusher"), pushes.APP)
    yield made
    made.restore()


@pytest.fixture(scope="session", name="secrets")
def level_secrets(fleet):
    """The level's secrets; where they are not in clear, the test is skipped."""
    return fleet.secrets()


@pytest.fixture(scope="module")
def password(secrets):
    """The wiki's first account's password."""
    return secrets["mediawiki-admin"]


@pytest.fixture(scope="module")
def writer(site, password):
    """Somebody who may write in the wiki; the pages made go at the end."""
    made = Writer(site, password)
    yield made
    made.tidy()


@pytest.fixture(scope="session")
def chromium(site, tmp_path_factory):
    """The browser's program: started when the first test asks for a visitor."""
    program = Chromium(
        site.domain,
        site.addresses[0],
        site.ca.read_text("utf-8"),
        tmp_path_factory.mktemp("chromium"),
        yaml.safe_load((TREE / "pillar/domains.yaml").read_text("utf-8")).get(LEVEL) or (),
    )
    yield program
    program.close()


@pytest.fixture
def visitors(chromium, request):
    """Makes visitors, each with an empty profile: ``visitors()``, ``visitors(size=PHONE)``."""
    with contextlib.ExitStack() as after:

        def make(name="", **more):
            words = [request.node.name.removeprefix("test_"), name]
            made = Visitor(chromium, "-".join(word for word in words if word), **more)
            after.callback(made.close)
            return made

        yield make


@pytest.fixture
def visitor(visitors):
    """One visitor with an empty profile, in a real browser; see tests/support/browser.py."""
    return visitors()
