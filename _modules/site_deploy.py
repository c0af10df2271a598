"""
Deploys, as the master carries them out: a queue that outlives the master, one deploy of
an app at a time, and every host back at the release of before where one step fails.

What is wanted and what was done stand in one table. `orch.deploy` works it off.
"""

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError, SaltException

log = logging.getLogger(__name__)

CONFIG = "/etc/deploy/deploy.json"
FOLDER = "/var/lib/deploy"
# Where the master's own tree is beside the trees of before, and how those are named that
# a clone has brought: by ./fleet, without a deploy.
RELEASES = "/srv/release"
CLONE = "clone-"
SCHEMA = """
CREATE TABLE IF NOT EXISTS deploys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    kind TEXT NOT NULL,
    ref TEXT,
    who TEXT NOT NULL,
    requested REAL NOT NULL,
    began REAL,
    ended REAL,
    state TEXT NOT NULL DEFAULT 'waiting',
    "release" TEXT,
    previous TEXT,
    why TEXT,
    stages TEXT NOT NULL DEFAULT '[]',
    hosts TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS live (app TEXT PRIMARY KEY, "release" TEXT NOT NULL, since REAL);
"""
# What is known of newer versions; a check on this host reads it, and ./fleet status.
VERSIONS = "versions.json"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KINDS = ("push", "order", "rollback", "first")
# After so many seconds a host is asked whether it is still at work; one that does not
# say so within as many is away, and catches up by itself.
ANSWER_SECONDS = 8
BUILD_TIMES = 3
PAUSE_SECONDS = 0.5
DEFAULTS = {"version": None, "hooks": {}, "cached": [], "tree": False}
AWAY = "away; it gets it when its minion starts, or by its next highstate"
# What site_release says of itself where it has no configuration yet.
NOT_SET_UP = "this host runs no app"
# What site_edge says where nothing is kept yet.
NO_CACHE = "this host has no cache"
# So many requests must have been answered before a share of errors says anything.
FEWEST_REQUESTS = 20
# Errors that a release may have beyond those of before, as a share of all requests.
MORE_ERRORS = 0.05
BASELINE_SECONDS = 60
# What is left to do of a tree that the master serves.
NEXT = (
    "the master serves it, and hosts take it at their next highstate: `./fleet apply --served`, "
    "or docs/runbooks/deploy-the-tree.md"
)


class FailedError(Exception):
    """A deploy that ends here, and why."""


def _config(config):
    """What the master knows of the apps; nothing before its own first highstate."""
    try:
        known = json.loads(Path(config).read_text(encoding="utf-8"))["apps"]
    except FileNotFoundError:
        return {}
    # The master has these functions before its configuration is rendered anew.
    return {app: DEFAULTS | settings for app, settings in known.items()}


@contextlib.contextmanager
def _table(folder):
    """The table; what is done inside is kept as a whole, or not at all."""
    Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    base = sqlite3.connect(Path(folder) / "deploys.sqlite", timeout=30)
    try:
        base.row_factory = sqlite3.Row
        base.execute("PRAGMA journal_mode=WAL")
        base.executescript(SCHEMA)
        with base:
            yield base
    finally:
        base.close()


def _update(folder, number, **columns):
    """Write what became of a deploy."""
    words = ", ".join(f'"{name}" = :{name}' for name in columns)
    with _table(folder) as base:
        base.execute(
            f"UPDATE deploys SET {words} WHERE number = :number",  # noqa: S608
            dict(columns, number=number),
        )


def _known(apps, app):
    """An app that can be deployed."""
    known = sorted(name for name, entry in apps.items() if entry["roles"])
    if app not in known:
        raise CommandExecutionError(f"there is no app '{app}' to deploy; there are {known}")
    return apps[app]


def _between(begin, now, end):
    """Whether a moment lies in a span, which may go around."""
    return begin <= now < end if begin < end else now >= begin or now < end


def closed(settings, now):
    """
    Why nothing of an app is deployed at a moment, or None. Pure.

    settings
        The app's ``frozen``, a sentence, and ``windows``, as ``mon-fri 08:00-16:30`` in
        UTC; without windows it is always open. Days and hours may go around:
        ``fri-mon 22:00-02:00``.

    now
        Seconds since 1970.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.closed '{frozen: "", windows: []}' 1767225600
    """
    if settings["frozen"]:
        return f"frozen: {settings['frozen']}"
    at = time.gmtime(now)
    for window in settings["windows"]:
        days, _, hours = window.partition(" ")
        first, _, last = days.partition("-")
        begin, _, end = hours.partition("-")
        day = _between(DAYS.index(first), at.tm_wday, DAYS.index(last or first) + 1)
        if day and _between(begin, f"{at.tm_hour:02}:{at.tm_min:02}", end):
            return None
    return f"outside of {', '.join(settings['windows'])} UTC" if settings["windows"] else None


# -- the queue -------------------------------------------------------------------


def request(app, kind="order", ref=None, who="", config=CONFIG, folder=FOLDER):
    """
    Put a deploy into the queue; `orch.deploy` carries it out.

    app
        Its name.

    kind
        ``push``, ``order``, ``rollback`` or ``first``.

    ref
        What to deploy: a commit or a branch; None is the head of the level's branch.
        For a rollback it is a release, and None the one before.

    who
        Who asked.

    Returns its number. None for a push to a repository that nothing is deployed of.

    Raises CommandExecutionError where there is no such app.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.request www who=ada
    """
    apps = _config(config)
    if kind == "push" and app in apps and not apps[app]["roles"]:
        return None
    _known(apps, app)
    _notice(folder)
    if kind not in KINDS:
        raise CommandExecutionError(f"no such kind of deploy: '{kind}'; there are {KINDS}")
    if kind == "rollback":
        # There must be one; which it is, is asked again when it is carried out.
        _before(app, ref, folder)
    with _table(folder) as base:
        done = base.execute(
            "INSERT INTO deploys (app, kind, ref, who, requested) VALUES (?, ?, ?, ?, ?)",
            (app, kind, ref, who, time.time()),
        )
    return done.lastrowid


def unfinished(config=CONFIG, folder=FOLDER):
    """
    The apps of which a deploy waits, or was cut off, sorted; those that are closed now
    wait on and are left out.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.unfinished
    """
    with _table(folder) as base:
        rows = base.execute(
            "SELECT DISTINCT app FROM deploys WHERE state IN ('waiting', 'running')"
        )
        apps, now = _config(config), time.time()
        return sorted(
            row["app"] for row in rows if row["app"] in apps and not closed(apps[row["app"]], now)
        )


def live(folder=FOLDER):
    """
    What the level runs: ``{app: release}``; empty where nothing was ever deployed.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.live
    """
    if not (Path(folder) / "deploys.sqlite").exists():
        return {}
    with _table(folder) as base:
        return {row["app"]: row["release"] for row in base.execute("SELECT * FROM live")}


def history(app=None, limit=20, folder=FOLDER):
    """
    The last deploys, the newest first.

    app
        Of this app alone.

    limit
        How many at most.

    Returns a list of ``{"number", "app", "kind", "ref", "who", "requested", "began",
    "ended", "state", "release", "previous", "why", "stages": [[stage, seconds], …],
    "hosts": {host: what became of it}}``; times are seconds since 1970.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.history www
    """
    _notice(folder)
    with _table(folder) as base:
        rows = base.execute(
            "SELECT * FROM deploys WHERE ? IS NULL OR app = ? ORDER BY number DESC LIMIT ?",
            (app, app, limit),
        )
        return [_told(row) for row in rows]


def _notice(folder):
    """
    Write down which tree a clone has brought: the master serves it since then.

    The tree itself says so, by its name; whoever brings one needs no running master.
    """
    for link in Path(RELEASES).glob("*/current"):
        app, name, since = link.parent.name, link.readlink().name, link.lstat().st_mtime
        if not name.startswith(CLONE):
            continue
        with _table(folder) as base:
            base.execute("BEGIN IMMEDIATE")
            live = base.execute('SELECT "release" FROM live WHERE app = ?', (app,)).fetchone()
            before = live["release"] if live else None
            # A way back to it is written down by itself.
            coming = base.execute(
                'SELECT 1 FROM deploys WHERE app = ? AND "release" = ? '
                "AND state IN ('waiting', 'running')",
                (app, name),
            )
            if name == before or coming.fetchone():
                continue
            brought = link.parent / "releases" / name / ".brought-by"
            who = brought.read_text(encoding="utf-8").strip() if brought.exists() else ""
            base.execute(
                'INSERT INTO deploys (app, kind, who, requested, began, ended, state, "release", '
                "previous, why) VALUES (?, 'clone', ?, ?, ?, ?, 'live', ?, ?, ?)",
                (app, who, since, since, since, name, before, "./fleet brought it from a clone"),
            )
            base.execute("REPLACE INTO live VALUES (?, ?, ?)", (app, name, since))


def _told(row):
    """A deploy, as it is told to others."""
    return dict(row, stages=json.loads(row["stages"]), hosts=json.loads(row["hosts"]))


def _entry(number, folder):
    """One deploy by its number."""
    with _table(folder) as base:
        return _told(base.execute("SELECT * FROM deploys WHERE number = ?", (number,)).fetchone())


@contextlib.contextmanager
def _only_one(folder, app):
    """Whether nobody else deploys this app now; if so, nobody does until the end."""
    Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    with (Path(folder) / f"{app}.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _next(folder, app):
    """
    The newest deploy that waits; those before it are left out. None if there is none.

    Its ``cut_off`` says whether one of them had begun: hosts may serve what never got live.
    """
    with _table(folder) as base:
        begun = "SELECT count(*) FROM deploys WHERE app = ? AND state = 'running'"
        cut_off = base.execute(begun, (app,)).fetchone()[0]
        # Cut off by a stop of the master: it is wanted still.
        base.execute(
            "UPDATE deploys SET state = 'waiting' WHERE app = ? AND state = 'running'", (app,)
        )
        # What a clone has brought since stays.
        base.execute(
            "UPDATE deploys SET state = 'superseded', ended = ?, why = 'a clone came after it' "
            "WHERE app = ? AND state = 'waiting' AND number < "
            "(SELECT max(number) FROM deploys WHERE app = ? AND kind = 'clone')",
            (time.time(), app, app),
        )
        row = base.execute(
            "SELECT * FROM deploys WHERE app = ? AND state = 'waiting' "
            "ORDER BY number DESC LIMIT 1",
            (app,),
        ).fetchone()
        if row is None:
            return None
        base.execute(
            "UPDATE deploys SET state = 'superseded', ended = ?, why = ? "
            "WHERE app = ? AND state = 'waiting' AND number < ?",
            (time.time(), f"number {row['number']} is newer", app, row["number"]),
        )
        base.execute(
            "UPDATE deploys SET state = 'running', began = ? WHERE number = ?",
            (time.time(), row["number"]),
        )
    return dict(row, cut_off=bool(cut_off))


def work(app, config=CONFIG, folder=FOLDER):
    """
    Carry out what waits for an app, until nothing does.

    Where another does so already, this returns at once: the other one takes what has
    come meanwhile.

    Returns what :py:func:`history` says of each that was carried out.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.work www
    """
    settings = _known(_config(config), app)
    done = []
    while app in unfinished(config, folder):
        with _only_one(folder, app) as alone:
            if not alone:
                break
            _notice(folder)
            wanted = _next(folder, app)
            if wanted:
                _carry_out(wanted, settings, folder)
                done.append(wanted["number"])
    if done and settings["version"]:
        compare(config, folder)
    return [entry for entry in history(app, 100, folder) if entry["number"] in done]


def wait(app, number, seconds=600, config=CONFIG, folder=FOLDER):
    """
    Wait until a deploy has ended that another run carries out.

    number
        What :py:func:`request` returned.

    seconds
        How long at most.

    Returns what :py:func:`history` says of it. One of an app that is closed now is not
    waited for: its ``why`` says so.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.wait www 7
    """
    until = time.monotonic() + seconds
    while True:
        found = _entry(number, folder)
        if found["ended"] or time.monotonic() > until:
            return found
        why = closed(_known(_config(config), app), time.time())
        if why:
            return dict(found, why=f"it waits, {why}")
        time.sleep(PAUSE_SECONDS)


def _before(app, release, folder):
    """The release to go back to: this one, or that which was live before."""
    entries = [entry for entry in history(app, -1, folder) if entry["state"] == "live"]
    now = live(folder).get(app)
    were = [entry["release"] for entry in entries if entry["release"] != now]
    if release is None:
        # What a way back has left is not gone back to by the next one.
        left = {entry["previous"] for entry in entries if entry["kind"] == "rollback"}
        release = next((name for name in were if name not in left), None)
    if release not in were:
        raise CommandExecutionError(
            f"{app} was never live as {release}; it was {', '.join(dict.fromkeys(were))}"
            if were and release
            else f"{app} has had no other release to go back to"
        )
    return release


# -- one deploy --------------------------------------------------------------------


class _Run:
    """A deploy on its way: seconds of its stages, and what became of each host."""

    def __init__(self, folder, number):
        self._folder, self._number, self._since = folder, number, time.monotonic()
        self.stages, self.fates = [], {}
        # Hosts that may serve it, and hosts that have it only since now.
        self.tried, self.fresh = [], []
        # What a host may replace, where that matters.
        self.over = []
        # Caches that did not forget, and why.
        self.kept = ""

    def ended(self, stage):
        """A stage has ended; this is kept at once."""
        now = time.monotonic()
        self.stages.append([stage, round(now - self._since, 2)])
        self._since = now
        _update(self._folder, self._number, stages=json.dumps(self.stages))


def _carry_out(wanted, settings, folder):
    """Deploy, and write down what became of it."""
    app, number, release = wanted["app"], wanted["number"], None
    before = live(folder).get(app)
    run = _Run(folder, number)
    # What a clone brings meanwhile is not replaced.
    run.over = [before] if settings["tree"] else []
    _update(folder, number, previous=before)
    try:
        # The first of all reaches hosts by their highstate: they are not set up yet.
        hosts = _hosts(settings) if before or wanted["kind"] != "first" else []
        run.tried += hosts if wanted["cut_off"] else []
        release = _release(run, wanted, settings, before, folder)
        _update(folder, number, release=release)
        if hosts:
            if wanted["kind"] == "rollback":
                # What was live needs nothing made for it, and is known to be well.
                settings = dict(settings, watch=0, hooks={})
            _to_hosts(run, app, release, hosts, settings)
    except Exception as error:
        # Whatever it is: hosts must not stay at what was never accepted.
        known = isinstance(error, (FailedError, CommandExecutionError))
        why = str(error) if known else f"{type(error).__name__}: {error}"
        fate = {"state": "failed", "why": why}
        if not known:
            log.exception("the deploy of %s failed", app)
        try:
            _back(run, app, release, before, settings)
        except Exception:
            log.exception("not all hosts of %s could be taken back", app)
            fate["why"] += ". Not all hosts could be taken back: ./fleet apply"
    else:
        fate = {"state": "live", "why": NEXT if settings["tree"] else None}
        with _table(folder) as base:
            base.execute("REPLACE INTO live VALUES (?, ?, ?)", (app, release, time.time()))
        if not settings["tree"]:
            _late(run, app, release, hosts)
    if run.kept:
        # No reason to stay at a release, nor to leave one: the caches come to it by time.
        fate["why"] = ". ".join(filter(None, [fate["why"], f"Old pages stay: {run.kept}"]))
    _update(folder, number, ended=time.time(), hosts=json.dumps(run.fates), **fate)


def _tell(hosts, function, *arguments):
    """
    Let hosts do something.

    Returns ``({host: what it returned}, {host: why it failed})``; who is silent is in
    neither.
    """
    if not hosts:
        return {}, {}
    said = __salt__["saltutil.cmd"](
        list(hosts),
        f"site_{function}",
        list(arguments),
        tgt_type="list",
        timeout=ANSWER_SECONDS,
        gather_job_timeout=ANSWER_SECONDS,
    )
    heard = {host: said[host] for host in hosts if "ret" in said.get(host, {})}
    failed = {
        # The word before it is Salt's.
        host: str(answer["ret"]).removeprefix("ERROR: ")
        for host, answer in heard.items()
        if answer.get("retcode")
    }
    return {host: heard[host]["ret"] for host in heard if host not in failed}, failed


def _hosts(settings):
    """All hosts that run an app; one may have several of its roles."""
    found = []
    for role in settings["roles"]:
        found += __salt__["site_hosts.accepted"](roles=role)
    return list(dict.fromkeys(found))


def _builder():
    """The host that builds. Of two, each would have repositories of its own."""
    hosts = __salt__["site_hosts.accepted"](roles="source")
    if len(hosts) != 1:
        raise CommandExecutionError(
            f"{len(hosts)} hosts with the role source are accepted, and there has to be one: "
            f"{', '.join(hosts) or 'none'}. Remedy: `salt-key` on the master"
        )
    return hosts[0]


def _release(run, wanted, settings, before, folder):
    """The release that is wanted: built, or there since before."""
    app, ref = wanted["app"], wanted["ref"]
    if wanted["kind"] == "rollback":
        return _before(app, ref, folder)
    if wanted["kind"] == "first" and before:
        # The commit that is live by now, with what else it is made of today; a version
        # that was changed is what is asked for.
        ref = None if settings["version"] else before.partition("-")[0]
    builder = _builder()
    for _ in range(BUILD_TIMES):
        made, failed = _tell([builder], "build.build", app, ref)
        if failed:
            raise FailedError(f"the build failed. {failed[builder]}")
        if made:
            run.ended("build")
            return made[builder]["release"]
    raise FailedError(f"{builder} did not answer: {BUILD_TIMES} times asked to build")


def _to_hosts(run, app, release, hosts, settings):
    """Bring a release to all hosts that run the app."""
    fetched, failed = _tell(hosts, "release.fetch", app, release)
    # A host that is being made has its releases by its first highstate.
    failed = {host: why for host, why in failed.items() if NOT_SET_UP not in why}
    ready = [host for host in hosts if host in fetched]
    # Who had it before keeps it: a rollback that fails must not take it from them.
    run.fresh += [host for host in ready if fetched[host]]
    run.fates.update(dict.fromkeys(hosts, AWAY))
    run.fates.update(dict.fromkeys(ready, "as it was"))
    run.fates.update(failed)
    if failed or not ready:
        raise FailedError(_because(failed) or f"none of {', '.join(hosts)} answers")
    run.ended("fetch")
    _hook(run, app, release, ready, settings)
    began, well = time.time(), []
    for name, batch in (("first host", ready[:1]), ("other hosts", ready[1:])):
        if batch:
            well += _batch(run, app, release, batch)
            run.ended(name)
    if not well:
        raise FailedError(f"none of {', '.join(ready)} says that it serves {release}")
    _forget(run, settings["cached"])
    if settings["watch"]:
        _watch(app, settings["watch"], began, well)
        run.ended("watch")
    _tell(ready, "release.prune", app)


def _hook(run, app, release, hosts, settings):
    """Do what an app has done once before the switch, on one host."""
    function = settings["hooks"].get("before")
    if not function:
        return
    done, failed = _tell(hosts[:1], "release.hook", app, release, function)
    if not done:
        raise FailedError(
            f"the hook before the switch failed. {_because(failed) or hosts[0] + ' is silent'}"
        )
    run.ended("hook before")


def _forget(run, sites):
    """Let the edge's caches forget pages of sites: what made them is not served any more."""
    if sites:
        edges = __salt__["site_hosts.accepted"](roles="frontend")
        _, failed = _tell(edges, "edge.forget", sites)
        # A host that is being made has nothing to forget.
        failed = {host: why for host, why in failed.items() if NO_CACHE not in why}
        run.ended("edge")
        run.kept = _because(failed)


def _batch(run, app, release, hosts):
    """Switch some hosts, and ask each whether it is well; returns those that are."""
    # Also who is silent may have done so.
    run.tried += [host for host in hosts if host not in run.tried]
    now, failed = _tell(hosts, "release.switch", app, release, *run.over)
    well = {}
    if now and not failed:
        well, failed = _tell(list(now), "release.check", app, release)
        # Who was catching up, or in a highstate, may have gone back meanwhile.
        states, _ = _tell(list(failed), "release.state", app)
        gone = [host for host, said in states.items() if said["current"] != release]
        again, wrong = _tell(gone, "release.switch", app, release, *run.over)
        better, unwell = _tell(list(again), "release.check", app, release)
        well |= better
        failed = {host: failed[host] for host in failed if host not in better} | wrong | unwell
    run.fates.update(dict.fromkeys(hosts, AWAY))
    run.fates.update(dict.fromkeys(now if failed else well, "serves it"))
    run.fates.update(failed)
    if failed:
        raise FailedError(_because(failed))
    return list(well)


def _watch(app, seconds, began, hosts):
    """For a while, hold the share of errors since the first switch against that of before."""
    time.sleep(seconds)
    shares = []
    for span in ((began - BASELINE_SECONDS, began), (began,)):
        counts, _ = _tell(hosts, "release.errors", app, *span)
        total = sum(count["requests"] for count in counts.values())
        wrong = sum(count["errors"] for count in counts.values())
        shares.append((wrong / total if total else 0.0, total))
    (usual, _), (share, total) = shares
    if total >= FEWEST_REQUESTS and share > usual + MORE_ERRORS:
        raise FailedError(
            f"{share:.0%} of {total} requests failed after the switch, before it {usual:.0%}"
        )


def _back(run, app, release, before, settings):
    """Who may serve a release that failed serves again what the level runs, and has it no more."""
    if run.tried:
        done, failed = _tell(run.tried, "release.switch", app, before, *run.over)
        run.fates.update(dict.fromkeys(run.tried, AWAY))
        for host, served in done.items():
            run.fates[host] = "as it was" if served == before else "taken back"
        run.fates.update(failed)
    _tell(run.fresh, "release.discard", app, release)
    if run.tried:
        _forget(run, settings["cached"])
    if run.tried or run.fresh:
        run.ended("taken back")


def _late(run, app, release, hosts):
    """
    Once it is live: who was away may have come back meanwhile, and who began a highstate
    before may have gone back to what was live then.
    """
    fetched, _ = _tell(hosts, "release.fetch", app, release)
    switched, _ = _tell(list(fetched), "release.switch", app, release)
    run.fates.update({host: "serves it" for host in switched if run.fates.get(host) == AWAY})


def _because(failed):
    """One sentence for each host that failed."""
    return ". ".join(f"{host}: {why}" for host, why in sorted(failed.items()))


# -- newer versions ------------------------------------------------------------------


def versions(folder=FOLDER):
    """
    What :py:func:`compare` has found last.

    Returns ``{"compared", "why", "apps": {app: {"version", "release", "runs", "newest",
    "behind", "say"}}}``: when that was, in seconds since 1970, or None; why it could not
    be done since, or None; and of each app a sentence with the remedy, or None where the
    newest version runs.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.versions
    """
    try:
        return json.loads((Path(folder) / VERSIONS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"compared": None, "why": "nobody has compared yet", "apps": {}}


def compare(config=CONFIG, folder=FOLDER):
    """
    Compare what is live of each app of a version with what the repositories have, and keep
    what was found. A timer does so each hour, and each deploy of such an app.

    Where the builder does not answer, what was known stays, with its time, of those apps
    that run the same release as then.

    Returns what :py:func:`versions` does.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.compare
    """
    now, found = live(folder), {"compared": time.time(), "why": None, "apps": {}}
    running = {
        app: {"version": settings["version"], "release": now[app]}
        for app, settings in _config(config).items()
        if settings["version"] and settings["roles"] and app in now
    }
    try:
        said = _answer("build.versions", running) if running else {}
        for app, about in sorted(said.items()):
            entry = running[app] | about
            found["apps"][app] = entry | {"say": _behind(app, entry)}
    except SaltException as error:
        before = versions(folder)
        found |= {"compared": before["compared"], "why": str(error)}
        found["apps"] = {
            app: entry
            for app, entry in before["apps"].items()
            if running.get(app, {}).get("release") == entry["release"]
        }
    Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    # Two may do so at once: the timer, and a deploy.
    new = Path(folder) / f".{VERSIONS}-{os.getpid()}"
    new.write_text(json.dumps(found, indent=1), encoding="utf-8")
    new.replace(Path(folder) / VERSIONS)
    return found


def _answer(function, *arguments):
    """What the builder returns."""
    builder = _builder()
    said, failed = _tell([builder], function, *arguments)
    if builder not in said:
        raise CommandExecutionError(f"{builder}: {failed.get(builder, 'no answer')}")
    return said[builder]


def _behind(app, entry):
    """Why an app should run another version, and the remedy; or None."""
    version, newest = entry["version"], entry["newest"]
    if newest is None:
        return f"{app}: there is no version {version}. Remedy: docs/runbooks/upstreams.md"
    if not entry["behind"]:
        return None
    deploy = f"`./fleet deploy {app}`"
    if version != newest and "*" not in version:
        deploy = (
            f"{newest} as this level's version of {app} in pillar/apps.yaml, `./fleet apply "
            f"source`, `./fleet apply salt`, {deploy}"
        )
    runs = entry["runs"] or f"{entry['release'][:10]}, which is no version"
    return f"{app} runs {runs}; {newest} is there. Remedy: {deploy}"


# -- by orch.up -----------------------------------------------------


def missing(config=CONFIG, folder=FOLDER):
    """
    Ask for the first release of each app that has none, and for another one where what it
    is made of has changed beside its commit. One of which a deploy waits, or runs, is
    left alone: that will be made of it. So is the master's own tree, which it has before
    it can deploy.

    Returns the names of these apps. Raises CommandExecutionError where the builder does
    not say what a release would be.

    CLI Example:

    .. code-block:: bash

        salt-run salt.cmd site_deploy.missing
    """
    apps = {name: app for name, app in _config(config).items() if app["roles"] and not app["tree"]}
    if not apps:
        return []
    said = _answer("build.inputs", sorted(apps))
    now, asked = live(folder), []
    with _table(folder) as base:
        pending = "SELECT DISTINCT app FROM deploys WHERE state IN ('waiting', 'running')"
        waits = {row["app"] for row in base.execute(pending)}
    for app in sorted(set(apps) - waits):
        # An empty repository has nothing to deploy.
        wanted = said.get(app)
        running = now.get(app)
        if wanted and (running is None or running.rpartition("-")[2] != wanted):
            request(app, "first", None, "orch.up", config, folder)
            asked.append(app)
    return asked
