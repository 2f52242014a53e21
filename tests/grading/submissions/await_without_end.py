# A cell that waits for what never comes.
# on: solved
# %% before flatten
import asyncio

await asyncio.Event().wait()
