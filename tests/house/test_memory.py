"""Peak memory, measured in a process of its own."""

import subprocess
import sys

import pytest

CODE = """
import threading, time
import numpy as np
import mixtura as mx

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

rng = np.random.default_rng(0)
X = rng.standard_normal((2_000_000, 8))
X[:700_000] += 3
mx.GaussianMixture({K}, max_iter=2, tol=1, random_state=0).fit(X[:10_000])
before, peak, done = resident(), 0.0, False

def watch():
    global peak
    while not done:
        peak = max(peak, resident())
        time.sleep(0.001)

watcher = threading.Thread(target=watch)
watcher.start()
mx.GaussianMixture({K}, max_iter=2, tol=1, random_state=0).fit(X)
done = True
watcher.join()
print(peak - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("n_components", [3, 20])
def test_fitting_two_million_rows_takes_less_than_100_megabytes_beyond_them(n_components):
    code = CODE.replace("{K}", str(n_components))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100
