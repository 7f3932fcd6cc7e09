"""Does one thing to each of many items, each in a process of its own. Run by the image's interpreter, 3.8 or later.

Arguments: a directory of packages or nothing, the code that does it to `item`, seconds for one item, and the items.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

MARK = "slimmer-error: "
packages, code, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
items = sys.argv[4:]
# An interpreter that stops without ceremony: what goes wrong as it ends was not asked.
WRAPPED = """
import os, sys
item, packages = sys.argv[1:3]
if packages and packages not in sys.path: sys.path.append(packages)
try:
    %s
except BaseException as error:
    text = "%%s: %%s" %% (type(error).__name__, error)
    os.write(2, ("\\n%s" + text.replace("\\n", " ")[:2000] + "\\n").encode("utf-8", "replace"))
    os._exit(1)
os._exit(0)
""" % (code, MARK)


def outcome(item):
    """Give the empty text when all went well, else what went wrong."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", WRAPPED, item, packages],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "no answer within %d s" % limit
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    for line in lines:
        if line.startswith(MARK):
            return line[len(MARK) :]
    if done.returncode < 0:
        return "ended by signal %d" % -done.returncode
    return "exit status %d: %s" % (done.returncode, lines[-1] if lines else "without a word")


with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
    outcomes = dict(pool.map(lambda item: (item, outcome(item)), items))
print("slimmer-probe: " + json.dumps(outcomes), flush=True)
