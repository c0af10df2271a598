#!/bin/sh
# Makes a minion of a Debian 13 machine. The image of the sandbox, Vagrant's
# machines and real ones all go through this one script.
#
#   bootstrap.sh packages     Debian packages that every host has
#   bootstrap.sh salt         Salt in /opt/salt, from requirements/ (needs a compiler)
#   bootstrap.sh minion       unit, configuration and links of the minion
#   bootstrap.sh user NAME    an account for whoever boots the host; key-only, sudo
#   bootstrap.sh join --id ID --master NAME [--master-key FILE] [--network CIDR]
#                             makes the minion's key, names its master, starts it;
#                             prints the public key, for the master to accept
#
# Every step may run again: it changes what differs and nothing else.
set -eu

shared=/usr/local/share/saltworks
pki=/etc/salt/pki/minion

die() {
    echo "bootstrap: $*" >&2
    exit 1
}

# write FILE: standard input becomes FILE; true if that changed it.
write() {
    new=$(mktemp "$1.XXXXXX")
    cat >"$new"
    chmod 0644 "$new"
    if cmp -s "$new" "$1"; then
        rm -f "$new"
        return 1
    fi
    mv "$new" "$1"
}

packages() {
    export DEBIAN_FRONTEND=noninteractive
    # A host of the sandbox can be made again: its disk need not be safe
    # against a power cut in the middle of an install.
    if grep -q container=podman /proc/1/environ 2>/dev/null || [ -e /run/.containerenv ]; then
        echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/force-unsafe-io
    fi
    apt-get update
    # Without a configuration postfix would come up as the world's mail server. With
    # this one its package is content; it goes again, and nothing starts postfix then
    # before the states have written the real one.
    stub=
    if [ ! -e /etc/postfix/main.cf ]; then
        stub=/etc/postfix/main.cf
        install -d -m 0755 /etc/postfix
        printf 'compatibility_level = 3.6\nmaster_service_disable = inet\n' >"$stub"
    fi
    # Of what the base states install, what every host has: so that the
    # sandbox unpacks it once and not on each host.
    apt-get install -y --no-install-recommends \
        systemd systemd-sysv dbus ca-certificates curl gpg gpg-agent iproute2 iputils-ping \
        less logrotate lsof monit netcat-openbsd nftables openssh-server openssl postfix procps python3 \
        ssl-cert sudo unattended-upgrades vim-tiny
    # The states start these, with a configuration.
    systemctl disable monit.service postfix.service 2>/dev/null || true
    systemctl stop postfix.service 2>/dev/null || true
    [ -z "$stub" ] || rm -f "$stub"
    # The kernel follows connections only once a rule asks for it. Without this,
    # the minion's connection would be unknown when the real rules come, and what
    # the master says over it would be dropped.
    if ! grep -q 'Managed by Saltworks' /etc/nftables.conf 2>/dev/null; then
        cat >/etc/nftables.conf <<'RULES'
#!/usr/sbin/nft -f
table inet site {
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
	}
}
RULES
    fi
    systemctl enable nftables.service
    # Keys belong to a host, not to an image; a host that runs keeps its own.
    [ -d /run/systemd/system ] || rm -f /etc/ssh/ssh_host_*
    cat >/etc/systemd/system/ssh-host-keys.service <<'UNIT'
[Unit]
Description=Make this host's own SSH keys
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
UNIT
    systemctl enable ssh-host-keys.service
}

salt() {
    [ -r "$shared/requirements/salt.txt" ] || die "$shared/requirements/salt.txt is missing: copy requirements/ there"
    if [ -x /opt/salt/bin/salt-call ] && cmp -s "$shared/requirements/salt.txt" /opt/salt/requirements.txt; then
        return
    fi
    export DEBIAN_FRONTEND=noninteractive
    # timelib, which Salt needs, has no wheel for this Python.
    apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-venv
    rm -rf /opt/salt
    python3 -m venv /opt/salt
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt /opt/salt/bin/pip install \
        --no-cache-dir --disable-pip-version-check --progress-bar off \
        --constraint "$shared/requirements/salt-constraints.txt" \
        --requirement "$shared/requirements/salt.txt"
    # Without these, each start of Salt takes more than twice as long.
    /opt/salt/bin/python -m compileall -q -j 0 /opt/salt/lib || true
    cp "$shared/requirements/salt.txt" /opt/salt/requirements.txt
}

minion() {
    install -d -m 0755 /etc/salt /etc/salt/minion.d
    install -d -m 0700 /etc/salt/pki "$pki"
    install -m 0644 "$shared/minion/salt-minion.service" /etc/systemd/system/salt-minion.service
    install -m 0644 "$shared/minion/site.conf" /etc/salt/minion.d/site.conf
    install -m 0644 "$shared/minion/site_names.yaml" /etc/salt/site_names.yaml
    for program in salt-call salt-minion salt salt-key salt-run salt-master; do
        ln -sf "/opt/salt/bin/$program" "/usr/local/bin/$program"
    done
}

user() {
    id "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$1"
    echo "$1 ALL=(ALL) NOPASSWD: ALL" >"/etc/sudoers.d/bootstrap-$1"
    chmod 0440 "/etc/sudoers.d/bootstrap-$1"
    install -d -m 0755 /etc/ssh/authorized_keys.d
    cat >/etc/ssh/sshd_config.d/10-bootstrap.conf <<'CONF'
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
CONF
}

join() {
    id='' master='' master_key='' network=''
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        --id) id=$2 ;;
        --master) master=$2 ;;
        --master-key) master_key=$2 ;;
        --network) network=$2 ;;
        *) die "unknown option $1" ;;
        esac
        shift 2
    done
    [ -n "$id" ] && [ -n "$master" ] || die "join needs --id and --master"
    changed=false
    if {
        echo "# What is this host's own; written when it was booted."
        echo "id: $id"
        echo "master: $master"
        [ -z "$network" ] || echo "site_network: $network"
    } | write /etc/salt/minion.d/host.conf; then changed=true; fi
    if ! [ -s "$pki/minion.pem" ]; then
        (
            umask 077
            openssl genrsa -out "$pki/minion.pem.new" 2048 2>/dev/null
            mv "$pki/minion.pem.new" "$pki/minion.pem"
        )
        changed=true
    fi
    if ! [ -s "$pki/minion.pub" ]; then
        openssl rsa -in "$pki/minion.pem" -pubout -out "$pki/minion.pub" 2>/dev/null
    fi
    # The master's key is given, not believed on first sight.
    if [ -n "$master_key" ]; then
        if write "$pki/minion_master.pub" <"$master_key"; then changed=true; fi
    fi
    systemctl enable --quiet salt-minion.service
    if $changed; then
        systemctl restart --no-block salt-minion.service
    else
        systemctl start --no-block salt-minion.service
    fi
    cat "$pki/minion.pub"
}

[ $# -ge 1 ] || die "say which step; see the head of $0"
step=$1
shift
case $step in
packages | salt | minion | user | join) "$step" "$@" ;;
*) die "no such step: $step" ;;
esac
