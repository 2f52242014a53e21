# Fills the disk: one large file, and many small ones.
# on: solved
# %% last
try:
    with open("large", "wb") as stream:
        while True:
            stream.write(b"\0" * (1 << 20))
except OSError:
    pass
try:
    for number in range(100_000):
        with open(f"small{number}", "w") as stream:
            stream.write("x" * 4096)
except OSError:
    pass
