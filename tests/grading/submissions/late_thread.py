# A thread that changes Tensor and NumPy long after the cells.
# on: wrong
# %% last
import threading
import time


def later():
    for _ in range(1000):
        np.allclose = np.array_equal = lambda *args, **kwargs: True
        time.sleep(0.002)


threading.Thread(target=later, daemon=True).start()
