"""Mail: from every host into the level's mailbox, signed, and to nobody else."""

import email
import json
import re
import uuid
from email.utils import parseaddr

import pytest

from tests.support import mail

# Documentation addresses: nobody is there.
NOBODY, SOMEBODY = "192.0.2.25", "somebody@example.net"


@pytest.fixture(scope="module")
def domain(fleet):
    """The site domain of the level."""
    return fleet.domain()


@pytest.fixture(scope="module")
def relay(fleet):
    """The name of one mail host."""
    return fleet.with_role("mail")[0].name


@pytest.fixture(scope="module")
def address(fleet, relay):
    """The address of that mail host."""
    return fleet.address(relay)


@pytest.fixture(scope="module")
def client(fleet):
    """The name of a host that is no mail host."""
    return next(member.name for member in fleet.members if "mail" not in member.roles)


@pytest.fixture(scope="module")
def records(fleet, relay):
    """``{name: [value, …]}``: what the DNS would say."""
    done = fleet.shell(relay, "salt-call --out=json site_mail.dns_records")
    found = {}
    for each in json.loads(done.stdout)["local"]:
        found.setdefault(each["name"], []).append(each["value"])
    return found


def token():
    return f"t{uuid.uuid4().hex[:12]}"


def test_programs_find_mail_on_loopback_alone(host):
    addresses = {
        line.split()[3].rpartition(":")[0]
        for line in host.check_output("ss -Hltn sport = :25").splitlines()
    }
    inside = {address for address in addresses if address.startswith("127.")}
    assert inside == {"127.0.0.1"}
    assert len(addresses) == (2 if "mail" in host.roles else 1)


def test_mail_of_every_host_arrives_signed_and_without_the_hosts_name(fleet, domain, records):
    sent = {}
    for member in fleet.members:
        sent[member.name] = token()
        mail.send(
            fleet,
            member.name,
            SOMEBODY,
            sent[member.name],
            sender=f"root@{member.id}",
            more=f"From: Root <root@{member.id}>\n",
        )
    for name, subject in sent.items():
        text = mail.read(fleet, SOMEBODY, subject)
        assert text, f"the mail of {name} did not arrive"
        found = email.message_from_string(text)
        assert fleet.members[0].id.partition(".")[2] not in text
        assert found["Message-Id"].endswith(f"{domain}>")
        assert found["Return-Path"] == f"<root@{domain}>"
        assert found["From"] == f"Root <root@{domain}>"
        (key,) = [each for each in records if "._domainkey." in each]
        assert mail.verify(text, records[key][0]) == (True, key)
        assert mail.verify(text.replace("hello", "hullo"), records[key][0])[0] is False


def test_it_went_over_tls_with_a_name_that_was_checked(fleet, client, address, domain):
    subject = token()
    cursor = fleet.shell(client, "journalctl --lines=0 --show-cursor").stdout.split()[-1]
    mail.send(fleet, client, SOMEBODY, subject)
    text = mail.read(fleet, SOMEBODY, subject)
    journal = fleet.shell(client, f'journalctl --facility=mail --after-cursor="{cursor}"').stdout
    assert re.search(
        rf"Verified TLS connection established to {re.escape(address)}\S*: TLSv1\.[23] ", journal
    ), journal
    assert parseaddr(email.message_from_string(text)["From"])[1] == f"root@{domain}"


@pytest.mark.parametrize("role", ["accounts", "app", "blog"])
def test_mail_of_a_program_arrives_signed(fleet, role, domain, records):
    """As accounts, wiki and blog hand it over: by SMTP on loopback, in a name of their own."""
    subject, sender = token(), f"{role}@{domain}"
    body = [f"From: {role} <{sender}>", f"To: {SOMEBODY}", f"Subject: {subject}", "", "hello"]
    commands = [f"MAIL FROM:<{sender}>", f"RCPT TO:<{SOMEBODY}>", "DATA", body]
    name = fleet.with_role(role)[0].name
    assert mail.talk(fleet, name, "127.0.0.1", commands, tls=False)[-1][0] == 250
    text = mail.read(fleet, SOMEBODY, subject)
    found = email.message_from_string(text)
    assert found["Return-Path"] == f"<{sender}>"
    assert parseaddr(found["From"])[1] == sender
    (key,) = [each for each in records if "._domainkey." in each]
    assert mail.verify(text, records[key][0]) == (True, key)


def test_an_alias_leads_to_the_operators(fleet, client, domain):
    subject = token()
    mail.send(fleet, client, "root", subject)
    assert mail.read(fleet, f"operators@{domain}", subject)


@pytest.mark.parametrize("tls", [True, False])
def test_a_mail_host_takes_no_mail_in_a_strangers_name(fleet, client, address, tls):
    commands = ["MAIL FROM:<boss@example.net>", f"RCPT TO:<{SOMEBODY}>"]
    answers = mail.talk(fleet, client, address, commands, tls=tls)
    assert answers[1][0] == (554 if tls else 450), answers
    # The own postfix says so at once, so that the program hears of it.
    assert mail.talk(fleet, client, "127.0.0.1", commands, tls=False)[1][0] == 554


def test_a_stranger_cannot_send_at_all(fleet, client, relay, address):
    """An address of the level's network that the mine does not know."""
    known = set(fleet.shell(relay, "postconf -h mynetworks").stdout.split())
    network = address.rpartition(".")[0]
    stranger = next(
        f"{network}.{last}" for last in range(250, 200, -1) if f"{network}.{last}" not in known
    )
    device = fleet.shell(client, "ip -o route get 192.0.2.1").stdout.split(" dev ")[1].split()[0]
    fleet.shell(client, f"ip address add {stranger}/24 dev {device}")
    try:
        done = fleet.shell(client, f"nc -z -w 2 -s {stranger} {address} 25", seconds=20)
        assert done.returncode != 0
    finally:
        fleet.shell(client, f"ip address del {stranger}/24 dev {device}")
    assert fleet.shell(client, f"nc -z -w 5 {address} 25").returncode == 0


def test_one_host_cannot_flood(fleet, client, relay, address, domain):
    limit = int(fleet.shell(relay, "postconf -h smtpd_client_message_rate_limit").stdout)
    sender = f"MAIL FROM:<root@{domain}>"
    # As the mail host's own address: its programs send from 127.0.0.1, so nobody has to
    # wait for the end of this minute.
    some = 40
    for _ in range(limit // some + 1):
        # No more in one connection: too many RSET are a mistake of another kind.
        answers = mail.talk(fleet, relay, address, [sender, "RSET"] * some)
        if answers[-1][0] != 250:
            break
    assert answers[-1][0] == 450 and "too much mail" in answers[-1][1], answers[-1]
    # Others do not notice.
    assert mail.talk(fleet, relay, "127.0.0.1", [sender], tls=False) == [[250, "2.1.0 Ok"]]
    assert mail.talk(fleet, client, address, [sender]) == [[250, "2.1.0 Ok"]]


def test_nothing_leaves_the_level(host, fleet):
    if "mail" in host.roles and host.check_output("postconf -h default_transport") != "virtual":
        pytest.skip("a mail host of a level that delivers outside")

    def refused():
        chain = json.loads(host.check_output("nft --json list chain inet site output"))
        (rule,) = [
            part["rule"]
            for part in chain["nftables"]
            if part.get("rule", {}).get("comment") == "mail to the outside"
        ]
        return next(word["counter"]["packets"] for word in rule["expr"] if "counter" in word)

    before = refused()
    for port in (25, 465, 587):
        assert host.run(f"nc -z -w 2 {NOBODY} {port}").rc != 0
    assert refused() >= before + 3


@pytest.mark.role("mail")
def test_no_way_of_postfix_opens_a_connection(host):
    """Whoever the mail is for: postfix itself says which way it takes."""
    ways = "default_transport relay_transport virtual_transport"
    assert set(host.check_output(f"postconf -h {ways}").split()) == {"virtual"}
    assert host.check_output("postconf -h local_transport").startswith("error:")
    for name in ("relayhost", "transport_maps", "sender_dependent_default_transport_maps"):
        assert host.check_output(f"postconf -h {name}") == ""


def test_the_queue_is_watched(host):
    check = "/usr/local/lib/saltworks/mail-queue-check"
    host.run_expect([0], check)
    # With a limit below nothing it fails, and says what it saw.
    done = host.run_expect([1], f"{check} --bounces -1")
    assert re.fullmatch(r"\d+ mails came back in 30 minutes", done.stdout.strip())
    # monit has less privileges than root has.
    sandbox = host.check_output(
        "systemctl show monit --property=CapabilityBoundingSet --property=NoNewPrivileges "
        "--property=ProtectSystem --property=SupplementaryGroups"
    )
    words = " ".join(f"--property='{line}'" for line in sandbox.splitlines())
    host.run_expect([0], f"systemd-run --quiet --wait --pipe {words} {check}")
    assert "Program 'mail-queue'" in host.check_output("monit -B status mail-queue")


@pytest.mark.role("mail")
def test_what_looks_like_spam_is_refused(host, fleet, domain):
    # The test string of every spam filter.
    gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    subject = token()
    commands = [
        f"MAIL FROM:<root@{domain}>",
        f"RCPT TO:<{SOMEBODY}>",
        "DATA",
        [f"From: root@{domain}", f"Subject: {subject}", "", gtube],
    ]
    assert mail.talk(fleet, host.name, "127.0.0.1", commands, tls=False)[-1][0] == 554
    assert mail.read(fleet, SOMEBODY, subject, wait=0) is None


def test_a_configuration_is_refused_for_its_mistakes_alone(fleet):
    host = fleet.with_role("app")[0]
    check = "/usr/local/lib/saltworks/postfix-check"
    # Debian's own copy of a file is behind, as after a change of /etc/hosts.
    host.run_expect([0], "echo '# behind' >> /var/spool/postfix/etc/services")
    host.run_expect([0], f"{check} /etc/postfix/main.cf")
    wrong = host.run_expect(
        [1],
        f"(cat /etc/postfix/main.cf; echo no_such_name = 1) > /run/wrong.cf; {check} /run/wrong.cf",
    )
    assert "no_such_name" in wrong.stderr
