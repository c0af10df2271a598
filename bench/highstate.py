"""
What a highstate that changes nothing costs, per role, and what the minion's options save.

    python3 bench/highstate.py [LEVEL] [RUNS]

Needs a raised level. Runs `salt-call state.highstate` on one host of each role,
the variants in turn within each round, and prints wall and CPU seconds (the
least of RUNS, default 3) and ratios to the shipped configuration, as Markdown.
"""

import json
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
LEVEL = sys.argv[1] if len(sys.argv) > 1 else "sandbox"
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 3

# What is laid over the shipped configuration.
VARIANTS = {
    "as shipped": "",
    "autoload_dynamic_modules: True (Salt's default)": "autoload_dynamic_modules: True\n",
    "enable_gpu_grains: True (Salt's default)": "enable_gpu_grains: True\n",
    "grains_cache: True": "grains_cache: True\n",
    "state_aggregate: True": "state_aggregate: True\n",
    "lazy_loader_strict_matching: True": "lazy_loader_strict_matching: True\n",
}

# Runs on the host: one highstate under a configuration of its own.
MEASURE = """
import json, os, resource, shutil, subprocess, sys, time
shutil.rmtree("/run/bench-salt", ignore_errors=True)
shutil.copytree("/etc/salt", "/run/bench-salt", symlinks=True)
with open("/run/bench-salt/minion.d/zz-bench.conf", "w") as file:
    file.write(sys.stdin.read())
started = time.monotonic()
done = subprocess.run(
    ["salt-call", "--config-dir=/run/bench-salt", "--out=json", "--log-level=quiet",
     "state.highstate"], capture_output=True, text=True)
wall = time.monotonic() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
states = json.loads(done.stdout[done.stdout.index("{"):])["local"]
shutil.rmtree("/run/bench-salt")
print(json.dumps({
    "wall": wall, "cpu": used.ru_utime + used.ru_stime, "states": len(states),
    "changed": sum(bool(s["changes"]) for s in states.values()),
    "slowest": sorted(((s["duration"], s["__id__"]) for s in states.values()), reverse=True)[:3],
}))
"""


def fleet(*words, stdin=""):
    """Run ./fleet and return what it printed."""
    done = subprocess.run(
        [str(TREE / "fleet"), "--level", LEVEL, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"./fleet {' '.join(words[:3])} failed:\n{done.stderr}")
    return done.stdout


def main():
    """Measure every role and every variant; print two tables."""
    hosts = {}
    for host in json.loads(fleet("status", "--json"))["hosts"]:
        hosts.setdefault(host["roles"][0], host["id"])
    best = {}
    for _ in range(RUNS):
        for role, host in hosts.items():
            for variant, text in VARIANTS.items():
                found = json.loads(fleet("exec", host, "--", "python3", "-c", MEASURE, stdin=text))
                if found["changed"]:
                    sys.exit(f"{host}: the highstate changed something; raise the level first")
                kept = best.setdefault((role, variant), found)
                kept["wall"] = min(kept["wall"], found["wall"])
                kept["cpu"] = min(kept["cpu"], found["cpu"])

    print("| role | states | wall, s | CPU, s | CPU per state, ms | slowest states, ms |")
    print("|---|---|---|---|---|---|")
    for role in hosts:
        one = best[role, "as shipped"]
        slowest = ", ".join(f"{name} {duration:.0f}" for duration, name in one["slowest"])
        print(
            f"| {role} | {one['states']} | {one['wall']:.2f} | {one['cpu']:.2f} "
            f"| {one['cpu'] / one['states'] * 1000:.0f} | {slowest} |"
        )
    print("\n| option | CPU, ratio to as shipped: " + " | ".join(hosts) + " |")
    print("|---" * (len(hosts) + 1) + "|")
    for variant in VARIANTS:
        ratios = [
            f"{best[role, variant]['cpu'] / best[role, 'as shipped']['cpu']:.2f}" for role in hosts
        ]
        print(f"| {variant} | " + " | ".join(ratios) + " |")


if __name__ == "__main__":
    main()
