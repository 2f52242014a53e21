# Never ends.
# on: solved
# %% last
while True:
    try:
        while True:
            pass
    except Exception:
        pass
