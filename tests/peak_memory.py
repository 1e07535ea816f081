"""Peak memory of a process of its own.

`getrusage` will not do: the peak of the process that started it is inherited, and a test run's own is large.
"""

DEFINITION = '''
def peak():
    """The most memory in kB that this process held at once, since it runs its own program."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
'''  # what a process runs first
