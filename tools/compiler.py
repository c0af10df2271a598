"""
Compiles what Salt would do to a host, without a host, a master or a private key.

:py:func:`compile_hosts` gives, for each host of a level, its pillar, its states in
their order, every file as it would be written, and every problem that Salt's own
compiler finds or leaves unsaid. The render tests and ``./fleet preview`` use it.

Each host is compiled in a process of its own: Salt's loader keeps a context for
the whole process, and what one host left there must not reach the next.
"""

import hashlib
import ipaddress
import json
import multiprocessing
import os
import re
import shutil
import tempfile
from pathlib import Path

import yaml

from tools.inventory import is_sandbox

OFFLINE = Path(__file__).resolve().parent / "offline"
INVENTED_NETWORK = "10.0.{}.{}"
PGP_BLOCK = "BEGIN PGP MESSAGE"

# Facts of a host as the sandbox's and the clouds' Debian 13 give them: fixed, so
# that a result never depends on the machine that compiles.
GRAINS = {
    "kernel": "Linux",
    "kernelrelease": "6.12.0-1-amd64",
    "os": "Debian",
    "os_family": "Debian",
    "osfullname": "Debian GNU/Linux",
    "oscodename": "trixie",
    "osrelease": "13",
    "osmajorrelease": 13,
    "osrelease_info": [13],
    "osfinger": "Debian-13",
    "osarch": "amd64",
    "cpuarch": "x86_64",
    "init": "systemd",
    "systemd": {"version": "257", "features": ""},
    "num_cpus": 2,
    "mem_total": 4096,
    "path": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "pythonversion": [3, 13, 5, "final", 0],
}

# What a state that takes **kwargs does with them. Salt hands such a state every
# misspelt argument without a word; here each name that it knows is written down.
MYSQL = {
    "connection_charset",
    "connection_default_file",
    "connection_host",
    "connection_pass",
    "connection_port",
    "connection_unix_socket",
    "connection_use_unicode",
    "connection_user",
}
APT = {
    "cache_valid_time",
    "force_conf_new",
    "hold",
    "install_recommends",
    "only_upgrade",
    "reinstall",
}
X509 = {
    "CN", "O", "OU", "authorityKeyIdentifier", "basicConstraints", "extendedKeyUsage",
    "keyUsage", "subjectAltName", "subjectKeyIdentifier",
}  # fmt: skip
FILE = {"seuser", "serole", "setype", "serange"}
KWARGS = {
    "archive.extracted": {"options"},
    "cmd.run": {"umask"},
    "cmd.script": {"umask"},
    "file.directory": FILE | {"mode"},
    "file.managed": FILE,
    "file.recurse": FILE,
    "mysql_database.absent": MYSQL,
    "mysql_database.present": MYSQL,
    "mysql_grants.absent": MYSQL,
    "mysql_grants.present": MYSQL,
    "mysql_query.run": MYSQL,
    "mysql_user.absent": MYSQL,
    "mysql_user.present": MYSQL,
    "pkg.installed": APT,
    "pkg.latest": APT,
    "service.dead": {"no_block", "timeout"},
    "service.running": {"force", "full_restart", "no_block", "reload", "timeout"},
    "test.fail_without_changes": {"comment"},
    "test.succeed_without_changes": {"comment"},
    "x509.certificate_managed": X509,
    "x509.csr_managed": X509,
}


class CompileError(Exception):
    """The tree cannot be read at all."""


def levels(tree):
    """The levels that have an inventory, sorted."""
    return sorted(path.stem for path in (Path(tree) / "inventory").glob("*.yaml"))


def host_ids(tree, level):
    """
    The ids of a level's hosts, in the order of the inventory.

    tree
        Path of the repository, or of a checkout of another revision of it.

    level
        Name of the level, as in ``inventory/<level>.yaml``.

    Raises CompileError where there is no such inventory.
    """
    tree = Path(tree)
    path = tree / "inventory" / f"{level}.yaml"
    if not path.is_file():
        raise CompileError(f"{path}: no such inventory; known levels: {', '.join(levels(tree))}")
    inventory = yaml.safe_load(path.read_text(encoding="utf-8"))
    registry = yaml.safe_load((tree / "pillar/registry.yaml").read_text(encoding="utf-8"))
    return [f"{name}.{inventory['level']}.{registry['domain']}" for name in inventory["hosts"]]


def addresses(tree, level):
    """
    Invented, stable addresses: ``{host id: address}``, by the place in the inventory.

    Each level has a /24 of its own. Nothing is ever sent there.
    """
    # Sandboxes beside the first come last: one more moves no other's address.
    places = sorted(levels(tree), key=lambda one: (one != "sandbox" and is_sandbox(one, tree), one))
    place = places.index(level)
    return {
        host_id: INVENTED_NETWORK.format(place, number)
        for number, host_id in enumerate(host_ids(tree, level), start=11)
    }


def secrets_of(tree, level):
    """
    The table of a level's secrets as it stands in git: ``{name: value}``.

    Values are clear text in a sandbox and armoured blocks in other levels.
    """
    path = Path(tree) / "pillar/secrets" / level / "secrets.yaml"
    if not path.is_file():
        raise CompileError(f"{path}: missing. Cure: ./fleet secret init {level} --recipient FILE")
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def stand_in(level, name):
    """What stands for a secret that cannot be decrypted here: 64 hexadecimal digits."""
    return hashlib.sha256(f"stand-in {level} {name}".encode()).hexdigest()


def secret_values(tree, level):
    """What each secret of a level is in a compiled host: ``{name: value}``."""
    return {
        name: stand_in(level, name) if PGP_BLOCK in str(value) else value
        for name, value in secrets_of(tree, level).items()
    }


def compile_hosts(tree, ids, jobs=None, pillar_only=False):
    """
    Compile several hosts, each in a process of its own.

    tree
        Path of the repository, or of a checkout of another revision.

    ids
        Host ids, as :py:func:`host_ids` gives them.

    jobs
        How many at the same time; as many as there are processors if left out.

    pillar_only
        Stop after the pillar.

    Returns ``{host id: result}``, see :py:func:`compile_host`.
    """
    ids = list(ids)
    work = [(str(tree), host_id, pillar_only) for host_id in ids]
    # The fork server has Salt imported once; each host gets a fresh copy of it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tools.compiler", "tools.compiler_preload"])
    with context.Pool(jobs or os.cpu_count(), maxtasksperchild=1) as pool:
        return dict(zip(ids, pool.starmap(compile_host, work, chunksize=1), strict=True))


def compile_host(tree, host_id, pillar_only=False):
    """
    Compile one host in this process. Use a fresh process for each.

    tree
        Path of the repository, or of a checkout of another revision.

    host_id
        The id of the host; it need not stand in an inventory, but its level must
        have one.

    pillar_only
        Stop after the pillar.

    Returns a dictionary:

    ``id``
        the host id

    ``problems``
        list of text, each with the file, what is wrong and how to cure it;
        empty when the host is well

    ``pillar``
        the compiled pillar

    ``states``
        ``[{"id", "function", "sls", "name", "arguments"}, …]`` in the order of
        running; the arguments may hold secrets

    ``files``
        ``{path: {"text", "mode", "user", "group", "state", "source", "template"}}``
        of every file whose content is known offline; text is None where it is not
        UTF-8
    """
    workdir = Path(tempfile.mkdtemp(prefix="saltworks-compile-"))
    usual = tempfile.tempdir
    # Salt leaves each template that it rendered behind as a temporary file.
    tempfile.tempdir = str(workdir)
    try:
        return _Host(Path(tree).resolve(), host_id, workdir).compile(pillar_only)
    finally:
        tempfile.tempdir = usual
        shutil.rmtree(workdir, ignore_errors=True)


class _Host:
    def __init__(self, tree, host_id, workdir):
        self.tree = tree
        self.id = host_id
        self.workdir = workdir
        self.problems = []
        self.result = {
            "id": host_id,
            "problems": self.problems,
            "pillar": {},
            "states": [],
            "files": {},
        }

    def compile(self, pillar_only):
        opts = self.options()
        if opts is None:
            return self.result
        pillar = self.pillar(opts)
        self.result["pillar"] = _plain(pillar)
        if "_errors" in pillar or pillar_only:
            return self.result
        self.states(opts, pillar)
        return self.result

    def problem(self, where, what, cure):
        text = f"{where}: {' '.join(str(what).split())}. Cure: {cure}"
        if text not in self.problems:
            self.problems.append(text)

    # -- options ---------------------------------------------------------------

    def level(self):
        for level in levels(self.tree):
            if f".{level}." in self.id or f"-{level}." in self.id:
                return level
        self.problem(
            f"host id '{self.id}'",
            "its level has no inventory",
            f"add inventory/<level>.yaml; known levels: {', '.join(levels(self.tree))}",
        )
        return None

    def options(self):
        """A minion's options, with what the shipped master configuration says of pillar."""
        import salt.config
        import salt.version

        level = self.level()
        if level is None:
            return None
        master = yaml.safe_load((self.tree / "etc/master.d/site.conf").read_text(encoding="utf-8"))
        for entry in master.get("ext_pillar", []):
            if "file_tree" in entry:
                entry["file_tree"]["root_dir"] = str(self.certificates())
        known = addresses(self.tree, level)
        known.setdefault(self.id, INVENTED_NETWORK.format(255, 254))
        network = ipaddress.ip_network(f"{known[self.id]}/24", strict=False)
        overrides = {
            "id": self.id,
            "site_network": str(network),
            "file_client": "local",
            "root_dir": str(self.workdir),
            "cachedir": str(self.workdir / "cache"),
            "pki_dir": str(self.workdir / "pki"),
            "conf_file": str(self.workdir / "minion"),
            "extension_modules": str(self.workdir / "extmods"),
            "file_roots": {"base": [str(self.tree / "salt")]},
            "pillar_roots": {"base": [str(self.tree / "pillar")]},
            "ext_pillar": master.get("ext_pillar", []),
            # The last wins: the stand-ins come before Salt's own modules.
            "module_dirs": [str(self.tree), str(OFFLINE)],
            "render_dirs": [str(OFFLINE / "renderers")],
            "renderers_dirs": [str(OFFLINE / "renderers")],
            # All that is rendered here stands in git: what is wrong may be told.
            "pillar_safe_render_error": False,
            "autoload_dynamic_modules": False,
            "master_type": "disable",
            "log_level": "quiet",
            "offline": {
                "addresses": known,
                "stand_ins": {
                    "".join(value.split()): stand_in(level, name)
                    for name, value in secrets_of(self.tree, level).items()
                    if PGP_BLOCK in str(value)
                },
            },
        }
        (self.workdir / "cache").mkdir()
        opts = salt.config.apply_minion_config(overrides, minion_id=False)
        name, _, domain = self.id.partition(".")
        container = "container" if is_sandbox(level, self.tree) else "kvm"
        opts["grains"] = dict(
            GRAINS,
            id=self.id,
            saltversion=salt.version.__version__,
            host=name,
            fqdn=self.id,
            nodename=self.id,
            domain=domain,
            virtual=container,
            ip4_gw=str(network[1]),
            ipv4=["127.0.0.1", known[self.id]],
            fqdn_ip4=[known[self.id]],
        )
        return opts

    def certificates(self):
        """Stand-ins for the certificates that the master makes; returns their root."""
        root = self.workdir / "certificates"
        folder = root / "hosts" / self.id / "tls"
        folder.mkdir(parents=True)
        for name, kind in (
            ("host.crt", "CERTIFICATE"),
            ("host.key", "STAND-IN KEY"),
            ("ca.crt", "CERTIFICATE"),
        ):
            digits = hashlib.sha256(f"{self.id} {name}".encode()).hexdigest()
            (folder / name).write_text(
                f"-----BEGIN {kind}-----\n{digits}\n-----END {kind}-----\n", encoding="utf-8"
            )
        return root

    # -- pillar ----------------------------------------------------------------

    def pillar(self, opts):
        import salt.pillar
        import salt.utils.data

        try:
            # A copy: rendering pillar must leave nothing behind in the minion's options.
            pillar = salt.pillar.Pillar(
                dict(opts), dict(opts["grains"]), self.id, "base"
            ).compile_pillar()
        except Exception as error:  # whatever it is, it is what is wrong with the tree
            self.problem(f"pillar of {self.id}", error, "mend the pillar file that it names")
            return {"_errors": [str(error)]}
        # The wire between master and minion turns bytes into text, so do it here.
        pillar = salt.utils.data.decode(pillar, to_str=True)
        for error in pillar.get("_errors", []):
            self.problem(
                f"pillar of {self.id} ({_pillar_file(error)})",
                error,
                "mend the pillar file that it names, or the host id",
            )
        return pillar

    # -- states ----------------------------------------------------------------

    def states(self, opts, pillar):
        import salt.state

        opts["pillar"] = pillar
        with salt.state.HighState(opts, initial_pillar=pillar) as high_state:
            low = self.low(high_state)
            checker = _Chunks(self, high_state)
            for chunk in low:
                checker.check(chunk)

    def low(self, high_state):
        """Salt's own steps from the top file to the low data; errors go to the problems."""
        try:
            matches = high_state.top_matches(high_state.get_top())
            high, errors = high_state.render_highstate(matches)
        except Exception as error:
            self.problem("salt/top.sls", error, "mend the file that it names")
            return []
        if not matches:
            self.problem(
                "salt/top.sls", f"nothing is matched for {self.id}", "give its role a line there"
            )
        errors = list(errors)
        high, more = high_state.state.reconcile_extend(high)
        errors += more
        errors += high_state.state.verify_high(high)
        if not errors:
            high, more = high_state.state.requisite_in(high)
            errors += more
        low = []
        if not errors:
            high = high_state.state.apply_exclude(high)
            low, errors = high_state.state.compile_high_data(high)
        for error in errors:
            self.problem(self.sls_file(error), error, _cure(error))
        return low

    def sls_file(self, error):
        """The file that an error of Salt's speaks of, as far as it says."""
        found = re.search(r"(?:SLS|for) '?(?:base:)?([\w.-]+)", str(error))
        if not found:
            return f"salt/ ({self.id})"
        return self.file_of(found.group(1))

    def file_of(self, sls):
        stem = Path("salt", *sls.split("."))
        for path in (stem.with_name(stem.name + ".sls"), stem / "init.sls"):
            if (self.tree / path).is_file():
                return str(path)
        return f"salt/{'/'.join(sls.split('.'))}"


class _Chunks:
    """Checks each low chunk, and renders the file it writes."""

    def __init__(self, host, high_state):
        import salt.loader
        import salt.state
        import salt.utils.args
        import salt.utils.data

        self.traverse = salt.utils.data.traverse_dict_and_list
        self.host = host
        self.argspec = salt.utils.args.get_function_argspec
        self.internal = salt.state.STATE_INTERNAL_KEYWORDS | {
            "name", "names", "failhard", "state", "fun", "order", "offline",
        }  # fmt: skip
        self.client = high_state.client
        self.functions = high_state.state.functions
        self.known = high_state.state.states
        # Whether Salt offers a state module depends on the machine that compiles (is
        # crontab installed?). Without __virtual__ the answer is the same everywhere.
        self.unconditional = salt.loader.LazyLoader(
            salt.loader._module_dirs(high_state.opts, "states", "states"),
            high_state.opts,
            tag="states",
            virtual_enable=False,
            pack={"__salt__": self.functions, "__states__": {}, "__utils__": {}},
        )

    def check(self, chunk):
        function = f"{chunk['state']}.{chunk['fun']}"
        where = self.host.file_of(chunk["__sls__"])
        state_id = chunk["__id__"]
        self.host.result["states"].append(
            {
                "id": state_id,
                "function": function,
                "sls": chunk["__sls__"],
                "name": chunk["name"],
                "arguments": _plain(
                    {
                        key: value
                        for key, value in chunk.items()
                        if key not in ("state", "fun", "name", "order") and not key.startswith("__")
                    }
                ),
            }
        )
        code = self.function(function)
        if code is None:
            self.host.problem(
                f"{where}: {state_id}",
                f"there is no state function {function}",
                "correct its spelling, or put its Salt extension into requirements/salt.txt",
            )
            return
        self.arguments(where, state_id, function, code, chunk)
        if function == "file.managed":
            self.managed(where, state_id, chunk)
        elif function == "file.recurse":
            self.recurse(where, state_id, chunk)
        elif isinstance(chunk.get("source"), str) and chunk["source"].startswith("salt://"):
            self.source(where, state_id, chunk["source"])

    def function(self, name):
        for loader in (self.known, self.unconditional):
            if name in loader:
                return loader[name]
        return None

    def arguments(self, where, state_id, function, code, chunk):
        spec = self.argspec(code)
        given = {key for key in chunk if key not in self.internal and not key.startswith("__")}
        allowed = set(spec.args)
        if spec.keywords:
            allowed |= KWARGS.get(function, set())
        for argument in sorted(given - allowed):
            self.host.problem(
                f"{where}: {state_id}",
                f"{function} does not know the argument '{argument}'",
                f"correct its spelling; it knows {', '.join(sorted(allowed)) or 'none'}. If it "
                "does take it by **kwargs, add it to KWARGS in tools/compiler.py",
            )
        needed = spec.args[: len(spec.args) - len(spec.defaults or ())]
        for argument in needed:
            if argument not in chunk and argument != "self":
                self.host.problem(
                    f"{where}: {state_id}",
                    f"{function} needs the argument '{argument}'",
                    "give it",
                )

    def source(self, where, state_id, source):
        path = source.removeprefix("salt://").partition("?")[0]
        if (self.host.tree / "salt" / path).exists() and self.client.cache_file(source):
            return True
        self.host.problem(
            f"{where}: {state_id}",
            f"the source {source} does not exist",
            f"add salt/{path}, or correct the path",
        )
        return False

    def managed(self, where, state_id, chunk):
        text = None
        sources = chunk.get("source") or chunk.get("sources") or []
        sources = [sources] if isinstance(sources, str) else sources
        if sources:
            local = [source for source in sources if str(source).startswith("salt://")]
            if not local:
                return  # a file of the host itself, or a download: known only there
            if not all(self.source(where, state_id, source) for source in local):
                return
            text = self.render(where, state_id, chunk, local[0])
        elif "contents_pillar" in chunk:
            text = self.traverse(self.host.result["pillar"], chunk["contents_pillar"], None)
            if text is None:
                self.host.problem(
                    f"{where}: {state_id}",
                    f"contents_pillar: no {chunk['contents_pillar']} in the pillar of "
                    f"{self.host.id}",
                    "give it in pillar/, or correct the key",
                )
                return
        elif "contents" in chunk:
            text = chunk["contents"]
        else:
            return
        if text is None:
            return
        if isinstance(text, list):
            text = "\n".join(str(line) for line in text)
        if not sources and not str(text).endswith("\n") and chunk.get("contents_newline", True):
            text = f"{text}\n"
        self.keep(state_id, chunk["name"], text, chunk, sources[0] if sources else None)

    def render(self, where, state_id, chunk, source):
        """The text that file.managed would write, by Salt's own template engine."""
        try:
            rendered, _, comment = self.functions["file.get_managed"](
                chunk["name"],
                chunk.get("template"),
                source,
                None,
                None,
                chunk.get("user"),
                chunk.get("group"),
                chunk.get("mode"),
                None,
                "base",
                chunk.get("context"),
                chunk.get("defaults"),
            )
        except Exception as error:
            rendered, comment = None, str(error)
        if comment or (not rendered and chunk.get("template")):
            self.host.problem(
                f"salt/{source.removeprefix('salt://')} (state {state_id} in {where})",
                comment,
                "mend the template, or give it what it needs by `context:`",
            )
            return None
        path = rendered or self.client.cache_file(source)
        return _text(Path(path))

    def recurse(self, where, state_id, chunk):
        source = chunk.get("source", "")
        folder = source.removeprefix("salt://").strip("/")
        found = sorted(
            path for path in self.client.file_list("base") if path.startswith(f"{folder}/")
        )
        if not found:
            self.host.problem(
                f"{where}: {state_id}",
                f"the source {source} is no folder with a file in it",
                f"add salt/{folder}/, or correct the path",
            )
        for path in found:
            name = f"{chunk['name'].rstrip('/')}/{path.removeprefix(folder + '/')}"
            one = dict(chunk, name=name, mode=chunk.get("file_mode"))
            text = self.render(where, state_id, one, f"salt://{path}")
            if text is not None:
                self.keep(state_id, name, text, one, f"salt://{path}")

    def keep(self, state_id, name, text, chunk, source):
        self.host.result["files"][name] = {
            "text": None if text is _BINARY else str(text),
            "mode": chunk.get("mode"),
            "user": chunk.get("user"),
            "group": chunk.get("group"),
            "state": state_id,
            "source": source,
            "template": chunk.get("template"),
        }


_BINARY = object()


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return _BINARY


def _plain(data):
    """The same data in Python's own types, whatever Salt made of them."""
    return json.loads(json.dumps(data, default=str))


def _pillar_file(error):
    found = re.search(r"SLS '([\w.-]+)'", str(error))
    return f"pillar/{found.group(1).replace('.', '/')}.sls" if found else "pillar/"


def _cure(error):
    text = str(error)
    for sign, cure in (
        ("Jinja", "mend the Jinja of this file at the line that it names"),
        ("requisite", "name a state that exists in what this host includes"),
        ("sls found", "add that file, or correct the include"),
        ("not available", "add that file, or correct the include"),
        ("conflicting", "give one of the two another id"),
    ):
        if sign in text:
            return cure
    return "mend the file that it names"
