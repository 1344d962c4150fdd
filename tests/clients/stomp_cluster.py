#!/usr/bin/env python3
"""Publishes to and consumes from a cluster with stomp.py, and says what became of every message.

Queue number k is published to through node k mod N and consumed through node (k + 1) mod N, so
that every message crosses the cluster. A message counts as acknowledged when its receipt came;
one whose connection broke before that is unknown and is never sent again. The summary, one JSON
object on standard output, names lost, invented and unmarked messages.
"""

import argparse
import json
import sys
import threading
import time

import stomp

WINDOW = 100  # receipts that may be outstanding for each producer
PATIENCE = 0.3  # seconds between attempts to connect


class Link(stomp.ConnectionListener):
    """A connection that comes back, through another node if its own stays away."""

    def __init__(self, nodes, home):
        self.nodes, self.home, self.attempt = nodes, home, 0
        self.connection = None
        self.broken = threading.Event()
        self.broken.set()
        self.errors = []

    def open(self, deadline):
        """Connects; the home node first, then the others in turn."""
        while time.monotonic() < deadline:
            host, port = self.nodes[(self.home + self.attempt) % len(self.nodes)]
            self.attempt += 1
            connection = stomp.Connection12([(host, port)], reconnect_attempts_max=1, heartbeats=(5000, 5000))
            connection.set_listener("", self)
            try:
                self.broken.clear()
                connection.connect(wait=True)
                self.connection = connection
                return
            except Exception:  # refused, reset while connecting: try the next node
                self.broken.set()
                time.sleep(PATIENCE)
        raise SystemExit(f"no node could be reached: {self.nodes}")

    def on_disconnected(self):
        self.broken.set()

    def on_heartbeat_timeout(self):
        self.broken.set()

    def on_error(self, frame):
        self.errors.append(frame.headers.get("message", "") + " " + str(frame.body))


class Producer(Link):
    """Sends `count` messages and sorts them into acknowledged and unknown."""

    def __init__(self, nodes, home, name, queues, count):
        super().__init__(nodes, home)
        self.name, self.queues, self.count = name, queues, count
        self.acknowledged, self.unknown, self.outstanding = set(), set(), set()
        self.lock = threading.Condition()

    def on_receipt(self, frame):
        with self.lock:
            message = frame.headers["receipt-id"]
            if message in self.outstanding:
                self.outstanding.discard(message)
                self.acknowledged.add(message)
            self.lock.notify()

    def give_up_outstanding(self):
        with self.lock:
            self.unknown |= self.outstanding
            self.outstanding.clear()

    def run(self, deadline, pause):
        self.attempt = 0
        self.open(deadline)
        sequence = 0
        while len(self.acknowledged) + len(self.outstanding) < self.count:
            if self.broken.is_set():
                self.give_up_outstanding()
                self.open(deadline)
            queue = self.queues[sequence % len(self.queues)]
            message = f"{self.name}-{sequence}"
            sequence += 1
            with self.lock:
                while len(self.outstanding) >= WINDOW and not self.broken.is_set():
                    self.lock.wait(0.2)
                    if time.monotonic() > deadline:
                        raise SystemExit(f"{self.name}: no receipt in time; errors: {self.errors[-3:]}")
                self.outstanding.add(message)
            try:
                self.connection.send(f"/queue/{queue}", message, persistent="true", receipt=message)
            except Exception:  # the connection broke under the send: its fate is unknown
                self.broken.set()
            if pause:
                time.sleep(pause)
            if sequence % 50 == 0 and time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: not done in time")
        while self.outstanding and not self.broken.is_set() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.give_up_outstanding()
        self.close()

    def close(self):
        try:
            self.connection.disconnect()
        except Exception:
            pass


class Consumer(Link):
    """Consumes its queues, remembering each delivery and whether it was marked redelivered."""

    def __init__(self, nodes, home, queues, log):
        super().__init__(nodes, home)
        self.queues, self.log = queues, log

    def on_message(self, frame):
        self.log.append((frame.body, frame.headers.get("redelivered") == "true"))
        try:
            self.connection.ack(frame.headers["ack"])
        except Exception:
            self.broken.set()

    def run(self, deadline, stop):
        while not stop.is_set():
            if self.broken.is_set():
                self.attempt = 0 if self.connection is None else self.attempt
                self.open(deadline)
                try:
                    for number, queue in enumerate(self.queues):
                        self.connection.subscribe(f"/queue/{queue}", number, ack="client-individual")
                except Exception:
                    self.broken.set()
            time.sleep(0.05)
        try:
            self.connection.disconnect()
        except Exception:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", required=True, help="host:port,host:port,…")
    parser.add_argument("--queues", type=int, default=100)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--prefix", default="orders.")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between a producer's sends")
    parser.add_argument("--concurrent", action="store_true", help="consume while publishing, not after")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds for everything")
    options = parser.parse_args()

    nodes = [(host, int(port)) for host, port in (node.rsplit(":", 1) for node in options.nodes.split(","))]
    deadline = time.monotonic() + options.timeout
    shares = [[f"{options.prefix}{k}" for k in range(options.queues) if k % len(nodes) == n] for n in range(len(nodes))]
    counts = [options.messages // len(nodes) + (n < options.messages % len(nodes)) for n in range(len(nodes))]

    producers = [Producer(nodes, n, f"p{n}", shares[n], counts[n]) for n in range(len(nodes))]
    deliveries, stop = [], threading.Event()
    consumers = [Consumer(nodes, (n + 1) % len(nodes), shares[n], deliveries) for n in range(len(nodes))]

    def start(clients, *arguments):
        threads = [threading.Thread(target=c.run, args=arguments, daemon=True) for c in clients]
        for thread in threads:
            thread.start()
        return threads

    begun = time.monotonic()
    consuming = start(consumers, deadline, stop) if options.concurrent else []
    for thread in start(producers, deadline, options.pause):
        thread.join(max(0.1, deadline - time.monotonic()))
    published = time.monotonic()
    print("published", file=sys.stderr, flush=True)
    consuming = consuming or start(consumers, deadline, stop)

    acknowledged = set().union(*(p.acknowledged for p in producers))
    unknown = set().union(*(p.unknown for p in producers))
    quiet_since, seen = time.monotonic(), 0
    while time.monotonic() < deadline:
        received = {message for message, _ in list(deliveries)}
        if len(deliveries) != seen:
            quiet_since, seen = time.monotonic(), len(deliveries)
        if acknowledged <= received and time.monotonic() - quiet_since > 2.0:
            break
        time.sleep(0.1)
    drained = time.monotonic()
    stop.set()
    for thread in consuming:
        thread.join(5.0)

    first, unmarked = set(), 0
    for message, redelivered in deliveries:
        if message in first and not redelivered:
            unmarked += 1
        first.add(message)
    summary = {
        "acknowledged": len(acknowledged),
        "unknown": len(unknown),
        "deliveries": len(deliveries),
        "redelivered": sum(1 for _, redelivered in deliveries if redelivered),
        "lost": sorted(acknowledged - first)[:20],
        "lost_count": len(acknowledged - first),
        "invented": sorted(first - acknowledged - unknown)[:20],
        "second_deliveries_not_marked": unmarked,
        "publish_seconds": round(published - begun, 3),
        "drain_seconds": round(drained - published, 3),
        "errors": sum((link.errors for link in producers + consumers), [])[:10],
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
