"""Replicas of `assize` on this machine, under a load: started, killed with -9, started again."""

import json
import os
import queue
import random
import signal
import socket
import subprocess
import threading
import urllib.request

DEADLINE_S = 60

# What all replicas agree on. The load runs for as long as the test does.
AGREED = (
    "--cluster c1 --routing-seed 5 --body-seed 6 --shards 4 --warden-capacity 256Ki --entity-capacity 16Ki"
).split()

CONFIG = """replica = {replica}
data_directory = "{folder}/data{replica}"
[cores]
assignments = [{{ cpu = 0, shards = [0, 1] }}, {{ cpu = 1, shards = [2, 3] }}]
control = 0
pin = false
[listen]
client = "127.0.0.1:{client}"
http = "127.0.0.1:{http}"
federation = "127.0.0.1:{federation}"
[federation]
replicas = [{peers}]
secret_file = "{folder}/secret"
[limits]
stripe_bytes = "128KiB"
stripe_events = 512
[log]
segment_bytes = "4MiB"
bytes_max = "1GiB"
checkpoint_bytes = "16MiB"
[rehearsal]
allow_faults = true
"""

# Ports of one replica: two cores for clients and two for peers, and HTTP.
PORTS = 5


class Cluster:
    """So many replicas in a folder. Whatever runs in the end is killed."""

    def __init__(self, programs, folder, replicas):
        self.programs = programs
        self.folder = folder
        folder.mkdir()
        self.ports = [free_ports(PORTS) for _ in range(replicas)]
        self.running = [None] * replicas
        self.load = None
        self.tell("secret", str(folder / "secret"))
        peers = ", ".join(f'"127.0.0.1:{first + 2}"' for first in self.ports) if replicas > 1 else ""
        for replica, first in enumerate(self.ports):
            ports = {"client": first, "federation": first + 2, "http": first + 4}
            text = CONFIG.format(replica=replica, folder=folder, peers=peers, **ports)
            self.config(replica).write_text(text)
            self.tell("format", "--config", str(self.config(replica)), "--replicas", str(replicas), *AGREED)

    def config(self, replica):
        return self.folder / f"replica{replica}.toml"

    def http(self, replica):
        """Where a replica is asked by HTTP."""
        return f"http://127.0.0.1:{self.ports[replica] + 4}"

    def status(self, replica):
        """What a replica says of itself."""
        with urllib.request.urlopen(f"{self.http(replica)}/v1/status", timeout=DEADLINE_S) as answer:
            return json.load(answer)

    def tell(self, *arguments):
        """Runs a command of `assize` to its end."""
        done = subprocess.run([self.programs / "assize", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"assize {' '.join(arguments)}: {done.stdout}{done.stderr}"

    def start(self, replica, *options):
        """Starts a replica and waits until it may be asked by HTTP."""
        assert self.running[replica] is None, f"replica {replica} runs"
        arguments = [self.programs / "assize", "serve", "--config", self.config(replica), *options]
        self.running[replica] = Process(arguments, self.folder / f"replica{replica}.log")
        self.running[replica].until_said("http ")

    def kill(self, replica):
        """kill -9."""
        self.running[replica].kill()
        self.running[replica] = None

    def start_load(self):
        """Submits events until the end, to whoever leads."""
        addresses = ",".join(f"127.0.0.1:{first}" for first in self.ports)
        options = "--seconds 600 --rate 1500 --batch 8 --connections 4 --duplicates 3 --workload both".split()
        self.load = Process([self.programs / "assize-load", addresses, *options], self.folder / "load.log")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [self.load, *self.running]:
            if process:
                process.kill()

    def said(self):
        """The end of what each replica said, for messages."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)


class Process:
    """A process whose standard error goes to a file, and whose standard output is read."""

    def __init__(self, arguments, log):
        environment = dict(os.environ)
        environment.pop("ASSIZE_LOG", None)
        self.log = log
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def until_said(self, begin):
        """Waits for a line of its standard output that begins like this."""
        while True:
            try:
                line = self.lines.get(timeout=DEADLINE_S)
            except queue.Empty:
                raise AssertionError(f"{begin!r} was not said within {DEADLINE_S} s") from None
            assert line is not None, f"it ended: {self.log.read_text()[-3000:]}"
            if line.startswith(begin):
                return

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def free_ports(count):
    """The first of so many neighbouring ports on which nothing listens, below those that the system gives away."""
    for _ in range(1000):
        first = random.randrange(20_000, 32_000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for at, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + at))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError(f"no {count} neighbouring ports are free")
