#!/usr/bin/env python3
"""Messages that are delivered later and again, with stomp.py: says when each of them came.

The consumer is connected to another node than the producer. The summary is one JSON object on standard
output: by the body of each message the milliseconds from its receipt to each of its deliveries, whether
all named their job, and the ERROR that a schedule which cannot be read is answered by.
"""

import argparse
import json
import threading
import time

import stomp

QUEUE = "/queue/delayed"

MESSAGES = {
    "at once": {},
    "later": {"AMQ_SCHEDULED_DELAY": "1500"},
    "again": {
        "AMQ_SCHEDULED_DELAY": "300",
        "AMQ_SCHEDULED_PERIOD": "400",
        "AMQ_SCHEDULED_REPEAT": "2",
    },
    "period": {"AMQ_SCHEDULED_PERIOD": "800"},
}


class Listener(stomp.ConnectionListener):
    """Keeps what comes, and when."""

    def __init__(self):
        self.came, self.jobs, self.errors = [], [], []
        self.receipt, self.ended = threading.Event(), threading.Event()

    def on_message(self, frame):
        self.came.append((frame.body, time.monotonic()))
        self.jobs.append("scheduledJobId" in frame.headers)

    def on_receipt(self, frame):
        self.receipt.set()

    def on_error(self, frame):
        self.errors.append(frame.headers.get("message", ""))
        self.ended.set()


def connect(node):
    connection, listener = stomp.Connection12([node], reconnect_attempts_max=1), Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True)
    return connection, listener


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", required=True, help="host:port,…")
    nodes = [node.rsplit(":", 1) for node in parser.parse_args().nodes.split(",")]
    nodes = [(host, int(port)) for host, port in nodes]

    consumer, came = connect(nodes[1 % len(nodes)])
    consumer.subscribe(QUEUE, id="0")
    producer, told = connect(nodes[0])
    sent = {}
    for body, headers in MESSAGES.items():
        told.receipt.clear()
        sent[body] = time.monotonic()
        producer.send(QUEUE, body, headers={"persistent": "true", "receipt": body, **headers})
        told.receipt.wait(10)
    bad, refused = connect(nodes[0])
    bad.send(QUEUE, "never", headers={"AMQ_SCHEDULED_CRON": "* * 30 2 *"})
    refused.ended.wait(10)
    time.sleep(4)
    times = {body: [] for body in MESSAGES}
    for body, at in came.came:
        times[body].append(round((at - sent[body]) * 1000))
    summary = {"times": times, "jobs": sum(came.jobs), "refused": refused.errors}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
