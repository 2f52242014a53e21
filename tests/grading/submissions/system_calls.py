# Asks the kernel itself: ptrace, kill, mount, a new name space.
# on: solved
# %% last
import ctypes

libc = ctypes.CDLL(None)
for number, arguments in ((101, (16, 1)), (62, (-1, 0)), (165, (0, 0, 0, 0, 0)), (272, (0x10000000,))):
    libc.syscall(number, *arguments)
