"""What is asked of compiled hosts; each rule returns a list of problems."""

import json
import re

from tools import compiler

MASK = "****"
PRIVATE_MODES = {"0400", "0440", "0600", "0640", "0660", "0700", "0710", "0750"}
SHORTEST = 8

# Formats that know no comment: certificates, JSON, redis' table of users, bare secrets.
# And the first versions of other people's repositories, which are theirs to change.
UNCOMMENTABLE = (
    r".*\.(crt|key|pem|json)|/etc/redis/users\.acl"
    r"|/etc/(mediawiki|wordpress|ldap|lemonldap-ng)/secrets/.*"
    r"|/usr/local/share/git-seeds/.*"
)

# Where the program can check a file, the state must let it: path -> the program.
CHECKED = {
    r"/etc/haproxy/haproxy\.cfg": "haproxy -c",
    r"/etc/monit/monitrc": "monit -t",
    r"/etc/nftables\.conf": "nft -c",
    r"/etc/nginx/nginx\.conf": "nginx -t",
    r"/etc/postfix/main\.cf": "postfix check",
    r"/etc/nutcracker/nutcracker\.yml": "nutcracker -t",
    r"/etc/sso-gate/apache2\.conf": "apache2 -t",
    r"/etc/sudoers\.d/.*": "visudo -c",
    r"/etc/varnish/.*\.vcl": "varnishd -C",
}


def secrets_of_host(result, values):
    """``{name: value}`` of what must stay secret on this host, its own key included."""
    secrets = {name: value for name, value in values.items() if len(value) >= SHORTEST}
    key = (result["pillar"].get("tls") or {}).get("host.key")
    if key:
        secrets["tls:host.key"] = key.strip()
    return secrets


def arguments_of(result):
    """``{state id: arguments}``."""
    return {state["id"]: state["arguments"] for state in result["states"]}


def masked(result):
    """Files in which Salt's mask stands instead of a value."""
    return [
        f"{result['id']}: {path} (state {file['state']}) holds a masked value. Cure: read pillar "
        "by __pillar__ or an argument, not by __salt__['pillar.get']"
        for path, file in result["files"].items()
        if MASK in (file["text"] or "")
    ]


def encrypted(result):
    """Files in which a secret stands still encrypted."""
    return [
        f"{result['id']}: {path} (state {file['state']}) holds an encrypted value. Cure: begin the "
        "pillar file with #!jinja|yaml|gpg"
        for path, file in result["files"].items()
        if compiler.PGP_BLOCK in (file["text"] or "")
    ]


def unmarked(result):
    """Files that do not say at their beginning who manages them."""
    return [
        f"{result['id']}: {path} (state {file['state']}) does not say who manages it. Cure: begin "
        "it with the comment `Managed by Saltworks: <component>. Local changes are overwritten.`"
        for path, file in result["files"].items()
        if file["text"] is not None
        and not re.fullmatch(UNCOMMENTABLE, path)
        and not any("Managed by Saltworks: " in line for line in file["text"].splitlines()[:4])
    ]


def strangers(result, level, domains, addresses):
    """
    Files that name another level, its public domain, or an address of its hosts.

    domains
        ``{level: public domain}``.

    addresses
        ``{level: [address]}``, of all its hosts.
    """
    problems = []
    for other, domain in domains.items():
        if other == level:
            continue
        hosts = "|".join(map(re.escape, addresses[other]))
        names = re.compile(
            rf"[.-]{re.escape(other)}\.wpd\.internal|(?<![\w-]){re.escape(domain)}"
            rf"|(?<![\d.])(?:{hosts})(?![\d])"
        )
        for path, file in result["files"].items():
            found = names.search(file["text"] or "")
            if found:
                problems.append(
                    f"{result['id']}: {path} (state {file['state']}) names '{found.group()}' of "
                    f"level {other}. Cure: take the name from pillar site:domain or site_hosts"
                )
    return problems


def open_secrets(result, values):
    """Secrets in files that others may read, in diffs, names, commands and arguments."""
    problems = []
    secrets = secrets_of_host(result, values)
    arguments = arguments_of(result)
    for path, file in result["files"].items():
        held = [name for name, value in secrets.items() if value in (file["text"] or "")]
        if not held:
            continue
        where = f"{result['id']}: {path} (state {file['state']}) holds {', '.join(held)}"
        if file["mode"] not in PRIVATE_MODES:
            problems.append(f'{where} and has mode {file["mode"]}. Cure: mode "0600" or "0640"')
        given = arguments.get(file["state"], {})
        if given.get("show_changes") is not False and given.get("no_log") is not True:
            problems.append(f"{where} and shows its changes. Cure: show_changes: False")
    for state in result["states"]:
        said = [state["name"]]
        if state["function"].startswith("cmd."):
            said += [state["arguments"].get(key) for key in ("unless", "onlyif", "creates", "args")]
            said += [state["arguments"].get("check_cmd")]
        for name, value in secrets.items():
            if any(value in str(part) for part in said):
                problems.append(
                    f"{result['id']}: state {state['id']} has {name} in a command or a name, and "
                    "so in a process list or a log. Cure: hand it over by a file or stdin"
                )
        given = json.dumps(state["arguments"], default=str)
        problems += [
            f"{result['id']}: state {state['id']} has {name} in its arguments, and so in the "
            "compiled states, which `state.show_lowstate` and the master's job cache keep. "
            "Cure: contents_pillar, or let the template read pillar"
            for name, value in secrets.items()
            if json.dumps(value)[1:-1] in given
        ]
    return problems


def unchecked(result):
    """Files that a program could check and that are written without asking it."""
    arguments = arguments_of(result)
    return [
        f"{result['id']}: {path} (state {file['state']}) is not checked before it replaces the old "
        f"one. Cure: check_cmd with `{program}`"
        for path, file in result["files"].items()
        for pattern, program in CHECKED.items()
        if re.fullmatch(pattern, path) and "check_cmd" not in arguments.get(file["state"], {})
    ]


def unwatched(result):
    """Services of ours whose process monit would not find: it is started by another command."""
    texts = {path: file["text"] or "" for path, file in result["files"].items()}
    problems = []
    for name, process in re.findall(
        r'^check process (\S+) matching "(.*)"$', texts.get("/etc/monit/monitrc", ""), re.M
    ):
        started = re.search(
            r"^ExecStart=(\S+.*)$", texts.get(f"/etc/systemd/system/{name}.service", ""), re.M
        )
        # Salt's programs are scripts of an interpreter that only the host knows.
        if not started or started[1].startswith("/opt/salt/"):
            continue
        # A script is a process of its interpreter.
        script = re.match(r"#!(\S+)", texts.get(started[1].split()[0], ""))
        command = f"{script[1]} {started[1]}" if script else started[1]
        if not re.search(process, command):
            problems.append(
                f"{result['id']}: monit looks for '{process}', and {name}.service starts "
                f"'{command}'. Cure: pillar/registry.yaml, process"
            )
    return problems
