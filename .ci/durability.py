#!/usr/bin/env python3
"""Proves from a trace of system calls that a 250 means: on disk.

Serves a fresh folder under strace, sends messages (small ones, and one large enough to be staged), and checks, at each
250 that accepts one:

* the body was written and synced, then the database's log was written and synced, then the reply was sent;
* nothing that was written to a body or to the log is unsynced at that moment;
* the folder of every file that was made since was synced.

Then it takes syncs out of the trace, a kind at a time, and checks that the proof fails without them.

    cargo build && .ci/durability.py [PILLARBOX]
"""

import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile

CALLS = "openat,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,unlink"
LINE = re.compile(r"^(\d+)\s+(.*)$")
CALL = re.compile(r"^(\w+)\((.*)$", re.S)
FD = re.compile(r"^\d+<([^>]*)>")
REPLY = "Accepted as"


def calls(lines):
    """Yields (when it began, when it ended, name, arguments and result)."""
    begun = {}
    for number, line in enumerate(lines):
        match = LINE.match(line)
        if not match:
            continue
        thread, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = (number, text[: -len("<unfinished ...>")])
            continue
        resumed = re.match(r"^<\.\.\. (\w+) resumed>(.*)$", text, re.S)
        start = number
        if resumed:
            if thread not in begun:
                continue
            start, first = begun.pop(thread)
            text = first + resumed.group(2)
        match = CALL.match(text)
        if match:
            yield start, number, match.group(1), match.group(2)


def check(lines, data):
    """The faults of a trace, and how many acceptances it has."""
    body_folders = [os.path.join(data, "segments"), os.path.join(data, "bodies")]
    log = os.path.join(data, "pillarbox.db-wal")
    is_body = lambda path: os.path.dirname(path) in body_folders
    faults, replies = [], 0
    # By path: when it was last written, and when it was made, until a sync that began after that has ended.
    written, made = {}, {}
    # Files that are known to be there: opening them with O_CREAT makes nothing.
    there = set()
    # Since the last 250: whether a body was written, when a body was last synced, when the log was first written, and last synced.
    body_written, body_synced, log_written, log_synced = False, None, None, None
    events = []
    for start, end, name, rest in calls(lines):
        failed = re.search(r"= -1 \w+", rest) is not None
        if name == "openat":
            path = re.search(r'"([^"]*)"', rest)
            result = re.search(r"= \d+<([^>]*)>", rest)
            if path and result and "O_CREAT" in rest and not failed:
                events.append((end, "make", result.group(1), start))
            continue
        if name == "unlink":
            path = re.search(r'"([^"]*)"', rest)
            if path and not failed:
                events.append((start, "unlink", path.group(1), start))
            continue
        fd = FD.match(rest)
        path = fd.group(1) if fd else ""
        if name in ("fsync", "fdatasync"):
            if not failed:
                events.append((end, "sync", path, start))
        elif path.startswith(("TCP", "socket:", "UNIX")):
            if REPLY in rest:
                events.append((start, "reply", rest, start))
        elif not failed:
            # A write dirties the file from its beginning to its end.
            events.append((start, "write", path, start))
            events.append((end, "write", path, start))
    for when, what, path, start in sorted(events, key=lambda event: event[0]):
        if what == "make":
            if (is_body(path) or path == log) and path not in there:
                there.add(path)
                made[path] = when
        elif what == "unlink":
            there.discard(path)
            made.pop(path, None)
            written.pop(path, None)
        elif what == "write":
            if is_body(path) or path == log:
                written[path] = when
            if is_body(path) and not body_written:
                body_written, log_written = True, None
            if path == log and log_written is None:
                log_written = start
        elif what == "sync":
            if path in written and start > written[path]:
                del written[path]
                if is_body(path):
                    body_synced = when
                if path == log:
                    log_synced = when
            for file in [file for file, at in made.items() if os.path.dirname(file) == path and start > at]:
                del made[file]
        elif what == "reply":
            replies += 1
            name = f"250 number {replies}"
            for file in written:
                faults.append(f"{name}: {os.path.basename(file)} is not synced")
            for file in made:
                faults.append(f"{name}: the folder of {os.path.basename(file)} is not synced")
            if body_synced is None:
                faults.append(f"{name}: no body was written and synced for it")
            if log_synced is None:
                faults.append(f"{name}: the database's log was not written and synced for it")
            if body_synced is not None and log_written is not None and log_written < body_synced:
                faults.append(f"{name}: the database named the body before it was synced")
            body_written, body_synced, log_written, log_synced = False, None, None, None
    return faults, replies


def record(binary, folder):
    """Serves and sends; returns the trace and the data folder."""
    mail = os.path.join(folder, "mail")
    quickstart = [binary, "quickstart", "--dir", mail, "--domain", "example.org", "--account", "alice", "--loopback"]
    subprocess.run(quickstart, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    trace = os.path.join(folder, "trace")
    strace = ["strace", "-f", "-y", "-s", "200", "-e", "trace=" + CALLS, "-o", trace, "--", binary, "serve", "--dir", mail]
    server = subprocess.Popen(strace, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ready = server.stdout.readline()
        port = re.search(r"\bsmtp=127\.0\.0\.1:(\d+)", ready)
        if not port:
            sys.exit(f"the server is not ready for mail: {ready!r}")
        # One in the queue's way, one staged, one more.
        with smtplib.SMTP("127.0.0.1", int(port.group(1)), timeout=120) as client:
            for octets in (10, 600_000, 40_000):
                text = "Subject: durable\r\n\r\n" + "0123456789abcdef0123456789abcdef\r\n" * (octets // 34 + 1)
                client.sendmail("bob@example.net", ["alice@example.org"], text)
    finally:
        with open(f"/proc/{server.pid}/task/{server.pid}/children", encoding="ascii") as children:
            for child in children.read().split():
                os.kill(int(child), signal.SIGTERM)
        server.wait(timeout=60)
    with open(trace, encoding="utf-8", errors="replace") as lines:
        lines = lines.read().splitlines()
    data = [os.path.dirname(path) for path in re.findall(r'<([^>]*/pillarbox\.db-wal)>', "\n".join(lines))]
    if not data:
        sys.exit("the trace knows of no database")
    return lines, data[0]


def main():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    binary = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(target, "debug", "pillarbox"))
    if not shutil.which("strace"):
        print("SKIPPED durability: strace is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        lines, data = record(binary, folder)
    faults, replies = check(lines, data)
    for fault in faults:
        print(fault)
    if replies != 3:
        print(f"{replies} of 3 messages were accepted")
    if faults or replies != 3:
        return 1
    print(f"{replies} messages: each was on disk before its 250")

    # The proof is worth something only if it fails where it should.
    sync = re.compile(r"\b(fsync|fdatasync)\(|\.\.\. (fsync|fdatasync) resumed")
    folders = [os.path.join(data, name) for name in ("segments", "bodies")]
    kinds = {
        "any sync": lambda line: True,
        "syncs of bodies": lambda line: any(f"<{folder}/" in line for folder in folders),
        "syncs of the log": lambda line: "pillarbox.db-wal>" in line,
        "syncs of folders": lambda line: any(f"<{folder}>" in line for folder in folders),
    }
    for kind, takes in kinds.items():
        # What is resumed does not say which file it is of: without its beginning it counts for nothing.
        without = [line for line in lines if not (sync.search(line) and takes(line))]
        faults, _ = check(without, data)
        if not faults:
            print(f"the proof passes without {kind}: it proves nothing")
            return 1
        print(f"without {kind}: {len(faults)} faults, as it should be ({faults[0]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
