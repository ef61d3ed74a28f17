"""Python's own clients against a real server: smtplib and poplib in the ways that people use them.

    python3 server/tests/python/clients.py target/debug/pillarbox [--runtime R] [--workers N]
"""

import email
import email.policy
import poplib
import smtplib
from email.message import EmailMessage

from pillarbox import Server, chosen, command_line, until


def letter(subject, to="bob@example.org"):
    message = EmailMessage()
    message["From"] = "Alice <alice@example.org>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content(".a line that begins with a dot\n..two\nand grüße in 8 bit\n", cte="8bit")
    message.add_attachment(bytes(range(256)) * 20, maintype="application", subtype="octet-stream", filename="data")
    return message


def waiting(server, account, count):
    def there():
        pop = server.pop3(account, tls="none")
        found = pop.stat()[0]
        pop.quit()
        return found == count

    until("%s has %d" % (account, count), there)


def parsed(lines):
    return email.message_from_bytes(b"\r\n".join(lines) + b"\r\n", policy=email.policy.default)


def expect(failure, call, *words):
    try:
        call()
    except failure as error:
        text = str(error)
        assert all(word in text for word in words), text
        return
    raise AssertionError("it was not refused")


def submit(server):
    alice, bob = "alice@example.org", "bob@example.org"
    password = server.passwords[alice]
    for mechanism in ("PLAIN", "LOGIN"):
        for initial in (True, False):
            client = server.smtp(service="submission")
            client.ehlo()
            assert {"PLAIN", "LOGIN"} <= set(client.esmtp_features["auth"].split()), client.esmtp_features
            assert "starttls" not in client.esmtp_features, "TLS is there already"
            client.user, client.password = alice, password
            auth = client.auth_plain if mechanism == "PLAIN" else client.auth_login
            client.auth(mechanism, auth, initial_response_ok=initial)
            subject = "%s %s: grüße" % (mechanism, initial)
            assert client.send_message(letter(subject)) == {}
            client.quit()
    with server.smtp(alice, service="submissions") as client:
        assert client.send_message(letter("by implicit TLS")) == {}
        # Several on one connection, one of them to nobody.
        expect(smtplib.SMTPRecipientsRefused, lambda: client.sendmail(alice, ["no@example.org"], "x"), "550")
        assert set(client.sendmail(alice, [bob, "no@example.org"], b"Subject: half\r\n\r\n")) == {"no@example.org"}
        assert client.sendmail(alice, ["far@remote.example"], b"Subject: far\r\n\r\nhello\r\n") == {}
    # As another server: our mail yes, other people's no.
    with server.smtp() as client:
        assert client.sendmail("x@example.net", [bob], b"Subject: from outside\r\n\r\nhello\r\n") == {}
        refused = lambda: client.sendmail("x@example.net", ["y@example.net"], b"Subject: relay\r\n\r\n")
        expect(smtplib.SMTPRecipientsRefused, refused)
        expect(smtplib.SMTPNotSupportedError, lambda: client.login(alice, password))
    with server.smtp(service="submission") as client:
        expect(smtplib.SMTPAuthenticationError, lambda: client.login(alice, "guess"), "535")
        expect(smtplib.SMTPSenderRefused, lambda: client.sendmail(alice, [bob], b"x"), "530")


def fetch(server):
    bob = "bob@example.org"
    waiting(server, bob, 7)
    pop = server.pop3(bob, login=False)
    assert "USER" in pop.capa() and "STLS" not in pop.capa(), pop.capa()
    expect(poplib.error_proto, lambda: (pop.user(bob), pop.pass_("guess")), "-ERR")
    pop.quit()

    pop = server.pop3(bob)
    count, octets = pop.stat()
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    assert (count, octets) == (len(sizes), sum(sizes))
    uidl = [line.split()[1] for line in pop.uidl()[1]]
    assert len(set(uidl)) == count
    assert pop.uidl(3).split()[2] == uidl[2]
    for n in range(1, 6):
        lines, size = pop.retr(n)[1:]
        assert sizes[n - 1] == sum(len(line) + 2 for line in lines), "RETR is as long as LIST says"
        message = parsed(lines)
        if n < 5:
            assert message["Subject"].endswith(": grüße"), message["Subject"]
        text, data = message.iter_parts()
        # The parser leaves the line ends of 8-bit text as they crossed the wire.
        content = text.get_content().replace("\r\n", "\n")
        assert content == ".a line that begins with a dot\n..two\nand grüße in 8 bit\n", repr(content)
        assert data.get_content() == bytes(range(256)) * 20
        assert message["Delivered-To"] == bob and message["Received"], message.items()
    lines = pop.top(1, 0)[1]
    assert lines[-1] == b"" and any(line.startswith(b"Subject:") for line in lines)
    assert len(pop.top(1, 2)[1]) == len(lines) + 2
    # Somebody else must wait.
    expect(poplib.error_proto, lambda: server.pop3(bob, tls="implicit"), "[IN-USE]")
    pop.dele(1)
    pop.dele(2)
    expect(poplib.error_proto, lambda: pop.retr(1), "-ERR")
    pop.rset()
    pop.dele(3)
    # Without QUIT nothing is deleted.
    pop.close()

    def free():
        try:
            return server.pop3(bob, tls="implicit")
        except poplib.error_proto:
            return None

    pop = until("the lock is gone with its holder", free)
    assert [line.split()[1] for line in pop.uidl()[1]] == uidl
    for n in range(1, count + 1):
        if n != 4:
            pop.dele(n)
    pop.quit()
    pop = server.pop3(bob)
    assert [line.split()[1] for line in pop.uidl()[1]] == [uidl[3]]
    pop.quit()


def main():
    arguments = command_line(__doc__).parse_intermixed_args()
    binary, on = arguments.binary, chosen(arguments)
    with Server(binary, "remote.example", ["far"], on=on) as remote:
        route = '\n[[route]]\ndomain = "remote.example"\nto = "smtp://127.0.0.1:%d"\n' % remote.ports["smtp"]
        with Server(binary, "example.org", ["alice", "bob"], extra=route, on=on) as server:
            submit(server)
            fetch(server)
            waiting(remote, "far@remote.example", 1)
            assert server.command("queue", "list", "--json") == ""
            assert server.stop() == 0
        assert remote.stop() == 0


main()
