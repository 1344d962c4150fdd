#!/usr/bin/env python3
"""Consumers with selectors on one queue, with stomp.py: says what each of them got.

Each consumer is connected to another node than the producer. The summary is one JSON object on
standard output: by selector the numbers of the messages that came, and the ERROR that a selector
which cannot be read is answered by.
"""

import argparse
import json
import threading
import time

import stomp

SELECTORS = {
    "text": "colour = 'blue'",
    "number": "convert_string_expressions:size BETWEEN 2 AND 4 AND NOT colour LIKE 'b_ue'",
    "header": "JMSPriority > 6 AND colour IS NULL",
    "none": "size > 0",
}


class Consumer(stomp.ConnectionListener):
    """Acknowledges what comes and keeps its numbers."""

    def __init__(self, node, selector, queue):
        self.got, self.errors, self.ended = [], [], threading.Event()
        self.connection = stomp.Connection12([node], reconnect_attempts_max=1)
        self.connection.set_listener("", self)
        self.connection.connect(wait=True)
        self.connection.subscribe(queue, id="0", ack="client-individual", headers={"selector": selector})

    def on_message(self, frame):
        self.got.append(int(frame.body))
        self.connection.ack(frame.headers["ack"])

    def on_error(self, frame):
        self.errors.append(frame.headers.get("message", ""))
        self.ended.set()


def messages():
    """Numbers and headers: of six messages two are blue, three red and of rising size, one neither."""
    for number in range(60):
        kind = number % 6
        if kind < 2:
            yield number, {"colour": "blue", "size": "3"}
        elif kind < 5:
            yield number, {"colour": "red", "size": str(kind)}
        else:
            yield number, {"priority": "7"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", required=True, help="host:port,…")
    nodes = [node.rsplit(":", 1) for node in parser.parse_args().nodes.split(",")]
    nodes = [(host, int(port)) for host, port in nodes]
    queue = "/queue/selected"

    producer = stomp.Connection12([nodes[0]])
    producer.connect(wait=True)
    for number, headers in messages():
        producer.send(queue, str(number), headers={"persistent": "true", **headers})
    consumers = {
        name: Consumer(nodes[at % len(nodes)], selector, queue)
        for at, (name, selector) in enumerate(SELECTORS.items(), 1)
    }
    bad = Consumer(nodes[0], "colour = 'blue", queue)
    bad.ended.wait(10)
    deadline = time.monotonic() + 20
    while sum(len(it.got) for it in consumers.values()) < 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)  # nothing more comes
    summary = {name: consumer.got for name, consumer in consumers.items()}
    summary["errors"] = [error for it in consumers.values() for error in it.errors]
    summary["refused"] = bad.errors
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
