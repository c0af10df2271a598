"""Fixtures of the steps of the ladder that need no host: trees, and hosts compiled from them."""

import shutil
from pathlib import Path

import pytest
import yaml

from tools import compiler

TREE = Path(__file__).resolve().parents[2]
HOSTS = [
    (level, host) for level in compiler.levels(TREE) for host in compiler.host_ids(TREE, level)
]
# A test that takes `level` and `host_id`, once for each host of each level.
every_host = pytest.mark.parametrize(("level", "host_id"), HOSTS, ids=[host for _, host in HOSTS])


def none(problems):
    """Fail with the problems, one in a line, where there are any."""
    if problems:
        pytest.fail("\n" + "\n".join(problems), pytrace=False)


@pytest.fixture(scope="session")
def tree():
    """The repository."""
    return TREE


@pytest.fixture(scope="session")
def registry(tree):
    """The table of roles."""
    return yaml.safe_load((tree / "pillar/registry.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def compiled(tree):
    """Every host of every level, compiled: ``{level: {host id: result}}``."""
    wanted = {level: compiler.host_ids(tree, level) for level in compiler.levels(tree)}
    results = compiler.compile_hosts(tree, [host for ids in wanted.values() for host in ids])
    return {level: {host: results[host] for host in ids} for level, ids in wanted.items()}


@pytest.fixture
def small_tree(tmp_path, tree):
    """
    A whole tree of one role, to break in one place and see it refused.

    Identity, top files and the master's configuration are the repository's own.
    """
    root = tmp_path / "small"
    for path in (
        "_modules/site_hosts.py",
        "etc/master.d/site.conf",
        "pillar/top.sls",
        "salt/top.sls",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / path, root / path)
    for path, text in SMALL_TREE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


SMALL_TREE = {
    "inventory/sandbox.yaml": "level: sandbox\nnetwork: 10.1.0.0/24\nhosts:\n  memo1:\n  memo2:\n",
    "inventory/staging.yaml": "level: staging\nhosts:\n  memo1:\n",
    "pillar/registry.yaml": (
        "domain: wpd.internal\n"
        "every: {services: {}}\n"
        "roles:\n"
        "  memo: {kind: service, purpose: Keeps notes, owner: platform, needs: {memo: 1}}\n"
    ),
    "pillar/common.sls": 'registry: {{ salt["site_hosts.registry"]() | json }}\n',
    "pillar/level/sandbox.sls": "site: {level: sandbox, domain: webplatform.test}\n",
    "pillar/level/staging.sls": "site: {level: staging, domain: webplatformstaging.org}\n",
    "pillar/role/memo.sls": (
        "#!jinja|yaml|gpg\n"
        '{%- set level = salt["site_hosts.parse"](opts["id"]).level %}\n'
        '{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}\n'
        "memo:\n"
        "  secrets:\n"
        '    password: {{ secrets["memo-password"] | json }}\n'
    ),
    "pillar/schema/registry.yaml": "type: object\n",
    "pillar/schema/tls.yaml": "type: object\n",
    "pillar/schema/site.yaml": (
        "type: object\n"
        "additionalProperties: false\n"
        "required: [level, domain]\n"
        "properties: {level: {type: string}, domain: {type: string}}\n"
    ),
    "pillar/schema/memo.yaml": (
        "type: object\n"
        "additionalProperties: false\n"
        "properties:\n"
        "  port: {type: integer}\n"
        "  secrets:\n"
        "    type: object\n"
        "    additionalProperties: false\n"
        "    properties: {password: {type: string}}\n"
    ),
    "pillar/secrets/sandbox/secrets.yaml": "memo-password: sandbox-only-memo-fake\n",
    "pillar/secrets/staging/secrets.yaml": (
        "memo-password: |\n"
        "  -----BEGIN PGP MESSAGE-----\n\n"
        "  hF4D654Bh7BTTCgSAQdAriyy0PAnK\n"
        "  =6Sht\n"
        "  -----END PGP MESSAGE-----\n"
    ),
    "salt/role/memo.sls": "# Role memo: keeps notes.\n# Owner: platform\ninclude:\n  - memo\n",
    "salt/memo/README.md": "# memo\n\n| key | default |\n|---|---|\n| `memo:port` | 11211 |\n",
    "salt/memo/defaults.yaml": "# Where it listens.\nport: 11211\n",
    "salt/memo/init.sls": (
        '{%- import_yaml "memo/defaults.yaml" as defaults %}\n'
        '{%- set memo = salt["slsutil.merge"](defaults, pillar.get("memo", {})) %}\n'
        "memo-packages:\n"
        "  pkg.installed:\n"
        "    - pkgs: [memo]\n"
        "\n"
        "memo-config:\n"
        "  file.managed:\n"
        "    - name: /etc/memo.conf\n"
        "    - source: salt://memo/templates/memo.conf.j2\n"
        "    - template: jinja\n"
        '    - context: {{ {"memo": memo, "peers": salt["site_hosts.peers"]("memo"),'
        ' "address": salt["site_hosts.address"]()} | json }}\n'
        "    - user: root\n"
        "    - group: root\n"
        '    - mode: "0640"\n'
        "    - show_changes: False\n"
        "    - require:\n"
        "      - pkg: memo-packages\n"
        "\n"
        "memo-service:\n"
        "  service.running:\n"
        "    - name: memo\n"
        "    - enable: True\n"
        "    - watch:\n"
        "      - file: memo-config\n"
    ),
    "salt/memo/templates/memo.conf.j2": (
        "# Managed by Saltworks: memo. Local changes are overwritten.\n"
        "listen {{ address }}:{{ memo.port }}\n"
        "password {{ memo.secrets.password }}\n"
        "{% for peer in peers %}peer {{ peer.name }} {{ peer.address }}\n{% endfor %}"
    ),
}
