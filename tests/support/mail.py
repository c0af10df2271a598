"""Mail on hosts, for tests: sent as programs send it, read where it ends."""

import json
import subprocess

# Says SMTP commands to a server and prints its answers; [address, TLS?, commands]. A
# list among the commands is the lines of a mail. A refusal that says "later" ends it.
_TALK = """
import json, smtplib, ssl, sys
address, tls, commands = json.load(sys.stdin)
answers = []
with smtplib.SMTP(address, 25, local_hostname="test", timeout=20) as server:
    server.ehlo()
    if tls:
        context = ssl.create_default_context(cafile="/etc/ssl/site/ca.crt")
        context.check_hostname = False
        server.starttls(context=context)
        server.ehlo()
    for command in commands:
        if isinstance(command, list):
            server.send("".join(line + "\\r\\n" for line in [*command, "."]))
            code, text = server.getreply()
        else:
            code, text = server.docmd(command)
        answers.append([code, text.decode()])
        if 400 <= code < 500:
            break
print(json.dumps(answers))
"""

# A verifier that is not the signer, with the record handed to it in the DNS' stead.
_VERIFY = """
import sys, dkim
record, message = sys.stdin.buffer.read().split(b"\\n", 1)
asked = []
def dns(name, timeout=5):
    asked.append(name)
    return record
good = dkim.verify(message, dnsfunc=dns)
print(good, asked[0].decode().rstrip(".") if asked else "unsigned")
"""


def talk(fleet, name, address, commands, *, tls=True):
    """
    What an SMTP server answers to each command, said by a host.

    Returns ``[[code, text], …]``. The server's name is not compared: an address is
    dialled, and the satellites' own check of it is tested by itself.
    """
    done = fleet.shell(name, f"python3 -c '{_TALK}'", stdin=json.dumps([address, tls, commands]))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def send(fleet, name, to, subject, *, sender=None, more=""):
    """Hand a mail to a host's own `sendmail`."""
    option = f"-f {sender} " if sender else ""
    done = fleet.shell(
        name,
        f"/usr/sbin/sendmail -i {option}{to}",
        stdin=f"To: {to}\nSubject: {subject}\n{more}\nhello\n",
    )
    assert done.returncode == 0, done.stderr


def read(fleet, to, subject, wait=60):
    """The mail in the level's mailbox, as text; None where it does not come."""
    reader = fleet.with_role("mail")[0].name
    done = fleet.shell(
        reader, f'sink-mail --to {to} --subject "{subject}" --wait {wait}', seconds=wait + 60
    )
    return done.stdout if done.returncode == 0 else None


def verify(message, record):
    """
    Whether a signature is good, and by which name of the DNS it asks for its key.

    record
        The TXT record that stands there.
    """
    done = subprocess.run(
        ["/usr/bin/python3", "-c", _VERIFY],
        input=f"{record}\n{message}".encode(),
        capture_output=True,
        check=True,
    )
    good, asked = done.stdout.decode().split()
    return good == "True", asked
