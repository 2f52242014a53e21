# Links to files outside, left in its folder.
# on: solved
# %% last
import os

for number, target in enumerate(("/etc/passwd", "/", "/proc/self/mem", "..", os.path.abspath("."))):
    try:
        os.symlink(target, f"link{number}")
    except OSError:
        pass
os.makedirs("a/b/c", exist_ok=True)
os.chmod("a", 0)
