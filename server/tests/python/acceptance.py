"""The heavier promises, held up to a release binary: memory, two thousand messages at once, and space that comes back.

    python3 server/tests/python/acceptance.py target/release/pillarbox [--runtime R] [--workers N] [PART...]

Prints what it measured; exits 1 when a promise is not kept.
"""

import functools
import hashlib
import socket
import sys
import time

from pillarbox import Server, chosen, command_line, side_by_side, until

MB = 1 << 20
failed = []


def verdict(what, kept, figure):
    print("%-4s %-66s %s" % ("ok" if kept else "FAIL", what, figure), flush=True)
    if not kept:
        failed.append(what)


def body(size, seed=b""):
    """A message of about this size, in lines as base64 has them; some begin with a dot."""
    lines, length, n = [], 0, 0
    while length < size:
        digest = hashlib.sha256(seed + b"%d" % n).hexdigest().encode()
        line = (b"." if n % 50 == 0 else b"") + digest + digest[:12]
        lines.append(line)
        length += len(line) + 2
        n += 1
    head = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: " + str(size).encode() + b"\r\n\r\n"
    return head + b"\r\n".join(lines) + b"\r\n"


def send(server, message, account="alice@example.org", to="bob@example.org", **how):
    client = server.smtp(account, **how)
    refused = client.sendmail(account, [to], message)
    client.quit()
    assert refused == {}, refused


def wait_for(server, account, count):
    """Until so many are there."""

    def there():
        pop = server.pop3(account, tls="none")
        found = pop.stat()[0]
        pop.quit()
        return found == count

    until("%d messages for %s" % (count, account), there)


def fetch(server, message, account="bob@example.org", **how):
    """Fetches the one message, compares it and deletes it."""
    pop = server.pop3(account, **how)
    lines = pop.retr(1)[1]
    # poplib takes the stuffed dots away.
    got = b"\r\n".join(lines) + b"\r\n"
    assert got.endswith(message), "it came back altered"
    assert len(got) - len(message) < 2000, "what was put before it is long"
    pop.dele(1)
    pop.quit()


def memory(server_for):
    with server_for("example.org", ["alice", "bob"]) as server:
        big, small = body(25 * MB), body(MB)
        for _ in range(10):
            server.smtp("alice@example.org").quit()
            server.pop3("bob@example.org").quit()
        send(server, small)
        fetch(server, small)
        warm = server.peak()
        for name, smtp, pop in (
            ("STARTTLS and STLS", {}, {}),
            ("neither", {"tls": False}, {"tls": "none"}),
            ("implicit TLS", {"service": "submissions"}, {"tls": "implicit"}),
        ):
            before = server.peak()
            began = time.monotonic()
            send(server, big, **smtp)
            sent = time.monotonic()
            between = server.peak()
            fetch(server, big, **pop)
            took = "in %.1f s, out %.1f s" % (sent - began, time.monotonic() - sent)
            rise = server.peak() - before
            figure = "VmHWM +%d KiB (in %d) from %d KiB; %s" % (rise, between - before, before, took)
            verdict("25 MB in and out, %s: less than 4 MB more" % name, rise < 4096, figure)
        rise = server.peak() - warm
        verdict("all three together", rise < 4096, "VmHWM +%d KiB" % rise)


def crowd(server_for):
    with server_for("example.org", ["alice", "bob"]) as server:
        each, connections = 40, 50
        began = time.monotonic()

        def deliver(worker):
            client = server.smtp("alice@example.org")
            for n in range(each):
                message = "Subject: %d-%d\r\n\r\nhello\r\n" % (worker, n)
                assert client.sendmail("alice@example.org", ["bob@example.org"], message) == {}
            client.quit()

        side_by_side(deliver, connections)
        took = time.monotonic() - began
        pop = server.pop3("bob@example.org")
        count = pop.stat()[0]
        subjects = [
            line for n in range(1, count + 1) for line in pop.top(n, 0)[1] if line.startswith(b"Subject: ")
        ]
        pop.quit()
        verdict(
            "2,000 messages over 50 connections arrive, none twice",
            count == each * connections and len(set(subjects)) == len(subjects) == count,
            "%d there, %d different, %.0f/s with 50 logins" % (count, len(set(subjects)), each * connections / took),
        )

        def unauthenticated(worker):
            client = server.smtp(tls=False)
            for n in range(each):
                message = "Subject: mx-%d-%d\r\n\r\nhello\r\n" % (worker, n)
                assert client.sendmail("x@example.net", ["bob@example.org"], message) == {}
            client.quit()

        began = time.monotonic()
        side_by_side(unauthenticated, connections)
        took = time.monotonic() - began
        pop = server.pop3("bob@example.org")
        now = pop.stat()[0]
        pop.quit()
        verdict(
            "the same from another server",
            now == count + each * connections,
            "%d more, %.0f/s" % (now - count, each * connections / took),
        )


def space(server_for, *loads):
    with server_for("example.org", ["alice", "bob"]) as server:
        for size, count in loads:
            fill_and_empty(server, size, count)
        # And it still works.
        server.smtp(tls=False).sendmail("x@example.net", ["bob@example.org"], "Subject: after\r\n\r\nhi\r\n")
        wait_for(server, "bob@example.org", 1)


def fill_and_empty(server, size, count):
    workers = 8
    lines = body(size).replace(b"\r\n.", b"\r\n..")

    def deliver(worker):
        stream = socket.create_connection(("127.0.0.1", server.ports["smtp"]))
        reader = stream.makefile("rb")

        def reply(code):
            while True:
                line = reader.readline()
                if line[3:4] != b"-":
                    break
            assert line.startswith(code), line

        reply(b"220")
        stream.sendall(b"EHLO client.example\r\n")
        reply(b"250")
        for _ in range(worker, count, workers):
            stream.sendall(b"MAIL FROM:<x@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")
            reply(b"250")
            reply(b"250")
            reply(b"354")
            stream.sendall(lines + b".\r\n")
            reply(b"250")
        stream.sendall(b"QUIT\r\n")
        reply(b"221")
        stream.close()

    began = time.monotonic()
    side_by_side(deliver, workers)
    filled = time.monotonic() - began
    full = server.data_size()
    pop = server.pop3("bob@example.org", tls="none")
    there = pop.stat()[0]
    assert there == count, (there, count)
    for n in range(1, count + 1):
        pop.dele(n)
    began = time.monotonic()
    pop.quit()
    quit_took = time.monotonic() - began
    try:
        until("below 50 MB", lambda: server.data_size() < 50 * MB, 60 - quit_took)
    except AssertionError:
        pass
    took = time.monotonic() - began
    left = server.data_size()
    verdict(
        "%d messages of %d KB deleted: the folder is below 50 MB" % (count, size // 1000),
        left < 50 * MB,
        "%.0f MB -> %.1f MB after %.1f s (QUIT %.1f s, %.0f msg/s in)"
        % (full / MB, left / MB, took, quit_took, count / filled),
    )


def relay(server_for):
    """What went out is gone from here: the queue's bodies free their space, too."""
    with server_for("remote.example", ["far"]) as remote:
        route = '\n[[route]]\ndomain = "remote.example"\nto = "smtp://127.0.0.1:%d"\n' % remote.ports["smtp"]
        with server_for("example.org", ["alice"], extra=route) as server:
            count, message = 100, body(MB)
            began = time.monotonic()

            def deliver(_):
                client = server.smtp("alice@example.org")
                for _ in range(count // 4):
                    assert client.sendmail("alice@example.org", ["far@remote.example"], message) == {}
                client.quit()

            side_by_side(deliver, 4)
            wait_for(remote, "far@remote.example", count)
            took = time.monotonic() - began
            try:
                until("below 50 MB", lambda: server.data_size() < 50 * MB, 60)
            except AssertionError:
                pass
            left = server.data_size()
            verdict(
                "100 messages of 1 MB relayed: the sender's folder is below 50 MB",
                left < 50 * MB and server.command("queue", "list") == "",
                "%.1f s, %.1f MB left, peaks %d and %d KiB" % (took, left / MB, server.peak(), remote.peak()),
            )


def main():
    parser = command_line(__doc__)
    parts = {
        "memory": memory,
        "crowd": crowd,
        "space-1mb": lambda server_for: space(server_for, (1_000_000, 500)),
        "space-10kb": lambda server_for: space(server_for, (10_000, 50_000)),
        "space-both": lambda server_for: space(server_for, (10_000, 50_000), (1_000_000, 500), (10_000, 50_000)),
        "relay": relay,
    }
    parser.add_argument("part", nargs="*", help=", ".join(parts))
    arguments = parser.parse_intermixed_args()
    unknown = set(arguments.part) - set(parts)
    if unknown:
        parser.error("there is no part %s: there are %s" % (", ".join(sorted(unknown)), ", ".join(parts)))
    server_for = functools.partial(Server, arguments.binary, on=chosen(arguments))
    for name, part in parts.items():
        if not arguments.part or name in arguments.part:
            part(server_for)
    print("all promises kept" if not failed else "%d not kept" % len(failed))
    sys.exit(1 if failed else 0)


main()
