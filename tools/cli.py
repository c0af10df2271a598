"""The command ./fleet: what its users type, and what they see."""

import contextlib
import errno
import json
import os
import re
import subprocess
import sys
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools import deploys, image, inventory, machine, secrets, tree, up
from tools.errors import FleetError
from tools.master import Master
from tools.progress import Progress
from tools.sandbox import Sandbox

app = typer.Typer(
    help="Raise, run, change and test a whole site on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(secrets.app, name="secret")

# A log or a pipe has no width of its own; a table must not lose columns there.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)

CHOSEN = {"level": "sandbox"}
# The environment that this command runs in, until it removes it itself.
HELD = contextlib.ExitStack()
PASS_THROUGH = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}

STATE_STYLE = {"ok": "green", "failed": "red", "down": "red", "pending": "yellow"}


def _inventory():
    return inventory.load(CHOSEN["level"])


def _inventory_or_rest():
    """The level's inventory; an empty one where its file is gone and hosts are left."""
    level = CHOSEN["level"]
    if level in inventory.levels() or not re.fullmatch("[a-z][a-z0-9]*", level):
        return _inventory()
    rest = inventory.Inventory(level, None, (), {})
    if not (machine.STATE / level).exists() and not Sandbox(rest).containers():
        return _inventory()
    err.print(f"[dim]fleet:[/dim] inventory/{level}.yaml is gone; what it left on this machine")
    return rest


def _sandbox():
    machine.require_root()
    missing = machine.missing_packages()
    if "podman" in missing:
        raise FleetError(
            "no sandbox on this machine yet: podman is not installed", "`./fleet up` installs it"
        )
    return Sandbox(_inventory())


def _running(sandbox, name):
    """The host of that name, if it runs; else raise FleetError."""
    host = sandbox.inventory.find(name)
    if not sandbox.running(host.id):
        raise FleetError(f"{host.name} is not running", "`./fleet up` starts it")
    return host


@app.callback()
def options(
    level: Annotated[
        str,
        typer.Option(
            help="Which level's inventory to raise on this machine. "
            "It may stand behind the command, too: `./fleet up --level demo`.",
            envvar="FLEET_LEVEL",
        ),
    ] = "sandbox",
):
    """Raise, run, change and test a whole site on this machine."""
    CHOSEN["level"] = level


@app.command("up")
def up_():
    """
    Raise the level: image, hosts, master, and every host as its name says.

    May be interrupted and run again at any time; what is there is kept, what a
    killed run left half made is repaired, hosts that left the inventory go.

    Example: `./fleet up`
    """
    machine.require_root()
    machine.install_packages(lambda sentence: err.print(f"[dim]fleet:[/dim] {sentence}"))
    sandbox = Sandbox(_inventory())
    if sandbox.half_purged:
        with Progress("purge") as progress, sandbox.lock(progress.say):
            progress.say("a purge of this level was interrupted; ending it")
            sandbox.purge()
    with Progress(f"raising {CHOSEN['level']}") as progress, sandbox.lock(progress.say):
        failures = up.raise_level(sandbox, progress)
        result = up.status(sandbox)
    _print_status(sandbox, result)
    if failures or any(host["state"] != "ok" for host in result["hosts"]):
        _print_failures(failures)
        raise typer.Exit(1)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
):
    """
    Show every host and page, the outcome of each host's last highstate, and newer versions.

    Example: `./fleet status --json`
    """
    sandbox = _sandbox()
    if not as_json and not sandbox.containers():
        raise FleetError(
            f"no host of level {sandbox.level} is on this machine",
            f"`./fleet --level {sandbox.level} up` raises it"
            if sandbox.inventory.network
            else f"inventory/{sandbox.level}.yaml has no network: its hosts are real machines, "
            "of which their master knows; see README.md",
        )
    result = up.status(sandbox)
    if as_json:
        services = [{key: page[key] for key in ("name", "url")} for page in result["services"]]
        print(json.dumps(dict(result, services=services), indent=2))
    else:
        _print_status(sandbox, result)
    if any(host["state"] != "ok" for host in result["hosts"]):
        err.print("[bold]remedy:[/bold] `./fleet up`; it says why, where it cannot mend a host")
        raise typer.Exit(1)


def _table(title):
    return Table(
        box=None,
        pad_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
    )


def _print_status(sandbox, result):
    hosts = _table("hosts")
    for column in ("id", "roles", "address", "state"):
        hosts.add_column(column, no_wrap=True)
    hosts.add_column("failed", justify="right")
    hosts.add_column("changed", justify="right")
    for host in result["hosts"]:
        style = STATE_STYLE[host["state"]]
        hosts.add_row(
            host["id"],
            ", ".join(host["roles"]),
            host["address"] or "-",
            f"[{style}]{host['state']}[/{style}]",
            *("-" if host[count] is None else str(host[count]) for count in ("failed", "changed")),
        )
    out.print(hosts)
    if result["tree"]:
        brought = "of a clone" if result["tree"].startswith(tree.CLONE) else "of a push"
        out.print(f"\nThe master serves the tree {result['tree']}, {brought}.", soft_wrap=True)
    _print_versions(result["versions"])
    if result["services"]:
        services = _table("\nservices")
        for column in ("name", "url", "login"):
            services.add_column(column, no_wrap=True)
        for service in result["services"]:
            services.add_row(service["name"], service["url"], _login(sandbox, service))
        out.print(services)
        ca = sandbox.authority
        if ca.exists():
            out.print(
                "\n[bold]certificates[/bold]\n"
                f"They are of this level's own authority, which no browser knows yet: {ca}\n"
                f"  Firefox    Settings, Certificates, View, Authorities, Import: {ca}\n"
                "  Chromium   certutil -d sql:$HOME/.pki/nssdb -A -t C,, "
                f"-n {sandbox.level} -i {ca}\n"
                f"  curl       curl --cacert {ca} {result['services'][0]['url']}\n"
                "More, and how to take it back: docs/runbooks/trust-the-ca.md",
                soft_wrap=True,
            )
    for host_id in result.get("pending_keys", []):
        out.print(
            f"[yellow]pending key:[/yellow] {host_id} asks to join and is in no inventory. "
            f"It gets nothing. Remove it: ./fleet exec salt -- salt-key -y -d {host_id}"
        )


def _print_versions(found, app=""):
    """Of each app, or of one, whether a newer version is there; and whether that is known."""
    for name, about in found["apps"].items():
        if about["say"] and app in ("", name):
            out.print(f"\n[yellow]version:[/yellow] {escape(about['say'])}", soft_wrap=True)
    if found["why"]:
        since = f" since {deploys.when(found['compared'])}" if found["compared"] else ""
        out.print(
            f"\n[yellow]versions:[/yellow] not compared{since}: {escape(found['why'])}",
            soft_wrap=True,
        )


def _login(sandbox, service):
    """User and password of a page; passwords are shown only where they are fakes in clear."""
    if not service.get("login"):
        return "-"
    path = inventory.TREE / "pillar" / "secrets" / sandbox.level / "secrets.yaml"
    known = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    password = (known or {}).get(service.get("secret"), "")
    return (
        service["login"]
        if not password or "BEGIN PGP" in password
        else (f"{service['login']} / {password}")
    )


def _print_failures(failures):
    for failure in failures:
        err.print(f"\n[red]failed[/red] {failure['host']}: {escape(failure['state'])}")
        for line in str(failure["comment"]).strip().splitlines()[:12]:
            err.print(f"    {line}", markup=False)
        err.print(f"  [bold]remedy[/bold] {escape(failure['remedy'])}")


@app.command(context_settings=PASS_THROUGH)
def exec(  # noqa: A001 - the word users type
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="Id or first label, e.g. db1.")],
):
    """
    Run a command in a host as root; input, output and exit code pass through.

    Example: `./fleet exec db1 -- systemctl status mariadb`
    """
    sandbox = _sandbox()
    found = _running(sandbox, host)
    command = [word for index, word in enumerate(context.args) if index or word != "--"]
    if not command:
        raise FleetError("no command given", f"./fleet exec {host} -- COMMAND")
    terminal = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
    arguments = [*sandbox.podman.command, "exec", *terminal, found.id, *command]
    os.execvp(arguments[0], arguments)


@app.command(context_settings=PASS_THROUGH)
def ssh(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="Id or first label, e.g. app1.")],
):
    """
    Log in to a host over SSH as the operator, or run a command so.

    Example: `./fleet ssh app1` or `./fleet ssh app1 -- uptime`
    """
    sandbox = _sandbox()
    found = _running(sandbox, host)
    config = sandbox.write_ssh_config()
    command = [word for index, word in enumerate(context.args) if index or word != "--"]
    os.execvp("ssh", ["ssh", "-F", str(config), found.id, *command])


@app.command("ssh-config")
def ssh_config():
    """
    Print an SSH configuration with every running host, for other programs.

    Example: `./fleet ssh-config > /tmp/config; ssh -F /tmp/config db1`
    """
    print(_sandbox().write_ssh_config().read_text("utf-8"), end="")


@app.command(context_settings=PASS_THROUGH)
def salt(context: typer.Context):
    """
    Run `salt` on the master.

    Example: `./fleet salt 'db*' test.ping`
    """
    sandbox = _sandbox()
    master = _running(sandbox, sandbox.inventory.master.name)
    terminal = ["-t"] if sys.stdout.isatty() else []
    arguments = [*sandbox.podman.command, "exec", *terminal, master.id, "salt", *context.args]
    os.execvp(arguments[0], arguments)


@app.command()
def apply(
    target: Annotated[
        str, typer.Argument(help="A host, or a role for all its hosts. Left out: all of the level.")
    ] = "",
    test: Annotated[
        bool, typer.Option("--test", help="Say what would change; change nothing.")
    ] = False,
    served: Annotated[
        bool,
        typer.Option("--served", help="Ship nothing: what the master serves, as after a push."),
    ] = False,
):
    """
    Ship this clone's tree to the master and run a highstate on some hosts at once.

    No waves and no health gates: those are what `up` is for.

    Example: `./fleet apply memcache`, `./fleet apply app1 --test` or `./fleet apply --served`
    """
    sandbox = _sandbox()
    _running(sandbox, sandbox.inventory.master.name)
    hosts = up.chosen(sandbox.inventory, target)
    with Progress(f"applying {target or CHOSEN['level']}") as progress, sandbox.lock(progress.say):
        results = up.apply(sandbox, hosts, test, progress, served)
    failures = up.print_apply(out, results)
    _print_failures(failures)
    if failures:
        raise typer.Exit(1)


@app.command()
def deploy(
    app: Annotated[
        str, typer.Argument(help="As in pillar/apps.yaml or static-sites.yaml, e.g. www.")
    ],
    ref: Annotated[
        str, typer.Argument(help="A commit or a branch. Left out: the level's branch.")
    ] = "",
):
    """
    Deploy an app, as a push to its repository does, and wait for the end.

    Built, checked host by host, and taken back everywhere where one is not well.

    Example: `./fleet deploy www` or `./fleet deploy www 3f2a9c1`
    """
    _deploy(app, "order", ref)


@app.command()
def rollback(
    app: Annotated[
        str, typer.Argument(help="As in pillar/apps.yaml or static-sites.yaml, e.g. www.")
    ],
    release: Annotated[
        str,
        typer.Argument(help="A release that `./fleet releases` shows. Left out: the one before."),
    ] = "",
):
    """
    Go back to a release that was live before; nothing is built.

    Example: `./fleet rollback www`
    """
    _deploy(app, "rollback", release)


def _deploy(app_name, kind, ref):
    sandbox = _sandbox()
    _running(sandbox, sandbox.inventory.master.name)
    with Progress(f"{kind} of {app_name}") as progress:
        said = deploys.carry_out(sandbox, app_name, kind, ref, progress)
    out.print(f"{app_name}: {escape(said)}", soft_wrap=True)


@app.command()
def releases(
    app: Annotated[str, typer.Argument(help="Of this app alone.")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
):
    """
    Show what was deployed: who, what, when, how long it took, and what became of it.
    Below, of which app a newer version is there.

    Example: `./fleet releases www`
    """
    sandbox = _sandbox()
    _running(sandbox, sandbox.inventory.master.name)
    found, versions = deploys.history(sandbox, app, limit), Master(sandbox).versions()
    if as_json:
        print(json.dumps({"deploys": found, "versions": versions}, indent=2))
        return
    table = _table("deploys, the newest first")
    for column in ("no.", "app", "asked for at", "seconds", "by", "who", "release", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("why, or seconds of each stage")
    for row in deploys.rows(found):
        table.add_row(*row)
    out.print(table)
    _print_versions(versions, app)


@app.command(context_settings=PASS_THROUGH)
def logs(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="Id or first label, e.g. salt.")],
):
    """
    Show a host's journal; further arguments go to journalctl.

    Example: `./fleet logs app1 -f -u nginx`
    """
    sandbox = _sandbox()
    found = sandbox.inventory.find(host)
    if found.id not in sandbox.containers():
        raise FleetError(f"{found.name} is not on this machine yet", "`./fleet up` makes it")
    if not sandbox.running(found.id):
        err.print(f"[yellow]{found.name} does not run; the last words of its console:[/yellow]")
        done = subprocess.run(
            [*sandbox.podman.command, "logs", "--tail", "200", found.id], check=False
        )
        raise typer.Exit(done.returncode)
    words = ["journalctl", "--no-pager", *(context.args or ["-n", "200"])]
    # With a terminal of its own, for what -f follows must end with Ctrl-C.
    terminal = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    os.execvp("podman", [*sandbox.podman.command, "exec", *terminal, found.id, *words])


@app.command()
def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove hosts, data, keys, network, images and caches.")
    ] = False,
):
    """
    Stop the level's hosts; their disks stay, and `up` starts them again.

    Example: `./fleet down` or, to leave nothing behind, `./fleet down --purge`
    """
    machine.require_root()
    if "podman" in machine.missing_packages():
        out.print("nothing to do: podman is not installed, so no sandbox was ever raised here")
        return
    sandbox = Sandbox(_inventory_or_rest())
    with Progress(f"stopping {CHOSEN['level']}") as progress:
        with sandbox.lock(progress.say):
            if not purge:
                sandbox.stop(progress)
            inventory_hosts = len(sandbox.containers())
            if purge:
                sandbox.purge()
        if purge:
            others = up.other_levels(sandbox)
            if others:
                progress.say(f"images stay: level {', '.join(others)} uses them")
            else:
                image.remove_all(sandbox.podman)
    out.print(f"{CHOSEN['level']}: {inventory_hosts} hosts {'removed' if purge else 'stopped'}")
    if purge and not others:
        HELD.close()
        up.remove_caches()


@app.command()
def drill(
    name: Annotated[
        str, typer.Argument(help="One of the list; `keystore-dies[redis-cache]` for one variant.")
    ] = "",
    every: Annotated[
        bool, typer.Option("--all", help="All of tests/drills, also what CI leaves out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs; the story goes to standard error.")
    ] = False,
):
    """
    Rehearse a fault on this level's hosts. Without a name: list the drills.

    A drill raises the level if need be, lets clients read and write, breaks something,
    tells what it sees with the seconds, and puts all right again: when it fails or is
    interrupted, too. What a killed drill left broken, the next one or `./fleet up` heals.

    detect: seconds from the fault until something in the fleet noticed it; recover: until
    clients had what they had before; failed: requests that were refused meanwhile; lost:
    acknowledged writes that are gone at the end. Each drill has a page in
    docs/runbooks/drills.

    Example: `./fleet drill db-writer-dies` or `./fleet drill --all --json`
    """
    from tools import drills

    if name and every:
        raise FleetError("a drill and --all were asked for", "say one of them")
    if not name and not every:
        _print_drills(drills.known(), as_json)
        return
    if name:
        drills.find(name)
    machine.require_root()
    with drills.told_on_stderr() if as_json else contextlib.nullcontext():
        records, passed = drills.run(CHOSEN["level"], name)
    told = [record for record in records if record["passed"] is not None]
    skipped = [record["name"] for record in records if record["passed"] is None]
    if as_json:
        print(json.dumps({"drills": told, "skipped": skipped}, indent=2))
    else:
        _print_records(told)
        for each in skipped:
            out.print(f"{each}: not at this level; the summary above says why", markup=False)
    if not passed:
        raise typer.Exit(1)


def _print_drills(found, as_json):
    if as_json:
        listed = [{"name": one.name, "title": one.title, "quick": one.quick} for one in found]
        print(json.dumps({"known": listed}, indent=2))
        return
    table = _table("drills: ./fleet drill NAME")
    for column in ("name", "in CI", "what happens"):
        table.add_column(column, no_wrap=True)
    for one in found:
        table.add_row(one.name, "yes" if one.quick else "-", one.title)
    out.print(table)


def _print_records(records):
    table = _table("\ndrills")
    table.add_column("name", no_wrap=True)
    table.add_column("outcome")
    for column in ("detect, s", "recover, s", "failed", "lost"):
        table.add_column(column, justify="right")
    for record in records:
        numbers = [record[key] for key in ("detect_s", "recover_s", "requests_failed", "lost")]
        table.add_row(
            escape(record["name"]),
            "[green]passed[/green]" if record["passed"] else "[red]failed[/red]",
            *("-" if number is None else str(number) for number in numbers),
        )
    out.print(table)


@app.command(hidden=True)
def docs():
    """
    Make the tables of docs/architecture.md anew from the registry, and the drills' pages.

    Example: `./fleet docs`
    """
    from tools import ladder

    # The registry's module is Salt's, and Salt is in the tests' environment.
    raise typer.Exit(ladder.python("-m", "tools.docs"))


@app.command(hidden=True)
def adopt(
    config: Annotated[str, typer.Argument(help="An SSH configuration that names the machines.")],
):
    """
    Make hosts of the level of Debian machines that an SSH configuration names.

    What `up` does once its containers run. The Vagrantfile calls it.

    Example: `vagrant ssh-config > config; ./fleet adopt config`
    """
    from tools.remote import Machines

    machines = Machines(_inventory(), config)
    with machines.transport, Progress(f"adopting {CHOSEN['level']}") as progress:
        failures = up.adopt(machines, progress)
    _print_failures(failures)
    if failures:
        raise typer.Exit(1)


@app.command(hidden=True)
def vagrant(word: Annotated[str, typer.Argument(help="plan, docker-up or docker-down")]):
    """
    Answer the Vagrantfile.

    Example: `./fleet vagrant plan`
    """
    from tools import vagrant as answers

    answers.main(_inventory(), word, lambda sentence: err.print(f"[dim]fleet:[/dim] {sentence}"))


@app.command("test", context_settings=PASS_THROUGH)
def test_(context: typer.Context):
    """
    Run the test ladder, or the steps named; after `--` come pytest's own arguments.

    Steps: lint unit data render security (no host needed), apply fleet drills
    (they raise the sandbox first), vagrant (boots two hosts of its own).

    Example: `./fleet test`, `./fleet test unit render`, `./fleet test unit -- -k hosts`
    """
    from tools import ladder

    raise typer.Exit(ladder.run(CHOSEN["level"], list(context.args)))


_REMEDIES = {
    errno.ENOSPC: "make room (`podman system prune`, `apt-get clean`), then run again",
    errno.ENOENT: "bring back what it names: a file of this clone, or a program to install",
    errno.EACCES: "run it with sudo, or from a clone that you may read and write",
}


def _print_error(sentence, remedy):
    # What programs said may hold brackets: no markup in it.
    err.print(f"[red]fleet:[/red] {escape(str(sentence))}", soft_wrap=True)
    err.print(f"[bold]remedy:[/bold] {escape(remedy)}", soft_wrap=True)


# What stands behind their first argument is another program's.
_OTHERS_WORDS = {"exec", "ssh", "salt", "logs"}


def level_first(words):
    """
    The words of a command line with ``--level`` before the command.

    It is taken from anywhere behind the command, but never from what is meant for
    another program: behind ``--``, or behind the host of ``exec``, ``ssh``, ``logs``.
    """
    words, first = list(words), []
    at = 0
    taken = None
    while at < len(words):
        word = words[at]
        if word == "--":
            break
        if word == "--level" and at + 1 < len(words):
            first += words[at : at + 2]
            del words[at : at + 2]
        elif word.startswith("--level="):
            first.append(words.pop(at))
        else:
            if not word.startswith("-"):
                if taken in _OTHERS_WORDS:
                    break
                taken = taken or word
            at += 1
    return first + words


def main():
    """Run the command; every error that a person can mend is one sentence and a remedy."""
    try:
        HELD.enter_context(machine.hold(sys.prefix))
        app(level_first(sys.argv[1:]), prog_name="./fleet")
    except FleetError as error:
        _print_error(error, error.remedy)
        sys.exit(2)
    except OSError as error:
        _print_error(error, _REMEDIES.get(error.errno, "see to what it names, then run again"))
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("\nfleet: interrupted; run the same command again to go on")
        sys.exit(130)
