# A regular expression that takes for ever, in C.
# on: solved
# %% last
import re

re.match(r"(a+)+$", "a" * 64 + "b")
