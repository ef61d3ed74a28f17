"""A pillarbox of one's own in a temporary folder, for scripts with nothing but Python's standard library."""

import argparse
import os
import poplib
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import tempfile
import threading
import time

# poplib refuses lines of more than 2,048 octets, which mail may well have.
poplib._MAXLINE = 1 << 20


def command_line(description):
    """The command line of a script: the binary, and what it serves on."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("binary", type=os.path.abspath)
    parser.add_argument("--runtime", choices=["tokio", "smol", "blocking"])
    parser.add_argument("--workers", type=int)
    return parser


def chosen(arguments):
    """The same for `serve`."""
    options = []
    if arguments.runtime is not None:
        options += ["--runtime", arguments.runtime]
    if arguments.workers is not None:
        options += ["--workers", str(arguments.workers)]
    return options


class Server:
    """One server: made by quickstart, on free ports, gone with its folder; `on` is what it serves on."""

    def __init__(self, binary, domain, accounts, extra="", base=None, on=()):
        self.binary = binary
        self.on = list(on)
        self.domain = domain
        self.dir = tempfile.mkdtemp(prefix="pillarbox-", dir=base)
        command = [binary, "quickstart", "--dir", self.dir, "--domain", domain, "--loopback"]
        for account in accounts:
            command += ["--account", account]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.passwords = dict(re.findall(r"^ +(\S+@\S+) +(\S+)$", told, re.M))
        path = os.path.join(self.dir, "pillarbox.toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r'bind = "127\.0\.0\.1:\d+"', 'bind = "127.0.0.1:0"', text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + extra)
        self.process = None
        self.ports = {}
        self.start()

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--dir", self.dir, *self.on], stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        ready = self.process.stdout.readline()
        if not ready.startswith("ready "):
            raise RuntimeError("no ready line: %r\n%s" % (ready, self.log()))
        self.ports = {name: int(port) for name, port in re.findall(r"(\w+)=[\d.]+:(\d+)", ready)}

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def command(self, *words, **options):
        words = [self.binary, *words, "--dir", self.dir]
        return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout

    def peak(self):
        """VmHWM in KiB: the most memory that it ever had."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))

    def data_size(self):
        """Octets that the data folder occupies: blocks on the disk, and no less than the files' lengths."""
        total = 0
        for folder, _, files in os.walk(os.path.join(self.dir, "data")):
            for name in files:
                try:
                    status = os.lstat(os.path.join(folder, name))
                except FileNotFoundError:
                    continue
                total += max(status.st_blocks * 512, status.st_size)
        return total

    def smtp(self, account=None, service=None, tls=True):
        """A connection: to the submission service with a login where there is an account, else as another server."""
        service = service or ("submission" if account else "smtp")
        if service == "submissions":
            client = smtplib.SMTP_SSL("127.0.0.1", self.ports[service], context=trusting(), timeout=120)
        else:
            client = smtplib.SMTP("127.0.0.1", self.ports[service], timeout=120)
            if tls:
                client.starttls(context=trusting())
        if account:
            client.login(account, self.passwords[account])
        return client

    def pop3(self, account, tls="stls", login=True):
        if tls == "implicit":
            client = poplib.POP3_SSL("127.0.0.1", self.ports["pop3s"], context=trusting(), timeout=120)
        else:
            client = poplib.POP3("127.0.0.1", self.ports["pop3"], timeout=120)
            if tls == "stls":
                client.stls(context=trusting())
        if login:
            client.user(account)
            client.pass_(self.passwords[account])
        return client

    def stop(self, how=signal.SIGTERM, seconds=20):
        self.process.send_signal(how)
        return self.process.wait(seconds)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if kind is not None:
            print("the server's last words:\n" + "\n".join(self.log().splitlines()[-20:]), flush=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def trusting():
    """TLS with a certificate that nobody vouches for."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def until(what, condition, seconds=30):
    """Looks until it is so."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.05)


def side_by_side(work, workers):
    """Runs `work(n)` in as many threads; the first failure is raised."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as failure:  # it is raised again below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
