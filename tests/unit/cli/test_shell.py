#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Type at the interactive weirctl through a pseudo terminal, against a made-up daemon.

usage: test_shell.py WEIRCTL FAKE_DATAPLANE REFERENCE.md
"""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

import test_weirctl as made_up

WEIRCTL = made_up.WEIRCTL
DEADLINE = 20
CASES = []


def case(name):
    def add(function):
        CASES.append((name, function))
        return function
    return add


class Daemon:
    """The daemon of test_weirctl.py, to be started and stopped."""

    def __init__(self, folder):
        self.path = folder + "/default/control.sock"
        os.makedirs(folder + "/default", exist_ok=True)
        self.listener = None

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=made_up.serve, args=(self.listener,), daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)


class Shell:
    """A weirctl on a terminal of its own. What it printed since the last expect() is in self.text."""

    def __init__(self, home, *args):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", HOME=home, LC_ALL="C")
            os.execv(WEIRCTL, [WEIRCTL, *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other end has closed
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern):
        """Wait until the pattern has been printed, and take all up to its end. Returns the match."""
        end = time.monotonic() + DEADLINE
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError("no %r in %r" % (pattern, self.text))

    def prompt(self, text):
        """Wait for the prompt, and for the editor to have taken the terminal over."""
        self.expect(re.escape(text) + " ")
        end = time.monotonic() + DEADLINE
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            assert time.monotonic() < end, "it does not edit lines"
            time.sleep(0.005)

    def wait(self):
        """The exit status, and the terminal's settings at the end."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                # Not before: between the two it may give the terminal back and end.
                return status, termios.tcgetattr(self.fd)
            self.read(0.02)
        raise AssertionError("it does not end")


@case("commands run, and the prompt shows how the last one ended")
def _(home, daemon):
    with Shell(home) as s:
        s.expect(r"help.*lists the commands")
        s.prompt("weir>")
        s.type("service list\n")
        s.expect(r"NAME .*\r\nweb +203\.0\.113\.10:80")
        s.prompt("weir>")
        s.type("service show lost\n")
        s.expect(r'there is no service "lost"')
        s.prompt("weir [1]>")
        s.type("service\n")
        s.expect(r'"service" needs one of: list, show')
        s.prompt("weir [2]>")
        s.type("weirctl status --json\n")
        s.expect(r'"generation": 7')
        s.prompt("weir>")
        s.type("service show 'un\n")
        s.expect(r"a quote is not closed")
        s.prompt("weir [2]>")
        s.type("exit\n")
        assert os.waitstatus_to_exitcode(s.wait()[0]) == 0


@case("a question mark explains what stands before it")
def _(home, daemon):
    with Shell(home) as s:
        s.prompt("weir>")
        s.type("?\n")
        s.expect(r"Commands:\r\n +status")
        s.prompt("weir>")
        s.type("backend drain ?\n")
        s.expect(r"usage: weirctl backend drain SERVICE ADDRESS:PORT")
        s.prompt("weir>")
        s.type("nonsense ?\n")
        s.expect(r'there is no such command')
        s.prompt("weir [2]>")


@case("Tab completes commands and the names that the daemon knows")
def _(home, daemon):
    with Shell(home) as s:
        s.prompt("weir>")
        s.type("serv\tsh\t\t\n")
        s.expect(r"203\.0\.113\.10")
        s.prompt("weir>")
        s.type("back\tdr\tw\t10\t\n")
        s.expect(r"web 10\.0\.0\.11:8080: .*it is draining")
        s.prompt("weir>")
        s.type("port show f\t\n")
        s.expect(r"device +eth1")
        s.prompt("weir>")
        # Several: they are shown, and the line stays.
        s.type("config \t")
        s.expect(r"check +diff +apply +show")
        s.expect(r"weir> config ")
        s.type("ch\t" + home + "/so\t")
        s.expect(r"me\.yaml ")
        s.type("\n")
        s.expect(r"some\.yaml:1:1: ")
        s.prompt("weir [1]>")
        s.type("\x04")
        assert os.waitstatus_to_exitcode(s.wait()[0]) == 0


@case("it survives the daemon, and asks the next one")
def _(home, daemon):
    with Shell(home) as s:
        s.prompt("weir>")
        daemon.stop()
        s.type("service list\n")
        s.expect(r"no weir-controld on .*control\.sock")
        s.prompt("weir [3]>")
        s.type("service show \t")
        s.expect(r"\x07")  # nothing to offer: it beeps
        daemon.start()
        s.type("web\n")
        s.expect(r"203\.0\.113\.10")
        s.prompt("weir>")
        s.type("quit\n")
        assert os.waitstatus_to_exitcode(s.wait()[0]) == 0


@case("Ctrl-C drops the line, or ends the command, but not the shell")
def _(home, daemon):
    with Shell(home) as s:
        s.prompt("weir>")
        s.type("service sh")
        s.expect(r"service sh")
        s.type("\x03")
        s.expect(r"\^C\r\n")
        s.prompt("weir>")
        s.type("port list --watch 0.1\n")
        s.expect(r"front[^>]*front")
        s.type("\x03")
        s.prompt("weir [130]>")
        s.type("port list\n")
        s.expect(r"front")
        s.prompt("weir>")
        s.type("\x04")
        assert os.waitstatus_to_exitcode(s.wait()[0]) == 0


@case("lines are remembered from one shell to the next, for their owner only")
def _(home, daemon):
    with Shell(home) as s:
        s.prompt("weir>")
        s.type("limit show web\n")
        s.expect(r"new flows")
        s.prompt("weir>")
        os.kill(s.pid, signal.SIGHUP)  # as when the connection is cut
        s.wait()
    path = home + "/.weirctl_history"
    assert os.stat(path).st_mode & 0o777 == 0o600, oct(os.stat(path).st_mode)
    with Shell(home) as s:
        s.prompt("weir>")
        s.type("\x1b[A\n")
        s.expect(r"limit show web\r\n")
        s.expect(r"new flows")
        s.prompt("weir>")
        s.type("\x04")
        s.wait()


@case("the terminal is as it was after every end")
def _(home, daemon):
    for end in (lambda s: s.type("exit\n"), lambda s: s.type("\x04"),
                lambda s: os.kill(s.pid, signal.SIGTERM)):
        with Shell(home) as s:
            before = termios.tcgetattr(s.fd)
            s.prompt("weir>")
            end(s)
            _, after = s.wait()
            assert after[3] == before[3] and after[3] & termios.ECHO, (before, after)


@case("global options go for every command of the shell")
def _(home, daemon):
    with Shell(home, "--instance", "blue", "--json", "--socket", daemon.path) as s:
        s.prompt("weir blue>")
        s.type("core list\n")
        s.expect(r'"cpu": 1')
        s.prompt("weir blue>")
        s.type("exit\n")
        s.wait()


@case("without a terminal there is no shell")
def _(home, daemon):
    status, out, err = made_up.run()
    assert (status, out) == (2, "") and "usage" in err, (status, out, err)


def main():
    failed = 0
    print("1..%d" % len(CASES), flush=True)
    for number, (name, function) in enumerate(CASES, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["WEIR_RUN_DIR"] = folder
            with open(folder + "/some.yaml", "w") as f:
                f.write("version: 1\n")
            daemon = Daemon(folder)
            daemon.start()
            try:
                function(folder, daemon)
                print("ok %d - shell: %s" % (number, name), flush=True)
            except Exception as e:  # a failed case must not hide the others
                failed += 1
                print("not ok %d - shell: %s\n# %r" % (number, name, e), flush=True)
            daemon.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
