#!/usr/bin/env python3
"""Browsers, exclusive consumers, consumers of higher priority or of several destinations, and message groups.

Each client is connected to another node than the one before. The summary is one JSON object on
standard output: by story the bodies that came, to each of its clients.
"""

import argparse
import itertools
import json
import threading
import time

import stomp


class Client(stomp.ConnectionListener):
    """Keeps the bodies that come, and acknowledges them if it is to."""

    nodes = None

    def __init__(self, destination=None, acknowledges=True, **headers):
        self.got, self.errors, self.browsed = [], [], threading.Event()
        self.acknowledges = acknowledges
        self.connection = stomp.Connection12([next(Client.nodes)], reconnect_attempts_max=1)
        self.connection.set_listener("", self)
        self.connection.connect(wait=True)
        if destination is None:
            return
        subscribed = threading.Event()
        self.on_receipt = lambda frame: subscribed.set()
        headers = {name.replace("_", "."): value for name, value in headers.items()}
        self.connection.subscribe(
            destination, id="0", ack="client-individual", headers={"receipt": "r", **headers}
        )
        subscribed.wait(10)

    def on_message(self, frame):
        if frame.headers.get("browser") == "end":
            self.browsed.set()
            return
        self.got.append(frame.body)
        if self.acknowledges:
            self.connection.ack(frame.headers["ack"])

    def on_error(self, frame):
        self.errors.append(frame.headers.get("message", ""))

    def send(self, queue, body, **headers):
        self.connection.send(queue, body, headers={"persistent": "true", **headers})

    def leave(self):
        self.connection.disconnect()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # nothing more comes


def browse(producer):
    queue = "/queue/browsed"
    for number in range(5):
        producer.send(queue, str(number), kind="odd" if number % 2 else "even")
    time.sleep(1)  # all of it is there
    every = Client(queue, acknowledges=False, browser="true", activemq_prefetchSize="1")
    every.browsed.wait(10)
    some = Client(queue, browser="true", selector="kind = 'odd'")
    some.browsed.wait(10)
    consumer = Client(queue)
    until(lambda: len(consumer.got) == 5)
    return [every.got, some.got, consumer.got, every.errors + some.errors]


def exclusive(producer):
    queue = "/queue/alone"
    plain = Client(queue)
    first = Client(queue, activemq_exclusive="true")
    second = Client(queue + "?consumer.exclusive=true")
    for number in range(4):
        producer.send(queue, str(number))
    until(lambda: len(first.got) == 4)
    first.leave()
    time.sleep(1)
    producer.send(queue, "4")
    until(lambda: len(second.got) == 1)
    return [plain.got, first.got, second.got]


def priority(producer):
    queue = "/queue/first"
    low = Client(queue)
    high = Client(queue, acknowledges=False, activemq_priority="5", activemq_prefetchSize="2")
    for number in range(4):
        producer.send(queue, str(number))
    until(lambda: len(low.got) == 2)
    return [low.got, high.got]


def groups(producer):
    queue = "/queue/grouped"
    one = Client(queue)
    other = Client(queue)
    for number in range(6):
        producer.send(queue, str(number), JMSXGroupID="ab"[number % 2])
    until(lambda: len(one.got) + len(other.got) == 6)
    before = sorted([one.got[:], other.got[:]])
    one.leave()
    time.sleep(1)
    other.got.clear()
    for number in range(6, 8):
        producer.send(queue, str(number), JMSXGroupID="ab"[number % 2])
    until(lambda: len(other.got) == 2)
    return [*before, other.got]


def several(producer):
    one = Client("/queue/several.a,/queue/several.b,/topic/several.*")
    for number, name in enumerate(["/queue/several.a", "/queue/several.b", "/topic/several.t"]):
        producer.send(name, str(number))
    producer.send("/queue/several.c", "3")
    until(lambda: len(one.got) == 3)
    one.leave()
    time.sleep(1)
    producer.send("/queue/several.b", "4")
    other = Client("/queue/several.b")
    until(lambda: len(other.got) == 1)
    return [sorted(one.got), other.got, one.errors]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", required=True, help="host:port,…")
    nodes = [node.rsplit(":", 1) for node in parser.parse_args().nodes.split(",")]
    Client.nodes = itertools.cycle([(host, int(port)) for host, port in nodes])
    producer = Client()
    stories = [browse, exclusive, priority, groups, several]
    print(json.dumps({story.__name__: story(producer) for story in stories}))


if __name__ == "__main__":
    main()
