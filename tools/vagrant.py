"""What the Vagrantfile asks: `./fleet vagrant …`. Not for people; they type `vagrant`."""

import json
import os
import subprocess

from tools import image, machine
from tools.errors import FleetError
from tools.inventory import TREE
from tools.sandbox import Sandbox

# MiB of a virtual machine, by its first role; containers share the machine's.
MEMORY = {"salt": 1536, "db": 1024, "app": 1024, "blog": 1024}
MEMORY_OF_OTHERS = 768
KEY = TREE / ".vagrant" / "fleet_ed25519"


def network_name(level):
    """The network of Vagrant's containers; that of `./fleet up` has another name."""
    return f"vagrant-{level}"


def chosen(inventory):
    """The hosts that FLEET_HOSTS names (ids or first labels, with commas), else all."""
    names = [name for name in os.environ.get("FLEET_HOSTS", "").split(",") if name]
    wanted = {inventory.find(name).id for name in names}
    return [host for host in inventory.hosts if not wanted or host.id in wanted]


def plan(inventory):
    """
    The machines of a level, as the Vagrantfile needs them; JSON-ready.

    Raises FleetError for a level without a network.
    """
    if inventory.network is None:
        raise FleetError(
            f"inventory/{inventory.level}.yaml has no network: this level is not for one machine",
            "choose another with FLEET_LEVEL",
        )
    addresses = inventory.addresses()
    return {
        "machines": [
            {
                "name": host.name,
                "id": host.id,
                "address": addresses[host.id],
                "memory": MEMORY.get(host.roles[0], MEMORY_OF_OTHERS),
            }
            for host in chosen(inventory)
        ],
        "netmask": str(inventory.network.netmask),
        "docker": {
            "image": image.name(),
            "key": str(_key()),
            "arguments": [
                "--network",
                network_name(inventory.level),
                *("--cap-add", "NET_ADMIN", "--cap-add", "SYS_NICE"),
                *("--volume", f"{KEY}.pub:/etc/ssh/authorized_keys.d/fleet:ro"),
                *machine.limits(),
            ],
        },
    }


def _key():
    """The key pair with which Vagrant enters containers; made once."""
    if not KEY.exists():
        KEY.parent.mkdir(exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vagrant", "-f", str(KEY)],
            check=True,
            capture_output=True,
        )
    return KEY


def raise_docker(inventory, say):
    """Make what containers of the docker provider stand on: the image and the network."""
    machine.require_root()
    machine.install_packages(say)
    sandbox = Sandbox(inventory)
    sandbox.network = network_name(inventory.level)
    image.ensure(sandbox.podman, say)
    sandbox.ensure_network()


def clear_docker(inventory):
    """Remove the network when its last container is gone."""
    podman = Sandbox(inventory).podman
    name = network_name(inventory.level)
    if podman.run("network", "exists", name, check=False).returncode:
        return
    if not podman.json("ps", "--all", "--filter", f"network={name}", "--format", "json"):
        podman.run("network", "rm", name)


def main(inventory, word, say):
    """Answer the Vagrantfile: `plan`, `docker-up` or `docker-down`."""
    # That is how Vagrant reaches podman. Here podman is called itself.
    os.environ.pop("CONTAINER_HOST", None)
    if word == "plan":
        print(json.dumps(plan(inventory)))
    elif word == "docker-up":
        raise_docker(inventory, say)
    elif word == "docker-down":
        clear_docker(inventory)
    else:
        raise FleetError(f"no such word: {word}", "plan, docker-up, docker-down")
