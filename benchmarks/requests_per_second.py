"""How many requests per second the application of the guide answers, beside IsolationForest.

uvicorn, one process, serves docs/user_guide/serving/app.py with the one and the other, fitted on
the normal rows of ECG5000; 32 clients send one row a request, in turns. The clients run on the same
machine. Prints the medians, and writes them to results/requests_per_second.json.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

import joblib
import numpy as np
from _timing import print_table, save
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector
from skae.datasets import fetch_ecg5000

APP = Path(__file__).parents[1] / "docs" / "user_guide" / "serving"
N_CLIENTS = 32
DETECTORS = {
    "single": lambda: AutoencoderOutlierDetector(random_state=0),
    "IsolationForest": lambda: IsolationForest(random_state=0),
}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def served(path):
    """Return the process of a server, and its port, once it is ready."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "uvicorn", "app:app", "--log-level", "warning"]
    process = subprocess.Popen(
        [*command, "--app-dir", APP, "--port", str(port)],
        env=os.environ | {"DETECTOR": str(path)},
        stderr=subprocess.DEVNULL,  # scikit-learn warns in threads
    )
    while process.poll() is None:
        try:
            http.client.HTTPConnection("127.0.0.1", port).request("GET", "/ready")
            return process, port
        except ConnectionError:
            time.sleep(0.1)
    raise RuntimeError("The server did not start.")


def rate(port, bodies, seconds):
    """Return the requests per second that all clients get answered."""
    end, counts = time.perf_counter() + seconds, [0] * N_CLIENTS

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            body = bodies[(number + counts[number]) % len(bodies)]
            connection.request("POST", "/judge", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            counts[number] += 1

    threads = [Thread(target=client, args=(number,)) for number in range(N_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    X, y = fetch_ecg5000(return_X_y=True)
    bodies = [json.dumps({"rows": [row]}) for row in X[:500].astype(float).tolist()]
    servers = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, make in DETECTORS.items():
                path = Path(folder) / name
                joblib.dump(make_pipeline(MinMaxScaler(), make()).fit(X[y == 1]), path)
                servers[name] = served(path)
            rates = {name: [] for name in servers}
            for _ in range(arguments.rounds + 1):  # the first one warms up
                for name, (_, port) in servers.items():
                    rates[name].append(rate(port, bodies, arguments.seconds))
        finally:
            for process, _ in servers.values():
                process.terminate()
                process.wait()
    found = [
        {
            "what": name,
            "per_second": float(np.median(of[1:])),
            "rounds": np.round(of[1:], 1).tolist(),
        }
        for name, of in rates.items()
    ]
    times = found[0]["per_second"] / found[1]["per_second"]
    print_table(
        ("one row a request, 32 clients", "requests per second"),
        [(of["what"], f"{of['per_second']:.0f}") for of in found] + [("ratio", f"{times:.1f}")],
    )
    save("requests_per_second.json", found)


if __name__ == "__main__":
    main()
