"""Python's imaplib against a real server, in the ways that people use it.

    python3 server/tests/python/reader.py target/debug/pillarbox [--runtime R] [--workers N]
"""

import email
import email.policy
import imaplib
import re
import time
from email.message import EmailMessage

from pillarbox import Server, chosen, command_line, trusting

# It knows only the commands of its time.
imaplib.Commands.setdefault("MOVE", ("SELECTED",))
BOB = "bob@example.org"


def letter(subject, size=0):
    message = EmailMessage()
    message["From"] = "Alice <alice@example.org>"
    message["To"] = BOB
    message["Subject"] = subject
    message.set_content("hello\nand grüße in 8 bit\n", cte="8bit")
    if size:
        message.add_attachment(bytes(range(256)) * (size // 256), maintype="application", subtype="octet-stream")
    return message.as_bytes(policy=email.policy.SMTP)


def ok(result):
    status, data = result
    assert status == "OK", result
    return data


def refused(result, *words):
    status, data = result
    assert status == "NO" and all(word in data[0].decode() for word in words), result


def flags_of(client, uid):
    said = ok(client.uid("FETCH", uid, "(FLAGS)"))[0]
    return {flag.decode() for flag in imaplib.ParseFlags(said)}


def connections(server):
    """Every way in."""
    password = server.passwords[BOB]
    plain = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=60)
    assert "STARTTLS" in plain.capabilities, plain.capabilities
    ok(plain.starttls(trusting()))
    assert "STARTTLS" not in plain.capabilities, plain.capabilities
    ok(plain.login(BOB, password))
    assert "STARTTLS" not in plain.capability()[1][0].decode()
    implicit = imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=trusting(), timeout=60)
    try:
        implicit.login(BOB, "guess")
        raise AssertionError("it was not refused")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    ok(implicit.authenticate("PLAIN", lambda _: b"\0" + BOB.encode() + b"\0" + password.encode()))
    return plain, implicit


def mailboxes(client):
    for name in ('"Gr&APw-n"', "Lists/one", "Lists/two"):
        ok(client.create(name))
    refused(client.create("Lists/one"), "ALREADYEXISTS")
    ok(client.subscribe("Lists/one"))
    listed = b"\n".join(ok(client.list())).decode()
    assert all(name in listed for name in ("INBOX", "Gr&APw-n", "Lists/one", "Lists/two")), listed
    assert [line.decode().split(" ")[-1] for line in ok(client.lsub())] == ["Lists/one"]
    under = ok(client.list("Lists/", "%"))
    assert len(under) == 2, under
    ok(client.rename("Lists", "Old"))
    assert b"Old/one" in b"\n".join(ok(client.list('""', "Old/*")))
    ok(client.delete("Old/two"))
    refused(client.select("Old/two"), "NONEXISTENT")
    assert b"".join(ok(client.namespace())).startswith(b'(("" "/"))')


def messages(client, other):
    assert ok(client.select())[0] == b"0"
    ok(other.select())
    when = imaplib.Time2Internaldate(time.time() - 3600)
    texts = [letter("one"), letter("two", 60_000), letter("three", 3_000_000)]
    for text, flags in zip(texts, ("", r"\Seen", r"(\Flagged $Work)")):
        said = ok(client.append("INBOX", flags, when, text))[0].decode()
        assert re.match(r"\[APPENDUID \d+ \d+\]", said), said
    refused(client.append("Nowhere", "", None, texts[0]), "TRYCREATE")
    ok(client.noop())
    assert client.untagged_responses["EXISTS"][-1] == b"3", client.untagged_responses
    for number, text in enumerate(texts, 1):
        (head, body), tail = ok(client.fetch(str(number), "(RFC822.SIZE BODY.PEEK[])"))
        assert body == text and b"RFC822.SIZE %d" % len(text) in head + tail, head
        parsed = email.message_from_bytes(body, policy=email.policy.default)
        assert parsed["Subject"] == ("one", "two", "three")[number - 1]
    (_, part), _ = ok(client.fetch("3", "(BODY.PEEK[]<1000.2000>)"))
    assert part == texts[2][1000:3000]
    (_, header), _ = ok(client.fetch("2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    assert header == b"Subject: two\r\n\r\n", header
    structure = ok(client.fetch("2", "(ENVELOPE BODYSTRUCTURE)"))[0].decode()
    assert '"mixed"' in structure.lower() and '"two"' in structure, structure

    # What one does the other sees.
    ok(other.noop())
    ok(client.store("1", "+FLAGS", r"(\Answered \Deleted)"))
    assert {"\\Answered", "\\Deleted"} <= flags_of(other, "1")
    assert {"\\Flagged", "$Work"} <= flags_of(other, "3")
    ok(other.uid("STORE", "3", "-FLAGS", "$Work"))
    assert "$Work" not in flags_of(client, "3")
    assert ok(client.search(None, "SEEN"))[0] == b"2"
    assert ok(client.uid("SEARCH", None, "UNSEEN", "UNDELETED"))[0] == b"3"
    assert ok(client.search("UTF-8", "TEXT", '"hello"'))[0] == b"1 2 3"
    ok(client.copy("1:2", '"Gr&APw-n"'))
    ok(client.uid("MOVE", "2", '"Gr&APw-n"'))
    # The first of them came with MOVE; imaplib gives both.
    assert ok(client.expunge()) == [b"2", b"1"]
    ok(other.noop())
    assert ok(other.uid("SEARCH", None, "ALL"))[0] == b"3"
    assert ok(client.status('"Gr&APw-n"', "(MESSAGES)"))[0].endswith(b"(MESSAGES 3)")
    ok(client.close())
    ok(client.select('"Gr&APw-n"', readonly=True))
    numbers = ok(client.search(None, "ALL"))[0].split()
    subjects = [ok(client.fetch(n, "(BODY[HEADER.FIELDS (SUBJECT)])"))[0][1] for n in numbers]
    assert subjects == [b"Subject: %s\r\n\r\n" % name for name in (b"one", b"two", b"two")], subjects


def main():
    arguments = command_line(__doc__).parse_intermixed_args()
    with Server(arguments.binary, "example.org", ["bob"], on=chosen(arguments)) as server:
        client, other = connections(server)
        mailboxes(client)
        messages(client, other)
        assert client.logout()[0] == "BYE"
        other.shutdown()
        assert server.stop() == 0


main()
